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

/// Where a connection lies in the table, for as long as its owner has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

/// A connection in the table: its name as [`Tuple::words`] and the hash of that, its owner (`None`: the entry is free), and the
/// entry behind it in its bucket.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: [u64; 2],
    owner: Option<Owner>,
    hash: u32,
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

    /// The hash of a connection's name in this table.
    #[inline(always)]
    pub(crate) fn hash(&self, tuple: &Tuple) -> u32 {
        keyed_hash(self.key, &tuple.words()) as u32
    }

    #[inline(always)]
    fn bucket(&self, hash: u32) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    #[inline(always)]
    pub(crate) fn get(&self, tuple: &Tuple) -> Option<Owner> {
        self.get_hashed(self.hash(tuple), tuple)
    }

    /// [`Self::get`] with the hash of the name.
    #[inline(always)]
    pub(crate) fn get_hashed(&self, hash: u32, tuple: &Tuple) -> Option<Owner> {
        let name = tuple.words();
        let mut at = self.buckets[self.bucket(hash)];
        while let Some(entry) = self.entries.get(at as usize) {
            if entry.name == name {
                return entry.owner;
            }
            at = entry.next;
        }
        None
    }

    /// Puts an owner in, with the hash of the name; who was there before is replaced.
    pub(crate) fn insert(&mut self, hash: u32, tuple: &Tuple, owner: Owner) -> Place {
        let name = tuple.words();
        let mut at = self.buckets[self.bucket(hash)];
        while let Some(entry) = self.entries.get_mut(at as usize) {
            if entry.name == name {
                entry.owner = Some(owner);
                return Place(at);
            }
            at = entry.next;
        }
        self.insert_new(hash, tuple, owner)
    }

    /// [`Self::insert`] of a name that is not in the table, as the caller has seen.
    #[inline(always)]
    pub(crate) fn insert_new(&mut self, hash: u32, tuple: &Tuple, owner: Owner) -> Place {
        debug_assert!(self.get_hashed(hash, tuple).is_none());
        if self.len >= self.buckets.len() * 2 {
            self.grow();
        }
        let bucket = self.bucket(hash);
        let name = tuple.words();
        let entry = Entry { name, owner: Some(owner), hash, next: self.buckets[bucket] };
        let mut at = self.free;
        if let Some(place) = self.entries.get_mut(at as usize) {
            self.free = place.next;
            *place = entry;
        } else {
            at = self.entries.len() as u32;
            self.entries.push(entry);
        }
        self.buckets[bucket] = at;
        self.len += 1;
        Place(at)
    }

    /// A connection goes from one owner to another, and stays where it is. `false` when somebody else has taken it.
    #[inline]
    pub(crate) fn hand_over(&mut self, place: Place, from: Owner, to: Owner) -> bool {
        match self.entries.get_mut(place.0 as usize) {
            Some(entry) if entry.owner == Some(from) => {
                entry.owner = Some(to);
                true
            }
            _ => false,
        }
    }

    /// Takes a connection out if `owner` still has it.
    pub(crate) fn remove(&mut self, place: Place, owner: Owner) {
        let Some(entry) = self.entries.get_mut(place.0 as usize).filter(|entry| entry.owner == Some(owner))
        else {
            return;
        };
        let (hash, next) = (entry.hash, entry.next);
        (entry.owner, entry.next) = (None, self.free);
        self.free = place.0;
        self.len -= 1;
        let bucket = self.bucket(hash);
        let mut at = self.buckets[bucket];
        if at == place.0 {
            self.buckets[bucket] = next;
            return;
        }
        while let Some(entry) = self.entries.get_mut(at as usize) {
            if entry.next == place.0 {
                entry.next = next;
                return;
            }
            at = entry.next;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let old = core::mem::take(&mut self.buckets);
        self.buckets = alloc::vec![END; old.len() * 2];
        for mut at in old {
            while let Some(&Entry { hash, next, .. }) = self.entries.get(at as usize) {
                let bucket = self.bucket(hash);
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
        let mut places = Vec::new();
        for n in 0..10_000 {
            places.push(table.insert(table.hash(&tuple(n)), &tuple(n), Owner::Sock(n)));
        }
        assert!((0..10_000).all(|n| table.get(&tuple(n)) == Some(Owner::Sock(n))));
        let longest = table.buckets.iter().map(|&first| {
            core::iter::successors(table.entries.get(first as usize), |entry| {
                table.entries.get(entry.next as usize)
            })
            .count()
        });
        assert!(longest.max().is_some_and(|longest| (1..16).contains(&longest)));
        for n in (0..10_000).rev() {
            let place = places[n as usize];
            table.remove(place, Owner::Sock(n ^ 1));
            assert!(!table.hand_over(place, Owner::Sock(n ^ 1), Owner::Sock(n)), "somebody else's");
            assert_eq!(table.get(&tuple(n)), Some(Owner::Sock(n)));
            table.remove(place, Owner::Sock(n));
            assert_eq!(table.get(&tuple(n)), None);
            table.remove(place, Owner::Sock(n));
        }
        assert_eq!(table.len, 0);
        // What was given back is used again.
        for n in 0..10_000 {
            let place = table.insert(table.hash(&tuple(n)), &tuple(n), Owner::Sock(n));
            assert_eq!(table.insert(table.hash(&tuple(n)), &tuple(n), Owner::Request(n)), place);
            assert!(table.hand_over(place, Owner::Request(n), Owner::TimeWait(n)));
        }
        assert!((0..10_000).all(|n| table.get(&tuple(n)) == Some(Owner::TimeWait(n))));
        assert_eq!((table.len, table.entries.len()), (10_000, 10_000));
    }
}
