//! What a guest that died has said on its serial line, as a person reads it: what it was, registers, and who called whom.

use addr2line::Loader;
use object::{Object as _, ObjectSection as _};
use std::fmt::Write as _;
use std::path::Path;

/// How many calls are told.
const CALLS_MAX: usize = 24;

/// Registers, and how QEMU's monitor calls them.
const NAMED_BY_QEMU: [(&str, &str); 18] = [
    ("rip", "RIP"),
    ("rsp", "RSP"),
    ("rflags", "RFL"),
    ("rbp", "RBP"),
    ("rax", "RAX"),
    ("rbx", "RBX"),
    ("rcx", "RCX"),
    ("rdx", "RDX"),
    ("rsi", "RSI"),
    ("rdi", "RDI"),
    ("r8", "R8"),
    ("r9", "R9"),
    ("r10", "R10"),
    ("r11", "R11"),
    ("r12", "R12"),
    ("r13", "R13"),
    ("r14", "R14"),
    ("r15", "R15"),
];

/// The report of a guest that died, as it stands on the serial line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crash {
    /// What it was, in one line.
    pub what: String,
    /// Registers by name.
    pub registers: Vec<(String, u64)>,
    /// Words of the stack from its pointer up.
    pub stack: Vec<u64>,
    /// Whether the guest came to the end of its report.
    pub is_whole: bool,
}

impl Crash {
    /// Finds the report in all that was said on the line. `None`: the guest reported nothing.
    #[must_use]
    pub fn find(said: &str) -> Option<Self> {
        let mut lines = said.lines().skip_while(|line| told(line).is_none());
        let mut crash = Self { what: told(lines.next()?)?, ..Self::default() };
        for line in lines {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("register"), Some(name), Some(value)) => {
                    crash.registers.extend(hex(value).map(|value| (name.to_owned(), value)));
                }
                (Some("stack"), Some(_), Some(word)) => crash.stack.extend(hex(word)),
                (Some("end"), None, None) => {
                    crash.is_whole = true;
                    break;
                }
                // The lines of a message that has several.
                (Some(_), ..) if crash.registers.is_empty() => {
                    let _ = write!(crash.what, " {line}");
                }
                _ => {}
            }
        }
        Some(crash)
    }

    /// The same of a guest that did not go wrong by itself, but does not answer; `how` it came to be told.
    #[must_use]
    pub fn of_a_hang(mut self, how: &str) -> Self {
        self.what = format!("the guest does not answer, and is here ({how}):");
        self
    }

    /// What QEMU's monitor says of a CPU: to `info registers`, and to `x /512gx` of its stack.
    #[must_use]
    pub fn of_the_monitor(registers: &str, stack: &str) -> Self {
        let named = NAMED_BY_QEMU.into_iter();
        let registers =
            named.filter_map(|(name, of_qemu)| Some((name.to_owned(), Self::register(registers, of_qemu)?)));
        let words = stack
            .lines()
            .filter_map(|line| Some(line.trim().split_once(": ")?.1))
            .flat_map(|words| words.split_whitespace().filter_map(hex));
        Self { what: String::new(), registers: registers.collect(), stack: words.collect(), is_whole: true }
    }

    /// A register in what QEMU's monitor says to `info registers`: `RIP=000000000010a0f3`, `R8 =0000000000000000`.
    #[must_use]
    pub fn register(said: &str, name: &str) -> Option<u64> {
        let mut found = said.match_indices(name).filter_map(|(at, _)| {
            let value = said[at + name.len()..].trim_start_matches(' ').strip_prefix('=')?;
            let digits = value.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(value.len());
            u64::from_str_radix(&value[..digits], 16).ok()
        });
        found.next()
    }

    /// The report with the names of the functions, as the image knows them.
    #[must_use]
    pub fn explained(&self, image: &Path) -> String {
        let mut text = self.what.clone();
        for (index, (name, value)) in self.registers.iter().enumerate() {
            let _ = write!(text, "{}{name:>6} {value:#018x}", if index % 4 == 0 { "\n " } else { "  " });
        }
        match calls(self, image) {
            Ok(calls) => {
                for call in calls {
                    let _ = write!(text, "\n  {call}");
                }
            }
            Err(why) => {
                let _ = write!(text, "\n  (no names: {why})");
            }
        }
        if !self.is_whole {
            text.push_str("\n  (the report breaks off here)");
        }
        text
    }
}

/// What the guest adds where a CPU was sent an NMI because it hangs.
const ASKED: &str = ", sent because it did not end what it was told to do";

/// What a line says that begins a report.
fn told(line: &str) -> Option<String> {
    let rest = line.strip_prefix("wireproof-guest ")?;
    if let Some(panic) = rest.strip_prefix("panic ") {
        return Some(format!("the guest panicked: {}", panic.strip_prefix("panicked at ").unwrap_or(panic)));
    }
    let rest = rest.strip_prefix("exception ")?;
    let (vector, details) = rest.split_once(' ').unwrap_or((rest, ""));
    if let Some((_, cpu)) = details.strip_suffix(ASKED).and_then(|rest| rest.split_once('(')) {
        let cpu = cpu.trim_end_matches(')').trim_start_matches("on ");
        return Some(format!(
            "{cpu} of the guest does not end what it was told to do, and is here (an NMI had it tell)"
        ));
    }
    let name = match vector {
        "0" => "divide error (#DE)",
        "2" => "non-maskable interrupt (NMI)",
        "3" => "breakpoint (#BP)",
        "6" => "invalid opcode (#UD)",
        "8" => "double fault (#DF): the stack may have overflown",
        "12" => "stack fault (#SS)",
        "13" => "general protection (#GP)",
        "14" => "page fault (#PF)",
        "16" | "19" => "floating-point error",
        other => return Some(format!("the guest took exception {other}: {details}")),
    };
    Some(format!("the guest took exception {vector}, {name}: {details}"))
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// The function that was running, and those that the stack's return addresses lead to.
fn calls(crash: &Crash, image: &Path) -> Result<Vec<String>, String> {
    let bytes = std::fs::read(image).map_err(|error| error.to_string())?;
    let file = object::File::parse(&*bytes).map_err(|error| error.to_string())?;
    let text = file.section_by_name(".text").ok_or("the image has no code")?;
    let code = text.data().map_err(|error| error.to_string())?;
    let loader = Loader::new(image).map_err(|error| error.to_string())?;
    let running = crash.registers.iter().find(|(name, _)| name == "rip").map(|&(_, rip)| rip);
    let returns = crash.stack.iter().filter(|&&word| follows_a_call(code, word.wrapping_sub(text.address())));
    // The call lies before the address to which it returns.
    let addresses = running.into_iter().chain(returns.map(|address| address - 1));
    Ok(addresses.flat_map(|address| named(&loader, address)).take(CALLS_MAX).collect())
}

/// Whether the instruction before this offset of the code is a call: then a word of the stack that points here may be the address
/// that it returns to.
fn follows_a_call(code: &[u8], offset: u64) -> bool {
    let Ok(end) = usize::try_from(offset) else { return false };
    let Some(before) = code.get(..end).filter(|_| end < code.len()) else { return false };
    let at = |back: usize| before.len().checked_sub(back).and_then(|from| before.get(from)).copied();
    // E8 with four bytes, or FF /2 with a register, a short or a long displacement.
    let indirect =
        |back: usize| at(back) == Some(0xff) && at(back - 1).is_some_and(|modrm| modrm >> 3 & 7 == 2);
    at(5) == Some(0xe8) || indirect(2) || indirect(3) || indirect(4) || indirect(6) || indirect(7)
}

/// The function at an address, and before it those that were inlined there, from the innermost on.
fn named(loader: &Loader, address: u64) -> Vec<String> {
    let mut found: Vec<(Option<String>, String)> = Vec::new();
    let mut frames = loader.find_frames(address).ok();
    while let Some(frame) = frames.as_mut().and_then(|frames| frames.next().ok().flatten()) {
        let name = frame.function.as_ref().and_then(|function| function.demangle().ok().map(String::from));
        let place = frame.location.and_then(|place| Some(format!(" ({}:{})", place.file?, place.line?)));
        found.push((name, place.unwrap_or_default()));
    }
    if found.is_empty() {
        found.push((None, String::new()));
    }
    // The outermost is the one that has a symbol, with its modules.
    let symbol =
        loader.find_symbol(address).map(|name| addr2line::demangle_auto(name.into(), None).into_owned());
    if let (Some(outermost), Some(symbol)) = (found.last_mut(), symbol) {
        outermost.0 = Some(symbol);
    }
    let told = |(name, place): (Option<String>, String)| {
        format!("{address:#x} {}{place}", name.as_deref().unwrap_or("?"))
    };
    found.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_report_is_found_among_other_lines() {
        let said = "hello\nwireproof-guest exception 14 error 0x2 cr2 0x10\nregister rip 0x103cc9\nregister rax 0x1\n\
                    stack 0x1aafd8 0x1017c6\nstack 0x1aafe0 0x8\nend\nlater";
        let crash = Crash::find(said).expect("there is one");
        assert_eq!(crash.what, "the guest took exception 14, page fault (#PF): error 0x2 cr2 0x10");
        assert_eq!(crash.registers, [("rip".to_owned(), 0x10_3cc9), ("rax".to_owned(), 1)]);
        assert_eq!(crash.stack, [0x10_17c6, 8]);
        assert!(crash.is_whole);
    }

    #[test]
    fn a_panic_of_two_lines_is_one_sentence() {
        let crash =
            Crash::find("wireproof-guest panic panicked at src/a.rs:3:5:\nno memory\nregister rip 0x1\n")
                .unwrap();
        assert_eq!(crash.what, "the guest panicked: src/a.rs:3:5: no memory");
        assert!(!crash.is_whole);
    }

    #[test]
    fn what_the_monitor_says_of_a_cpu_is_a_report_too() {
        let registers = "info registers\r\n\r\nCPU#0\r\nRAX=0000000000000001 RBX=0000000000000002\r\n\
                         R8 =00000000000000ff R9 =0000000000000000\r\nRIP=0000000000103cc9 RFL=00000202 [-------] CPL=0\r\n";
        let stack = "x /512gx 0x1aafd8\r\n00000000001aafd8: 0x00000000001017c6 0x0000000000000008\r\n";
        let crash = Crash::of_the_monitor(registers, stack);
        let of = |name: &str| crash.registers.iter().find(|(of, _)| of == name).map(|(_, value)| *value);
        assert_eq!(
            (of("rip"), of("rax"), of("r8"), of("rflags")),
            (Some(0x10_3cc9), Some(1), Some(0xff), Some(0x202))
        );
        assert_eq!(crash.stack, [0x10_17c6, 8]);
    }

    #[rstest]
    #[case::nothing("")]
    #[case::lines_of_qemu("qemu-system-x86_64: terminating on signal 15\n")]
    fn who_reported_nothing_did_not_crash(#[case] said: &str) {
        assert_eq!(Crash::find(said), None);
    }

    #[rstest]
    #[case::direct(&[0x90, 0xe8, 1, 2, 3, 4, 0x90], 6, true)]
    #[case::through_a_register(&[0x90, 0x90, 0x90, 0x90, 0xff, 0xd0, 0x90], 6, true)]
    #[case::a_jump_through_a_register(&[0x90, 0x90, 0x90, 0x90, 0xff, 0xe0, 0x90], 6, false)]
    #[case::before_the_code(&[0xe8, 1, 2], 1, false)]
    #[case::behind_the_code(&[0xe8, 1, 2, 3, 4], 5, false)]
    fn a_return_address_follows_a_call(#[case] code: &[u8], #[case] offset: u64, #[case] follows: bool) {
        assert_eq!(follows_a_call(code, offset), follows);
    }
}
