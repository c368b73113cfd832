//! epoll(7) on the sockets of a trial.

use super::tcp::Progress;
use super::{Agent, Application, Attempt, Pending, value};
use crate::call::{Ready, Returned, Syscall};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use stack_under_test::errno::Errno;
use stack_under_test::socket::Fd;
use stack_under_test::socket::epoll::{self, EpollCtl, EpollEvent};
use stack_under_test::stack::Stack;
use stack_under_test::time::Instant;

const EVENTS: &[(&str, u32)] = &[
    ("EPOLLIN", epoll::EPOLLIN),
    ("EPOLLPRI", epoll::EPOLLPRI),
    ("EPOLLOUT", epoll::EPOLLOUT),
    ("EPOLLERR", epoll::EPOLLERR),
    ("EPOLLHUP", epoll::EPOLLHUP),
    ("EPOLLRDNORM", epoll::EPOLLRDNORM),
    ("EPOLLRDBAND", epoll::EPOLLRDBAND),
    ("EPOLLWRNORM", epoll::EPOLLWRNORM),
    ("EPOLLWRBAND", epoll::EPOLLWRBAND),
    ("EPOLLRDHUP", epoll::EPOLLRDHUP),
    ("EPOLLEXCLUSIVE", epoll::EPOLLEXCLUSIVE),
    ("EPOLLONESHOT", epoll::EPOLLONESHOT),
    ("EPOLLET", epoll::EPOLLET),
];

/// What was closed: no descriptor.
const NOT_OPEN: Fd = Fd(u32::MAX);

impl Agent {
    /// A call of epoll(7). `None`: it is another.
    pub(super) fn of_epoll(
        &mut self,
        stack: &mut Stack,
        now: Instant,
        call: &Syscall,
        deadline: Option<Instant>,
        progress: &mut Progress,
    ) -> Option<Attempt> {
        Some(match call {
            Syscall::EpollCreate { name } => self.epoll_create(stack, name),
            Syscall::EpollCtl { epoll, op, socket, events } => {
                self.epoll_ctl(stack, (epoll, socket), op, events)
            }
            Syscall::EpollWait { epoll, maxevents, .. } => {
                // Who waits does so until the end, also when the name is gone.
                let fd = *progress.epoll.get_or_insert(self.fd(epoll).unwrap_or(NOT_OPEN));
                let waits = deadline.is_none_or(|deadline| now < deadline);
                match stack.epoll_wait(fd, *maxevents, progress.waiter, waits) {
                    Err(Errno::EAGAIN) => Err(Pending::Blocks),
                    reported => reported.map(|reported| self.reported(&reported)).map_err(Pending::from),
                }
            }
            _ => return None,
        })
    }

    fn epoll_create(&mut self, stack: &mut Stack, name: &str) -> Attempt {
        let fd = stack.epoll_create()?;
        self.sockets.insert(name.to_owned(), Application::new(fd, false, false));
        Ok(value(i64::from(fd.0)))
    }

    fn epoll_ctl(
        &mut self,
        stack: &mut Stack,
        (epoll, socket): (&str, &str),
        op: &str,
        events: &[String],
    ) -> Attempt {
        let op = match op {
            "EPOLL_CTL_ADD" => EpollCtl::Add,
            "EPOLL_CTL_MOD" => EpollCtl::Mod,
            _ => EpollCtl::Del,
        };
        let bits = EVENTS.iter().filter(|(name, _)| super::has(events, name));
        let events = bits.fold(0, |all, (_, bit)| all | bit);
        let (epfd, fd) = (self.fd(epoll).unwrap_or(NOT_OPEN), self.fd(socket).unwrap_or(NOT_OPEN));
        let event = EpollEvent { events, data: self.label(socket) };
        Ok(stack.epoll_ctl(epfd, op, fd, event).map(|()| value(0))?)
    }

    /// What a set calls a socket: where its name stands.
    fn label(&mut self, name: &str) -> u64 {
        let at = self.labels.iter().position(|known| known == name).unwrap_or_else(|| {
            self.labels.push(name.to_owned());
            self.labels.len() - 1
        });
        at as u64
    }

    fn reported(&self, events: &[EpollEvent]) -> Returned {
        let named = |event: &EpollEvent| {
            let has = EVENTS.iter().filter(|(_, bit)| event.events & bit != 0);
            let socket = usize::try_from(event.data).ok().and_then(|at| self.labels.get(at));
            Ready {
                socket: socket.cloned().unwrap_or_default(),
                events: has.map(|(name, _)| (*name).to_owned()).collect(),
            }
        };
        let ready: Vec<_> = events.iter().map(named).collect();
        Returned { ready, ..value(i64::try_from(events.len()).unwrap_or(i64::MAX)) }
    }
}
