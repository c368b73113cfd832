//! `recv` and `recvfrom`, and the error queue (`udp_recvmsg`, `ip_recv_error`; Linux 6.12).

use super::epoll::Wake;
use super::{Fd, SocketTable};
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::mib::Counter;
use crate::skb::Skb;
use crate::stack::Stack;
use crate::tcp::recvmsg::TcpRecvFlags;
use crate::time::Instant;
use core::net::{Ipv4Addr, SocketAddrV4};

/// The flags of recv(2) that the stack knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveFlags {
    /// MSG_PEEK: leave the datagram in the queue.
    pub peek: bool,
    /// MSG_TRUNC: give the datagram's own length, also when it does not fit.
    pub trunc: bool,
    /// MSG_ERRQUEUE: from the error queue.
    pub errqueue: bool,
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedFrom {
    /// The return value of the call.
    pub value: usize,
    /// Bytes that were put into the buffer.
    pub copied: usize,
    /// Who sent it.
    pub from: SocketAddrV4,
}

const UDP_HEADER_BYTES: usize = 8;

impl Stack {
    /// `recvfrom` into `buffer`; never blocks.
    ///
    /// # Errors
    /// EAGAIN when nothing is there; a pending error of the socket; EBADF.
    pub fn recvfrom(
        &mut self,
        now: Instant,
        fd: Fd,
        buffer: &mut [u8],
        flags: ReceiveFlags,
    ) -> Result<ReceivedFrom, Errno> {
        self.advance_clock(now);
        if flags.errqueue {
            return self.receive_error(fd, buffer);
        }
        let socket = self.sockets.get_mut(fd)?;
        if let Some(errno) = socket.err.take() {
            return Err(errno);
        }
        let Some(skb) = socket.receive_queue.pop_front(&mut self.skbs) else {
            let nothing =
                ReceivedFrom { value: 0, copied: 0, from: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0) };
            let shut = socket.shutdown_read;
            if self.is_tcp(fd) {
                let tcp = TcpRecvFlags { peek: flags.peek, trunc: flags.trunc, oob: false, partial: false };
                let n = self.tcp_recv(now, fd, buffer, tcp)?;
                return Ok(ReceivedFrom { value: n, copied: if flags.trunc { 0 } else { n }, ..nothing });
            }
            return if shut { Ok(nothing) } else { Err(Errno::EAGAIN) };
        };
        self.trace_skb::<true>(&skb, "udp_recvmsg");
        let received = self.copy_datagram(&skb, buffer, flags.trunc);
        if flags.peek {
            let socket = self.sockets.get_mut(fd)?;
            socket.receive_queue.push_front(&mut self.skbs, skb);
        } else {
            // Linux counts what an application reads, not what it may never ask for.
            self.mib.inc(Counter::UdpInDatagrams);
            self.skbs.consume(&mut self.trace, skb);
        }
        Ok(received)
    }

    /// The data of a queued datagram begins at its UDP header, so that the addresses before it can still be read.
    fn copy_datagram(&self, skb: &Skb, buffer: &mut [u8], trunc: bool) -> ReceivedFrom {
        let meta = &self.skbs[skb];
        let ip = self.skbs.header(skb, meta.network_header);
        let saddr = Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]);
        let udp = self.skbs.linear(skb);
        let sport = u16::from_be_bytes([udp[0], udp[1]]);
        let length = meta.len() - UDP_HEADER_BYTES;
        let copied = self.skbs.copy_out(skb, UDP_HEADER_BYTES, &mut buffer[..]).min(length);
        ReceivedFrom {
            value: if trunc { length } else { copied },
            copied,
            from: SocketAddrV4::new(saddr, sport),
        }
    }

    fn receive_error(&mut self, fd: Fd, buffer: &mut [u8]) -> Result<ReceivedFrom, Errno> {
        let socket = self.sockets.get_mut(fd)?;
        let error = socket.error_queue.pop_front().ok_or(Errno::EAGAIN)?;
        // The next error of the network becomes the socket's, so that poll and the next call show it.
        socket.err = socket.error_queue.front().filter(|next| next.origin == 2).map(|next| next.errno);
        let more = !socket.error_queue.is_empty();
        let n = error.payload.len().min(buffer.len());
        buffer[..n].copy_from_slice(&error.payload[..n]);
        if more {
            self.sockets.wake(SocketTable::slot(fd), Wake::ErrorReport);
        }
        Ok(ReceivedFrom { value: n, copied: n, from: error.to })
    }

    /// Puts a datagram into a socket's queue (`__udp_enqueue_schedule_skb`), if it has room.
    pub(crate) fn enqueue_datagram(&mut self, slot: u32, skb: Skb) {
        let rmem = self.skbs.charges[slot as usize].rmem;
        let Some(socket) = self.sockets.at_mut(slot) else {
            self.skbs.drop(&mut self.trace, skb, DropReason::NoSocket);
            return;
        };
        // One packet is always taken: the limit is compared with what was there before it.
        if rmem > socket.options.rcvbuf {
            self.mib.inc(Counter::UdpRcvbufErrors);
            self.mib.inc(Counter::UdpInErrors);
            self.skbs.drop(&mut self.trace, skb, DropReason::SocketRcvbuff);
            return;
        }
        self.skbs.set_owner_r(&skb, slot);
        socket.receive_queue.push_back(&mut self.skbs, skb);
        self.sockets.wake(slot, Wake::DataReady);
    }

    /// The socket in a slot has something to tell: wakes its waiters.
    pub(crate) fn report_error(&mut self, slot: u32, errno: Errno) {
        if let Some(socket) = self.sockets.at_mut(slot) {
            socket.err = Some(errno);
            self.sockets.wake(slot, Wake::ErrorReport);
        }
    }
}

impl SocketTable {
    /// Puts an error into the error queue of a socket that asked for them; the oldest stay when it is full.
    pub(crate) fn queue_error(&mut self, slot: u32, error: super::QueuedError) {
        if let Some(socket) = self.at_mut(slot)
            && socket.error_queue.len() < super::ERROR_QUEUE_MAX
        {
            socket.error_queue.push_back(error);
        }
    }
}
