//! QEMU's igb, where the lab is in a guest: what it does not do, found before a trial runs.

use crate::case::model::{Action, OptionValue, Syscall, Trial};

/// The version of the machine that QEMU makes, if this is one.
#[must_use]
pub fn version() -> Option<String> {
    let read = |file: &str| std::fs::read_to_string(format!("/sys/class/dmi/id/{file}")).ok();
    let machine = read("product_version")?;
    read("sys_vendor")?.contains("QEMU").then(|| number(machine.trim()).to_owned())
}

/// `pc-q35-10.0`.
fn number(machine: &str) -> &str {
    machine.rsplit_once('-').map_or("", |(_, number)| number)
}

/// Why, for people.
pub const NOTE: &str = "QEMU's igb clears PSH and FIN in all segments that it cuts: its TSO is off";

/// What the device is told before the first step, as it would do it wrong: it clears PSH and FIN in all segments that it cuts.
pub const LEFT_TO_THE_STACK: [&str; 5] = ["ethtool", "-K", "eth0", "tso", "off"];

/// Why a trial cannot run on QEMU's igb; `None`: it can.
#[must_use]
pub fn missing(trial: &Trial) -> Option<String> {
    let commands = || {
        trial
            .steps
            .iter()
            .filter_map(|step| if let Action::Run(run) = &step.action { Some(run) } else { None })
            .flatten()
    };
    let says =
        |words: [&str; 2]| commands().any(|command| command.words.windows(2).any(|pair| pair == words));
    if cuts_datagrams(trial) && !says(["gso", "off"]) && !says(["tx-udp-segmentation", "off"]) {
        return Some("QEMU's igb cuts no UDP into datagrams".to_owned());
    }
    if says(["tso", "on"]) {
        return Some("QEMU's igb clears PSH and FIN in all segments that it cuts".to_owned());
    }
    if commands().any(|command| {
        command.words.first().is_some_and(|w| w == "ethtool") && command.words.iter().any(|w| w == "-t")
    }) {
        return Some(
            "QEMU's igb has registers that do not keep what is written: it fails the test of itself"
                .to_owned(),
        );
    }
    None
}

/// Whether a socket is told to send several datagrams as one.
fn cuts_datagrams(trial: &Trial) -> bool {
    trial.steps.iter().any(|step| match &step.action {
        Action::Call(call) => matches!(&call.call, Syscall::Setsockopt { name, value, .. }
            if name == "UDP_SEGMENT" && !matches!(value, OptionValue::Number(0))),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn trial(steps: &str) -> Trial {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, format!("about: A case.\nsteps:\n  - socket: {{as: s, type: udp}}\n{steps}"))
            .expect("it can be written");
        crate::case::load(&[path]).expect("the case is right").remove(0)
    }

    const SEGMENT: &str = "  - setsockopt: {socket: s, level: IPPROTO_UDP, name: UDP_SEGMENT, value: 1000}\n";

    #[rstest]
    #[case::by_the_device("", true)]
    #[case::by_the_stack("  - run: ethtool -K eth0 gso off\n", false)]
    #[case::not_by_the_device("  - run: ethtool -K eth0 tx-udp-segmentation off\n", false)]
    fn datagrams_are_not_cut_by_qemu(#[case] command: &str, #[case] missing_there: bool) {
        assert_eq!(missing(&trial(&format!("{command}{SEGMENT}"))).is_some(), missing_there);
    }

    #[test]
    fn what_has_none_of_that_runs() {
        assert_eq!(missing(&trial("  - quiet: 1ms\n")), None);
        assert!(missing(&trial("  - run: ethtool -K eth0 tso on gso on\n")).is_some());
        assert!(missing(&trial("  - run: ethtool -t eth0 offline\n")).is_some());
        assert_eq!(number("pc-q35-10.0"), "10.0");
    }
}
