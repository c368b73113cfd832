//! `epoll`: sets of sockets that say which of them are ready (`fs/eventpoll.c`, Linux 6.12). A socket that wakes its waiters puts
//! itself into the ready lists of the sets that it is in; what of it is ready is asked when the list is read.

use super::calls::Readiness;
use super::{Fd, SocketTable};
use crate::errno::Errno;
use crate::stack::Stack;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// There is something to read.
pub const EPOLLIN: u32 = 0x1;
/// There is an urgent byte.
pub const EPOLLPRI: u32 = 0x2;
/// There is room to write.
pub const EPOLLOUT: u32 = 0x4;
/// An error is pending; always reported.
pub const EPOLLERR: u32 = 0x8;
/// Shut down both ways; always reported.
pub const EPOLLHUP: u32 = 0x10;
/// As [`EPOLLIN`].
pub const EPOLLRDNORM: u32 = 0x40;
/// Never reported by a socket of this stack.
pub const EPOLLRDBAND: u32 = 0x80;
/// As [`EPOLLOUT`].
pub const EPOLLWRNORM: u32 = 0x100;
/// As [`EPOLLOUT`], of datagram sockets alone.
pub const EPOLLWRBAND: u32 = 0x200;
/// Shut down for reading.
pub const EPOLLRDHUP: u32 = 0x2000;
/// Of the sets that a socket is in with this, one whose caller waits is woken.
pub const EPOLLEXCLUSIVE: u32 = 1 << 28;
/// Reported once, then silent until EPOLL_CTL_MOD.
pub const EPOLLONESHOT: u32 = 1 << 30;
/// Edge-triggered: reported when the socket wakes its waiters, not for as long as it is ready.
pub const EPOLLET: u32 = 1 << 31;

const EPOLLWAKEUP: u32 = 1 << 29;
/// `EP_PRIVATE_BITS`: how events are told, and no events.
const PRIVATE_BITS: u32 = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;
/// `EPOLLEXCLUSIVE_OK_BITS`: what EPOLLEXCLUSIVE goes together with.
const EXCLUSIVE_OK_BITS: u32 =
    EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
/// `EP_MAX_EVENTS`: as many as an `int` can count bytes of.
const EP_MAX_EVENTS: i32 = i32::MAX / 12;

/// Why a socket wakes who waits for it: the callbacks of `struct sock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// `sk_state_change`: all that wait look for themselves.
    StateChange,
    /// `sk_data_ready`
    DataReady,
    /// `sk_write_space`
    WriteSpace,
    /// `sk_error_report`
    ErrorReport,
}

impl Wake {
    /// The events that the wake-up is for; 0: any.
    fn key(self) -> u32 {
        match self {
            Self::StateChange => 0,
            Self::DataReady => EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND,
            Self::WriteSpace => EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND,
            Self::ErrorReport => EPOLLERR,
        }
    }
}

impl Readiness {
    /// The same as `epoll` numbers it (`tcp_poll`, `datagram_poll`).
    #[must_use]
    pub fn events(self, is_tcp: bool) -> u32 {
        let room = EPOLLOUT | EPOLLWRNORM | if is_tcp { 0 } else { EPOLLWRBAND };
        let all = [
            (self.readable, EPOLLIN | EPOLLRDNORM),
            (self.urgent, EPOLLPRI),
            (self.writable, room),
            (self.error, EPOLLERR),
            (self.hangup, EPOLLHUP),
            (self.read_hangup, EPOLLRDHUP),
        ];
        all.iter().filter(|(is, _)| *is).fold(0, |events, (_, bits)| events | bits)
    }
}

/// What `epoll_ctl` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpollCtl {
    /// EPOLL_CTL_ADD
    Add,
    /// EPOLL_CTL_MOD
    Mod,
    /// EPOLL_CTL_DEL
    Del,
}

/// `struct epoll_event`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpollEvent {
    /// What is asked for, or what is reported.
    pub events: u32,
    /// What the caller calls the socket.
    pub data: u64,
}

/// A set: `struct eventpoll`.
#[derive(Debug, Default)]
pub(crate) struct EventPoll {
    /// Its sockets, by slot.
    items: BTreeMap<u32, EpItem>,
    /// `rdllist`: the slots of those that may be ready, in the order in which they became so; each once.
    ready: VecDeque<u32>,
    /// Who waits in `epoll_wait`, the last that came first: they are woken in this order.
    waiters: VecDeque<u32>,
    /// No descriptor refers to it; it lives while somebody waits.
    closed: bool,
}

/// One socket of a set: `struct epitem`.
#[derive(Debug)]
struct EpItem {
    events: u32,
    data: u64,
    /// It is in the ready list.
    linked: bool,
}

impl EventPoll {
    /// Puts a socket at the end of the ready list, unless it is in there.
    fn link(&mut self, slot: u32) {
        if let Some(item) = self.items.get_mut(&slot)
            && !core::mem::replace(&mut item.linked, true)
        {
            self.ready.push_back(slot);
        }
    }

    fn remove(&mut self, slot: u32) {
        self.items.remove(&slot);
        self.ready.retain(|other| *other != slot);
    }
}

/// A set that a socket is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watcher {
    epoll: u32,
    exclusive: bool,
}

impl SocketTable {
    /// Notes that whoever waits for the socket is to be woken, and tells the sets that it is in.
    pub(crate) fn wake(&mut self, slot: u32, wake: Wake) {
        let fd = Self::fd(slot);
        if !self.woken.contains(&fd) {
            self.woken.push(fd);
        }
        if self.is_watched(slot) {
            self.wake_epolls(slot, wake);
        }
    }

    /// Whether the socket in a slot is in some set.
    #[inline]
    pub(crate) fn is_watched(&self, slot: u32) -> bool {
        self.slots.get(slot as usize).is_some_and(|entry| !entry.watchers.is_empty())
    }

    /// `__wake_up_common` over the sets; but for a change of state, the first with EPOLLEXCLUSIVE that wakes somebody is the last.
    #[cold]
    fn wake_epolls(&mut self, slot: u32, wake: Wake) {
        for watcher in self.slots[slot as usize].watchers.clone() {
            let woke = self.ep_poll_callback(watcher.epoll, slot, wake.key());
            if woke && watcher.exclusive && wake != Wake::StateChange {
                break;
            }
        }
    }

    /// `ep_poll_callback`: the socket may be ready. Whether that counts as a wake-up.
    fn ep_poll_callback(&mut self, epoll: u32, slot: u32, key: u32) -> bool {
        let Some(ep) = self.epoll_at(epoll) else { return false };
        let Some(events) = ep.items.get(&slot).map(|item| item.events) else { return false };
        let exclusive = events & EPOLLEXCLUSIVE != 0;
        if events & !PRIVATE_BITS == 0 || (key != 0 && key & events == 0) {
            return !exclusive;
        }
        ep.link(slot);
        let Some(waiter) = ep.waiters.pop_front() else { return !exclusive };
        self.woken_waiters.push(waiter);
        !exclusive
            || match key & (EPOLLIN | EPOLLOUT) {
                EPOLLIN => events & EPOLLIN != 0,
                EPOLLOUT => events & EPOLLOUT != 0,
                both => both == 0,
            }
    }

    /// `eventpoll_release`: a socket that is closed leaves the sets that it is in.
    #[inline]
    pub(super) fn leave_epolls(&mut self, slot: u32) {
        if self.is_watched(slot) {
            self.leave_sets(slot);
        }
    }

    #[inline(never)]
    fn leave_sets(&mut self, slot: u32) {
        for watcher in core::mem::take(&mut self.slots[slot as usize].watchers) {
            if let Some(ep) = self.epoll_at(watcher.epoll) {
                ep.remove(slot);
            }
        }
    }

    fn epoll_at(&mut self, slot: u32) -> Option<&mut EventPoll> {
        self.slots.get_mut(slot as usize).and_then(|entry| entry.epoll.as_deref_mut())
    }

    /// Whether a descriptor is that of a set.
    pub(crate) fn is_epoll(&self, fd: Fd) -> bool {
        let entry = self.slots.get(Self::slot(fd) as usize);
        entry.and_then(|entry| entry.epoll.as_ref()).is_some_and(|ep| !ep.closed)
    }

    /// `ep_eventpoll_release`: a set without a descriptor is gone, or goes when the last that waits returns.
    pub(super) fn close_epoll(&mut self, fd: Fd) {
        let slot = Self::slot(fd);
        let Some(ep) = self.epoll_at(slot) else { return };
        ep.closed = true;
        self.free_epoll(slot);
    }

    /// Frees a set that nobody can reach.
    fn free_epoll(&mut self, slot: u32) {
        let Some(ep) = self.epoll_at(slot).filter(|ep| ep.closed && ep.waiters.is_empty()) else { return };
        for socket in core::mem::take(&mut ep.items).into_keys() {
            self.unwatch(socket, slot);
        }
        self.release(slot);
    }

    fn unwatch(&mut self, socket: u32, epoll: u32) {
        if let Some(entry) = self.slots.get_mut(socket as usize) {
            entry.watchers.retain(|watcher| watcher.epoll != epoll);
        }
    }

    /// Those that wait alone stand behind the others, which the newest leads, as in a wait queue of Linux.
    fn watch(&mut self, socket: u32, watcher: Watcher) {
        if let Some(entry) = self.slots.get_mut(socket as usize) {
            let at = if watcher.exclusive { entry.watchers.len() } else { 0 };
            entry.watchers.insert(at, watcher);
        }
    }
}

impl Stack {
    /// `epoll_create1`: a new set.
    ///
    /// # Errors
    /// ENOMEM when there are too many descriptors.
    pub fn epoll_create(&mut self) -> Result<Fd, Errno> {
        let slot = self.reserve_slot().ok_or(Errno::ENOMEM)?;
        self.sockets.slots[slot as usize].epoll = Some(Box::default());
        Ok(SocketTable::fd(slot))
    }

    /// `epoll_ctl`. EPOLLERR and EPOLLHUP are always asked for.
    ///
    /// # Errors
    /// EBADF for what is not open; EINVAL when `epfd` is no set or is `fd`, and for EPOLLEXCLUSIVE with EPOLL_CTL_MOD or with
    /// more than EPOLLIN, EPOLLOUT and EPOLLET; EEXIST; ENOENT; EOPNOTSUPP for a set in a set, which this stack does not have.
    pub fn epoll_ctl(&mut self, epfd: Fd, op: EpollCtl, fd: Fd, event: EpollEvent) -> Result<(), Errno> {
        for fd in [epfd, fd] {
            if !self.sockets.is_epoll(fd) {
                self.sockets.get(fd)?;
            }
        }
        if epfd == fd || !self.sockets.is_epoll(epfd) {
            return Err(Errno::EINVAL);
        }
        if event.events & EPOLLEXCLUSIVE != 0 {
            let too_much = event.events & !EXCLUSIVE_OK_BITS != 0 || self.sockets.is_epoll(fd);
            if op == EpollCtl::Mod || (op == EpollCtl::Add && too_much) {
                return Err(Errno::EINVAL);
            }
        }
        if self.sockets.is_epoll(fd) {
            return Err(Errno::EOPNOTSUPP);
        }
        let (epoll, slot) = (SocketTable::slot(epfd), SocketTable::slot(fd));
        let ep = self.sockets.epoll_at(epoll).ok_or(Errno::EINVAL)?;
        let events = event.events | EPOLLERR | EPOLLHUP;
        match (op, ep.items.get_mut(&slot)) {
            (EpollCtl::Add, Some(_)) => Err(Errno::EEXIST),
            (EpollCtl::Add, None) => {
                ep.items.insert(slot, EpItem { events, data: event.data, linked: false });
                let exclusive = events & EPOLLEXCLUSIVE != 0;
                self.sockets.watch(slot, Watcher { epoll, exclusive });
                self.trace.function(0, "ep_insert");
                self.ep_look(epoll, slot)
            }
            (_, None) => Err(Errno::ENOENT),
            // `EPOLLEXCLUSIVE` is for good.
            (EpollCtl::Mod, Some(item)) if item.events & EPOLLEXCLUSIVE != 0 => Err(Errno::EINVAL),
            (EpollCtl::Mod, Some(item)) => {
                (item.events, item.data) = (events, event.data);
                self.trace.function(0, "ep_modify");
                self.ep_look(epoll, slot)
            }
            (EpollCtl::Del, Some(_)) => {
                ep.remove(slot);
                self.sockets.unwatch(slot, epoll);
                self.trace.function(0, "ep_remove");
                Ok(())
            }
        }
    }

    /// What has just been asked for may be there already.
    fn ep_look(&mut self, epoll: u32, slot: u32) -> Result<(), Errno> {
        if self.ep_item_poll(epoll, slot) != 0
            && let Some(ep) = self.sockets.epoll_at(epoll)
            && ep.items.get(&slot).is_some_and(|item| !item.linked)
        {
            ep.link(slot);
            let woken = ep.waiters.pop_front();
            self.sockets.woken_waiters.extend(woken);
        }
        Ok(())
    }

    /// `ep_item_poll`: what a set asks for, of what there is. The socket wakes its waiters when there is more.
    fn ep_item_poll(&mut self, epoll: u32, slot: u32) -> u32 {
        let fd = SocketTable::fd(slot);
        let is_tcp = self.is_tcp(fd);
        let there = self.readiness(fd).map_or(0, |ready| ready.events(is_tcp));
        let item = self.sockets.epoll_at(epoll).and_then(|ep| ep.items.get(&slot));
        item.map_or(0, |item| item.events & there)
    }

    /// `epoll_wait`, for the caller that calls itself `waiter`. With `waits`, EAGAIN says that nothing is ready, and that the
    /// call is to be repeated when [`Stack::take_woken_waiters`] names the caller, or without `waits` when its time is up.
    ///
    /// # Errors
    /// EINVAL for a count that cannot be, and when `epfd` is no set; EBADF; EAGAIN.
    pub fn epoll_wait(
        &mut self,
        epfd: Fd,
        maxevents: i32,
        waiter: u32,
        waits: bool,
    ) -> Result<Vec<EpollEvent>, Errno> {
        if !(1..=EP_MAX_EVENTS).contains(&maxevents) {
            return Err(Errno::EINVAL);
        }
        let epoll = SocketTable::slot(epfd);
        // Who waits already does so until the end, also in a set that was closed meanwhile.
        let Some(ep) = self.sockets.epoll_at(epoll) else {
            return self.sockets.get(epfd).and(Err(Errno::EINVAL));
        };
        ep.waiters.retain(|other| *other != waiter);
        let reported = self.ep_send_events(epoll, maxevents as usize);
        if let (true, true, Some(ep)) = (reported.is_empty(), waits, self.sockets.epoll_at(epoll)) {
            ep.waiters.push_front(waiter);
            return Err(Errno::EAGAIN);
        }
        self.sockets.free_epoll(epoll);
        Ok(reported)
    }

    /// `ep_send_events`: reads the ready list from its beginning. What is level-triggered goes to its end again; what there was
    /// no room for stays at its beginning.
    fn ep_send_events(&mut self, epoll: u32, maxevents: usize) -> Vec<EpollEvent> {
        let mut reported = Vec::new();
        let listed = self.sockets.epoll_at(epoll).map(|ep| core::mem::take(&mut ep.ready));
        let mut listed = listed.unwrap_or_default();
        if !listed.is_empty() {
            self.trace.function(0, "ep_send_events");
        }
        while reported.len() < maxevents
            && let Some(slot) = listed.pop_front()
        {
            let events = self.ep_item_poll(epoll, slot);
            let Some(ep) = self.sockets.epoll_at(epoll) else { break };
            let Some(item) = ep.items.get_mut(&slot) else { continue };
            item.linked = false;
            if events == 0 {
                continue;
            }
            reported.push(EpollEvent { events, data: item.data });
            if item.events & EPOLLONESHOT != 0 {
                item.events &= PRIVATE_BITS;
            } else if item.events & EPOLLET == 0 {
                ep.link(slot);
            }
        }
        if let Some(ep) = self.sockets.epoll_at(epoll) {
            listed.append(&mut ep.ready);
            ep.ready = listed;
            if !ep.ready.is_empty() {
                let woken = ep.waiters.pop_front();
                self.sockets.woken_waiters.extend(woken);
            }
        }
        reported
    }

    /// The callers of `epoll_wait` that are to call again, in the order in which they were woken since this was last asked.
    pub fn take_woken_waiters(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.sockets.woken_waiters)
    }
}

#[cfg(test)]
mod tests;
