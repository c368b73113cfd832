//! A segment comes in: `tcp_v4_rcv` finds whose it is, and `tcp_rcv_established` or the state machine takes it (6.12).

use super::HZ;
use super::ack::{FLAG_NO_CHALLENGE_ACK, FLAG_SLOWPATH};
use super::hash::{Owner, Tuple};
use super::options::ReceivedOptions;
use super::sock::TcpSock;
use super::state::TcpState;
use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::skb::{IpSummed, PacketType, Skb};
use crate::stack::Stack;
use crate::trace::PacketId;
use crate::wire::checksum::{Checksum, pseudo_header};
use crate::wire::ipv4::IPPROTO_TCP;
use crate::wire::tcp::{ACK, FIN, RST, SYN, Tcp};
use core::net::Ipv4Addr;

/// `TCP_ATO_MIN`: 40 ms, in ticks.
pub(crate) const TCP_ATO_MIN: u64 = HZ / 25;
/// `TCP_DELACK_MIN`.
pub(crate) const TCP_DELACK_MIN: u64 = HZ / 25;
/// `TCP_DELACK_MAX`: 200 ms.
pub(crate) const TCP_DELACK_MAX: u64 = HZ / 5;
/// `TCP_MAX_QUICKACKS`.
pub(crate) const TCP_MAX_QUICKACKS: u8 = 16;

/// A segment, read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    pub(crate) header: Tcp,
    pub(crate) options: ReceivedOptions,
    pub(crate) saddr: Ipv4Addr,
    pub(crate) daddr: Ipv4Addr,
    pub(crate) payload_len: u32,
    /// The payload of each segment that it was merged from, or 0.
    pub(crate) gso_size: u32,
    /// The number behind the last byte, SYN and FIN included.
    pub(crate) end_seq: u32,
    pub(crate) ack: u32,
    pub(crate) packet: PacketId,
    /// ECN of the IP header.
    pub(crate) ecn: u8,
}

impl Incoming {
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.header.flags & flags != 0
    }
    pub(crate) fn fin(&self) -> bool {
        self.has(FIN)
    }
    pub(crate) fn seq(&self) -> u32 {
        self.header.seq
    }

    /// The connection, from our side.
    pub(crate) fn tuple(&self) -> Tuple {
        Tuple { laddr: self.daddr, lport: self.header.dport, raddr: self.saddr, rport: self.header.sport }
    }
}

impl Stack {
    /// `tcp_v4_rcv`: takes a packet whose data begins at its TCP header.
    #[inline(always)]
    pub(crate) fn tcp_v4_rcv(&mut self, skb: Skb, saddr: Ipv4Addr, daddr: Ipv4Addr) {
        self.trace_skb::<true>(&skb, "tcp_v4_rcv");
        if self.skbs[&skb].pkt_type != PacketType::Host {
            return self.skbs.drop(&mut self.trace, skb, DropReason::NotSpecified);
        }
        self.mib.inc(Counter::TcpInSegs);
        let seg = match self.tcp_parse(&skb, saddr, daddr) {
            Ok(seg) => seg,
            Err(reason) => {
                if reason == DropReason::TcpCsum {
                    self.mib.inc(Counter::TcpInCsumErrors);
                }
                self.mib.inc(Counter::TcpInErrs);
                return self.skbs.drop(&mut self.trace, skb, reason);
            }
        };
        let iif = self.skbs.pull(&skb, usize::from(seg.header.header_len)).iif.0;
        self.tcp_v4_demux(skb, &seg, iif);
    }

    /// The second half of `tcp_v4_rcv`: a segment that was read, and whose data begins behind its header, to whom it is for.
    #[inline(always)]
    pub(crate) fn tcp_v4_demux(&mut self, skb: Skb, seg: &Incoming, iif: u32) {
        match self.tcp.table.get(&seg.tuple()) {
            Some(Owner::Sock(slot)) => self.tcp_rcv_for(slot, skb, seg),
            Some(Owner::Request(id)) => self.tcp_rcv_request(id, skb, seg),
            Some(Owner::TimeWait(id)) => self.tcp_timewait_rcv(id, skb, seg),
            None => match self.tcp_lookup_listener(seg.daddr, seg.header.dport, iif) {
                Some(slot) => self.tcp_rcv_for(slot, skb, seg),
                None => {
                    self.tcp_send_reset(seg);
                    self.skbs.drop(&mut self.trace, skb, DropReason::NoSocket);
                }
            },
        }
    }

    /// Reads header and options, and verifies lengths and checksum.
    #[inline(always)]
    fn tcp_parse(&self, skb: &Skb, saddr: Ipv4Addr, daddr: Ipv4Addr) -> Result<Incoming, DropReason> {
        let bytes = self.skbs.linear(skb);
        let header = Tcp::parse(bytes)?;
        let meta = &self.skbs[skb];
        let total = meta.len();
        let header_len = usize::from(header.header_len);
        if meta.ip_summed == IpSummed::None {
            let length = u16::try_from(total).map_err(|_| DropReason::PktTooBig)?;
            let mut sum = Checksum::starting_with(pseudo_header(saddr, daddr, IPPROTO_TCP, length));
            self.skbs.for_each_run(skb, 0, &mut |run| sum.add(run));
            if sum.finish() != 0 {
                return Err(DropReason::TcpCsum);
            }
        }
        let syn = header.flags & SYN != 0;
        let options = ReceivedOptions::parse(&bytes[20..header_len], syn);
        let payload_len = (total - header_len) as u32;
        let control = u32::from(syn) + u32::from(header.flags & FIN != 0);
        let ecn = self.skbs.header(skb, self.skbs[skb].network_header)[1] & 3;
        Ok(Incoming {
            header,
            options,
            saddr,
            daddr,
            payload_len,
            gso_size: u32::from(meta.gso_size),
            end_seq: header.seq.wrapping_add(payload_len).wrapping_add(control),
            ack: header.ack,
            packet: meta.packet,
            ecn,
        })
    }

    /// The listener for an address and port: one bound to the address goes before one bound to any, one bound to the device
    /// before one that is not (`compute_score`).
    #[inline(always)]
    pub(crate) fn tcp_lookup_listener(&self, daddr: Ipv4Addr, dport: u16, iif: u32) -> Option<u32> {
        let listeners = self.tcp.listeners.get(&dport)?;
        let mut best = None;
        for &slot in listeners {
            let Some(tp) = self.tcp.sock(slot) else { continue };
            let mut score = 1;
            if !tp.rcv_saddr.is_unspecified() {
                if tp.rcv_saddr != daddr {
                    continue;
                }
                score += 2;
            }
            if tp.options.bound_dev != 0 {
                if tp.options.bound_dev != iif {
                    continue;
                }
                score += 1;
            }
            if best.is_none_or(|(_, other)| score > other) {
                best = Some((slot, score));
            }
        }
        best.map(|(slot, _)| slot)
    }

    /// `tcp_v4_do_rcv`.
    pub(crate) fn tcp_rcv_for(&mut self, slot: u32, skb: Skb, seg: &Incoming) {
        let Some(mut sock) = self.tcp.take(slot) else {
            return self.skbs.drop(&mut self.trace, skb, DropReason::NoSocket);
        };
        self.tcp_do_rcv(&mut sock, skb, seg);
        self.tcp_release(sock);
    }

    #[inline(always)]
    pub(crate) fn tcp_do_rcv(&mut self, tp: &mut TcpSock, skb: Skb, seg: &Incoming) {
        tp.segs_in = tp.segs_in.wrapping_add(1);
        if !self.dev.xps.rxqs.is_empty() {
            self.sk_rx_queue_update(tp.slot, &skb);
        }
        if seg.payload_len > 0 {
            tp.data_segs_in = tp.data_segs_in.wrapping_add(1);
        }
        match tp.state {
            TcpState::Established => self.tcp_rcv_established(tp, skb, seg),
            TcpState::Listen => self.tcp_rcv_listen(tp, skb, seg),
            TcpState::SynSent => self.tcp_rcv_synsent(tp, skb, seg),
            TcpState::Close => self.tcp_discard(skb, DropReason::TcpClose),
            _ => self.tcp_rcv_state_process(tp, skb, seg),
        }
    }

    /// A segment ends here, for a reason.
    pub(crate) fn tcp_discard(&mut self, skb: Skb, reason: DropReason) {
        self.skbs.drop(&mut self.trace, skb, reason);
    }

    /// Options of a segment on a connection: timestamps are taken only where they were agreed on.
    pub(crate) fn tcp_take_options(&mut self, tp: &mut TcpSock, seg: &Incoming) {
        tp.rx_opt.saw_tstamp = false;
        if tp.rx_opt.tstamp_ok
            && let Some((val, ecr)) = seg.options.tstamp
        {
            tp.rx_opt.saw_tstamp = true;
            tp.rx_opt.rcv_tsval = val;
            tp.rx_opt.rcv_tsecr = if ecr == 0 { 0 } else { ecr.wrapping_sub(tp.tsoffset) };
        }
    }

    /// `tcp_rcv_established`.
    #[inline(always)]
    fn tcp_rcv_established(&mut self, tp: &mut TcpSock, skb: Skb, seg: &Incoming) {
        self.trace.function(seg.packet, "tcp_rcv_established");
        if !seg.has(ACK | RST | SYN) {
            return self.tcp_discard(skb, DropReason::TcpFlags);
        }
        let Some(skb) = self.tcp_validate_incoming(tp, skb, seg) else { return };
        if !seg.has(ACK) {
            return self.tcp_discard(skb, DropReason::TcpFlags);
        }
        let truesize = self.skbs[&skb].truesize.max(1);
        let mut how = FLAG_SLOWPATH;
        if tp.is_predicted(seg, truesize) {
            how = 0;
            if seg.payload_len > 0 {
                how = FLAG_NO_CHALLENGE_ACK;
                self.mib.inc(Counter::TcpExtHpHits);
            }
        }
        match self.tcp_ack(tp, seg, how) {
            super::ack::Acked::Valid | super::ack::Acked::Old => {}
            // The short way takes the data before it looks at the acknowledgement, and answers that with all that came.
            super::ack::Acked::TooOld if how & FLAG_SLOWPATH == 0 && seg.payload_len > 0 => {
                self.tcp_data_queue(tp, skb, seg, true);
                self.tcp_send_challenge_ack(tp);
                self.tcp_data_snd_check(tp);
                return self.tcp_ack_snd_check(tp);
            }
            super::ack::Acked::TooOld => return self.tcp_discard(skb, DropReason::TcpTooOldAck),
            super::ack::Acked::Unsent => {
                self.tcp_send_challenge_ack(tp);
                return self.tcp_discard(skb, DropReason::TcpAckUnsentData);
            }
        }
        self.tcp_rcv_rtt_measure_ts(tp, seg);
        self.tcp_urg(tp, &skb, seg);
        self.tcp_data_queue(tp, skb, seg, how & FLAG_SLOWPATH == 0);
        self.tcp_data_snd_check(tp);
        self.tcp_ack_snd_check(tp);
    }

    /// `tcp_data_snd_check`: an ACK may have made room.
    #[inline(always)]
    pub(crate) fn tcp_data_snd_check(&mut self, tp: &mut TcpSock) {
        self.tcp_push_pending(tp);
        self.tcp_check_space(tp);
    }

    /// `tcp_rcv_rtt_measure_ts`: a round trip from the echo of a full segment.
    fn tcp_rcv_rtt_measure_ts(&mut self, tp: &mut TcpSock, seg: &Incoming) {
        if tp.rx_opt.rcv_tsecr == tp.rcv_est.rtt_last_tsecr || !tp.rx_opt.saw_tstamp {
            return;
        }
        tp.rcv_est.rtt_last_tsecr = tp.rx_opt.rcv_tsecr;
        if seg.payload_len >= tp.ack.rcv_mss && tp.rx_opt.rcv_tsecr != 0 {
            let delta = self.tcp_time_stamp().wrapping_sub(tp.rx_opt.rcv_tsecr);
            if delta < 0x7fff_ffff / 1000 {
                tp.rcv_rtt_update(delta.max(1) * 1000, false);
            }
        }
    }

    /// `tcp_enter_quickack_mode`.
    pub(crate) fn tcp_enter_quickack_mode(tp: &mut TcpSock, max: u8) {
        tp.incr_quickack(max);
        tp.ack.pingpong = 0;
        tp.ack.ato = TCP_ATO_MIN;
    }

    /// `tcp_ack_snd_check`: an ACK now, later, or not at all.
    #[inline(always)]
    pub(crate) fn tcp_ack_snd_check(&mut self, tp: &mut TcpSock) {
        if tp.ack.sched {
            self.tcp_ack_scheduled(tp);
        }
    }

    /// `__tcp_ack_snd_check`: one is owed.
    #[inline(always)]
    fn tcp_ack_scheduled(&mut self, tp: &mut TcpSock) {
        let unacked = tp.rcv_nxt.wrapping_sub(tp.rcv_wup);
        let lowat = tp.tunables.rcvlowat.max(1);
        let full = unacked > tp.ack.rcv_mss
            && (tp.rcv_nxt.wrapping_sub(tp.copied_seq) < lowat || tp.want_window() >= tp.rcv_wnd);
        let quick = tp.ack.quick > 0 && !tp.in_pingpong_mode();
        if full || quick || tp.ack.now {
            return self.tcp_send_ack(tp);
        }
        if tp.out_of_order.is_empty() {
            return self.tcp_send_delayed_ack(tp);
        }
        self.tcp_send_ack(tp);
    }

    /// `tcp_compressed_ack_kick`: the time in which selective ACKs are gathered is over.
    pub(crate) fn tcp_compressed_ack_kick(&mut self, tp: &mut TcpSock) {
        self.tcp_send_ack(tp);
    }

    /// `tcp_send_delayed_ack`.
    pub(crate) fn tcp_send_delayed_ack(&mut self, tp: &mut TcpSock) {
        self.trace.function(0, "tcp_send_delayed_ack");
        let mut ato = tp.ack.ato;
        if ato > TCP_DELACK_MIN {
            let mut most = if tp.in_pingpong_mode() || tp.ack.pushed { TCP_DELACK_MAX } else { HZ / 2 };
            if tp.srtt_us > 0 {
                let rtt = super::usecs_to_jiffies(u64::from(tp.srtt_us >> 3)).max(TCP_DELACK_MIN);
                most = most.min(rtt);
            }
            ato = ato.min(most);
        }
        ato = ato.min(TCP_DELACK_MAX);
        if tp.ack.timer
            && let Some(at) = tp.timers.at(super::timer::Timer::Delack)
        {
            if at.0 / crate::stack::TICK_NS <= self.jiffies + (ato >> 2) {
                return self.tcp_send_ack(tp);
            }
            if self.tcp_expiry(ato) >= at {
                tp.ack.sched = true;
                return;
            }
        }
        tp.ack.sched = true;
        tp.ack.timer = true;
        self.tcp_arm(tp, super::timer::Timer::Delack, ato);
    }
}

impl TcpSock {
    /// `tcp_incr_quickack`: enough ACKs at once for the peer's slow start.
    pub(crate) fn incr_quickack(&mut self, max: u8) {
        let acks = (self.rcv_wnd / (2 * self.ack.rcv_mss.max(1))).min(u32::from(max)) as u8;
        self.ack.quick = self.ack.quick.max(if acks == 0 { 2 } else { acks });
    }
}
