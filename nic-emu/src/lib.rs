//! An Intel 82576 gigabit controller, register by register, for drivers under test.
//!
//! The harness owns a [`Nic`] and four things happen to it: the driver reads and writes registers, the wire brings frames,
//! the cable is plugged or pulled, and time passes. A register write only records. Fetching descriptors, reading and
//! writing host memory, sending frames and interrupts happen in [`Nic::step`], in the order of time, each later than what
//! caused it. The same calls with the same seed give the same results.
//!
//! "Section" in the texts of this crate is the 82576 datasheet's; its numbers have not been checked against the document (see
//! README, "Sources"). What is modelled, partly modelled and not modelled is in this crate's README.
//!
//! # Use
//!
//! ```
//! # use nic_emu::{Config, DmaFault, HostMemory, Nic, Output};
//! # struct Ram;
//! # impl HostMemory for Ram {
//! #     fn read(&mut self, _: u64, _: &mut [u8]) -> Result<(), DmaFault> { Err(DmaFault) }
//! #     fn write(&mut self, _: u64, _: &[u8]) -> Result<(), DmaFault> { Err(DmaFault) }
//! # }
//! let mut nic = Nic::new(Config::new([2, 0, 0, 0, 0, 1], 0));
//! let mut out = Output::default();
//! while let Some(at) = nic.next_event() {
//!     nic.step(at, &mut Ram, &mut out);
//! }
//! assert_eq!(nic.read32(0x5400), 0x0000_0002); // RAL0: the address that the NVM holds
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod agenda;
mod config;
mod fault;
mod host;
mod interrupt;
mod link;
mod nic;
mod nvm;
mod observation;
mod pause;
mod phy;
mod port;
mod random;
mod receive;
mod registers;
mod reset;
mod statistics;
mod transmit;

pub use config::{Config, Latency, Partner};
pub use fault::{Fault, FaultCount, Which};
pub use host::{DmaFault, DropReason, Dropped, HostMemory, Msix, Output, Received, SentFrame};
pub use link::{LinkMode, Speed};
pub use nic::Nic;
pub use observation::{Observation, Rule};
pub use registers::{
    Access, BAR_BYTES, Register, register_access, register_name, register_offset, registers,
};
