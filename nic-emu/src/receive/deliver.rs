//! From the receive packet buffer into the buffers of descriptors (section 7.1.6 to 7.1.8).

use alloc::format;
use alloc::vec::Vec;

use super::descriptor::{Free, PIF, RXE, STRIPCRC, VP, Verdict, Written};
use super::{Accepted, parse};
use crate::agenda::Event;
use crate::fault::Happening;
use crate::host::{DropReason, Received};
use crate::nic::{Io, Nic};
use crate::observation::Rule;
use crate::registers::bit::{ctrl, rctl};
use crate::registers::offset;
use crate::statistics::{FCS, counter};
use crate::transmit::crc;

/// Frames on the bus at once.
const IN_FLIGHT_MAX: usize = 16;
/// `SRRCTL.Drop_En`.
const DROP_EN: u32 = 1 << 31;
/// `RXCSUM.PCSD`: the hash is in the descriptor, not the fragment checksum.
const PCSD: u32 = 1 << 13;
/// The polynomial of the Ethernet FCS, reflected.
const ETHERNET: u32 = 0xEDB8_8320;

/// One frame on its way over the bus.
#[derive(Clone, Debug)]
pub(super) struct Job {
    queue: usize,
    /// As it was on the cable.
    frame: Vec<u8>,
    /// As it goes to memory.
    data: Vec<u8>,
    descriptors: Vec<Free>,
    verdict: Verdict,
    buffer_bytes: usize,
}

impl Nic {
    /// Starts DMA for as many frames as descriptors and bus allow, in order.
    pub(crate) fn receive_pump(&mut self) {
        if !self.is_bus_master() {
            return;
        }
        self.start_jobs();
        self.check_watermarks();
    }

    fn start_jobs(&mut self) {
        while self.receive.in_flight.len() < IN_FLIGHT_MAX {
            let Some(mut frame) = self.receive.fifo.pop_front() else { break };
            let queue = frame.queue;
            if !self.is_receive_queue_enabled(queue) {
                self.receive.fifo_bytes -= frame.bytes.len();
                self.drop_frame(DropReason::QueueDisabled, frame.bytes);
                continue;
            }
            let buffer_bytes = self.buffer_bytes(queue);
            let (data, verdict) = self.prepare(&frame);
            let needed = data.len().div_ceil(buffer_bytes);
            if self.receive.queues[queue].cache.len() >= needed {
                let descriptors = self.receive.queues[queue].cache.drain(..needed).collect();
                let job = Job { queue, frame: frame.bytes, data, descriptors, verdict, buffer_bytes };
                self.start_job(job);
                self.plan_receive_fetch(queue);
                continue;
            }
            let coming = self.receive_available(queue) as usize;
            if self.receive.queues[queue].cache.len() + coming < needed {
                if self.registers.has(offset::of_queue(offset::SRRCTL, queue), DROP_EN) {
                    self.count(offset::of_queue(offset::RQDPC, queue), 1);
                    self.receive.fifo_bytes -= frame.bytes.len();
                    self.drop_frame(DropReason::NoDescriptor, frame.bytes);
                    continue;
                }
                if !frame.is_starved {
                    frame.is_starved = true;
                    self.count(counter::RNBC, 1);
                }
            }
            self.receive.fifo.push_front(frame);
            self.plan_receive_fetch(queue);
            break;
        }
    }

    fn start_job(&mut self, job: Job) {
        let on_bus = job.data.len() as u64 * 8 * 1_000_000_000 / self.config.bus_bits_per_second;
        let at = self.after(self.config.latency.data_fetch_ns).max(self.receive.bus_free_at + on_bus);
        self.receive.bus_free_at = at;
        self.receive.in_flight.push_back(job);
        self.agenda.plan(at, Event::ReceiveData);
    }

    /// `SRRCTL.BSIZEPACKET` in KiB, or `RCTL.BSIZE` when that is 0.
    fn buffer_bytes(&self, queue: usize) -> usize {
        match self.registers.get(offset::of_queue(offset::SRRCTL, queue)) & 0x7F {
            0 => 2048 >> (self.registers.get(offset::RCTL) >> 16 & 3),
            kib => kib as usize * 1024,
        }
    }

    /// The bytes for memory, with tag stripped and FCS kept as told, and what the descriptor will say of them.
    fn prepare(&self, frame: &Accepted) -> (Vec<u8>, Verdict) {
        let tag = self.vlan_tag(&frame.bytes);
        let parsed = parse::parse(&frame.bytes, tag.is_some());
        let rxcsum = self.registers.get(offset::RXCSUM);
        let mut verdict = Verdict {
            kind: parsed.packet_type(),
            hash: parsed.identification(&frame.bytes),
            status: parsed.verify(&frame.bytes, rxcsum),
            vlan: 0,
        };
        if rxcsum & PCSD != 0 {
            verdict.hash = frame.rss.map_or(0, |hash| hash.value);
            verdict.kind |= frame.rss.map_or(0, |hash| hash.kind);
        }
        verdict.status |= if frame.is_inexact { PIF } else { 0 };
        verdict.status |= if frame.has_bad_crc { RXE } else { 0 };
        let mut data = frame.bytes.clone();
        if self.registers.has(offset::RCTL, rctl::SECRC) {
            verdict.status |= STRIPCRC;
        } else {
            let fcs = crc(&frame.bytes, ETHERNET) ^ u32::from(frame.has_bad_crc);
            data.extend_from_slice(&fcs.to_le_bytes());
        }
        if let (Some(tag), true) = (tag, self.registers.has(offset::CTRL, ctrl::VME)) {
            data.drain(12..16);
            verdict.vlan = tag;
            verdict.status |= VP;
        }
        debug_assert!(data.len() <= frame.bytes.len() + FCS);
        (data, verdict)
    }

    /// The bytes of a frame reach memory.
    pub(crate) fn receive_data_done(&mut self, io: &mut Io<'_>) {
        let Some(job) = self.receive.in_flight.pop_front() else { return };
        self.receive.fifo_bytes -= job.frame.len();
        let is_legacy = self.registers.get(offset::of_queue(offset::SRRCTL, job.queue)) >> 25 & 7 == 0;
        let count = job.descriptors.len();
        for (place, (free, data)) in job.descriptors.iter().zip(job.data.chunks(job.buffer_bytes)).enumerate()
        {
            let is_refused = self.faults.strike(Happening::DataWrite(job.queue as u16)).is_some();
            if !is_refused && io.memory.write(free.buffer, data).is_err() {
                let text = format!(
                    "queue {} descriptor {}: {} received bytes cannot be written to {:#x}",
                    job.queue,
                    free.index,
                    data.len(),
                    free.buffer
                );
                self.observe(Rule::DmaFault, text);
            }
            let ends = place + 1 == count;
            let words = job.verdict.words(is_legacy, data.len(), ends);
            self.receive.queues[job.queue].finished.push(Written { index: free.index, words, ends });
        }
        self.count_to_host(&job.frame);
        self.finish_receive(job.queue);
        if let Some(received) = &mut io.out.received {
            received.push(Received { queue: job.queue as u16, bytes: job.frame });
        }
        self.receive_pump();
    }
}
