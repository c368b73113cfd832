//! The control channel: a virtio console (virtio 1.2, section 5.3), its first port, polled.

use super::cpu;
use super::pci::{self, Addresses, Device, Window};
use super::queue::{Queue, SIZE};
use alloc::vec::Vec;
use guest::packet::WINDOW;

const VENDOR: u16 = 0x1af4;
/// Modern: 0x1040 and the type, 3.
const DEVICE: u16 = 0x1043;
const BUFFER_BYTES: usize = 16 * 1024;
/// The interrupt that says that something came.
pub const INTERRUPT: u8 = 0x38;

// Of a capability: what it locates.
const COMMON: u32 = 1;
const NOTIFY: u32 = 2;

// Registers of the common configuration.
const DRIVER_FEATURE_SELECT: usize = 8;
const DRIVER_FEATURE: usize = 12;
const STATUS: usize = 20;
const QUEUE_SELECT: usize = 22;
const QUEUE_SIZE: usize = 24;
const QUEUE_VECTOR: usize = 26;
const QUEUE_ENABLE: usize = 28;
const QUEUE_NOTIFY: usize = 30;
const QUEUE_PARTS: [usize; 3] = [32, 40, 48];

// Of the status.
const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;

/// The console.
pub struct Console {
    receive: Queue,
    transmit: Queue,
    /// Where each queue is rung: receive, transmit.
    bells: [Window; 2],
    /// Bytes that came and were not taken yet.
    pending: Vec<u8>,
    /// The transmit buffer that is filled next.
    next: u16,
}

impl Console {
    /// The console of this machine. `None`: there is none, or it does not speak virtio 1.
    pub fn find(addresses: &mut Addresses) -> Option<Self> {
        let device = pci::find(VENDOR, DEVICE, addresses)?;
        let (common, _) = locate(&device, COMMON)?;
        let (notify, multiplier) = locate(&device, NOTIFY)?;
        common.write(STATUS, 0_u8);
        common.write(STATUS, ACKNOWLEDGE | DRIVER);
        // Nothing but VIRTIO_F_VERSION_1, which is bit 32.
        for (half, features) in [(0_u32, 0_u32), (1, 1)] {
            common.write(DRIVER_FEATURE_SELECT, half);
            common.write(DRIVER_FEATURE, features);
        }
        device.raise(INTERRUPT)?;
        common.write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        if common.read::<u8>(STATUS) & FEATURES_OK == 0 {
            return None;
        }
        let receive = Queue::new(BUFFER_BYTES, true);
        let transmit = Queue::new(BUFFER_BYTES, false);
        let bells = [&receive, &transmit].map(|queue| (queue.parts(), queue));
        let mut rung = [notify; 2];
        for (index, (parts, _)) in bells.iter().enumerate() {
            common.write(QUEUE_SELECT, index as u16);
            common.write(QUEUE_SIZE, SIZE);
            for (register, part) in QUEUE_PARTS.into_iter().zip(parts) {
                common.write(register, *part as u32);
                common.write(register + 4, (*part >> 32) as u32);
            }
            if index == 0 {
                common.write(QUEUE_VECTOR, 0_u16);
            }
            let offset = common.read::<u16>(QUEUE_NOTIFY);
            rung[index] = notify.from(usize::from(offset) * multiplier as usize);
            common.write(QUEUE_ENABLE, 1_u16);
        }
        common.write(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        let mut console = Self { receive, transmit, bells: rung, pending: Vec::new(), next: 0 };
        for buffer in 0..SIZE {
            console.receive.offer_to_write(buffer);
        }
        console.bells[0].write(0, 0_u16);
        Some(console)
    }

    /// Sends a message, in windows: the harness opens each but the first.
    pub fn send_message(&mut self, bytes: &[u8]) {
        for (index, window) in bytes.chunks(WINDOW).enumerate() {
            while index > 0 && self.received().is_empty() {
                cpu::wait_unless(|| self.has_received());
            }
            if index > 0 {
                self.pending.remove(0);
            }
            self.send(window);
        }
    }

    /// Sends all of the bytes, as fast as QEMU takes them. What the socket behind it has no room for is lost.
    pub fn send(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(self.transmit.buffer_bytes()) {
            while self.transmit.outstanding() == SIZE {
                if self.transmit.next_used().is_none() {
                    core::hint::spin_loop();
                }
            }
            self.transmit.offer_to_read(self.next, chunk);
            self.next = (self.next + 1) % SIZE;
            self.bells[1].write(0, 1_u16);
        }
        while self.transmit.next_used().is_some() {}
    }

    /// Whether bytes came that were not taken.
    pub fn has_received(&self) -> bool {
        self.receive.has_used()
    }

    /// Gives memory back that no bytes are in.
    pub fn forget(&mut self) {
        self.pending.shrink_to_fit();
    }

    /// All bytes that came and were not taken, from the oldest on. Some may be taken from the front.
    pub fn received(&mut self) -> &mut Vec<u8> {
        while let Some((buffer, bytes)) = self.receive.next_used() {
            self.pending.extend_from_slice(&self.receive.buffer(buffer)[..bytes]);
            self.receive.offer_to_write(buffer);
            self.bells[0].write(0, 0_u16);
        }
        &mut self.pending
    }
}

/// The registers that a capability of this kind locates, and the word behind it (of [`NOTIFY`]: how far two queues are apart).
fn locate(device: &Device, kind: u32) -> Option<(Window, u32)> {
    device.vendor_capabilities().find_map(|at| {
        if device.config(at) >> 24 != kind {
            return None;
        }
        let bar = device.config(at + 4) & 0xff;
        let window = device.window(u8::try_from(bar).ok()?)?;
        Some((window.from(device.config(at + 8) as usize), device.config(at + 16)))
    })
}
