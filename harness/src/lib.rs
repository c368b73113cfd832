//! wireproof: runs conformance cases against a network stack and its NIC driver, and judges them on the wire.
//!
//! ```text
//! YAML → case → run ─ calls ──→ rig (emulator in process | Linux kernel)
//!                └─── frames ─→ rig → capture → judge → report
//! ```
//!
//! The harness builds, decodes and judges frames with pnet, never with the packet code of the stack under test.

pub mod capture;
pub mod case;
pub mod cli;
pub mod compare;
pub mod frame;
pub mod fuzz;
pub mod judge;
pub mod report;
pub mod rig;
pub mod run;
pub mod simulate;
