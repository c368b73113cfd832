//! Receive side scaling: the Toeplitz hash and the redirection table (section 7.1.2.8).

use super::parse::{Layer4, Parsed};
use crate::nic::Nic;
use crate::registers::offset;

/// `MRQC` mode of RSS without virtual machines.
const MODE_RSS: u32 = 2;
const FIELD_IPV4_TCP: u32 = 1 << 16;
const FIELD_IPV4: u32 = 1 << 17;
const FIELD_IPV6: u32 = 1 << 20;
const FIELD_IPV6_TCP: u32 = 1 << 21;
const FIELD_IPV4_UDP: u32 = 1 << 22;
const FIELD_IPV6_UDP: u32 = 1 << 23;

/// A hash and what it was taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash {
    /// RSS type of the descriptor.
    pub(super) kind: u32,
    pub(super) value: u32,
}

impl Nic {
    /// The queue of a frame, and its hash if one was taken.
    pub(super) fn choose_queue(&self, frame: &[u8], parsed: &Parsed) -> (usize, Option<Hash>) {
        let hash = self.rss_hash(frame, parsed);
        let Some(Hash { value, .. }) = hash else { return (0, None) };
        let entry = value & 127;
        let register = self.registers.get(offset::RETA + (entry & !3));
        ((register >> (8 * (entry & 3)) & 0xF) as usize, hash)
    }

    fn rss_hash(&self, frame: &[u8], parsed: &Parsed) -> Option<Hash> {
        let control = self.registers.get(offset::MRQC);
        if control & 7 != MODE_RSS {
            return None;
        }
        let (is_v6, addresses) = (parsed.is_ipv6, parsed.addresses(frame)?);
        let [tcp, udp, ip] = if is_v6 {
            [(FIELD_IPV6_TCP, 3), (FIELD_IPV6_UDP, 8), (FIELD_IPV6, 5)]
        } else {
            [(FIELD_IPV4_TCP, 1), (FIELD_IPV4_UDP, 7), (FIELD_IPV4, 2)]
        };
        let with_ports = match parsed.layer4 {
            Layer4::Tcp => Some(tcp),
            Layer4::Udp => Some(udp),
            _ => None,
        };
        let chosen = with_ports.filter(|(field, _)| control & field != 0);
        if let (Some((_, kind)), Some(ports)) = (chosen, frame.get(parsed.l4_start..parsed.l4_start + 4)) {
            let input = addresses.iter().chain(ports).copied();
            return Some(Hash { kind, value: self.toeplitz(input) });
        }
        (control & ip.0 != 0).then(|| Hash { kind: ip.1, value: self.toeplitz(addresses.iter().copied()) })
    }

    /// For each set bit of the input, the 32 bits of the key that begin at its place.
    fn toeplitz(&self, input: impl Iterator<Item = u8>) -> u32 {
        let key =
            |byte: u32| u64::from(self.registers.get(offset::RSSRK + (byte & !3)) >> (8 * (byte & 3)) & 0xFF);
        let mut window = key(0) << 24 | key(1) << 16 | key(2) << 8 | key(3);
        let mut hash = 0;
        for (place, byte) in (4..).zip(input) {
            window = window << 8 | key(place);
            for bit in 0..8 {
                if byte & 0x80 >> bit != 0 {
                    hash ^= (window >> (8 - bit)) as u32;
                }
            }
        }
        hash
    }
}
