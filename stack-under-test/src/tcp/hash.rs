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

/// No entry follows.
const END: u32 = u32::MAX;

/// A connection in the table: its name as [`Tuple::words`], its owner, and the entry behind it in its bucket.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: [u64; 2],
    owner: Owner,
    next: u32,
}

/// The table: buckets that double when there are two entries for each. The entries lie in one list, and those that are free
/// are linked, so that a connection that comes and goes asks for no memory.
#[derive(Debug)]
pub(crate) struct ConnectionTable {
    key: u64,
    len: usize,
    /// The first entry of each bucket.
    buckets: Vec<u32>,
    entries: Vec<Entry>,
    free: u32,
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
        let buckets = alloc::vec![END; FIRST_BUCKETS];
        Self { key: entropy.next_u64(), len: 0, buckets, entries: Vec::new(), free: END }
    }

    /// How many connections are in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn bucket(&self, name: &[u64; 2]) -> usize {
        keyed_hash(self.key, name) as usize & (self.buckets.len() - 1)
    }

    #[inline(always)]
    pub(crate) fn get(&self, tuple: &Tuple) -> Option<Owner> {
        let name = tuple.words();
        let mut at = self.buckets[self.bucket(&name)];
        while let Some(entry) = self.entries.get(at as usize) {
            if entry.name == name {
                return Some(entry.owner);
            }
            at = entry.next;
        }
        None
    }

    /// Puts an owner in; who was there before is replaced.
    pub(crate) fn insert(&mut self, tuple: Tuple, owner: Owner) {
        let name = tuple.words();
        let mut bucket = self.bucket(&name);
        let mut at = self.buckets[bucket];
        while let Some(entry) = self.entries.get_mut(at as usize) {
            if entry.name == name {
                entry.owner = owner;
                return;
            }
            at = entry.next;
        }
        if self.len >= self.buckets.len() * 2 {
            self.grow();
            bucket = self.bucket(&name);
        }
        let entry = Entry { name, owner, next: self.buckets[bucket] };
        let at = self.free;
        self.buckets[bucket] = if let Some(place) = self.entries.get_mut(at as usize) {
            self.free = place.next;
            *place = entry;
            at
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        self.len += 1;
    }

    /// Takes a connection out if `owner` still has it.
    pub(crate) fn remove_owned(&mut self, tuple: &Tuple, owner: Owner) {
        let name = tuple.words();
        let bucket = self.bucket(&name);
        let (mut before, mut at) = (END, self.buckets[bucket]);
        while let Some(&Entry { name: other, owner: has, next }) = self.entries.get(at as usize) {
            if other != name {
                (before, at) = (at, next);
                continue;
            }
            if has == owner {
                match self.entries.get_mut(before as usize) {
                    Some(entry) => entry.next = next,
                    None => self.buckets[bucket] = next,
                }
                self.entries[at as usize].next = self.free;
                self.free = at;
                self.len -= 1;
            }
            return;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let old = core::mem::take(&mut self.buckets);
        self.buckets = alloc::vec![END; old.len() * 2];
        for mut at in old {
            while let Some(&Entry { name, next, .. }) = self.entries.get(at as usize) {
                let bucket = self.bucket(&name);
                self.entries[at as usize].next = self.buckets[bucket];
                self.buckets[bucket] = at;
                at = next;
            }
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
        let longest = table.buckets.iter().map(|&first| {
            core::iter::successors(table.entries.get(first as usize), |entry| {
                table.entries.get(entry.next as usize)
            })
            .count()
        });
        assert!(longest.max().is_some_and(|longest| (1..16).contains(&longest)));
        for n in 0..10_000 {
            table.remove_owned(&tuple(n), Owner::Sock(n ^ 1));
            assert!(table.get(&tuple(n)).is_some(), "somebody else's");
            table.remove_owned(&tuple(n), Owner::Sock(n));
        }
        assert_eq!((table.len, table.get(&tuple(5))), (0, None));
        // What was given back is used again.
        for n in 0..10_000 {
            table.insert(tuple(n), Owner::Sock(n));
            table.insert(tuple(n), Owner::TimeWait(n));
        }
        assert!((0..10_000).all(|n| table.get(&tuple(n)) == Some(Owner::TimeWait(n))));
        assert_eq!((table.len, table.entries.len()), (10_000, 10_000));
    }
}
