//! All that a driver may ask of the machine: registers, and memory lent to the device and taken back.
//!
//! Interrupts come the other way, as calls of `Stack::interrupt`. The rig implements [`Bus`]: over the emulator in this
//! process, over QEMU's test socket, on bare metal, or through VFIO.

/// Who writes into memory that is lent to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device only reads: a frame to be sent.
    ToDevice,
    /// The device only writes: a buffer for received frames.
    FromDevice,
    /// Both: a descriptor ring.
    Bidirectional,
}

/// The machine as the driver sees it. A lost device reads all ones and ignores writes.
pub trait Bus {
    /// Reads the 32-bit register at `offset` in BAR 0.
    fn read32(&mut self, offset: u32) -> u32;

    /// Writes the 32-bit register at `offset` in BAR 0. All earlier writes to DMA memory are visible to the device before it.
    fn write32(&mut self, offset: u32, value: u32);

    /// Whether the device reaches the whole region from the start (Linux's dma-direct): no IOMMU stands between, or one
    /// mapping covers it all, and nobody has to be told what is lent. Packets are not mapped and unmapped then; descriptor
    /// rings are. Asked when rings are made.
    fn dma_direct(&self) -> bool {
        false
    }

    /// Lends `len` bytes at the bus address `addr` to the device, until [`Bus::dma_unmap`]. The same bytes may be lent more
    /// than once (two fragments that refer to one buffer).
    fn dma_map(&mut self, addr: u64, len: u32, direction: Direction);

    /// Takes back what one [`Bus::dma_map`] with the same `addr` and `len` lent.
    fn dma_unmap(&mut self, addr: u64, len: u32);
}
