//! Who holds which port: `inet_bind_hashbucket`. A port has a list of its holders; to join it, to leave it and to see whether
//! there are any costs the same however many there are.

use super::bind::Holder;
use alloc::vec::Vec;

/// No entry: entries count from 1.
const NONE: u32 = 0;

/// A holder in the list of its port.
#[derive(Clone, Copy, Debug)]
struct Entry {
    port: u16,
    /// `None`: the entry is free, and `next` is the next free one.
    holder: Option<Holder>,
    next: u32,
    previous: u32,
}

/// What a holder keeps to leave its port by; the default is that of one who holds none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held(u32);

/// The holders of all ports.
#[derive(Debug, Default)]
pub(crate) struct PortTable {
    /// The first holder of each port; empty until there is one.
    first: Vec<u32>,
    entries: Vec<Entry>,
    free: u32,
    len: usize,
}

impl PortTable {
    /// How many holders there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A holder joins a port.
    #[inline(always)]
    pub(crate) fn insert(&mut self, port: u16, holder: Holder) -> Held {
        if self.first.is_empty() {
            self.begin();
        }
        let first = &mut self.first[usize::from(port)];
        let entry = Entry { port, holder: Some(holder), next: *first, previous: NONE };
        let at = match self.free.checked_sub(1) {
            Some(free) => {
                let place = &mut self.entries[free as usize];
                let at = core::mem::replace(&mut self.free, place.next);
                *place = entry;
                at
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32
            }
        };
        let next = core::mem::replace(first, at);
        if next != NONE {
            self.entries[next as usize - 1].previous = at;
        }
        self.len += 1;
        Held(at)
    }

    #[cold]
    fn begin(&mut self) {
        self.first = alloc::vec![NONE; usize::from(u16::MAX) + 1];
    }

    /// A holder gives its place at its port to another. `false` when it holds none.
    pub(crate) fn hand_over(&mut self, held: Held, from: Holder, to: Holder) -> bool {
        let entry = held.0.checked_sub(1).and_then(|at| self.entries.get_mut(at as usize));
        match entry {
            Some(entry) if entry.holder == Some(from) => {
                entry.holder = Some(to);
                true
            }
            _ => false,
        }
    }

    /// A holder leaves its port, unless it did before.
    pub(crate) fn remove(&mut self, held: Held, holder: Holder) {
        let Some(at) = held.0.checked_sub(1) else { return };
        let Some(entry) = self.entries.get_mut(at as usize).filter(|entry| entry.holder == Some(holder))
        else {
            return;
        };
        let Entry { port, next, previous, .. } = *entry;
        (entry.holder, entry.next) = (None, self.free);
        self.free = held.0;
        match previous.checked_sub(1) {
            Some(previous) => self.entries[previous as usize].next = next,
            None => self.first[usize::from(port)] = next,
        }
        if let Some(next) = next.checked_sub(1) {
            self.entries[next as usize].previous = previous;
        }
        self.len -= 1;
    }

    /// The holders of a port, in no order.
    #[inline]
    pub(crate) fn holders(&self, port: u16) -> impl Iterator<Item = Holder> + '_ {
        let mut at = self.first.get(usize::from(port)).copied().unwrap_or(NONE);
        core::iter::from_fn(move || {
            let entry = self.entries.get(at.checked_sub(1)? as usize)?;
            at = entry.next;
            entry.holder
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn holders_come_and_go_in_any_order_and_are_seen_at_their_port_alone() {
        let mut table = PortTable::default();
        let mut held: Vec<_> =
            (0..100_u32).map(|n| (n, table.insert((n % 3) as u16, Holder::Sock(n)))).collect();
        for round in 0..7 {
            held.retain(|&(n, at)| {
                let goes = (n * 7 + round) % 5 == 0;
                if n % 7 == round {
                    let (sock, timewait) = (Holder::Sock(n), Holder::TimeWait(n));
                    assert!(!table.hand_over(at, timewait, sock), "somebody else's");
                    assert!(table.hand_over(at, sock, timewait) && table.hand_over(at, timewait, sock));
                }
                if goes {
                    table.remove(at, Holder::Sock(n));
                    table.remove(at, Holder::Sock(n));
                    table.remove(at, Holder::TimeWait(n));
                    assert!(!table.hand_over(at, Holder::Sock(n), Holder::TimeWait(n)));
                }
                !goes
            });
            held.extend(
                (0..5)
                    .map(|i| 1000 + round * 5 + i)
                    .map(|n| (n, table.insert((n % 3) as u16, Holder::Sock(n)))),
            );
            for port in 0..3 {
                let expected: BTreeSet<_> =
                    held.iter().filter(|(n, _)| n % 3 == port).map(|(n, _)| Holder::Sock(*n)).collect();
                assert_eq!(table.holders(port as u16).collect::<BTreeSet<_>>(), expected);
            }
            assert_eq!(table.len(), held.len());
        }
        assert_eq!(table.holders(3).next(), None);
        assert!(table.entries.len() <= 105, "what was given back is used again");
    }
}
