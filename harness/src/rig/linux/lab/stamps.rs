//! When a frame came: by the stamp of the card, where it stamps every frame and has a clock that can be read (PTP), else by the kernel's.

use super::program::output;
use nix::time::{ClockId, clock_gettime};
use pcap::{Capture, Inactive, TimestampType};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A stamp that is older when it is read says nothing: a clock was set, or is not the one that stamped.
const OLDEST: Duration = Duration::from_secs(5);

/// Whose stamps a port's frames have.
#[derive(Debug)]
pub struct Stamps {
    /// The clock of the card; `None`: the kernel stamps, by its own.
    card: Option<File>,
}

impl Stamps {
    /// Those of the kernel, which every port has.
    pub const KERNEL: Self = Self { card: None };

    /// The best that a port of the namespace of the calling thread has.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let clock = output(&["ethtool", "-T", name]).ok().and_then(|said| clock(&said));
        // Without the right to read the clock, its stamps are of no use.
        let card = clock.and_then(|number| File::open(format!("/dev/ptp{number}")).ok());
        // libpcap does not say whose stamp a frame has, and the kernel stamps what the card did not.
        Self { card: card.filter(|clock| card_time(clock).zip(kernel()).is_some_and(are_apart)) }
    }

    /// Whether it is not the kernel that stamps.
    #[must_use]
    pub fn is_of_a_card(&self) -> bool {
        self.card.is_some()
    }

    /// A line for people where it is not the kernel that stamps.
    #[must_use]
    pub fn note(&self, name: &str) -> Option<String> {
        self.is_of_a_card()
            .then(|| format!("{name} stamps the frames that come, by its own clock, and goes on doing so"))
    }

    /// Asks libpcap for them.
    #[must_use]
    pub fn ask(&self, capture: Capture<Inactive>) -> Capture<Inactive> {
        if self.card.is_some() { capture.tstamp_type(TimestampType::AdapterUnsynced) } else { capture }
    }

    /// When a frame came that has this stamp, with nanoseconds in the place of microseconds: by the clock of the card, or else by that of
    /// the kernel. What neither has just been at is not believed: then it came now.
    #[must_use]
    pub fn instant(&self, stamp: libc::timeval) -> Instant {
        let now = Instant::now();
        let clocks = [self.card.as_ref().and_then(card_time), kernel()];
        let at = |clock: Option<Duration>| before(now, clock?, nanos(stamp)?);
        clocks.into_iter().find_map(at).unwrap_or(now)
    }
}

/// The moment before `now` at which a clock that is at `clock` now was at `stamp`.
fn before(now: Instant, clock: Duration, stamp: Duration) -> Option<Instant> {
    let age = clock.checked_sub(stamp)?;
    if age < OLDEST { now.checked_sub(age) } else { None }
}

/// Whether a stamp of one of two clocks is never taken for one of the other.
fn are_apart((a, b): (Duration, Duration)) -> bool {
    a.abs_diff(b) > 2 * OLDEST
}

fn kernel() -> Option<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}

/// The time of a PTP clock: the kernel takes its descriptor for the number of a clock (clock_gettime(2), `FD_TO_CLOCKID`).
fn card_time(clock: &File) -> Option<Duration> {
    clock_gettime(ClockId::from_raw((!clock.as_raw_fd() << 3) | 3)).ok().map(Duration::from)
}

fn nanos(stamp: libc::timeval) -> Option<Duration> {
    Some(Duration::new(u64::try_from(stamp.tv_sec).ok()?, u32::try_from(stamp.tv_usec).ok()?))
}

/// The number of the clock, out of `ethtool -T`, of a card that stamps all that comes: one that stamps some leaves the others to the
/// kernel, and nobody could tell which.
fn clock(said: &str) -> Option<u32> {
    let has = |words: &str| said.lines().any(|line| line.trim() == words);
    let filters = said.split_once("Hardware Receive Filter Modes:")?.1;
    let all = filters.lines().skip(1).take_while(|line| line.starts_with(char::is_whitespace));
    let stamps_all = has("hardware-receive")
        && has("hardware-raw-clock")
        && all.into_iter().any(|line| line.trim() == "all");
    let number = ["PTP Hardware Clock:", "Hardware timestamp provider index:"]
        .iter()
        .find_map(|label| said.lines().find_map(|line| line.strip_prefix(label)))?;
    number.trim().parse().ok().filter(|_| stamps_all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const CARD: &str = "Time stamping parameters for eth1:\nCapabilities:\n\thardware-transmit\n\thardware-receive\n\
        \thardware-raw-clock\nPTP Hardware Clock: 3\nHardware Transmit Timestamp Modes:\n\toff\n\ton\n\
        Hardware Receive Filter Modes:\n\tnone\n\tall\n";

    #[rstest]
    #[case::it_stamps_all(CARD.to_owned(), Some(3))]
    #[case::it_stamps_ptp_alone(CARD.replace("\tall\n", "\tptpv1-l4-sync\n"), None)]
    #[case::its_clock_is_not_shown(CARD.replace("Clock: 3", "Clock: none"), None)]
    #[case::it_has_no_clock_of_its_own(CARD.replace("\thardware-raw-clock\n", ""), None)]
    #[case::it_stamps_what_it_sends(CARD.replace("\thardware-receive\n", ""), None)]
    #[case::a_newer_ethtool(CARD.replace("PTP Hardware Clock", "Hardware timestamp provider index"), Some(3))]
    #[case::the_kernel_alone("Capabilities:\n\tsoftware-receive\nPTP Hardware Clock: none\n".to_owned(), None)]
    fn a_card_must_stamp_all_and_have_a_clock(#[case] said: String, #[case] number: Option<u32>) {
        assert_eq!(clock(&said), number);
    }

    #[test]
    fn what_a_stamp_says_is_how_long_ago_it_was() {
        let (now, second) = (Instant::now() + 10 * OLDEST, Duration::from_secs(1));
        let at = |clock, stamp| before(now, clock * second, stamp * second).map(|at| now - at);
        assert_eq!(at(100, 98), Some(2 * second));
        assert_eq!(at(100, 101), None, "the clock has not been there yet");
        assert_eq!(at(1_700_000_000, 100), None, "another clock stamped it");
    }

    #[test]
    fn clocks_that_are_close_cannot_be_told_apart_by_their_stamps() {
        let second = Duration::from_secs(1);
        assert!(are_apart((137 * second, 100 * second)) && are_apart((100 * second, 137 * second)));
        assert!(!are_apart((100 * second, 101 * second)), "a card whose driver set its clock");
    }

    #[test]
    fn the_kernels_stamps_are_of_the_real_time_clock() {
        let ago = Duration::from_millis(700);
        let stamp = kernel().expect("it is after 1970") - ago;
        let stamp =
            libc::timeval { tv_sec: stamp.as_secs().cast_signed(), tv_usec: i64::from(stamp.subsec_nanos()) };
        let told = Stamps::KERNEL.instant(stamp).elapsed();
        assert!(told >= ago && told < ago + Duration::from_secs(2), "{told:?}");
    }
}
