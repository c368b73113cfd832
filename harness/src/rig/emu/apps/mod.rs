//! Applications of the harness on the stack's sockets, for what would be many system calls in a case: they never block, and go on when
//! one of their sockets was woken.

mod echo;
mod http_client;
mod http_server;
mod stream;

pub use echo::Echo;
pub use http_client::HttpClient;
pub use http_server::HttpServer;

use crate::rig::{CallId, CallResult};
use stack_under_test::socket::Fd;
use stack_under_test::stack::Stack;
use stack_under_test::time::Instant;

/// An application: a state, and what it does when it may go on.
pub trait App {
    /// Does what it can do now. `Some`: it is over.
    fn go_on(&mut self, stack: &mut Stack, now: Instant) -> Option<CallResult>;

    /// When it wants to go on, whatever its sockets do.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}

/// The applications that run.
#[derive(Default)]
pub struct Apps {
    running: Vec<(CallId, Box<dyn App>)>,
    /// One was started, and has not run yet.
    fresh: bool,
}

impl Apps {
    /// Starts one; it runs first with the next [`Apps::progress`].
    pub fn start(&mut self, call: CallId, app: Box<dyn App>) {
        self.running.push((call, app));
        self.fresh = true;
    }

    /// When one wants to go on.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.running.iter().filter_map(|(_, app)| app.next_deadline()).min()
    }

    /// Lets them go on if there is something to do; gives those that ended.
    pub fn progress(&mut self, stack: &mut Stack, now: Instant, woken: &[Fd]) -> Vec<(CallId, CallResult)> {
        let mut ended = Vec::new();
        if self.running.is_empty() {
            return ended;
        }
        let all = std::mem::take(&mut self.fresh) || !woken.is_empty();
        self.running.retain_mut(|(call, app)| {
            if !all && app.next_deadline().is_none_or(|at| at > now) {
                return true;
            }
            match app.go_on(stack, now) {
                None => true,
                Some(result) => {
                    ended.push((*call, result));
                    false
                }
            }
        });
        ended
    }
}
