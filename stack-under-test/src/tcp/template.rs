//! What the headers of a connection's segments have in common, put together once for as long as the way to the peer and the
//! options stay: only numbers, flags, window, lengths and sums are written for each (the idea of Linux's `hh_cache`, carried on
//! to IP and TCP).

use super::options::TSTAMP_HEAD;
use crate::ip::Flow;
use crate::skb::Dst;
use crate::wire::checksum::{fold_small, pseudo_header};
use crate::wire::ipv4::HEADER_BYTES as IP_BYTES;
use crate::wire::tcp::HEADER_BYTES;
use core::net::Ipv4Addr;

/// The IP header and the ports.
const SAME_BYTES: usize = IP_BYTES + 4;

/// What is the same in all segments of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderTemplate {
    /// [`crate::stack::Stack::flow_generation`] when it was made, and one; 0: there is none.
    pub(crate) generation: u64,
    pub(crate) dst: Dst,
    pub(crate) mark: u32,
    pub(crate) priority: u32,
    /// IP header, but for length, identification and checksum, and ports.
    same: [u8; SAME_BYTES],
    /// The sum of the IP header's words, and of the pseudo-header but for the length.
    ip_sum: u32,
    pseudo_sum: u32,
}

/// What a segment has of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// The identification of its IP header.
    pub(crate) id: u16,
    /// Bytes of the IP packet.
    pub(crate) length: u16,
    /// Value and echo, where timestamps were agreed on.
    pub(crate) tstamp: Option<(u32, u32)>,
}

impl HeaderTemplate {
    /// There is none.
    pub(crate) const NONE: Self = Self {
        generation: 0,
        dst: Dst {
            nexthop: Ipv4Addr::UNSPECIFIED,
            mtu: 0,
            kind: crate::route::RouteKind::Unicast,
            oif: crate::route::OifId::LO,
        },
        mark: 0,
        priority: 0,
        same: [0; SAME_BYTES],
        ip_sum: 0,
        pseudo_sum: 0,
    };

    /// That of a flow between two ports.
    pub(crate) fn new(generation: u64, flow: &Flow, sport: u16, dport: u16) -> Self {
        let (ip, ip_sum) = flow.ip_header();
        let mut same = [0; SAME_BYTES];
        same[..IP_BYTES].copy_from_slice(&ip);
        same[IP_BYTES..IP_BYTES + 2].copy_from_slice(&sport.to_be_bytes());
        same[IP_BYTES + 2..].copy_from_slice(&dport.to_be_bytes());
        Self {
            generation,
            dst: flow.dst,
            mark: flow.mark,
            priority: flow.priority,
            same,
            ip_sum,
            pseudo_sum: u32::from(pseudo_header(flow.saddr, flow.daddr, flow.protocol, 0)),
        }
    }

    /// Writes the headers of a segment, its IP checksum included and the seed of the other. `out` has room for them, with
    /// timestamps or without as `own` says.
    #[inline(always)]
    pub(crate) fn write(&self, out: &mut [u8], own: &Own) {
        const FIXED: usize = IP_BYTES + HEADER_BYTES;
        let Some((fixed, options)) = out.split_first_chunk_mut::<FIXED>() else { return };
        fixed[..SAME_BYTES].copy_from_slice(&self.same);
        let header_words: u32 = if own.tstamp.is_some() { 8 } else { 5 };
        let word = header_words << 28 | u32::from(own.flags) << 16 | u32::from(own.window);
        let ip_check = !fold_small(self.ip_sum + u32::from(own.length) + u32::from(own.id));
        let seed = fold_small(self.pseudo_sum + u32::from(own.length) - IP_BYTES as u32);
        fixed[2..4].copy_from_slice(&own.length.to_be_bytes());
        fixed[4..6].copy_from_slice(&own.id.to_be_bytes());
        fixed[10..12].copy_from_slice(&ip_check.to_be_bytes());
        fixed[24..28].copy_from_slice(&own.seq.to_be_bytes());
        fixed[28..32].copy_from_slice(&own.ack.to_be_bytes());
        fixed[32..36].copy_from_slice(&word.to_be_bytes());
        fixed[36..].copy_from_slice(&(u32::from(seed) << 16).to_be_bytes());
        if let (Some((val, ecr)), Ok(options)) = (own.tstamp, <&mut [u8; 12]>::try_from(options)) {
            options[..4].copy_from_slice(&TSTAMP_HEAD);
            options[4..8].copy_from_slice(&val.to_be_bytes());
            options[8..].copy_from_slice(&ecr.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::options::OutOptions;
    use crate::wire::ipv4::IPPROTO_TCP;
    use crate::wire::tcp::{ACK, PSH, Tcp};
    use rstest::rstest;

    #[rstest]
    #[case::an_ack(None, ACK, 0)]
    #[case::data_with_timestamps(Some((7, 0xffff_fff0)), ACK | PSH, 1448)]
    #[case::a_large_packet(Some((u32::MAX, 0)), ACK, 65_483)]
    fn the_headers_are_those_that_are_written_word_by_word(
        #[case] tstamp: Option<(u32, u32)>,
        #[case] flags: u8,
        #[case] payload: usize,
        #[values(true, false)] df: bool,
        #[values(0, 0x1234, 0xffff)] id: u16,
    ) {
        let flow = Flow {
            saddr: Ipv4Addr::new(192, 0, 2, 1),
            daddr: Ipv4Addr::new(203, 0, 113, 255),
            protocol: IPPROTO_TCP,
            tos: 0x10,
            ttl: 64,
            df,
            ignore_df: false,
            id,
            mark: 3,
            priority: 6,
            dst: Dst { mtu: 1500, ..HeaderTemplate::NONE.dst },
            sk: u32::MAX,
        };
        let options = OutOptions { tstamp, ..OutOptions::default() };
        let header_len = HEADER_BYTES + options.len();
        let length = (header_len + payload) as u16;
        let header = Tcp {
            sport: 80,
            dport: 40_000,
            seq: 0x0102_0304,
            ack: 0xfffe_fdfc,
            header_len: header_len as u8,
            flags,
            window: 0xabcd,
            urgent: 0,
        };
        let mut expected = alloc::vec![0; IP_BYTES + header_len];
        let (ip, tcp) = expected.split_first_chunk_mut().expect("room");
        flow.write_ip_header(ip, length + IP_BYTES as u16);
        header.write_with_checksum(tcp, pseudo_header(flow.saddr, flow.daddr, IPPROTO_TCP, length));
        options.write(&mut tcp[HEADER_BYTES..]);
        let mut written = alloc::vec![0xee; IP_BYTES + header_len];
        let own = Own {
            seq: header.seq,
            ack: header.ack,
            flags,
            window: header.window,
            id,
            length: length + IP_BYTES as u16,
            tstamp,
        };
        let template = HeaderTemplate::new(1, &flow, 80, 40_000);
        template.write(&mut written, &own);
        assert_eq!(written, expected);
        assert_eq!((template.mark, template.priority, template.dst), (3, 6, flow.dst));
    }
}
