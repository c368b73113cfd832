//! The loopback test of `ethtool -t` (`igb_loopback_test`): frames that the PHY sends back must come in as they left.

use super::super::Igb;
use super::super::regs::*;
use super::super::reset::Phase;
use super::super::ring::{RxRing, TxRing};
use super::super::xmit::Packet;
use super::{LOOPBACK, Stage};
use crate::netdev::{DriverCtx, NetdevTx};
use crate::skb::Skb;
use crate::time::Duration;

/// Descriptors of each test ring.
const RING: u16 = 256;
/// Frames of a round; rounds so that the ring is passed through twice.
const FRAMES: u32 = 64;
const ROUNDS: u8 = (RING as u32 / FRAMES * 2 + 1) as u8;
/// How long the PHY takes to go into loopback, and the frames of a round to come back.
const SETTLE: Duration = Duration::from_millis(500);
const ROUND: Duration = Duration::from_millis(200);
const FRAME_BYTES: usize = 256;
/// Not all frames were sent, or not all came back.
const NOT_SENT: u64 = 12;
const NOT_BACK: u64 = 13;

/// How far the test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Rings, and the PHY looks for its link, as after every reset.
    SetUp,
    /// The PHY is asked to look for its link (`igb_setup_link`); QEMU's takes in nothing, not even what it sends itself, without one.
    Link,
    /// The PHY is asked for loopback.
    Phy,
    /// Frames of a round are sent.
    Send(u8),
    /// They must be back.
    Back(u8),
    /// The PHY leaves loopback; this was the result.
    Leave(u64),
}

impl Step {
    pub(super) const FIRST: Self = Self::SetUp;
}

impl Igb {
    pub(super) fn loopback_test(&mut self, ctx: &mut DriverCtx<'_>, step: Step) {
        match step {
            Step::SetUp => {
                if !self.set_up_test_rings(ctx) {
                    return self.test_done(ctx, LOOPBACK, NOT_SENT);
                }
                self.phy.set_up(ctx.now, self.flow_control.requested);
                self.test_goes_on(Stage::Loopback(Step::Link), ctx.now);
            }
            Step::Link | Step::Phy | Step::Leave(_) => {
                self.run_phy(ctx);
                if let Some(next) = self.phy.deadline() {
                    return self.test_goes_on(Stage::Loopback(step), next);
                }
                if step == Step::Link {
                    self.phy.set_loopback(ctx.now);
                    return self.test_goes_on(Stage::Loopback(Step::Phy), ctx.now);
                }
                if let Step::Leave(result) = step {
                    return self.test_done(ctx, LOOPBACK, result);
                }
                let force = CTRL_FRCSPD | CTRL_FRCDPX | CTRL_SPD_1000 | CTRL_FD | CTRL_SLU;
                self.hw.modify(ctx.bus, CTRL, CTRL_SPD, force);
                self.test_goes_on(Stage::Loopback(Step::Send(0)), ctx.now + SETTLE);
            }
            Step::Send(round) => {
                let next = match self.send_test_frames(ctx) {
                    true => Step::Back(round),
                    false => self.leave(ctx, NOT_SENT),
                };
                self.test_goes_on(Stage::Loopback(next), ctx.now + ROUND);
            }
            Step::Back(round) => {
                let next = match self.test_frames_back(ctx) {
                    FRAMES if round + 1 < ROUNDS => Step::Send(round + 1),
                    FRAMES => self.leave(ctx, 0),
                    _ => self.leave(ctx, NOT_BACK),
                };
                self.test_goes_on(Stage::Loopback(next), ctx.now);
            }
        }
    }

    fn leave(&mut self, ctx: &DriverCtx<'_>, result: u64) -> Step {
        self.phy.set_up(ctx.now, self.flow_control.requested);
        Step::Leave(result)
    }

    /// `igb_setup_desc_rings`: queue 0 alone, without interrupts.
    fn set_up_test_rings(&mut self, ctx: &mut DriverCtx<'_>) -> bool {
        self.free_rings(ctx);
        self.tx.extend(TxRing::new(ctx.skbs, ctx.bus, RING, 0));
        self.rx.extend(RxRing::new(ctx.skbs, ctx.bus, RING, 0));
        if self.tx.is_empty() || self.rx.is_empty() {
            self.free_rings(ctx);
            return false;
        }
        self.configure_mac(ctx);
        self.configure_tx_ring(ctx, 0);
        self.configure_rx_ring(ctx, 0);
        self.alloc_rx_buffers(ctx, 0);
        true
    }

    /// `igb_run_loopback_test`, its first half: a round of frames. Whether all went into the ring.
    fn send_test_frames(&mut self, ctx: &mut DriverCtx<'_>) -> bool {
        (0..FRAMES).all(|n| {
            let Some(skb) = ctx.skbs.alloc() else { return false };
            ctx.skbs.copy_in(&skb, &test_frame());
            let packet = Packet::of(&ctx.skbs[&skb]);
            let more = n + 1 < FRAMES;
            match self.xmit_frame_ring::<false, false>(ctx, skb, &packet, (0, more)) {
                NetdevTx::Ok => true,
                NetdevTx::Busy(skb) => {
                    ctx.skbs.consume(ctx.trace, skb);
                    false
                }
            }
        })
    }

    /// `igb_clean_test_rings`: how many frames came back as they were sent. What is counted for them is not the queue's.
    fn test_frames_back(&mut self, ctx: &mut DriverCtx<'_>) -> u32 {
        let counted = (self.queue_stats[0], self.vectors[0]);
        self.phase = Phase::Test { next: ctx.now };
        self.clean_tx_irq(ctx, 0);
        self.clean_rx_irq(ctx, 0, 2 * FRAMES);
        (self.queue_stats[0], self.vectors[0]) = counted;
        let mut good = 0;
        for skb in core::mem::take(ctx.rx) {
            good += u32::from(is_test_frame(ctx, &skb));
            ctx.skbs.consume(ctx.trace, skb);
        }
        good
    }
}

/// `igb_create_lbtest_frame`.
fn test_frame() -> [u8; FRAME_BYTES] {
    let mut frame = [0xFF; FRAME_BYTES];
    let half = FRAME_BYTES / 2;
    frame[half..FRAME_BYTES - 1].fill(0xAA);
    frame[half + 10] = 0xBE;
    frame[half + 12] = 0xAF;
    frame
}

/// `igb_check_lbtest_frame`, of all bytes.
fn is_test_frame(ctx: &DriverCtx<'_>, skb: &Skb) -> bool {
    let mut bytes = [0; FRAME_BYTES];
    if ctx.skbs[skb].len() != FRAME_BYTES {
        return false;
    }
    ctx.skbs.copy_out(skb, 0, &mut bytes);
    bytes == test_frame()
}
