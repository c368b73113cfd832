//! The link between the two ports: how fast it is, and where a port leads that is not joined to the other.

use super::super::namespace::Namespace;
use super::program::{items, json};
use super::stamps::Stamps;
use super::wire::{open_to_send, open_with, send};
use pcap::{Active, Capture};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long other ports of the machine are listened at.
const ELSEWHERE: Duration = Duration::from_millis(600);
/// The pause between two frames.
const PAUSE: Duration = Duration::from_millis(20);

/// A port, by the namespace that it is in, its name there, and the name that people know.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The thread of its namespace.
    pub namespace: &'a Namespace,
    /// What it is called there.
    pub device: &'a str,
    /// What it is called in the lab's file.
    pub name: &'a str,
}

/// How fast the link of a port is, in Mbit/s; `None`: its driver does not say, or it has no link.
#[must_use]
pub fn speed(end: End<'_>) -> Option<u32> {
    let device = end.device.to_owned();
    end.namespace.run(move || speed_in(Path::new("/sys"), &device)).ok().flatten()
}

/// What a sysfs says of the speed of a device, in Mbit/s.
fn speed_in(sys: &Path, device: &str) -> Option<u32> {
    let text = std::fs::read_to_string(sys.join("class/net").join(device).join("speed")).ok()?;
    // -1: unknown.
    text.trim().parse().ok().filter(|speed| *speed != 0 && *speed != u32::MAX)
}

/// Holds the speed of a port's link against the one that the lab's file has.
///
/// # Errors
/// When it is another.
pub fn as_fast_as(wanted: Option<u32>, found: Option<u32>, name: &str) -> Result<(), String> {
    match (wanted, found) {
        (Some(wanted), Some(found)) if wanted != found => Err(format!(
            "the link of {name} has {found} Mbit/s, and the lab's file says `speed: {wanted}`: look at the cable, at both ports' \
             `ethtool`, or write what is right"
        )),
        (Some(wanted), None) => Err(format!(
            "the driver of {name} does not say how fast its link is, and the lab's file says `speed: {wanted}`: take that line out"
        )),
        _ => Ok(()),
    }
}

/// Where the ends of a lab lead that are not joined to each other: the port of this machine out of which a frame of one of them comes.
/// Only ports at `home` that are up are listened at. `None`: it is none of them.
#[must_use]
pub fn elsewhere(home: &Namespace, ends: [End<'_>; 2], frame: &[u8]) -> Option<String> {
    for (one, other) in [(ends[0], ends[1]), (ends[1], ends[0])] {
        let mut listeners = home.run(listeners).ok()?;
        let device = one.device.to_owned();
        let mut sender = one.namespace.run(move || open_to_send(&device)).ok()?.ok()?;
        let deadline = Instant::now() + ELSEWHERE;
        while Instant::now() < deadline {
            send(&mut sender, frame).ok()?;
            std::thread::sleep(PAUSE);
            if let Some(found) =
                listeners.iter_mut().find_map(|(name, listener)| heard(name, listener, frame))
            {
                return Some(format!("port {} is joined to {found}, not to {}", one.name, other.name));
            }
        }
    }
    None
}

fn heard(name: &str, listener: &mut Capture<Active>, frame: &[u8]) -> Option<String> {
    while let Ok(packet) = listener.next_packet() {
        if packet.data.starts_with(frame) {
            return Some(name.to_owned());
        }
    }
    None
}

/// All Ethernet ports of the namespace of the calling thread that are up.
fn listeners() -> Vec<(String, Capture<Active>)> {
    let links = json(&["ip", "-j", "link", "show", "up"]).unwrap_or_default();
    let names =
        items(&links).filter(|link| link["link_type"] == "ether").filter_map(|link| link["ifname"].as_str());
    names.filter_map(|name| Some((name.to_owned(), open_with(name, &Stamps::KERNEL).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_gigabit("1000\n", Some(1000))]
    #[case::unknown("-1\n", None)]
    #[case::unknown_as_older_kernels_have_it("4294967295\n", None)]
    #[case::no_number("fast\n", None)]
    fn a_speed_is_read_in_megabits(#[case] text: &str, #[case] speed: Option<u32>) {
        let sys = tempfile::tempdir().expect("there is room for a folder");
        let folder = sys.path().join("class/net/p0");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("speed"), text).expect("a file");
        assert_eq!(speed_in(sys.path(), "p0"), speed);
        assert_eq!(speed_in(sys.path(), "p1"), None);
    }

    #[rstest]
    #[case::nothing_is_wanted(None, Some(100), "")]
    #[case::as_wanted(Some(1000), Some(1000), "")]
    #[case::slower(Some(1000), Some(100), "has 100 Mbit/s, and the lab's file says `speed: 1000`")]
    #[case::it_does_not_say(Some(1000), None, "does not say how fast")]
    fn another_speed_than_that_of_the_file_is_told(
        #[case] wanted: Option<u32>,
        #[case] found: Option<u32>,
        #[case] words: &str,
    ) {
        let told = as_fast_as(wanted, found, "p0").err().unwrap_or_default();
        assert!(told.contains(words) && told.is_empty() == words.is_empty(), "{told}");
    }
}
