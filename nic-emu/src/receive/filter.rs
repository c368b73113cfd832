//! Which frames are for this port: address and VLAN filters (section 7.1.1).

use crate::nic::Nic;
use crate::registers::bit::rctl;
use crate::registers::offset;
use crate::statistics::{Cast, cast_of};

/// Receive address registers.
const RAR_ENTRIES: u32 = 24;
/// `RAH.AV`: the entry is valid.
const RAH_AV: u32 = 1 << 31;

/// How a frame passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Exact,
    Inexact,
}

impl Nic {
    /// Whether, and how, a frame passes.
    pub(super) fn filter(&self, frame: &[u8]) -> Option<Match> {
        let matched = self.filter_address(frame)?;
        self.passes_vlan(frame).then_some(matched)
    }

    fn filter_address(&self, frame: &[u8]) -> Option<Match> {
        let control = self.registers.get(offset::RCTL);
        let address = frame.get(..6)?;
        let cast = cast_of(frame);
        if cast == Cast::Broadcast && control & rctl::BAM != 0 || self.is_own_address(address) {
            return Some(Match::Exact);
        }
        let (table, promiscuous) = match cast {
            Cast::Unicast => (offset::UTA, rctl::UPE),
            Cast::Multicast | Cast::Broadcast => (offset::MTA, rctl::MPE),
        };
        let hash = hash(address, control >> 12 & 3);
        let listed = self.registers.get(table + 4 * (hash >> 5)) & 1 << (hash & 31) != 0;
        (listed || control & promiscuous != 0).then_some(Match::Inexact)
    }

    fn is_own_address(&self, address: &[u8]) -> bool {
        let low = u32::from_le_bytes([address[0], address[1], address[2], address[3]]);
        let high = u32::from(u16::from_le_bytes([address[4], address[5]]));
        (0..RAR_ENTRIES).any(|entry| {
            let at = if entry < 16 { offset::RAL + 8 * entry } else { offset::RAL_UPPER + 8 * (entry - 16) };
            let upper = self.registers.get(at + 4);
            upper & RAH_AV != 0 && upper & 0xFFFF == high && self.registers.get(at) == low
        })
    }

    fn passes_vlan(&self, frame: &[u8]) -> bool {
        let Some(tag) = self.vlan_tag(frame) else { return true };
        if !self.registers.has(offset::RCTL, rctl::VFE) {
            return true;
        }
        let id = u32::from(tag & 0xFFF);
        self.registers.get(offset::VFTA + 4 * (id >> 5)) & 1 << (id & 31) != 0
    }

    /// The tag of a frame whose type is the one in `VET`.
    pub(super) fn vlan_tag(&self, frame: &[u8]) -> Option<u16> {
        let &[kind_high, kind_low, high, low] = frame.get(12..16)? else { return None };
        let is_tagged = u16::from_be_bytes([kind_high, kind_low]) == self.registers.get(offset::VET) as u16;
        is_tagged.then_some(u16::from_be_bytes([high, low]))
    }
}

/// Twelve bits of the address's last two bytes, chosen by `RCTL.MO`.
fn hash(address: &[u8], offset: u32) -> u32 {
    let shift = [4, 5, 6, 8][offset as usize];
    (u32::from(address[5]) << shift | u32::from(address[4]) >> (8 - shift)) & 0xFFF
}

#[cfg(test)]
mod tests {
    use super::hash;
    use rstest::rstest;

    #[rstest]
    #[case(0, 0x563)]
    #[case(1, 0xAC6)]
    #[case(2, 0x58D)]
    #[case(3, 0x634)]
    fn multicast_offset_chooses_twelve_bits(#[case] offset: u32, #[case] expected: u32) {
        assert_eq!(hash(&[0x01, 0xAA, 0x00, 0x12, 0x34, 0x56], offset), expected);
    }
}
