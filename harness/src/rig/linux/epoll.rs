//! epoll(7) on the sockets of a trial.

use super::ioctl;
use super::sockets::Sockets;
use crate::case::model::Ready;
use crate::rig::Returned;
use nix::errno::Errno;
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::eventfd::EventFd;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// The kernel's numbers of events and of how they are told.
const EVENTS: &[(&str, i32)] = &[
    ("EPOLLIN", libc::EPOLLIN),
    ("EPOLLPRI", libc::EPOLLPRI),
    ("EPOLLOUT", libc::EPOLLOUT),
    ("EPOLLERR", libc::EPOLLERR),
    ("EPOLLHUP", libc::EPOLLHUP),
    ("EPOLLRDNORM", libc::EPOLLRDNORM),
    ("EPOLLRDBAND", libc::EPOLLRDBAND),
    ("EPOLLWRNORM", libc::EPOLLWRNORM),
    ("EPOLLWRBAND", libc::EPOLLWRBAND),
    ("EPOLLRDHUP", libc::EPOLLRDHUP),
    ("EPOLLEXCLUSIVE", libc::EPOLLEXCLUSIVE),
    ("EPOLLONESHOT", libc::EPOLLONESHOT),
    ("EPOLLET", libc::EPOLLET),
];

const OPS: &[(&str, i32)] = &[
    ("EPOLL_CTL_ADD", libc::EPOLL_CTL_ADD),
    ("EPOLL_CTL_MOD", libc::EPOLL_CTL_MOD),
    ("EPOLL_CTL_DEL", libc::EPOLL_CTL_DEL),
];

/// What a set reports of the descriptor that ends its waits.
const OURS: u64 = u64::MAX;

/// Names for the kernel's 64 bits of data: a socket is known by where its name stands.
#[derive(Debug, Default)]
pub struct Labels(Vec<String>);

impl Labels {
    fn of(&mut self, name: &str) -> u64 {
        let at = self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        });
        at as u64
    }

    fn name(&self, label: u64) -> Option<&String> {
        usize::try_from(label).ok().and_then(|at| self.0.get(at))
    }
}

/// The numbers of events by their names.
///
/// # Errors
/// A sentence that names the first that is unknown.
pub fn events(names: &[String]) -> Result<u32, String> {
    names.iter().try_fold(0, |all, name| {
        let bit = EVENTS.iter().find(|(known, _)| known == name).map(|(_, bit)| bit.cast_unsigned());
        bit.map(|bit| all | bit).ok_or_else(|| format!("the linux rig knows no event `{name}`"))
    })
}

/// `epoll_create1`
///
/// # Errors
/// Those of epoll_create1(2).
pub fn create() -> Result<OwnedFd, Errno> {
    Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map(|epoll| epoll.0)
}

/// Lets every `epoll_wait` on this descriptor return from now on; on one that is no epoll instance it does nothing. `None` when
/// there are no descriptors left.
pub fn end_waits(descriptor: RawFd) -> Option<EventFd> {
    let always_ready = EventFd::from_value(1).ok()?;
    let added = ioctl::epoll_ctl(
        descriptor,
        libc::EPOLL_CTL_ADD,
        always_ready.as_raw_fd(),
        libc::EPOLLIN.cast_unsigned(),
        OURS,
    );
    added.ok().map(|()| always_ready)
}

impl Sockets {
    pub(super) fn epoll_ctl(
        &self,
        (epoll, socket): (&str, &str),
        op: &str,
        names: &[String],
    ) -> Result<Returned, Errno> {
        let (epoll, socket) = (self.get(epoll), (self.get(socket), socket));
        let label = self.labels(|labels| labels.of(socket.1));
        let events = events(names).map_err(|_| Errno::EINVAL)?;
        let op = OPS.iter().find(|(known, _)| *known == op).map_or(0, |(_, number)| *number);
        ioctl::epoll_ctl(number(epoll.as_ref()), op, number(socket.0.as_ref()), events, label)?;
        Ok(Returned::default())
    }

    pub(super) fn epoll_wait(&self, epoll: &str, maxevents: i32, timeout_ms: i32) -> Result<Returned, Errno> {
        let epoll = self.get(epoll);
        let reported = ioctl::epoll_wait(number(epoll.as_ref()), maxevents, timeout_ms)?;
        let ready: Vec<_> = self.labels(|labels| {
            let named = |&(events, label): &(u32, u64)| {
                let has = |bit: i32| events & bit.cast_unsigned() != 0;
                let names = EVENTS.iter().filter(|(_, bit)| has(*bit)).map(|(name, _)| (*name).to_owned());
                labels.name(label).map(|socket| Ready { socket: socket.clone(), events: names.collect() })
            };
            reported.iter().filter_map(named).collect()
        });
        Ok(Returned { value: i64::try_from(ready.len()).unwrap_or(i64::MAX), ready, ..Returned::default() })
    }
}

/// A descriptor as the kernel takes it; what was closed has none, and the number may be somebody else's by now.
fn number(descriptor: Option<&Arc<OwnedFd>>) -> RawFd {
    descriptor.map_or(-1, |descriptor| descriptor.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_nothing_would_end_can_be_ended() {
        let epoll = create().expect("there are descriptors left");
        assert_eq!(ioctl::epoll_wait(epoll.as_raw_fd(), 1, 0), Ok(Vec::new()));
        let held = end_waits(epoll.as_raw_fd()).expect("it is an epoll instance");
        let reported = ioctl::epoll_wait(epoll.as_raw_fd(), 1, -1).expect("it returns");
        assert_eq!(reported, [(libc::EPOLLIN.cast_unsigned(), OURS)]);
        assert!(end_waits(held.as_raw_fd()).is_none(), "this is none");
    }

    #[test]
    fn an_event_without_a_number_is_named() {
        let names = ["EPOLLIN", "EPOLLET"].map(str::to_owned);
        assert_eq!(events(&names), Ok(0x8000_0001));
        assert!(events(&["EPOLLLOUD".to_owned()]).unwrap_err().contains("EPOLLLOUD"));
    }
}
