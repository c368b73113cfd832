//! A split virtqueue (virtio 1.2, section 2.7), one descriptor a buffer.

use alloc::boxed::Box;
use alloc::vec;
use core::ptr::{read_volatile, write_volatile};
use core::sync::atomic::{Ordering, fence};

/// Descriptors of a queue.
pub const SIZE: u16 = 16;
/// Of a descriptor: the device writes.
const WRITE: u16 = 2;
/// Of the available ring: no interrupts, please.
const NO_INTERRUPT: u16 = 1;

#[repr(C, align(16))]
#[derive(Clone, Copy, Default)]
struct Descriptor {
    address: u64,
    bytes: u32,
    flags: u16,
    next: u16,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Used {
    id: u32,
    bytes: u32,
}

/// What driver and device share.
#[repr(C, align(4096))]
struct Shared {
    descriptors: [Descriptor; SIZE as usize],
    available_flags: u16,
    available_index: u16,
    available: [u16; SIZE as usize],
    used_event: u16,
    /// The used ring begins at a multiple of 4.
    padding: u16,
    used_flags: u16,
    used_index: u16,
    used: [Used; SIZE as usize],
    available_event: u16,
}

/// A queue whose buffers all have one size.
pub struct Queue {
    shared: Box<Shared>,
    buffers: Box<[u8]>,
    buffer_bytes: usize,
    /// How many buffers were handed to the device.
    offered: u16,
    /// How many came back.
    seen: u16,
}

impl Queue {
    /// A queue with [`SIZE`] buffers of this many bytes; the device interrupts when it is done with one, or not.
    pub fn new(buffer_bytes: usize, interrupts: bool) -> Self {
        let shared = Box::new(Shared {
            descriptors: [Descriptor::default(); SIZE as usize],
            available_flags: if interrupts { 0 } else { NO_INTERRUPT },
            available_index: 0,
            available: [0; SIZE as usize],
            used_event: 0,
            padding: 0,
            used_flags: 0,
            used_index: 0,
            used: [Used::default(); SIZE as usize],
            available_event: 0,
        });
        let buffers = vec![0; buffer_bytes * usize::from(SIZE)].into_boxed_slice();
        Self { shared, buffers, buffer_bytes, offered: 0, seen: 0 }
    }

    /// Where the device finds its three parts: descriptors, the available and the used ring.
    pub fn parts(&self) -> [u64; 3] {
        let shared = &*self.shared;
        [
            core::ptr::from_ref(&shared.descriptors) as u64,
            core::ptr::from_ref(&shared.available_flags) as u64,
            core::ptr::from_ref(&shared.used_flags) as u64,
        ]
    }

    /// How many bytes a buffer has.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// How many buffers the device has.
    pub fn outstanding(&self) -> u16 {
        self.offered.wrapping_sub(self.seen)
    }

    /// Hands the device a buffer to write to.
    pub fn offer_to_write(&mut self, buffer: u16) {
        self.offer(buffer, self.buffer_bytes, WRITE);
    }

    /// Hands the device these bytes to read, in the buffer.
    ///
    /// # Panics
    /// If they are more than a buffer holds.
    pub fn offer_to_read(&mut self, buffer: u16, bytes: &[u8]) {
        let at = usize::from(buffer) * self.buffer_bytes;
        self.buffers[at..at + bytes.len()].copy_from_slice(bytes);
        self.offer(buffer, bytes.len(), 0);
    }

    fn offer(&mut self, buffer: u16, bytes: usize, flags: u16) {
        let address = self.buffers.as_ptr() as u64 + (usize::from(buffer) * self.buffer_bytes) as u64;
        let shared = &mut *self.shared;
        shared.descriptors[usize::from(buffer)] = Descriptor { address, bytes: bytes as u32, flags, next: 0 };
        shared.available[usize::from(self.offered % SIZE)] = buffer;
        self.offered = self.offered.wrapping_add(1);
        fence(Ordering::SeqCst);
        // SAFETY: a word of our own, which the device reads.
        unsafe { write_volatile(&raw mut shared.available_index, self.offered) }
        fence(Ordering::SeqCst);
    }

    /// Whether the device is done with a buffer that was not taken.
    pub fn has_used(&self) -> bool {
        // SAFETY: a word that the device writes.
        unsafe { read_volatile(&raw const self.shared.used_index) != self.seen }
    }

    /// The next buffer that the device is done with, and how many bytes it wrote.
    pub fn next_used(&mut self) -> Option<(u16, usize)> {
        if !self.has_used() {
            return None;
        }
        let shared = &mut *self.shared;
        fence(Ordering::SeqCst);
        // SAFETY: the device wrote it before it stepped the index.
        let used = unsafe { read_volatile(&raw const shared.used[usize::from(self.seen % SIZE)]) };
        self.seen = self.seen.wrapping_add(1);
        // A device that lies is not followed.
        let buffer = u16::try_from(used.id).unwrap_or(u16::MAX) % SIZE;
        Some((buffer, (used.bytes as usize).min(self.buffer_bytes)))
    }

    /// The bytes of a buffer.
    pub fn buffer(&self, buffer: u16) -> &[u8] {
        let at = usize::from(buffer) * self.buffer_bytes;
        &self.buffers[at..at + self.buffer_bytes]
    }
}
