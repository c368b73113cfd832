//! The self-test of `ethtool -t` (`igb_diag_test`, Linux 6.12): registers, NVM, interrupts, loopback and link, with a reset
//! between any two. Each wait is a state with a deadline, as in the rest of the driver.

mod loopback;
mod registers;

use super::Igb;
use super::phy;
use super::regs::*;
use super::reset::Phase;
use crate::netdev::DriverCtx;
use crate::time::{Duration, Instant};

/// What `ethtool -t` prints before each result, in its order.
pub const TESTS: [&str; 5] = [
    "Register test  (offline)",
    "Eeprom test    (offline)",
    "Interrupt test (offline)",
    "Loopback test  (offline)",
    "Link test   (on/offline)",
];

const REGISTERS: usize = 0;
const EEPROM: usize = 1;
const INTERRUPT: usize = 2;
const LOOPBACK: usize = 3;
const LINK: usize = 4;

/// The words of the NVM from 0 to 0x3F add up to this.
const NVM_SUM: u16 = 0xBABA;
const NVM_WORDS: u16 = 0x40;
const NVM_EVERY: Duration = Duration::from_micros(100);
/// Polls of one word before it is given up.
const NVM_POLLS: u32 = 5000;
/// How long a PHY that negotiates is given until it is looked for its link (`igb_link_test`).
const LINK_WAIT: Duration = Duration::from_secs(5);
/// Between raising a cause and looking whether its interrupt came.
const INTERRUPT_WAIT: Duration = Duration::from_millis(10);
/// The causes that an 82576 raises through ICS.
const ICS_MASK: u32 = 0x77D4_FBFD;

/// What is tested after the next reset, or now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The PHY of an interface that is down looks for its link (`igb_power_up_link`), until then.
    Link {
        until: Instant,
    },
    Registers,
    /// The word that is read, and the sum of those before it.
    Eeprom {
        word: u16,
        sum: u16,
        polls: u32,
    },
    /// The cause, and what is tried with it: 0 masked, 1 enabled, 2 all others masked.
    Interrupt {
        cause: u32,
        part: u8,
    },
    Loopback(loopback::Step),
    /// The device goes back to what it was.
    Over,
}

/// A self-test under way.
#[derive(Debug)]
pub(super) struct SelfTest {
    stage: Stage,
    was_up: bool,
    /// 0 where a test passed; the others' numbers are Linux's.
    results: [u64; TESTS.len()],
    /// Causes of which interrupts told.
    icr: u32,
}

impl SelfTest {
    /// Whether the interface comes up again afterwards.
    pub(super) fn was_up(&self) -> bool {
        self.was_up
    }
}

impl Igb {
    /// Starts the self-test. Offline the device is taken out of service, and comes back by itself: [`Igb::is_settled`] says
    /// when. [`Igb::self_test`] has the results.
    pub fn diag_test(&mut self, ctx: &mut DriverCtx<'_>, offline: bool) {
        ctx.trace.function(0, "igb_diag_test");
        if !self.is_probed() {
            self.test_results = Some([1; TESTS.len()]);
            return;
        }
        let mut results = [0; TESTS.len()];
        let running = self.want_up && self.phase != Phase::Failed;
        // An interface that is down has no link, and nobody blames it: online it is not looked at.
        results[LINK] = u64::from(running && self.hw.rd32(ctx.bus, STATUS) & STATUS_LU == 0);
        self.test_results = Some(results);
        let has_device = !matches!(self.phase, Phase::Unprobed | Phase::Failed);
        if !offline || self.test.is_some() || !has_device {
            return;
        }
        let stage = if self.phase == Phase::Down {
            Stage::Link { until: ctx.now + LINK_WAIT }
        } else {
            Stage::Registers
        };
        self.test = Some(SelfTest { stage, was_up: self.want_up, results, icr: 0 });
        self.tell_carrier();
        self.want_up = false;
        if self.running() || matches!(self.phase, Phase::TxOff { .. }) {
            self.down(ctx);
        } else if self.phase == Phase::Down {
            self.hw.modify(ctx.bus, CTRL, CTRL_FRCSPD | CTRL_FRCDPX, CTRL_SLU);
            self.phy.set_up(ctx.now, self.flow_control.requested);
            self.phase = Phase::Test { next: ctx.now };
        }
        self.advance(ctx);
    }

    /// The results of the last self-test, 0 where it passed; in the order of [`TESTS`].
    #[must_use]
    pub fn self_test(&self) -> Option<[u64; TESTS.len()]> {
        self.test_results
    }

    /// The device was reset for the next test: it begins. `false` when there is none, or no more.
    pub(super) fn test_after_reset(&mut self, ctx: &mut DriverCtx<'_>) -> bool {
        let Some(test) = &mut self.test else { return false };
        if test.stage == Stage::Over {
            self.want_up = test.was_up;
            self.test_results = Some(test.results);
            self.test = None;
            return false;
        }
        self.phase = Phase::Test { next: ctx.now };
        true
    }

    /// The interface is taken down: the test ends with what it knows, and the device is reset.
    pub(super) fn end_test(&mut self, ctx: &mut DriverCtx<'_>) {
        let Some(test) = self.test.take() else { return };
        self.test_results = Some(test.results);
        if matches!(self.phase, Phase::Test { .. }) {
            self.start_reset(ctx);
        }
    }

    /// The device is given up in mid-test: what has not been tested has failed.
    pub(super) fn test_given_up(&mut self) {
        let Some(mut test) = self.test.take() else { return };
        let first = match test.stage {
            Stage::Link { .. } => LINK,
            Stage::Registers => REGISTERS,
            Stage::Eeprom { .. } => EEPROM,
            Stage::Interrupt { .. } => INTERRUPT,
            Stage::Loopback(_) | Stage::Over => LOOPBACK,
        };
        let undone = if first == LINK { REGISTERS..=LINK } else { first..=LOOPBACK };
        test.results[undone].iter_mut().for_each(|result| *result = (*result).max(1));
        self.test_results = Some(test.results);
    }

    /// The interface is switched on: while a test runs, it comes up once that is over. Whether one runs.
    pub(super) fn test_opens(&mut self) -> bool {
        if let Some(test) = &mut self.test {
            test.was_up = true;
        }
        self.test.is_some()
    }

    /// A test that fails ends with `result`; the next one follows after a reset.
    fn test_done(&mut self, ctx: &mut DriverCtx<'_>, which: usize, result: u64) {
        let Some(test) = &mut self.test else { return };
        test.results[which] = result;
        test.stage = match which {
            LINK => Stage::Registers,
            REGISTERS => Stage::Eeprom { word: 0, sum: 0, polls: 0 },
            EEPROM => Stage::Interrupt { cause: 0, part: 0 },
            INTERRUPT => Stage::Loopback(loopback::Step::FIRST),
            _ => Stage::Over,
        };
        self.start_reset(ctx);
    }

    /// Goes on with the test that is under way; its next deadline is due.
    pub(super) fn run_test(&mut self, ctx: &mut DriverCtx<'_>) {
        let Some(test) = &self.test else { return };
        match test.stage {
            Stage::Link { until } => self.link_test(ctx, until),
            Stage::Registers => {
                let result = self.reg_test(ctx);
                self.test_done(ctx, REGISTERS, result);
            }
            Stage::Eeprom { word, sum, polls } => self.eeprom_test(ctx, word, sum, polls),
            Stage::Interrupt { cause, part } => self.intr_test(ctx, cause, part),
            Stage::Loopback(step) => self.loopback_test(ctx, step),
            Stage::Over => {}
        }
    }

    fn test_goes_on(&mut self, stage: Stage, next: Instant) {
        if let Some(test) = &mut self.test {
            test.stage = stage;
        }
        self.phase = Phase::Test { next };
    }

    /// `igb_link_test`, for an interface that is down: the PHY negotiates for five seconds.
    fn link_test(&mut self, ctx: &mut DriverCtx<'_>, until: Instant) {
        self.run_phy(ctx);
        if ctx.now < until {
            let next = self.phy.deadline().map_or(until, |at| at.min(until));
            return self.test_goes_on(Stage::Link { until }, next);
        }
        let failed = u64::from(self.hw.rd32(ctx.bus, STATUS) & STATUS_LU == 0);
        self.test_done(ctx, LINK, failed);
    }

    /// `igb_eeprom_test`: 2 when the sum is wrong or a word does not come.
    fn eeprom_test(&mut self, ctx: &mut DriverCtx<'_>, word: u16, sum: u16, polls: u32) {
        if polls == 0 {
            if word == NVM_WORDS {
                return self.test_done(ctx, EEPROM, if sum == NVM_SUM { 0 } else { 2 });
            }
            if phy::acquire(&mut self.hw, ctx.bus, SWFW_EEP) {
                self.hw.wr32(ctx.bus, EERD, u32::from(word) << 2 | EERD_START);
            } else {
                return self.test_done(ctx, EEPROM, 2);
            }
        }
        let eerd = self.hw.rd32(ctx.bus, EERD);
        if eerd & EERD_DONE != 0 && eerd != u32::MAX {
            phy::release(&mut self.hw, ctx.bus, SWFW_EEP);
            let sum = sum.wrapping_add((eerd >> 16) as u16);
            return self.test_goes_on(Stage::Eeprom { word: word + 1, sum, polls: 0 }, ctx.now);
        }
        if polls == NVM_POLLS {
            phy::release(&mut self.hw, ctx.bus, SWFW_EEP);
            return self.test_done(ctx, EEPROM, 2);
        }
        self.test_goes_on(Stage::Eeprom { word, sum, polls: polls + 1 }, ctx.now + NVM_EVERY);
    }

    /// `igb_intr_test`, with vector 0 as the only one: a cause that is masked must not interrupt (else 3), one that is not must
    /// (else 4), and with all others masked they must not (else 5).
    fn intr_test(&mut self, ctx: &mut DriverCtx<'_>, cause: u32, part: u8) {
        let Some(test) = &mut self.test else { return };
        let bit = 1u32.checked_shl(cause).unwrap_or(0);
        let came = core::mem::take(&mut test.icr) & bit != 0;
        // `part` is what was tried before the wait that is over; cause 32 is behind the last.
        let failed = match part {
            1 if came => 3,
            2 if !came => 4,
            3 if came => 5,
            _ => 0,
        };
        if failed != 0 || cause == 32 {
            self.hw.wr32(ctx.bus, IMC, u32::MAX);
            self.flush(ctx);
            return self.test_done(ctx, INTERRUPT, failed);
        }
        if part == 0 && cause == 0 {
            self.hw.wr32(ctx.bus, IVAR_MISC, IVAR_VALID << 8);
            self.hw.wr32(ctx.bus, EIMS, 1);
            self.hw.wr32(ctx.bus, IMC, u32::MAX);
        }
        if part == 3 || ICS_MASK & bit == 0 {
            return self.test_goes_on(Stage::Interrupt { cause: cause + 1, part: 0 }, ctx.now);
        }
        self.hw.wr32(ctx.bus, ICR, u32::MAX);
        match part {
            0 => {
                self.hw.wr32(ctx.bus, IMC, bit);
                self.hw.wr32(ctx.bus, ICS, bit);
            }
            1 => {
                self.hw.wr32(ctx.bus, IMS, bit);
                self.hw.wr32(ctx.bus, ICS, bit);
            }
            _ => {
                self.hw.wr32(ctx.bus, IMC, !bit);
                self.hw.wr32(ctx.bus, ICS, !bit);
            }
        }
        self.flush(ctx);
        self.test_goes_on(Stage::Interrupt { cause, part: part + 1 }, ctx.now + INTERRUPT_WAIT);
    }

    /// `igb_test_intr`: an interrupt came while they are tested. Whether they are.
    pub(super) fn test_interrupt(&mut self, ctx: &mut DriverCtx<'_>) -> bool {
        let Some(test) = &mut self.test else { return false };
        if !matches!(test.stage, Stage::Interrupt { .. }) {
            return false;
        }
        test.icr |= self.hw.rd32(ctx.bus, ICR);
        true
    }
}
