//! A guest that goes wrong on purpose: so that tests see what the harness makes of it.

use super::console::Console;
use super::cpu;
use super::serial::say;
use guest::protocol::Wrong;

/// Goes wrong. It comes back only from saying too much.
pub fn go(wrong: Wrong, console: &mut Console) {
    match wrong {
        // This is the machine's.
        Wrong::Astray => {}
        Wrong::Panic => panic!("asked to panic"),
        Wrong::PageFault => {
            // SAFETY: page 0 is not mapped, and that is the point.
            unsafe { core::ptr::without_provenance_mut::<u8>(8).write_volatile(1) }
        }
        Wrong::TripleFault => cpu::triple_fault(),
        Wrong::Hang => loop {
            core::hint::spin_loop();
        },
        Wrong::Deaf => {
            cpu::take_no_nmi();
            hears_nothing()
        }
        Wrong::Recursion => {
            say!("{}", deeper(1));
        }
        Wrong::Flood => {
            for _ in 0..4096 {
                console.send(&[b'x'; 4096]);
            }
        }
    }
}

/// Has a name of its own, so that one can see whether it is told.
#[inline(never)]
fn hears_nothing() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Calls itself, and keeps something of each call.
#[expect(unconditional_recursion, reason = "it is to use up the stack")]
fn deeper(depth: u64) -> u64 {
    let kept = [core::hint::black_box(depth); 64];
    deeper(depth + 1) + core::hint::black_box(kept)[7]
}
