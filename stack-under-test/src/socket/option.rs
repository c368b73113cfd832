//! `setsockopt` and `getsockopt`: which options there are, and what they do (socket(7), ip(7), udp(7); Linux 6.12).

use super::epoll::Wake;
use super::{Fd, Options, PmtuDisc, SocketTable};
use crate::errno::Errno;
use crate::stack::Stack;
use crate::sysctl::Sysctl;

/// The options that the stack knows, by level and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of socket(7), ip(7) and udp(7)")]
pub enum SocketOption {
    SoSndbuf,
    SoRcvbuf,
    SoSndbufforce,
    SoRcvbufforce,
    SoReuseaddr,
    SoReuseport,
    SoBroadcast,
    SoPriority,
    SoMark,
    SoNoCheck,
    SoDontroute,
    IpFreebind,
    IpBindAddressNoPort,
    UdpCork,
    UdpSegment,
    SoError,
    SoType,
    SoDomain,
    SoProtocol,
    IpTos,
    IpTtl,
    IpMtuDiscover,
    IpMtu,
    IpRecverr,
    IpMulticastTtl,
    SoKeepalive,
    SoRcvlowat,
    SoAcceptconn,
    TcpNodelay,
    TcpCork,
    TcpMaxseg,
    TcpKeepidle,
    TcpKeepintvl,
    TcpKeepcnt,
    TcpSyncnt,
    TcpUserTimeout,
    TcpLinger2,
    TcpDeferAccept,
    TcpQuickack,
    TcpWindowClamp,
    TcpNotsentLowat,
}

/// The least that SO_SNDBUF can be, doubled: two small packets of TCP.
const SOCK_MIN_SNDBUF: u32 = 4608;
/// The least that SO_RCVBUF can be, doubled.
const SOCK_MIN_RCVBUF: u32 = 2304;

impl SocketOption {
    /// Finds an option by the names of the C interface; `None` when the stack does not have it.
    #[must_use]
    pub fn parse(level: &str, name: &str) -> Option<Self> {
        Some(match (level, name) {
            ("SOL_SOCKET", "SO_SNDBUF") => Self::SoSndbuf,
            ("SOL_SOCKET", "SO_RCVBUF") => Self::SoRcvbuf,
            ("SOL_SOCKET", "SO_SNDBUFFORCE") => Self::SoSndbufforce,
            ("SOL_SOCKET", "SO_RCVBUFFORCE") => Self::SoRcvbufforce,
            ("SOL_SOCKET", "SO_REUSEADDR") => Self::SoReuseaddr,
            ("SOL_SOCKET", "SO_REUSEPORT") => Self::SoReuseport,
            ("SOL_SOCKET", "SO_BROADCAST") => Self::SoBroadcast,
            ("SOL_SOCKET", "SO_PRIORITY") => Self::SoPriority,
            ("SOL_SOCKET", "SO_MARK") => Self::SoMark,
            ("SOL_SOCKET", "SO_NO_CHECK") => Self::SoNoCheck,
            ("SOL_SOCKET", "SO_DONTROUTE") => Self::SoDontroute,
            ("IPPROTO_IP" | "SOL_IP", "IP_FREEBIND") => Self::IpFreebind,
            ("IPPROTO_IP" | "SOL_IP", "IP_BIND_ADDRESS_NO_PORT") => Self::IpBindAddressNoPort,
            ("IPPROTO_UDP" | "SOL_UDP", "UDP_CORK") => Self::UdpCork,
            ("SOL_SOCKET", "SO_ERROR") => Self::SoError,
            ("SOL_SOCKET", "SO_TYPE") => Self::SoType,
            ("SOL_SOCKET", "SO_DOMAIN") => Self::SoDomain,
            ("SOL_SOCKET", "SO_PROTOCOL") => Self::SoProtocol,
            ("IPPROTO_IP" | "SOL_IP", "IP_TOS") => Self::IpTos,
            ("IPPROTO_IP" | "SOL_IP", "IP_TTL") => Self::IpTtl,
            ("IPPROTO_IP" | "SOL_IP", "IP_MTU_DISCOVER") => Self::IpMtuDiscover,
            ("IPPROTO_IP" | "SOL_IP", "IP_MTU") => Self::IpMtu,
            ("IPPROTO_IP" | "SOL_IP", "IP_RECVERR") => Self::IpRecverr,
            ("IPPROTO_IP" | "SOL_IP", "IP_MULTICAST_TTL") => Self::IpMulticastTtl,
            ("SOL_SOCKET", "SO_KEEPALIVE") => Self::SoKeepalive,
            ("SOL_SOCKET", "SO_RCVLOWAT") => Self::SoRcvlowat,
            ("SOL_SOCKET", "SO_ACCEPTCONN") => Self::SoAcceptconn,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_NODELAY") => Self::TcpNodelay,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_CORK") => Self::TcpCork,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_MAXSEG") => Self::TcpMaxseg,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_KEEPIDLE") => Self::TcpKeepidle,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_KEEPINTVL") => Self::TcpKeepintvl,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_KEEPCNT") => Self::TcpKeepcnt,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_SYNCNT") => Self::TcpSyncnt,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_USER_TIMEOUT") => Self::TcpUserTimeout,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_LINGER2") => Self::TcpLinger2,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_DEFER_ACCEPT") => Self::TcpDeferAccept,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_QUICKACK") => Self::TcpQuickack,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_WINDOW_CLAMP") => Self::TcpWindowClamp,
            ("IPPROTO_TCP" | "SOL_TCP", "TCP_NOTSENT_LOWAT") => Self::TcpNotsentLowat,
            ("IPPROTO_UDP" | "SOL_UDP", "UDP_SEGMENT") => Self::UdpSegment,
            _ => return None,
        })
    }
}

impl Options {
    #[inline(always)]
    pub(crate) fn new(sysctl: &Sysctl) -> Self {
        Self {
            tos: 0,
            ttl: None,
            multicast_ttl: 1,
            pmtudisc: if sysctl.ip_no_pmtu_disc == 0 { PmtuDisc::Want } else { PmtuDisc::Dont },
            recverr: false,
            sndbuf: sysctl.wmem_default,
            rcvbuf: sysctl.rmem_default,
            priority: 0,
            mark: 0,
            broadcast: false,
            reuseaddr: false,
            reuseport: false,
            no_check: false,
            dontroute: false,
            freebind: false,
            bind_address_no_port: false,
            udp_cork: false,
            gso_size: 0,
            bound_dev: 0,
        }
    }
}

/// `rt_tos2priority`: the band of pfifo_fast that a TOS asks for, by way of the priority (`ip_tos2prio`).
#[inline]
pub(crate) fn tos_to_priority(tos: u8) -> u32 {
    const IP_TOS2PRIO: [u8; 16] = [0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4];
    u32::from(IP_TOS2PRIO[usize::from(tos >> 1) & 15])
}

impl Stack {
    /// `setsockopt` with a number.
    ///
    /// # Errors
    /// EBADF; EINVAL for a value out of range; EPERM for what needs more than this stack gives; ENOPROTOOPT for an option
    /// that can only be read.
    pub fn setsockopt(&mut self, fd: Fd, option: SocketOption, value: i32) -> Result<(), Errno> {
        if self.is_tcp(fd) {
            self.setsockopt_tcp(fd, option, value)?;
        } else {
            self.setsockopt_common(fd, option, value)?;
        }
        if matches!(option, SocketOption::SoSndbuf | SocketOption::SoSndbufforce) {
            self.write_space(fd)?;
        }
        if option == SocketOption::UdpCork && value == 0 {
            // What became of it nobody is told.
            let _ = self.udp_push_pending_frames(fd);
        }
        Ok(())
    }

    /// `sk_write_space`: there may be room now (`sock_def_write_space`, `sk_stream_write_space`).
    fn write_space(&mut self, fd: Fd) -> Result<(), Errno> {
        let slot = SocketTable::slot(fd);
        if self.is_tcp(fd) {
            return self.tcp_call(fd, |stack, tp| {
                if tp.is_writeable(stack.sysctl.tcp.notsent_lowat) {
                    tp.nospace = false;
                    stack.tcp_wake(tp, Wake::WriteSpace);
                }
                Ok(())
            });
        }
        if self.sockets.get(fd)?.is_writeable(self.skbs.charges[slot as usize].wmem) {
            self.sockets.wake(slot, Wake::WriteSpace);
        }
        Ok(())
    }

    /// TCP keeps its own copy of what is common.
    fn setsockopt_tcp(&mut self, fd: Fd, option: SocketOption, value: i32) -> Result<(), Errno> {
        match option {
            SocketOption::UdpSegment | SocketOption::UdpCork => return Err(Errno::ENOPROTOOPT),
            // A stream has one receiver.
            SocketOption::IpMulticastTtl => return Err(Errno::EINVAL),
            _ => {}
        }
        let own = self.tcp_call(fd, |stack, tp| Ok(stack.tcp_setsockopt(tp, option, value)))?;
        if let Some(result) = own {
            return result;
        }
        // Of a stream the ECN bits are TCP's own (`__ip_sock_set_tos`).
        let value = if option == SocketOption::IpTos { value & !3 } else { value };
        self.setsockopt_common(fd, option, value)?;
        let options = self.sockets.get(fd)?.options.clone();
        self.tcp_call(fd, |_, tp| {
            let (sndbuf, rcvbuf) = (tp.options.sndbuf, tp.options.rcvbuf);
            tp.options = options;
            if !matches!(option, SocketOption::SoSndbuf | SocketOption::SoSndbufforce) {
                tp.options.sndbuf = sndbuf;
            }
            if !matches!(option, SocketOption::SoRcvbuf | SocketOption::SoRcvbufforce) {
                tp.options.rcvbuf = rcvbuf;
            }
            tp.forget_route();
            Ok(())
        })
    }

    fn setsockopt_common(&mut self, fd: Fd, option: SocketOption, value: i32) -> Result<(), Errno> {
        let (wmem_max, rmem_max) = (self.sysctl.wmem_max, self.sysctl.rmem_max);
        let on = value != 0;
        // Compared unsigned, as Linux does: a negative size is the largest.
        let forced = (value.max(0) as u32).saturating_mul(2).min(i32::MAX as u32);
        let buffer = |max: u32| (value as u32).min(max).saturating_mul(2).min(i32::MAX as u32);
        let socket = self.sockets.get_mut(fd)?;
        socket.cached_flow = crate::udp::cached::CachedFlow::NONE;
        let options = &mut socket.options;
        match option {
            SocketOption::SoSndbuf => options.sndbuf = buffer(wmem_max).max(SOCK_MIN_SNDBUF),
            SocketOption::SoSndbufforce => options.sndbuf = forced.max(SOCK_MIN_SNDBUF),
            SocketOption::SoRcvbuf => options.rcvbuf = buffer(rmem_max).max(SOCK_MIN_RCVBUF),
            SocketOption::SoRcvbufforce => options.rcvbuf = forced.max(SOCK_MIN_RCVBUF),
            SocketOption::SoReuseaddr => options.reuseaddr = on,
            SocketOption::SoReuseport => options.reuseport = on,
            SocketOption::SoBroadcast => options.broadcast = on,
            SocketOption::SoPriority => options.priority = value as u32,
            SocketOption::SoMark => {
                options.mark = value as u32;
                socket.cached_route = None;
            }
            SocketOption::SoNoCheck => options.no_check = on,
            SocketOption::SoDontroute => {
                options.dontroute = on;
                socket.cached_route = None;
            }
            SocketOption::IpFreebind => options.freebind = on,
            SocketOption::IpBindAddressNoPort => options.bind_address_no_port = on,
            SocketOption::UdpCork => options.udp_cork = on,
            SocketOption::UdpSegment => options.gso_size = u16::try_from(value).map_err(|_| Errno::EINVAL)?,
            SocketOption::IpTos => {
                options.tos = value as u8;
                options.priority = tos_to_priority(options.tos);
                socket.cached_route = None;
            }
            SocketOption::IpTtl => match value {
                -1 => options.ttl = None,
                1..=255 => options.ttl = Some(value as u8),
                _ => return Err(Errno::EINVAL),
            },
            SocketOption::IpMulticastTtl => match value {
                -1 => options.multicast_ttl = 1,
                0..=255 => options.multicast_ttl = value as u8,
                _ => return Err(Errno::EINVAL),
            },
            SocketOption::IpMtuDiscover => {
                options.pmtudisc = PmtuDisc::numbered(value).ok_or(Errno::EINVAL)?;
            }
            SocketOption::IpRecverr => {
                options.recverr = on;
                if !on {
                    socket.error_queue.clear();
                }
            }
            SocketOption::SoError
            | SocketOption::SoType
            | SocketOption::SoDomain
            | SocketOption::SoProtocol
            | SocketOption::IpMtu
            | SocketOption::SoAcceptconn => return Err(Errno::ENOPROTOOPT),
            // UDP remembers neither.
            SocketOption::SoKeepalive | SocketOption::SoRcvlowat => {}
            // SOL_TCP on a socket of another kind.
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    /// SO_BINDTODEVICE: only through this device; `None` or an empty name: any.
    ///
    /// # Errors
    /// EBADF; ENODEV when there is no such device.
    pub fn bind_to_device(&mut self, fd: Fd, device: &str) -> Result<(), Errno> {
        let index = match device {
            "" => 0,
            name => self.device_index(name).ok_or(Errno::ENODEV)?,
        };
        let socket = self.sockets.get_mut(fd)?;
        socket.options.bound_dev = index;
        socket.cached_flow = crate::udp::cached::CachedFlow::NONE;
        socket.cached_route = None;
        Ok(())
    }

    /// `getsockopt` of a number. SO_ERROR takes the error away.
    ///
    /// # Errors
    /// EBADF; ENOTCONN for IP_MTU without a peer.
    pub fn getsockopt(&mut self, fd: Fd, option: SocketOption) -> Result<i32, Errno> {
        let default_ttl = self.sysctl.ip_default_ttl;
        if option == SocketOption::IpMtu {
            return self.path_mtu(fd).map(|mtu| mtu as i32);
        }
        if self.is_tcp(fd)
            && let Some(value) = self.tcp_call(fd, |stack, tp| Ok(stack.tcp_getsockopt(tp, option)))?
        {
            return Ok(value);
        }
        let socket = self.sockets.get_mut(fd)?;
        let options = &socket.options;
        Ok(match option {
            SocketOption::SoSndbuf | SocketOption::SoSndbufforce => options.sndbuf as i32,
            SocketOption::SoRcvbuf | SocketOption::SoRcvbufforce => options.rcvbuf as i32,
            SocketOption::SoReuseaddr => options.reuseaddr.into(),
            SocketOption::SoReuseport => options.reuseport.into(),
            SocketOption::SoBroadcast => options.broadcast.into(),
            SocketOption::SoPriority => options.priority as i32,
            SocketOption::SoMark => options.mark as i32,
            SocketOption::SoNoCheck => options.no_check.into(),
            SocketOption::SoDontroute => options.dontroute.into(),
            SocketOption::IpFreebind => options.freebind.into(),
            SocketOption::IpBindAddressNoPort => options.bind_address_no_port.into(),
            SocketOption::UdpCork => options.udp_cork.into(),
            SocketOption::UdpSegment => options.gso_size.into(),
            SocketOption::SoError => socket.err.take().map_or(0, |errno| errno as i32),
            SocketOption::SoType => 2,
            SocketOption::SoDomain => 2,
            SocketOption::SoProtocol => 17,
            SocketOption::IpTos => options.tos.into(),
            SocketOption::IpTtl => options.ttl.unwrap_or(default_ttl).into(),
            SocketOption::IpMulticastTtl => options.multicast_ttl.into(),
            SocketOption::IpMtuDiscover => options.pmtudisc as i32,
            SocketOption::IpRecverr => options.recverr.into(),
            SocketOption::IpMtu => unreachable!("answered above"),
            SocketOption::SoKeepalive | SocketOption::SoAcceptconn => 0,
            SocketOption::SoRcvlowat => 1,
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }
}
