//! Errors that come back: `udp_err` for what ICMP reports, and `ip_local_error` for our own (Linux 6.12).

use crate::errno::Errno;
use crate::mib::Counter;
use crate::skb::Skb;
use crate::socket::epoll::Wake;
use crate::socket::port::Demux;
use crate::socket::{Fd, PmtuDisc, QueuedError, SocketTable};
use crate::stack::Stack;
use crate::wire::icmpv4::ICMP_FRAG_NEEDED;
use crate::wire::ipv4::Ipv4;
use alloc::vec::Vec;
use core::net::SocketAddrV4;

/// An ICMP error about a packet of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IcmpError {
    pub(crate) kind: u8,
    pub(crate) code: u8,
    /// The MTU of "fragmentation needed".
    pub(crate) mtu: u32,
}

const ICMP_DEST_UNREACH: u8 = 3;
const ICMP_TIME_EXCEEDED: u8 = 11;
const ICMP_PARAMETERPROB: u8 = 12;
const SO_EE_ORIGIN_LOCAL: u8 = 1;
const SO_EE_ORIGIN_ICMP: u8 = 2;

/// `icmp_err_convert`: what each code of "destination unreachable" means to a socket, and whether it is final.
pub(crate) fn unreachable_errno(code: u8) -> (Errno, bool) {
    match code {
        0 | 6 | 9 | 11 => (Errno::ENETUNREACH, matches!(code, 6 | 9)),
        1 | 12 => (Errno::EHOSTUNREACH, false),
        2 => (Errno::ENOPROTOOPT, true),
        3 => (Errno::ECONNREFUSED, true),
        4 => (Errno::EMSGSIZE, false),
        5 => (Errno::EOPNOTSUPP, false),
        7 => (Errno::EHOSTDOWN, true),
        8 => (Errno::ENONET, true),
        10 | 13..=15 => (Errno::EHOSTUNREACH, true),
        _ => (Errno::EHOSTUNREACH, false),
    }
}

impl Stack {
    /// An ICMP error quotes a UDP packet of ours, which begins with `quoted` at its IP header.
    pub(crate) fn udp_err(&mut self, error: IcmpError, ip: &Ipv4, quoted: &[u8]) {
        let Some((demux, payload)) = quoted_flow(quoted) else { return };
        let Some(slot) = self.sockets.lookup(&demux) else {
            self.mib.inc(Counter::IcmpInErrors);
            return;
        };
        self.trace.function(0, "udp_err");
        let peer = SocketAddrV4::new(demux.saddr, demux.sport);
        if error.kind == ICMP_DEST_UNREACH && error.code == ICMP_FRAG_NEEDED {
            self.update_pmtu(ip, error.mtu);
        }
        let Some(socket) = self.sockets.at(slot) else { return };
        let (pmtudisc, recverr, connected) =
            (socket.options.pmtudisc, socket.options.recverr, socket.peer.is_some());
        let (errno, hard) = match error.kind {
            ICMP_TIME_EXCEEDED => (Errno::EHOSTUNREACH, false),
            ICMP_PARAMETERPROB => (Errno::EPROTO, true),
            ICMP_DEST_UNREACH if error.code == ICMP_FRAG_NEEDED => {
                if pmtudisc == PmtuDisc::Dont {
                    return;
                }
                (Errno::EMSGSIZE, true)
            }
            ICMP_DEST_UNREACH => unreachable_errno(error.code),
            _ => return,
        };
        if recverr {
            let queued = QueuedError {
                errno,
                origin: SO_EE_ORIGIN_ICMP,
                icmp_type: error.kind,
                icmp_code: error.code,
                info: error.mtu,
                to: peer,
                payload: payload.to_vec(),
            };
            self.sockets.queue_error(slot, queued);
        } else if !hard || !connected {
            return;
        }
        self.report_error(slot, errno);
    }

    /// `ip_local_error`: a datagram that is too large is put into the error queue of who asked for that,
    /// without its bytes.
    #[cold]
    pub(crate) fn local_error(&mut self, fd: Fd, to: SocketAddrV4, mtu: u32) {
        if !self.sockets.get(fd).is_ok_and(|socket| socket.options.recverr) {
            return;
        }
        let queued = QueuedError {
            errno: Errno::EMSGSIZE,
            origin: SO_EE_ORIGIN_LOCAL,
            icmp_type: 0,
            icmp_code: 0,
            info: mtu,
            to,
            payload: Vec::new(),
        };
        self.sockets.queue_error(SocketTable::slot(fd), queued);
        self.sockets.wake(SocketTable::slot(fd), Wake::ErrorReport);
    }

    /// The first bytes of a packet from its IP header on, as an ICMP error would quote them.
    pub(crate) fn quote(&self, skb: &Skb, bytes_max: usize) -> Vec<u8> {
        let meta = &self.skbs[skb];
        let before = usize::from(meta.data_offset() - meta.network_header.min(meta.data_offset()));
        let header = self.skbs.header(skb, meta.network_header);
        let mut quoted = header[..before.min(header.len())].to_vec();
        let ahead = usize::from(meta.network_header.saturating_sub(meta.data_offset()));
        self.skbs.for_each_run(skb, ahead, &mut |run| quoted.extend_from_slice(run));
        quoted.truncate(bytes_max);
        quoted
    }
}

/// The flow of a quoted packet as it would look coming back, and what is quoted of its payload.
fn quoted_flow(quoted: &[u8]) -> Option<(Demux, &[u8])> {
    let ip = Ipv4::parse_quoted(quoted).ok()?;
    let udp = quoted.get(usize::from(ip.header_len)..)?;
    let ports = udp.first_chunk::<4>()?;
    let demux = Demux {
        saddr: ip.dst,
        sport: u16::from_be_bytes([ports[2], ports[3]]),
        daddr: ip.src,
        dport: u16::from_be_bytes([ports[0], ports[1]]),
        iif: crate::route::OifId::ETH0.0,
    };
    Some((demux, udp.get(8..).unwrap_or_default()))
}
