//! The two ends of the cable: taken into namespaces, set up, and proved to belong together.

use super::super::features;
use super::super::ipv6_off;
use super::super::namespace::Namespace;
use super::super::pins;
use super::super::qdisc::StandIn;
use super::super::tap::{self, DEVICE};
use super::hardware::{Hardware, word};
use super::ports::Found;
use super::program::{fails, output};
use super::stamps::Stamps;
use super::wire::{WirePort, open_to_send, open_with, send};
use crate::case::model::topology;
use crate::rig::vfio::of_qemu;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::super::Happening;
use super::super::wire::Wire as _;

/// How long a link may take to come up.
const CARRIER: Duration = Duration::from_secs(10);
/// How long a frame may take through the cable; it is sent again meanwhile.
const PROOF: Duration = Duration::from_secs(3);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// The MTU of the wire port, in bytes: frames of 9,216 bytes pass, and what an igb sends at its largest MTU.
const WIRE_MTU: u64 = topology::WIRE_BYTES as u64;
/// The first EtherType for local experiments (IEEE 802).
const EXPERIMENTAL: [u8; 2] = [0x88, 0xb5];
/// Features that change what is on the cable, or what the harness would see of it, in the order in which they go off.
const OFFLOADS: [&str; 9] =
    ["lro", "gro", "gso", "tso", "tx-udp-segmentation", "sg", "tx", "rxvlan", "txvlan"];

/// A namespace, and a handle by which `ip link set … netns` finds it.
#[derive(Debug)]
pub struct Place {
    /// The handle.
    net: File,
}

impl Place {
    /// The network namespace of a thread.
    ///
    /// # Errors
    /// When it has died, or there are no descriptors left.
    pub fn of(namespace: &Namespace) -> Result<Self, String> {
        let net = namespace.run(|| File::open("/proc/thread-self/ns/net")).map_err(|e| e.to_string())?;
        Ok(Self { net: net.map_err(|e| format!("/proc/thread-self/ns/net: {e}"))? })
    }

    /// A path that any process may use while this is there.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.net.as_raw_fd())
    }
}

/// Makes a namespace for a port, where nothing speaks by itself.
///
/// # Errors
/// Why it cannot be made.
pub fn namespace() -> Result<Namespace, String> {
    let namespace = Namespace::new().map_err(|e| e.to_string())?;
    namespace.run(ipv6_off).and_then(|done| done).map_err(|e| e.to_string())?;
    Ok(namespace)
}

/// Moves a port from the namespace of the calling thread, and gives it a name there.
///
/// # Errors
/// What `ip` says.
pub fn take(device: &str, to: &str, name: &str) -> Result<(), String> {
    output(&["ip", "link", "set", "dev", device, "down"])?;
    output(&["ip", "link", "set", "dev", device, "netns", to, "name", name]).map(drop).map_err(|why| {
        format!("port {device} cannot be moved into a namespace: {why}; the lab needs root of the machine: sudo wireproof …")
    })
}

/// Sets up the port under test in the namespace of the calling thread: the topology, one queue pair, pinned settings. Gives
/// notes.
///
/// # Errors
/// What cannot be as it must.
pub fn set_up_port(found: &Found) -> Result<Vec<String>, String> {
    let mut notes = Vec::new();
    let channels = found.hardware.channels.iter().filter(|(_, count)| *count != "0" && *count != "1");
    for (name, _) in channels {
        // Where queues cannot be fewer, more of them do the same.
        drop(fails(&["ethtool", "-L", DEVICE, name, "1"]));
    }
    if found.is_virtual() {
        features::as_on_a_cable(DEVICE).map_err(|e| e.to_string())?;
        let (name, kind) = (&found.name, &found.kind);
        notes.push(format!("{name} is a {kind}, with no hardware that cuts and sums: its offloads are off"));
    }
    if found.is_of_qemu() {
        output(&of_qemu::LEFT_TO_THE_STACK)?;
        notes.push(of_qemu::NOTE.to_owned());
    }
    notes.extend(pins::apply().map_err(|e| e.to_string())?);
    tap::configure().map_err(|e| e.to_string())?;
    Ok(notes)
}

/// pfifo_fast, where the default of the port under test is another; in the namespace of the calling thread.
///
/// # Errors
/// When it cannot be had.
pub fn default_qdisc() -> Result<StandIn, String> {
    let text = output(&["tc", "qdisc", "show", "dev", DEVICE])?;
    if text.lines().any(|line| line.starts_with("qdisc pfifo_fast 0: root")) {
        return Ok(StandIn::NotNeeded);
    }
    StandIn::begin().map_err(|e| e.to_string())
}

/// Sets up the wire port in the namespace of the calling thread: silent, and open for all that is on the cable.
///
/// # Errors
/// What cannot be as it must.
pub fn set_up_wire(found: &Found) -> Result<Vec<String>, String> {
    let name = found.name.as_str();
    let mut notes = Vec::new();
    switch_off(name, &OFFLOADS)?;
    notes.extend(Stamps::of(name).note(name));
    let mtu = if found.max_mtu == 0 { WIRE_MTU } else { WIRE_MTU.min(found.max_mtu) };
    let words = ["arp", "off", "multicast", "off", "promisc", "on", "mtu"];
    let set = |mtu: u64| {
        let mtu = mtu.to_string();
        let words = ["ip", "link", "set", "dev", name].into_iter().chain(words).chain([mtu.as_str(), "up"]);
        fails(&words.collect::<Vec<_>>())
    };
    if let Some(why) = set(mtu) {
        // A card may refuse what its driver promised.
        set(1500).map_or(Ok(()), |_| Err(why))?;
        notes.push(format!("{name} takes no frames of more than 1,514 bytes"));
    } else if mtu < WIRE_MTU {
        notes.push(format!("{name} takes no frames of more than {} bytes", mtu + 14));
    }
    Ok(notes)
}

/// Switches features off, and looks whether they are: what can be changed must be.
fn switch_off(device: &str, features: &[&str]) -> Result<(), String> {
    let off = |name: &str| features.contains(&word(name));
    for feature in features {
        drop(fails(&["ethtool", "-K", device, feature, "off"]));
    }
    let left = Hardware::read(device).features;
    match left.iter().find(|(name, value)| off(name) && *value == "on") {
        Some((name, _)) => Err(format!("feature {name} of {device} cannot be switched off")),
        None => Ok(()),
    }
}

/// Waits until both ports have carrier.
///
/// # Errors
/// When there is none in time.
pub fn wait_for_carrier(port: &Namespace, wire: &Namespace, names: [&str; 2]) -> Result<(), String> {
    let deadline = Instant::now() + CARRIER;
    for (namespace, device, name) in [(port, DEVICE, names[0]), (wire, names[1], names[1])] {
        while !has_carrier(namespace, device)? {
            if Instant::now() >= deadline {
                return Err(format!(
                    "no cable: port {name} has no carrier after {} s: is the cable between {} and {} plugged in at both ends?",
                    CARRIER.as_secs(),
                    names[0],
                    names[1]
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

fn has_carrier(namespace: &Namespace, device: &str) -> Result<bool, String> {
    let device = device.to_owned();
    namespace.run(move || carries(&device)).map_err(|e| e.to_string())
}

/// Whether a device of the namespace of the calling thread has carrier, and the kernel has noticed.
fn carries(device: &str) -> bool {
    let is = |file: &str, wanted: &str| {
        std::fs::read_to_string(format!("/sys/class/net/{device}/{file}"))
            .is_ok_and(|text| text.trim() == wanted)
    };
    // A driver that knows nothing of states stays UNKNOWN.
    is("carrier", "1") && (is("operstate", "up") || is("operstate", "unknown"))
}

/// Waits until the port under test has carrier again after a command, if it is up; in its namespace. Where it has none in time, the
/// case will find out.
pub fn settle() {
    let deadline = Instant::now() + CARRIER;
    let is_up = || {
        let flags = std::fs::read_to_string(format!("/sys/class/net/{DEVICE}/flags")).unwrap_or_default();
        // IFF_UP.
        u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).is_ok_and(|flags| flags & 1 != 0)
    };
    while is_up() && !carries(DEVICE) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Proves that the two ports are the ends of one cable: a frame of an experimental type each way.
///
/// # Errors
/// Which way nothing came.
pub fn prove(port: &Namespace, wire: &WirePort, names: [&str; 2]) -> Result<(), String> {
    let (to, heard) = channel();
    let mut attached = wire.attach(to)?;
    let ends = || -> Result<_, String> { Ok((open_with(DEVICE, &Stamps::KERNEL)?, open_to_send(DEVICE)?)) };
    let (mut reader, mut sender) = port.run(ends).map_err(|e| e.to_string())??;
    let out = frame(topology::PEER_MAC, topology::SUT_MAC);
    let back = frame(topology::SUT_MAC, topology::PEER_MAC);
    let deadline = Instant::now() + PROOF;
    loop {
        send(&mut sender, &out)?;
        if hears(&heard, &out)? {
            break;
        }
        if Instant::now() >= deadline {
            return Err(nothing(names[0], names[1]));
        }
    }
    loop {
        attached.inject(&back).map_err(|e| e.to_string())?;
        std::thread::sleep(PAUSE / 10);
        while let Ok(packet) = reader.next_packet() {
            if packet.data.starts_with(&back) {
                attached.stop();
                return Ok(());
            }
        }
        if Instant::now() >= deadline {
            return Err(nothing(names[1], names[0]));
        }
        std::thread::sleep(PAUSE);
    }
}

fn nothing(from: &str, to: &str) -> String {
    format!(
        "{from} and {to} are not joined: nothing that port {from} sends arrives at port {to}; are they the two ends of one cable?"
    )
}

/// Whether the frame comes within a pause.
fn hears(heard: &Receiver<Happening>, wanted: &[u8]) -> Result<bool, String> {
    let until = Instant::now() + PAUSE;
    loop {
        match heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Happening::Frame { bytes, .. }) if bytes.starts_with(wanted) => return Ok(true),
            Ok(Happening::Broken(why)) => return Err(why),
            Ok(_) => {}
            Err(_) => return Ok(false),
        }
    }
}

/// A frame that no other machine and no earlier run sends, for it has a random token in it.
#[must_use]
pub fn frame(destination: [u8; 6], source: [u8; 6]) -> Vec<u8> {
    let mut bytes = [&destination[..], &source, &EXPERIMENTAL, b"wireproof "].concat();
    bytes.extend(std::process::id().to_be_bytes());
    // The keys of a new hasher are random.
    bytes.extend(
        std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id()).to_be_bytes(),
    );
    bytes.resize(60, 0);
    bytes
}
