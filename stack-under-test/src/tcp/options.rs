//! The options of a TCP header: reading those of a peer, and writing ours in Linux's order and padding
//! (RFC 9293, section 3.1; RFC 7323; RFC 2018; `tcp_parse_options`, `tcp_options_write` of Linux 6.12).

/// The bytes that options can take.
pub(crate) const MAX_OPTION_BYTES: usize = 40;
/// Blocks of a SACK option that fit beside nothing else.
pub(crate) const MAX_SACKS: usize = 4;

/// How the option of timestamps begins in our segments, padding before it.
pub(crate) const TSTAMP_HEAD: [u8; 4] = [NOP, NOP, TIMESTAMP, 10];

const EOL: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WSCALE: u8 = 3;
const SACK_PERM: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMP: u8 = 8;
/// The largest shift of a window (RFC 7323, section 2.3).
const MAX_WSCALE: u8 = 14;

/// A range of bytes: the first, and the one behind the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SackBlock {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// What the options of a segment say: `struct tcp_options_received`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReceivedOptions {
    /// The value and the echo of a timestamp.
    pub(crate) tstamp: Option<(u32, u32)>,
    /// SYN only.
    pub(crate) mss: Option<u16>,
    /// SYN only; at most 14.
    pub(crate) wscale: Option<u8>,
    /// SYN only.
    pub(crate) sack_ok: bool,
    pub(crate) sacks: [SackBlock; MAX_SACKS],
    pub(crate) num_sacks: u8,
}

impl ReceivedOptions {
    /// Reads the bytes between header and payload. What is malformed ends the reading (RFC 9293, MUST-7), and is ignored.
    #[inline(always)]
    pub(crate) fn parse(bytes: &[u8], syn: bool) -> Self {
        let mut this = Self::default();
        this.read(bytes, syn);
        this
    }

    /// [`Self::parse`] into what says nothing yet.
    #[inline(always)]
    pub(crate) fn read(&mut self, bytes: &[u8], syn: bool) {
        // What nearly every segment carries.
        if let Ok(bytes) = <&[u8; 12]>::try_from(bytes)
            && bytes[..4] == TSTAMP_HEAD
        {
            let [.., a, b, c, d, e, f, g, h] = *bytes;
            self.tstamp = Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])));
        } else {
            self.read_all(bytes, syn);
        }
    }

    #[inline(never)]
    fn read_all(&mut self, bytes: &[u8], syn: bool) {
        // What a SYN of Linux carries.
        if let (
            true,
            &[MSS, 4, m, n, SACK_PERM, 2, TIMESTAMP, 10, a, b, c, d, e, f, g, h, NOP, WSCALE, 3, shift],
        ) = (syn, bytes)
        {
            self.mss = Some(u16::from_be_bytes([m, n])).filter(|mss| *mss != 0);
            self.tstamp = Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])));
            self.wscale = Some(shift.min(MAX_WSCALE));
            self.sack_ok = true;
            return;
        }
        self.read_each(bytes, syn);
    }

    fn read_each(&mut self, mut bytes: &[u8], syn: bool) {
        while let [kind, rest @ ..] = bytes {
            if *kind == EOL {
                break;
            }
            if *kind == NOP {
                bytes = rest;
                continue;
            }
            let Some(&len) = rest.first() else { break };
            let len = usize::from(len);
            if len < 2 || len > bytes.len() {
                break;
            }
            self.take(*kind, &bytes[2..len], syn);
            bytes = &bytes[len..];
        }
    }

    fn take(&mut self, kind: u8, body: &[u8], syn: bool) {
        match (kind, body) {
            (MSS, &[a, b]) if syn => self.mss = Some(u16::from_be_bytes([a, b])).filter(|mss| *mss != 0),
            (WSCALE, &[shift]) if syn => self.wscale = Some(shift.min(MAX_WSCALE)),
            (SACK_PERM, []) if syn => self.sack_ok = true,
            (TIMESTAMP, &[a, b, c, d, e, f, g, h]) => {
                self.tstamp = Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])));
            }
            (SACK, blocks) if !blocks.is_empty() && blocks.len().is_multiple_of(8) => {
                self.num_sacks = 0;
                for (into, block) in self.sacks.iter_mut().zip(blocks.chunks_exact(8)) {
                    let at =
                        |i: usize| u32::from_be_bytes([block[i], block[i + 1], block[i + 2], block[i + 3]]);
                    *into = SackBlock { start: at(0), end: at(4) };
                    self.num_sacks += 1;
                }
            }
            _ => {}
        }
    }

    pub(crate) fn sacks(&self) -> &[SackBlock] {
        &self.sacks[..usize::from(self.num_sacks)]
    }
}

/// The options of a segment of ours: `struct tcp_out_options`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutOptions {
    pub(crate) mss: Option<u16>,
    pub(crate) tstamp: Option<(u32, u32)>,
    pub(crate) sack_ok: bool,
    pub(crate) wscale: Option<u8>,
    pub(crate) sacks: [SackBlock; MAX_SACKS],
    pub(crate) num_sacks: u8,
}

impl OutOptions {
    /// How many bytes they take: a multiple of 4.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let sack_perm = self.sack_ok && self.tstamp.is_none();
        usize::from(self.mss.is_some()) * 4
            + usize::from(self.tstamp.is_some()) * 12
            + usize::from(sack_perm) * 4
            + usize::from(self.wscale.is_some()) * 4
            + if self.num_sacks == 0 { 0 } else { 4 + usize::from(self.num_sacks) * 8 }
    }

    /// Writes them to the start of `out`, which has [`OutOptions::len`] bytes.
    #[inline(always)]
    pub(crate) fn write(&self, out: &mut [u8]) {
        // What nearly every segment carries.
        if let (Some((val, ecr)), false, Ok(out)) =
            (self.tstamp, self.sack_ok, <&mut [u8; 12]>::try_from(&mut *out))
        {
            out[..4].copy_from_slice(&TSTAMP_HEAD);
            out[4..8].copy_from_slice(&val.to_be_bytes());
            out[8..].copy_from_slice(&ecr.to_be_bytes());
            return;
        }
        // And every SYN, unless something is switched off.
        if let (Some(mss), Some((val, ecr)), true, Some(shift), Ok(out)) =
            (self.mss, self.tstamp, self.sack_ok, self.wscale, <&mut [u8; 20]>::try_from(&mut *out))
        {
            let [m, n] = mss.to_be_bytes();
            out[..8].copy_from_slice(&[MSS, 4, m, n, SACK_PERM, 2, TIMESTAMP, 10]);
            out[8..12].copy_from_slice(&val.to_be_bytes());
            out[12..16].copy_from_slice(&ecr.to_be_bytes());
            out[16..].copy_from_slice(&[NOP, WSCALE, 3, shift]);
            return;
        }
        self.write_all(out);
    }

    fn write_all(&self, out: &mut [u8]) {
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        if let Some(mss) = self.mss {
            put(&[MSS, 4]);
            put(&mss.to_be_bytes());
        }
        if let Some((val, ecr)) = self.tstamp {
            put(if self.sack_ok { &[SACK_PERM, 2] } else { &[NOP, NOP] });
            put(&[TIMESTAMP, 10]);
            put(&val.to_be_bytes());
            put(&ecr.to_be_bytes());
        } else if self.sack_ok {
            put(&[NOP, NOP, SACK_PERM, 2]);
        }
        if let Some(shift) = self.wscale {
            put(&[NOP, WSCALE, 3, shift]);
        }
        if self.num_sacks > 0 {
            put(&[NOP, NOP, SACK, 2 + self.num_sacks * 8]);
            for block in &self.sacks[..usize::from(self.num_sacks)] {
                put(&block.start.to_be_bytes());
                put(&block.end.to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use rstest::rstest;

    fn written(options: &OutOptions) -> Vec<u8> {
        let mut out = alloc::vec![0; options.len()];
        options.write(&mut out);
        out
    }

    const TS: Option<(u32, u32)> = Some((0x0102_0304, 0x0506_0708));

    // The orders are those of a Linux SYN: `mss,sackOK,TS,nop,wscale`, and without timestamps `mss,nop,nop,sackOK,nop,wscale`.
    #[rstest]
    #[case::a_syn(
        OutOptions { mss: Some(1460), tstamp: TS, sack_ok: true, wscale: Some(7), ..OutOptions::default() },
        &[2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7]
    )]
    #[case::a_syn_without_timestamps(
        OutOptions { mss: Some(1460), sack_ok: true, wscale: Some(7), ..OutOptions::default() },
        &[2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7]
    )]
    #[case::data(OutOptions { tstamp: TS, ..OutOptions::default() }, &[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8])]
    #[case::an_ack_with_a_hole(
        OutOptions {
            sacks: [SackBlock { start: 1, end: 2 }, SackBlock::default(), SackBlock::default(), SackBlock::default()],
            num_sacks: 1,
            ..OutOptions::default()
        },
        &[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2]
    )]
    fn options_are_written_in_the_order_of_linux(#[case] options: OutOptions, #[case] bytes: &[u8]) {
        assert_eq!(written(&options), bytes);
    }

    #[rstest]
    #[case::nothing(&[], ReceivedOptions::default())]
    #[case::an_mss_outside_of_a_syn(&[2, 4, 5, 0xb4], ReceivedOptions::default())]
    #[case::a_length_of_zero(&[2, 0, 8, 10], ReceivedOptions::default())]
    #[case::a_length_beyond_the_end(&[8, 10, 1, 2], ReceivedOptions::default())]
    #[case::a_kind_at_the_very_end(&[1, 1, 8], ReceivedOptions::default())]
    #[case::behind_the_end_of_options(&[0, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0], ReceivedOptions::default())]
    #[case::a_timestamp_behind_something_unknown(
        &[99, 3, 0, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8],
        ReceivedOptions { tstamp: TS, ..ReceivedOptions::default() }
    )]
    #[case::a_block_that_is_cut(&[5, 9, 0, 0, 0, 1, 0, 0, 0], ReceivedOptions::default())]
    fn what_is_malformed_ends_the_reading(#[case] bytes: &[u8], #[case] read: ReceivedOptions) {
        assert_eq!(ReceivedOptions::parse(bytes, false), read);
    }

    #[test]
    fn what_a_syn_says_is_read_back() {
        let bytes = [2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 99];
        let read = ReceivedOptions::parse(&bytes, true);
        assert_eq!((read.mss, read.wscale, read.sack_ok, read.tstamp), (Some(1460), Some(14), true, TS));
    }
}
