//! What the counters of a device must say of the frames on its wire.
//!
//! The driver of Linux (igb, 6.12) counts packets and bytes by itself for `ip -s link` and for each queue: without FCS and without
//! the padding that the device adds on its way out; on its way in a frame that is too short is padded first. Sent ones count
//! when their completion is cleaned, each segment of a large packet with headers of its own. The device counts what is on the
//! cable: `ethtool -S` shows bytes from destination address to FCS, padded (82576 datasheet, section 8.18). A TAP or veth
//! counts frames as they are, and refuses none.

use super::traffic::{Cast, Device, Frame, was_deaf};
use super::{Equation, Moved, Traffic};
use nic_emu::DropReason;

/// Frames that were in the device's hands, counted as good there, and lost behind that.
const LOST_BEHIND: &[DropReason] =
    &[DropReason::NoDescriptor, DropReason::QueueDisabled, DropReason::DmaFault];
const SENT: &str = "the frames sent";
const SENT_BYTES: &str = "bytes of the frames sent, without padding and FCS";
const TAKEN: &str = "the frames taken in";

/// Of a counter's name, what it says; those that the rig does not have are left out.
struct Counters<'m> {
    source: &'static str,
    moved: &'m Moved,
    equations: Vec<Equation>,
}

impl<'m> Counters<'m> {
    fn of(source: &'static str, moved: &'m Moved) -> Self {
        Self { source, moved, equations: Vec::new() }
    }

    fn law<'f>(
        &mut self,
        name: &str,
        counts: &'static str,
        frames: impl IntoIterator<Item = &'f Frame>,
        amount: impl Fn(&Frame) -> u64,
    ) {
        if let Some(is) = self.moved.get(name) {
            let amount = |frame: &Frame| i64::try_from(amount(frame)).unwrap_or(i64::MAX);
            let counter = format!("{} {name}", self.source);
            self.equations.push(Equation::new(counter, *is, counts, frames, amount));
        }
    }

    /// The sum of the counters of all queues, such as `rx_queue_*_packets`.
    fn sum<'f>(
        &mut self,
        (before, after): (&str, &str),
        counts: &'static str,
        frames: impl IntoIterator<Item = &'f Frame>,
        amount: impl Fn(&Frame) -> u64,
    ) {
        let of_queues = |name: &str| {
            let number = name.strip_prefix(before)?.strip_suffix(after)?;
            number.parse::<u16>().ok()
        };
        let is = self.moved.iter().filter(|(name, _)| of_queues(name).is_some()).map(|(_, is)| is).sum();
        let amount = |frame: &Frame| i64::try_from(amount(frame)).unwrap_or(i64::MAX);
        let counter = format!("the sum of {} {before}*{after}", self.source);
        self.equations.push(Equation::new(counter, is, counts, frames, amount));
    }

    fn nothing(&mut self, names: &[&str], counts: &'static str) {
        for name in names {
            if let Some(is) = self.moved.get(*name) {
                self.equations.push(Equation::nothing(format!("{} {name}", self.source), *is, counts));
            }
        }
    }
}

/// `ip -s link`.
#[must_use]
pub fn netdev(moved: &Moved, traffic: &Traffic) -> Vec<Equation> {
    let mut all = Counters::of("netdev", moved);
    let is_hardware = traffic.device == Device::Hardware;
    all.law("tx_packets", SENT, traffic.completed(), |_| 1);
    all.law("tx_bytes", SENT_BYTES, traffic.completed(), Frame::handed_down);
    all.law("rx_packets", TAKEN, &traffic.accepted, |_| 1);
    let handed_up = |frame: &Frame| if is_hardware { frame.handed_up() } else { frame.bytes };
    all.law("rx_bytes", "bytes of the frames taken in, without FCS", &traffic.accepted, handed_up);
    all.nothing(&["tx_errors", "tx_carrier_errors", "tx_fifo_errors", "collisions"], "what does not happen");
    if is_hardware {
        use DropReason::{BadCrc, FifoFull, NoDescriptor, Oversize, Undersize};
        let mut refused = |name, counts, reasons| all.law(name, counts, traffic.refused_for(reasons), |_| 1);
        refused(
            "rx_errors",
            "frames that are damaged, too short or too long",
            &[BadCrc, Undersize, Oversize],
        );
        refused("rx_length_errors", "frames that are too short or too long", &[Undersize, Oversize]);
        refused("rx_crc_errors", "frames with a wrong FCS", &[BadCrc]);
        refused("rx_missed_errors", "frames for which the packet buffer had no room", &[FifoFull]);
        refused("rx_fifo_errors", "frames for which there was no room", &[FifoFull, NoDescriptor]);
        let groups = traffic.accepted.iter().filter(|frame| frame.cast == Cast::Multicast);
        all.law("multicast", "frames taken in to a group", groups, |_| 1);
        all.nothing(&["rx_over_errors", "rx_frame_errors"], "what does not happen");
    }
    all.equations
}

/// `ethtool -S`, as far as it is about the whole device.
#[must_use]
pub fn ethtool(moved: &Moved, traffic: &Traffic) -> Vec<Equation> {
    use DropReason::{BadCrc, FifoFull, Oversize, Undersize};
    let mut all = Counters::of("ethtool", moved);
    all.law("tx_packets", SENT, &traffic.sent, |_| 1);
    all.law("tx_bytes", "bytes of the frames sent, with FCS", &traffic.sent, Frame::with_fcs);
    let to = |frames: &'_ [Frame], cast| {
        frames.iter().filter(move |f| f.cast == cast).cloned().collect::<Vec<_>>()
    };
    all.law("tx_broadcast", "frames sent to everybody", &to(&traffic.sent, Cast::Broadcast), |_| 1);
    all.law("tx_multicast", "frames sent to a group", &to(&traffic.sent, Cast::Multicast), |_| 1);
    let good: Vec<_> = traffic.accepted.iter().chain(traffic.refused_for(LOST_BEHIND)).cloned().collect();
    all.law("rx_packets", "good frames", &good, |_| 1);
    for name in ["rx_bytes", "rx_long_byte_count"] {
        all.law(name, "bytes of good frames, with FCS", &good, Frame::with_fcs);
    }
    all.law("rx_broadcast", "good frames to everybody", &to(&good, Cast::Broadcast), |_| 1);
    for name in ["rx_multicast", "multicast"] {
        all.law(name, "good frames to a group", &to(&good, Cast::Multicast), |_| 1);
    }
    let mut refused = |name, counts, reasons| all.law(name, counts, traffic.refused_for(reasons), |_| 1);
    refused("rx_short_length_errors", "frames that are too short", &[Undersize]);
    refused("rx_long_length_errors", "frames that are too long", &[Oversize]);
    refused("rx_length_errors", "frames that are too short or too long", &[Undersize, Oversize]);
    refused("rx_crc_errors", "frames with a wrong FCS", &[BadCrc]);
    refused("rx_missed_errors", "frames for which the packet buffer had no room", &[FifoFull]);
    refused("rx_errors", "frames that are damaged, too short or too long", &[BadCrc, Undersize, Oversize]);
    // Where no journey tells which frames were one packet, nobody knows what was cut.
    if traffic.sent.iter().all(|frame| frame.packet.is_some()) {
        all.law(
            "tx_tcp_seg_good",
            "packets that the device cut (the first frame of each)",
            traffic.cut(),
            |_| 1,
        );
    }
    for (name, frames, asks) in [
        ("tx_flow_control_xoff", &traffic.pauses_sent, true),
        ("tx_flow_control_xon", &traffic.pauses_sent, false),
        ("rx_flow_control_xoff", &traffic.pauses_obeyed, true),
        ("rx_flow_control_xon", &traffic.pauses_obeyed, false),
    ] {
        // One that the filters hold back may have been obeyed before, which nobody tells.
        let held_back = |(reason, frame): &(_, Frame)| frame.pause.is_some() && !was_deaf(*reason);
        let is_unknown = name.starts_with("rx") && traffic.refused.iter().any(held_back);
        let such = frames.iter().filter(|frame| frame.pause == Some(asks));
        if !is_unknown {
            all.law(name, "pause frames of the MAC", such, |_| 1);
        }
    }
    let never = [
        "collisions",
        "tx_errors",
        "tx_aborted_errors",
        "tx_carrier_errors",
        "tx_window_errors",
        "tx_abort_late_coll",
        "tx_deferred_ok",
        "tx_single_coll_ok",
        "tx_multi_coll_ok",
        "tx_tcp_seg_failed",
        "rx_align_errors",
        "rx_over_errors",
        "rx_frame_errors",
        "tx_dma_out_of_sync",
    ];
    all.nothing(&never, "what does not happen");
    all.equations
}

/// `ethtool -S`, queue by queue: what was sent by the queue that it left, what came in by the queue through which it
/// reached memory; and the sums.
#[must_use]
pub fn queues(moved: &Moved, traffic: &Traffic) -> Vec<Equation> {
    let mut all = Counters::of("ethtool", moved);
    let in_sight = traffic.cut_off.is_empty() && traffic.sent.iter().all(|frame| frame.queue.is_some());
    let mut numbers = (0..=u16::MAX).take_while(|n| moved.contains_key(&format!("tx_queue_{n}_packets")));
    while let (true, Some(n)) = (in_sight, numbers.next()) {
        let of_queue = || traffic.sent.iter().filter(|frame| frame.queue == Some(n) && !frame.is_uncounted);
        all.law(&format!("tx_queue_{n}_packets"), "the frames that left by this queue", of_queue(), |_| 1);
        let counts = "bytes of the frames that left by this queue, without padding and FCS";
        all.law(&format!("tx_queue_{n}_bytes"), counts, of_queue(), Frame::handed_down);
    }
    let in_sight = traffic.accepted.iter().all(|frame| frame.queue.is_some());
    let mut numbers = (0..=u16::MAX).take_while(|n| moved.contains_key(&format!("rx_queue_{n}_packets")));
    while let (true, Some(n)) = (in_sight, numbers.next()) {
        let of_queue = || traffic.accepted.iter().filter(|frame| frame.queue == Some(n));
        all.law(&format!("rx_queue_{n}_packets"), "the frames that came by this queue", of_queue(), |_| 1);
        let counts = "bytes of the frames that came by this queue, without FCS";
        all.law(&format!("rx_queue_{n}_bytes"), counts, of_queue(), Frame::handed_up);
    }
    all.sum(("tx_queue_", "_packets"), SENT, traffic.completed(), |_| 1);
    all.sum(("tx_queue_", "_bytes"), SENT_BYTES, traffic.completed(), Frame::handed_down);
    all.sum(("rx_queue_", "_packets"), TAKEN, &traffic.accepted, |_| 1);
    let bytes = "bytes of the frames taken in, without FCS";
    all.sum(("rx_queue_", "_bytes"), bytes, &traffic.accepted, Frame::handed_up);
    let no_room = traffic.refused_for(&[DropReason::NoDescriptor]);
    all.sum(("rx_queue_", "_drops"), "frames for which the queue had no descriptor", no_room, |_| 1);
    all.equations
}

/// The device's counters by size, `rx_64` to `tx_1024_max`.
#[must_use]
pub fn sizes(moved: &Moved, traffic: &Traffic) -> Vec<Equation> {
    let mut all = Counters::of("sizes", moved);
    let good: Vec<_> = traffic.accepted.iter().chain(traffic.refused_for(LOST_BEHIND)).cloned().collect();
    for (size, class) in crate::rig::port::CLASSES.iter().enumerate() {
        let of = |frames: &[Frame]| frames.iter().filter(|f| f.size() == size).cloned().collect::<Vec<_>>();
        all.law(&format!("tx_{class}"), "frames sent of this size", &of(&traffic.sent), |_| 1);
        all.law(&format!("rx_{class}"), "good frames of this size", &of(&good), |_| 1);
    }
    all.equations
}
