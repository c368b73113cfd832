//! Frames that the card of the wire port had no room for: libpcap never sees them, so that they would be taken for never sent.

use super::super::namespace::Namespace;
use std::path::Path;

/// What the kernel counts of them: the card had no room, or its ring.
const COUNTERS: [&str; 2] = ["rx_missed_errors", "rx_fifo_errors"];

/// How many a device of a namespace has missed since its driver took it; none where that cannot be read.
#[must_use]
pub fn missed(namespace: &Namespace, name: &str) -> u64 {
    let folder = Path::new("/sys/class/net").join(name).join("statistics");
    namespace.run(move || sum(&folder)).unwrap_or(0)
}

fn sum(folder: &Path) -> u64 {
    let read = |name| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    COUNTERS.into_iter().filter_map(read).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

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
