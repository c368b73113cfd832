//! Pause frames (IEEE 802.3 clause 31): what is asked for, what both sides agree on, and what the MAC does (`igb_set_pauseparam`,
//! `igb_config_fc_after_link_up`; Linux 6.12).

use super::Igb;
use super::regs::*;
use crate::netdev::DriverCtx;

/// PAUSE and ASM_DIR, in the words that both sides of autonegotiation send.
const PAUSE: u16 = 1 << 10;
const ASM_DIR: u16 = 1 << 11;

/// Which pause frames are heeded, and which are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Those that come are heeded.
    pub rx: bool,
    /// They are sent when the packet buffer runs full.
    pub tx: bool,
}

impl Pause {
    /// What the NVM of an 82576 asks for.
    pub(super) const FULL: Self = Self { rx: true, tx: true };

    /// The bits that autonegotiation is to send: there are none for "heed, but do not send" alone.
    pub(super) fn advertised(self) -> u16 {
        match (self.rx, self.tx) {
            (true, _) => PAUSE | ASM_DIR,
            (false, true) => ASM_DIR,
            (false, false) => 0,
        }
    }

    /// What two sides agree on that sent these words (IEEE 802.3 Annex 28B), where `self` was asked for.
    pub(super) fn resolved(self, own: u16, partner: u16, full_duplex: bool) -> Self {
        if !full_duplex {
            return Self { rx: false, tx: false };
        }
        let bits = |word: u16| (word & PAUSE != 0, word & ASM_DIR != 0);
        match (bits(own), bits(partner)) {
            ((true, _), (true, _)) => Self { rx: true, tx: self == Self::FULL },
            ((false, true), (true, true)) => Self { rx: false, tx: true },
            ((true, true), (false, true)) => Self { rx: true, tx: false },
            // Linux heeds what may come where that was asked for, whatever the partner says.
            _ => Self { rx: self.rx, tx: false },
        }
    }
}

/// All of a device that has to do with pause frames.
#[derive(Debug)]
pub(super) struct FlowControl {
    /// Both sides agree on it.
    pub(super) autoneg: bool,
    pub(super) requested: Pause,
    pub(super) current: Pause,
}

impl Default for FlowControl {
    fn default() -> Self {
        Self { autoneg: true, requested: Pause::FULL, current: Pause::FULL }
    }
}

impl Igb {
    /// Whether pause frames are agreed on with the other side, and which are in use (`ethtool -a`).
    #[must_use]
    pub fn pauseparam(&self) -> (bool, Pause) {
        (self.flow_control.autoneg, self.flow_control.current)
    }

    /// Sets pause frames (`ethtool -A`). With `autoneg` igb asks for both kinds, whatever `pause` says, and begins anew; without,
    /// the MAC does as `pause` says at once, until the link comes anew. Of several queues, whether each drops by itself depends on
    /// it: then the device goes down and up again.
    pub fn set_pauseparam(&mut self, ctx: &mut DriverCtx<'_>, autoneg: bool, pause: Pause) {
        ctx.trace.function(0, "igb_set_pauseparam");
        self.flow_control.autoneg = autoneg;
        if autoneg {
            self.flow_control.requested = Pause::FULL;
            self.reset_requested = self.want_up;
            return self.advance(ctx);
        }
        // Linux writes SRRCTL of queues that are enabled; the datasheet wants them disabled, so that they are set up anew.
        let drops_change = self.config.queue_pairs > 1 && self.flow_control.current.rx != pause.rx;
        self.flow_control.requested = pause;
        self.flow_control.current = pause;
        if drops_change {
            self.reset_requested = self.want_up;
            self.advance(ctx);
        } else if self.is_up() {
            self.force_mac_fc(ctx);
        }
    }

    /// `igb_force_mac_fc`.
    pub(super) fn force_mac_fc(&mut self, ctx: &mut DriverCtx<'_>) {
        let Pause { rx, tx } = self.flow_control.current;
        let bits = if rx { CTRL_RFCE } else { 0 } | if tx { CTRL_TFCE } else { 0 };
        self.hw.modify(ctx.bus, CTRL, CTRL_RFCE | CTRL_TFCE, bits);
    }

    /// `igb_setup_srrctl`: of several queues, one that is full does not hold up the others, unless the partner can be paused.
    pub(super) fn setup_srrctl(&mut self, ctx: &mut DriverCtx<'_>, q: u16) {
        let drops = self.config.queue_pairs > 1 && !self.flow_control.current.rx;
        let value = SRRCTL_ONE_BUFFER_2K | if drops { SRRCTL_DROP_EN } else { 0 };
        self.hw.wr32(ctx.bus, rxq(u32::from(q)) + Q_SRRCTL, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const FULL: Pause = Pause::FULL;
    const RX: Pause = Pause { rx: true, tx: false };
    const TX: Pause = Pause { rx: false, tx: true };
    const NONE: Pause = Pause { rx: false, tx: false };
    const BOTH: u16 = PAUSE | ASM_DIR;

    /// IEEE 802.3 table 28B-3; where it says none, Linux receives what was asked for.
    #[rstest]
    #[case::both_symmetric(FULL, PAUSE, PAUSE, true, FULL)]
    #[case::both_symmetric_but_only_heeding_was_asked_for(RX, BOTH, BOTH, true, RX)]
    #[case::we_send_they_heed(TX, ASM_DIR, BOTH, true, TX)]
    #[case::they_send_we_heed(FULL, BOTH, ASM_DIR, true, RX)]
    #[case::the_partner_knows_none(FULL, BOTH, 0, true, RX)]
    #[case::none_was_asked_for(NONE, 0, BOTH, true, NONE)]
    #[case::half_duplex(FULL, BOTH, BOTH, false, NONE)]
    fn two_sides_agree(
        #[case] asked: Pause,
        #[case] own: u16,
        #[case] partner: u16,
        #[case] full_duplex: bool,
        #[case] agreed: Pause,
    ) {
        assert_eq!(asked.resolved(own, partner, full_duplex), agreed);
    }
}
