//! The emulated NIC between a driver that does anything with registers, rings and memory, and a wire that does anything.
//!
//! It must not panic, must come to rest, must note each access that memory refused, and must not grow.

pub mod faults;
mod memory;
mod operations;

use super::features::Features;
use super::record::read_all;
use memory::Ram;
use nic_emu::{Nic, Output, Rule};
use std::fmt::Write as _;

pub use operations::KINDS;

/// Moments in which something happens, for one input: what is left then is not looked at.
const MOMENTS_MAX: u32 = 20_000;
/// Moments after a reset until nothing is planned any more: 4,096 frames may be on the cable.
const REST_MAX: u32 = 10_000;
/// The most characters that the NIC's state takes when it is printed: the frames of an input are most of it.
const PRINTED_MAX: usize = 8 << 20;
/// The most that it takes after a reset.
const RESTING_MAX: usize = 120_000;
/// The most bytes of frames that one input sends.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// Writes of storms in one input.
const STORMS_MAX: u32 = 1 << 18;
/// Observations that the NIC keeps until they are taken.
const KEPT: usize = 1024;
/// The longest frame that the MAC sends, without FCS, with two tags (`DTXMXPKTSZ`).
const SENT_MAX: usize = 9728 + 8;

/// The NIC, its memory, and what was seen.
struct Scene {
    nic: Nic,
    ram: Ram,
    out: Output,
    features: Features,
    moments: u32,
    frame_bytes: usize,
    /// Writes of storms that are left.
    storms: u32,
}

/// Does what an input says.
///
/// # Errors
/// What did not hold.
pub fn run(input: &[u8]) -> Result<Features, String> {
    let records = read_all(input);
    let nic = Nic::new(faults::config(&records));
    let mut scene = Scene {
        nic,
        ram: Ram::new(),
        out: Output::default(),
        features: Features::default(),
        moments: 0,
        frame_bytes: 0,
        storms: STORMS_MAX,
    };
    for record in &records {
        scene.does(*record)?;
        scene.look()?;
    }
    scene.comes_to_rest()?;
    Ok(scene.features)
}

impl Scene {
    /// Time passes, one moment after the other.
    fn pass(&mut self, time: u64) -> Result<(), String> {
        let until = self.nic.now().saturating_add(time);
        while let Some(at) = self.nic.next_event().filter(|at| *at <= until) {
            if self.moments >= MOMENTS_MAX {
                return Ok(());
            }
            self.moments += 1;
            self.moment(at)?;
        }
        self.moment(until)
    }

    fn moment(&mut self, at: u64) -> Result<(), String> {
        self.nic.step(at, &mut self.ram, &mut self.out);
        for frame in self.out.frames.drain(..) {
            if frame.bytes.len() > SENT_MAX {
                return Err(format!("a frame of {} bytes left", frame.bytes.len()));
            }
            self.features.note_amount("sent", frame.bytes.len() as u64);
        }
        for message in self.out.interrupts.drain(..) {
            self.features.note(format_args!("vector {}", message.vector));
        }
        for lost in self.out.dropped.drain(..) {
            self.features.note(format_args!("{:?}", lost.reason));
        }
        self.look()
    }

    /// Each access that was refused has to be noted.
    fn look(&mut self) -> Result<(), String> {
        let refused = std::mem::take(&mut self.ram.refused) as usize;
        let seen = self.nic.take_observations();
        let noted = seen.iter().filter(|seen| seen.kind == Rule::DmaFault).count();
        if noted < refused && seen.len() < KEPT {
            return Err(format!("{refused} accesses were refused, and {noted} of them noted: {seen:?}"));
        }
        for seen in seen {
            self.features.note(format_args!("{:?} {}", seen.kind, shape(&seen.text)));
        }
        Ok(())
    }

    /// How much the NIC holds, as it prints.
    fn size(&self) -> usize {
        struct Count(usize);
        impl std::fmt::Write for Count {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                self.0 += text.len();
                Ok(())
            }
        }
        let mut count = Count(0);
        // Counting never fails.
        let _ = write!(count, "{:?}", self.nic);
        count.0
    }

    fn check_size(&self) -> Result<(), String> {
        let size = self.size();
        if size > PRINTED_MAX { Err(format!("the NIC holds {size} characters")) } else { Ok(()) }
    }

    /// After a reset nothing is planned any more, soon; and what is held is what a NIC holds that did nothing.
    fn comes_to_rest(&mut self) -> Result<(), String> {
        for offset in (0x4000..0x4140).step_by(4) {
            self.features
                .note_amount(nic_emu::register_name(offset).unwrap_or("?"), self.nic.peek32(offset).into());
        }
        self.check_size()?;
        // While one reset is at work, another is not heard.
        self.pass(faults::RESET_MAX)?;
        self.nic.write32(0, 1 << 26);
        self.look()?;
        let mut moments = 0;
        while let Some(at) = self.nic.next_event() {
            moments += 1;
            if moments > REST_MAX {
                return Err(format!("something is planned for ever after a reset, at {at} ns now"));
            }
            self.moment(at)?;
        }
        self.moment(self.nic.now())?;
        let size = self.size();
        // A card that was pulled out keeps what it held.
        let removed = self.nic.read32(8) == u32::MAX;
        if size > RESTING_MAX && !removed {
            Err(format!("the NIC holds {size} characters at rest"))
        } else {
            Ok(())
        }
    }
}

/// A text without its numbers.
fn shape(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_hexdigit()).collect()
}
