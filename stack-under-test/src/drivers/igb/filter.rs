//! Which frames the device takes: addresses, groups, sizes (`igb_set_rx_mode`; Linux 6.12). VLANs are in `vlan.rs`.

use super::Igb;
use super::regs::*;
use crate::netdev::DriverCtx;
use crate::wire::Mac;
use crate::wire::ethernet::multicast_mac;
use core::net::Ipv4Addr;

/// The largest frame that the device is told to take, beyond the standard size.
pub(super) const JUMBO_FRAME: u32 = 0x2600;
/// The largest frame that one buffer takes: what Linux sets on pages of 4 KiB.
const ONE_BUFFER_FRAME: u32 = 1536;
/// The bit of the multicast table for an address, with `RCTL.MO` 0 (`igb_hash_mc_addr`).
fn mta_hash(mac: &Mac) -> u32 {
    (u32::from(mac[5]) << 4 | u32::from(mac[4]) >> 4) & 0xfff
}

impl Igb {
    /// Whether every frame is taken (`ip link set promisc`), and whether every frame to a group is (`allmulticast`); `None` stays
    /// as it is. A device that is up takes them at once, without a reset.
    pub fn set_rx_flags(
        &mut self,
        ctx: &mut DriverCtx<'_>,
        promisc: Option<bool>,
        all_multicast: Option<bool>,
    ) {
        self.promisc = promisc.unwrap_or(self.promisc);
        self.all_multicast = all_multicast.unwrap_or(self.all_multicast);
        if self.is_up() {
            self.set_rx_mode(ctx);
        }
    }

    /// Frames for the station, for everybody, and for all hosts (224.0.0.1, which every host has joined: RFC 1112, section
    /// 7.2), of no VLAN or with a priority alone, up to the size that the MTU asks for; more as the flags say.
    pub(super) fn set_rx_mode(&mut self, ctx: &mut DriverCtx<'_>) {
        ctx.trace.function(0, "igb_set_rx_mode");
        let hash = mta_hash(&multicast_mac(Ipv4Addr::new(224, 0, 0, 1)));
        self.hw.wr32(ctx.bus, MTA + 4 * (hash >> 5), 1 << (hash & 31));
        let (rctl, vmolr_bits) = match (self.promisc, self.all_multicast) {
            // Without VFs the device cannot let all VLANs pass but by not filtering them.
            (true, _) => (RCTL_UPE | RCTL_MPE, VMOLR_MPME | VMOLR_ROPE),
            (false, true) => (RCTL_MPE | RCTL_VFE, VMOLR_MPME),
            (false, false) => (RCTL_VFE, VMOLR_ROMPE),
        };
        self.hw.modify(ctx.bus, RCTL, RCTL_UPE | RCTL_MPE | RCTL_VFE, rctl);
        let limit = if self.max_frame() <= ONE_BUFFER_FRAME { ONE_BUFFER_FRAME } else { JUMBO_FRAME };
        self.hw.wr32(ctx.bus, RLPML, limit);
        let clear = VMOLR_RLPML | VMOLR_ROPE | VMOLR_ROMPE | VMOLR_MPME;
        self.hw.modify(ctx.bus, vmolr(0), clear, VMOLR_LPE | limit | vmolr_bits);
    }
}

#[cfg(test)]
mod tests {
    use super::mta_hash;
    use crate::wire::Mac;
    use rstest::rstest;

    /// By hand, from bits 47:36 of the address (82576 datasheet, RCTL.MO 00b).
    #[rstest]
    #[case::all_hosts([0x01, 0x00, 0x5e, 0x00, 0x00, 0x01], 0x010)]
    #[case::both_bytes([0x01, 0x00, 0x5e, 0x00, 0xf0, 0xab], 0xabf)]
    fn the_hash_is_the_upper_twelve_bits_of_the_address(#[case] mac: Mac, #[case] hash: u32) {
        assert_eq!(mta_hash(&mac), hash);
    }
}
