//! `tcp_recvmsg`: the application reads; the bytes lay in the packets that they came in until now (Linux 6.12).

use super::seq::after;
use super::sock::TcpSock;
use super::state::TcpState;
use crate::errno::Errno;
use crate::socket::Fd;
use crate::stack::Stack;
use crate::time::Instant;

/// The flags of recv(2) that TCP knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpRecvFlags {
    /// MSG_PEEK: what is read stays in the queue.
    pub peek: bool,
    /// MSG_TRUNC: what is read is thrown away, and not put into the buffer.
    pub trunc: bool,
    /// MSG_OOB: the urgent byte is read.
    pub oob: bool,
    /// The same call has received bytes before: an error that is pending stays for the next one.
    pub partial: bool,
}

impl Stack {
    /// `recv` on a TCP socket into `buffer`; never blocks. 0 is the end of the stream.
    ///
    /// # Errors
    /// EAGAIN when nothing is there: try again when the socket is woken; ENOTCONN when it was never connected; an error that
    /// is pending; EBADF.
    pub fn tcp_recv(
        &mut self,
        now: Instant,
        fd: Fd,
        buffer: &mut [u8],
        flags: TcpRecvFlags,
    ) -> Result<usize, Errno> {
        self.enter_process(now, self.process_cpu);
        let result = self.tcp_call(fd, |stack, tp| stack.tcp_recvmsg_locked(tp, buffer, flags));
        self.leave_process();
        result
    }

    /// `tcp_recvmsg_locked`.
    pub(crate) fn tcp_recvmsg_locked(
        &mut self,
        tp: &mut TcpSock,
        buffer: &mut [u8],
        flags: TcpRecvFlags,
    ) -> Result<usize, Errno> {
        if tp.state == TcpState::Listen {
            return Err(Errno::ENOTCONN);
        }
        self.trace.function(0, "tcp_recvmsg");
        if flags.oob {
            return self.tcp_recv_urg(tp, buffer, flags.peek);
        }
        // Pages are given back when something is freed: what was charged before comes off first.
        tp.settle_forward_alloc();
        let copied = self.tcp_copy_out(tp, buffer, flags);
        tp.settle_forward_alloc();
        if copied > 0 {
            if !flags.peek {
                self.tcp_rcv_space_adjust(tp);
                self.tcp_cleanup_rbuf(tp, copied);
            }
            return Ok(copied);
        }
        if flags.partial && (tp.done || tp.err.is_some()) {
            return Ok(0);
        }
        if tp.done {
            // The peer's FIN was reached: what happened since is told elsewhere.
            return Ok(0);
        }
        let there = tp.receive_queue.back().is_some_and(|last| after(last.payload_end(), tp.copied_seq));
        if buffer.is_empty() && there {
            return Ok(0);
        }
        if let Some(errno) = tp.err.take() {
            return Err(errno);
        }
        if tp.shutdown_read {
            return Ok(0);
        }
        if tp.state == TcpState::Close {
            return Err(Errno::ENOTCONN);
        }
        Err(Errno::EAGAIN)
    }

    fn tcp_copy_out(&mut self, tp: &mut TcpSock, buffer: &mut [u8], flags: TcpRecvFlags) -> usize {
        let (mut copied, mut seq, mut at) = (0, tp.copied_seq, 0);
        while copied < buffer.len()
            && let Some(part) = tp.receive_queue.get(at)
        {
            let end = part.payload_end();
            let left = end.wrapping_sub(seq) as usize;
            let mut want = left.min(buffer.len() - copied);
            match tp.before_urgent(seq, want) {
                // The urgent byte is not part of the stream; a read stops before it, and the next one begins behind it.
                Some(0) if copied > 0 => break,
                Some(0) => {
                    seq = seq.wrapping_add(1);
                    want = want.min(left - 1);
                }
                Some(before) => want = before,
                None => {}
            }
            let skip = seq.wrapping_sub(part.data_seq) as usize;
            if !flags.trunc {
                let into = &mut buffer[copied..copied + want];
                match self.skbs.linear(&part.skb).get(skip..skip + want) {
                    Some(bytes) => into.copy_from_slice(bytes),
                    None => {
                        self.skbs.copy_out(&part.skb, skip, into);
                    }
                }
            }
            copied += want;
            seq = seq.wrapping_add(want as u32);
            if after(end, seq) {
                break;
            }
            if flags.peek {
                at += 1;
            } else if let Some(part) = tp.receive_queue.pop_front() {
                tp.rmem_alloc = tp.rmem_alloc.saturating_sub(part.truesize);
                self.skbs.consume(&mut self.trace, part.skb);
            }
        }
        if !flags.peek {
            tp.copied_seq = seq;
            tp.pass_urgent();
        }
        copied
    }

    /// `__tcp_cleanup_rbuf`: an ACK, when what was read opens the window enough, or one was waiting for it.
    fn tcp_cleanup_rbuf(&mut self, tp: &mut TcpSock, copied: usize) {
        let mut now = false;
        if tp.ack.sched {
            let unacked = tp.rcv_nxt.wrapping_sub(tp.rcv_wup);
            now = unacked > tp.ack.rcv_mss
                || (copied > 0
                    && (tp.ack.pushed2 || (tp.ack.pushed && !tp.in_pingpong_mode()))
                    && tp.rmem_alloc == 0);
        }
        if copied > 0 && !now && !tp.shutdown_read {
            let left = tp.receive_window();
            // Looking up the new window is only worth it when the old one is half used.
            if 2 * left <= tp.window_clamp {
                let new = tp.want_window();
                now = new > 0 && new >= 2 * left;
            }
        }
        if now {
            self.tcp_send_ack(tp);
        }
    }

    /// FIONREAD: bytes that can be read.
    ///
    /// # Errors
    /// EBADF; EOPNOTSUPP when it is not TCP.
    pub fn tcp_inq(&mut self, fd: Fd) -> Result<usize, Errno> {
        self.tcp_call(fd, |_, tp| {
            Ok(tp
                .receive_queue
                .back()
                .map_or(0, |last| last.payload_end().wrapping_sub(tp.copied_seq) as usize))
        })
    }

    /// SIOCOUTQ: bytes that are not acknowledged, those not sent yet included.
    ///
    /// # Errors
    /// EBADF; EOPNOTSUPP when it is not TCP.
    pub fn tcp_outq(&mut self, fd: Fd) -> Result<usize, Errno> {
        self.tcp_call(fd, |_, tp| Ok(tp.write_seq.wrapping_sub(tp.snd_una) as usize))
    }
}
