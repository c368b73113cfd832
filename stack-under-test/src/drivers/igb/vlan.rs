//! VLANs: which the filter lets in, and whether tags are taken off (`igb_vlan_rx_add_vid`, `igb_vlan_mode`; Linux 6.12). How a tag
//! is put on is in `tso.rs`, with whatever else needs a context descriptor of its own.

use super::Igb;
use super::regs::*;
use crate::netdev::DriverCtx;

/// Registers of the filter, of 32 VLANs each.
const VFTA_REGISTERS: usize = 128;

/// What the driver keeps about VLANs.
#[derive(Debug)]
pub(super) struct Vlans {
    /// `NETIF_F_HW_VLAN_CTAG_RX`: the device takes tags off.
    pub(super) strip: bool,
    /// `active_vlans`, as the filter's registers have them. Number 0, a priority alone, is always in it.
    filter: [u32; VFTA_REGISTERS],
}

impl Default for Vlans {
    fn default() -> Self {
        let mut filter = [0; VFTA_REGISTERS];
        filter[0] = 1;
        Self { strip: true, filter }
    }
}

impl Igb {
    /// Frames of this VLAN are let in.
    pub fn vlan_rx_add_vid(&mut self, ctx: &mut DriverCtx<'_>, vid: u16) {
        self.set_vfta(ctx, vid, true);
    }

    /// Frames of this VLAN are not let in any more; those with a priority alone always are.
    pub fn vlan_rx_kill_vid(&mut self, ctx: &mut DriverCtx<'_>, vid: u16) {
        if vid != 0 {
            self.set_vfta(ctx, vid, false);
        }
    }

    fn set_vfta(&mut self, ctx: &mut DriverCtx<'_>, vid: u16, on: bool) {
        let (register, bit) = (usize::from(vid >> 5) % VFTA_REGISTERS, 1 << (vid & 31));
        let before = self.vlans.filter[register];
        let word = if on { before | bit } else { before & !bit };
        self.vlans.filter[register] = word;
        if self.running() {
            self.hw.wr32(ctx.bus, VFTA + 4 * register as u32, word);
        }
    }

    /// Whether tags are taken off frames (`ethtool -K rxvlan`). No reset is needed.
    pub fn set_vlan_strip(&mut self, ctx: &mut DriverCtx<'_>, on: bool) {
        if core::mem::replace(&mut self.vlans.strip, on) != on && self.running() {
            self.vlan_mode(ctx);
        }
    }

    /// `igb_vlan_mode`.
    fn vlan_mode(&mut self, ctx: &mut DriverCtx<'_>) {
        let either = |bit| if self.vlans.strip { (0, bit) } else { (bit, 0) };
        let (vme, strip) = (either(CTRL_VME), either(VMOLR_STRVLAN));
        self.hw.modify(ctx.bus, CTRL, vme.0, vme.1);
        if self.vlans.strip {
            self.hw.modify(ctx.bus, RCTL, RCTL_CFIEN, 0);
        }
        self.hw.modify(ctx.bus, vmolr(0), strip.0, strip.1);
    }

    /// `igb_restore_vlan`: after a reset the device knows of no VLAN.
    pub(super) fn restore_vlan(&mut self, ctx: &mut DriverCtx<'_>) {
        self.vlan_mode(ctx);
        self.hw.modify(ctx.bus, DTXCTL, 0, DTXCTL_VLAN_ADDED);
        self.hw.modify(ctx.bus, RPLOLR, 0, RPLOLR_STRVLAN);
        for (register, word) in self.vlans.filter.iter().enumerate().filter(|(_, word)| **word != 0) {
            self.hw.wr32(ctx.bus, VFTA + 4 * register as u32, *word);
        }
    }
}
