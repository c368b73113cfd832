//! TCP and UDP segmentation: one packet with one prototype header becomes many frames (section 7.2.4).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::checksum;
use super::context::{Context, Layer4};
use super::descriptor::Descriptor;
use crate::observation::Rule;
use crate::registers::bit::olinfo;

/// The longest prototype header.
const HEADER_MAX: usize = 512;
/// The longest segment on the wire, without tag and FCS.
const SEGMENT_MAX: usize = 9728;

/// A segmentation under way.
#[derive(Clone, Debug)]
pub(super) struct Segmentation {
    context: Context,
    /// Empty until all of it has arrived.
    header: Vec<u8>,
    payload_length: usize,
    sent: usize,
    /// Segments sent.
    count: u16,
    /// TCP flags that the first, the middle, and the last segment keep.
    flags: [u16; 3],
}

impl Segmentation {
    pub(super) fn new(
        first: &Descriptor,
        context: &Context,
        flags: [u16; 3],
    ) -> Result<Self, (Rule, String)> {
        let needs_ip = context.is_ipv4 != first.has_option(olinfo::IXSM);
        if !first.has_option(olinfo::TXSM) || needs_ip {
            let text = format!(
                "TSE with TXSM {}, IXSM {}, IPV4 {} (section 7.2.2.3)",
                first.has_option(olinfo::TXSM),
                first.has_option(olinfo::IXSM),
                context.is_ipv4
            );
            return Err((Rule::SegmentationWithoutChecksum, text));
        }
        let minimum = match context.layer4 {
            Layer4::Udp => 8,
            Layer4::Tcp => 20,
            Layer4::Sctp | Layer4::Reserved => usize::MAX,
        };
        let length = context.header_length();
        let bad = context.mss == 0
            || context.l4_length < minimum
            || context.ip_length < 20
            || context.mac_length < 14
            || length > HEADER_MAX
            || length + context.mss > SEGMENT_MAX;
        if bad {
            return Err((Rule::BadContext, format!("TSE cannot obey {context:?} (section 7.2.4)")));
        }
        let payload_length = first.payload_length();
        Ok(Self { context: *context, header: Vec::new(), payload_length, sent: 0, count: 0, flags })
    }

    /// The next frame, if the data for it has arrived; takes that data.
    pub(super) fn next(&mut self, data: &mut Vec<u8>) -> Option<Vec<u8>> {
        if self.header.is_empty() {
            let length = self.context.header_length();
            if data.len() < length {
                return None;
            }
            self.header.extend(data.drain(..length));
        }
        let length = (self.payload_length - self.sent).min(self.context.mss);
        if length == 0 || data.len() < length {
            return None;
        }
        let mut frame = self.header.clone();
        frame.extend(data.drain(..length));
        let is_last = self.sent + length == self.payload_length;
        self.edit(&mut frame, is_last);
        self.sent += length;
        self.count = self.count.wrapping_add(1);
        Some(frame)
    }

    fn edit(&self, frame: &mut [u8], is_last: bool) {
        let Context { mac_length, ip_length, .. } = self.context;
        let total = frame.len();
        if self.context.is_snap {
            set16(frame, 12, total - 14);
        }
        let ip = mac_length;
        if self.context.is_ipv4 {
            set16(frame, ip + 2, total - mac_length);
            let identification = get16(frame, ip + 4).wrapping_add(self.count);
            set16(frame, ip + 4, identification.into());
            checksum::insert_ipv4(frame, &self.context);
        } else {
            set16(frame, ip + 4, total - mac_length - 40);
        }
        let l4 = ip + ip_length;
        if self.context.layer4 == Layer4::Tcp {
            let sequence = u32::from(get16(frame, l4 + 4)) << 16 | u32::from(get16(frame, l4 + 6));
            let sequence = sequence.wrapping_add(self.sent as u32);
            frame[l4 + 4..l4 + 8].copy_from_slice(&sequence.to_be_bytes());
            // A sole segment is a last one.
            let mask = self.flags[if is_last { 2 } else { usize::from(self.count > 0) }];
            let flags = get16(frame, l4 + 12) & (mask | 0xF000);
            set16(frame, l4 + 12, flags.into());
        } else {
            set16(frame, l4 + 4, total - l4);
        }
        // The seed has no length: the hardware adds that of the segment.
        checksum::insert_layer4(frame, &self.context, (total - l4) as u16);
    }
}

fn get16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn set16(bytes: &mut [u8], at: usize, value: usize) {
    bytes[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
}
