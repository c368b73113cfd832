//! TCP (RFC 9293), with the behaviour, defaults and names of Linux 6.12.
//!
//! The way of a byte: [`sendmsg`] copies it into a page and puts it into the write queue; [`output`] decides when it goes;
//! [`transmit`] makes a packet that refers to the page and hands it to IP (`template` has most of its headers ready); the piece stays in the retransmission queue
//! (`segment`) until [`ack`] takes it out. A segment that comes is demultiplexed and checked in [`input`], acts on the
//! state machine in [`state_process`] (the table is [`state`]), and its payload waits in [`ofo`] or the receive queue for
//! [`recvmsg`]; `coalesce` makes few packets of many, `prune` keeps them within the receive buffer, [`window`] says what the peer
//! may send. What is lost is found by [`sack`] and [`recovery`], sent again by [`retransmit`], and timed by [`timer`] and
//! [`rtt`]. Urgent bytes go beside the stream ([`urgent`]); `predict` says which segments Linux counts as predicted.
//! Connections begin in [`listen`] and [`connect`], and end in [`close`] and [`timewait`].
//!
//! Not built yet, and where it will stand: Fast Open (`fastopen.rs`, beside [`listen`]), SYN cookies (in [`request`], where a
//! full queue drops), path MTU probing (in [`output`], before the loop of `tcp_write_xmit`), TCP small queues and
//! autocorking (in [`output`]; nothing lies long enough below us to matter).

pub mod ack;
pub mod bind;
pub mod close;
pub(crate) mod coalesce;
pub mod cong;
pub mod connect;
pub(crate) mod cwnd;
pub mod data;
pub mod ecn;
pub mod err;
pub(crate) mod hash;
pub mod info;
pub mod input;
pub mod keepalive;
pub mod listen;
pub mod ofo;
pub(crate) mod options;
pub mod output;
pub(crate) mod ports;
pub(crate) mod predict;
pub mod probe;
pub(crate) mod prune;
pub mod rack;
pub mod readiness;
pub mod recovery;
pub mod recvmsg;
pub mod request;
pub mod reset;
pub mod retransmit;
pub mod rtt;
pub mod sack;
pub(crate) mod segment;
pub mod sendmsg;
pub(crate) mod seq;
pub(crate) mod sock;
pub mod sockopt;
pub mod state;
pub mod state_process;
pub(crate) mod sysctl;
pub(crate) mod template;
#[cfg(test)]
pub(crate) mod tests;
pub mod timer;
pub mod timewait;
pub mod transmit;
pub mod undo;
pub mod urgent;
pub mod usage;
pub mod validate;
pub mod window;

pub use info::TcpInfo;
pub use state::TcpState;
pub use usage::{SockUsage, Usage};

use crate::entropy::Entropy;
use crate::errno::Errno;
use crate::socket::epoll::Wake;
use crate::socket::{Fd, SocketTable};
use crate::stack::Stack;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use hash::{ConnectionTable, Owner, Place, Tuple, keyed_hash};
use sock::{Queues, TcpSock};
use timer::TimerQueue;

/// Things by number; a number is used again when its thing is gone.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    items: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    const fn new() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, item: T) -> u32 {
        match self.free.pop() {
            Some(id) => {
                self.items[id as usize] = Some(item);
                id
            }
            None => {
                self.items.push(Some(item));
                (self.items.len() - 1) as u32
            }
        }
    }

    /// The number that the next thing gets.
    pub(crate) fn next_id(&self) -> u32 {
        self.free.last().copied().unwrap_or(self.items.len() as u32)
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.items.get(id as usize).and_then(Option::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.items.get_mut(id as usize).and_then(Option::as_mut)
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        let item = self.items.get_mut(id as usize)?.take()?;
        self.free.push(id);
        Some(item)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }
}

/// How many sockets that are over are kept for the next ones.
const SPARE_MAX: usize = 64;

/// All of TCP that does not belong to one socket.
#[derive(Debug)]
pub(crate) struct Tcp {
    /// By slot of the socket table.
    socks: Vec<Option<Box<TcpSock>>>,
    pub(crate) table: ConnectionTable,
    pub(crate) listeners: BTreeMap<u16, Vec<u32>>,
    /// Who holds which port: sockets and records of TIME-WAIT.
    pub(crate) bound: ports::PortTable,
    pub(crate) requests: Slab<request::RequestSock>,
    pub(crate) timewaits: Slab<timewait::TimeWaitSock>,
    pub(crate) timers: TimerQueue,
    /// Sockets that are over: the next ones take their memory and that of their queues.
    #[expect(clippy::vec_box, reason = "the boxes themselves are what is used again")]
    spare: Vec<Box<TcpSock>>,
    secret: u64,
    ts_secret: u64,
    /// Congestion control of new sockets.
    pub(crate) orphans: u32,
    pub(crate) memory_failures: u64,
}

impl Tcp {
    pub(crate) fn new(entropy: &mut Entropy) -> Self {
        Self {
            socks: Vec::new(),
            table: ConnectionTable::new(entropy),
            listeners: BTreeMap::new(),
            bound: ports::PortTable::default(),
            requests: Slab::new(),
            timewaits: Slab::new(),
            timers: TimerQueue::default(),
            spare: Vec::new(),
            secret: entropy.next_u64(),
            ts_secret: entropy.next_u64(),
            orphans: 0,
            memory_failures: 0,
        }
    }

    #[inline]
    pub(crate) fn sock(&self, slot: u32) -> Option<&TcpSock> {
        self.socks.get(slot as usize).and_then(Option::as_deref)
    }

    #[inline]
    pub(crate) fn sock_mut(&mut self, slot: u32) -> Option<&mut TcpSock> {
        self.socks.get_mut(slot as usize).and_then(Option::as_deref_mut)
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, sock: Box<TcpSock>) {
        match self.socks.get_mut(sock.slot as usize) {
            Some(place @ None) => *place = Some(sock),
            _ => self.put_new(sock),
        }
    }

    #[inline(never)]
    fn put_new(&mut self, sock: Box<TcpSock>) {
        let slot = sock.slot as usize;
        if self.socks.len() <= slot {
            self.socks.resize_with(slot + 1, || None);
        }
        self.socks[slot] = Some(sock);
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, slot: u32) -> Option<Box<TcpSock>> {
        self.socks.get_mut(slot as usize).and_then(Option::take)
    }

    /// Whether anything is left of TCP: sockets that are closed but not over, requests, TIME-WAIT.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.socks.iter().flatten().count() == 0 && self.requests.len() == 0 && self.timewaits.len() == 0
    }
}

impl Stack {
    /// Does something with a TCP socket and the rest of the stack (`lock_sock`, `release_sock`). A socket that is over by
    /// then is freed. `None` when the slot has no TCP socket.
    #[inline]
    pub(crate) fn with_tcp<R>(
        &mut self,
        slot: u32,
        f: impl FnOnce(&mut Self, &mut TcpSock) -> R,
    ) -> Option<R> {
        let mut sock = self.tcp.take(slot)?;
        let result = f(self, &mut sock);
        self.tcp_release(sock);
        Some(result)
    }

    /// `release_sock`: puts a socket back that [`Tcp::take`] took, or frees it when it is over.
    #[inline(always)]
    pub(crate) fn tcp_release(&mut self, sock: Box<TcpSock>) {
        if sock.destroy { self.tcp_free(sock) } else { self.tcp.put(sock) }
    }

    /// The same for a system call.
    ///
    /// # Errors
    /// EBADF without such a socket; EOPNOTSUPP when it is not TCP; what `f` says.
    pub(crate) fn tcp_call<R>(
        &mut self,
        fd: Fd,
        f: impl FnOnce(&mut Self, &mut TcpSock) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        self.sockets.get(fd)?;
        self.with_tcp(SocketTable::slot(fd), f).unwrap_or(Err(Errno::EOPNOTSUPP))
    }

    /// Whether a descriptor is a TCP socket.
    #[must_use]
    pub fn is_tcp(&self, fd: Fd) -> bool {
        self.tcp.sock(SocketTable::slot(fd)).is_some() && self.sockets.get(fd).is_ok()
    }

    /// Wakes who waits for a socket, if an application has it.
    #[inline(always)]
    pub(crate) fn tcp_wake(&mut self, tp: &TcpSock, wake: Wake) {
        if !tp.dead && tp.parent.is_none() {
            self.sockets.wake(tp.slot, wake);
        }
    }

    /// Gives back all that a socket holds. Its connection is over, and no descriptor refers to it.
    #[inline(always)]
    fn tcp_free(&mut self, mut sock: Box<TcpSock>) {
        self.tcp_purge(&mut sock);
        self.tcp_unhash(&mut sock);
        self.tcp.bound.remove(sock.bound, bind::Holder::Sock(sock.slot));
        if sock.dead && sock.parent.is_none() {
            self.tcp.orphans = self.tcp.orphans.saturating_sub(1);
        }
        self.sockets.release(sock.slot);
        if self.tcp.spare.len() < SPARE_MAX && sock.queues_are_small() {
            self.tcp.spare.push(sock);
        }
    }

    /// A new socket with memory of its own: `sk_alloc`.
    pub(crate) fn tcp_alloc_sock(&mut self, slot: u32) -> Box<TcpSock> {
        let Some(mut sock) = self.tcp.spare.pop() else {
            return Box::new(self.tcp_new_sock(slot, Queues::default()));
        };
        // They were emptied when the socket was freed.
        let queues = Queues {
            rtx: core::mem::take(&mut sock.rtx),
            wq: core::mem::take(&mut sock.wq),
            receive: core::mem::take(&mut sock.receive_queue),
        };
        *sock = self.tcp_new_sock(slot, queues);
        sock
    }

    /// Takes a socket out of the tables that segments are looked up in.
    #[inline]
    pub(crate) fn tcp_unhash(&mut self, sock: &mut TcpSock) {
        if let Some(place) = sock.hashed.take() {
            self.tcp.table.remove(place, Owner::Sock(sock.slot));
        }
        if sock.listed {
            self.tcp_unlist(sock);
        }
    }

    #[inline(never)]
    fn tcp_unlist(&mut self, sock: &mut TcpSock) {
        if core::mem::take(&mut sock.listed)
            && let Some(listeners) = self.tcp.listeners.get_mut(&sock.sport)
        {
            listeners.retain(|slot| *slot != sock.slot);
            if listeners.is_empty() {
                self.tcp.listeners.remove(&sock.sport);
            }
        }
    }

    /// A connection goes from one owner to another: `inet_ehash_replace`. Gives where it lies then.
    #[inline]
    pub(crate) fn tcp_hand_over(&mut self, place: Place, tuple: &Tuple, from: Owner, to: Owner) -> Place {
        if self.tcp.table.hand_over(place, from, to) {
            return place;
        }
        self.tcp.table.insert(self.tcp.table.hash(tuple), tuple, to)
    }

    /// `secure_tcp_seq`: the first sequence number of a connection, a keyed hash of its addresses and ports plus a clock
    /// that steps every 64 ns (RFC 6528).
    #[inline(always)]
    pub(crate) fn tcp_isn(&self, tuple: &Tuple) -> u32 {
        (keyed_hash(self.tcp.secret, &tuple.words()) as u32).wrapping_add((self.now.0 >> 6) as u32)
    }

    /// `secure_tcp_ts_off`: where the timestamps of a pair of hosts begin (RFC 7323, section 7.1).
    pub(crate) fn tcp_ts_offset(&self, tuple: &Tuple) -> u32 {
        keyed_hash(self.tcp.ts_secret, &tuple.words()[..1]) as u32
    }

    /// The clock of a connection, in microseconds: `tcp_mstamp`.
    #[inline]
    pub(crate) fn tcp_mstamp(&self) -> u64 {
        self.now.0 / 1000
    }

    /// The clock of timestamps, in milliseconds, without the offset.
    #[inline]
    pub(crate) fn tcp_time_stamp(&self) -> u32 {
        (self.now.0 / 1_000_000) as u32
    }
}

/// Microseconds in ticks, rounded up: `usecs_to_jiffies`.
#[inline]
pub(crate) fn usecs_to_jiffies(us: u64) -> u64 {
    us.div_ceil(crate::stack::TICK_NS / 1000)
}

/// Ticks in microseconds.
#[inline]
pub(crate) fn jiffies_to_usecs(jiffies: u64) -> u64 {
    jiffies * (crate::stack::TICK_NS / 1000)
}

/// Ticks in a second.
pub(crate) const HZ: u64 = 1_000_000_000 / crate::stack::TICK_NS;
