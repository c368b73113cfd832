//! A queue of packets, linked through the packets themselves: nothing is allocated to put one in.

use super::Skb;
use super::pool::{NONE, SkbPool};

/// First in, first out. It does not free what is in it when dropped: [`SkbPool::purge`] does.
#[derive(Debug)]
pub struct SkbQueue {
    first: u32,
    last: u32,
    count: u32,
    truesize: u64,
    bytes: u64,
}

impl Default for SkbQueue {
    fn default() -> Self {
        Self { first: NONE, last: NONE, count: 0, truesize: 0, bytes: 0 }
    }
}

impl SkbQueue {
    /// How many packets lie in it.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it is empty.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The sum of their `truesize`.
    #[inline]
    #[must_use]
    pub fn truesize(&self) -> u64 {
        self.truesize
    }

    /// The sum of their lengths.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts a packet at the end.
    #[inline]
    pub fn push_back(&mut self, pool: &mut SkbPool, skb: Skb) {
        let slot = skb.0;
        pool.meta[slot as usize].next = NONE;
        if self.last == NONE {
            self.first = slot;
        } else {
            pool.meta[self.last as usize].next = slot;
        }
        self.last = slot;
        self.account(pool, slot);
    }

    /// Puts a packet back where it was taken from.
    #[inline]
    pub fn push_front(&mut self, pool: &mut SkbPool, skb: Skb) {
        let slot = skb.0;
        pool.meta[slot as usize].next = self.first;
        self.first = slot;
        if self.last == NONE {
            self.last = slot;
        }
        self.account(pool, slot);
    }

    #[inline]
    fn account(&mut self, pool: &SkbPool, slot: u32) {
        let meta = &pool.meta[slot as usize];
        self.count += 1;
        self.truesize += u64::from(meta.truesize);
        self.bytes += u64::from(meta.len);
    }

    /// Takes the first packet out. Its `truesize` and length must be what they were when it was put in.
    #[inline]
    #[must_use]
    pub fn pop_front(&mut self, pool: &mut SkbPool) -> Option<Skb> {
        if self.first == NONE {
            return None;
        }
        let slot = self.first;
        let meta = &mut pool.meta[slot as usize];
        self.first = meta.next;
        if self.first == NONE {
            self.last = NONE;
        }
        meta.next = NONE;
        self.count -= 1;
        self.truesize -= u64::from(meta.truesize);
        self.bytes -= u64::from(meta.len);
        Some(Skb(slot))
    }

    /// What is known of the first packet.
    #[inline]
    #[must_use]
    pub fn peek<'a>(&self, pool: &'a SkbPool) -> Option<&'a super::SkBuff> {
        (self.first != NONE).then(|| &pool.meta[self.first as usize])
    }

    /// Whether one of its packets is what `is` says.
    pub(crate) fn any(&self, pool: &SkbPool, is: impl Fn(&super::SkBuff) -> bool) -> bool {
        let mut slot = self.first;
        while let Some(skb) = pool.meta.get(slot as usize) {
            if is(skb) {
                return true;
            }
            slot = skb.next;
        }
        false
    }

    /// The slot of the first packet.
    #[inline]
    pub(crate) fn first_slot(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Moves all of `other` behind what is here.
    pub fn append(&mut self, pool: &mut SkbPool, other: &mut Self) {
        while let Some(skb) = other.pop_front(pool) {
            self.push_back(pool, skb);
        }
    }
}
