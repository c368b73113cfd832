//! What the driver must do with the device.

use super::machine::NVM_MAC;
use super::rig::Rig;
use pnet::packet::ipv4::{self, Ipv4Packet, MutableIpv4Packet};
use pnet::packet::tcp::{self, TcpPacket};
use pnet::packet::udp::{self, UdpPacket};
use stack_under_test::drivers::igb::{Config, Igb};
use stack_under_test::netdev::NetdevTx;
use stack_under_test::skb::{GsoType, IpSummed, PoolConfig};
use std::net::Ipv4Addr;

type Verdict = Result<(), String>;

const PEER: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
/// An ethertype for local experiments (IEEE 802): QEMU does not look inside.
const EXPERIMENT: [u8; 2] = [0x88, 0xB5];

fn frame(to: [u8; 6], from: [u8; 6], payload: usize, seed: u8) -> Vec<u8> {
    let body = (0..payload).map(|i| (i as u8).wrapping_mul(7).wrapping_add(seed));
    to.into_iter().chain(from).chain(EXPERIMENT).chain(body).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Verdict {
    if is == should { Ok(()) } else { Err(format!("{what}: is {is:?}, should be {should:?}")) }
}

pub fn link() -> Verdict {
    let mut rig = Rig::start(Config::default())?;
    same("carrier before autonegotiation", rig.igb.carrier(), false)?;
    rig.wait_for_link()?;
    same("address", rig.igb.mac(), NVM_MAC)?;
    same("speed", rig.igb.link_speed(), Some((1000, true)))?;
    same("change of carrier", rig.igb.take_carrier_change(), Some(true))?;
    same("change of carrier, asked again", rig.igb.take_carrier_change(), None)?;
    // Link before the watchdog came round again: the interrupt of vector 0 told of it.
    if rig.interrupts[0] == 0 { Err("no interrupt of vector 0".into()) } else { Ok(()) }
}

pub fn send() -> Verdict {
    let mut rig = Rig::with_link(Config::default())?;
    let sent = frame(PEER, NVM_MAC, 46, 1);
    let skb = rig.packet(&sent);
    rig.send(skb)?;
    same("frame on the wire", rig.frame()?, sent)?;
    rig.until("the completion", |rig| rig.skbs.in_flight() == 0)
}

pub fn receive() -> Verdict {
    let mut rig = Rig::with_link(Config::default())?;
    let sent = frame(NVM_MAC, PEER, 100, 2);
    rig.inject(&sent)?;
    same("frame received", rig.received()?, (sent, 0))?;
    let elsewhere = frame([0x02, 0, 0, 0, 0, 0x77], PEER, 100, 3);
    let everybody = frame([0xFF; 6], PEER, 20, 4);
    rig.inject(&elsewhere)?;
    rig.inject(&everybody)?;
    let mut padded = everybody;
    padded.resize(60, 0);
    same("broadcast, padded, and nothing for others before it", rig.received()?, (padded, 0))
}

pub fn checksum() -> Verdict {
    let mut rig = Rig::with_link(Config::default())?;
    let (src, dst) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let mut bytes = [PEER.as_slice(), &NVM_MAC, &[8, 0]].concat();
    bytes.extend([0; 20]);
    bytes.extend([0x12, 0x34, 0x00, 0x09, 0, 8 + 5, 0, 0]);
    bytes.extend(b"hello");
    let mut ip = MutableIpv4Packet::new(&mut bytes[14..]).ok_or("an IP header")?;
    ip.set_version(4);
    ip.set_header_length(5);
    ip.set_total_length(20 + 13);
    ip.set_ttl(64);
    ip.set_next_level_protocol(pnet::packet::ip::IpNextHeaderProtocols::Udp);
    ip.set_source(src);
    ip.set_destination(dst);
    let header_sum = ipv4::checksum(&ip.to_immutable());
    ip.set_checksum(header_sum);
    let right = udp::ipv4_checksum(&UdpPacket::new(&bytes[34..]).ok_or("a UDP header")?, &src, &dst);

    let skb = rig.packet(&bytes);
    let meta = &mut rig.skbs[&skb];
    meta.ip_summed = IpSummed::Partial;
    meta.network_header = meta.data_offset() + 14;
    meta.csum_start = meta.data_offset() + 34;
    meta.csum_offset = 6;
    rig.send(skb)?;
    let seen = rig.frame()?;
    same("UDP checksum", u16::from_be_bytes([seen[40], seen[41]]), right)?;
    same("length: the device pads, not the driver", seen.len(), 47)
}

pub fn pieces() -> Verdict {
    let mut rig = Rig::with_link(Config::default())?;
    rig.with(|igb, ctx| igb.change_mtu(ctx, 9000)).map_err(|error| format!("{error:?}"))?;
    rig.wait_for_link()?;
    let sent = frame(PEER, NVM_MAC, 8000, 5);
    let skb = rig.packet(&sent[..100]);
    for piece in sent[100..].chunks(3000) {
        if !rig.skbs.copy_in_page(&skb, piece) {
            return Err("no memory for a piece".into());
        }
    }
    rig.send(skb)?;
    same("frame on the wire", rig.frame()?, sent)
}

pub fn jumbo() -> Verdict {
    let mut rig = Rig::with_link(Config::default())?;
    rig.with(|igb, ctx| igb.change_mtu(ctx, 9000)).map_err(|error| format!("{error:?}"))?;
    rig.wait_for_link()?;
    let sent = frame(NVM_MAC, PEER, 9000, 6);
    rig.inject(&sent)?;
    // 9,014 bytes in buffers of 2,048: the first is linear, four more are pieces.
    same("frame received", rig.received()?, (sent, 4))
}

pub fn burst() -> Verdict {
    const FRAMES: u32 = 1000;
    let mut rig = Rig::with_link(Config { tx_ring: 64, ..Config::default() })?;
    let (mut sent, mut seen) = (0, 0);
    rig.until("all frames on the wire", |rig| {
        while sent < FRAMES && !rig.queues[0].is_stopped() {
            let bytes = frame(PEER, NVM_MAC, 200, sent as u8);
            let skb = rig.packet(&bytes);
            let more = sent % 8 != 7 && sent + 1 < FRAMES;
            if let NetdevTx::Busy(skb) = rig.with(|igb, ctx| igb.xmit_frame(ctx, skb, 0, more)) {
                rig.skbs.consume(&mut rig.trace, skb);
                break;
            }
            sent += 1;
        }
        let mut buffer = [0; 2048];
        while let Ok(n) = rig.machine.wire.recv(&mut buffer) {
            assert_eq!(buffer[..n], frame(PEER, NVM_MAC, 200, seen as u8), "frame {seen}");
            seen += 1;
        }
        seen == FRAMES
    })?;
    rig.until("all completions", |rig| rig.skbs.in_flight() == 0)
}

pub fn counters() -> Verdict {
    let mut rig = Rig::with_link(Config::default())?;
    for n in 0..3 {
        let bytes = frame(PEER, NVM_MAC, 86, n);
        let skb = rig.packet(&bytes);
        rig.send(skb)?;
        rig.frame()?;
        rig.inject(&frame(NVM_MAC, PEER, 186, n))?;
        rig.received()?;
    }
    rig.until("the completions", |rig| rig.skbs.in_flight() == 0)?;
    let net = rig.with(Igb::stats64);
    same("driver's packets", (net.tx_packets, net.rx_packets), (3, 3))?;
    same("driver's bytes", (net.tx_bytes, net.rx_bytes), (300, 600))?;
    let stats = rig.with(Igb::ethtool_stats);
    same("number of counters", stats.len(), 42 + 9 + 3 + 5)?;
    let get = |name: &str| stats.iter().find(|(known, _)| known == name).map(|&(_, value)| value);
    same("device's packets", (get("tx_packets"), get("rx_packets")), (Some(3), Some(3)))?;
    // The device counts the CRC.
    same("device's bytes", (get("tx_bytes"), get("rx_bytes")), (Some(312), Some(612)))?;
    same("errors", (net.rx_errors, net.tx_errors), (0, 0))
}

pub fn stop_and_open() -> Verdict {
    let mut rig = Rig::with_link(Config::default())?;
    let heads = PoolConfig::default().heads as usize;
    rig.with(Igb::stop);
    rig.until("the stop", |rig| rig.igb.is_settled())?;
    same("up", (rig.igb.is_up(), rig.igb.carrier()), (false, false))?;
    same("memory", (rig.lent.len(), rig.skbs.free_heads(), rig.skbs.in_flight()), (0, heads, 0))?;
    rig.with(Igb::open).map_err(|error| format!("{error:?}"))?;
    rig.wait_for_link()?;
    let sent = frame(PEER, NVM_MAC, 46, 9);
    let skb = rig.packet(&sent);
    rig.send(skb)?;
    same("frame on the wire", rig.frame()?, sent)
}

/// QEMU cuts by itself, from what the driver wrote into context and headers. It clears FIN and PSH in the last segment, too.
pub fn segmentation() -> Verdict {
    let mut rig = Rig::with_link(Config::default())?;
    let (src, dst) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let payload: Vec<u8> = (0..5000_u32).map(|i| (i * 7) as u8).collect();
    let mut bytes = [PEER.as_slice(), &NVM_MAC, &[8, 0]].concat();
    let total = (20 + 32 + payload.len() as u16).to_be_bytes();
    bytes.extend([0x45, 0, total[0], total[1], 0xFF, 0xFE, 0x40, 0, 64, 6, 0, 0]);
    bytes.extend(src.octets().into_iter().chain(dst.octets()));
    bytes.extend([0x13, 0x88, 0, 9, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 1, 8 << 4, 0x18, 0xFA, 0xF0]);
    // The seed with the length: C000 + 0201 + C000 + 0202 is 0x18403; 6 and 32 + 5000 are added.
    bytes.extend([0x97, 0xB2, 0, 0, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
    let skb = rig.packet(&bytes);
    for page in payload.chunks(4096) {
        if !rig.skbs.copy_in_page(&skb, page) {
            return Err("no memory for a piece".into());
        }
    }
    let meta = &mut rig.skbs[&skb];
    meta.ip_summed = IpSummed::Partial;
    meta.network_header = meta.data_offset() + 14;
    (meta.transport_header, meta.csum_start) = (meta.data_offset() + 34, meta.data_offset() + 34);
    (meta.csum_offset, meta.gso_size, meta.gso_segs) = (16, 1448, 4);
    meta.gso_type = GsoType::TCPV4;
    rig.send(skb)?;
    let mut joined = Vec::new();
    for (n, len) in [1448, 1448, 1448, 656].into_iter().enumerate() {
        let seen = rig.frame()?;
        same("length of a segment", seen.len(), 66 + len)?;
        let ip = Ipv4Packet::new(&seen[14..]).ok_or("an IP header")?;
        same("total length", usize::from(ip.get_total_length()), 52 + len)?;
        same("identification", ip.get_identification(), 0xFFFE_u16.wrapping_add(n as u16))?;
        same("IP checksum", ip.get_checksum(), ipv4::checksum(&ip))?;
        let tcp = TcpPacket::new(&seen[34..]).ok_or("a TCP header")?;
        same("sequence number", tcp.get_sequence(), 0xFFFF_FF00_u32.wrapping_add(1448 * n as u32))?;
        same("TCP checksum", tcp.get_checksum(), tcp::ipv4_checksum(&tcp, &src, &dst))?;
        joined.extend_from_slice(&seen[66..]);
    }
    same("payload", joined == payload, true)?;
    rig.until("the completion", |rig| rig.skbs.in_flight() == 0)?;
    let stats = rig.with(Igb::stats64);
    same("packets and bytes that the driver counts", (stats.tx_packets, stats.tx_bytes), (4, 5000 + 4 * 66))
}
