//! The bare-metal guest: boots our stack and igb driver under QEMU, and does there what the harness asks for.
//!
//! This library is what of it can be tested on the host; `main.rs` is the image, built with `--profile guest --features image`.
#![no_std]

extern crate alloc;

pub mod agent;
pub mod call;
pub mod command;
pub mod packet;
pub mod protocol;
pub mod readings;
pub mod server;
pub mod told;
