//! The options of TCP: `setsockopt` and `getsockopt` at SOL_TCP, and those of SOL_SOCKET that TCP has its own way with
//! (tcp(7), `do_tcp_setsockopt`, Linux 6.12).

use super::cong::CongestionControl;
use super::sock::{NAGLE_CORK, NAGLE_OFF, NAGLE_PUSH, TcpSock};
use super::state::TcpState;
use crate::errno::Errno;
use crate::socket::{Fd, SocketOption};
use crate::stack::Stack;
use crate::time::Instant;

/// Ticks and retransmissions of TCP_DEFER_ACCEPT: `secs_to_retrans`.
fn secs_to_retrans(seconds: u32) -> u8 {
    let (mut period, mut timeout, mut retrans) = (1_u32, 1_u32, 0_u8);
    if seconds == 0 {
        return 0;
    }
    retrans += 1;
    while seconds > period && retrans < 255 {
        retrans += 1;
        timeout = (timeout << 1).min(120);
        period += timeout;
    }
    retrans
}

/// `retrans_to_secs`.
fn retrans_to_secs(retrans: u8) -> u32 {
    let (mut period, mut timeout) = (0, 1_u32);
    for _ in 0..retrans {
        period += timeout;
        timeout = (timeout << 1).min(120);
    }
    period
}

impl Stack {
    /// `setsockopt` with a number, of what TCP has its own way with. `None`: not one of those.
    pub(crate) fn tcp_setsockopt(
        &mut self,
        tp: &mut TcpSock,
        option: SocketOption,
        value: i32,
    ) -> Option<Result<(), Errno>> {
        use SocketOption as O;
        let on = value != 0;
        let within =
            |low: i32, high: i32| if (low..=high).contains(&value) { Ok(value) } else { Err(Errno::EINVAL) };
        let result = match option {
            O::SoKeepalive => {
                self.tcp_set_keepalive(tp, on);
                Ok(())
            }
            O::SoRcvlowat => {
                self.tcp_set_rcvlowat(tp, value);
                Ok(())
            }
            O::TcpNodelay => {
                self.tcp_set_nodelay(tp, on);
                Ok(())
            }
            O::TcpCork => {
                self.tcp_set_cork(tp, on);
                Ok(())
            }
            O::TcpMaxseg => {
                if value != 0 && !(88..=32_767).contains(&value) {
                    Err(Errno::EINVAL)
                } else {
                    tp.rx_opt.user_mss = value as u16;
                    Ok(())
                }
            }
            O::TcpKeepidle => within(1, 32_767).map(|value| {
                tp.tunables.keepalive_time = value as u32;
                self.tcp_keepidle_changed(tp);
            }),
            O::TcpKeepintvl => within(1, 32_767).map(|value| tp.tunables.keepalive_intvl = value as u32),
            O::TcpKeepcnt => within(1, 127).map(|value| tp.tunables.keepalive_probes = value as u8),
            O::TcpSyncnt => within(1, 127).map(|value| tp.tunables.syn_retries = value as u8),
            O::TcpUserTimeout => within(0, i32::MAX).map(|value| tp.tunables.user_timeout = value as u32),
            O::TcpLinger2 => {
                tp.tunables.linger2 = if value > 120 { 120 } else { value.max(-1) };
                Ok(())
            }
            O::TcpDeferAccept => {
                tp.tunables.defer_accept = secs_to_retrans(value.max(0) as u32);
                Ok(())
            }
            O::TcpQuickack => {
                self.tcp_set_quickack(tp, value);
                Ok(())
            }
            O::TcpWindowClamp => Self::tcp_set_window_clamp(tp, value),
            O::TcpNotsentLowat => self.tcp_set_notsent_lowat(tp, value),
            O::SoRcvbuf | O::SoRcvbufforce => {
                tp.tunables.rcvbuf_locked = true;
                return None;
            }
            O::SoSndbuf | O::SoSndbufforce => {
                tp.tunables.sndbuf_locked = true;
                return None;
            }
            _ => return None,
        };
        Some(result)
    }

    fn tcp_set_nodelay(&mut self, tp: &mut TcpSock, on: bool) {
        if on {
            tp.nonagle |= NAGLE_OFF | NAGLE_PUSH;
            self.tcp_push_pending(tp);
        } else {
            tp.nonagle &= !NAGLE_OFF;
        }
    }

    fn tcp_set_cork(&mut self, tp: &mut TcpSock, on: bool) {
        if on {
            tp.nonagle |= NAGLE_CORK;
            return;
        }
        tp.nonagle &= !NAGLE_CORK;
        if tp.nonagle & NAGLE_OFF != 0 {
            tp.nonagle |= NAGLE_PUSH;
        }
        self.tcp_push_pending(tp);
    }

    /// `__tcp_sock_set_quickack`.
    fn tcp_set_quickack(&mut self, tp: &mut TcpSock, value: i32) {
        if value == 0 {
            tp.ack.pingpong = 1;
            return;
        }
        tp.ack.pingpong = 0;
        if matches!(tp.state, TcpState::Established | TcpState::CloseWait) && tp.ack.sched {
            tp.ack.pushed = true;
            self.tcp_send_ack(tp);
            if value & 1 == 0 {
                tp.ack.pingpong = 1;
            }
        }
    }

    /// TCP_WINDOW_CLAMP; 0, before there is a connection, takes it away.
    fn tcp_set_window_clamp(tp: &mut TcpSock, value: i32) -> Result<(), Errno> {
        if value == 0 {
            if tp.state != TcpState::Close {
                return Err(Errno::EINVAL);
            }
            tp.window_clamp = 0;
            return Ok(());
        }
        tp.set_window_clamp(value.max(0) as u32);
        Ok(())
    }

    /// TCP_NOTSENT_LOWAT: who waits for room may have it now.
    fn tcp_set_notsent_lowat(&mut self, tp: &mut TcpSock, value: i32) -> Result<(), Errno> {
        tp.tunables.notsent_lowat = value as u32;
        self.tcp_write_space(tp);
        Ok(())
    }

    /// `tcp_set_rcvlowat`: at most half of what the buffer may become, which grows to hold it.
    fn tcp_set_rcvlowat(&mut self, tp: &mut TcpSock, value: i32) {
        let locked = tp.tunables.rcvbuf_locked;
        let most = if locked { tp.options.rcvbuf } else { self.sysctl.tcp.rmem[2] } >> 1;
        let asked = if value < 0 { i32::MAX as u32 } else { value as u32 };
        tp.tunables.rcvlowat = asked.min(most).max(1);
        self.tcp_data_ready(tp);
        let space = super::window::space_from_win(tp.scaling_ratio, asked.min(most));
        if !locked && space > tp.options.rcvbuf {
            (tp.options.rcvbuf, tp.window_clamp) = (space, asked.min(most));
        }
    }

    /// `getsockopt` of a number, of what TCP has its own way with. `None`: not one of those.
    pub(crate) fn tcp_getsockopt(&mut self, tp: &mut TcpSock, option: SocketOption) -> Option<i32> {
        use SocketOption as O;
        let sysctl = &self.sysctl.tcp;
        let or = |set: u32, default: u32| if set == 0 { default } else { set };
        Some(match option {
            O::SoError => tp.err.take().or(tp.err_soft.take()).map_or(0, |errno| errno as i32),
            O::SoType => 1,
            O::SoProtocol => 6,
            O::SoAcceptconn => (tp.state == TcpState::Listen).into(),
            O::SoKeepalive => tp.tunables.keepalive.into(),
            O::SoRcvlowat => tp.tunables.rcvlowat as i32,
            O::SoSndbuf | O::SoSndbufforce => tp.options.sndbuf as i32,
            O::SoRcvbuf | O::SoRcvbufforce => tp.options.rcvbuf as i32,
            O::TcpNodelay => (tp.nonagle & NAGLE_OFF != 0).into(),
            O::TcpCork => (tp.nonagle & NAGLE_CORK != 0).into(),
            O::TcpMaxseg => {
                if tp.rx_opt.user_mss != 0 && matches!(tp.state, TcpState::Close | TcpState::Listen) {
                    tp.rx_opt.user_mss.into()
                } else {
                    tp.mss_cache as i32
                }
            }
            O::TcpKeepidle => or(tp.tunables.keepalive_time, sysctl.keepalive_time) as i32,
            O::TcpKeepintvl => or(tp.tunables.keepalive_intvl, sysctl.keepalive_intvl) as i32,
            O::TcpKeepcnt => or(tp.tunables.keepalive_probes.into(), sysctl.keepalive_probes.into()) as i32,
            O::TcpSyncnt => or(tp.tunables.syn_retries.into(), sysctl.syn_retries.into()) as i32,
            O::TcpUserTimeout => tp.tunables.user_timeout as i32,
            O::TcpLinger2 => match tp.tunables.linger2 {
                0 => sysctl.fin_timeout as i32,
                set => set,
            },
            O::TcpDeferAccept => retrans_to_secs(tp.tunables.defer_accept) as i32,
            O::TcpQuickack => i32::from(!tp.in_pingpong_mode()),
            O::TcpWindowClamp => tp.window_clamp as i32,
            O::TcpNotsentLowat => tp.tunables.notsent_lowat as i32,
            _ => return None,
        })
    }

    /// TCP_CONGESTION: by name.
    ///
    /// # Errors
    /// EBADF; EOPNOTSUPP when it is not TCP; ENOENT for one that the stack does not have.
    pub fn set_congestion(&mut self, fd: Fd, name: &str) -> Result<(), Errno> {
        let control = CongestionControl::named(name).ok_or(Errno::ENOENT)?;
        self.tcp_call(fd, |_, tp| {
            if tp.cong.name() != name {
                tp.cong = control;
            }
            Ok(())
        })
    }

    /// TCP_CONGESTION, read.
    ///
    /// # Errors
    /// EBADF; EOPNOTSUPP when it is not TCP.
    pub fn congestion(&mut self, fd: Fd) -> Result<&'static str, Errno> {
        self.tcp_call(fd, |_, tp| Ok(tp.cong.name()))
    }

    /// SO_LINGER: `None` is off; seconds otherwise, 0 makes `close` reset the connection.
    ///
    /// # Errors
    /// EBADF; EOPNOTSUPP when it is not TCP.
    pub fn set_linger(&mut self, fd: Fd, seconds: Option<u32>) -> Result<(), Errno> {
        self.tcp_call(fd, |_, tp| {
            tp.tunables.linger = seconds;
            Ok(())
        })
    }

    /// SO_LINGER, read.
    ///
    /// # Errors
    /// EBADF; EOPNOTSUPP when it is not TCP.
    pub fn linger(&mut self, fd: Fd) -> Result<Option<u32>, Errno> {
        self.tcp_call(fd, |_, tp| Ok(tp.tunables.linger))
    }

    /// `setsockopt` at a time, for options that send something (TCP_NODELAY, TCP_CORK, TCP_QUICKACK).
    ///
    /// # Errors
    /// As [`Stack::setsockopt`].
    pub fn setsockopt_at(
        &mut self,
        now: Instant,
        cpu: u8,
        fd: Fd,
        option: SocketOption,
        value: i32,
    ) -> Result<(), Errno> {
        self.enter_process(now, cpu);
        let result = self.setsockopt(fd, option, value);
        self.leave_process();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    // SYN-ACKs go after 1, 3, 7, 15 … s: as many as it takes to cover the time.
    #[rstest]
    #[case::off(0, 0)]
    #[case::a_second(1, 1)]
    #[case::two(2, 3)]
    #[case::seven(7, 7)]
    #[case::eight(8, 15)]
    fn a_time_to_defer_becomes_retransmissions(#[case] asked: u32, #[case] told: u32) {
        assert_eq!(retrans_to_secs(secs_to_retrans(asked)), told);
    }
}
