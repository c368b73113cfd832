//! The addresses of the topology.

use std::net::Ipv4Addr;

/// `${sut.ip}`, /24.
pub const SUT_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// `${peer.ip}`.
pub const PEER_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// `${gateway.ip}`.
pub const GATEWAY_IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
/// `${sut.mac}`.
pub const SUT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// `${peer.mac}`.
pub const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// `${gateway.mac}`.
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];
/// What the wire carries at most, in bytes of an Ethernet frame without FCS.
pub const WIRE_BYTES: usize = 9216;
