//! Receive queues that do not go on, which the watchdog looks for: Linux's igb does not, and its queue stays deaf.
//!
//! The 82576 has no cause for it, so what the driver sees decides. A descriptor that the device is done with (`RDH` is beyond it) and
//! that has not been written back two seconds later is lost, and the queue goes on behind it. When the MAC takes frames in two runs of the
//! watchdog and none reaches a ring meanwhile, though there are buffers in all, the device is reset: its packet buffer holds up all
//! queues behind one that stands still. Ahead of both is an interrupt that was lost: [`Igb::kick`] has made up for it by then.

use super::Igb;
use super::clean_rx::WrittenBack;
use super::desc::{self, RXD_EOP, RXD_RXE};
use super::hw::Fault;
use super::regs::*;
use super::ring::RxRing;
use crate::netdev::DriverCtx;
use crate::skb::HEAD_BYTES;

/// A ring with fewer buffers than the largest frame takes may be what a frame waits for.
const LEAST_BUFFERS: u16 = 8;
/// Runs of the watchdog in which frames came and none reached a ring.
const RUNS: u32 = 2;

/// Counts of frames, as of one run of the watchdog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Those that the MAC took for the host.
    pub(super) arrived: u64,
    /// Those for which the packet buffer had no room.
    pub(super) missed: u64,
    /// Those that the device has put into memory, by its own account (QEMU's counts none).
    pub(super) to_host: u64,
    /// Those that the driver has taken from its rings.
    pub(super) taken: u64,
}

/// What the last run of the watchdog saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RxWatch {
    /// `None` after a reset.
    last: Option<Counts>,
    /// In how many runs frames have come since one reached a ring.
    runs: u32,
    /// There was a reset for it, and no frame since: without [`Counts::missed`], what the MAC counts is not for the host.
    in_vain: bool,
}

impl RxWatch {
    /// The device was reset: its counts begin anew.
    pub(super) fn begin(&mut self) {
        *self = Self { in_vain: self.in_vain, ..Self::default() };
    }

    /// Whether frames come and none is taken, as of this run and `now`.
    fn is_stalled(&mut self, now: Counts, has_buffers: bool) -> bool {
        let Some(last) = self.last.replace(now) else { return false };
        let moved = (now.to_host, now.taken) != (last.to_host, last.taken);
        self.in_vain &= !moved;
        let came = now.missed > last.missed || now.arrived > last.arrived && !self.in_vain;
        self.runs = if moved || !has_buffers { 0 } else { self.runs + u32::from(came) };
        self.in_vain |= came && self.runs >= RUNS;
        came && self.runs >= RUNS
    }
}

impl RxRing {
    /// Descriptors from the next that is to be cleaned up to `to`, around the end of the ring.
    fn distance(&self, to: u16) -> u16 {
        let from = self.ring.next_to_clean;
        if to >= from { to - from } else { to + self.ring.count - from }
    }

    /// How many descriptors from the next on the device is done with, and has not written back: where it stands is `head`.
    fn holes(&self, head: u32) -> u16 {
        let Some(head) = u16::try_from(head).ok().filter(|&head| head < self.ring.count) else { return 0 };
        let done = self.distance(head);
        if done > self.distance(self.ring.next_to_use) {
            return 0;
        }
        let at = |n| (u32::from(self.ring.next_to_clean) + n) % u32::from(self.ring.count);
        let is_hole = |&n: &u32| WrittenBack::of(self.ring.descs.second(at(n) as u16)).len == 0;
        (0..u32::from(done)).take_while(is_hole).count() as u16
    }

    /// Marks what was not written back ahead of `head` as damaged frames, which the next poll throws away.
    fn fill_holes(&mut self, head: u16) {
        let mut i = self.ring.next_to_clean;
        for _ in 0..self.distance(head) {
            if WrittenBack::of(self.ring.descs.second(i)).len == 0 {
                self.ring.descs.write(i, desc::written_back(RXD_EOP | RXD_RXE, 1));
            }
            i = self.ring.after(i);
        }
    }
}

impl Igb {
    /// Looks at every receive queue, every two seconds with a link.
    pub(super) fn watch_receive(&mut self, ctx: &mut DriverCtx<'_>) {
        let mut has_buffers = true;
        for q in 0..self.rx.len() {
            let head = self.hw.rd32(ctx.bus, rxq(q as u32) + Q_HEAD);
            if self.hw.removed {
                return;
            }
            let rx = &mut self.rx[q];
            let holes = rx.holes(head);
            let clean = rx.ring.next_to_clean;
            match rx.stuck_at {
                Some((at, head)) if holes > 0 && at == clean => self.write_back_lost(q, head),
                _ => rx.stuck_at = (holes > 0).then_some((clean, head as u16)),
            }
            let rx = &self.rx[q];
            has_buffers &= rx.distance(rx.ring.next_to_use) >= LEAST_BUFFERS;
        }
        let now = Counts {
            taken: self.queue_stats.iter().map(|q| q.rx_packets).sum(),
            ..self.stats.receive_counts()
        };
        if self.rx_watch.is_stalled(now, has_buffers) {
            self.hw.fault(Fault::RxHang);
            self.recover();
        }
    }

    /// All descriptors ahead of `head`, where the device stood two seconds ago, and not written back are lost, and their frames. Where a
    /// frame may have several it is not known where the next one begins.
    fn write_back_lost(&mut self, q: usize, head: u16) {
        self.hw.fault(Fault::RxWriteBack);
        if self.max_frame() as usize > HEAD_BYTES {
            return self.recover();
        }
        let rx = &mut self.rx[q];
        rx.stuck_at = None;
        rx.fill_holes(head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn counts(arrived: u64, missed: u64, to_host: u64, taken: u64) -> Counts {
        Counts { arrived, missed, to_host, taken }
    }

    #[rstest]
    #[case::all_frames_arrive([counts(5, 0, 5, 5), counts(9, 0, 9, 9), counts(9, 0, 9, 9)], false)]
    #[case::one_is_on_its_way_at_each_run([counts(5, 0, 4, 4), counts(9, 0, 8, 8), counts(11, 0, 10, 10)], false)]
    #[case::they_come_and_stay([counts(5, 0, 5, 5), counts(6, 0, 5, 5), counts(7, 0, 5, 5)], true)]
    #[case::one_has_just_come([counts(5, 0, 5, 5), counts(5, 0, 5, 5), counts(6, 0, 5, 5)], false)]
    #[case::the_buffer_overflows([counts(5, 0, 5, 5), counts(5, 7, 5, 5), counts(5, 9, 5, 5)], true)]
    #[case::a_device_that_does_not_count([counts(5, 0, 0, 5), counts(9, 0, 0, 9), counts(9, 0, 0, 9)], false)]
    fn frames_wait(#[case] runs: [Counts; 3], #[case] stalled: bool) {
        let mut watch = RxWatch::default();
        assert_eq!(runs.map(|now| watch.is_stalled(now, true)), [false, false, stalled]);
        let mut watch = RxWatch::default();
        assert_eq!(runs.map(|now| watch.is_stalled(now, false)), [false; 3], "there are no buffers");
    }

    #[test]
    fn what_a_reset_did_not_help_is_no_cause_for_another() {
        let mut watch = RxWatch::default();
        let mut resets = 0;
        for run in 0..20 {
            if watch.is_stalled(counts(run, 0, 0, 0), true) {
                resets += 1;
                watch.begin();
            }
        }
        assert_eq!(resets, 1);
        assert!(!watch.is_stalled(counts(30, 1, 0, 0), true));
        assert!(watch.is_stalled(counts(30, 2, 0, 0), true), "the packet buffer overflows");
    }
}
