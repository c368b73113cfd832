//! The link as the MAC sees it: `STATUS.LU`, speed and duplex, its interrupt, and the cable (section 3.7, 4.5.7).

use crate::nic::Nic;
use crate::registers::bit::{ctrl, icr, status};
use crate::registers::offset;

/// How fast a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speed {
    /// 10 Mbit/s.
    Mbps10,
    /// 100 Mbit/s.
    Mbps100,
    /// 1000 Mbit/s.
    Mbps1000,
}

impl Speed {
    /// Bits per second.
    #[must_use]
    pub const fn bits_per_second(self) -> u64 {
        match self {
            Self::Mbps10 => 10_000_000,
            Self::Mbps100 => 100_000_000,
            Self::Mbps1000 => 1_000_000_000,
        }
    }

    /// As `CTRL.SPD`, `STATUS.SPEED` and the speed bits of the PHY have it.
    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::Mbps10 => 0,
            Self::Mbps100 => 1,
            Self::Mbps1000 => 2,
        }
    }

    pub(crate) const fn of_code(code: u32) -> Self {
        match code {
            0 => Self::Mbps10,
            1 => Self::Mbps100,
            _ => Self::Mbps1000,
        }
    }
}

/// Speed and duplex of a link. In half duplex there are no collisions: the other end never sends at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkMode {
    /// How fast.
    pub speed: Speed,
    /// Whether both ends may send at once. 1000 Mbit/s always is.
    pub is_full_duplex: bool,
}

impl LinkMode {
    /// 1000 Mbit/s, full duplex.
    pub const GIGABIT: Self = Self { speed: Speed::Mbps1000, is_full_duplex: true };
}

/// Whether the MAC has a link, and which.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) is_up: bool,
    pub(crate) mode: LinkMode,
}

impl Link {
    pub(crate) const fn new() -> Self {
        Self { is_up: false, mode: LinkMode::GIGABIT }
    }
}

impl Nic {
    /// Plugs the cable, to the partner of [`crate::Config::partner`], or pulls it. Plugged, autonegotiation follows.
    pub fn set_link(&mut self, up: bool) {
        if self.phy.has_cable == up {
            return;
        }
        self.phy.has_cable = up;
        if !self.is_phy_loopback() {
            self.restart_autoneg();
        }
    }

    /// Whether a cable is plugged: not while it is pulled or flaps, and not any more once the card is pulled out.
    #[must_use]
    pub const fn has_cable(&self) -> bool {
        self.phy.has_cable
    }

    /// Whether `STATUS.LU` is set.
    #[must_use]
    pub const fn is_link_up(&self) -> bool {
        self.link.is_up
    }

    /// The speed and duplex that the MAC runs at.
    #[must_use]
    pub const fn link_mode(&self) -> LinkMode {
        self.link.mode
    }

    /// The MAC has a link when the PHY has one and the driver has set `CTRL.SLU`. A change is an interrupt cause. Speed and
    /// duplex are the PHY's, unless `CTRL.FRCSPD` and `FRCDPX` force them.
    pub(crate) fn update_link(&mut self) {
        let control = self.registers.get(offset::CTRL);
        let mut mode = self.phy.mode;
        if control & ctrl::FRCSPD != 0 {
            mode.speed = Speed::of_code(control >> 8 & 3);
        }
        if control & ctrl::FRCDPX != 0 {
            mode.is_full_duplex = control & ctrl::FD != 0;
        }
        self.link.mode = mode;
        // A MAC at another speed than its PHY has no link.
        let agrees = mode.speed == self.phy.mode.speed || self.is_phy_loopback();
        let up = self.phy.is_linked && agrees && control & ctrl::SLU != 0;
        if up != self.link.is_up {
            self.link.is_up = up;
            self.raise_cause(icr::LSC);
            self.start_frame();
        }
    }

    /// The bits of `STATUS` that are the link's.
    pub(crate) const fn link_status(&self) -> u32 {
        let up = if self.link.is_up { status::LU } else { 0 };
        let duplex = if self.link.mode.is_full_duplex { status::FD } else { 0 };
        let paused = if self.is_paused() { status::TXOFF } else { 0 };
        up | duplex | paused | self.link.mode.speed.code() << 6
    }
}
