//! Packet data arrives: put it together, check it against its descriptors, and put frames into the packet buffer.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::checksum;
use super::context::{Context, Layer4};
use super::descriptor::{Descriptor, Kind};
use super::fetch::Chunk;
use super::segment::Segmentation;
use crate::fault::Happening;
use crate::host::DropReason;
use crate::nic::{Io, Nic};
use crate::observation::Rule;
use crate::port::Frame;
use crate::registers::bit::{dcmd, olinfo};
use crate::registers::offset;
use crate::statistics::counter;

/// The longest frame without FCS that the MAC sends (`DTXMXPKTSZ`, 9.5 KiB).
const FRAME_MAX: usize = 9728;
/// The shortest that `TCTL.PSP` may be asked to pad.
const FRAME_MIN: usize = 17;

/// The packet whose data is arriving.
#[derive(Clone, Debug)]
pub(super) struct Assembly {
    pub(super) first: Descriptor,
    pub(super) context: Option<Context>,
    /// Data not yet in a frame.
    pub(super) bytes: Vec<u8>,
    /// All data that has arrived.
    pub(super) total: usize,
    pub(super) segmentation: Option<Segmentation>,
    /// It cannot be sent; its data is passed over.
    pub(super) is_bad: bool,
    /// That is because the host refused to give the data.
    pub(super) is_refused: bool,
}

impl Nic {
    pub(crate) fn transmit_data_arrived(&mut self, io: &mut Io<'_>) {
        let Some(chunk) = self.transmit.in_flight.pop_front() else { return };
        self.transmit.in_flight_bytes -= chunk.length;
        match chunk.descriptor.kind() {
            Kind::Data => self.take_data(&chunk, io),
            Kind::Context => self.check_context(&chunk),
            Kind::Legacy => {
                let text = format!("queue {}: legacy transmit descriptor (section 7.2.2.1)", chunk.queue);
                self.observe(Rule::NotModelled, text);
            }
            Kind::Unknown => {
                let text = format!(
                    "queue {}: DTYP of {:#010x} (section 7.2.2)",
                    chunk.queue, chunk.descriptor.words[2]
                );
                self.observe(Rule::DescriptorType, text);
            }
        }
        if chunk.ends_descriptor {
            self.finish_descriptor(chunk.queue, &chunk.descriptor);
        }
        self.transmit_pump();
    }

    fn check_context(&mut self, chunk: &Chunk) {
        if chunk.descriptor.context_index() > 1 {
            let text = format!(
                "queue {}: context slot {}; there are 2 (section 7.2.2.2)",
                chunk.queue,
                chunk.descriptor.context_index()
            );
            self.observe(Rule::BadContext, text);
        }
    }

    fn take_data(&mut self, chunk: &Chunk, io: &mut Io<'_>) {
        if let Some(context) = &chunk.begins {
            self.begin_packet(chunk, **context);
        }
        let Some(mut packet) = self.transmit.assembly.take() else { return };
        if chunk.descriptor.length() == 0 {
            let text = format!(
                "queue {} descriptor {}: DTALEN is 0 (section 7.2.2.3)",
                chunk.queue, chunk.descriptor.index
            );
            self.observe(Rule::ZeroLength, text);
        }
        let mut data = vec![0; chunk.length];
        if chunk.length > 0 && self.faults.strike(Happening::DataRead(chunk.queue as u16)).is_some() {
            (packet.is_bad, packet.is_refused) = (true, true);
        } else if io.memory.read(chunk.address, &mut data).is_err() {
            let text = format!(
                "queue {} descriptor {}: {} bytes of packet data at {:#x} are not readable",
                chunk.queue, chunk.descriptor.index, chunk.length, chunk.address
            );
            self.observe(Rule::DmaFault, text);
            (packet.is_bad, packet.is_refused) = (true, true);
        }
        packet.total += data.len();
        if !packet.is_bad {
            packet.bytes.extend_from_slice(&data);
        }
        self.take_segments(&mut packet, chunk);
        if chunk.ends_descriptor && chunk.descriptor.has(dcmd::EOP) {
            self.end_packet(packet, chunk);
        } else {
            self.transmit.assembly = Some(packet);
        }
    }

    /// All but length, EOP and RS is taken from the first descriptor.
    fn begin_packet(&mut self, chunk: &Chunk, context: Option<Context>) {
        let first = chunk.descriptor;
        let (command, option) = first.reserved();
        if command | option != 0 {
            let text = format!(
                "queue {} descriptor {}: reserved bits {command:#010x} of word 2, {option:#010x} of word 3 are set \
                 (section 7.2.2.3)",
                chunk.queue, first.index
            );
            self.observe(Rule::ReservedBit, text);
        }
        let mut packet = Assembly {
            first,
            context,
            bytes: Vec::new(),
            total: 0,
            segmentation: None,
            is_bad: false,
            is_refused: false,
        };
        if first.needs_context() && context.is_none() {
            let text =
                format!("queue {}: context slot {} was never written", chunk.queue, first.context_index());
            self.observe(Rule::NoContext, text + " (section 7.2.2.2)");
            packet.is_bad = true;
        }
        if let (true, Some(context)) = (first.has(dcmd::TSE), context) {
            let flags = [
                self.registers.get(offset::DTXTCPFLGL),
                self.registers.get(offset::DTXTCPFLGL) >> 16,
                self.registers.get(offset::DTXTCPFLGH),
            ];
            match Segmentation::new(&first, &context, flags.map(|mask| mask as u16 & 0xFFF)) {
                Ok(segmentation) => packet.segmentation = Some(segmentation),
                Err((rule, text)) => {
                    self.observe(rule, format!("queue {} descriptor {}: {text}", chunk.queue, first.index));
                    packet.is_bad = true;
                }
            }
        }
        self.transmit.assembly = Some(packet);
    }

    /// Segments whose data is complete go to the packet buffer while the rest is still arriving.
    fn take_segments(&mut self, packet: &mut Assembly, chunk: &Chunk) {
        while let (Some(segmentation), false) = (&mut packet.segmentation, packet.is_bad) {
            let Some(segment) = segmentation.next(&mut packet.bytes) else { break };
            self.push_frame(segment, packet, chunk);
        }
        if packet.segmentation.is_none() && packet.bytes.len() > FRAME_MAX && !packet.is_bad {
            let text =
                format!("queue {}: packet of more than {FRAME_MAX} bytes (section 8.12.1)", chunk.queue);
            self.observe(Rule::FrameLength, text);
            packet.is_bad = true;
            packet.bytes.clear();
        }
    }

    fn end_packet(&mut self, mut packet: Assembly, chunk: &Chunk) {
        let headers =
            packet.segmentation.as_ref().map_or(0, |_| packet.context.map_or(0, |c| c.header_length()));
        let described = packet.first.payload_length() + headers;
        let fits = packet.total == described;
        if !fits && !packet.is_bad {
            let text = format!(
                "queue {} descriptor {}: buffers hold {} bytes, PAYLEN says {described} (section 7.2.2.3)",
                chunk.queue, packet.first.index, packet.total
            );
            self.observe(Rule::LengthMismatch, text);
        }
        if packet.first.has(dcmd::TSE) {
            let done = fits && !packet.is_bad;
            return self.count(if done { counter::TSCTC } else { counter::TSCTFC }, 1);
        }
        if packet.is_bad {
            let bytes = core::mem::take(&mut packet.bytes);
            let reason = if packet.is_refused { DropReason::DmaFault } else { DropReason::Malformed };
            return self.drop_frame(reason, bytes);
        }
        let mut bytes = core::mem::take(&mut packet.bytes);
        if let Err(text) = insert_checksums(&mut bytes, &packet) {
            self.observe(Rule::BadContext, format!("queue {}: {text}", chunk.queue));
        }
        self.push_frame(bytes, &packet, chunk);
    }

    /// Inserts the VLAN tag, pads, and hands over to the port.
    fn push_frame(&mut self, mut bytes: Vec<u8>, packet: &Assembly, chunk: &Chunk) {
        if bytes.len() < FRAME_MIN || bytes.len() > FRAME_MAX {
            let text = format!("queue {}: frame of {} bytes (section 8.12.1)", chunk.queue, bytes.len());
            self.observe(Rule::FrameLength, text);
            return self.drop_frame(DropReason::Malformed, bytes);
        }
        if let (true, Some(context)) = (packet.first.has(dcmd::VLE), packet.context) {
            let ethertype = (self.registers.get(offset::VET) as u16).to_be_bytes();
            let tag = context.vlan.to_be_bytes();
            bytes.splice(12..12, [ethertype[0], ethertype[1], tag[0], tag[1]]);
        }
        let frame = Frame { bytes, queue: chunk.queue as u16, last_descriptor: chunk.descriptor.index };
        self.enqueue_frame(frame);
    }
}

/// `IXSM` and `TXSM` of a packet that is not segmented.
fn insert_checksums(bytes: &mut [u8], packet: &Assembly) -> Result<(), String> {
    let Some(context) = packet.context else { return Ok(()) };
    let wrong = |what| format!("{what} of context does not fit the packet (section 7.2.2.2)");
    if packet.first.has_option(olinfo::IXSM) {
        checksum::insert_ipv4(bytes, &context).ok_or_else(|| wrong("IP header"))?;
    }
    if packet.first.has_option(olinfo::TXSM) {
        if context.layer4 == Layer4::Reserved {
            return Err(wrong("L4T"));
        }
        checksum::insert_layer4(bytes, &context, 0).ok_or_else(|| wrong("L4 header"))?;
    }
    Ok(())
}
