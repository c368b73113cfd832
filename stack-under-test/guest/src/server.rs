//! Serves the harness: a stack on this machine's NIC, the applications on its sockets, and the stack's clock, which the harness sets.
//!
//! Two clocks run here. The stack's is told by the harness, and jumps. The device's is the machine's own: after whatever the stack was
//! told, it is given time until it is at rest, however long it takes by its own clock; by the stack's that is one moment.

use crate::agent::{Agent, Cpus};
use crate::call::{CallId, CallResult, CommandResult};
use crate::command;
use crate::protocol::{Answer, CpuReading, Identity, Reply, Request, State};
use crate::readings;
use crate::told::Tale;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use stack_under_test::control::{self, ethtool::EthtoolCommand};
use stack_under_test::stack::Stack;
use stack_under_test::time::Instant;

/// The machine below the stack.
pub trait Platform: Cpus {
    /// A stack on the NIC of this machine that has done nothing yet, with this many CPUs; the one before is gone.
    fn stack(&mut self, identity: &Identity) -> Stack;
    /// The first vector from this one on that the NIC has raised and that was not handed over yet.
    fn interrupt(&mut self, from: u16) -> Option<u16>;
    /// What each CPU has done since the stack began.
    fn cpus(&self) -> Vec<CpuReading>;
    /// The NIC may have been told something by others than its driver: a frame came, or the cable went.
    fn stir(&mut self);
    /// Lets the NIC's time pass until it raises an interrupt, or has nothing more to do; one that nobody told anything since has
    /// nothing to do. One that looks for its link has for longer. Whether it raised an interrupt.
    fn rest(&mut self, looks_for_link: bool) -> bool;
    /// How often the NIC was told that there is something to send.
    fn doorbells(&self) -> u64;
    /// Bytes of the heap that are in use.
    fn heap(&self) -> u64;
}

/// How long, by the stack's clock, it may take to come up, and what that set off to come to rest.
const CARRIER_BOUND: u64 = 10_000_000_000;
const CALM: u64 = 1_000_000;
/// A self-test that waits for so long waits for the PHY, and how often it is given the time in which one finds a link.
const PHY_TAKES: u64 = 400_000_000;
const LOOKS: u32 = 4;
/// How often something may be due without time passing before the two sides are taken to be chasing each other.
const AT_ONCE_MAX: u32 = 100_000;

/// How much may be due on the way of one request: its end has a deadline in real time.
const IN_ONE_REQUEST: u32 = 1_000;

/// What a machine does for the harness.
pub struct Server<P> {
    platform: P,
    running: Option<Running>,
    /// Bytes of the heap in use when there was no stack.
    at_rest: u64,
}

struct Running {
    stack: Stack,
    agent: Agent,
    now: Instant,
    ended: Vec<(CallId, u64, CallResult)>,
    /// The command that was given last tests the device, and has its result when all is settled.
    tests_itself: bool,
}

impl<P: Platform> Server<P> {
    /// A machine that has no stack yet.
    pub fn new(platform: P) -> Self {
        Self { platform, running: None, at_rest: 0 }
    }

    /// The machine.
    pub fn platform(&mut self) -> &mut P {
        &mut self.platform
    }

    /// Does what is asked for.
    pub fn answer(&mut self, request: Request) -> Reply {
        let answer = match request {
            Request::Begin(identity) => self.begin(&identity),
            request => match &mut self.running {
                Some(running) => running.answer(&mut self.platform, request),
                None => Answer::Refused("there is no stack yet".into()),
            },
        };
        let heap = self.at_rest;
        let state = self.running.as_mut().map_or_else(State::default, Running::state);
        Reply { answer, state: State { heap, ..state } }
    }

    fn begin(&mut self, identity: &Identity) -> Answer {
        // Its memory is that of the next one.
        self.running = None;
        self.at_rest = self.platform.heap();
        let stack = self.platform.stack(identity);
        let running = self.running.insert(Running {
            stack,
            agent: Agent::default(),
            now: Instant::ZERO,
            ended: Vec::new(),
            tests_itself: false,
        });
        match running.bring_up(&mut self.platform, identity) {
            Ok(()) => Answer::Done,
            Err(why) => Answer::Refused(why),
        }
    }
}

impl Running {
    fn state(&mut self) -> State {
        State {
            now: self.now.0,
            due: self.next_due(),
            ended: core::mem::take(&mut self.ended),
            settled: self.stack.is_settled(),
            up: self.stack.is_up(),
            carrier: self.stack.carrier(),
            heap: 0,
        }
    }

    fn next_due(&mut self) -> Option<u64> {
        let stack = self.stack.next_deadline().map(|at| at.0);
        let applications = self.agent.next_deadline().map(|at| at.0);
        stack.into_iter().chain(applications).min()
    }

    fn bring_up(&mut self, platform: &mut dyn Platform, identity: &Identity) -> Result<(), String> {
        self.stack.start(self.now);
        self.wait(platform, "the device is probed", |stack| stack.is_started() && stack.is_settled())?;
        self.configure(&["ip", "link", "set", "dev", "eth0", "up"])?;
        self.wait(platform, "there is carrier", |stack| stack.is_settled() && stack.carrier())?;
        let address = format!("{}/24", identity.ip);
        self.configure(&["ip", "addr", "add", &address, "dev", "eth0"])?;
        let calm = self.now.0 + CALM;
        while self.advance(platform, calm)? {}
        self.ended.clear();
        self.stack.trace_mut().take();
        self.stack.trace_mut().set_on(true);
        Ok(())
    }

    fn configure(&mut self, words: &[&str]) -> Result<(), String> {
        let refused = |why: String| format!("`{}`: {why}", words.join(" "));
        let command = control::parse(words).map_err(|error| refused(error.message))?;
        self.stack.control(self.now, &command).map_err(|refusal| refused(refusal.message))
    }

    fn wait(
        &mut self,
        platform: &mut dyn Platform,
        what: &str,
        holds: fn(&Stack) -> bool,
    ) -> Result<(), String> {
        let bound = self.now.0 + CARRIER_BOUND;
        self.settle(platform)?;
        while !holds(&self.stack) {
            if !self.advance(platform, bound)? {
                return Err(format!("waited {} s until {what}, in vain", CARRIER_BOUND / 1_000_000_000));
            }
        }
        Ok(())
    }

    /// Goes on to what is due next, if that is not after `limit`, and otherwise to `limit`. Whether something was due.
    fn advance(&mut self, platform: &mut dyn Platform, limit: u64) -> Result<bool, String> {
        let next = self.next_due().map(|at| at.max(self.now.0)).filter(|at| *at <= limit);
        let now = next.unwrap_or(limit).max(self.now.0);
        if self.tests_itself && now - self.now.0 >= PHY_TAKES {
            // What the PHY is busy with meanwhile takes time by its own clock.
            for _ in 0..LOOKS {
                platform.stir();
                platform.rest(true);
            }
        }
        self.now = Instant(now);
        self.settle(platform)?;
        Ok(next.is_some())
    }

    /// Does all that is due at this moment of the stack's clock, and lets the device come to rest.
    fn settle(&mut self, platform: &mut dyn Platform) -> Result<(), String> {
        let now = self.now;
        for _ in 0..AT_ONCE_MAX {
            let mut next = 0;
            while let Some(vector) = platform.interrupt(next) {
                let cpu = self.stack.cpu_of_vector(vector);
                on(platform, &mut self.stack, cpu, &mut |stack| stack.interrupt(now, vector));
                next = vector + 1;
            }
            if self.stack.next_deadline().is_some_and(|at| at <= now) {
                self.stack.run_timers_on(now, &mut |stack, cpu, work| {
                    on(platform, stack, cpu, &mut |stack| work(stack, now));
                });
            }
            self.let_applications_go_on(platform);
            let is_due = self.next_due().is_some_and(|at| at <= now.0);
            // Not before the driver has its interrupts on: it is to hear of the link as from a NIC that takes its time.
            let looks_for_link = self.stack.is_up() && self.stack.is_settled() && !self.stack.carrier();
            if !is_due && !platform.rest(looks_for_link) {
                return Ok(());
            }
        }
        Err(format!("driver and device keep each other busy at {} ns without time passing", now.0))
    }

    fn let_applications_go_on(&mut self, platform: &mut dyn Platform) {
        let woken = self.stack.take_woken();
        let now = self.now;
        let ended = self.agent.progress_on(platform, &mut self.stack, now, &woken);
        self.ended.extend(ended.into_iter().map(|(call, result)| (call, now.0, result)));
    }

    fn answer(&mut self, platform: &mut dyn Platform, request: Request) -> Answer {
        match request {
            Request::Call(id, cpu, call) => {
                let Self { agent, ended, now, .. } = self;
                on(platform, &mut self.stack, cpu, &mut |stack| {
                    let result = agent.start(stack, *now, (id, cpu), &call);
                    ended.extend(result.map(|result| (id, now.0, result)));
                });
                self.let_applications_go_on(platform);
                Answer::Done
            }
            Request::Command(words) => self.command(platform, &words),
            Request::Cpus => Answer::Cpus(platform.cpus()),
            Request::Printed => self.printed(),
            Request::Sysfs(path, value) => match self.stack.sysfs_write(self.now, &path, &value) {
                Ok(()) => Answer::Command(CommandResult::default()),
                Err(errno) => Answer::Command(command::refused(format!(
                    "{path}: {} (os error {})",
                    errno.strerror(),
                    errno as i32
                ))),
            },
            Request::Advance { limit, stirred } => self.until_something_happens(platform, limit, stirred),
            Request::Read(source) => Answer::Readings(readings::read(&mut self.stack, self.now, &source)),
            Request::TcpInfo(name) => match self.agent.fd(&name) {
                None => Answer::Refused(format!("no socket `{name}` is open")),
                Some(fd) => readings::tcp_info(&self.stack, fd).map_or_else(
                    |errno| Answer::Refused(format!("TCP_INFO: {}", errno.name())),
                    Answer::Readings,
                ),
            },
            Request::Trace => Answer::Trace(Tale::of(self.stack.trace_mut().take())),
            // It has, if it came back.
            Request::GoWrong(..) => Answer::Done,
            Request::Begin(_) => Answer::Refused("this is done elsewhere".into()),
        }
    }

    /// Time passes up to `limit`, or until a call ends or the device is told to send; or until so much was due that the harness
    /// should hear of it.
    fn until_something_happens(&mut self, platform: &mut dyn Platform, limit: u64, stirred: bool) -> Answer {
        let doorbells = platform.doorbells();
        if stirred {
            platform.stir();
            if let Err(why) = self.settle(platform) {
                return Answer::Refused(why);
            }
            if limit <= self.now.0 || !self.ended.is_empty() || platform.doorbells() != doorbells {
                return Answer::Done;
            }
        }
        for _ in 0..IN_ONE_REQUEST {
            match self.advance(platform, limit) {
                Err(why) => return Answer::Refused(why),
                Ok(more) if !more || !self.ended.is_empty() || platform.doorbells() != doorbells => {
                    return Answer::Done;
                }
                Ok(_) => {}
            }
        }
        Answer::Done
    }

    fn command(&mut self, platform: &mut dyn Platform, words: &[String]) -> Answer {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let parsed = match control::parse(&words) {
            Ok(parsed) => parsed,
            Err(error) => {
                return Answer::Command(command::refused(format!(
                    "{}: expected {}",
                    error.message, error.expected
                )));
            }
        };
        self.tests_itself = matches!(parsed, control::Command::Ethtool(EthtoolCommand::Test { .. }));
        if let Err(refusal) = self.stack.control(self.now, &parsed) {
            let output = command::printed(&words, &refusal);
            return Answer::Command(CommandResult { status: 2, output });
        }
        self.let_applications_go_on(platform);
        Answer::Done
    }

    fn printed(&mut self) -> Answer {
        if core::mem::take(&mut self.tests_itself) {
            let (output, passed) = self.stack.self_test();
            return Answer::Command(CommandResult { status: i32::from(!passed), output });
        }
        Answer::Command(CommandResult { status: 0, output: self.stack.tool_output().into() })
    }
}

/// Has the stack work as one of its CPUs, on that CPU of the machine.
///
/// # Panics
/// If the stack worked as another one.
fn on(platform: &mut dyn Platform, stack: &mut Stack, cpu: u8, work: &mut dyn FnMut(&mut Stack)) {
    platform.on(cpu, &mut || work(stack));
    assert!(stack.cpu() == cpu, "the stack worked as CPU {} on CPU {cpu}", stack.cpu());
}
