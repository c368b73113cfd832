//! What TCP and the packets' memory hold at this moment: for who checks that nothing is left, or that a limit holds.

use crate::socket::{Fd, SocketTable};
use crate::stack::Stack;

/// How much of everything is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// TCP sockets of any state: held by applications, waiting in accept queues, and orphans.
    pub socks: usize,
    /// Connections that a peer asked for and that are not established (request socks).
    pub requests: usize,
    /// Records of TIME-WAIT, those that stand for FIN-WAIT-2 included.
    pub timewaits: usize,
    /// Entries of TCP's timer queue, outdated ones included.
    pub timers: usize,
    /// Entries of the table that segments are looked up in.
    pub tuples: usize,
    /// Ports that are held by a socket or a record of TIME-WAIT, one for each holder.
    pub bound: usize,
    /// Sockets that no application holds any more (`tcp_orphan_count`).
    pub orphans: u32,
    /// Packets that were made and not freed (`skbs_in_flight`).
    pub skbs: usize,
    /// Linear buffers that something refers to, those in the receive rings included.
    pub heads: usize,
    /// Page buffers that something refers to.
    pub pages: usize,
}

/// How much waits in one socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SockUsage {
    /// Requests of a listener.
    pub syn_queue: u32,
    /// Connections that wait to be accepted.
    pub accept_queue: usize,
    /// Segments in the out-of-order queue.
    pub out_of_order: usize,
    /// Bytes of truesize that wait to be read or to become in order (`sk_rmem_alloc`).
    pub rmem: u32,
    /// SO_RCVBUF as it is now.
    pub rcvbuf: u32,
}

impl Stack {
    /// What is in use now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (heads, pages) = self.skbs.buffers_in_use();
        Usage {
            socks: self.tcp.socks.iter().flatten().count(),
            requests: self.tcp.requests.len(),
            timewaits: self.tcp.timewaits.len(),
            timers: self.tcp.timers.len(),
            tuples: self.tcp.table.len(),
            bound: self.tcp.bound.len(),
            orphans: self.tcp.orphans,
            skbs: self.skbs.in_flight(),
            heads,
            pages,
        }
    }

    /// What waits in a TCP socket. `None`: it is not one, or not open.
    #[must_use]
    pub fn sock_usage(&self, fd: Fd) -> Option<SockUsage> {
        let tp = self.tcp.sock(SocketTable::slot(fd))?;
        Some(SockUsage {
            syn_queue: tp.syn_queue_len,
            accept_queue: tp.accept_queue.len(),
            out_of_order: tp.out_of_order.len(),
            rmem: tp.rmem_alloc,
            rcvbuf: tp.options.rcvbuf,
        })
    }
}
