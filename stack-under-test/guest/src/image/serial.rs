//! COM1: what the guest has to say when the control channel may be dead. It is written and never read.

use core::fmt::{self, Write};
use x86_64::instructions::port::Port;

const DATA: u16 = 0x3f8;
const LINE_STATUS: u16 = DATA + 5;
/// Of the line status: the transmitter takes another byte.
const EMPTY: u8 = 1 << 5;

/// 115,200 baud, eight bits, no interrupts. QEMU does not care; a serial line would.
pub fn initialise() {
    for (register, value) in [(1, 0), (3, 0x80), (0, 1), (1, 0), (3, 0x03), (2, 0xc7)] {
        // SAFETY: the registers of an UART, which is there or ignores it.
        unsafe { Port::new(DATA + register).write(value as u8) }
    }
}

/// The line.
pub struct Serial;

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: as above. The wait is bounded: a line that never empties loses bytes.
            unsafe {
                let mut status = Port::<u8>::new(LINE_STATUS);
                let mut patience = 100_000;
                while status.read() & EMPTY == 0 && patience > 0 {
                    patience -= 1;
                }
                Port::new(DATA).write(byte);
            }
        }
        Ok(())
    }
}

/// Writes a line.
macro_rules! say {
    ($($argument:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::image::serial::Serial, $($argument)*);
    }};
}
pub(super) use say;
