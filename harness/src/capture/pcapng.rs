//! `wire.pcapng`: every frame in both directions, with the step that it belongs to as a packet comment.

use super::{Capture, Direction, Explained, replace};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, Endianness, PcapError};
use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Direction bits of `epb_flags`.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
/// The comment of a frame that no step took.
pub(super) const UNEXPLAINED: &str = "unexplained";
/// The comment of what the automatic peer answered, and of its answers.
pub(super) const AUTOMATIC: &str = "automatic peer";
/// What stands before the number of a packet.
pub(super) const PACKET: &str = "packet ";
/// A comment has a length of 16 bits.
const COMMENT_BYTES: usize = 4096;

/// Writes a capture to a file, which is made anew. The first step was at `epoch` (since 1970): a fixed time for a rig in
/// virtual time, so that the same trial gives the same bytes.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, capture: &Capture, epoch: Duration) -> io::Result<()> {
    replace(path, &bytes(capture, epoch)?)
}

/// The bytes of the file: one Ethernet interface `eth0`, nanoseconds, little endian.
///
/// # Errors
/// When a frame is longer than 4 GiB, which none is.
pub fn bytes(capture: &Capture, epoch: Duration) -> io::Result<Vec<u8>> {
    let size: usize = capture.frames.iter().map(|f| f.bytes.len() + 160).sum();
    let mut writer = PcapNgWriter::with_endianness(Vec::with_capacity(size + 128), Endianness::Little)
        .map_err(io::Error::other)?;
    fill(&mut writer, capture, epoch).map_err(io::Error::other)?;
    Ok(writer.into_inner())
}

fn fill(writer: &mut PcapNgWriter<Vec<u8>>, capture: &Capture, epoch: Duration) -> Result<(), PcapError> {
    let mut interface = InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0);
    interface.options = vec![
        InterfaceDescriptionOption::IfName(Cow::Borrowed("eth0")),
        InterfaceDescriptionOption::IfTsResol(9),
    ];
    writer.write_pcapng_block(interface)?;
    for frame in &capture.frames {
        let mut options = vec![EnhancedPacketOption::Comment(comment(&frame.explained))];
        if let Some(packet) = frame.packet {
            options.push(EnhancedPacketOption::Comment(Cow::Owned(format!("{PACKET}{packet}"))));
        }
        options.push(EnhancedPacketOption::Flags(match frame.direction {
            Direction::Inbound => INBOUND,
            Direction::Outbound => OUTBOUND,
        }));
        writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id: 0,
            timestamp: epoch.saturating_add(Duration::from_nanos(frame.at)),
            original_len: u32::try_from(frame.bytes.len())
                .map_err(|_| PcapError::InvalidField("a frame longer than 4 GiB"))?,
            data: Cow::Borrowed(&frame.bytes),
            options,
        })?;
    }
    Ok(())
}

fn comment(explained: &Explained) -> Cow<'static, str> {
    match explained {
        Explained::No => Cow::Borrowed(UNEXPLAINED),
        Explained::Automatic => Cow::Borrowed(AUTOMATIC),
        Explained::Step(step) => {
            let mut text = format!("{}:{} {}", step.file, step.line, step.text);
            let end = (0..=text.len().min(COMMENT_BYTES)).rev().find(|i| text.is_char_boundary(*i));
            text.truncate(end.unwrap_or(0));
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests;
