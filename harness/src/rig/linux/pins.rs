//! The pinned sysctls of `fixtures/sysctl.conf`: set in the namespace, and read back.

use crate::rig::RigError;
use std::io::ErrorKind;

/// The file, as sysctl.d(5) has it.
const PINNED: &str = include_str!("../../../../fixtures/sysctl.conf");

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its name, with dots.
    pub key: &'static str,
    /// What it must be; blanks count as one.
    pub value: &'static str,
    /// Whether it is the machine's, and no namespace can set it.
    pub of_the_machine: bool,
}

impl Pin {
    /// Its file below `/proc/sys`, in the namespace of whoever opens it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/sys/{}", self.key.replace('.', "/"))
    }

    /// Whether this text, as read from the kernel, is the pinned value.
    #[must_use]
    pub fn holds(&self, text: &str) -> bool {
        text.split_whitespace().eq(self.value.split_whitespace())
    }
}

/// All pins, in the order of the file.
pub fn all() -> impl Iterator<Item = Pin> {
    PINNED.lines().filter_map(|line| {
        let line = line.trim();
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        let key = key.trim();
        let name = key.strip_prefix('-');
        Some(Pin { key: name.unwrap_or(key), value: value.trim(), of_the_machine: name.is_some() })
    })
}

/// Sets all pins in the namespace of the calling thread and reads each back. Gives a note for each that this kernel does not
/// have.
///
/// # Errors
/// [`RigError::Missing`] for the first that does not stick: a verdict would be about another system.
pub fn apply() -> Result<Vec<String>, RigError> {
    let mut notes = Vec::new();
    for pin in all().filter(|pin| !pin.of_the_machine) {
        // Read first: most are already as they must be.
        let before = std::fs::read_to_string(pin.path());
        match before {
            Ok(text) if pin.holds(&text) => continue,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                notes.push(format!("{}: this kernel does not have it", pin.key));
                continue;
            }
            _ => {}
        }
        let written = std::fs::write(pin.path(), pin.value);
        let after = std::fs::read_to_string(pin.path()).unwrap_or_default();
        if !pin.holds(&after) {
            let why = written.err().map_or_else(String::new, |e| format!(" ({e})"));
            let is = after.trim();
            return Err(RigError::Missing(format!(
                "sysctl {} cannot be pinned to `{}`: it stays `{is}`{why}",
                pin.key, pin.value
            )));
        }
    }
    Ok(notes)
}

/// No IPv6 on devices that are made from now on: it would send by itself.
///
/// # Errors
/// [`RigError::Missing`] when the kernel has it, and does not let it be switched off.
pub fn ipv6_off() -> Result<(), RigError> {
    for of in ["all", "default"] {
        let path = format!("/proc/sys/net/ipv6/conf/{of}/disable_ipv6");
        match std::fs::write(&path, "1") {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(RigError::Missing(format!("{path}: {e}")));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_are_no_settings() {
        assert!(all().all(|pin| !pin.key.contains(['#', ' ']) && !pin.value.is_empty()));
        assert!(all().count() >= 42, "the keys that linux must pin");
    }

    #[test]
    fn a_key_behind_a_minus_is_the_machines() {
        let pin = all().find(|pin| pin.key == "net.core.rmem_max").expect("it is in the file");
        assert!(pin.of_the_machine);
        assert_eq!(pin.path(), "/proc/sys/net/core/rmem_max");
    }

    #[test]
    fn blanks_of_the_kernel_do_not_matter() {
        let pin = Pin { key: "k", value: "4096 131072 6291456", of_the_machine: false };
        assert!(pin.holds("4096\t131072\t6291456\n"));
        assert!(!pin.holds("4096\t131072\t33554432\n"));
    }
}
