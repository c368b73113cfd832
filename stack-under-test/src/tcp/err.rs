//! ICMP errors about our segments: `tcp_v4_err`, and path MTU discovery (RFC 5927, RFC 1191; Linux 6.12).

use super::hash::{Owner, Tuple};
use super::seq::{after, before};
use super::sock::TcpSock;
use super::state::TcpState;
use crate::errno::Errno;
use crate::mib::Counter;
use crate::socket::PmtuDisc;
use crate::socket::epoll::Wake;
use crate::stack::Stack;
use crate::udp::error::{IcmpError, unreachable_errno};
use crate::wire::icmpv4::ICMP_FRAG_NEEDED;
use crate::wire::ipv4::Ipv4;

const ICMP_DEST_UNREACH: u8 = 3;
const ICMP_TIME_EXCEEDED: u8 = 11;
const ICMP_PARAMETERPROB: u8 = 12;

impl Stack {
    /// An ICMP error quotes a segment of ours, which begins with `quoted` at its IP header.
    pub(crate) fn tcp_v4_err(&mut self, error: IcmpError, quoted: &[u8]) {
        let Ok(ip) = Ipv4::parse_quoted(quoted) else { return };
        let Some(tcp) = quoted.get(usize::from(ip.header_len)..).and_then(|tcp| tcp.first_chunk::<8>())
        else {
            return;
        };
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        let tuple = Tuple { laddr: ip.src, lport: port(0), raddr: ip.dst, rport: port(2) };
        match self.tcp.table.get(&tuple) {
            None => self.mib.inc(Counter::IcmpInErrors),
            Some(Owner::TimeWait(_)) => {}
            Some(Owner::Request(id)) => {
                let exact = self.tcp.requests.get(id).is_some_and(|request| request.snt_isn == seq);
                // `tcp_req_err`: what says that nothing gets there ends it; a closed port or protocol does not.
                let ends = match error.kind {
                    ICMP_DEST_UNREACH => matches!(error.code, 0 | 1),
                    kind => matches!(kind, ICMP_TIME_EXCEEDED | ICMP_PARAMETERPROB),
                };
                if !exact {
                    self.mib.inc(Counter::TcpExtOutOfWindowIcmps);
                } else if ends {
                    self.mib.inc(Counter::TcpExtListenDrops);
                    self.tcp_drop_request(id);
                }
            }
            Some(Owner::Sock(slot)) => {
                self.with_tcp(slot, |stack, tp| stack.tcp_sock_err(tp, error, &ip, seq));
            }
        }
    }

    fn tcp_sock_err(&mut self, tp: &mut TcpSock, error: IcmpError, ip: &Ipv4, seq: u32) {
        if tp.state == TcpState::Close {
            return;
        }
        self.trace.function(0, "tcp_v4_err");
        if tp.state != TcpState::Listen && (before(seq, tp.snd_una) || after(seq, tp.snd_nxt)) {
            // Nothing that is under way: an attack, or long ago.
            self.mib.inc(Counter::TcpExtOutOfWindowIcmps);
            return;
        }
        let errno = match error.kind {
            ICMP_DEST_UNREACH if error.code == ICMP_FRAG_NEEDED => {
                if tp.state != TcpState::Listen {
                    self.update_pmtu(ip, error.mtu);
                    self.tcp_v4_mtu_reduced(tp);
                }
                return;
            }
            ICMP_DEST_UNREACH => {
                if matches!(error.code, 0 | 1) {
                    self.tcp_ld_revert_rto(tp, seq);
                }
                unreachable_errno(error.code).0
            }
            ICMP_PARAMETERPROB => Errno::EPROTO,
            ICMP_TIME_EXCEEDED => Errno::EHOSTUNREACH,
            _ => return,
        };
        if matches!(tp.state, TcpState::SynSent | TcpState::SynRecv) {
            tp.err = Some(errno);
            self.tcp_wake(tp, Wake::ErrorReport);
            return self.tcp_done(tp);
        }
        // RFC 1122, section 4.2.3.9: a connection that stands survives, unless the application asked to be told.
        if tp.options.recverr {
            tp.err = Some(errno);
            self.tcp_wake(tp, Wake::ErrorReport);
        } else {
            tp.err_soft = Some(errno);
        }
    }

    /// `tcp_v4_mtu_reduced`: the path is narrower than was thought, as routing has learned; what is lost goes again in
    /// smaller segments.
    fn tcp_v4_mtu_reduced(&mut self, tp: &mut TcpSock) {
        if matches!(tp.options.pmtudisc, PmtuDisc::Dont | PmtuDisc::Interface | PmtuDisc::Omit) {
            return;
        }
        tp.forget_route();
        let Ok(route) = self.tcp_route(tp) else { return };
        if tp.pmtu_cookie > route.mtu {
            self.trace.function(0, "tcp_v4_mtu_reduced");
            tp.sync_mss(route.mtu);
            self.tcp_simple_retransmit(tp);
        }
    }

    /// `tcp_simple_retransmit`: all that was larger than the new MSS is lost, without congestion.
    fn tcp_simple_retransmit(&mut self, tp: &mut TcpSock) {
        let mss = tp.mss_cache;
        let before = tp.lost_out;
        for at in 0..tp.rtx.len() {
            if tp.rtx[at].len > mss || tp.rtx[at].pcount > 1 {
                tp.mark_lost(at, &mut self.mib);
            }
        }
        if tp.lost_out == before {
            return;
        }
        if tp.ca_state != super::sock::CaState::Loss {
            tp.high_seq = tp.snd_nxt;
            tp.snd_ssthresh = tp.current_ssthresh();
            tp.prior_ssthresh = 0;
            tp.undo_marker = 0;
            Self::tcp_set_ca_state(tp, super::sock::CaState::Loss);
        }
        self.tcp_xmit_retransmit_queue(tp);
    }

    /// `tcp_ld_RTO_revert` (RFC 6069): the link was down, and the back-off was not for congestion.
    fn tcp_ld_revert_rto(&mut self, tp: &mut TcpSock, seq: u32) {
        if seq != tp.snd_una || tp.retransmits == 0 || tp.backoff == 0 || tp.rtx.is_empty() {
            return;
        }
        tp.backoff -= 1;
        if tp.srtt_us != 0 {
            tp.set_rto();
        } else {
            tp.rto = super::rtt::TCP_TIMEOUT_INIT;
        }
        tp.rto = (tp.rto << tp.backoff.min(16)).min(super::rtt::TCP_RTO_MAX);
        let age = super::usecs_to_jiffies(self.tcp_mstamp().saturating_sub(tp.rtx[0].mstamp));
        let left = tp.rto.saturating_sub(age);
        if left > 0 {
            self.tcp_reset_xmit_timer(tp, super::sock::Pending::Retrans, left);
        } else {
            self.tcp_retransmit_timer(tp);
        }
    }
}
