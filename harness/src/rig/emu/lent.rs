//! The memory that the driver has lent to the device, and who reached beyond it.
//!
//! The same bytes may be lent more than once (two fragments of one buffer), so loans are counted. An access is allowed if
//! loans for its direction cover all of it, one or several that touch.

use stack_under_test::bus::Direction;
use std::collections::BTreeMap;

/// What the device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It reads.
    Read,
    /// It writes.
    Write,
}

/// Memory that is lent.
#[derive(Debug, Default)]
pub struct Lent {
    /// By the address at which each begins.
    loans: BTreeMap<u64, Vec<Loan>>,
    /// The longest loan so far: none that covers an address begins further before it.
    longest: u64,
}

#[derive(Debug)]
struct Loan {
    len: u32,
    direction: Direction,
    count: u32,
}

impl Loan {
    fn allows(&self, access: Access) -> bool {
        match access {
            Access::Read => self.direction != Direction::FromDevice,
            Access::Write => self.direction != Direction::ToDevice,
        }
    }
}

impl Lent {
    /// Lends `len` bytes from `addr` on.
    pub fn lend(&mut self, addr: u64, len: u32, direction: Direction) {
        self.longest = self.longest.max(u64::from(len));
        let loans = self.loans.entry(addr).or_default();
        match loans.iter_mut().find(|loan| loan.len == len && loan.direction == direction) {
            Some(loan) => loan.count += 1,
            None => loans.push(Loan { len, direction, count: 1 }),
        }
    }

    /// Takes back what one [`Lent::lend`] with this address and length lent. `false`: there is none.
    pub fn take_back(&mut self, addr: u64, len: u32) -> bool {
        let Some(loans) = self.loans.get_mut(&addr) else { return false };
        let Some(at) = loans.iter().position(|loan| loan.len == len) else { return false };
        loans[at].count -= 1;
        if loans[at].count == 0 {
            loans.swap_remove(at);
            if loans.is_empty() {
                self.loans.remove(&addr);
            }
        }
        true
    }

    /// Whether the device may reach `len` bytes from `addr` on.
    #[must_use]
    pub fn allows(&self, addr: u64, len: usize, access: Access) -> bool {
        let Some(end) = addr.checked_add(len as u64) else { return false };
        let mut reached = addr;
        while reached < end {
            match self.reach_from(reached, access) {
                Some(next) => reached = next,
                None => return false,
            }
        }
        true
    }

    /// The end of a loan for this access that covers the byte at `addr`.
    fn reach_from(&self, addr: u64, access: Access) -> Option<u64> {
        let first = addr.saturating_sub(self.longest);
        self.loans.range(first..=addr).rev().find_map(|(start, loans)| {
            let covers = |loan: &&Loan| loan.allows(access) && start + u64::from(loan.len) > addr;
            loans.iter().filter(covers).map(|loan| start + u64::from(loan.len)).max()
        })
    }

    /// Whether nothing is lent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.loans.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn lent() -> Lent {
        let mut lent = Lent::default();
        lent.lend(0x1000, 0x100, Direction::ToDevice);
        lent.lend(0x1100, 0x100, Direction::Bidirectional);
        lent.lend(0x2000, 0x100, Direction::FromDevice);
        lent
    }

    #[rstest]
    #[case::within(0x1010, 0x10, Access::Read, true)]
    #[case::all_of_it(0x1000, 0x100, Access::Read, true)]
    #[case::over_two_loans_that_touch(0x10f0, 0x20, Access::Read, true)]
    #[case::beyond_the_end(0x11f0, 0x20, Access::Read, false)]
    #[case::before_the_start(0x0ff0, 0x20, Access::Read, false)]
    #[case::writing_what_may_only_be_read(0x1000, 1, Access::Write, false)]
    #[case::writing_over_both(0x10f0, 0x20, Access::Write, false)]
    #[case::writing_a_ring(0x1100, 0x10, Access::Write, true)]
    #[case::reading_a_receive_buffer(0x2000, 1, Access::Read, false)]
    #[case::around_the_end_of_the_address_space(u64::MAX, 2, Access::Read, false)]
    fn the_device_reaches_what_is_lent_to_it_and_nothing_else(
        #[case] addr: u64,
        #[case] len: usize,
        #[case] access: Access,
        #[case] allowed: bool,
    ) {
        assert_eq!(lent().allows(addr, len, access), allowed);
    }

    #[test]
    fn what_was_lent_twice_is_lent_until_it_was_taken_back_twice() {
        let mut lent = Lent::default();
        lent.lend(0x1000, 8, Direction::ToDevice);
        lent.lend(0x1000, 8, Direction::ToDevice);
        assert!(lent.take_back(0x1000, 8));
        assert!(lent.allows(0x1000, 8, Access::Read));
        assert!(lent.take_back(0x1000, 8));
        assert!(!lent.allows(0x1000, 8, Access::Read));
        assert!(!lent.take_back(0x1000, 8), "it is not lent any more");
    }

    #[test]
    fn a_long_loan_is_found_behind_short_ones() {
        let mut lent = Lent::default();
        lent.lend(0x1000, 0x1000, Direction::ToDevice);
        lent.lend(0x1800, 8, Direction::ToDevice);
        assert!(lent.allows(0x1804, 0x100, Access::Read));
    }
}
