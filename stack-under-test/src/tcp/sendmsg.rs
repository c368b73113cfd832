//! `tcp_sendmsg`: an application's bytes go into pages, and those into the write queue (Linux 6.12).

use super::segment::TxSegment;
use super::sock::{NAGLE_CORK, NAGLE_PUSH, TcpSock};
use super::state::TcpState;
use crate::errno::Errno;
use crate::skb::{Frag, PAGE_BYTES};
use crate::socket::Fd;
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::tcp::{ACK, PSH};

/// The flags of send(2) that TCP knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpSendFlags {
    /// MSG_MORE: more will follow at once; a packet that is not full waits.
    pub more: bool,
    /// MSG_EOR: nothing is put into one packet with what follows.
    pub eor: bool,
    /// MSG_OOB: the last byte is urgent.
    pub oob: bool,
    /// The same call has sent bytes before: an error that is pending stays for the next one.
    pub partial: bool,
}

impl TcpSock {
    /// `tcp_mark_push`: the peer's application should get what is there.
    fn mark_push(&mut self) {
        if let Some(tail) = self.wq.back_mut() {
            tail.flags |= PSH;
            self.pushed_seq = self.write_seq;
        }
    }
}

impl Stack {
    /// `send` on a TCP socket; never blocks. Gives how many bytes were taken: fewer than there are when the buffer is full.
    ///
    /// # Errors
    /// EAGAIN when nothing could be taken, or the connection is not there yet: try again when the socket is woken; EPIPE
    /// when it is shut down or was never connected; an error that was pending; ENOBUFS; EBADF.
    pub fn tcp_send(
        &mut self,
        now: Instant,
        cpu: u8,
        fd: Fd,
        bytes: &[u8],
        flags: TcpSendFlags,
    ) -> Result<usize, Errno> {
        self.enter_process(now, cpu);
        let result = self.tcp_call(fd, |stack, tp| stack.tcp_sendmsg_locked(tp, bytes, flags));
        self.leave_process();
        result
    }

    /// `tcp_sendmsg_locked`.
    #[inline(always)]
    pub(crate) fn tcp_sendmsg_locked(
        &mut self,
        tp: &mut TcpSock,
        bytes: &[u8],
        flags: TcpSendFlags,
    ) -> Result<usize, Errno> {
        self.trace.function(self.trace.making, "tcp_sendmsg");
        match tp.state {
            TcpState::Established | TcpState::CloseWait => {}
            TcpState::SynSent | TcpState::SynRecv if tp.err.is_none() && !tp.shutdown_write => {
                tp.nospace = true;
                return Err(Errno::EAGAIN);
            }
            _ => return Err(Self::tcp_send_error(tp, flags)),
        }
        if tp.err.is_some() || tp.shutdown_write {
            return Err(Self::tcp_send_error(tp, flags));
        }
        let (mss, mut size_goal) = self.tcp_send_mss(tp);
        if flags.oob {
            size_goal = mss;
        }
        let mut copied = 0;
        while copied < bytes.len() {
            match self.tcp_fill_tail(tp, &bytes[copied..], size_goal, copied == 0) {
                Some(n) => copied += n,
                None => return self.tcp_wait_for_space(tp, copied, mss),
            }
            let Some(tail) = tp.wq.back_mut() else { break };
            if copied == bytes.len() {
                tail.eor |= flags.eor;
                break;
            }
            if tail.len < size_goal || flags.oob {
                // Urgent bytes wait for the pointer to them.
                continue;
            }
            if tp.forced_push() {
                tp.mark_push();
                self.tcp_push_pending_frames(tp, mss, NAGLE_PUSH);
            } else if tp.wq.len() == 1 {
                self.tcp_push_one(tp, mss);
            }
        }
        if copied > 0 {
            let nonagle = tp.nonagle;
            if flags.oob {
                // `tcp_mark_urg`.
                tp.snd_up = Some(tp.write_seq);
            }
            self.tcp_push(tp, flags.more, mss, nonagle);
        }
        Ok(copied)
    }

    /// `do_error`: the pending error is told once, and not by a call that has bytes to tell of.
    fn tcp_send_error(tp: &mut TcpSock, flags: TcpSendFlags) -> Errno {
        let told = if flags.partial { tp.err } else { tp.err.take() };
        told.unwrap_or(Errno::EPIPE)
    }

    /// The buffer is full, or memory is out: what is there goes.
    fn tcp_wait_for_space(&mut self, tp: &mut TcpSock, copied: usize, mss: u32) -> Result<usize, Errno> {
        tp.nospace = true;
        // A packet that nothing was put into must not go out.
        if tp.wq.back().is_some_and(|tail| tail.len == 0 && tail.seq == tail.end_seq)
            && let Some(empty) = tp.wq.pop_back()
        {
            tp.wmem_queued = tp.wmem_queued.saturating_sub(empty.truesize());
            empty.free(&mut self.skbs);
        }
        if copied > 0 {
            self.tcp_push(tp, false, mss, NAGLE_PUSH);
            return Ok(copied);
        }
        Err(Errno::EAGAIN)
    }

    /// Puts as many bytes as fit behind the last packet, or into a new one. `None` when there is no room.
    #[inline(always)]
    fn tcp_fill_tail(
        &mut self,
        tp: &mut TcpSock,
        bytes: &[u8],
        size_goal: u32,
        first: bool,
    ) -> Option<usize> {
        let room = match tp.wq.back() {
            Some(tail) if !tail.eor => size_goal.saturating_sub(tail.len),
            _ => 0,
        };
        let page = tp.page_frag.refill(&mut self.skbs);
        let Some((buf, offset)) = page else {
            self.tcp_count_memory_failure();
            return None;
        };
        let fits = tp.wq.back().is_some_and(|tail| tail.has_room(buf, offset));
        let room = if room == 0 || !fits {
            if !tp.has_memory(self.sysctl.tcp.notsent_lowat, false) {
                return None;
            }
            if room > 0 {
                tp.mark_push();
            }
            // `tcp_skb_entail`.
            self.tcp_slow_start_after_idle_check(tp);
            tp.nonagle &= !NAGLE_PUSH;
            let packet = self.trace.made(bytes, bytes.len());
            self.trace.function(packet, "tcp_sendmsg");
            let segment = TxSegment::new(tp.write_seq, ACK, packet);
            self.tcp_wmem_add(tp, segment.truesize());
            tp.wq.push_back(segment);
            size_goal
        } else {
            room
        };
        let len = bytes.len().min(room as usize).min(PAGE_BYTES - usize::from(offset));
        let at = self.skbs.buf_offset(buf) + usize::from(offset);
        self.skbs.mem.bytes_mut(at, len).copy_from_slice(&bytes[..len]);
        self.skbs.copied_bytes += len as u64;
        tp.page_frag.advance(len as u16);
        self.tcp_wmem_add(tp, len as u32);
        let tail = tp.wq.back_mut()?;
        tail.append(&mut self.skbs, Frag { buf, offset, len: len as u16 });
        if first {
            tail.flags &= !PSH;
        }
        tail.pcount = 0;
        tp.write_seq = tp.write_seq.wrapping_add(len as u32);
        Some(len)
    }

    /// `tcp_push`: marks the last packet, and sends what may go.
    #[inline(always)]
    fn tcp_push(&mut self, tp: &mut TcpSock, more: bool, mss: u32, nonagle: u8) {
        self.trace.function(0, "tcp_push");
        if tp.wq.is_empty() {
            return;
        }
        if !more || tp.forced_push() {
            tp.mark_push();
        }
        let nonagle = if more { NAGLE_CORK } else { nonagle };
        self.tcp_push_pending_frames(tp, mss, nonagle);
    }
}
