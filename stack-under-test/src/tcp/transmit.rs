//! Making packets: `__tcp_transmit_skb` and what it asks of IP (Linux 6.12). A packet is a fresh head with headers, and
//! refers to the pages of the piece of the stream that it carries; nothing is copied.

use super::options::{MAX_SACKS, OutOptions};
use super::segment::TxSegment;
use super::seq::after;
use super::sock::TcpSock;
use super::template::{HeaderTemplate, Own};
use crate::errno::Errno;
use crate::ip::{Flow, SendError};
use crate::mib::Counter;
use crate::route::{FlowKey, OifId, RouteResult};
use crate::skb::datagram::Origin;
use crate::skb::{Dst, Frag, GsoType, Skb};
use crate::socket::PmtuDisc;
use crate::stack::Stack;
use crate::trace::PacketId;
use crate::wire::checksum::pseudo_header;
use crate::wire::ipv4::{HEADER_BYTES as IP_BYTES, IPPROTO_TCP};
use crate::wire::tcp::{ACK, CHECKSUM_OFFSET, CWR, HEADER_BYTES, PSH, SYN, Tcp, URG};

/// `sk_gso_max_size` with the headers taken off: bytes of payload of one large packet.
pub(crate) const GSO_MAX_SIZE: u32 = 65_536 - 1 - 320;
/// `sk_gso_max_segs`.
pub(crate) const GSO_MAX_SEGS: u32 = 65_535;

/// The bytes of the timestamp option with its padding: `TCPOLEN_TSTAMP_ALIGNED`.
pub(crate) const TSTAMP_BYTES: u32 = 12;

impl TcpSock {
    /// What routing is asked.
    pub(crate) fn flow_key(&self) -> FlowKey {
        FlowKey {
            dst: self.daddr,
            src: (!self.saddr.is_unspecified()).then_some(self.saddr),
            tos: self.options.tos & 0x1c,
            mark: self.options.mark,
            oif: (self.options.bound_dev != 0).then_some(OifId(self.options.bound_dev)),
            protocol: IPPROTO_TCP,
            sport: self.sport,
            dport: self.dport,
            dont_route: self.options.dontroute,
        }
    }

    /// The identification of a packet that is cut into so many segments, each of which takes one.
    #[inline(always)]
    fn take_inet_id(&mut self, segs: u32) -> u16 {
        let id = self.inet_id;
        self.inet_id = id.wrapping_add(segs.max(1) as u16);
        id
    }

    /// `tcp_established_options`.
    #[inline(always)]
    fn established_options(&self, now_ms: u32) -> OutOptions {
        let mut out = OutOptions::default();
        if self.rx_opt.tstamp_ok {
            out.tstamp = Some((now_ms, self.rx_opt.ts_recent));
        }
        if self.num_sacks > 0 || self.duplicate_sack.is_some() {
            let room = (super::options::MAX_OPTION_BYTES - out.len() - 4) / 8;
            let blocks =
                self.duplicate_sack.iter().chain(&self.selective_acks[..usize::from(self.num_sacks)]);
            for block in blocks.take(room.min(MAX_SACKS)) {
                out.sacks[usize::from(out.num_sacks)] = *block;
                out.num_sacks += 1;
            }
        }
        out
    }

    /// Bytes of the header of a segment that is sent now.
    pub(crate) fn header_len_now(&self) -> u32 {
        if self.num_sacks == 0 && self.duplicate_sack.is_none() {
            return HEADER_BYTES as u32 + if self.rx_opt.tstamp_ok { TSTAMP_BYTES } else { 0 };
        }
        self.header_len_with_sacks()
    }

    #[inline(never)]
    fn header_len_with_sacks(&self) -> u32 {
        (HEADER_BYTES + self.established_options(0).len()) as u32
    }
}

impl Stack {
    /// The way to the peer: the one that is remembered, or a new look-up.
    #[inline(always)]
    pub(crate) fn tcp_route(&mut self, tp: &mut TcpSock) -> Result<RouteResult, Errno> {
        match tp.cached_route {
            Some((at, route)) if at == self.route_generation() => Ok(route),
            _ => self.tcp_route_anew(tp),
        }
    }

    #[inline(never)]
    fn tcp_route_anew(&mut self, tp: &mut TcpSock) -> Result<RouteResult, Errno> {
        let generation = self.route_generation();
        let route = self.route_output(&tp.flow_key())?;
        tp.cached_route = Some((generation, route));
        Ok(route)
    }

    #[inline(always)]
    fn tcp_flow(&mut self, tp: &mut TcpSock) -> Option<Flow> {
        let Ok(route) = self.tcp_route(tp) else {
            self.mib.inc(Counter::IpOutNoRoutes);
            return None;
        };
        let options = &tp.options;
        let df = matches!(options.pmtudisc, PmtuDisc::Do)
            || (options.pmtudisc == PmtuDisc::Want && !route.mtu_locked);
        Some(Flow {
            saddr: tp.saddr,
            daddr: tp.daddr,
            protocol: IPPROTO_TCP,
            tos: options.tos,
            ttl: options.ttl.unwrap_or(self.sysctl.ip_default_ttl),
            df,
            ignore_df: false,
            id: 0,
            mark: options.mark,
            priority: options.priority,
            dst: Dst { nexthop: route.nexthop(), mtu: route.mtu, kind: route.kind, oif: route.oif },
            sk: tp.slot,
        })
    }

    /// `tcp_syn_options`: of our own SYN, also when it goes again with an ACK in a simultaneous open.
    fn tcp_syn_options(&self, tp: &TcpSock, now_ms: u32) -> OutOptions {
        let sysctl = &self.sysctl.tcp;
        OutOptions {
            mss: Some(self.tcp_advertise_mss(tp)),
            tstamp: sysctl.timestamps.then_some((now_ms, tp.rx_opt.ts_recent)),
            sack_ok: sysctl.sack,
            wscale: sysctl.window_scaling.then_some(tp.rx_opt.rcv_wscale),
            ..OutOptions::default()
        }
    }

    /// `tcp_advertise_mss`.
    fn tcp_advertise_mss(&self, tp: &TcpSock) -> u16 {
        let route_mss = tp
            .cached_route
            .map_or(u32::MAX, |(_, route)| route.mtu.saturating_sub((IP_BYTES + HEADER_BYTES) as u32));
        tp.advmss.min(route_mss).min(65_495) as u16
    }

    /// `__tcp_transmit_skb`: one piece of the stream, or a segment without data, as a packet or (while nobody below does
    /// it) as those that it is cut into.
    ///
    /// # Errors
    /// No route, no memory, or what the layers below say.
    pub(crate) fn tcp_transmit_skb(
        &mut self,
        tp: &mut TcpSock,
        segment: &TxSegment,
        mss: u32,
    ) -> Result<(), SendError> {
        let plain = segment.flags & SYN == 0
            && tp.num_sacks == 0
            && tp.duplicate_sack.is_none()
            && tp.snd_up.is_none()
            && !tp.ecn_ok;
        let packet = self.trace.derived(segment.packet);
        self.trace.function(packet, "__tcp_transmit_skb");
        if !plain {
            return self.tcp_transmit_any(tp, segment, mss, packet);
        }
        // 0 stands for none.
        let generation = self.flow_generation() + 1;
        if tp.template.generation != generation {
            let Some(flow) = self.tcp_flow(tp) else { return Err(SendError::Errno(Errno::EHOSTUNREACH)) };
            tp.template = HeaderTemplate::new(generation, &flow, tp.sport, tp.dport);
        }
        let sent = self.tcp_transmit_plain(tp, segment, mss, packet);
        if sent == Err(SendError::Congested) {
            self.tcp_enter_cwr(tp);
        }
        sent
    }

    /// [`Self::tcp_transmit_skb`] of nearly all segments: most of their headers is ready.
    #[inline(always)]
    fn tcp_transmit_plain(
        &mut self,
        tp: &mut TcpSock,
        segment: &TxSegment,
        mss: u32,
        packet: PacketId,
    ) -> Result<(), SendError> {
        let window = self.tcp_select_window(tp);
        let large = segment.pcount > 1;
        let flags = segment.flags | if large { PSH } else { 0 };
        let mut ack = 0;
        if flags & ACK != 0 {
            ack = tp.rcv_nxt;
            Self::tcp_event_ack_sent(tp);
        }
        self.tcp_count_sent(tp, segment);
        let id = tp.take_inet_id(segment.pcount);
        tp.wstamp_ns = self.now.0;
        self.trace.function(packet, "__ip_queue_xmit");
        let now_ms = self.tcp_time_stamp().wrapping_add(tp.tsoffset);
        let tstamp = tp.rx_opt.tstamp_ok.then_some((now_ms, tp.rx_opt.ts_recent));
        let headers = IP_BYTES + HEADER_BYTES + if tstamp.is_some() { TSTAMP_BYTES as usize } else { 0 };
        let length = headers + segment.len as usize;
        let template = &tp.template;
        let origin = Origin {
            dst: None,
            mark: template.mark,
            priority: template.priority,
            ignore_df: false,
            sk: tp.slot,
            truesize: super::segment::SEGMENT_TRUESIZE + (length - IP_BYTES) as u32,
            tstamp: self.now,
            packet,
        };
        let Some((skb, out)) = self.skbs.alloc_headers(headers, CHECKSUM_OFFSET as u16, &origin) else {
            return Err(SendError::Errno(Errno::ENOBUFS));
        };
        let length = length as u16;
        template.write(out, &Own { seq: segment.seq, ack, flags, window, id, length, tstamp });
        self.tcp_attach(&skb, segment.frags());
        if large {
            let meta = &mut self.skbs[&skb];
            (meta.gso_size, meta.gso_segs) = (mss as u16, segment.pcount as u16);
            meta.gso_type = GsoType::TCPV4;
        }
        self.ip_local_out_by(skb, &tp.template.dst, usize::from(length))
    }

    /// [`Self::tcp_transmit_skb`] of any segment.
    #[inline(always)]
    fn tcp_transmit_any(
        &mut self,
        tp: &mut TcpSock,
        segment: &TxSegment,
        mss: u32,
        packet: PacketId,
    ) -> Result<(), SendError> {
        let Some(mut flow) = self.tcp_flow(tp) else { return Err(SendError::Errno(Errno::EHOSTUNREACH)) };
        let syn = segment.flags & SYN != 0;
        let now_ms = self.tcp_time_stamp().wrapping_add(tp.tsoffset);
        let options = if syn { self.tcp_syn_options(tp, now_ms) } else { tp.established_options(now_ms) };
        let mut flags = segment.flags;
        if segment.pcount > 1 && !syn {
            // Large packets are pushed, so that a receiver's GRO hands them on.
            flags |= PSH;
        }
        let ect = self.tcp_ecn_send(tp, &mut flags, segment);
        flow.tos = (flow.tos & !3) | ect;
        let urgent = tp.urgent_pointer(segment.seq);
        if urgent.is_some() {
            flags |= URG;
        }
        let window = if syn { tp.rcv_wnd.min(0xffff) as u16 } else { self.tcp_select_window(tp) };
        let header = Tcp {
            sport: tp.sport,
            dport: tp.dport,
            seq: segment.seq,
            ack: if flags & ACK == 0 { 0 } else { tp.rcv_nxt },
            header_len: (HEADER_BYTES + options.len()) as u8,
            flags,
            window,
            urgent: urgent.unwrap_or(0),
        };
        if flags & ACK != 0 {
            Self::tcp_event_ack_sent(tp);
        }
        self.tcp_count_sent(tp, segment);
        flow.id = tp.take_inet_id(segment.pcount);
        tp.wstamp_ns = self.now.0;
        let sent = self.tcp_send_piece(&flow, &header, &options, segment, mss, packet);
        if sent == Err(SendError::Congested) {
            self.tcp_enter_cwr(tp);
        }
        sent
    }

    /// Counts a segment that goes out, and notes what follows from that (`tcp_event_data_sent`).
    fn tcp_count_sent(&mut self, tp: &mut TcpSock, segment: &TxSegment) {
        let segs = segment.pcount.max(1);
        if segment.len > 0 {
            if tp.packets_in_flight() == 0 {
                tp.cong.tx_start(tp.lsndtime, self.jiffies);
            }
            tp.lsndtime = self.jiffies;
            if self.jiffies.saturating_sub(tp.ack.lrcvtime) < tp.ack.ato {
                tp.ack.pingpong = tp.ack.pingpong.saturating_add(1);
            }
            tp.data_segs_out = tp.data_segs_out.wrapping_add(segs);
            tp.bytes_sent += u64::from(segment.len);
        }
        if after(segment.end_seq, tp.snd_nxt) || segment.seq == segment.end_seq {
            self.mib.add(Counter::TcpOutSegs, segs as usize);
        }
        tp.segs_out = tp.segs_out.wrapping_add(segs);
    }

    /// Hands a piece to IP: whole, for the layers below cut what is larger than the MTU.
    fn tcp_send_piece(
        &mut self,
        flow: &Flow,
        header: &Tcp,
        options: &OutOptions,
        segment: &TxSegment,
        mss: u32,
        packet: PacketId,
    ) -> Result<(), SendError> {
        self.trace.function(packet, "__ip_queue_xmit");
        let skb = self.tcp_make_skb(flow, header, options, segment.frags(), packet)?;
        if segment.pcount > 1 {
            let meta = &mut self.skbs[&skb];
            meta.gso_size = mss as u16;
            meta.gso_segs = segment.pcount as u16;
            let cwr = header.flags & CWR != 0;
            meta.gso_type = if cwr { GsoType::TCPV4.with(GsoType::TCP_ECN) } else { GsoType::TCPV4 };
        }
        let len = self.skbs[&skb].len();
        self.ip_local_out_by(skb, &flow.dst, len)
    }

    /// A packet with its headers, for [`Self::ip_local_out_by`]: its checksum is left to the device where that can do it.
    #[inline(always)]
    pub(crate) fn tcp_make_skb(
        &mut self,
        flow: &Flow,
        header: &Tcp,
        options: &OutOptions,
        frags: &[Frag],
        packet: PacketId,
    ) -> Result<Skb, SendError> {
        let header_len = usize::from(header.header_len);
        let payload: usize = frags.iter().map(|frag| usize::from(frag.len)).sum();
        let length = header_len + payload;
        let pseudo = pseudo_header(flow.saddr, flow.daddr, IPPROTO_TCP, length as u16);
        let origin = Origin {
            dst: None,
            mark: flow.mark,
            priority: flow.priority,
            ignore_df: false,
            sk: flow.sk,
            truesize: super::segment::SEGMENT_TRUESIZE + length as u32,
            tstamp: self.now,
            packet,
        };
        let (skb, out) = self
            .skbs
            .alloc_headers(IP_BYTES + header_len, CHECKSUM_OFFSET as u16, &origin)
            .ok_or(SendError::Errno(Errno::ENOBUFS))?;
        if let Some((ip, tcp)) = out.split_first_chunk_mut() {
            flow.write_ip_header(ip, (IP_BYTES + length) as u16);
            header.write_with_checksum(tcp, pseudo);
            options.write(&mut tcp[HEADER_BYTES..]);
        }
        self.tcp_attach(&skb, frags);
        Ok(skb)
    }

    /// The packet refers to the pages of a piece of the stream.
    #[inline(always)]
    fn tcp_attach(&mut self, skb: &Skb, frags: &[Frag]) {
        for frag in frags {
            self.skbs.get_buf(frag.buf);
            self.skbs.add_frag(skb, *frag);
        }
    }

    /// `tcp_event_ack_sent`: what was owed is paid.
    fn tcp_event_ack_sent(tp: &mut TcpSock) {
        if tp.ack.quick > 0 {
            let pkts = u8::from(tp.ack.sched);
            if pkts >= tp.ack.quick {
                tp.ack.quick = 0;
                tp.ack.ato = super::input::TCP_ATO_MIN;
            } else {
                tp.ack.quick -= pkts;
            }
        }
        let ack = &mut tp.ack;
        (ack.sched, ack.timer, ack.pushed, ack.pushed2) = (false, false, false, false);
        (ack.now, ack.nomem) = (false, false);
        tp.timers.stop(super::timer::Timer::Delack);
        tp.timers.stop(super::timer::Timer::CompressedAck);
    }

    /// `tcp_send_ack`: an ACK without data.
    #[inline(always)]
    pub(crate) fn tcp_send_ack(&mut self, tp: &mut TcpSock) {
        if tp.state == super::TcpState::Close {
            return;
        }
        self.trace.function(0, "__tcp_send_ack");
        self.tcp_send_plain(tp, tp.snd_nxt_for_ack(), ACK);
    }

    /// A segment without data of these flags at `seq`.
    pub(crate) fn tcp_send_plain(&mut self, tp: &mut TcpSock, seq: u32, flags: u8) {
        let packet = self.trace.made(&[], 0);
        let mut segment = TxSegment::new(seq, flags, packet);
        (segment.end_seq, segment.pcount) = (seq, 1);
        let mss = tp.mss_cache;
        // An ACK that is lost here is as one that is lost on the wire.
        let _ = self.tcp_transmit_skb(tp, &segment, mss);
        tp.duplicate_sack = None;
    }
}

impl TcpSock {
    /// `tcp_acceptable_seq`: the number that an empty segment has, within the window also when that was taken back.
    pub(crate) fn snd_nxt_for_ack(&self) -> u32 {
        let end = self.wnd_end();
        let shift = u32::from(self.rx_opt.snd_wscale);
        if !super::seq::before(end, self.snd_nxt)
            || (self.rx_opt.wscale_ok && self.snd_nxt.wrapping_sub(end) < 1 << shift)
        {
            self.snd_nxt
        } else {
            end
        }
    }
}
