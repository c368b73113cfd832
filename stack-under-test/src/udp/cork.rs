//! MSG_MORE and UDP_CORK: what several calls send becomes one datagram (`ip_append_data` onto the pending frames,
//! `udp_push_pending_frames`; Linux 6.12).
//!
//! The bytes wait here, and not in packets: what the headers are to say was settled by the first call, and the packet is made
//! when it goes.

use super::HEADER_BYTES;
use crate::errno::Errno;
use crate::ip::Flow;
use crate::socket::Fd;
use crate::stack::Stack;
use crate::wire::ipv4::HEADER_BYTES as IP_BYTES;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddrV4;

/// A datagram that waits for more.
#[derive(Clone, Debug)]
pub(crate) struct Cork {
    flow: Flow,
    dport: u16,
    /// The path's MTU is locked: nothing says DF.
    mtu_locked: bool,
    payload: Vec<u8>,
}

impl Stack {
    /// Whether what a call sends is put behind what waits, or waits itself.
    pub(super) fn udp_waits_for_more(&self, fd: Fd, more: bool) -> bool {
        let corked = |socket: &crate::socket::Socket| socket.pending.is_some() || socket.options.udp_cork;
        more || self.sockets.get(fd).is_ok_and(corked)
    }

    /// The first bytes of a datagram that waits for more.
    ///
    /// # Errors
    /// EMSGSIZE; EBADF.
    pub(super) fn udp_cork(
        &mut self,
        fd: Fd,
        flow: Flow,
        (dport, mtu_locked): (u16, bool),
        payload: &[u8],
    ) -> Result<usize, Errno> {
        self.udp_fits(fd, &flow, dport, payload.len())?;
        let socket = self.sockets.get_mut(fd)?;
        socket.cached_flow = super::cached::CachedFlow::NONE;
        let cork = Cork { flow, dport, mtu_locked, payload: payload.to_vec() };
        socket.pending = Some(Box::new(cork));
        Ok(payload.len())
    }

    /// `do_append_data` of `udp_sendmsg`: more for the datagram that waits, wherever the call wanted it sent; it goes, unless
    /// it waits for more still.
    ///
    /// # Errors
    /// EMSGSIZE, and what waited is gone then; those of sending it; EBADF.
    pub(super) fn udp_append_data(&mut self, fd: Fd, payload: &[u8], more: bool) -> Result<usize, Errno> {
        self.trace.function(0, "ip_append_data");
        let socket = self.sockets.get_mut(fd)?;
        let Some(mut cork) = socket.pending.take() else { return Ok(0) };
        let waits = more || socket.options.udp_cork;
        self.udp_fits(fd, &cork.flow, cork.dport, cork.payload.len() + payload.len())?;
        cork.payload.extend_from_slice(payload);
        self.sockets.get_mut(fd)?.pending = Some(cork);
        if !waits {
            self.udp_push_pending_frames(fd)?;
        }
        Ok(payload.len())
    }

    /// `udp_push_pending_frames`: what waits goes, if something does.
    ///
    /// # Errors
    /// As [`Stack::sendto`].
    pub(crate) fn udp_push_pending_frames(&mut self, fd: Fd) -> Result<(), Errno> {
        let Some(cork) = self.sockets.get_mut(fd)?.pending.take() else { return Ok(()) };
        let Cork { mut flow, dport, mtu_locked, payload } = *cork;
        let packet = self.trace.made(&payload, payload.len());
        self.trace_flow(packet, fd, Some(SocketAddrV4::new(flow.daddr, dport)));
        self.trace.function(packet, "udp_push_pending_frames");
        let skb = self.udp_make_datagram(fd, &mut flow, (dport, mtu_locked), &payload, packet)?;
        self.udp_send_skb::<true>(fd, skb)
    }

    /// `__ip_append_data`'s question: how much may be in one datagram. An error also goes to the error queue.
    ///
    /// # Errors
    /// EMSGSIZE; EBADF.
    pub(super) fn udp_fits(&mut self, fd: Fd, flow: &Flow, dport: u16, length: usize) -> Result<(), Errno> {
        let socket = self.sockets.get(fd)?;
        let large = socket.options.gso_size != 0;
        let limit = if large || socket.ignores_df() { 0xffff } else { flow.dst.mtu as usize };
        if IP_BYTES + HEADER_BYTES + length > limit {
            self.local_error(fd, SocketAddrV4::new(flow.daddr, dport), flow.dst.mtu);
            return Err(Errno::EMSGSIZE);
        }
        Ok(())
    }
}
