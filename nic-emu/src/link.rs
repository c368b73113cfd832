//! The link as the MAC sees it: `STATUS.LU`, its interrupt, and the cable (section 3.7, 4.5.7).

use crate::nic::Nic;
use crate::registers::bit::{ctrl, icr};
use crate::registers::offset;

/// Whether the MAC has a link.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) is_up: bool,
}

impl Link {
    pub(crate) const fn new() -> Self {
        Self { is_up: false }
    }
}

impl Nic {
    /// Plugs the cable, to a partner that does 1000 Mbit/s full duplex, or pulls it. Plugged, autonegotiation follows.
    pub fn set_link(&mut self, up: bool) {
        if self.phy.has_cable == up {
            return;
        }
        self.phy.has_cable = up;
        if !self.is_phy_loopback() {
            self.restart_autoneg();
        }
    }

    /// Whether `STATUS.LU` is set.
    #[must_use]
    pub const fn is_link_up(&self) -> bool {
        self.link.is_up
    }

    /// The MAC has a link when the PHY has one and the driver has set `CTRL.SLU`. A change is an interrupt cause.
    pub(crate) fn update_link(&mut self) {
        let up = self.phy.is_linked && self.registers.has(offset::CTRL, ctrl::SLU);
        if up != self.link.is_up {
            self.link.is_up = up;
            self.raise_cause(icr::LSC);
            self.start_frame();
        }
    }
}
