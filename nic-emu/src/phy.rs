//! The copper PHY behind `MDIC`, and autonegotiation (section 8.2.4, 3.5; IEEE 802.3 clause 22 and 28).

use alloc::collections::BTreeMap;
use alloc::format;

use crate::agenda::Event;
use crate::config::Partner;
use crate::link::{LinkMode, Speed};
use crate::nic::Nic;
use crate::observation::Rule;
use crate::registers::bit::{icr, mdic, status};
use crate::registers::offset;

const ADDRESS: u32 = 1;
const PAGE_SELECT: u8 = 0x1F;
/// Registers of other pages that are kept; a driver writes some dozens.
const PAGED_MAX: usize = 256;

const BMCR_RESET: u16 = 1 << 15;
const BMCR_LOOPBACK: u16 = 1 << 14;
const BMCR_SPEED100: u16 = 1 << 13;
const BMCR_FD: u16 = 1 << 8;
const BMCR_SPEED1000: u16 = 1 << 6;
const BMCR_AN_EN: u16 = 1 << 12;
const BMCR_PWRDN: u16 = 1 << 11;
const BMCR_RESTART_AN: u16 = 1 << 9;
const BMSR_AN_DONE: u16 = 1 << 5;
const BMSR_LINK: u16 = 1 << 2;
/// `ANAR` and `ANLPAR`, best first: the bit, and what it means.
const MODES: [(u16, Speed, bool); 4] = [
    (1 << 8, Speed::Mbps100, true),
    (1 << 7, Speed::Mbps100, false),
    (1 << 6, Speed::Mbps10, true),
    (1 << 5, Speed::Mbps10, false),
];
/// `GBCR`: 1000 Mbit/s full duplex is advertised.
const GBCR_1000FD: u16 = 1 << 9;
const ANAR_PAUSE: u16 = 1 << 10;
const ANAR_ASM_DIR: u16 = 1 << 11;
/// The partner's next page and acknowledge bits, and the selector of IEEE 802.3.
const ANLPAR_ALWAYS: u16 = 0xC001;

/// Registers 0 to 15 after power-up: an IGP3, autonegotiating.
const RESET: [u16; 16] =
    [0x1140, 0x7949, 0x02A8, 0x0391, 0x0DE1, 0, 0x0004, 0x2001, 0, 0x0300, 0, 0, 0, 0, 0, 0x3000];

/// The PHY's registers and the state of its link.
#[derive(Clone, Debug)]
pub(crate) struct Phy {
    standard: [u16; 16],
    /// Vendor registers by page and number.
    paged: BTreeMap<(u16, u8), u16>,
    page: u16,
    /// A link loss that no read of BMSR has reported yet.
    loss_latched: bool,
    pub(crate) has_cable: bool,
    pub(crate) is_linked: bool,
    /// What autonegotiation, or the driver, has settled.
    pub(crate) mode: LinkMode,
    partner: Partner,
    /// Counts autonegotiations, so that the end of an abandoned one is known.
    round: u32,
}

impl Phy {
    pub(crate) fn new(partner: Partner) -> Self {
        Self {
            mode: LinkMode::GIGABIT,
            partner,
            standard: RESET,
            paged: BTreeMap::new(),
            page: 0,
            loss_latched: true,
            has_cable: true,
            is_linked: false,
            round: 0,
        }
    }

    fn read(&mut self, register: u8) -> u16 {
        let linked = self.is_linked;
        match register {
            1 => {
                let shown = linked && !core::mem::take(&mut self.loss_latched);
                let done = if linked { BMSR_AN_DONE } else { 0 };
                self.standard[1] & !(BMSR_AN_DONE | BMSR_LINK) | done | if shown { BMSR_LINK } else { 0 }
            }
            5 if linked => self.partner.abilities(),
            // Both receivers are good; the partner's half duplex of 1000 Mbit/s goes with its full one.
            10 if linked => 0x7000 | if self.partner.gigabit { 0x0C00 } else { 0 },
            // IGP port status: speed, link, duplex.
            17 if linked => {
                let speed = self.mode.speed.code() as u16 + 1;
                speed << 14 | 1 << 10 | if self.mode.is_full_duplex { 1 << 9 } else { 0 }
            }
            0..=15 => self.standard[usize::from(register)],
            PAGE_SELECT => self.page,
            _ => self.paged.get(&(self.page, register)).copied().unwrap_or(0),
        }
    }
}

impl Phy {
    /// The best mode that both ends can do, or what `BMCR` forces. None: no link.
    fn resolve(&self) -> Option<LinkMode> {
        let control = self.standard[0];
        if control & BMCR_AN_EN == 0 {
            let speed = match (control & BMCR_SPEED1000 != 0, control & BMCR_SPEED100 != 0) {
                (true, _) => Speed::Mbps1000,
                (_, true) => Speed::Mbps100,
                _ => Speed::Mbps10,
            };
            return Some(LinkMode { speed, is_full_duplex: control & BMCR_FD != 0 });
        }
        if self.standard[9] & GBCR_1000FD != 0 && self.partner.gigabit {
            return Some(LinkMode::GIGABIT);
        }
        let common = self.standard[4] & self.partner.abilities();
        let (_, speed, is_full_duplex) = MODES.into_iter().find(|(bit, ..)| common & bit != 0)?;
        Some(LinkMode { speed, is_full_duplex })
    }
}

impl Partner {
    /// As it stands in `ANLPAR`.
    const fn abilities(self) -> u16 {
        let mut word = ANLPAR_ALWAYS | self.modes << 5;
        if self.pause {
            word |= ANAR_PAUSE;
        }
        if self.asymmetric_pause {
            word |= ANAR_ASM_DIR;
        }
        word
    }
}

impl Nic {
    pub(crate) fn write_mdic(&mut self, value: u32) {
        if self.registers.get(offset::MDIC) & mdic::READY == 0 {
            return self.observe(
                Rule::PhyAccess,
                format!("MDIC written with {value:#x} while busy (section 8.2.4)"),
            );
        }
        self.registers.set(offset::MDIC, value & !(mdic::READY | mdic::ERROR));
        if self.config.serial_ns == 0 {
            self.mdio_done();
        } else {
            self.agenda.plan(self.now + self.config.serial_ns, Event::MdioDone);
        }
    }

    pub(crate) fn mdio_done(&mut self) {
        let request = self.registers.get(offset::MDIC);
        let register = (request >> 16 & 0x1F) as u8;
        let mut answer = request | mdic::READY;
        if request >> 21 & 0x1F != ADDRESS {
            answer |= mdic::ERROR;
            let text =
                format!("MDIC asks PHY {}; the PHY is {ADDRESS} (section 8.2.4)", request >> 21 & 0x1F);
            self.observe(Rule::PhyAccess, text);
        } else if request & mdic::READ != 0 {
            answer = answer & !0xFFFF | u32::from(self.phy.read(register));
        } else if request & mdic::WRITE != 0 {
            self.write_phy(register, request as u16);
        }
        self.registers.set(offset::MDIC, answer);
        if request & mdic::INT_EN != 0 {
            self.raise_cause(icr::MDAC);
        }
    }

    fn write_phy(&mut self, register: u8, value: u16) {
        match register {
            0 => self.write_bmcr(value),
            4 | 7 | 9 => self.phy.standard[usize::from(register)] = value,
            1..=3 | 5 | 6 | 8 | 10..=15 => {}
            PAGE_SELECT => self.phy.page = value,
            _ if self.phy.paged.len() < PAGED_MAX => {
                self.phy.paged.insert((self.phy.page, register), value);
            }
            _ => {}
        }
    }

    fn write_bmcr(&mut self, value: u16) {
        if value & BMCR_RESET != 0 {
            return self.reset_phy();
        }
        let old = self.phy.standard[0];
        self.phy.standard[0] = value & !BMCR_RESTART_AN;
        if value & BMCR_PWRDN != 0 {
            self.phy.round += 1;
            self.set_phy_link(false);
        } else if value & BMCR_LOOPBACK != 0 {
            self.phy.round += 1;
            self.phy.mode = self.phy.resolve().unwrap_or(LinkMode::GIGABIT);
            self.set_phy_link(true);
        } else if value & BMCR_RESTART_AN != 0
            || (value ^ old) & (BMCR_AN_EN | BMCR_PWRDN | BMCR_LOOPBACK) != 0
        {
            self.restart_autoneg();
        }
    }

    /// `CTRL.PHY_RST` or `BMCR.RESET`: defaults, and autonegotiation from the start.
    pub(crate) fn reset_phy(&mut self) {
        self.phy.standard = RESET;
        self.phy.paged.clear();
        self.phy.page = 0;
        self.registers.set_bits(offset::STATUS, status::PHYRA);
        self.restart_autoneg();
    }

    /// Whether the PHY sends back what it is given.
    pub(crate) const fn is_phy_loopback(&self) -> bool {
        self.phy.standard[0] & BMCR_LOOPBACK != 0
    }

    pub(crate) fn restart_autoneg(&mut self) {
        self.phy.round += 1;
        self.set_phy_link(false);
        self.agenda.drop_autoneg();
        if self.phy.has_cable && self.phy.standard[0] & BMCR_PWRDN == 0 {
            let round = self.phy.round;
            self.agenda.plan(self.now + self.config.autoneg_ns.max(1), Event::AutonegDone(round));
        }
    }

    pub(crate) fn autoneg_done(&mut self, round: u32) {
        if round != self.phy.round || !self.phy.has_cable {
            return;
        }
        if let Some(mode) = self.phy.resolve() {
            self.phy.mode = mode;
            self.set_phy_link(true);
        }
    }

    fn set_phy_link(&mut self, linked: bool) {
        self.phy.loss_latched |= !linked;
        self.phy.is_linked = linked;
        self.update_link();
    }
}
