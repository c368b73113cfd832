//! A link that stays up from one trial to the next, where a reset of the device costs it: QEMU's igb resets its PHY with the rest, which
//! no 82576 does for CTRL.RST, and negotiates for 500 ms then.
//!
//! The first reset that a trial's driver asks for is carried out register by register: what reads otherwise than after a real reset is
//! written, and all is read again. Only where everything is as after a real reset then does that stand for one; where one word is not,
//! the device is reset for real. Later resets of a trial, which its case asks for, are real ones.

use super::sys::Mapping;
use std::fmt;

/// Registers of the 82576 (datasheet 2.63, section 8), by their offset.
const CTRL: u32 = 0x0000;
const STATUS: u32 = 0x0008;
const MDIC: u32 = 0x0020;
const ICR: u32 = 0x00C0;
const IMC: u32 = 0x00D8;
const RCTL: u32 = 0x0100;
const TCTL: u32 = 0x0400;
const EIMC: u32 = 0x1528;
const EICR: u32 = 0x1580;
const RXDCTL: u32 = 0xC028;
const TXDCTL: u32 = 0xE028;
/// From one queue's registers to the next one's, and how many queues there are.
const PER_QUEUE: u32 = 0x40;
const QUEUES: u32 = 16;

const CTRL_RST: u32 = 1 << 26;
const STATUS_LU: u32 = 1 << 1;
/// What of STATUS tells of the link, or is set by a reset and cleared by its driver: full duplex, up, speed, PHYRA, GIO master.
const STATUS_OF_LINK: u32 = 1 | STATUS_LU | 3 << 6 | 1 << 10 | 1 << 19;
/// Everything that a driver or a frame can change lies below.
const END: u32 = 0x1_0000;

/// MDIC: an access to the PHY; registers 0, 4 and 9 of it.
const MDIC_WRITE: u32 = 1 << 26;
const BMCR: u32 = 0;
const ANAR: u32 = 4;
const GBCR: u32 = 9;
const BMCR_RESTART_AN: u32 = 1 << 9;
const BMCR_AN_EN: u32 = 1 << 12;
/// Reset, loopback, power down, isolate: not the PHY of a link that is to stay.
const BMCR_NOT_KEPT: u32 = 1 << 15 | 1 << 14 | 1 << 11 | 1 << 10;

/// What is neither read nor held against the state after a reset: MDIC and EERD, whose accesses are over; SWSM and SW_FW_SYNC,
/// semaphores, of which SWSM is taken by a read; causes, which are cleared; clocks, which run on. EIAC and EIAM say what becomes of causes of
/// vectors that are enabled; QEMU's keep each bit that was ever set, and a driver sets those of all that it enables.
const PASSED_OVER: [(u32, u32); 9] = [
    (0x152C, 0x152C),
    (0x1530, 0x1530),
    (0x0014, 0x0014),
    (MDIC, MDIC),
    (0x1048, 0x1048),
    (0x5B50, 0x5B50),
    (0x5B5C, 0x5B5C),
    (0xB600, 0xB6FF),
    (ICR, ICR),
];

/// What stands in the way of taking the writes of registers for a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The register.
    pub offset: u32,
    /// What it reads after a real reset.
    pub after_reset: u32,
    /// What it reads.
    pub now: u32,
}

/// How the device's link is kept.
#[derive(Debug, Default)]
pub struct Keeper {
    /// What the registers read after a real reset; empty: the link is not kept.
    after_reset: Vec<(u32, u32)>,
    /// What the PHY advertises: ANAR and GBCR as they were written since its reset.
    asked: [Option<u32>; 2],
    /// What it advertised when it negotiated last.
    negotiated: Option<[Option<u32>; 2]>,
    /// The trial's first reset, and its first negotiation, are yet to come, and there is a link to keep.
    resets_by_writes: bool,
    negotiates_by_word: bool,
    /// How many resets were spared.
    spared: u32,
    /// Why one was not.
    stuck: Vec<Stuck>,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#07x} reads {:#010x}, not {:#010x}", self.offset, self.now, self.after_reset)
    }
}

impl Keeper {
    /// The device was reset for real; its registers are what they are held against from now on.
    pub(super) fn learn(&mut self, registers: &Mapping) {
        let words = offsets().map(|offset| (offset, registers.read32(offset as usize)));
        // Statistics are cleared by the first read.
        drop(words.collect::<Vec<_>>());
        self.after_reset = offsets().map(|offset| (offset, registers.read32(offset as usize))).collect();
    }

    /// Whether it knows what a reset leaves.
    pub(super) fn has_learnt(&self) -> bool {
        !self.after_reset.is_empty()
    }

    /// A trial is over: whether the next can have its link. The device is silent then.
    pub(super) fn keeps(&mut self, registers: &Mapping) -> bool {
        let is_up = registers.read32(STATUS as usize) & STATUS_LU != 0;
        self.resets_by_writes = self.has_learnt() && is_up && self.negotiated == Some(self.asked);
        self.negotiates_by_word = false;
        if self.resets_by_writes {
            silence(registers);
        }
        self.resets_by_writes
    }

    /// The device was reset for real, its PHY with it.
    pub(super) fn was_reset(&mut self) {
        (self.asked, self.negotiated) = ([None; 2], None);
        (self.resets_by_writes, self.negotiates_by_word) = (false, false);
    }

    /// A write of the driver to one of the registers that it [watches](Keeper::watches): what becomes of it, `None` if it is done.
    pub(super) fn written(&mut self, registers: &Mapping, offset: u32, value: u32) -> Option<u32> {
        if offset == MDIC {
            return Some(self.asked_of_the_phy(value));
        }
        if value & CTRL_RST == 0 {
            return Some(value);
        }
        if std::mem::take(&mut self.resets_by_writes) {
            match self.reset_by_writes(registers) {
                Ok(()) => {
                    self.spared += 1;
                    self.negotiates_by_word = true;
                    return None;
                }
                Err(stuck) => self.stuck = stuck,
            }
        }
        self.was_reset();
        Some(value)
    }

    /// Whether a write to a register concerns it.
    pub(super) fn watches(offset: u32) -> bool {
        offset == CTRL || offset == MDIC
    }

    /// How many resets were spared, and why one was not.
    pub(super) fn account(&self) -> (u32, Vec<Stuck>) {
        (self.spared, self.stuck.clone())
    }

    /// What is written to MDIC, without the restart of a negotiation that would end as the last one did.
    fn asked_of_the_phy(&mut self, value: u32) -> u32 {
        let (register, word) = (value >> 16 & 31, value & 0xFFFF);
        if value & MDIC_WRITE == 0 {
            return value;
        }
        match register {
            ANAR => self.asked[0] = Some(word),
            GBCR => self.asked[1] = Some(word),
            BMCR if word & BMCR_NOT_KEPT != 0 || word & BMCR_AN_EN == 0 => self.negotiated = None,
            BMCR if word & BMCR_RESTART_AN != 0 => {
                let by_word = std::mem::take(&mut self.negotiates_by_word);
                if by_word && self.negotiated == Some(self.asked) {
                    return value & !BMCR_RESTART_AN;
                }
                self.negotiated = Some(self.asked);
            }
            _ => {}
        }
        value
    }

    /// Writes whatever is not as after a reset.
    ///
    /// # Errors
    /// The registers that did not become so.
    fn reset_by_writes(&self, registers: &Mapping) -> Result<(), Vec<Stuck>> {
        silence(registers);
        let read = |offset| registers.read32(offset as usize) & !of_the_link(offset);
        for &(offset, after_reset) in &self.after_reset {
            if read(offset) != after_reset & !of_the_link(offset) {
                registers.write32(offset as usize, after_reset);
            }
        }
        for offset in [ICR, EICR] {
            let _ = registers.read32(offset as usize);
        }
        // A register can be another one's shadow: all are read again.
        let stuck = |&(offset, after_reset): &(u32, u32)| {
            let now = read(offset);
            (now != after_reset & !of_the_link(offset)).then_some(Stuck { offset, after_reset, now })
        };
        let stuck: Vec<_> = self.after_reset.iter().filter_map(stuck).collect();
        if stuck.is_empty() { Ok(()) } else { Err(stuck) }
    }
}

/// No interrupts, no queues, no receiver and no transmitter.
fn silence(registers: &Mapping) {
    registers.write32(IMC as usize, u32::MAX);
    registers.write32(EIMC as usize, u32::MAX);
    for offset in [RCTL, TCTL].into_iter().chain((0..QUEUES).flat_map(|queue| {
        let at = PER_QUEUE * queue;
        [RXDCTL + at, TXDCTL + at]
    })) {
        registers.write32(offset as usize, 0);
    }
}

/// The bits of a register that the link decides.
fn of_the_link(offset: u32) -> u32 {
    if offset == STATUS { STATUS_OF_LINK } else { 0 }
}

fn offsets() -> impl Iterator<Item = u32> {
    let is_read = |offset: &u32| !PASSED_OVER.iter().any(|(first, last)| (first..=last).contains(&offset));
    (0..END).step_by(4).filter(is_read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// What a driver writes to restart autonegotiation, and to advertise.
    const RESTART: u32 = MDIC_WRITE | 1 << 21 | BMCR_AN_EN | BMCR_RESTART_AN;
    const ALL: u32 = MDIC_WRITE | 1 << 21 | ANAR << 16 | 0x0DE1;
    const NO_PAUSE: u32 = MDIC_WRITE | 1 << 21 | ANAR << 16 | 0x01E1;

    /// Registers that are memory, and a keeper after a first trial whose driver reset the device, and negotiated.
    fn after_a_trial(link: bool) -> (Mapping, Keeper) {
        let registers = Mapping::of_memory(0x2_0000, false).expect("there is room");
        let mut keeper = Keeper::default();
        registers.write32(0x1680, 7);
        keeper.learn(&registers);
        assert_eq!(keeper.written(&registers, CTRL, CTRL_RST), Some(CTRL_RST), "the first is a real one");
        for word in [ALL, RESTART] {
            assert_eq!(keeper.written(&registers, MDIC, word), Some(word));
        }
        registers.write32(STATUS as usize, if link { STATUS_LU } else { 0 });
        registers.write32(RCTL as usize, 2);
        registers.write32(0x1680, 9);
        (registers, keeper)
    }

    #[test]
    fn the_next_trial_has_registers_as_after_a_reset_and_its_link() {
        let (registers, mut keeper) = after_a_trial(true);
        assert!(keeper.keeps(&registers));
        assert_eq!(registers.read32(RCTL as usize), 0, "it receives nothing between trials");
        assert_eq!(keeper.written(&registers, CTRL, CTRL_RST), None);
        assert_eq!((registers.read32(0x1680), registers.read32(RCTL as usize)), (7, 0));
        assert_eq!(registers.read32(STATUS as usize), STATUS_LU);
        assert_eq!(keeper.written(&registers, MDIC, ALL), Some(ALL));
        assert_eq!(keeper.written(&registers, MDIC, RESTART), Some(RESTART & !BMCR_RESTART_AN));
        assert_eq!(keeper.account(), (1, Vec::new()));
        // What its case asks for is done.
        assert_eq!(keeper.written(&registers, CTRL, CTRL_RST), Some(CTRL_RST));
        assert_eq!(keeper.written(&registers, MDIC, RESTART), Some(RESTART));
    }

    #[rstest]
    #[case::without_a_link(false, &[])]
    #[case::with_a_phy_in_loopback(true, &[MDIC_WRITE | 1 << 21 | 1 << 14])]
    #[case::with_a_phy_that_advertises_what_was_not_negotiated(true, &[NO_PAUSE])]
    fn a_trial_that_ends_otherwise_leaves_no_link(#[case] link: bool, #[case] written: &[u32]) {
        let (registers, mut keeper) = after_a_trial(link);
        for word in written {
            let _ = keeper.written(&registers, MDIC, *word);
        }
        assert!(!keeper.keeps(&registers));
        assert_eq!(keeper.written(&registers, CTRL, CTRL_RST), Some(CTRL_RST));
    }

    #[test]
    fn a_register_that_does_not_become_as_after_a_reset_makes_it_a_real_one() {
        let (registers, mut keeper) = after_a_trial(true);
        // As if the register ignored what is written: it is compared with what it never is.
        let (offset, word) = *keeper.after_reset.last().expect("there are some");
        keeper.after_reset.push((offset, word ^ 1));
        assert!(keeper.keeps(&registers));
        assert_eq!(keeper.written(&registers, CTRL, CTRL_RST), Some(CTRL_RST));
        assert_eq!(keeper.account().1, [Stuck { offset, after_reset: word, now: word ^ 1 }]);
        assert_eq!(keeper.written(&registers, MDIC, RESTART), Some(RESTART));
    }

    #[test]
    fn a_negotiation_with_other_words_is_a_real_one() {
        let (registers, mut keeper) = after_a_trial(true);
        assert!(keeper.keeps(&registers));
        assert_eq!(keeper.written(&registers, CTRL, CTRL_RST), None);
        assert_eq!(keeper.written(&registers, MDIC, NO_PAUSE), Some(NO_PAUSE));
        assert_eq!(keeper.written(&registers, MDIC, RESTART), Some(RESTART));
    }
}
