//! The device's counters of frames by size, as `ethtool -d` shows what the driver has read of them: no other tool does.

use crate::case::model::{Command, Location};
use crate::rig::port::CLASSES;
use crate::rig::{Reading, Readings};

/// The first register of each direction (82576 datasheet, section 8.18: PRC64 and PTC64); there are six, 4 bytes apart.
const FIRST: [(&str, u32); 2] = [("rx", 0x405C), ("tx", 0x40D8)];
/// The sizes with FCS: the first of all, and the last of each class but the last.
const SHORTEST: u64 = 64;
const ENDS: [u64; 5] = [64, 127, 255, 511, 1023];

/// The command that shows the registers; `at` is where the trial stands.
#[must_use]
pub fn command(at: Location) -> Command {
    let words = ["ethtool", "-d", "eth0"].map(str::to_owned).to_vec();
    Command { words, error: None, output: Vec::new(), at }
}

/// The counters in what was shown, by `sizes.rx_64`, `sizes.tx_1024_max` and the like.
#[must_use]
pub fn counters(shown: &str) -> Readings {
    let counter = |line: &str| {
        let (register, rest) = line.trim().split_once(':')?;
        let register = u32::from_str_radix(register.strip_prefix("0x")?, 16).ok()?;
        let value = i64::from_str_radix(rest.split_whitespace().last()?.strip_prefix("0x")?, 16).ok()?;
        let class = |(direction, first): (&str, u32)| {
            let class = CLASSES.get(register.checked_sub(first)? as usize / 4)?;
            Some((format!("sizes.{direction}_{class}"), Reading::Number(value)))
        };
        FIRST.into_iter().find_map(class)
    };
    shown.lines().filter_map(counter).collect()
}

/// The class of a frame that a device takes to be of so many bytes; none has one that is too short.
#[must_use]
pub fn class(bytes: u64) -> Option<&'static str> {
    let class = ENDS.iter().take_while(|last| bytes > **last).count();
    CLASSES.get(class).copied().filter(|_| bytes >= SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn sizes_are_found_among_the_registers() {
        let shown = "0x00000: CTRL (Device control register)          0x581C0241\n\
                     0x0405C: PRC64       (Packets rx (64 B) count)        0x00000003\n\
                     0x04070: PRC1522     (Packets rx (1024-max B) count)  0x0000001F\n\
                     0x04074: GPRC        (Good packets received count)    0x00000022\n\
                     0x040DC: PTC127      (Packets tx (65-127 B) count)    0x00000001\n\
                     0x040F0: MPTC        (Multicast packets tx count)     0x00000007\n";
        let expected = [("sizes.rx_64", 3), ("sizes.rx_1024_max", 31), ("sizes.tx_65_127", 1)];
        let expected = expected.map(|(name, n)| (name.to_owned(), Reading::Number(n)));
        assert_eq!(counters(shown), Readings::from(expected));
        assert_eq!(counters("Cannot get register dump: No such device\n"), Readings::new());
    }

    #[rstest]
    #[case(63, None)]
    #[case(64, Some("64"))]
    #[case(65, Some("65_127"))]
    #[case(127, Some("65_127"))]
    #[case(128, Some("128_255"))]
    #[case(1023, Some("512_1023"))]
    #[case(1024, Some("1024_max"))]
    #[case(65_000, Some("1024_max"))]
    fn a_size_has_a_class(#[case] bytes: u64, #[case] expected: Option<&str>) {
        assert_eq!(class(bytes), expected);
    }
}
