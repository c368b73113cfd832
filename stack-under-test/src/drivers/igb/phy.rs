//! The PHY, behind MDIC and its semaphores: setting it up, and asking it for the link. One access at a time, none of which
//! sleeps: each wait is a poll with a limit.

use super::hw::{Fault, Hw};
use super::pause::Pause;
use super::regs::*;
use crate::bus::Bus;
use crate::time::{Duration, Instant};

/// The address of the internal PHY of an 82576.
const PHY_ADDRESS: u32 = 1;

const BMCR: u32 = 0;
const BMCR_RESTART_AN: u16 = 1 << 9;
const BMCR_PWRDN: u16 = 1 << 11;
const BMCR_LOOPBACK: u16 = 1 << 14;
/// Loopback at 1000 Mb/s, full duplex.
const BMCR_LOOPBACK_1000: u16 = BMCR_LOOPBACK | 1 << 8 | 1 << 6;
const BMCR_AN_EN: u16 = 1 << 12;
const BMSR: u32 = 1;
const BMSR_LINK: u16 = 1 << 2;
const BMSR_AN_DONE: u16 = 1 << 5;
const ANAR: u32 = 4;
const ANLPAR: u32 = 5;
/// 10 and 100 Mb/s, both duplexes.
const ANAR_ALL_SPEEDS: u16 = 0xF << 5;
/// PAUSE and ASM_DIR.
const ANAR_PAUSES: u16 = 3 << 10;
const GBCR: u32 = 9;
const GBCR_1000FD: u16 = 1 << 9;
const GBCR_1000HD: u16 = 1 << 8;
const GBSR: u32 = 10;
const GBSR_REMOTE_RX_OK: u16 = 1 << 12;

const SEMAPHORE_POLLS: u16 = 200;
const SEMAPHORE_EVERY: Duration = Duration::from_millis(5);
const MDIC_POLLS: u16 = 1920;
const MDIC_EVERY: Duration = Duration::from_micros(50);
const REMOTE_RX_POLLS: u16 = 20;
const REMOTE_RX_EVERY: Duration = Duration::from_millis(100);

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Autonegotiation was restarted.
    SetUp,
    /// There is a link; which pause frames the two sides agreed on.
    Link { pause: Pause },
    /// There is no link.
    NoLink,
    /// An access failed; the fault is counted.
    Failed,
}

/// The accesses of the two jobs, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    ReadAnar,
    WriteAnar,
    ReadGbcr,
    WriteGbcr,
    ReadBmcr,
    WriteBmcr,
    /// BMSR latches a lost link: the first read tells of the past.
    ReadBmsrPast,
    ReadBmsr,
    ReadOwnPause,
    ReadPartnerPause,
    ReadGbsr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Semaphore,
    Mdic,
    RemoteRx,
}

/// The PHY's present job.
#[derive(Debug)]
pub(super) struct Phy {
    step: Option<Step>,
    wait: Wait,
    polls: u16,
    remote_rx_polls: u16,
    next: Instant,
    /// What the next write writes.
    value: u16,
    own_pause: u16,
    /// Which pause frames are asked for, and which were agreed on.
    requested: Pause,
    pause: Pause,
}

impl Default for Phy {
    fn default() -> Self {
        Self {
            step: None,
            wait: Wait::Semaphore,
            polls: 0,
            remote_rx_polls: 0,
            next: Instant::ZERO,
            value: 0,
            own_pause: 0,
            requested: Pause::FULL,
            pause: Pause::FULL,
        }
    }
}

impl Phy {
    /// Starts: advertise everything, with the pause frames that are `requested`, and restart autonegotiation (`igb_copper_link_autoneg`). A job under
    /// way is given up.
    pub(super) fn set_up(&mut self, now: Instant, requested: Pause) {
        self.requested = requested;
        self.start(Step::ReadAnar, now);
    }

    /// Starts: ask for the link (`igb_check_for_copper_link`).
    pub(super) fn check_link(&mut self, now: Instant) {
        self.remote_rx_polls = 0;
        self.start(Step::ReadBmsrPast, now);
    }

    /// Starts: send back what is sent (`igb_integrated_phy_loopback`).
    pub(super) fn set_loopback(&mut self, now: Instant) {
        self.start(Step::WriteBmcr, now);
        self.value = BMCR_LOOPBACK_1000;
    }

    /// Forgets the job: the device was reset.
    pub(super) fn cancel(&mut self) {
        self.step = None;
    }

    /// When [`Phy::run`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.step.map(|_| self.next)
    }

    fn start(&mut self, step: Step, now: Instant) {
        self.step = Some(step);
        self.wait = Wait::Semaphore;
        self.polls = 0;
        self.next = now;
    }

    /// Goes on as far as no wait is needed; an outcome once a job is done.
    pub(super) fn run(&mut self, now: Instant, hw: &mut Hw, bus: &mut dyn Bus) -> Option<Outcome> {
        while let Some(step) = self.step {
            if self.next > now {
                return None;
            }
            if hw.removed {
                return self.end(Outcome::Failed);
            }
            let outcome = match self.wait {
                Wait::RemoteRx | Wait::Semaphore => self.poll_semaphore(step, now, hw, bus),
                Wait::Mdic => self.poll_mdic(step, now, hw, bus),
            };
            if let Some(outcome) = outcome {
                return self.end(outcome);
            }
        }
        None
    }

    fn end(&mut self, outcome: Outcome) -> Option<Outcome> {
        self.step = None;
        Some(outcome)
    }

    fn poll_semaphore(
        &mut self,
        step: Step,
        now: Instant,
        hw: &mut Hw,
        bus: &mut dyn Bus,
    ) -> Option<Outcome> {
        if !acquire(hw, bus, SWFW_PHY0) {
            return self.again(now, SEMAPHORE_EVERY, SEMAPHORE_POLLS, Fault::SemaphoreTimeout, hw);
        }
        let (reg, write) = match step {
            Step::ReadAnar | Step::ReadOwnPause => (ANAR, false),
            Step::WriteAnar => (ANAR, true),
            Step::ReadGbcr => (GBCR, false),
            Step::WriteGbcr => (GBCR, true),
            Step::ReadBmcr => (BMCR, false),
            Step::WriteBmcr => (BMCR, true),
            Step::ReadBmsrPast | Step::ReadBmsr => (BMSR, false),
            Step::ReadPartnerPause => (ANLPAR, false),
            Step::ReadGbsr => (GBSR, false),
        };
        let op = if write { MDIC_OP_WRITE | u32::from(self.value) } else { MDIC_OP_READ };
        hw.wr32(bus, MDIC, op | reg << MDIC_REG_SHIFT | PHY_ADDRESS << MDIC_PHY_SHIFT);
        self.wait = Wait::Mdic;
        self.polls = 0;
        None
    }

    fn poll_mdic(&mut self, step: Step, now: Instant, hw: &mut Hw, bus: &mut dyn Bus) -> Option<Outcome> {
        let mdic = hw.rd32(bus, MDIC);
        if mdic & MDIC_READY == 0 || mdic == u32::MAX {
            let outcome = self.again(now, MDIC_EVERY, MDIC_POLLS, Fault::MdicTimeout, hw);
            if outcome.is_some() {
                release(hw, bus, SWFW_PHY0);
            }
            return outcome;
        }
        release(hw, bus, SWFW_PHY0);
        if mdic & MDIC_ERROR != 0 {
            hw.fault(Fault::MdicError);
            return Some(Outcome::Failed);
        }
        self.wait = Wait::Semaphore;
        self.polls = 0;
        self.answered(step, mdic as u16, now, hw, bus)
    }

    /// Polls once more after `every`, or fails when it was polled `limit` times.
    fn again(
        &mut self,
        now: Instant,
        every: Duration,
        limit: u16,
        fault: Fault,
        hw: &mut Hw,
    ) -> Option<Outcome> {
        self.polls += 1;
        self.next = now + every;
        if self.polls < limit {
            return None;
        }
        hw.fault(fault);
        Some(Outcome::Failed)
    }

    /// Takes the answer to one access, and chooses the next.
    fn answered(
        &mut self,
        step: Step,
        data: u16,
        now: Instant,
        hw: &mut Hw,
        bus: &mut dyn Bus,
    ) -> Option<Outcome> {
        let next = match step {
            Step::ReadAnar => {
                self.value = data & !ANAR_PAUSES | ANAR_ALL_SPEEDS | self.requested.advertised();
                Step::WriteAnar
            }
            Step::WriteAnar => Step::ReadGbcr,
            Step::ReadGbcr => {
                self.value = data & !GBCR_1000HD | GBCR_1000FD;
                Step::WriteGbcr
            }
            Step::WriteGbcr => Step::ReadBmcr,
            Step::ReadBmcr => {
                self.value = data & !(BMCR_PWRDN | BMCR_LOOPBACK) | BMCR_AN_EN | BMCR_RESTART_AN;
                Step::WriteBmcr
            }
            Step::WriteBmcr => return Some(Outcome::SetUp),
            Step::ReadBmsrPast => Step::ReadBmsr,
            Step::ReadBmsr if data & BMSR_LINK == 0 => return Some(Outcome::NoLink),
            Step::ReadBmsr if data & BMSR_AN_DONE == 0 => {
                self.pause = Pause { rx: false, tx: false };
                return self.after_pause(hw, bus);
            }
            Step::ReadBmsr => Step::ReadOwnPause,
            Step::ReadOwnPause => {
                self.own_pause = data;
                Step::ReadPartnerPause
            }
            Step::ReadPartnerPause => {
                let full_duplex = hw.rd32(bus, STATUS) & STATUS_FD != 0;
                self.pause = self.requested.resolved(self.own_pause, data, full_duplex);
                return self.after_pause(hw, bus);
            }
            Step::ReadGbsr if data & GBSR_REMOTE_RX_OK != 0 => return Some(self.link()),
            Step::ReadGbsr => {
                self.remote_rx_polls += 1;
                if self.remote_rx_polls == REMOTE_RX_POLLS {
                    return Some(self.link());
                }
                self.wait = Wait::RemoteRx;
                self.next = now + REMOTE_RX_EVERY;
                Step::ReadGbsr
            }
        };
        self.step = Some(next);
        None
    }

    /// At 1000 Mb/s the partner's receiver must be ready too.
    fn after_pause(&mut self, hw: &mut Hw, bus: &mut dyn Bus) -> Option<Outcome> {
        if hw.rd32(bus, STATUS) >> STATUS_SPEED_SHIFT & 2 == 0 {
            return Some(self.link());
        }
        self.step = Some(Step::ReadGbsr);
        None
    }

    fn link(&self) -> Outcome {
        Outcome::Link { pause: self.pause }
    }
}

/// Takes what a bit of SW_FW_SYNC stands for (the PHY, the NVM) for the driver: SWSM, then the bit in SW_FW_SYNC. Whether it was free.
pub(super) fn acquire(hw: &mut Hw, bus: &mut dyn Bus, what: u32) -> bool {
    if !take_swsm(hw, bus) {
        return false;
    }
    let sync = hw.rd32(bus, SW_FW_SYNC);
    let free = sync & (what | what << 16) == 0;
    if free {
        hw.wr32(bus, SW_FW_SYNC, sync | what);
    }
    hw.modify(bus, SWSM, SWSM_SMBI | SWSM_SWESMBI, 0);
    free
}

fn take_swsm(hw: &mut Hw, bus: &mut dyn Bus) -> bool {
    let swsm = hw.rd32(bus, SWSM);
    if swsm & SWSM_SMBI != 0 {
        return false;
    }
    hw.wr32(bus, SWSM, swsm | SWSM_SMBI | SWSM_SWESMBI);
    let taken = hw.try_rd32(bus, SWSM).is_some_and(|swsm| swsm & SWSM_SWESMBI != 0);
    if !taken {
        hw.modify(bus, SWSM, SWSM_SMBI | SWSM_SWESMBI, 0);
    }
    taken
}

/// Gives the PHY back. Somebody else's hold on SWSM does not keep the driver from clearing its own bit.
pub(super) fn release(hw: &mut Hw, bus: &mut dyn Bus, what: u32) {
    let held = take_swsm(hw, bus);
    hw.modify(bus, SW_FW_SYNC, what, 0);
    if held {
        hw.modify(bus, SWSM, SWSM_SMBI | SWSM_SWESMBI, 0);
    }
}
