//! Descriptors that the device fetched and never wrote back: what is seen of a broken DMA mapping where the IOMMU's words are not.

use std::time::{Duration, Instant};

/// How long a write-back may take once a descriptor was fetched; frames take microseconds.
const PATIENCE: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(1);

// Of transmit queue n, 0x40 bytes apart (Intel 82576EB datasheet 2.61, section 8.12).
const QUEUES: u32 = 16;
const STRIDE: u32 = 0x40;
const TDBAL: u32 = 0xe000;
const TDBAH: u32 = 0xe004;
const TDLEN: u32 = 0xe008;
const TDH: u32 = 0xe010;
const TDT: u32 = 0xe018;
const TXDCTL: u32 = 0xe028;
const TXDCTL_ENABLE: u32 = 1 << 25;
/// Bytes of a descriptor.
const DESCRIPTOR: u32 = 16;
/// A descriptor is reported when it is done (DCMD.RS, section 7.2.2.3), and then has DD (section 7.2.2.4).
const REPORT_STATUS: u32 = 1 << 27;
const DONE: u32 = 1;

/// What is wrong, if the newest descriptor of a transmit queue was fetched, asks for a report, and has none after a while. `register` reads
/// a register, `memory` the word at an address as the device has it, `None` beyond what was lent.
pub fn missing(register: &dyn Fn(u32) -> u32, memory: &dyn Fn(u64) -> Option<u32>) -> Option<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = (0..QUEUES).find_map(|queue| unwritten(queue, register, memory))?;
        if Instant::now() >= deadline {
            return Some(found);
        }
        std::thread::sleep(PAUSE);
    }
}

fn unwritten(
    queue: u32,
    register: &dyn Fn(u32) -> u32,
    memory: &dyn Fn(u64) -> Option<u32>,
) -> Option<String> {
    let read = |offset: u32| register(offset + queue * STRIDE);
    let (head, tail, descriptors) = (read(TDH), read(TDT), read(TDLEN) / DESCRIPTOR);
    let is_on = read(TXDCTL) & TXDCTL_ENABLE != 0;
    if !is_on || head != tail || tail >= descriptors {
        return None;
    }
    let newest = tail.checked_sub(1).unwrap_or(descriptors - 1);
    let at = (u64::from(read(TDBAH)) << 32 | u64::from(read(TDBAL))) + u64::from(newest * DESCRIPTOR);
    let (command, status) = (memory(at + 8)?, memory(at + 12)?);
    (command & REPORT_STATUS != 0 && status & DONE == 0).then(|| {
        format!(
            "descriptor fetched, DD never set: {newest} of transmit queue {queue}, at {at:#x}; the device cannot reach it, or what it \
             writes does not arrive"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Queue 2 with 8 descriptors at 0x1_0000_1000, of which the newest has these words.
    fn found(is_on: bool, head: u32, tail: u32, words: (u32, u32)) -> Option<String> {
        let register = move |offset: u32| match offset.checked_sub(2 * STRIDE) {
            Some(TDBAL) => 0x1000,
            Some(TDBAH) => 1,
            Some(TDLEN) => 8 * DESCRIPTOR,
            Some(TDH) => head,
            Some(TDT) => tail,
            Some(TXDCTL) if is_on => TXDCTL_ENABLE,
            _ => 0,
        };
        let newest = 0x1_0000_1000 + u64::from((tail + 7) % 8 * DESCRIPTOR);
        let memory = move |at: u64| match at.checked_sub(newest) {
            Some(8) => Some(words.0),
            Some(12) => Some(words.1),
            _ => None,
        };
        missing(&register, &memory)
    }

    #[rstest]
    #[case::reported(true, 3, 3, (REPORT_STATUS, DONE), None)]
    #[case::not_reported(true, 3, 3, (REPORT_STATUS, 0), Some("DD never set: 2 of transmit queue 2, at 0x100001020"))]
    #[case::the_last_of_the_ring(true, 0, 0, (REPORT_STATUS, 0), Some("DD never set: 7 of transmit queue 2, at 0x100001070"))]
    #[case::nothing_was_sent(true, 0, 0, (0, 0), None)]
    #[case::not_fetched(true, 2, 3, (REPORT_STATUS, 0), None)]
    #[case::the_queue_is_off(false, 3, 3, (REPORT_STATUS, 0), None)]
    fn a_descriptor_that_was_fetched_must_be_written_back(
        #[case] is_on: bool,
        #[case] head: u32,
        #[case] tail: u32,
        #[case] words: (u32, u32),
        #[case] told: Option<&str>,
    ) {
        let found = found(is_on, head, tail, words);
        assert_eq!(found.is_some(), told.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().contains(told.unwrap_or_default()));
    }
}
