//! The Internet checksum: RFC 1071, its incremental update (RFC 1624), and the pseudo-header of UDP and TCP.
//!
//! Nothing here panics. Sums are numbers in network order: what [`fold`] gives is what stands in the header, before it is
//! inverted.

use core::net::Ipv4Addr;

/// Adds up runs of bytes as if they lay behind one another; runs may have odd lengths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum {
    sum: u64,
    odd: bool,
}

impl Checksum {
    /// Starts with `sum`, such as that of a pseudo-header (not inverted).
    #[inline]
    #[must_use]
    pub fn starting_with(sum: u16) -> Self {
        Self { sum: u64::from(sum), odd: false }
    }

    /// Adds the next run.
    #[inline(always)]
    pub fn add(&mut self, run: &[u8]) {
        let part = sum(run);
        // A run that begins at an odd offset has its bytes in the other half of each word (RFC 1071, section 2 (B)).
        self.sum += u64::from(if self.odd { part.swap_bytes() } else { part });
        self.odd ^= run.len() % 2 == 1;
    }

    /// The sum, folded to 16 bits and not inverted.
    #[inline]
    #[must_use]
    pub fn fold(self) -> u16 {
        fold(self.sum)
    }

    /// What goes into the header: the folded sum, inverted.
    #[inline]
    #[must_use]
    pub fn finish(self) -> u16 {
        !self.fold()
    }

    /// [`Checksum::finish`] for UDP, where zero means "none" and is sent as all ones (RFC 768).
    #[inline]
    #[must_use]
    pub fn finish_udp(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            sum => sum,
        }
    }
}

/// Folds a sum of 16-bit words to 16 bits, end-around carry included.
#[inline]
#[must_use]
pub const fn fold(sum: u64) -> u16 {
    // Added to itself with its halves exchanged, the upper half is the sum of both, and the carry of the lower one: the
    // end-around carry of the upper.
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

/// [`fold`] for a sum of no more than 65,536 words.
#[inline(always)]
#[must_use]
pub const fn fold_small(sum: u32) -> u16 {
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + sum) as u16
}

/// The sum of `bytes` as 16-bit words in network order, folded and not inverted; an odd last byte is padded with zero.
///
/// The sum does not depend on the byte order of the words (RFC 1071, section 2 (B)): they are added up in the machine's own,
/// and the result is turned round once.
#[inline(always)]
#[must_use]
pub fn sum(bytes: &[u8]) -> u16 {
    u16::from_be_bytes(fold(native_sum(bytes)).to_ne_bytes())
}

/// The checksum of a run of bytes and of further words, given by their sum as numbers: those of a pseudo-header.
#[inline(always)]
#[must_use]
pub fn checksum_with(bytes: &[u8], words: u16) -> u16 {
    let words = u64::from(u16::from_ne_bytes(words.to_be_bytes()));
    !u16::from_be_bytes(fold(native_sum(bytes) + words).to_ne_bytes())
}

/// The checksum of two runs of bytes, of which the first has an even number.
#[inline(always)]
#[must_use]
pub fn checksum_of_two(first: &[u8], second: &[u8]) -> u16 {
    debug_assert!(first.len().is_multiple_of(2));
    !u16::from_be_bytes(fold(native_sum(first) + native_sum(second)).to_ne_bytes())
}

/// The sum of `bytes` as words in the machine's own order, not folded to the end; far from overflowing.
#[inline(always)]
fn native_sum(bytes: &[u8]) -> u64 {
    if let Ok(bytes) = <&[u8; TCP_BYTES]>::try_from(bytes) {
        return sum_rest(bytes, 0);
    }
    if let Ok(bytes) = <&[u8; ADDRESSED_BYTES]>::try_from(bytes) {
        return sum_rest(bytes, 0);
    }
    if bytes.len() < BLOCK_BYTES { sum_rest(bytes, 0) } else { sum_long(bytes) }
}

/// The bytes of a TCP header with timestamps: most of what is added up that is short, and so unrolled.
const TCP_BYTES: usize = 32;
/// The same with the addresses of the pseudo-header, which lie before it.
const ADDRESSED_BYTES: usize = 40;

/// Bytes that a round of [`sum_long`] adds up, and the least that it is worth while for.
const ROUND_BYTES: usize = 256;
const BLOCK_BYTES: usize = ROUND_BYTES / 2;

/// [`native_sum`] of many bytes. The 64-bit words of a block are added with the carry of the word before, one addition for
/// eight bytes: in ones' complement a carry out of a word is worth one in the next. Blocks do not wait for one another.
#[inline(never)]
fn sum_long(bytes: &[u8]) -> u64 {
    let (rounds, mut rest) = bytes.as_chunks::<ROUND_BYTES>();
    let mut words = rounds.iter().map(sum_block).sum();
    if let Some((block, behind)) = rest.split_first_chunk::<BLOCK_BYTES>() {
        words += sum_block(block);
        rest = behind;
    }
    sum_rest(rest, words)
}

#[inline(always)]
fn sum_block<const N: usize>(block: &[u8; N]) -> u128 {
    let (mut sum, mut carry) = (0_u64, false);
    for word in block.as_chunks::<8>().0 {
        (sum, carry) = sum.carrying_add(u64::from_ne_bytes(*word), carry);
    }
    u128::from(sum) + u128::from(carry)
}

/// The sum of `bytes`, and of a number of 64-bit words.
#[inline(always)]
fn sum_rest(bytes: &[u8], mut words: u128) -> u64 {
    let (whole, mut bytes) = bytes.as_chunks::<8>();
    for word in whole {
        words += u128::from(u64::from_ne_bytes(*word));
    }
    let (high, low) = ((words >> 64) as u64, words as u64);
    // No slice has 2^32 words of eight bytes: the high half is small, and no sum overflows.
    let mut total = (low >> 32) + (low & 0xffff_ffff) + high;
    if bytes.is_empty() {
        return total;
    }
    if let Some((word, rest)) = bytes.split_first_chunk::<4>() {
        total += u64::from(u32::from_ne_bytes(*word));
        bytes = rest;
    }
    if let Some((word, rest)) = bytes.split_first_chunk::<2>() {
        total += u64::from(u16::from_ne_bytes(*word));
        bytes = rest;
    }
    if let [last] = bytes {
        total += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    total
}

/// The checksum of one run: its sum, inverted.
#[inline]
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    !sum(bytes)
}

/// [`checksum`] of an IPv4 header: fastest for one without options.
#[inline(always)]
#[must_use]
pub fn header_checksum(header: &[u8]) -> u16 {
    match <&[u8; 20]>::try_from(header) {
        Ok(header) => checksum(header),
        Err(_) => checksum(header),
    }
}

/// The sum of the pseudo-header of UDP and TCP over IPv4 (RFC 768, RFC 9293), not inverted. `len` is that of the UDP or
/// TCP header and its payload, in bytes.
#[inline]
#[must_use]
pub fn pseudo_header(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: u16) -> u16 {
    let (src, dst) = (u64::from(src.to_bits()), u64::from(dst.to_bits()));
    fold(src + dst + u64::from(protocol) + u64::from(len))
}

/// The checksum after one 16-bit word under it changed from `old` to `new`: RFC 1624, equation 3.
#[inline]
#[must_use]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u64::from(!checksum) + u64::from(!old) + u64::from(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use rstest::rstest;

    /// The definition of RFC 1071, section 4.1, word by word.
    fn slow(bytes: &[u8]) -> u16 {
        let mut total: u32 = 0;
        for pair in bytes.chunks(2) {
            total += (u32::from(pair[0]) << 8) | u32::from(*pair.get(1).unwrap_or(&0));
            if total > 0xffff {
                total -= 0xffff;
            }
        }
        total as u16
    }

    fn counting(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i * 7 + 3) as u8).collect()
    }

    #[rstest]
    #[case::the_example_of_rfc_1071(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0xddf2)]
    #[case::nothing(&[], 0)]
    #[case::one_byte_is_the_high_half(&[0xab], 0xab00)]
    #[case::all_ones_stay_all_ones(&[0xff, 0xff, 0xff, 0xff], 0xffff)]
    fn sum_of(#[case] bytes: &[u8], #[case] expected: u16) {
        assert_eq!(sum(bytes), expected);
    }

    #[test]
    fn every_length_agrees_with_the_definition() {
        for n in 0..700 {
            assert_eq!(sum(&counting(n)), slow(&counting(n)), "{n} bytes");
        }
        assert_eq!(sum(&[0xff; 65535]), slow(&[0xff; 65535]));
    }

    #[rstest]
    fn runs_add_up_to_the_whole(
        #[values(0, 1, 2, 3, 17, 32, 63)] a: usize,
        #[values(0, 1, 5, 16, 31)] b: usize,
    ) {
        let bytes = counting(90);
        let mut runs = Checksum::default();
        runs.add(&bytes[..a]);
        runs.add(&bytes[a..(a + b).min(90)]);
        runs.add(&bytes[(a + b).min(90)..]);
        assert_eq!(runs.fold(), slow(&bytes));
        let even = &bytes[..a & !1];
        assert_eq!(checksum_of_two(even, &bytes[even.len()..]), !slow(&bytes));
    }

    #[test]
    fn the_ipv4_header_of_a_known_packet() {
        // The example header of the Wikipedia article on the IPv4 header checksum.
        let header =
            [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 192, 168, 0, 1, 192, 168, 0, 199];
        assert_eq!(checksum(&header), 0);
        assert_eq!(update(0xb861, 0x4011, 0x3f11), 0xb961);
    }

    #[test]
    fn the_pseudo_header_is_that_of_its_bytes() {
        let (src, dst) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(255, 255, 255, 255));
        let bytes = [192, 0, 2, 1, 255, 255, 255, 255, 0, 17, 0x05, 0xc0];
        assert_eq!(pseudo_header(src, dst, 17, 0x05c0), slow(&bytes));
    }

    #[test]
    fn an_update_never_gives_the_other_zero() {
        // RFC 1624, section 4: HC 0xdd2f, m 0x5555, m' 0x3285 gives 0, where RFC 1141 gave 0xffff.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn a_udp_checksum_of_zero_is_sent_as_all_ones() {
        assert_eq!(Checksum::starting_with(0xffff).finish_udp(), 0xffff);
    }
}
