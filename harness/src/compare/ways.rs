//! What a NIC is known to count otherwise than an 82576 (`by:` in the list of what QEMU does otherwise), worked out from the frames of
//! the trial: a counter is off by that, exactly, and any other difference is one.
//!
//! ```text
//! padding  tx_bytes    - the padding of each frame                 tx_64  - 1 for each that has some
//! cut      tx_packets  - 1 for each frame but the first of a packet that the device cut
//!          tx_bytes    - its headers and FCS                       sizes  the packet, and not its frames
//! tag      rx_bytes    - 4 for each received frame whose tag the device took off
//! fcs      sizes       each received frame without its FCS, and without the tag that was taken off
//! ```
//!
//! The frames are those of the rig whose device counts as it should: it pads them, and cuts as it should.

use super::Side;
use super::listed::holds;
use super::sizes::class;
use crate::case::model::{Differs, Extent, Trial, Way};
use crate::frame::decode;
use crate::judge::conserve::traffic::{FCS, Frame};
use crate::rig::SeenFrame;
use crate::run::differs::names;
use std::collections::BTreeMap;

/// Frames of a trial, as far as devices count them differently.
#[derive(Clone, Debug, Default)]
pub struct Crossed {
    /// Those that the system under test sent.
    sent: Vec<Sent>,
    /// Those that reached its memory; none where the rig does not see its port.
    received: Vec<Received>,
}

/// A frame that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// Its bytes without padding and FCS.
    bytes: u64,
    /// Bytes that were added to make it long enough.
    padding: u64,
    /// Bytes before what its packet carries.
    headers: u64,
    /// The packet of the journey that it was made from.
    packet: Option<u32>,
}

/// A frame that was received.
#[derive(Clone, Copy, Debug)]
struct Received {
    /// Its bytes on the wire without FCS.
    bytes: u64,
    /// Bytes of a tag that the device took off.
    tag: u64,
}

impl Crossed {
    /// A frame was sent.
    pub fn sent(&mut self, seen: &SeenFrame) {
        let frame = Frame::of(&seen.bytes);
        let headers = frame.unpadded.saturating_sub(decode(&seen.bytes).payload.len() as u64);
        let padding = frame.bytes - frame.unpadded;
        self.sent.push(Sent { bytes: frame.unpadded, padding, headers, packet: seen.packet });
    }

    /// A frame reached memory, while the device took tags off or left them on.
    pub fn received(&mut self, bytes: &[u8], takes_tags_off: bool) {
        let Frame { bytes, tag, .. } = Frame::of(bytes);
        self.received.push(Received { bytes, tag: if takes_tags_off { tag } else { 0 } });
    }

    /// By how much a counter of a device that does this is off, when it did what these frames tell of.
    #[must_use]
    pub fn off(&self, way: Way, counter: &str) -> i64 {
        if let Some(class) = counter.strip_prefix("sizes.") {
            return self.off_by_size(way, class);
        }
        let amount: u64 = match (way, counter) {
            (Way::Padding, "ethtool.tx_bytes") => self.sent.iter().map(|frame| frame.padding).sum(),
            (Way::Cut, "ethtool.tx_packets") => self.cut().map(|pieces| pieces.len() as u64 - 1).sum(),
            (Way::Cut, "ethtool.tx_bytes") => self
                .cut()
                .flat_map(|pieces| pieces.into_iter().skip(1))
                .map(|piece| piece.headers + FCS)
                .sum(),
            (Way::Tag, "ethtool.rx_bytes" | "ethtool.rx_long_byte_count") => {
                self.received.iter().map(|frame| frame.tag).sum()
            }
            _ => 0,
        };
        -i64::try_from(amount).unwrap_or(i64::MAX)
    }

    /// The same of a counter of frames of a size, `tx_64`.
    fn off_by_size(&self, way: Way, counter: &str) -> i64 {
        let Some((direction, wanted)) = counter.split_once('_') else { return 0 };
        let is = |bytes: u64| i64::from(class(bytes) == Some(wanted));
        match (way, direction) {
            (Way::Padding, "tx") => {
                let padded = self.sent.iter().filter(|frame| frame.padding > 0);
                -padded.map(|frame| is(frame.bytes + frame.padding + FCS)).sum::<i64>()
            }
            (Way::Cut, "tx") => self
                .cut()
                .map(|pieces| {
                    let headers: u64 = pieces.iter().skip(1).map(|piece| piece.headers).sum();
                    let whole = pieces.iter().map(|piece| piece.bytes).sum::<u64>() - headers;
                    // One that is padded is missing already.
                    is(whole + FCS) - pieces.iter().map(|piece| is(piece.bytes + FCS)).sum::<i64>()
                })
                .sum(),
            (Way::Fcs, "rx") => {
                self.received.iter().map(|frame| is(frame.bytes - frame.tag) - is(frame.bytes + FCS)).sum()
            }
            _ => 0,
        }
    }

    /// The frames of each packet that the device cut.
    fn cut(&self) -> impl Iterator<Item = Vec<&Sent>> {
        let mut packets = BTreeMap::<u32, Vec<&Sent>>::new();
        for frame in &self.sent {
            if let Some(packet) = frame.packet {
                packets.entry(packet).or_default().push(frame);
            }
        }
        packets.into_values().filter(|frames| frames.len() > 1)
    }
}

/// What is known of a counter on two rigs, of which one counts otherwise.
#[derive(Debug, PartialEq, Eq)]
pub struct Known<'t> {
    /// By how much it must be more on the second rig than on the first.
    pub more: i64,
    /// Why, and by how much for each reason.
    pub why: Vec<(&'t str, i64)>,
}

/// By how much a counter must be more on the second rig than on the first; where both deviate alike, they agree.
#[must_use]
pub fn known<'t>(trial: &'t Trial, (a, b): (&Side, &Side), counter: &str) -> Known<'t> {
    let mut known = Known { more: 0, why: Vec::new() };
    for (entry, way) in applying(trial, a, b) {
        if !entry.field.as_deref().is_some_and(|field| names(field, counter)) {
            continue;
        }
        let is_of_b = holds(entry, b);
        let off = if is_of_b { &a.observed.crossed } else { &b.observed.crossed }.off(way, counter);
        if off != 0 {
            known.more += if is_of_b { off } else { -off };
            known.why.push((entry.why.trim(), off));
        }
    }
    known
}

/// The entries about exactly one of both rigs.
fn applying<'t>(trial: &'t Trial, a: &Side, b: &Side) -> impl Iterator<Item = (&'t Differs, Way)> {
    let alike = |entry: &Differs| {
        let same = |side| {
            let is_it = |other: &Differs| {
                (&other.extent, &other.field) == (&entry.extent, &entry.field) && holds(other, side)
            };
            trial.differs.iter().any(is_it)
        };
        same(a) && same(b)
    };
    let here = |entry: &&Differs| holds(entry, a) != holds(entry, b) && !alike(entry);
    let of_frames = |entry: &'t Differs| match entry.extent {
        Extent::By(way) => Some((entry, way)),
        _ => None,
    };
    let entries: Vec<_> = trial.differs.iter().filter(here).filter_map(of_frames).collect();
    entries.into_iter()
}

/// Whether one of both rigs counts a packet that its device cuts once: where large packets end is then seen in its counters.
#[must_use]
pub fn counts_cut_packets_once(trial: &Trial, (a, b): (&Side, &Side)) -> bool {
    let is_it =
        |entry: &Differs| entry.extent == Extent::By(Way::Cut) && (holds(entry, a) || holds(entry, b));
    trial.differs.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::fixtures::{arp_request, tcp_syn, udp_hello};
    use rstest::rstest;

    /// An ARP request (42 bytes, padded), two frames of a packet that was cut (a SYN with 58 bytes of headers each, padded), and a
    /// datagram of 5 bytes that is sent a second time as a packet of its own. Received are a frame of 60 bytes, and one of 66 with
    /// a tag twice: the device takes it off once.
    fn crossed() -> Crossed {
        let mut crossed = Crossed::default();
        let frames = [arp_request(), tcp_syn(), udp_hello(), tcp_syn(), udp_hello()];
        for (mut bytes, packet) in frames.into_iter().zip([1, 2, 3, 2, 4]) {
            bytes.resize(60, 0);
            crossed.sent(&SeenFrame { at: 0, late: 0, bytes, packet: Some(packet) });
        }
        let (mut plain, mut tagged) = (udp_hello(), udp_hello());
        tagged.splice(12..12, [0x81, 0, 0, 7]);
        plain.resize(60, 0);
        tagged.resize(66, 0);
        crossed.received(&plain, true);
        crossed.received(&tagged, true);
        crossed.received(&tagged, false);
        crossed
    }

    #[rstest]
    #[case::padding(Way::Padding, "ethtool.tx_bytes", -(18 + 2 + 13 + 2 + 13))]
    #[case::frames_that_are_not_counted(Way::Cut, "ethtool.tx_packets", -1)]
    #[case::their_headers(Way::Cut, "ethtool.tx_bytes", -(58 + 4))]
    #[case::a_tag(Way::Tag, "ethtool.rx_bytes", -4)]
    #[case::a_tag_in_the_other_counter_of_bytes(Way::Tag, "ethtool.rx_long_byte_count", -4)]
    #[case::frames_that_are_too_short_for_any_class(Way::Padding, "sizes.tx_64", -5)]
    #[case::no_frame_is_longer(Way::Padding, "sizes.tx_65_127", 0)]
    #[case::what_was_cut_is_short_as_a_whole(Way::Cut, "sizes.tx_64", 0)]
    #[case::a_frame_without_its_fcs(Way::Fcs, "sizes.rx_64", -1)]
    #[case::one_that_stays_and_one_without_its_tag(Way::Fcs, "sizes.rx_65_127", -1)]
    #[case::a_counter_of_another_kind(Way::Padding, "ethtool.tx_packets", 0)]
    fn a_counter_is_off_by_what_the_frames_say(#[case] way: Way, #[case] counter: &str, #[case] off: i64) {
        assert_eq!(crossed().off(way, counter), off);
    }

    #[test]
    fn frames_of_which_nobody_knows_the_packet_were_not_cut() {
        let mut crossed = Crossed::default();
        for _ in 0..2 {
            crossed.sent(&SeenFrame { at: 0, late: 0, bytes: udp_hello(), packet: None });
        }
        assert_eq!(crossed.off(Way::Cut, "ethtool.tx_packets"), 0);
    }
}
