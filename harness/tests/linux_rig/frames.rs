//! Frames of the peer, built with pnet, and those of the system under test, taken apart.

use harness::case::model::topology;
use libtest_mimic::Failed;
use pnet::packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket, MutableArpPacket};
use pnet::packet::ethernet::{EtherTypes, EthernetPacket, MutableEthernetPacket};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv4::{self, Ipv4Packet, MutableIpv4Packet};
use pnet::packet::udp::{MutableUdpPacket, UdpPacket};
use pnet::packet::{MutablePacket, Packet};
use pnet::util::MacAddr;
use std::net::Ipv4Addr;

/// Port of destination and payload of a UDP frame from the system under test to a MAC.
pub fn datagram(frame: &[u8], to: [u8; 6]) -> Result<(u16, Vec<u8>), Failed> {
    let ethernet = EthernetPacket::new(frame).ok_or("a runt")?;
    if ethernet.get_destination() != MacAddr::from(to)
        || ethernet.get_source() != MacAddr::from(topology::SUT_MAC)
        || ethernet.get_ethertype() != EtherTypes::Ipv4
    {
        return Err(format!("not an IPv4 frame to {to:?}: {ethernet:?}").into());
    }
    let ip = Ipv4Packet::new(ethernet.payload()).ok_or("no IPv4 header")?;
    let udp = UdpPacket::new(ip.payload()).ok_or("no UDP header")?;
    let right = pnet::packet::udp::ipv4_checksum(&udp, &ip.get_source(), &ip.get_destination());
    assert_eq!(ipv4::checksum(&ip), ip.get_checksum(), "checksum of the IPv4 header");
    assert_eq!(udp.get_checksum(), right, "checksum of UDP");
    Ok((udp.get_destination(), udp.payload().to_vec()))
}

/// The address that an ARP request of the system under test asks for.
pub fn asked_for(frame: &[u8]) -> Result<Ipv4Addr, Failed> {
    let ethernet = EthernetPacket::new(frame).ok_or("a runt")?;
    let arp = ArpPacket::new(ethernet.payload()).ok_or("no ARP packet")?;
    assert_eq!(ethernet.get_ethertype(), EtherTypes::Arp);
    assert_eq!(ethernet.get_destination(), MacAddr::broadcast());
    assert_eq!(arp.get_operation(), ArpOperations::Request);
    assert_eq!(arp.get_sender_proto_addr(), topology::SUT_IP);
    Ok(arp.get_target_proto_addr())
}

pub fn ethernet(kind: pnet::packet::ethernet::EtherType, length: usize) -> Vec<u8> {
    let mut frame = vec![0; 14 + length];
    let mut header = MutableEthernetPacket::new(&mut frame).expect("there is room");
    header.set_destination(topology::SUT_MAC.into());
    header.set_source(topology::PEER_MAC.into());
    header.set_ethertype(kind);
    frame
}

pub fn arp_reply() -> Vec<u8> {
    let mut frame = ethernet(EtherTypes::Arp, 28);
    let mut header = MutableEthernetPacket::new(&mut frame).expect("there is room");
    let mut arp = MutableArpPacket::new(header.payload_mut()).expect("there is room");
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(ArpOperations::Reply);
    arp.set_sender_hw_addr(topology::PEER_MAC.into());
    arp.set_sender_proto_addr(topology::PEER_IP);
    arp.set_target_hw_addr(topology::SUT_MAC.into());
    arp.set_target_proto_addr(topology::SUT_IP);
    frame
}

/// An IPv4 packet of the peer, in a frame.
pub fn from_peer(protocol: pnet::packet::ip::IpNextHeaderProtocol, body: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(EtherTypes::Ipv4, 20 + body.len());
    let mut header = MutableEthernetPacket::new(&mut frame).expect("there is room");
    let mut ip = MutableIpv4Packet::new(header.payload_mut()).expect("there is room");
    ip.set_version(4);
    ip.set_header_length(5);
    ip.set_total_length(u16::try_from(20 + body.len()).expect("it is short"));
    ip.set_ttl(64);
    ip.set_next_level_protocol(protocol);
    ip.set_source(topology::PEER_IP);
    ip.set_destination(topology::SUT_IP);
    ip.set_payload(body);
    ip.set_checksum(ipv4::checksum(&ip.to_immutable()));
    frame
}

pub fn udp_from_peer(to: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = vec![0; 8 + payload.len()];
    let mut udp = MutableUdpPacket::new(&mut body).expect("there is room");
    udp.set_source(7);
    udp.set_destination(to);
    udp.set_length(u16::try_from(8 + payload.len()).expect("it is short"));
    udp.set_payload(payload);
    udp.set_checksum(pnet::packet::udp::ipv4_checksum(
        &udp.to_immutable(),
        &topology::PEER_IP,
        &topology::SUT_IP,
    ));
    from_peer(IpNextHeaderProtocols::Udp, &body)
}

/// A segment of the peer without data, 40000 > 8080.
pub fn segment(sequence: u32, acknowledgement: u32, flags: u8) -> Vec<u8> {
    let mut body = vec![0; 20];
    let mut tcp = pnet::packet::tcp::MutableTcpPacket::new(&mut body).expect("there is room");
    tcp.set_source(40000);
    tcp.set_destination(8080);
    tcp.set_sequence(sequence);
    tcp.set_acknowledgement(acknowledgement);
    tcp.set_data_offset(5);
    tcp.set_flags(flags);
    tcp.set_window(65535);
    tcp.set_checksum(pnet::packet::tcp::ipv4_checksum(
        &tcp.to_immutable(),
        &topology::PEER_IP,
        &topology::SUT_IP,
    ));
    from_peer(IpNextHeaderProtocols::Tcp, &body)
}
