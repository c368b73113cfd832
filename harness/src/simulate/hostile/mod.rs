//! A hostile peer: it speaks TCP well enough to be listened to, in both roles, and then breaks every rule. By seed. The
//! stack must not panic, hang, or hold more than its limits allow, and when all is over it must hold nothing.

pub mod flood;
pub mod fuzz;
pub mod mutate;
pub mod peer;
pub mod segment;

use super::dice::Dice;
use crate::case::model::{Interrupts, topology};
use crate::rig::emu::{Host, Identity};
use peer::Peer;
use segment::{arp_reply, seen};
use stack_under_test::socket::Fd;
use stack_under_test::tcp::Usage;
use stack_under_test::tcp::recvmsg::TcpRecvFlags;
use stack_under_test::tcp::sendmsg::TcpSendFlags;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Where the stack listens.
pub const LISTENS: u16 = 80;
/// `listen`'s argument.
pub const BACKLOG: i32 = 8;
/// Sockets that the application has open at most, but for the listener.
const OPEN_MAX: usize = 10;
/// Entries of the timer queue that are allowed for each thing that can have a timer, outdated ones included.
const TIMERS_EACH: usize = 16;
/// How long what is left may stay, in virtual nanoseconds.
const GONE_AFTER: u64 = 3_600_000_000_000;

/// What came of a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hostilities {
    /// Frames that the peer sent.
    pub sent: u64,
    /// Segments that came back.
    pub answered: u64,
    /// Connections that were accepted, or that the stack opened.
    pub opened: u64,
    /// The most that was in use.
    pub most: Usage,
}

/// The stack, its application, and the peer.
pub(super) struct Scene {
    host: Host,
    peer: Peer,
    listener: Fd,
    open: Vec<Fd>,
    told: Hostilities,
    quiet: bool,
}

impl Scene {
    fn new(seed: u64, commands: &[String]) -> Result<Self, String> {
        let identity = Identity {
            mac: topology::SUT_MAC,
            ip: topology::SUT_IP,
            seed,
            cpus: 1,
            interrupts: Interrupts::Msix,
        };
        let mut host = Host::new(&identity, commands).map_err(|error| error.to_string())?;
        let (stack, _) = host.stack();
        let listener = stack
            .socket_tcp()
            .and_then(|fd| stack.bind(fd, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, LISTENS)).map(|()| fd))
            .and_then(|fd| stack.listen(fd, BACKLOG).map(|()| fd))
            .map_err(|errno| format!("cannot listen: {}", errno.name()))?;
        let told = Hostilities::default();
        Ok(Self { host, peer: Peer::default(), listener, open: Vec::new(), told, quiet: false })
    }

    fn sends(&mut self, frame: &[u8]) -> Result<(), String> {
        self.told.sent += 1;
        // As short as Ethernet lets a frame be.
        let mut padded = frame.to_vec();
        padded.resize(frame.len().max(60), 0);
        self.host.receive(&padded).map_err(|error| error.to_string())
    }

    /// Time passes. The peer answers ARP, and what came as `answers` says.
    fn pass(
        &mut self,
        time: u64,
        answers: &mut dyn FnMut(segment::Segment) -> Option<Vec<u8>>,
    ) -> Result<(), String> {
        let until = self.host.now() + time;
        let mut rounds = 0_u32;
        loop {
            let due = self.host.next_due().filter(|at| *at <= until);
            self.host.go_to(due.unwrap_or(until)).map_err(|error| error.to_string())?;
            while let Some((_, frame)) = self.host.next_frame() {
                if let Some(reply) = arp_reply(&frame) {
                    self.sends(&reply)?;
                } else if let Some(seen) = seen(&frame) {
                    self.told.answered += 1;
                    let answer = self.peer.sees(&seen).filter(|_| !self.quiet);
                    if let Some(frame) = answer.and_then(&mut *answers) {
                        self.sends(&frame)?;
                    }
                }
            }
            if due.is_none() {
                return Ok(());
            }
            rounds += 1;
            if rounds > 1_000_000 {
                return Err(format!("much happens in {time} ns: {:?}", self.host.usage()));
            }
        }
    }

    /// The application does something.
    fn application(&mut self, dice: &mut Dice) {
        let (stack, now) = self.host.stack();
        stack.take_woken();
        while self.open.len() < OPEN_MAX
            && let Ok((fd, _)) = stack.accept(now, self.listener)
        {
            self.told.opened += 1;
            self.open.push(fd);
        }
        if self.open.len() < OPEN_MAX && dice.chance(50) {
            let fd = stack.socket_tcp();
            if let Ok(fd) = fd {
                let _ = stack.tcp_connect(now, 0, fd, SocketAddrV4::new(topology::PEER_IP, 7));
                self.told.opened += 1;
                self.open.push(fd);
            }
        }
        if self.open.is_empty() {
            return;
        }
        let at = dice.below(self.open.len() as u64) as usize;
        let fd = self.open[at];
        let mut buffer = [0; 4096];
        match dice.below(12) {
            0..5 => {
                let wanted = dice.of(&[1, 500, 4096]);
                let _ = stack.tcp_recv(now, fd, &mut buffer[..wanted], TcpRecvFlags::default());
            }
            5..9 => {
                let bytes = dice.of(&[1, 700, 4096]);
                let _ = stack.tcp_send(now, 0, fd, &buffer[..bytes], TcpSendFlags::default());
            }
            9 => drop(stack.tcp_shutdown(now, 0, fd, dice.chance(200), true)),
            10 => drop(stack.readiness(fd)),
            _ => {
                if dice.chance(200) {
                    let _ = stack.set_linger(fd, Some(0));
                }
                let _ = stack.tcp_close(now, 0, fd);
                self.open.swap_remove(at);
            }
        }
    }

    /// Whether everything is within its limits.
    fn check(&mut self) -> Result<(), String> {
        let usage = self.host.usage();
        self.told.most = most(self.told.most, usage);
        let backlog = BACKLOG as usize;
        if usage.requests > backlog {
            return Err(format!("{} requests, with a backlog of {backlog}", usage.requests));
        }
        let timed = usage.socks + usage.requests + usage.timewaits + backlog;
        if usage.timers > timed * TIMERS_EACH {
            return Err(format!("{} timers for {timed} things", usage.timers));
        }
        let (stack, _) = self.host.stack();
        let listener = stack.sock_usage(self.listener).unwrap_or_default();
        if listener.syn_queue as usize != usage.requests {
            return Err(format!("{listener:?}, with {} requests", usage.requests));
        }
        if listener.accept_queue > backlog + 1 {
            return Err(format!("{} wait to be accepted", listener.accept_queue));
        }
        for fd in &self.open {
            let sock = stack.sock_usage(*fd).unwrap_or_default();
            // One packet may go beyond.
            if sock.rmem > sock.rcvbuf + 70_000 {
                return Err(format!("a socket holds more than its buffer: {sock:?}"));
            }
        }
        Ok(())
    }

    /// Closes everything, and waits until nothing is left.
    fn end(&mut self) -> Result<(), String> {
        self.quiet = true;
        let (stack, now) = self.host.stack();
        for fd in self.open.drain(..).chain([self.listener]) {
            match stack.tcp_close(now, 0, fd) {
                Ok(()) => {}
                Err(errno) => return Err(format!("close: {}", errno.name())),
            }
        }
        let limit = self.host.now() + GONE_AFTER;
        while self.host.usage() != Usage::default() {
            self.pass(10_000_000_000, &mut |_| None)?;
            if self.host.now() > limit {
                return Err(format!("something is left: {:?}", self.host.usage()));
            }
        }
        match self.host.violations().first() {
            Some(what) => Err(format!("a rule was broken: {what}")),
            None => Ok(()),
        }
    }
}

/// The larger of each.
fn most(a: Usage, b: Usage) -> Usage {
    Usage {
        socks: a.socks.max(b.socks),
        requests: a.requests.max(b.requests),
        timewaits: a.timewaits.max(b.timewaits),
        timers: a.timers.max(b.timers),
        tuples: a.tuples.max(b.tuples),
        bound: a.bound.max(b.bound),
        orphans: a.orphans.max(b.orphans),
        skbs: a.skbs.max(b.skbs),
        heads: a.heads.max(b.heads),
        pages: a.pages.max(b.pages),
    }
}

fn commands(dice: &mut Dice) -> Vec<String> {
    let mut commands = Vec::new();
    for key in ["timestamps", "sack", "window_scaling"] {
        if dice.chance(200) {
            commands.push(format!("sysctl -w net.ipv4.tcp_{key}=0"));
        }
    }
    for feature in ["tso", "gso", "gro", "rx"] {
        if dice.chance(200) {
            commands.push(format!("ethtool -K eth0 {feature} off"));
        }
    }
    if dice.chance(500) {
        commands.push("sysctl -w net.ipv4.tcp_congestion_control=cubic".to_owned());
    }
    commands
}

/// The hostilities of a seed.
///
/// # Errors
/// What did not hold.
pub fn run(seed: u64) -> Result<Hostilities, String> {
    let mut dice = Dice::new(seed, 3);
    let mut scene = Scene::new(seed, &commands(&mut dice))?;
    let acts = dice.between(50, 400);
    for _ in 0..acts {
        let frame = scene.peer.acts(&mut dice, LISTENS);
        scene.sends(&frame)?;
        let time = match dice.below(100) {
            0..90 => dice.below(200_000),
            90..97 => dice.below(300_000_000),
            97..99 => dice.below(5_000_000_000),
            _ => dice.below(100_000_000_000),
        };
        let mut of_answers = dice.clone();
        scene.pass(time, &mut |mut answer| {
            // Most handshakes succeed, or there would be little to attack.
            if of_answers.chance(100) {
                mutate::mutate(&mut of_answers, &mut answer);
            }
            (!of_answers.chance(150)).then(|| answer.frame(topology::PEER_IP))
        })?;
        dice.bits();
        scene.application(&mut dice);
        scene.check()?;
    }
    scene.end()?;
    Ok(scene.told)
}
