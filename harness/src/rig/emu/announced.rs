//! Descriptors that the driver announced by writing a tail, as they stood at that moment.
//!
//! A device may fetch a descriptor as soon as the tail that announces it is written. The emulated one fetches it when it is
//! stepped, long after the driver's function has returned, and would not notice a descriptor that is written too late. So
//! the descriptors are copied when the tail is written, and compared when they are fetched.

use nic_emu::Nic;
use stack_under_test::dma::DmaPeer;
use std::collections::BTreeMap;

const DESCRIPTOR_BYTES: u32 = 16;
/// Queues of one direction.
const QUEUES: u32 = 16;
/// Queues of which the registers can be found at a second place.
const ALIASED_QUEUES: u32 = 4;
/// `RXDCTL.ENABLE` and `TXDCTL.ENABLE`.
const ENABLE: u32 = 1 << 25;

/// The registers of one direction's queue 0: 82576 datasheet, sections 8.10 and 8.12. Those of the next stand 0x40 further, at
/// the second place 0x100.
struct Block {
    name: &'static str,
    base_low: u32,
    alias: u32,
}

const BLOCKS: [Block; 2] = [
    Block { name: "TDT", base_low: 0xE000, alias: 0x3800 },
    Block { name: "RDT", base_low: 0xC000, alias: 0x2800 },
];
const BASE_HIGH: u32 = 0x04;
const LENGTH: u32 = 0x08;
const TAIL: u32 = 0x18;
const CONTROL: u32 = 0x28;

/// A descriptor as it stood when it was announced.
#[derive(Debug)]
struct Promise {
    bytes: [u8; DESCRIPTOR_BYTES as usize],
    tail: &'static str,
    queue: u32,
    index: u32,
}

/// What is announced and not fetched.
#[derive(Debug, Default)]
pub struct Announced {
    /// The part of memory in which rings lie.
    rings: Option<DmaPeer>,
    /// By bus address.
    promises: BTreeMap<u64, Promise>,
}

impl Announced {
    /// Descriptors in `rings`; of those that lie elsewhere nothing is kept.
    #[must_use]
    pub fn new(rings: DmaPeer) -> Self {
        Self { rings: Some(rings), promises: BTreeMap::new() }
    }

    /// The driver is about to write `value` to a register: if it is a tail, what it announces is copied.
    pub fn before_write(&mut self, nic: &Nic, register: u32, value: u32) {
        let Some(rings) = &self.rings else { return };
        let Some((block, queue)) = queue_of_tail(register) else { return };
        let registers = block.base_low + 0x40 * queue;
        if nic.peek32(registers + CONTROL) & ENABLE == 0 {
            return;
        }
        let base = u64::from(nic.peek32(registers + BASE_HIGH)) << 32 | u64::from(nic.peek32(registers));
        let count = nic.peek32(registers + LENGTH) / DESCRIPTOR_BYTES;
        let (mut index, end) = (nic.peek32(registers + TAIL), value & 0xFFFF);
        if index >= count || end >= count {
            return;
        }
        while index != end {
            let at = base.wrapping_add(u64::from(index * DESCRIPTOR_BYTES));
            let mut bytes = [0; DESCRIPTOR_BYTES as usize];
            if rings.read(at, &mut bytes) {
                self.promises.insert(at, Promise { bytes, tail: block.name, queue, index });
            }
            index = (index + 1) % count;
        }
    }

    /// The device fetched `bytes` from `addr` on: tells of each descriptor among them that is not what was announced.
    pub fn fetched(&mut self, addr: u64, bytes: &[u8], tell: &mut dyn FnMut(String)) {
        self.take(addr, bytes.len() as u64, |at, promise| {
            let fetched = usize::try_from(at - addr).ok().and_then(|from| bytes.get(from..from + promise.bytes.len()));
            if fetched.is_some_and(|fetched| fetched != promise.bytes) {
                let Promise { tail, queue, index, .. } = promise;
                tell(format!(
                    "descriptor {index} of {tail}({queue}) changed after the tail that announces it was written: it must \
                     be written first, then a write barrier, then the tail (section 7.1.8, 7.2.2)"
                ));
            }
        });
    }

    /// The device may not reach this memory any more: whatever comes to lie there was not announced.
    pub fn forget(&mut self, addr: u64, len: u32) {
        self.take(addr, u64::from(len), |_, _| {});
    }

    fn take(&mut self, addr: u64, len: u64, mut f: impl FnMut(u64, Promise)) {
        let end = addr.saturating_add(len);
        while let Some(at) = self.promises.range(addr..end).next().map(|(at, _)| *at) {
            if let Some(promise) = self.promises.remove(&at) {
                f(at, promise);
            }
        }
    }
}

/// Which queue's tail stands at this offset.
fn queue_of_tail(register: u32) -> Option<(&'static Block, u32)> {
    BLOCKS.iter().find_map(|block| {
        let queue = |first: u32, stride: u32, queues: u32| {
            let distance = register.checked_sub(first + TAIL)?;
            (distance.is_multiple_of(stride) && distance / stride < queues).then_some(distance / stride)
        };
        let queue =
            queue(block.base_low, 0x40, QUEUES).or_else(|| queue(block.alias, 0x100, ALIASED_QUEUES))?;
        Some((block, queue))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::the_first(0xE018, Some(("TDT", 0)))]
    #[case::the_last(0xE3D8, Some(("TDT", 15)))]
    #[case::beyond_the_last(0xE418, None)]
    #[case::at_the_second_place(0x3918, Some(("TDT", 1)))]
    #[case::a_queue_without_a_second_place(0x3C18, None)]
    #[case::of_receiving(0xC058, Some(("RDT", 1)))]
    #[case::of_receiving_at_the_second_place(0x2818, Some(("RDT", 0)))]
    #[case::a_head(0xE010, None)]
    #[case::a_status(0x8, None)]
    fn a_tail_is_known_by_its_offset(#[case] register: u32, #[case] expected: Option<(&str, u32)>) {
        assert_eq!(queue_of_tail(register).map(|(block, queue)| (block.name, queue)), expected);
    }
}
