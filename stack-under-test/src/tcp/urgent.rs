//! Urgent data: one byte out of band, named by the urgent pointer (RFC 9293, section 3.8.5, RFC 6093; `tcp_urg`,
//! `tcp_recv_urg`, Linux 6.12). As everywhere on Linux, the pointer is taken to name the byte behind the urgent one.

use super::input::Incoming;
use super::seq::{after, before};
use super::sock::TcpSock;
use super::state::TcpState;
use crate::errno::Errno;
use crate::skb::Skb;
use crate::socket::epoll::Wake;
use crate::stack::Stack;
use crate::wire::tcp::URG;

/// `urg_data`: what became of the urgent byte at `urg_seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrgentData {
    /// `TCP_URG_NOTYET`: it was announced, and did not come yet.
    NotYet,
    /// `TCP_URG_VALID`: it is there.
    Valid(u8),
    /// `TCP_URG_READ`: it was read; its place in the stream was not passed yet.
    Read,
}

impl TcpSock {
    /// `tcp_check_urg`: takes a new urgent pointer.
    fn check_urg(&mut self, seg: &Incoming) {
        let at = seg.seq().wrapping_add(u32::from(seg.header.urgent.saturating_sub(1)));
        let known = self.urg_data.is_some() && !after(at, self.urg_seq);
        if after(self.copied_seq, at) || before(at, self.rcv_nxt) || known {
            return;
        }
        if self.urg_seq == self.copied_seq && self.urg_data.is_some() && self.copied_seq != self.rcv_nxt {
            // The last urgent byte was not passed by a read; now it is no longer urgent, and never will be read.
            self.copied_seq = self.copied_seq.wrapping_add(1);
        }
        self.urg_data = Some(UrgentData::NotYet);
        self.urg_seq = at;
        self.pred_flags = None;
    }

    /// How many bytes may be read from `seq` before the urgent one; `None`: no urgent byte lies in the next `len`.
    pub(crate) fn before_urgent(&self, seq: u32, len: usize) -> Option<usize> {
        let offset = self.urg_seq.wrapping_sub(seq) as usize;
        (self.urg_data.is_some() && offset < len).then_some(offset)
    }

    /// A read came to `copied_seq`: an urgent byte that lies before it is over.
    pub(crate) fn pass_urgent(&mut self) {
        if self.urg_data.is_some() && after(self.copied_seq, self.urg_seq) {
            self.urg_data = None;
            self.fast_path_check();
        }
    }

    /// `tcp_urg_mode`: urgent bytes of ours are not acknowledged yet.
    #[inline]
    pub(crate) fn urg_mode(&self) -> bool {
        self.snd_up.is_some()
    }

    /// The urgent pointer of a segment that begins at `seq`; `None`: it has none.
    pub(crate) fn urgent_pointer(&self, seq: u32) -> Option<u16> {
        let up = self.snd_up.filter(|up| before(seq, *up))?;
        match u16::try_from(up.wrapping_sub(seq)) {
            Ok(pointer) => Some(pointer),
            Err(_) => after(seq.wrapping_add(0xffff), self.snd_nxt).then_some(0xffff),
        }
    }
}

impl Stack {
    /// `tcp_urg`: takes the urgent byte out of a segment that has it.
    #[inline]
    pub(crate) fn tcp_urg(&mut self, tp: &mut TcpSock, skb: &Skb, seg: &Incoming) {
        if seg.has(URG) || tp.urg_data.is_some() {
            self.tcp_take_urg(tp, skb, seg);
        }
    }

    #[inline(never)]
    fn tcp_take_urg(&mut self, tp: &mut TcpSock, skb: &Skb, seg: &Incoming) {
        if seg.has(URG) {
            self.trace.function(seg.packet, "tcp_urg");
            tp.check_urg(seg);
        }
        if tp.urg_data != Some(UrgentData::NotYet) {
            return;
        }
        let at = tp.urg_seq.wrapping_sub(seg.seq());
        if at < seg.payload_len {
            let mut byte = [0];
            self.skbs.copy_out(skb, at as usize, &mut byte);
            tp.urg_data = Some(UrgentData::Valid(byte[0]));
            self.tcp_wake(tp, Wake::DataReady);
        }
    }

    /// `tcp_recv_urg`: recv(2) with MSG_OOB.
    ///
    /// # Errors
    /// EINVAL when there is no urgent byte, or it was read; ENOTCONN; EAGAIN when it was announced and did not come yet.
    pub(crate) fn tcp_recv_urg(
        &mut self,
        tp: &mut TcpSock,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<usize, Errno> {
        self.trace.function(0, "tcp_recv_urg");
        let byte = match tp.urg_data {
            None | Some(UrgentData::Read) => return Err(Errno::EINVAL),
            _ if tp.state == TcpState::Close && !tp.done => return Err(Errno::ENOTCONN),
            Some(UrgentData::NotYet) if tp.state == TcpState::Close || tp.shutdown_read => return Ok(0),
            Some(UrgentData::NotYet) => return Err(Errno::EAGAIN),
            Some(UrgentData::Valid(byte)) => byte,
        };
        if !peek {
            tp.urg_data = Some(UrgentData::Read);
        }
        let Some(first) = buffer.first_mut() else { return Ok(0) };
        *first = byte;
        Ok(1)
    }
}
