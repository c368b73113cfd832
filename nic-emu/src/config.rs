//! What a board designer and a machine decide about a NIC: address, speeds, delays, and planned misbehaviour.

use alloc::vec::Vec;

use crate::fault::Fault;

/// How long the NIC's own steps take, in nanoseconds. A value of 0 is taken as 1: nothing happens at the time of its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// From a doorbell to the descriptors being on the chip.
    pub descriptor_fetch_ns: u64,
    /// From the request for packet data to its arrival, besides the time that the bytes take on the bus.
    pub data_fetch_ns: u64,
    /// From the end of a packet's DMA to the descriptor's write-back being visible in memory.
    pub write_back_ns: u64,
    /// From the decision to interrupt to the message's arrival at the CPU.
    pub msix_ns: u64,
    /// Up to this much per cent is added to each of the above, drawn from the seed.
    pub jitter_percent: u8,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            descriptor_fetch_ns: 500,
            data_fetch_ns: 500,
            write_back_ns: 200,
            msix_ns: 300,
            jitter_percent: 20,
        }
    }
}

/// What the other end of the cable can do, as it says in autonegotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partner {
    /// 1000 Mbit/s, full duplex.
    pub gigabit: bool,
    /// Of bits 0 to 3: 10 Mbit/s half duplex, 10 full, 100 half, 100 full.
    pub modes: u16,
    /// It obeys and sends pause frames.
    pub pause: bool,
    /// It would do so in one direction.
    pub asymmetric_pause: bool,
}

impl Default for Partner {
    /// A usual gigabit port: all modes, and pause either way.
    fn default() -> Self {
        Self { gigabit: true, modes: 0xF, pause: true, asymmetric_pause: true }
    }
}

/// All that is settled when the NIC is put into the machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address in words 0 to 2 of the NVM, first byte on the wire first.
    pub mac: [u8; 6],
    /// Decides the order of independent things that are due at the same time, and the jitter.
    pub seed: u64,
    /// Rate of the cable with a link of 1000 Mbit/s; slower links are slower in proportion.
    pub wire_bits_per_second: u64,
    /// Rate at which the host bus moves packet data.
    pub bus_bits_per_second: u64,
    /// Delays of DMA and interrupts.
    pub latency: Latency,
    /// How long autonegotiation takes, in nanoseconds. On a real cable 1 to 3 s.
    pub autoneg_ns: u64,
    /// How long `CTRL.RST` takes, in nanoseconds; 0 is over at once.
    pub reset_ns: u64,
    /// From the end of reset to `EECD.AUTO_RD` and the station address in `RAL0`, in nanoseconds; 0 is at once.
    pub nvm_load_ns: u64,
    /// How long an `EERD` or `MDIC` access takes, in nanoseconds; 0 is at once.
    pub serial_ns: u64,
    /// Entries of the MSI-X table, 1 to 25.
    pub msix_vectors: u8,
    /// The other end of the cable.
    pub partner: Partner,
    /// Misbehaviour that a case asks for.
    pub faults: Vec<Fault>,
}

impl Config {
    /// A NIC with this station address on a 1 Gbit/s cable, with the delays of a usual one.
    #[must_use]
    pub fn new(mac: [u8; 6], seed: u64) -> Self {
        Self {
            mac,
            seed,
            wire_bits_per_second: 1_000_000_000,
            bus_bits_per_second: 8_000_000_000,
            latency: Latency::default(),
            autoneg_ns: 1_500_000_000,
            reset_ns: 1_000_000,
            nvm_load_ns: 2_000_000,
            serial_ns: 20_000,
            msix_vectors: 10,
            partner: Partner::default(),
            faults: Vec::new(),
        }
    }

    /// The same with every value in the range that the model can hold.
    pub(crate) fn bounded(mut self) -> Self {
        self.partner.modes &= 0xF;
        self.msix_vectors = self.msix_vectors.clamp(1, 25);
        self.wire_bits_per_second = self.wire_bits_per_second.max(1);
        self.bus_bits_per_second = self.bus_bits_per_second.max(1);
        for delay in [
            &mut self.latency.descriptor_fetch_ns,
            &mut self.latency.data_fetch_ns,
            &mut self.latency.write_back_ns,
            &mut self.latency.msix_ns,
        ] {
            *delay = (*delay).max(1);
        }
        self
    }
}
