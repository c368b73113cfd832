//! Descriptor fetch, and the requests for packet data (section 7.2.2.4, 7.2.1).

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;

use super::QUEUES;
use super::context::Context;
use super::descriptor::{self, Descriptor, Kind};
use crate::agenda::Event;
use crate::fault::Happening;
use crate::nic::{Io, Nic};
use crate::observation::Rule;
use crate::registers::bit::{dcmd, icr, tctl};
use crate::registers::offset;

/// Descriptors of one queue that the chip holds.
const CACHE_MAX: usize = 64;
/// Bytes of one data request (`DTXMXSZRQ` after reset allows more in total).
const CHUNK_MAX: usize = 2048;
/// Data requests on the bus at once.
const IN_FLIGHT_MAX: usize = 16;

/// One request for packet data, or a descriptor that needs none.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) queue: usize,
    pub(super) descriptor: Descriptor,
    pub(super) address: u64,
    pub(super) length: usize,
    /// With the first chunk of a packet: the context that holds for it.
    pub(super) begins: Option<Box<Option<Context>>>,
    /// With the last chunk of a descriptor.
    pub(super) ends_descriptor: bool,
}

/// `TXDCTL` or `RXDCTL` with so many descriptors on the chip and in the ring: PTHRESH in bits 4:0, HTHRESH in 12:8.
pub(crate) fn wants_descriptors(control: u32, on_chip: usize, in_ring: u32) -> bool {
    let (prefetch, host) = (control & 0x1F, control >> 8 & 0x1F);
    on_chip == 0 || on_chip < prefetch as usize && in_ring >= host.max(1)
}

impl Nic {
    /// Plans a fetch if the ring holds descriptors that the chip wants: when it has none, or fewer than `TXDCTL.PTHRESH` and
    /// there are at least `HTHRESH`.
    pub(super) fn plan_transmit_fetch(&mut self, queue: usize) {
        let state = &self.transmit.queues[queue];
        if state.fetching || state.is_stalled || !self.is_bus_master() || !self.may_transmit(queue) {
            return;
        }
        let available = self.transmit_available(queue);
        let control = self.registers.get(offset::of_queue(offset::TXDCTL, queue));
        if available == 0 || !wants_descriptors(control, state.cache.len(), available) {
            return;
        }
        self.transmit.queues[queue].fetching = true;
        let at = self.after(self.config.latency.descriptor_fetch_ns);
        self.agenda.plan(at, Event::TransmitFetch(queue as u8));
    }

    fn may_transmit(&self, queue: usize) -> bool {
        self.is_transmit_queue_enabled(queue) && self.registers.has(offset::TCTL, tctl::EN)
    }

    /// Descriptors between the fetch pointer and the tail; none while the tail is outside of the ring.
    fn transmit_available(&self, queue: usize) -> u32 {
        let entries = self.transmit_ring_entries(queue);
        let tail = self.registers.get(offset::of_queue(offset::TDT, queue));
        let next = u32::from(self.transmit.queues[queue].next_fetch);
        if tail >= entries || next >= entries { 0 } else { (tail + entries - next) % entries }
    }

    pub(crate) fn transmit_fetched(&mut self, queue: usize, io: &mut Io<'_>) {
        self.transmit.queues[queue].fetching = false;
        if !self.may_transmit(queue) {
            return;
        }
        let entries = self.transmit_ring_entries(queue);
        let next = u32::from(self.transmit.queues[queue].next_fetch);
        let room = (CACHE_MAX - self.transmit.queues[queue].cache.len()) as u32;
        // One fetch does not wrap.
        let count = self.transmit_available(queue).min(room).min(entries.saturating_sub(next));
        if count == 0 {
            return;
        }
        if self.faults.strike(Happening::DescriptorFetch(queue as u16)).is_some() {
            self.transmit.queues[queue].is_stalled = true;
            return self.raise_cause(icr::DOUTSYNC);
        }
        let base = u64::from(self.registers.get(offset::of_queue(offset::TDBAH, queue))) << 32
            | u64::from(self.registers.get(offset::of_queue(offset::TDBAL, queue)));
        let address = base.wrapping_add(u64::from(next) * descriptor::BYTES);
        let mut bytes = vec![0; count as usize * 16];
        if io.memory.read(address, &mut bytes).is_err() {
            let text = format!("TDT({queue}): {count} descriptors at {address:#x} are not readable");
            return self.observe(Rule::DmaFault, text);
        }
        let state = &mut self.transmit.queues[queue];
        for (index, bytes) in (next..).zip(bytes.chunks_exact(16)) {
            state.cache.push_back(Descriptor::new(index as u16, bytes));
        }
        state.next_fetch = ((next + count) % entries) as u16;
        self.transmit_pump();
    }

    /// Asks for as much packet data as bus and packet buffer allow, and for the descriptors behind it.
    pub(crate) fn transmit_pump(&mut self) {
        if !self.is_bus_master() || !self.registers.has(offset::TCTL, tctl::EN) {
            return;
        }
        while self.transmit.in_flight.len() < IN_FLIGHT_MAX {
            let Some(queue) = self.queue_to_serve() else { break };
            if !self.issue_chunk(queue) {
                break;
            }
        }
        for queue in 0..QUEUES {
            self.plan_transmit_fetch(queue);
            self.note_unfinished(queue);
        }
        self.start_frame();
    }

    /// Packets are not interleaved; between packets the queues take turns.
    fn queue_to_serve(&mut self) -> Option<usize> {
        let served = self.transmit.served;
        if self.transmit.queues[served].inside_packet && self.is_transmit_queue_enabled(served) {
            return (!self.transmit.queues[served].cache.is_empty()).then_some(served);
        }
        let turn = (1..=QUEUES).map(|step| (served + step) % QUEUES);
        let queue = turn.into_iter().find(|&queue| !self.transmit.queues[queue].cache.is_empty())?;
        self.transmit.served = queue;
        Some(queue)
    }

    /// Puts the next request of a queue on the bus. False when the packet buffer has no room for it.
    fn issue_chunk(&mut self, queue: usize) -> bool {
        let Some(&descriptor) = self.transmit.queues[queue].cache.front() else { return false };
        let is_data = descriptor.kind() == Kind::Data;
        let issued = self.transmit.queues[queue].issued;
        let total = if is_data { descriptor.length() } else { 0 };
        let length = (total - issued).min(CHUNK_MAX);
        if length > 0 && !self.has_buffer_room(length) {
            return false;
        }
        let state = &mut self.transmit.queues[queue];
        if descriptor.kind() == Kind::Context {
            state.contexts[(descriptor.context_index() & 1) as usize] = Some(Context::new(&descriptor));
        }
        let begins = (is_data && !state.inside_packet)
            .then(|| Box::new(state.contexts[(descriptor.context_index() & 1) as usize]));
        let ends_descriptor = issued + length == total;
        state.issued = if ends_descriptor { 0 } else { issued + length };
        if ends_descriptor {
            state.cache.pop_front();
        }
        if is_data {
            state.inside_packet = !(ends_descriptor && descriptor.has(dcmd::EOP));
            state.unfinished_noted &= state.inside_packet;
        }
        let address = descriptor.address().wrapping_add(issued as u64);
        let chunk = Chunk { queue, descriptor, address, length, begins, ends_descriptor };
        self.transmit.in_flight_bytes += length;
        self.transmit.in_flight.push_back(chunk);
        let latency = if is_data { self.config.latency.data_fetch_ns } else { 1 };
        let on_bus = length as u64 * 8 * 1_000_000_000 / self.config.bus_bits_per_second;
        let at = self.after(latency).max(self.transmit.bus_free_at + on_bus);
        self.transmit.bus_free_at = at;
        self.agenda.plan(at, Event::TransmitData);
        true
    }

    /// A tail that stops in the middle of a packet leaves the transmitter waiting for the rest.
    fn note_unfinished(&mut self, queue: usize) {
        let state = &self.transmit.queues[queue];
        let stuck =
            state.inside_packet && !state.unfinished_noted && !state.fetching && state.cache.is_empty();
        if stuck && self.transmit_available(queue) == 0 {
            self.transmit.queues[queue].unfinished_noted = true;
            let tail = self.registers.get(offset::of_queue(offset::TDT, queue));
            let text =
                format!("TDT({queue}) = {tail}: the last packet before it has no EOP (section 7.2.2.3)");
            self.observe(Rule::PacketUnfinished, text);
        }
    }
}
