//! Whether a QEMU answers nobody because it stands still itself: the kernel knows, from the state of its process (proc(5)).

use std::fs;

/// Says so if a process of the group was stopped, by SIGSTOP or by who traces it. `None`: all run, or wait for something.
#[must_use]
pub fn in_group(group: u32) -> Option<String> {
    let numbers = fs::read_dir("/proc").ok()?.flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let stopped = |number: &u32| {
        let status = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        is_stopped(&status, group)
    };
    let number = { numbers }.find(stopped)?;
    Some(format!(
        "QEMU itself stands still, and not the guest: its process {number} was stopped (SIGSTOP, a terminal, a debugger)"
    ))
}

/// `1234 (a name) T 1 1234 …`: number, name, state, parent, group.
fn is_stopped(status: &str, group: u32) -> bool {
    // A name may hold brackets and spaces.
    let Some((_, rest)) = status.rsplit_once(") ") else { return false };
    let mut words = rest.split(' ');
    let is_state = words.next().is_some_and(|state| matches!(state, "T" | "t"));
    is_state && words.nth(1).and_then(|word| word.parse().ok()) == Some(group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::stopped("7 (qemu) T 1 7 7 0", true)]
    #[case::traced("7 (qemu) t 1 7 7 0", true)]
    #[case::waiting("7 (qemu) S 1 7 7 0", false)]
    #[case::of_another_group("7 (qemu) T 1 8 7 0", false)]
    #[case::a_name_with_brackets("7 (a) T 1 7) S 1 7 7 0", false)]
    #[case::nothing("", false)]
    fn a_process_is_stopped_by_its_state(#[case] status: &str, #[case] stopped: bool) {
        assert_eq!(is_stopped(status, 7), stopped);
    }

    #[test]
    fn this_process_runs() {
        assert_eq!(in_group(std::process::id()), None);
    }
}
