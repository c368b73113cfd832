//! The CPUs that a trial asks for: the stack's, and those of a machine that has only as many as the stack works on.

use crate::case::model::{Action, Command, Trial};
use stack_under_test::stack::Config;

/// The most that the case language can name.
const MAX: u8 = 64;

/// CPUs of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// As many as the stack has: those of the topology, or more where a call is made on a higher one.
    pub of_the_stack: u8,
    /// As many as the machine needs: on the others nothing happens.
    pub at_work: u8,
}

impl Default for Cpus {
    /// The topology of `design.md`, and all on its first CPU.
    fn default() -> Self {
        Self { of_the_stack: Config::default().cpus, at_work: 1 }
    }
}

impl Cpus {
    /// Those that a trial asks for: by the CPU that makes a call, and by queue pairs, whose vectors are spread over all CPUs.
    #[must_use]
    pub fn of(trial: &Trial) -> Self {
        let calls = trial.steps.iter().filter_map(|step| match &step.action {
            Action::Call(call) => call.cpu,
            _ => None,
        });
        let callers = calls.max().map_or(1, |cpu| u8::try_from(cpu + 1).unwrap_or(MAX).min(MAX));
        let of_the_stack = Self::default().of_the_stack.max(callers);
        let commands = trial.steps.iter().filter_map(|step| match &step.action {
            Action::Run(commands) => Some(commands),
            _ => None,
        });
        let pairs = commands.flatten().filter_map(queue_pairs).max().unwrap_or(1);
        let interrupted = u8::try_from(pairs).unwrap_or(MAX).min(of_the_stack);
        Self { of_the_stack, at_work: callers.max(interrupted).max(1) }
    }
}

/// The queue pairs that a command asks for: `ethtool -L eth0 combined 4`.
fn queue_pairs(command: &Command) -> Option<u32> {
    let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
    let ["ethtool", "-L" | "--set-channels", _, channels @ ..] = words.as_slice() else { return None };
    let numbers = channels.chunks_exact(2).filter(|pair| pair[0] == "combined");
    numbers.filter_map(|pair| pair[1].parse().ok()).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const CALL: &str = "{socket: s, to: \"${peer.ip}:7\", payload: \"x\", cpu";

    #[rstest]
    #[case::that_names_none("  - run: \"ethtool -l eth0\"".into(), (4, 1))]
    #[case::on_the_first(format!("  - sendto: {CALL}: 0}}"), (4, 1))]
    #[case::on_the_third(format!("  - sendto: {CALL}: 2}}\n  - sendto: {CALL}: 1}}"), (4, 3))]
    #[case::beyond_the_topology(format!("  - sendto: {CALL}: 7}}"), (8, 8))]
    #[case::on_the_last(format!("  - sendto: {CALL}: 63}}"), (64, 64))]
    #[case::with_two_vectors("  - run: [\"ethtool -L eth0 combined 2\", \"ethtool -L eth0 combined 1\"]".into(), (4, 2))]
    #[case::with_more_vectors_than_cpus("  - run: \"ethtool -L eth0 combined 8\"".into(), (4, 4))]
    #[case::with_vectors_for_all(format!("  - run: \"ethtool -L eth0 combined 8\"\n  - sendto: {CALL}: 5}}"), (6, 6))]
    fn a_trial_asks_for_the_cpus_that_work_in_it(#[case] steps: String, #[case] cpus: (u8, u8)) {
        let folder = tempfile::tempdir().expect("there is room");
        let file = folder.path().join("a.yaml");
        let head = "about: Asks.\nsteps:\n  - socket: {as: s, type: udp}\n";
        std::fs::write(&file, format!("{head}{steps}\n")).expect("it can be written");
        let trials = crate::case::load(&[file]).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
        let asked = Cpus::of(&trials[0]);
        assert_eq!((asked.of_the_stack, asked.at_work), cpus);
    }
}
