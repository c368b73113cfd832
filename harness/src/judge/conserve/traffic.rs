//! What crossed the wire in a trial, by the properties that counters distinguish; and what became of each received frame.

use crate::case::model::topology::SUT_MAC;
use crate::frame::decode::{Decoded, ETH_HEADER, ETH_MIN, IP_MF, VLAN_TAG};
use crate::frame::{Layer, decode};
use crate::rig::port::Lost;
use nic_emu::DropReason;

/// Bytes of a frame check sequence.
pub const FCS: u64 = 4;
/// The sizes by which a device counts, in bytes with FCS: the last of each class but the last.
const CLASS_ENDS: [u64; 5] = [64, 127, 255, 511, 1023];
/// A pause frame begins so: its group, and behind the source its type and opcode (IEEE 802.3 annex 31B).
const PAUSE: ([u8; 6], [u8; 4]) = ([0x01, 0x80, 0xc2, 0x00, 0x00, 0x01], [0x88, 0x08, 0x00, 0x01]);
/// The group of all hosts, that each host listens to (RFC 1112 section 6.4).
const ALL_HOSTS: [u8; 6] = [0x01, 0x00, 0x5e, 0x00, 0x00, 0x01];

/// Whom a destination address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cast {
    /// One station.
    Unicast,
    /// A group.
    Multicast,
    /// Everybody.
    Broadcast,
}

/// What of an IPv4 packet counters distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Its protocol.
    pub protocol: u8,
    /// Its total length.
    pub octets: u64,
    /// Where its data stands in the datagram.
    pub offset: usize,
    /// Whether it is a part of a datagram.
    pub is_fragment: bool,
    /// Bytes of data behind a TCP header.
    pub tcp_data: usize,
    /// Of a SYN, with or without ACK: ports and sequence number, the same when it is sent again; and whether it has ACK.
    pub syn: Option<((u64, u64, u64), bool)>,
}

/// A frame that crossed the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its bytes on the wire, padding included, without FCS.
    pub bytes: u64,
    /// Its bytes as the stack made them, without padding.
    pub unpadded: u64,
    /// Bytes of a VLAN tag in it.
    pub tag: u64,
    /// The device put that tag on, or took it off: the driver did not see it.
    pub tag_is_of_device: bool,
    /// Whom it is for.
    pub cast: Cast,
    /// Its destination address.
    pub to: [u8; 6],
    /// Whether its type is that of IPv4.
    pub is_ipv4: bool,
    /// Whether its first byte is besides that of a header of IPv4.
    pub begins_ipv4: bool,
    /// Of a pause frame, whether it asks for silence (XOFF) or ends it (XON).
    pub pause: Option<bool>,
    /// The packet in it, where its header is whole.
    pub ip: Option<Ip>,
    /// The transmit queue that it left by, or the receive queue by which it came.
    pub queue: Option<u16>,
    /// The packet of the journey that it was made from.
    pub packet: Option<u32>,
    /// The packet that this one was cut from, in the end.
    pub whole: Option<u32>,
    /// The device was reset before the driver saw that it was sent.
    pub is_uncounted: bool,
}

/// Frames that a failure names together: by size with FCS, then by whom they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class(usize, Cast);

impl Class {
    /// `65 to 127 bytes to one`.
    #[must_use]
    pub fn name(self) -> String {
        let to = match self.1 {
            Cast::Unicast => "one",
            Cast::Multicast => "a group",
            Cast::Broadcast => "everybody",
        };
        let end = |i: usize| CLASS_ENDS.get(i);
        let begin = self.0.checked_sub(1).and_then(end).map_or(0, |last| last + 1);
        match end(self.0) {
            Some(64) => format!("64 bytes to {to}"),
            Some(last) => format!("{begin} to {last} bytes to {to}"),
            None => format!("{begin} bytes or more to {to}"),
        }
    }
}

impl Frame {
    /// A frame as it was captured or injected.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let d = decode(bytes);
        let mut to = [0xff; 6];
        to.iter_mut().zip(bytes).for_each(|(to, byte)| *to = *byte);
        let cast = match to {
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => Cast::Broadcast,
            [first, ..] if first & 1 == 1 => Cast::Multicast,
            _ => Cast::Unicast,
        };
        let tag = if d.has(Layer::Vlan) { VLAN_TAG } else { 0 };
        let begin = ETH_HEADER + tag;
        let kind = d.number(if tag == 0 { Layer::Eth } else { Layer::Vlan }, "type");
        let length = match kind {
            Some(0x0806) => Some(begin + 28),
            _ => d.ipv4.map(|ip| begin + ip.header.len() + ip.data.len()),
        };
        let first = bytes.get(begin).copied().unwrap_or(0);
        Self {
            bytes: bytes.len() as u64,
            unpadded: length.unwrap_or(bytes.len()).min(bytes.len()) as u64,
            tag: tag as u64,
            tag_is_of_device: false,
            cast,
            to,
            is_ipv4: kind == Some(0x0800),
            begins_ipv4: kind == Some(0x0800) && (0x45..=0x4f).contains(&first),
            pause: (to == PAUSE.0 && bytes.get(12..16) == Some(&PAUSE.1))
                .then(|| bytes.get(16..18) != Some(&[0, 0])),
            ip: ip(&d),
            queue: None,
            packet: None,
            whole: None,
            is_uncounted: false,
        }
    }

    /// Its class.
    #[must_use]
    pub fn class(&self) -> Class {
        Class(self.size(), self.cast)
    }

    /// Whether a NIC does not take it at this MTU.
    #[must_use]
    pub fn is_longer_than(&self, mtu: u64) -> bool {
        self.with_fcs() > longest(mtu)
    }

    /// Its bytes with FCS.
    #[must_use]
    pub fn with_fcs(&self) -> u64 {
        self.bytes + FCS
    }

    /// Which of the six sizes it has, from 0.
    #[must_use]
    pub fn size(&self) -> usize {
        CLASS_ENDS.iter().take_while(|last| self.with_fcs() > **last).count()
    }

    /// Bytes that only the device saw.
    fn of_device(&self) -> u64 {
        if self.tag_is_of_device { self.tag } else { 0 }
    }

    /// Its bytes when a driver hands it up: a short one is padded first.
    #[must_use]
    pub fn handed_up(&self) -> u64 {
        (self.bytes - self.of_device()).max(ETH_MIN as u64)
    }

    /// Its bytes when a driver is given it.
    #[must_use]
    pub fn handed_down(&self) -> u64 {
        self.unpadded - self.of_device()
    }

    /// Its bytes in a qdisc: a tag is not in the frame yet, whoever puts it there.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.unpadded - self.tag
    }
}

fn ip(d: &Decoded<'_>) -> Option<Ip> {
    let view = d.ipv4?;
    let number = |key| d.number(Layer::Tcp, key).unwrap_or(0);
    let flags = number("flags");
    let is_syn = d.has(Layer::Tcp) && flags & 0x02 != 0;
    Some(Ip {
        protocol: view.protocol,
        octets: (view.header.len() + view.data.len()) as u64,
        offset: view.offset,
        is_fragment: view.flags & IP_MF != 0 || view.offset != 0,
        tcp_data: if d.has(Layer::Tcp) { d.payload.len() } else { 0 },
        syn: is_syn.then(|| ((number("src_port"), number("dst_port"), number("seq")), flags & 0x10 != 0)),
    })
}

/// What the device under test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A NIC: it pads, filters addresses, and refuses what is too short.
    Hardware,
    /// A TAP or veth: frames as they are.
    Virtual,
}

/// A frame on its way to the system under test.
#[derive(Clone, Copy, Debug)]
pub struct Came<'a> {
    /// Its bytes, without FCS.
    pub bytes: &'a [u8],
    /// The device takes VLAN tags off.
    pub tag_is_of_device: bool,
    /// The receive queue by which it reached memory, where that is known.
    pub queue: Option<u16>,
}

/// All frames of a trial.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// What it went through.
    pub device: Device,
    /// Frames that the system under test sent, in the order of the wire.
    pub sent: Vec<Frame>,
    /// Frames that it sent and that did not get as far: the cable was gone.
    pub cut_off: Vec<Frame>,
    /// Frames that came to the system under test and were taken in.
    pub accepted: Vec<Frame>,
    /// Frames that came to it and were not, with why.
    pub refused: Vec<(DropReason, Frame)>,
    /// Pause frames that its MAC sent by itself.
    pub pauses_sent: Vec<Frame>,
    /// Pause frames that its MAC obeyed: nothing that a driver sees.
    pub pauses_obeyed: Vec<Frame>,
}

impl Traffic {
    /// Frames on a device: sent ones with all that is known of them, those that came to it, and what its port lost of both.
    /// Without a port, what is lost is what a NIC would not take; `mtu` is the largest that it had.
    #[must_use]
    pub fn new(
        device: Device,
        sent: Vec<Frame>,
        came: Vec<Came<'_>>,
        lost: Option<&[Lost]>,
        mtu: u64,
    ) -> Self {
        let tells = lost.is_some();
        let by_mac = |frame: &Frame| device == Device::Hardware && frame.pause.is_some();
        let (pauses_sent, sent) = sent.into_iter().partition(by_mac);
        let (cut_off, accepted, refused_ones, pauses_obeyed) = Default::default();
        let mut traffic =
            Self { device, sent, cut_off, accepted, refused: refused_ones, pauses_sent, pauses_obeyed };
        let mut lost: Vec<_> = lost.map(|lost| lost.iter().map(Some).collect()).unwrap_or_default();
        for came in came {
            let Came { bytes, tag_is_of_device, queue } = came;
            let frame = Frame { tag_is_of_device, queue, ..Frame::of(bytes) };
            let found = lost.iter_mut().find(|l| l.is_some_and(|l| l.bytes == bytes));
            match found.and_then(Option::take) {
                // The port tells of those that its MAC kept to itself.
                Some(found) if by_mac(&frame) && !was_deaf(found.reason) => traffic.pauses_obeyed.push(frame),
                Some(found) => traffic.refused.push((found.reason, frame)),
                None if !tells && device == Device::Hardware && frame.is_longer_than(mtu) => {
                    traffic.refused.push((DropReason::Oversize, frame));
                }
                None => match refused(device, &frame, tells) {
                    Some(reason) => traffic.refused.push((reason, frame)),
                    None if by_mac(&frame) && queue.is_none() => traffic.pauses_obeyed.push(frame),
                    None => traffic.accepted.push(frame),
                },
            }
        }
        traffic.cut_off = lost.into_iter().flatten().map(|lost| Frame::of(&lost.bytes)).collect();
        traffic
    }

    /// Sent frames were padded by who received them, and not by who sent them: QEMU's igb does so.
    pub fn sent_unpadded(&mut self) {
        for frame in self.sent.iter_mut().chain(&mut self.cut_off) {
            frame.bytes = frame.unpadded;
        }
    }

    /// Received frames that were refused for a reason.
    pub fn refused_for(&self, reasons: &'static [DropReason]) -> impl Iterator<Item = &Frame> {
        self.refused.iter().filter(|(reason, _)| reasons.contains(reason)).map(|(_, frame)| frame)
    }

    /// Frames that the driver handed to the device, and it took: those on the wire, and those that the cable lost.
    pub fn taken(&self) -> impl Iterator<Item = &Frame> {
        self.sent.iter().chain(&self.cut_off)
    }

    /// Of those, the frames that the driver saw to be sent.
    pub fn completed(&self) -> impl Iterator<Item = &Frame> {
        self.taken().filter(|frame| !frame.is_uncounted)
    }

    /// Of the frames that several of one packet are, the first: what the device cut by itself.
    pub fn cut(&self) -> impl Iterator<Item = &Frame> {
        let same = |a: &Frame, b: &Frame| a.packet.is_some() && a.packet == b.packet;
        let first = move |i: usize, frame: &Frame| {
            let before = i.checked_sub(1).and_then(|i| self.sent.get(i));
            let is_first = !before.is_some_and(|other| same(frame, other));
            is_first && self.sent.get(i + 1).is_some_and(|other| same(frame, other))
        };
        self.sent.iter().enumerate().filter(move |(i, frame)| first(*i, frame)).map(|(_, frame)| frame)
    }

    /// Received packets of IPv4 that are meant for this host by their frame.
    pub fn to_ip(&self) -> impl Iterator<Item = &Frame> {
        let own = |frame: &Frame| frame.cast != Cast::Unicast || frame.to == SUT_MAC;
        self.accepted.iter().filter(move |frame| frame.is_ipv4 && own(frame))
    }
}

/// Whether the MAC did not even look at a frame that was lost for this reason.
#[must_use]
pub fn was_deaf(reason: DropReason) -> bool {
    use DropReason::{BadCrc, Cable, LinkDown, ReceiverDisabled, Removed, Reset, Undersize};
    matches!(reason, LinkDown | ReceiverDisabled | Reset | BadCrc | Undersize | Removed | Cable)
}

/// The longest frame with FCS that a driver has its NIC take at an MTU (Linux 6.12 `igb_set_frame_size`: two tags, and 1,536 at least).
fn longest(mtu: u64) -> u64 {
    (mtu + ETH_HEADER as u64 + FCS + 8).max(1_536)
}

/// Why a NIC does not take a frame, as far as that is to be seen of the frame: it is shorter than any can be, or (where the
/// port does not tell that it passed the filters) not for this station.
fn refused(device: Device, frame: &Frame, tells: bool) -> Option<DropReason> {
    if device == Device::Virtual {
        return None;
    }
    let own = match frame.cast {
        Cast::Broadcast => true,
        Cast::Multicast => frame.to == ALL_HOSTS,
        Cast::Unicast => frame.to == SUT_MAC,
    };
    if !own && !tells {
        return Some(DropReason::Filtered);
    }
    (frame.bytes < ETH_MIN as u64).then_some(DropReason::Undersize)
}
