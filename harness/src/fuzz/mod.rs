//! Fuzzing: any use of the emulated NIC, and any device under the driver. An input is bytes, so it can be kept, changed and
//! made smaller; a seed chooses some, and changes them for as long as that shows something new.
//!
//! ```text
//! seed → mutate ─ bytes ─→ record → emulator: Nic, between a wild driver and a wild wire
//!           ↑                    └→ driver:   Stack, over a device that lies
//!           └── features (what was seen for the first time) ←──┘
//! ```

pub mod campaign;
pub mod corpus;
pub mod driver;
pub mod emulator;
pub mod features;
pub mod frames;
pub mod mutate;
pub mod record;

use clap::ValueEnum;
use features::Features;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The emulated NIC: any register access, any descriptor, any frame
    Emulator,
    /// The stack's igb driver: a device that does anything
    Driver,
}

impl Target {
    /// Its name on the command line, and of its corpus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Emulator => "emulator",
            Self::Driver => "driver",
        }
    }

    /// Kinds of operations that its inputs have.
    #[must_use]
    pub const fn kinds(self) -> u8 {
        match self {
            Self::Emulator => emulator::KINDS,
            Self::Driver => driver::KINDS,
        }
    }

    /// Does what an input says. A panic is a failure too.
    ///
    /// # Errors
    /// What did not hold.
    pub fn run(self, input: &[u8]) -> Result<Features, String> {
        let run = || match self {
            Self::Emulator => emulator::run(input),
            Self::Driver => driver::run(input),
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no text)");
            Err(format!("panic: {text}"))
        })
    }
}
