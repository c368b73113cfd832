//! `tbf`: a token bucket. Tokens are nanoseconds of sending at the rate; the bucket holds the time of one burst.

use super::QdiscId;
use crate::control::tc::TbfParams;
use crate::time::Instant;

/// A rate, ready to turn lengths into times without a division: `psched_ratecfg`, with its rounding.
#[derive(Clone, Copy, Debug)]
struct Rate {
    mult: u64,
    shift: u32,
}

impl Rate {
    /// `rate` in bytes a second, above zero.
    fn new(rate: u64) -> Self {
        let rate = rate.max(1);
        let (mut nanoseconds, mut shift) = (1_000_000_000_u64, 0);
        // As many binary places as keep the factor within 32 bits.
        while nanoseconds / rate < 1 << 31 && nanoseconds < 1 << 63 {
            nanoseconds <<= 1;
            shift += 1;
        }
        Self { mult: nanoseconds / rate, shift }
    }

    /// `psched_l2t_ns`: how long `len` bytes take, in nanoseconds.
    fn time_of(self, len: u32) -> i64 {
        i64::try_from((u128::from(len) * u128::from(self.mult)) >> self.shift).unwrap_or(i64::MAX)
    }
}

/// The bucket, and the second one when there is a peak rate.
#[derive(Debug)]
pub(super) struct Tbf {
    pub params: TbfParams,
    pub child: QdiscId,
    /// The longest packet that can ever pass.
    pub max_size: u32,
    /// When there are tokens for the packet that waits.
    pub watchdog: Option<Instant>,
    rate: Rate,
    buffer: i64,
    tokens: i64,
    peak: Option<(Rate, i64)>,
    ptokens: i64,
    checked: Instant,
}

impl Tbf {
    pub fn new(now: Instant, params: TbfParams, child: QdiscId) -> Self {
        let rate = Rate::new(params.rate);
        let buffer = rate.time_of(params.burst);
        let peak = params.peak.map(|(peak, mtu)| {
            let peak = Rate::new(peak);
            (peak, peak.time_of(mtu))
        });
        let max_size = params.peak.map_or(params.burst, |(_, mtu)| params.burst.min(mtu));
        let ptokens = peak.map_or(0, |(_, mtu)| mtu);
        Self {
            params,
            child,
            max_size,
            watchdog: None,
            rate,
            buffer,
            tokens: buffer,
            peak,
            ptokens,
            checked: now,
        }
    }

    /// New parameters: full buckets, the same child.
    pub fn change(&mut self, params: TbfParams) {
        *self = Self { watchdog: self.watchdog, ..Self::new(self.checked, params, self.child) };
    }

    /// Full buckets, and nothing to wait for.
    pub fn reset(&mut self, now: Instant) {
        *self = Self::new(now, self.params, self.child);
    }

    /// Takes the tokens for `len` bytes, or says how long it is until they are there.
    pub fn take_tokens(&mut self, now: Instant, len: u32) -> bool {
        let passed = i64::try_from(now.since(self.checked).as_nanos()).unwrap_or(i64::MAX).min(self.buffer);
        let ptokens = self.peak.map_or(0, |(peak, mtu)| {
            passed.saturating_add(self.ptokens).min(mtu).saturating_sub(peak.time_of(len))
        });
        let tokens =
            passed.saturating_add(self.tokens).min(self.buffer).saturating_sub(self.rate.time_of(len));
        let missing = 0.max(tokens.saturating_neg()).max(ptokens.saturating_neg());
        if missing > 0 {
            self.watchdog = Some(Instant(now.0.saturating_add(missing as u64)));
            return false;
        }
        self.watchdog = None;
        self.checked = now;
        self.tokens = tokens;
        self.ptokens = ptokens;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    // Bytes a second and a length against nanoseconds: length * 10^9 / rate, cut by less than one part in 2^30.
    #[rstest]
    #[case::slow(12_500, 1600, 128_000_000)]
    #[case::a_gigabit(125_000_000, 1514, 12_112)]
    #[case::one_byte_a_second(1, 10, 10_000_000_000)]
    #[case::not_a_whole_number(154, 1000, 6_493_506_493)]
    fn length_to_time(#[case] rate: u64, #[case] len: u32, #[case] ns: i64) {
        let got = Rate::new(rate).time_of(len);
        assert!((ns - got).abs() <= 1 + ns / (1 << 30), "{got} is not {ns}");
    }

    #[test]
    fn the_bucket_is_full_at_first_and_fills_with_the_rate() {
        let params = TbfParams { rate: 12_500, burst: 1600, limit: 100_000, peak: None };
        let mut tbf = Tbf::new(Instant(5_000), params, 0);
        assert!(tbf.take_tokens(Instant(5_000), 1442));
        assert!(!tbf.take_tokens(Instant(5_000), 442), "158 bytes are left");
        // 284 bytes are missing: 22.72 ms at 12,500 bytes a second.
        assert_eq!(tbf.watchdog.map(|at| at.0), Some(5_000 + 22_720_000));
        assert!(!tbf.take_tokens(Instant(22_724_999), 442));
        assert!(tbf.take_tokens(Instant(22_725_000), 442));
        assert_eq!(tbf.watchdog, None);
    }
}
