//! A capture read back: `wireproof show` and the tests of what was written.

use super::pcapng::{AUTOMATIC, PACKET, UNEXPLAINED};
use super::{Capture, CapturedFrame, Direction, Explained, StepRef};
use pcap_file::pcapng::{Block, PcapNgReader};

use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says it")]
pub enum ReadError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("not a pcapng file that wireproof wrote: {0}")]
    Format(#[from] pcap_file::PcapError),
    #[error("filter: {0}")]
    Filter(pcap::Error),
}

/// Reads `wire.pcapng` with its comments, which libpcap does not give; `filter` is in libpcap's language (`udp port 7`), and
/// what it does not match is left out.
///
/// # Errors
/// When there is no such file, it is no pcapng, or libpcap does not understand the filter.
pub fn read(path: &Path, epoch: Duration, filter: Option<&str>) -> Result<Capture, ReadError> {
    let program = match filter {
        Some(text) => {
            let dead = pcap::Capture::dead(pcap::Linktype::ETHERNET).map_err(ReadError::Filter)?;
            Some(dead.compile(text, true).map_err(ReadError::Filter)?)
        }
        None => None,
    };
    let mut capture = Capture::default();
    let mut reader = PcapNgReader::new(File::open(path)?)?;
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(block) = block?
            && program.as_ref().is_none_or(|p| p.filter(&block.data))
        {
            capture.frames.push(frame(&block, epoch));
        }
    }
    Ok(capture)
}

fn frame(block: &EnhancedPacketBlock<'_>, epoch: Duration) -> CapturedFrame {
    let since = block.timestamp.saturating_sub(epoch).as_nanos();
    let mut frame = CapturedFrame {
        at: u64::try_from(since).unwrap_or(u64::MAX),
        direction: Direction::Inbound,
        bytes: block.data.to_vec(),
        explained: Explained::No,
        packet: None,
    };
    for option in &block.options {
        match option {
            EnhancedPacketOption::Flags(flags) if flags & 3 == 2 => frame.direction = Direction::Outbound,
            EnhancedPacketOption::Comment(text) => comment(text, &mut frame),
            _ => {}
        }
    }
    frame
}

fn comment(text: &str, frame: &mut CapturedFrame) {
    if let Some(number) = text.strip_prefix(PACKET).and_then(|n| n.parse().ok()) {
        frame.packet = Some(number);
    } else if text == AUTOMATIC {
        frame.explained = Explained::Automatic;
    } else if text != UNEXPLAINED
        && let Some(step) = step(text)
    {
        frame.explained = Explained::Step(step);
    }
}

/// `FILE:LINE TEXT`; a file may have spaces and colons in its name.
fn step(text: &str) -> Option<StepRef> {
    text.match_indices(':').find_map(|(colon, _)| {
        let (number, rest) = text[colon + 1..].split_once(' ')?;
        let line = number.parse().ok()?;
        Some(StepRef { file: text[..colon].to_owned(), line, text: rest.to_owned() })
    })
}
