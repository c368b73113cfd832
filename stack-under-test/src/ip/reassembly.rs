//! Putting fragments together: `ip_defrag` (RFC 791, section 3.2; RFC 5722's rule on overlaps, as Linux has it since 4.20).
//!
//! A fragment that repeats bytes that are there already is dropped; one that overlaps otherwise, or that contradicts where
//! the datagram ends, ends the datagram. A datagram that is not whole after `ipfrag_time` is given up, and its sender told
//! if the first fragment came.

use crate::drop_reason::DropReason;
use crate::mib::Counter;
use crate::skb::{Skb, SkbQueue};
use crate::stack::Stack;
use crate::time::{Duration, Instant};
use crate::wire::ipv4::Ipv4;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Datagrams that may be in pieces at once.
pub const DATAGRAMS_MAX: usize = 1024;
/// The largest packet, its header included.
const PACKET_BYTES_MAX: usize = 65_535;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: u8,
    id: u16,
}

#[derive(Debug)]
struct Part {
    offset: usize,
    len: usize,
    skb: Skb,
}

/// A datagram in pieces (`struct ipq`).
#[derive(Debug)]
struct Datagram {
    key: Key,
    /// In order of offset, without overlap.
    parts: Vec<Part>,
    /// Its length, once the last fragment came.
    total: Option<usize>,
    received: usize,
    largest: u16,
    df: bool,
    expires: Instant,
}

/// All datagrams in pieces.
#[derive(Debug, Default)]
pub struct Reassembly {
    datagrams: Vec<Datagram>,
    truesize: u64,
}

enum Insert {
    Waiting,
    Whole,
    Duplicate(Skb),
    /// The datagram cannot be put together any more.
    Impossible(Skb),
    Overlap(Skb),
}

impl Datagram {
    fn insert(&mut self, part: Part, more: bool) -> Insert {
        let end = part.offset + part.len;
        let highest = self.parts.last().map_or(0, |p| p.offset + p.len);
        // A second last fragment must agree with the first, and nothing may lie behind it.
        let past_the_end = self.total.is_some_and(|total| if more { end > total } else { end != total });
        if part.len == 0 || past_the_end || (!more && end < highest) {
            return Insert::Impossible(part.skb);
        }
        if !more {
            self.total = Some(end);
        }
        let at = self.parts.partition_point(|p| p.offset < part.offset);
        let covered = self.parts.iter().any(|p| p.offset <= part.offset && end <= p.offset + p.len);
        if covered {
            return Insert::Duplicate(part.skb);
        }
        let before = at > 0 && self.parts[at - 1].offset + self.parts[at - 1].len > part.offset;
        let behind = self.parts.get(at).is_some_and(|p| p.offset < end);
        if before || behind {
            return Insert::Overlap(part.skb);
        }
        self.received += part.len;
        self.parts.insert(at, part);
        if self.total == Some(self.received) { Insert::Whole } else { Insert::Waiting }
    }
}

impl Reassembly {
    /// When the next datagram is given up.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.datagrams.iter().map(|d| d.expires).min()
    }
}

impl Stack {
    /// Takes a fragment whose data begins at its IP header; gives the datagram when this was the last piece.
    pub(crate) fn ip_defrag(&mut self, skb: Skb, header: &Ipv4) -> Option<Skb> {
        self.trace.function(self.skbs[&skb].packet, "ip_defrag");
        self.mib.inc(Counter::IpReasmReqds);
        let truesize = u64::from(self.skbs[&skb].truesize);
        if self.reassembly.truesize + truesize > u64::from(self.sysctl.ipfrag_high_thresh) {
            self.mib.inc(Counter::IpReasmFails);
            self.skbs.drop(&mut self.trace, skb, DropReason::FragTooFar);
            return None;
        }
        let key = Key { src: header.src, dst: header.dst, protocol: header.protocol, id: header.id };
        let offset = usize::from(header.fragment_offset);
        // All but the last carry a multiple of 8; what is over is cut off.
        let len = if header.mf { header.payload_len() & !7 } else { header.payload_len() };
        let at = self.find_datagram(key)?;
        self.skbs.pull(&skb, usize::from(header.header_len));
        self.skbs.trim(&skb, len);
        let datagram = &mut self.reassembly.datagrams[at];
        datagram.largest = datagram.largest.max(header.total_len);
        datagram.df |= header.df;
        match datagram.insert(Part { offset, len, skb }, header.mf) {
            Insert::Waiting => {
                self.reassembly.truesize += truesize;
                None
            }
            Insert::Whole => {
                self.reassembly.truesize += truesize;
                self.reassemble(at)
            }
            Insert::Duplicate(skb) => {
                self.skbs.drop(&mut self.trace, skb, DropReason::DupFrag);
                None
            }
            Insert::Impossible(skb) => {
                self.mib.inc(Counter::IpReasmFails);
                self.skbs.drop(&mut self.trace, skb, DropReason::NotSpecified);
                self.forget_datagram(at, DropReason::NotSpecified);
                None
            }
            Insert::Overlap(skb) => {
                self.mib.inc(Counter::IpReasmFails);
                self.mib.inc(Counter::IpExtReasmOverlaps);
                self.skbs.drop(&mut self.trace, skb, DropReason::DupFrag);
                self.forget_datagram(at, DropReason::DupFrag);
                None
            }
        }
    }

    /// The entry for a datagram, made if need be. The oldest goes when there are too many.
    fn find_datagram(&mut self, key: Key) -> Option<usize> {
        if let Some(at) = self.reassembly.datagrams.iter().position(|d| d.key == key) {
            return Some(at);
        }
        if self.reassembly.datagrams.len() == DATAGRAMS_MAX {
            self.mib.inc(Counter::IpReasmFails);
            self.forget_datagram(0, DropReason::FragTooFar);
        }
        let expires = self.now + Duration::from_secs(u64::from(self.sysctl.ipfrag_time));
        let (parts, total) = (Vec::new(), None);
        self.reassembly.datagrams.push(Datagram {
            key,
            parts,
            total,
            received: 0,
            largest: 0,
            df: false,
            expires,
        });
        Some(self.reassembly.datagrams.len() - 1)
    }

    fn forget_datagram(&mut self, at: usize, reason: DropReason) {
        for part in self.reassembly.datagrams.remove(at).parts {
            self.reassembly.truesize -= u64::from(self.skbs[&part.skb].truesize);
            self.skbs.drop(&mut self.trace, part.skb, reason);
        }
    }

    /// All pieces are there: the first becomes the packet, the others its list.
    fn reassemble(&mut self, at: usize) -> Option<Skb> {
        let datagram = &self.reassembly.datagrams[at];
        let header_bytes = datagram.parts.first().map_or(0, |first| {
            let meta = &self.skbs[&first.skb];
            usize::from(meta.data_offset() - meta.network_header)
        });
        if header_bytes + datagram.received > PACKET_BYTES_MAX {
            self.mib.inc(Counter::IpReasmFails);
            self.forget_datagram(at, DropReason::PktTooBig);
            return None;
        }
        let datagram = self.reassembly.datagrams.remove(at);
        let (mut head, mut list, mut truesize) = (None, SkbQueue::default(), 0);
        for part in datagram.parts {
            truesize += self.skbs[&part.skb].truesize;
            match head {
                None => head = Some(part.skb),
                Some(_) => list.push_back(&mut self.skbs, part.skb),
            }
        }
        self.reassembly.truesize -= u64::from(truesize);
        let head = head?;
        let network_header = self.skbs[&head].network_header;
        let header_bytes = self.skbs[&head].data_offset() - network_header;
        self.skbs.set_frag_list(&head, &mut list);
        self.skbs.push(&head, usize::from(header_bytes));
        let meta = &mut self.skbs[&head];
        meta.truesize = truesize;
        meta.frag_max_size = datagram.largest;
        meta.ip_summed = crate::skb::IpSummed::None;
        let ip = self.skbs.header_mut(&head, network_header);
        ip[6..8].copy_from_slice(&(if datagram.df { 0x4000_u16 } else { 0 }).to_be_bytes());
        self.ip_send_check(&head);
        self.mib.inc(Counter::IpReasmOks);
        Some(head)
    }

    /// `ip_expire`: gives up what is not whole in time, and says so to its sender if the first fragment is there.
    pub(crate) fn ip_expire(&mut self) {
        while let Some(at) = self.reassembly.datagrams.iter().position(|d| d.expires <= self.now) {
            self.trace.function(0, "ip_expire");
            self.mib.inc(Counter::IpReasmFails);
            self.mib.inc(Counter::IpReasmTimeout);
            if self.reassembly.datagrams[at].parts.first().is_some_and(|p| p.offset == 0) {
                let first = self.reassembly.datagrams[at].parts.remove(0).skb;
                self.reassembly.truesize -= u64::from(self.skbs[&first].truesize);
                self.icmp_send_time_exceeded(&first);
                self.skbs.drop(&mut self.trace, first, DropReason::FragReasmTimeout);
            }
            self.forget_datagram(at, DropReason::FragReasmTimeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A fragment: offset, length, whether more follow.
    type Fragment = (usize, usize, bool);

    /// What becomes of each fragment of a datagram, in a word.
    fn outcomes(fragments: &[Fragment]) -> Vec<&'static str> {
        let key = Key { src: Ipv4Addr::LOCALHOST, dst: Ipv4Addr::LOCALHOST, protocol: 17, id: 1 };
        let (parts, expires) = (Vec::new(), Instant::ZERO);
        let mut datagram = Datagram { key, parts, total: None, received: 0, largest: 0, df: false, expires };
        let mut outcome = |(slot, &(offset, len, more)): (usize, &Fragment)| match datagram
            .insert(Part { offset, len, skb: Skb(slot as u32) }, more)
        {
            Insert::Waiting => "waits",
            Insert::Whole => "whole",
            Insert::Duplicate(_) => "again",
            Insert::Impossible(_) => "impossible",
            Insert::Overlap(_) => "overlaps",
        };
        fragments.iter().enumerate().map(&mut outcome).collect()
    }

    #[rstest]
    #[case::in_order(&[(0, 8, true), (8, 8, true), (16, 3, false)], "whole")]
    #[case::in_reverse(&[(16, 3, false), (8, 8, true), (0, 8, true)], "whole")]
    #[case::the_same_again(&[(0, 16, true), (0, 16, true)], "again")]
    #[case::a_part_of_one_again(&[(0, 24, true), (8, 8, true)], "again")]
    #[case::over_the_end_of_one(&[(0, 16, true), (8, 16, true)], "overlaps")]
    #[case::over_the_beginning_of_one(&[(16, 16, true), (8, 16, true)], "overlaps")]
    #[case::around_one(&[(8, 8, true), (0, 24, true)], "overlaps")]
    #[case::behind_the_last(&[(8, 8, false), (16, 8, true)], "impossible")]
    #[case::a_last_that_ends_elsewhere(&[(8, 8, false), (8, 16, false)], "impossible")]
    #[case::a_last_before_what_came(&[(16, 8, true), (8, 8, false)], "impossible")]
    #[case::without_data(&[(0, 8, true), (8, 0, true)], "impossible")]
    #[case::a_last_without_data(&[(0, 8, true), (8, 0, false)], "impossible")]
    fn the_last_fragment_decides(#[case] fragments: &[Fragment], #[case] outcome: &str) {
        let all = outcomes(fragments);
        assert_eq!(all.last(), Some(&outcome), "{all:?}");
        assert!(all[..all.len() - 1].iter().all(|earlier| *earlier == "waits"), "{all:?}");
    }
}
