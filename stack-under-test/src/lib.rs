//! A network stack and its igb driver, shaped like Linux's transmit path, and driven from outside.
//!
//! A byte that an application sends goes through the rooms in this order, and a completion comes back up through them:
//! [`socket`] → [`udp`] → [`ip`] → [`netfilter`] and [`route`] → [`neigh`] → [`netdev`] → [`drivers::igb`] → [`bus`].
//!
//! The stack does not run: time and randomness come in as arguments, frames and interrupts through [`bus`], and the next
//! deadline goes out. It has no thread, no clock and does no I/O, so the same code runs in virtual time in a test, on
//! bare metal under QEMU, and busy-polling on a real NIC.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod bus;
pub mod control;
pub mod dma;
pub mod drivers;
pub mod drop_reason;
pub mod entropy;
pub mod errno;
pub mod ip;
pub mod mib;
pub mod neigh;
pub mod netdev;
pub mod netfilter;
pub mod route;
pub mod skb;
pub mod socket;
pub mod stack;
pub mod sysctl;
pub mod tcp;
pub mod time;
pub mod trace;
pub mod udp;
pub mod wire;
