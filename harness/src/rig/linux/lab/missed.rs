//! Frames that the card of the wire port had no room for: libpcap never sees them, so that they would be taken for never sent.

use super::super::namespace::Namespace;
use std::path::Path;

/// What the kernel counts of them: the card had no room, or its ring.
const COUNTERS: [&str; 2] = ["rx_missed_errors", "rx_fifo_errors"];

/// How many a device of a namespace has missed since its driver took it; `None` where that cannot be read.
#[must_use]
pub fn missed(namespace: &Namespace, name: &str) -> Option<u64> {
    let folder = Path::new("/sys/class/net").join(name).join("statistics");
    namespace.run(move || folder.exists().then(|| sum(&folder))).ok()?
}

/// How many from one reading to another; none where one of them could not be made.
#[must_use]
pub fn between(before: Option<u64>, now: Option<u64>) -> u64 {
    before.zip(now).map_or(0, |(before, now)| now.saturating_sub(before))
}

fn sum(folder: &Path) -> u64 {
    let read = |name| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    COUNTERS.into_iter().filter_map(read).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_is_no_loss() {
        assert_eq!((between(Some(3), Some(5)), between(None, Some(5)), between(Some(5), None)), (2, 0, 0));
        assert_eq!(between(Some(5), Some(3)), 0, "the driver began anew");
    }

    #[test]
    fn what_the_card_and_its_ring_had_no_room_for_is_added_up() {
        let folder = tempfile::tempdir().expect("there is room");
        assert_eq!(sum(folder.path()), 0, "a driver that counts nothing");
        for (name, count) in [("rx_missed_errors", "3\n"), ("rx_fifo_errors", "4\n"), ("rx_dropped", "9\n")] {
            std::fs::write(folder.path().join(name), count).expect("it is written");
        }
        assert_eq!(sum(folder.path()), 7);
    }
}
