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
    /// Which run it is of (`frag_run_len`): pieces that came one behind the other at the end of what was there.
    run: u32,
    skb: Skb,
}

impl Part {
    fn end(&self) -> usize {
        self.offset + self.len
    }
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
    /// The ECN fields that came, a bit for each value (`ip4_frag_ecn`).
    ecn: u8,
    /// How many runs there are.
    runs: u32,
    /// How many fragments the sender had sent with its last one (`ipq::rid`).
    rid: u32,
    expires: Instant,
}

/// All datagrams in pieces.
#[derive(Debug, Default)]
pub struct Reassembly {
    datagrams: Vec<Datagram>,
    truesize: u64,
    /// How many fragments each sender has sent (`inet_peer::rid`), of the senders that were heard last.
    senders: Vec<(Ipv4Addr, u32)>,
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
    /// `inet_frag_queue_insert`. A piece within a run is there already; one that reaches beyond a run, at either end, is an
    /// overlap.
    fn insert(&mut self, mut part: Part, more: bool) -> Insert {
        let end = part.end();
        let highest = self.parts.last().map_or(0, Part::end);
        // A second last fragment must agree with the first, and nothing may lie behind it.
        let past_the_end = self.total.is_some_and(|total| if more { end > total } else { end != total });
        if part.len == 0 || past_the_end || (!more && end < highest) {
            return Insert::Impossible(part.skb);
        }
        if !more {
            self.total = Some(end);
        }
        for run in self.parts.chunk_by(|a, b| a.run == b.run) {
            let (begins, ends) = (run[0].offset, run[run.len() - 1].end());
            if begins <= part.offset && end <= ends {
                return Insert::Duplicate(part.skb);
            }
            if begins < end && part.offset < ends {
                return Insert::Overlap(part.skb);
            }
        }
        part.run = match self.parts.last() {
            Some(last) if last.end() == part.offset => last.run,
            _ => {
                self.runs += 1;
                self.runs
            }
        };
        let at = self.parts.partition_point(|p| p.offset < part.offset);
        self.received += part.len;
        self.parts.insert(at, part);
        if self.total == Some(self.received) { Insert::Whole } else { Insert::Waiting }
    }

    /// `ip_frag_ecn_table`: what its ECN fields add to the TOS of the first; `None` when some knew ECN and some did not.
    fn congestion(&self) -> Option<u8> {
        let (unaware, congested) = (self.ecn & 1 != 0, self.ecn & 8 != 0);
        (!unaware || self.ecn == 1).then_some(if congested { 3 } else { 0 })
    }
}

impl Reassembly {
    /// When the next datagram is given up.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.datagrams.iter().map(|d| d.expires).min()
    }

    /// Counts a fragment of `src`: how many there were with it.
    fn count(&mut self, src: Ipv4Addr) -> u32 {
        let sent = match self.senders.iter().position(|(sender, _)| *sender == src) {
            Some(at) => self.senders.remove(at).1.wrapping_add(1),
            None => 1,
        };
        if self.senders.len() == DATAGRAMS_MAX {
            self.senders.remove(0);
        }
        self.senders.push((src, sent));
        sent
    }
}

impl Stack {
    /// Takes a fragment whose data begins at its IP header; gives the datagram when this was the last piece.
    pub(crate) fn ip_defrag(&mut self, skb: Skb, header: &Ipv4) -> Option<Skb> {
        self.trace_skb::<true>(&skb, "ip_defrag");
        self.mib.inc(Counter::IpReasmReqds);
        let truesize = u64::from(self.skbs[&skb].truesize);
        let limit = u64::from(self.sysctl.ipfrag_high_thresh);
        if limit == 0 || self.reassembly.truesize > limit {
            self.mib.inc(Counter::IpReasmFails);
            self.skbs.drop(&mut self.trace, skb, DropReason::FragTooFar);
            return None;
        }
        let key = Key { src: header.src, dst: header.dst, protocol: header.protocol, id: header.id };
        let offset = usize::from(header.fragment_offset);
        // All but the last carry a multiple of 8; what is over is cut off.
        let len = if header.mf { header.payload_len() & !7 } else { header.payload_len() };
        let at = self.find_datagram(key)?;
        self.ip_frag_too_far(at);
        self.skbs.pull(&skb, usize::from(header.header_len));
        self.skbs.trim(&skb, len);
        let datagram = &mut self.reassembly.datagrams[at];
        datagram.largest = datagram.largest.max(header.total_len);
        datagram.df |= header.df;
        let inserted = datagram.insert(Part { offset, len, run: 0, skb }, header.mf);
        if matches!(inserted, Insert::Waiting | Insert::Whole) {
            datagram.ecn |= 1 << (header.tos & 3);
            self.reassembly.truesize += truesize;
        }
        match inserted {
            Insert::Waiting => None,
            Insert::Whole => self.reassemble(at),
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
            ecn: 0,
            runs: 0,
            rid: 0,
            expires,
        });
        Some(self.reassembly.datagrams.len() - 1)
    }

    /// `ip_frag_too_far`: when the sender has sent `ipfrag_max_dist` fragments since the last one of this datagram, the id
    /// may be that of another by now, and what is there is thrown away.
    fn ip_frag_too_far(&mut self, at: usize) {
        let sent = self.reassembly.count(self.reassembly.datagrams[at].key.src);
        let datagram = &mut self.reassembly.datagrams[at];
        let since = sent.wrapping_sub(datagram.rid);
        datagram.rid = sent;
        let most = self.sysctl.ipfrag_max_dist;
        if most == 0 || datagram.parts.is_empty() || since <= most {
            return;
        }
        self.mib.inc(Counter::IpReasmFails);
        let parts = core::mem::take(&mut datagram.parts);
        (datagram.total, datagram.received, datagram.ecn) = (None, 0, 0);
        datagram.expires = self.now + Duration::from_secs(u64::from(self.sysctl.ipfrag_time));
        for part in parts {
            self.reassembly.truesize -= u64::from(self.skbs[&part.skb].truesize);
            self.skbs.drop(&mut self.trace, part.skb, DropReason::FragTooFar);
        }
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
        let Some(congestion) = datagram.congestion() else {
            self.mib.inc(Counter::IpReasmFails);
            self.forget_datagram(at, DropReason::NotSpecified);
            return None;
        };
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
        ip[1] |= congestion;
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
        let (total, received, largest, df, ecn, runs, rid) = (None, 0, 0, false, 0, 0, 0);
        let mut datagram = Datagram { key, parts, total, received, largest, df, ecn, runs, rid, expires };
        let mut outcome = |(slot, &(offset, len, more)): (usize, &Fragment)| match datagram
            .insert(Part { offset, len, run: 0, skb: Skb(slot as u32) }, more)
        {
            Insert::Waiting => "waits",
            Insert::Whole => "whole",
            Insert::Duplicate(_) => "again",
            Insert::Impossible(_) => "impossible",
            Insert::Overlap(_) => "overlaps",
        };
        fragments.iter().enumerate().map(&mut outcome).collect()
    }

    // RFC 3168, section 5.3: bits are the fields that came, from Not-ECT to CE.
    #[rstest]
    #[case::nobody_knows_ecn(0b0001, Some(0))]
    #[case::both_kinds_of_capable(0b0110, Some(0))]
    #[case::one_met_congestion(0b1010, Some(3))]
    #[case::all_met_congestion(0b1000, Some(3))]
    #[case::some_do_not_know_ecn(0b0011, None)]
    #[case::congestion_among_those_that_do_not(0b1001, None)]
    fn fragments_tell_of_congestion(#[case] ecn: u8, #[case] adds: Option<u8>) {
        let (parts, expires) = (Vec::new(), Instant::ZERO);
        let key = Key { src: Ipv4Addr::LOCALHOST, dst: Ipv4Addr::LOCALHOST, protocol: 17, id: 1 };
        let (total, received, largest, df, runs, rid) = (None, 0, 0, false, 0, 0);
        let datagram = Datagram { key, parts, total, received, largest, df, ecn, runs, rid, expires };
        assert_eq!(datagram.congestion(), adds);
    }

    #[rstest]
    #[case::in_order(&[(0, 8, true), (8, 8, true), (16, 3, false)], "whole")]
    #[case::in_reverse(&[(16, 3, false), (8, 8, true), (0, 8, true)], "whole")]
    #[case::the_same_again(&[(0, 16, true), (0, 16, true)], "again")]
    #[case::a_part_of_one_again(&[(0, 24, true), (8, 8, true)], "again")]
    #[case::two_that_came_in_order_again(&[(0, 8, true), (8, 8, true), (0, 16, true)], "again")]
    #[case::two_that_came_in_reverse_again(&[(8, 8, true), (0, 8, true), (0, 16, true)], "overlaps")]
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
