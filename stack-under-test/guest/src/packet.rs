//! How messages stand on the control channel: framed, versioned and checksummed, so that either side knows at once when the other
//! is not what it takes it for, or bytes were lost.
//!
//! ```text
//! "wp" | version, 1 byte | 0 | length of the message, 4 bytes, little-endian | CRC-32 of the message, 4 bytes | message
//! ```

use alloc::vec::Vec;
use core::fmt;

/// The version of all that is said; both sides are built from one tree, and one that is stale is found out.
pub const VERSION: u8 = 2;
/// The longest message in bytes; who announces a longer one is out of step.
pub const MESSAGE_MAX: usize = 64 << 20;

/// So many bytes of a message the guest sends before it waits for [`OPEN`]: what its console cannot hand to the harness at once QEMU
/// drops, and a socket has room for some 200 KB.
pub const WINDOW: usize = 64 * 1024;
/// The harness has taken all of a window, and more is to come.
pub const OPEN: u8 = b'+';

const MAGIC: [u8; 2] = *b"wp";
const HEADER_BYTES: usize = 12;

/// Why what came is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// It does not begin as one: the sides are out of step, or somebody else speaks.
    NotAMessage,
    /// The other side speaks another version.
    Version(u8),
    /// It says that it is longer than [`MESSAGE_MAX`].
    TooLong(u32),
    /// Its checksum is wrong.
    Checksum,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAMessage => f.write_str("what came on the control channel is no message"),
            Self::Version(theirs) => {
                write!(
                    f,
                    "the other side of the control channel speaks version {theirs}, not {VERSION}: build the image anew"
                )
            }
            Self::TooLong(bytes) => {
                write!(f, "a message on the control channel says that it has {bytes} bytes")
            }
            Self::Checksum => f.write_str("a message on the control channel is damaged"),
        }
    }
}

impl core::error::Error for Bad {}

/// Appends a message to what is to be sent.
///
/// # Panics
/// If it is longer than [`MESSAGE_MAX`].
pub fn write(message: &[u8], out: &mut Vec<u8>) {
    assert!(message.len() <= MESSAGE_MAX, "a message has its limit");
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, 0]);
    out.extend_from_slice(&(message.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc32(message).to_le_bytes());
    out.extend_from_slice(message);
}

/// Takes the first message from the front of what came. `None`: it is not whole yet.
///
/// # Errors
/// When it is none; nothing that follows can be understood then.
pub fn take(received: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Bad> {
    let seen = received.len().min(2);
    if received[..seen] != MAGIC[..seen] {
        return Err(Bad::NotAMessage);
    }
    if let Some(&version) = received.get(2).filter(|&&version| version != VERSION) {
        return Err(Bad::Version(version));
    }
    let Some(header) = received.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (bytes, checksum) = (word(4), word(8));
    if bytes as usize > MESSAGE_MAX {
        return Err(Bad::TooLong(bytes));
    }
    let end = HEADER_BYTES + bytes as usize;
    if received.len() < end {
        return Ok(None);
    }
    let message = received[HEADER_BYTES..end].to_vec();
    received.drain(..end);
    if crc32(&message) == checksum { Ok(Some(message)) } else { Err(Bad::Checksum) }
}

/// How many windows of the message that begins here may have been opened by now: those that came whole, but for the last.
#[must_use]
pub fn windows_to_open(received: &[u8], opened: usize) -> usize {
    let Some(length) = received.get(4..8).and_then(|bytes| bytes.first_chunk()) else { return opened };
    let end = HEADER_BYTES.saturating_add(u32::from_le_bytes(*length) as usize);
    (received.len() / WINDOW).min(end.saturating_sub(1) / WINDOW)
}

/// CRC-32 as Ethernet has it (IEEE 802.3, 3.2.9), by a table of 16 entries.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = table();
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc = TABLE[((crc ^ u32::from(byte)) & 15) as usize] ^ (crc >> 4);
        crc = TABLE[((crc ^ u32::from(byte >> 4)) & 15) as usize] ^ (crc >> 4);
    }
    !crc
}

const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 4 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use rstest::rstest;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let messages = [vec![], vec![1; 3], (0..=255).collect::<Vec<u8>>()];
        let mut sent = Vec::new();
        for message in &messages {
            write(message, &mut sent);
        }
        for step in [1, 5, 12, 13, sent.len()] {
            let mut received = Vec::new();
            let mut came = Vec::new();
            for chunk in sent.chunks(step) {
                received.extend_from_slice(chunk);
                while let Some(message) = take(&mut received).expect("all of it is well-formed") {
                    came.push(message);
                }
            }
            assert_eq!(came, messages, "in steps of {step}");
            assert!(received.is_empty());
        }
    }

    #[rstest]
    #[case::of_a_short_message(100, 112, 0)]
    #[case::before_the_first_is_full(3 * WINDOW, WINDOW - 1, 0)]
    #[case::of_a_long_message(3 * WINDOW, 2 * WINDOW + 5, 2)]
    #[case::at_its_end(3 * WINDOW, 3 * WINDOW + 12, 3)]
    #[case::none_behind_the_last(WINDOW - 12, WINDOW, 0)]
    fn a_window_is_opened_when_more_is_to_come(#[case] len: usize, #[case] came: usize, #[case] open: usize) {
        let mut sent = Vec::new();
        write(&vec![0; len], &mut sent);
        assert_eq!(windows_to_open(&sent[..came], 0), open);
    }

    #[rstest]
    #[case::something_else(0, b'x', Bad::NotAMessage)]
    #[case::another_version(2, 9, Bad::Version(9))]
    #[case::far_too_long(7, 0xff, Bad::TooLong(0xff00_0002))]
    #[case::a_damaged_checksum(8, 0, Bad::Checksum)]
    #[case::a_damaged_message(12, 0, Bad::Checksum)]
    fn what_is_no_message_is_told(#[case] at: usize, #[case] byte: u8, #[case] bad: Bad) {
        let mut sent = Vec::new();
        write(&[7, 7], &mut sent);
        assert_ne!(sent[at], byte);
        sent[at] = byte;
        assert_eq!(take(&mut sent), Err(bad));
    }
}
