//! ICMP (RFC 792; RFC 1122, section 3.2.2): echo, errors that we send, and errors that others send us (Linux 6.12).

use super::Flow;
use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::route::{FlowKey, OifId, RouteKind};
use crate::skb::{Dst, PacketType, Skb};
use crate::stack::Stack;
use crate::udp::error::IcmpError;
use crate::wire::checksum::Checksum;
use crate::wire::icmpv4::{HEADER_BYTES, ICMP_FRAG_NEEDED, ICMP_HOST_UNREACH};
use crate::wire::ipv4::{IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, Ipv4};
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// An error quotes so much that the packet has 576 bytes at most (RFC 1812, section 4.3.2.3).
const QUOTE_BYTES_MAX: usize = 576 - 20 - HEADER_BYTES;
const ICMP_DEST_UNREACH: u8 = 3;
const ICMP_SOURCE_QUENCH: u8 = 4;
const ICMP_TIME_EXCEEDED: u8 = 11;
const ICMP_PARAMETERPROB: u8 = 12;
const ICMP_EXC_FRAGTIME: u8 = 1;
/// The codes of "destination unreachable" end before this.
const NR_ICMP_UNREACH: u8 = 16;
/// IPTOS_PREC_INTERNETCONTROL: the precedence of an error (RFC 1812, section 4.3.2.5).
const ERROR_TOS: u8 = 0xc0;

impl Stack {
    /// `icmp_rcv`: takes a message whose data begins at its ICMP header.
    pub(crate) fn icmp_rcv(&mut self, skb: Skb) {
        let packet = self.skbs[&skb].packet;
        self.trace.function(packet, "icmp_rcv");
        self.mib.inc(Counter::IcmpInMsgs);
        let mut sum = Checksum::default();
        self.skbs.for_each_run(&skb, 0, &mut |run| sum.add(run));
        if sum.finish() != 0 {
            self.mib.inc(Counter::IcmpInCsumErrors);
            self.mib.inc(Counter::IcmpInErrors);
            return self.skbs.drop(&mut self.trace, skb, DropReason::IcmpCsum);
        }
        let mut message = alloc::vec![0; self.skbs[&skb].len()];
        self.skbs.copy_out(&skb, 0, &mut message);
        if message.len() < HEADER_BYTES {
            self.mib.inc(Counter::IcmpInErrors);
            return self.skbs.drop(&mut self.trace, skb, DropReason::PktTooSmall);
        }
        self.mib.icmp_msgs.came_in(message[0]);
        let (saddr, daddr) = self.ip_addresses(&skb);
        let to_all = self.skbs[&skb].pkt_type != PacketType::Host && self.is_to_many(daddr);
        self.count_in(message[0]);
        if to_all && !matches!(message[0], 8 | 13 | 17 | 18) {
            // Only questions may be put to everybody.
            self.mib.inc(Counter::IcmpInErrors);
            return self.skbs.drop(&mut self.trace, skb, DropReason::IcmpUnhandled);
        }
        match message[0] {
            0 | 5 | 13 | 14 | 17 | 18 => {}
            8 => {
                let smurf = to_all && self.sysctl.icmp_echo_ignore_broadcasts;
                if smurf {
                    self.mib.inc(Counter::IcmpInErrors);
                }
                if !smurf && !self.sysctl.icmp_echo_ignore_all {
                    let tos = self.skbs.header(&skb, self.skbs[&skb].network_header)[1];
                    self.icmp_echo(&mut message, saddr, if to_all { None } else { Some(daddr) }, tos);
                }
            }
            ICMP_DEST_UNREACH | ICMP_SOURCE_QUENCH | ICMP_TIME_EXCEEDED | ICMP_PARAMETERPROB => {
                self.icmp_unreach(&message)
            }
            kind => {
                // Beyond NR_ICMP_TYPES only the extended echo (RFC 8335) is known, which is switched off.
                if kind > 18 && !matches!(kind, 42 | 43) {
                    self.mib.inc(Counter::IcmpInErrors);
                }
                return self.skbs.drop(&mut self.trace, skb, DropReason::IcmpUnhandled);
            }
        }
        self.skbs.consume(&mut self.trace, skb);
    }

    /// Counts a message by its kind.
    fn count_in(&mut self, kind: u8) {
        self.mib.inc(match kind {
            0 => Counter::IcmpInEchoReps,
            ICMP_DEST_UNREACH => Counter::IcmpInDestUnreachs,
            ICMP_SOURCE_QUENCH => Counter::IcmpInSrcQuenchs,
            5 => Counter::IcmpInRedirects,
            8 => Counter::IcmpInEchos,
            ICMP_TIME_EXCEEDED => Counter::IcmpInTimeExcds,
            ICMP_PARAMETERPROB => Counter::IcmpInParmProbs,
            13 => Counter::IcmpInTimestamps,
            14 => Counter::IcmpInTimestampReps,
            17 => Counter::IcmpInAddrMasks,
            18 => Counter::IcmpInAddrMaskReps,
            _ => return,
        });
    }

    /// `icmp_echo`: the same message goes back as a reply.
    fn icmp_echo(&mut self, message: &mut [u8], to: Ipv4Addr, from: Option<Ipv4Addr>, tos: u8) {
        self.trace.function(0, "icmp_echo");
        if !self.icmp_allowed(0, to) {
            return;
        }
        message[0] = 0;
        message[2..4].fill(0);
        let checksum = crate::wire::checksum::checksum(message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        if self.icmp_push_reply(message, to, from, tos) {
            self.mib.inc(Counter::IcmpOutEchoReps);
        }
    }

    /// An error came: `icmp_unreach` finds out whose packet it is about.
    fn icmp_unreach(&mut self, message: &[u8]) {
        let (kind, code) = (message[0], message[1]);
        let quoted = &message[HEADER_BYTES..];
        let Ok(ip) = Ipv4::parse_quoted(quoted) else {
            self.mib.inc(Counter::IcmpInErrors);
            return;
        };
        // Only what we sent can have gone wrong.
        if !self.fib.is_own(ip.src) || quoted.len() < usize::from(ip.header_len) + 8 {
            self.mib.inc(Counter::IcmpInErrors);
            return;
        }
        let mut mtu = u32::from(u16::from_be_bytes([message[6], message[7]]));
        match (kind, code, self.sysctl.ip_no_pmtu_disc) {
            (ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 1) => mtu = 0,
            // 2 ignores it, 3 asks the protocol whether the quote is genuine, and only TCP can tell.
            (ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 2) => return,
            (ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 3) if ip.protocol != IPPROTO_TCP => return,
            (ICMP_DEST_UNREACH, NR_ICMP_UNREACH.., _) | (ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME, _) => return,
            _ => {}
        }
        match ip.protocol {
            IPPROTO_UDP => self.udp_err(IcmpError { kind, code, mtu }, &ip, quoted),
            IPPROTO_TCP => self.tcp_v4_err(IcmpError { kind, code, mtu }, quoted),
            IPPROTO_ICMP if kind == ICMP_DEST_UNREACH && code == ICMP_FRAG_NEEDED => {
                self.update_pmtu(&ip, mtu)
            }
            _ => {}
        }
    }

    /// A router could not pass a packet of ours on whole.
    pub(crate) fn update_pmtu(&mut self, quoted: &Ipv4, mtu: u32) {
        let key = FlowKey { dst: quoted.dst, src: Some(quoted.src), tos: quoted.tos, ..FlowKey::default() };
        let Ok(route) = self.route_output(&key) else { return };
        self.trace.function(0, "ip_rt_update_pmtu");
        // A router older than RFC 1191 gives none; 0 is then too narrow, as any MTU below `min_pmtu`.
        let (min_pmtu, expires) = (self.sysctl.min_pmtu, self.sysctl.mtu_expires);
        self.path_mtus.learn(self.now, quoted.dst, (mtu, route.mtu), (min_pmtu, expires));
    }

    /// `icmp_send` of "destination unreachable" about `skb`, whose network header is set.
    pub(crate) fn icmp_send_unreachable(&mut self, skb: &Skb, code: u8, mtu: u32) {
        self.icmp_send(skb, ICMP_DEST_UNREACH, code, mtu);
    }

    /// `icmp_send` of "time exceeded" in reassembly.
    pub(crate) fn icmp_send_time_exceeded(&mut self, skb: &Skb) {
        self.icmp_send(skb, ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME, 0);
    }

    /// `icmp_send` of "parameter problem": what is wrong is at this octet of the header.
    pub(crate) fn icmp_send_parameter_problem(&mut self, skb: &Skb, octet: u8) {
        self.icmp_send(skb, ICMP_PARAMETERPROB, 0, u32::from(octet) << 24);
    }

    /// `info` is the second word of the message: an MTU or a pointer.
    fn icmp_send(&mut self, skb: &Skb, kind: u8, code: u8, info: u32) {
        let quoted = self.quote(skb, QUOTE_BYTES_MAX);
        let Ok(ip) = Ipv4::parse_quoted(&quoted) else { return };
        if !self.may_send_error(skb, &ip, &quoted) {
            return;
        }
        self.trace.function(self.skbs[skb].packet, "icmp_send");
        if !self.icmp_allowed(kind, ip.src) {
            return;
        }
        let mut message = Vec::with_capacity(HEADER_BYTES + quoted.len());
        message.extend_from_slice(&[kind, code, 0, 0]);
        message.extend_from_slice(&info.to_be_bytes());
        message.extend_from_slice(&quoted);
        let checksum = crate::wire::checksum::checksum(&message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        let from = self.fib.is_own(ip.dst).then_some(ip.dst);
        if self.icmp_push_reply(&message, ip.src, from, (ip.tos & 0x1e) | ERROR_TOS) {
            let counter = match kind {
                ICMP_DEST_UNREACH => Counter::IcmpOutDestUnreachs,
                ICMP_TIME_EXCEEDED => Counter::IcmpOutTimeExcds,
                _ => Counter::IcmpOutParmProbs,
            };
            self.mib.inc(counter);
        }
    }

    /// Whether a message of this kind may be sent to this address now: `icmpv4_xrlim_allow`, for the kinds in `icmp_ratemask`.
    fn icmp_allowed(&mut self, kind: u8, to: Ipv4Addr) -> bool {
        let limited = self.sysctl.icmp_ratemask & (1 << (kind & 31)) != 0 && !self.fib.is_own(to);
        let allowed = !limited || self.icmp_limit.allow(self.now, to, self.sysctl.icmp_ratelimit);
        if !allowed {
            self.mib.inc(Counter::IcmpOutRateLimitHost);
        }
        allowed
    }

    /// No error about a frame or packet for many, a fragment but the first, an error, or a source that is not one host
    /// (RFC 1122, section 3.2.2).
    fn may_send_error(&self, skb: &Skb, ip: &Ipv4, quoted: &[u8]) -> bool {
        let about_error = ip.protocol == IPPROTO_ICMP
            && !quoted.get(usize::from(ip.header_len)).is_some_and(|kind| matches!(kind, 0 | 8 | 13 | 14));
        // What came in over `lo` for somebody else cannot be answered in his name.
        let in_our_name = self.skbs[skb].iif != OifId::LO || self.fib.is_own(ip.dst);
        self.skbs[skb].pkt_type == PacketType::Host
            && in_our_name
            && ip.fragment_offset == 0
            && !about_error
            && !ip.dst.is_multicast()
            && !ip.dst.is_broadcast()
            && self.fib.addr_type(ip.dst) != RouteKind::Broadcast
            && !ip.src.is_unspecified()
            && !ip.src.is_multicast()
            && !ip.src.is_broadcast()
    }

    /// `icmp_push_reply`: sends a message. Whether it left.
    fn icmp_push_reply(&mut self, message: &[u8], to: Ipv4Addr, from: Option<Ipv4Addr>, tos: u8) -> bool {
        let key =
            FlowKey { dst: to, src: from, tos: tos & 0x1c, protocol: IPPROTO_ICMP, ..FlowKey::default() };
        let Ok(route) = self.route_output(&key) else { return false };
        if route.kind == RouteKind::Broadcast {
            return false;
        }
        let mut flow = Flow {
            saddr: from.unwrap_or(route.src),
            daddr: to,
            protocol: IPPROTO_ICMP,
            tos,
            ttl: self.sysctl.ip_default_ttl,
            df: false,
            ignore_df: true,
            id: 0,
            mark: 0,
            priority: 0,
            dst: Dst { nexthop: route.nexthop(), mtu: route.mtu, kind: route.kind, oif: route.oif },
            sk: u32::MAX,
        };
        flow.id = self.ident.next(self.jiffies, &mut self.entropy, (to, flow.saddr, IPPROTO_ICMP));
        let (header, payload) = message.split_at(HEADER_BYTES);
        let Ok(skb) = self.ip_append_data(&flow, header, payload) else { return false };
        let packet = self.trace.made(message, message.len());
        self.skbs[&skb].packet = packet;
        self.trace.function(packet, "icmp_push_reply");
        self.push_ip_header(&skb, &flow);
        self.mib.inc(Counter::IcmpOutMsgs);
        self.mib.icmp_msgs.went_out(message[0]);
        if self.ip_local_out::<true>(skb).is_err() {
            self.mib.inc(Counter::IpOutDiscards);
        }
        true
    }

    /// `ipv4_link_failure`: the neighbour did not answer for `skb`, and our own sender is told by an ICMP error that
    /// comes back over the loopback device.
    pub(crate) fn ipv4_link_failure(&mut self, skb: &Skb) {
        self.icmp_send_unreachable(skb, ICMP_HOST_UNREACH, 0);
        debug_assert!(self.skbs[skb].dst.is_none_or(|dst| dst.oif != OifId::LO));
    }
}
