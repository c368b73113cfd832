//! Ends of a connection: `shutdown` and `close`, orderly or not (`tcp_shutdown`, `__tcp_close`, Linux 6.12).

use super::sock::TcpSock;
use super::state::{TcpEvent, TcpState};
use super::timer::Timer;
use crate::drop_reason::DropReason;
use crate::errno::Errno;
use crate::mib::Counter;
use crate::socket::epoll::Wake;
use crate::socket::{Fd, SocketTable};
use crate::stack::Stack;
use crate::time::Instant;

impl Stack {
    /// `shutdown` of a TCP socket: no more reading, no more writing (a FIN goes behind what is queued), or neither.
    ///
    /// # Errors
    /// EBADF; ENOTCONN.
    pub fn tcp_shutdown(
        &mut self,
        now: Instant,
        cpu: u8,
        fd: Fd,
        read: bool,
        write: bool,
    ) -> Result<(), Errno> {
        self.trace.function(0, "tcp_shutdown");
        self.enter_process(now, cpu);
        let result = self.tcp_call(fd, |stack, tp| {
            if tp.state == TcpState::Close {
                return Err(Errno::ENOTCONN);
            }
            if tp.state == TcpState::Listen {
                if read {
                    stack.tcp_listen_stop(tp);
                    stack.tcp_event(tp, TcpEvent::Close);
                    stack.tcp_wake(tp, Wake::StateChange);
                }
                return Ok(());
            }
            if tp.state == TcpState::SynSent {
                // Whichever direction is named: `inet_shutdown` gives up the attempt.
                stack.tcp_disconnect(tp);
                stack.tcp_wake(tp, Wake::StateChange);
                return Ok(());
            }
            tp.shutdown_read |= read;
            if write && !tp.shutdown_write {
                tp.shutdown_write = true;
                if tp.state != TcpState::SynRecv {
                    stack.tcp_close_state(tp);
                }
            }
            stack.tcp_wake(tp, Wake::StateChange);
            Ok(())
        });
        self.leave_process();
        result
    }

    /// `tcp_close_state`, and the FIN that it asks for.
    #[inline(always)]
    fn tcp_close_state(&mut self, tp: &mut TcpSock) {
        let sends = matches!(tp.state, TcpState::Established | TcpState::SynRecv | TcpState::CloseWait);
        self.tcp_event(tp, TcpEvent::Close);
        if sends {
            self.tcp_send_fin(tp);
        }
    }

    /// `close` of a TCP socket: the descriptor is gone, the connection ends on its own. With SO_LINGER of 0 it is reset;
    /// data that nobody read resets it, too. Never blocks: who lingers waits until [`Stack::is_tcp_over`].
    ///
    /// # Errors
    /// EBADF.
    pub fn tcp_close(&mut self, now: Instant, cpu: u8, fd: Fd) -> Result<(), Errno> {
        self.enter_process(now, cpu);
        self.sockets.get(fd)?;
        let slot = SocketTable::slot(fd);
        self.sockets.vacate(fd)?;
        self.with_tcp(slot, |stack, tp| stack.tcp_close_sock(tp));
        self.leave_process();
        Ok(())
    }

    /// Whether nothing is left of a socket that was closed: for a `close` that lingers.
    #[must_use]
    pub fn is_tcp_over(&self, fd: Fd) -> bool {
        self.tcp.sock(SocketTable::slot(fd)).is_none_or(|tp| tp.rtx.is_empty() && tp.wq.is_empty())
    }

    fn tcp_close_sock(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_close");
        (tp.shutdown_read, tp.shutdown_write) = (true, true);
        tp.parent = None;
        if tp.state == TcpState::Listen {
            self.tcp_listen_stop(tp);
            self.tcp_event(tp, TcpEvent::Close);
            tp.dead = true;
            tp.destroy = true;
            return;
        }
        let unread = tp.receive_queue.iter().any(|part| super::seq::after(part.payload_end(), tp.copied_seq));
        self.tcp_purge_receive(tp);
        tp.dead = true;
        self.tcp.orphans += 1;
        if tp.state == TcpState::Close {
            tp.destroy = true;
            return;
        }
        if unread {
            // RFC 2525, section 2.17: the peer must know that its data is lost.
            self.mib.inc(Counter::TcpExtAbortOnClose);
            self.tcp_abort(tp);
        } else if tp.tunables.linger == Some(0) {
            self.mib.inc(Counter::TcpExtAbortOnData);
            if tp.state == TcpState::SynSent {
                return self.tcp_done(tp);
            }
            self.tcp_abort(tp);
        } else if tp.state == TcpState::SynSent {
            self.tcp_done(tp);
        } else {
            self.tcp_close_state(tp);
            self.tcp_orphan(tp);
        }
    }

    fn tcp_abort(&mut self, tp: &mut TcpSock) {
        self.tcp_send_active_reset(tp);
        self.tcp_done(tp);
    }

    /// What `__tcp_close` does with a socket that nobody owns any more.
    fn tcp_orphan(&mut self, tp: &mut TcpSock) {
        if tp.state == TcpState::FinWait2 {
            if tp.tunables.linger2 < 0 {
                self.mib.inc(Counter::TcpExtAbortOnLinger);
                return self.tcp_abort(tp);
            }
            let timeout = self.tcp_fin_time(tp);
            if timeout > super::timewait::TCP_TIMEWAIT_LEN {
                self.tcp_arm(tp, Timer::Keepalive, timeout - super::timewait::TCP_TIMEWAIT_LEN);
            } else {
                return self.tcp_time_wait(tp, TcpState::FinWait2, timeout);
            }
        }
        if self.tcp.orphans > self.sysctl.tcp.max_orphans && tp.state != TcpState::Close {
            self.mib.inc(Counter::TcpExtAbortOnMemory);
            self.tcp_abort(tp);
        }
    }

    /// Drops what the application did not read.
    #[inline(always)]
    fn tcp_purge_receive(&mut self, tp: &mut TcpSock) {
        while let Some(part) = tp.receive_queue.pop_front() {
            tp.rmem_alloc = tp.rmem_alloc.saturating_sub(part.truesize);
            self.tcp_discard(part.skb, DropReason::SocketClose);
        }
    }

    /// `tcp_write_queue_purge`.
    #[inline(always)]
    pub(crate) fn tcp_purge_write_queue(&mut self, tp: &mut TcpSock) {
        for queue in [&mut tp.wq, &mut tp.rtx] {
            if !queue.is_empty() {
                queue.iter().for_each(|segment| segment.put_frags(&mut self.skbs));
                queue.clear();
            }
        }
        tp.wmem_queued = 0;
        (tp.packets_out, tp.sacked_out, tp.lost_out, tp.retrans_out) = (0, 0, 0, 0);
        tp.backoff = 0;
        tp.page_frag.release(&mut self.skbs);
    }

    /// Gives back all packets and pages of a socket.
    #[inline(always)]
    pub(crate) fn tcp_purge(&mut self, tp: &mut TcpSock) {
        self.tcp_purge_write_queue(tp);
        self.tcp_purge_receive(tp);
        self.tcp_purge_ofo(tp);
    }
}
