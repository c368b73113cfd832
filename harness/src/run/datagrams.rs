//! Where a NIC cuts a large packet of UDP into fragments of one datagram, and a case expects datagrams: a deviation that is listed
//! ([`UDP_SEGMENTS`]).
//!
//! The first fragment stands for the datagram that it begins like, the others for none, and so some of the datagrams do not come:
//! as many as the list says. What all fragments are together must be one datagram, whole and with the right checksum.

use crate::case::model::{Differs, Extent, UDP_SEGMENTS};
use crate::frame::Layer;
use crate::frame::decode::{Decoded, IP_MF, Ipv4View};
use crate::judge::pattern::{Line, PayloadDiff};
use std::collections::BTreeMap;

/// The protocol number of UDP.
const UDP: u8 = 17;

/// What has come of large packets.
#[derive(Debug)]
pub struct Datagrams {
    /// How many datagrams may be missing; `None`: as many as it takes.
    allowed: Option<u64>,
    /// How many are.
    missing: u64,
    /// How many were to be, where that were too many.
    beyond: Option<u64>,
    /// Whether a packet came in fragments.
    were_cut: bool,
    /// Datagrams of which not all has come, by their identification: their bytes so far.
    open: BTreeMap<u16, Vec<u8>>,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// No fragment of UDP.
    Other,
    /// The first fragment.
    First,
    /// Another one.
    Later,
}

impl Datagrams {
    /// As it is listed. `None`: this is another deviation.
    #[must_use]
    pub fn listed(entry: &Differs) -> Option<Self> {
        let is_this = entry.field.as_deref() == Some(UDP_SEGMENTS);
        let allowed =
            if let Extent::Is(counts) = &entry.extent { counts.first()?.parse().ok() } else { None };
        is_this.then(|| Self { allowed, missing: 0, beyond: None, were_cut: false, open: BTreeMap::new() })
    }

    /// Takes a frame that came.
    ///
    /// # Errors
    /// What is wrong with the datagram that it is a part of.
    pub fn came(&mut self, d: &Decoded<'_>) -> Result<Part, String> {
        let Some(ip) = d.ipv4.filter(|ip| ip.protocol == UDP && ip.is_fragment()) else {
            return Ok(Part::Other);
        };
        self.were_cut = true;
        let so_far = if ip.offset == 0 { Vec::new() } else { self.open.remove(&ip.id).unwrap_or_default() };
        if so_far.len() != ip.offset {
            return Err(format!(
                "a fragment of datagram {} stands at {}, not at {}",
                ip.id,
                ip.offset,
                so_far.len()
            ));
        }
        let all = [so_far.as_slice(), ip.data].concat();
        if ip.flags & IP_MF != 0 {
            self.open.insert(ip.id, all);
        } else {
            whole(&ip, &all)?;
        }
        Ok(if ip.offset == 0 { Part::First } else { Part::Later })
    }

    /// Whether so many datagrams more may be missing; then they are.
    pub fn miss(&mut self, count: usize) -> bool {
        let missing = self.missing + count as u64;
        let may = count > 0 && self.allowed.is_none_or(|allowed| missing <= allowed);
        if may {
            self.missing = missing;
        }
        may
    }

    /// How many datagrams did not come. `None`: no packet was cut.
    ///
    /// # Errors
    /// When a datagram did not come to its end.
    pub fn missing(&self) -> Result<Option<u64>, String> {
        if let Some(id) = self.open.keys().next() {
            return Err(format!("the last fragments of datagram {id} did not come"));
        }
        Ok((self.were_cut || self.missing > 0).then_some(self.missing))
    }

    /// So many more did not come, which is too many.
    pub fn miss_too_many(&mut self, count: usize) {
        self.beyond = Some(self.missing + count as u64).filter(|_| count > 0);
    }

    /// How many did not come, where that were too many.
    #[must_use]
    pub fn beyond(&self) -> Option<u64> {
        self.beyond
    }
}

/// Whether a fragment is the first of a datagram.
#[must_use]
pub fn is_first(d: &Decoded<'_>) -> bool {
    d.has(Layer::Udp) && d.ipv4.is_some_and(|ip| ip.flags & IP_MF != 0 && ip.offset == 0)
}

/// Whether a first fragment may differ in this from the datagram that it stands for: in its lengths, and in having MF.
#[must_use]
pub fn may_differ(line: &Line) -> bool {
    let flags = |shown: &str| shown.replace("MF", "").replace(['[', ']', ',', ' '], "");
    match line.field.as_str() {
        "ipv4.length" | "udp.length" => true,
        "ipv4.flags" => flags(&line.expected) == flags(&line.got),
        _ => false,
    }
}

/// Whether one payload is only longer than the other.
#[must_use]
pub fn is_prefix(diff: &PayloadDiff) -> bool {
    diff.first == diff.expected_length.min(diff.got_length)
}

/// A datagram is whole when it is as long as it says, and its checksum is right.
fn whole(ip: &Ipv4View<'_>, datagram: &[u8]) -> Result<(), String> {
    let number = |at: usize| datagram.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
    if usize::from(number(4)) != datagram.len() {
        return Err(format!(
            "the fragments of datagram {} are {} bytes, not {}",
            ip.id,
            datagram.len(),
            number(4)
        ));
    }
    let pseudo =
        [&ip.src.octets()[..], &ip.dst.octets(), &[0, ip.protocol], &number(4).to_be_bytes()].concat();
    let sum: u32 = pseudo.chunks(2).chain(datagram.chunks(2)).map(word).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    if number(6) != 0 && (folded & 0xffff) + (folded >> 16) != 0xffff {
        return Err(format!("the fragments of datagram {} are a datagram with a wrong checksum", ip.id));
    }
    Ok(())
}

fn word(bytes: &[u8]) -> u32 {
    u32::from(bytes.first().copied().unwrap_or(0)) << 8 | u32::from(bytes.get(1).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::fixtures::spec;
    use crate::frame::{build, decode};
    use rstest::rstest;

    /// A datagram of 24 bytes in frames that have `parts` of its bytes, after something was done to its bytes.
    fn come(parts: &[std::ops::Range<usize>], spoil: fn(&mut Vec<u8>)) -> Result<Option<u64>, String> {
        let whole =
            build(&spec("udp: {src_port: 1, dst_port: 2}", Some(&[7; 16])), None).expect("it is right");
        let mut bytes = decode(&whole).ipv4.expect("it is IPv4").data.to_vec();
        spoil(&mut bytes);
        let mut datagrams =
            Datagrams { allowed: Some(1), missing: 0, beyond: None, were_cut: false, open: BTreeMap::new() };
        for part in parts {
            let flags = if part.end < 24 { "MF" } else { "0" };
            let text = format!("ipv4: {{id: 5, protocol: 17, flags: {flags}, frag_offset: {}}}", part.start);
            let frame = build(&spec(&text, Some(&bytes[part.clone()])), None).expect("it is right");
            datagrams.came(&decode(&frame))?;
        }
        datagrams.miss(1);
        datagrams.missing()
    }

    #[rstest]
    #[case::all_of_them(&[0..8, 8..16, 16..24], |_: &mut Vec<u8>| (), Ok(Some(1)))]
    #[case::none(&[], |_: &mut Vec<u8>| (), Ok(Some(1)))]
    #[case::one_missing_in_the_middle(&[0..8, 16..24], |_: &mut Vec<u8>| (), Err("stands at 16, not at 8"))]
    #[case::the_last_missing(&[0..8, 8..16], |_: &mut Vec<u8>| (), Err("did not come"))]
    #[case::another_byte(&[0..8, 8..24], |b: &mut Vec<u8>| b[20] = 8, Err("wrong checksum"))]
    #[case::another_length(&[0..8, 8..24], |b: &mut Vec<u8>| b[5] = 25, Err("are 24 bytes, not 25"))]
    fn fragments_must_be_a_datagram(
        #[case] parts: &[std::ops::Range<usize>],
        #[case] spoil: fn(&mut Vec<u8>),
        #[case] expected: Result<Option<u64>, &str>,
    ) {
        match (come(parts, spoil), expected) {
            (Ok(is), Ok(wanted)) => assert_eq!(is, wanted),
            (Err(said), Err(wanted)) => assert!(said.contains(wanted), "{said}"),
            (is, wanted) => panic!("{is:?}, not {wanted:?}"),
        }
    }

    #[test]
    fn no_more_datagrams_are_missing_than_are_listed() {
        let mut datagrams =
            Datagrams { allowed: Some(2), missing: 0, beyond: None, were_cut: true, open: BTreeMap::new() };
        assert!(datagrams.miss(1));
        assert!(!datagrams.miss(2));
        assert_eq!((datagrams.missing(), datagrams.beyond()), (Ok(Some(1)), None));
        datagrams.miss_too_many(2);
        assert_eq!(datagrams.beyond(), Some(3));
        assert!(datagrams.miss(1));
        assert_eq!(datagrams.missing(), Ok(Some(2)));
    }
}
