//! The identification of IPv4 packets (RFC 6864; `ip_select_ident_segs`, Linux 6.12).

use crate::entropy::Entropy;
use core::net::Ipv4Addr;

const BUCKETS: usize = 256;

/// Counters for packets that belong to no connected socket, hashed by addresses and protocol. Between two packets a
/// counter goes on by one, plus at random up to the ticks ([`Stack::jiffies`](crate::stack::Stack)) that passed, so that its pace tells nothing.
#[derive(Debug)]
pub(crate) struct Identifications {
    key: u64,
    /// The next identification, and the tick of the last packet.
    buckets: [(u16, u64); BUCKETS],
}

impl Identifications {
    pub(crate) fn new(entropy: &mut Entropy) -> Self {
        let key = entropy.next_u64();
        let buckets = core::array::from_fn(|_| (entropy.next_u64() as u16, 0));
        Self { key, buckets }
    }

    /// The identification of the next packet of a flow.
    #[inline]
    pub(crate) fn next(
        &mut self,
        jiffies: u64,
        entropy: &mut Entropy,
        flow: (Ipv4Addr, Ipv4Addr, u8),
    ) -> u16 {
        self.next_in(jiffies, entropy, self.bucket(flow))
    }

    /// The counter of a flow, for [`Self::next_in`].
    #[inline]
    pub(crate) fn bucket(&self, flow: (Ipv4Addr, Ipv4Addr, u8)) -> u8 {
        let (daddr, saddr, protocol) = flow;
        let mixed =
            (u64::from(daddr.to_bits()) << 32 | u64::from(saddr.to_bits())) ^ self.key ^ u64::from(protocol);
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
    }

    /// The identification of the next packet of a flow whose counter is known.
    #[inline(always)]
    pub(crate) fn next_in(&mut self, jiffies: u64, entropy: &mut Entropy, bucket: u8) -> u16 {
        let (id, last) = &mut self.buckets[usize::from(bucket)];
        let ticks = jiffies.saturating_sub(*last);
        let delta = if ticks == 0 { 0 } else { entropy.below(u32::try_from(ticks).unwrap_or(u32::MAX)) };
        *last = jiffies;
        *id = id.wrapping_add(1).wrapping_add(delta as u16);
        id.wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    #[test]
    fn within_a_tick_identifications_step_by_one() {
        let mut entropy = Entropy::new(7);
        let mut ident = Identifications::new(&mut entropy);
        let now = 10;
        let first = ident.next(now, &mut entropy, (PEER, US, 17));
        for step in 1..100 {
            assert_eq!(ident.next(now, &mut entropy, (PEER, US, 17)), first.wrapping_add(step));
        }
    }

    #[test]
    fn after_a_pause_they_jump_by_no_more_than_the_ticks_that_passed() {
        let mut entropy = Entropy::new(7);
        let mut ident = Identifications::new(&mut entropy);
        let mut last = ident.next(1, &mut entropy, (PEER, US, 17));
        let mut jumped = false;
        for round in 1..200_u64 {
            let id = ident.next(1 + round * 50, &mut entropy, (PEER, US, 17));
            let step = id.wrapping_sub(last);
            assert!((1..=50).contains(&step), "stepped by {step}");
            jumped |= step > 1;
            last = id;
        }
        assert!(jumped, "the pace of a counter must not tell what others send");
    }
}
