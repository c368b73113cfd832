//! Finding a connection by its addresses and ports: `inet_ehash`. The cost does not depend on how many there are.

use crate::entropy::Entropy;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// What names a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    pub(crate) laddr: Ipv4Addr,
    pub(crate) lport: u16,
    pub(crate) raddr: Ipv4Addr,
    pub(crate) rport: u16,
}

/// Who owns a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A socket, by its slot.
    Sock(u32),
    /// A request of a listener.
    Request(u32),
    /// A record of TIME-WAIT.
    TimeWait(u32),
}

/// The table: buckets that double when there are two entries for each.
#[derive(Debug)]
pub(crate) struct ConnectionTable {
    key: u64,
    len: usize,
    buckets: Vec<Vec<(Tuple, Owner)>>,
}

const FIRST_BUCKETS: usize = 64;

/// Mixes words under a key, so that nobody outside can choose where they fall.
pub(crate) fn keyed_hash(key: u64, words: &[u64]) -> u64 {
    let mut hash = key;
    for word in words {
        hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
        hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ key.rotate_left(32);
        hash ^= hash >> 32;
    }
    hash
}

impl Tuple {
    pub(crate) fn words(&self) -> [u64; 2] {
        [
            u64::from(self.laddr.to_bits()) << 32 | u64::from(self.raddr.to_bits()),
            u64::from(self.lport) << 16 | u64::from(self.rport),
        ]
    }
}

impl ConnectionTable {
    pub(crate) fn new(entropy: &mut Entropy) -> Self {
        let mut buckets = Vec::new();
        buckets.resize_with(FIRST_BUCKETS, Vec::new);
        Self { key: entropy.next_u64(), len: 0, buckets }
    }

    /// How many connections are in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn bucket(&self, tuple: &Tuple) -> usize {
        keyed_hash(self.key, &tuple.words()) as usize & (self.buckets.len() - 1)
    }

    #[inline]
    pub(crate) fn get(&self, tuple: &Tuple) -> Option<Owner> {
        self.buckets[self.bucket(tuple)].iter().find(|(other, _)| other == tuple).map(|(_, owner)| *owner)
    }

    /// Puts an owner in; who was there before is replaced.
    pub(crate) fn insert(&mut self, tuple: Tuple, owner: Owner) {
        self.remove(&tuple);
        if self.len >= self.buckets.len() * 2 {
            self.grow();
        }
        let bucket = self.bucket(&tuple);
        self.buckets[bucket].push((tuple, owner));
        self.len += 1;
    }

    /// Takes a connection out, whoever owns it.
    pub(crate) fn remove(&mut self, tuple: &Tuple) {
        let bucket = self.bucket(tuple);
        if let Some(at) = self.buckets[bucket].iter().position(|(other, _)| other == tuple) {
            self.buckets[bucket].swap_remove(at);
            self.len -= 1;
        }
    }

    /// Takes a connection out if `owner` still has it.
    pub(crate) fn remove_owned(&mut self, tuple: &Tuple, owner: Owner) {
        if self.get(tuple) == Some(owner) {
            self.remove(tuple);
        }
    }

    #[cold]
    fn grow(&mut self) {
        let doubled = self.buckets.len() * 2;
        let old = core::mem::take(&mut self.buckets);
        self.buckets.resize_with(doubled, Vec::new);
        for entry in old.into_iter().flatten() {
            let bucket = self.bucket(&entry.0);
            self.buckets[bucket].push(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_connections_are_all_found_and_no_bucket_is_long() {
        let mut table = ConnectionTable::new(&mut Entropy::new(1));
        let tuple = |n: u32| Tuple {
            laddr: Ipv4Addr::new(192, 0, 2, 1),
            lport: 80,
            raddr: Ipv4Addr::from_bits(0x0a00_0000 + n / 100),
            rport: (n % 100) as u16,
        };
        for n in 0..10_000 {
            table.insert(tuple(n), Owner::Sock(n));
        }
        assert!((0..10_000).all(|n| table.get(&tuple(n)) == Some(Owner::Sock(n))));
        assert!(table.buckets.iter().all(|bucket| bucket.len() < 16));
        for n in 0..10_000 {
            table.remove_owned(&tuple(n), Owner::Sock(n ^ 1));
            assert!(table.get(&tuple(n)).is_some(), "somebody else's");
            table.remove_owned(&tuple(n), Owner::Sock(n));
        }
        assert_eq!((table.len, table.get(&tuple(5))), (0, None));
    }
}
