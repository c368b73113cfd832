//! What the port of a lab can do for a trial, found before it runs.

use super::super::capability::{ETH0_MTU, call_missing, command_lacks, mtu_set_by, too_long, unreadable};
use super::hardware::{Hardware, feature};
use crate::case::model::{Action, CheckItem, Source, Trial};

/// The port under test, as trials find it.
#[derive(Clone, Debug)]
pub struct Ability {
    /// What kind of virtual device it is; empty for a card.
    pub kind: String,
    /// Its driver.
    pub driver: String,
    /// What ethtool can set.
    pub hardware: Hardware,
    /// Whether the driver has counters of its own.
    pub has_statistics: bool,
}

/// Features that leave to a virtual device what hardware would do before the cable.
const LEFT_TO_HARDWARE: [&str; 4] =
    ["tcp-segmentation-offload", "tx-checksumming", "tx-udp-segmentation", "tx-tcp-segmentation"];

/// The shortest frame of a cable, in bytes without FCS (IEEE 802.3, section 3.2.8).
const SHORTEST: usize = 60;

impl Ability {
    /// Why a trial cannot run on it; `None`: it can.
    #[must_use]
    pub fn missing(&self, trial: &Trial) -> Option<String> {
        if let Some(fault) = trial.faults.first() {
            return Some(format!("fault `{}`: only the emulated NIC has faults", fault.kind));
        }
        if trial.charged_as_igb && self.driver != "igb" {
            return Some(format!("buffers as an igb's: the port's driver is {}", self.driver));
        }
        let mut mtu = ETH0_MTU;
        trial.steps.iter().find_map(|step| match &step.action {
            Action::Run(commands) => {
                mtu = commands.iter().filter_map(mtu_set_by).next_back().unwrap_or(mtu);
                commands.iter().find_map(|command| command_lacks(command, |words| self.ethtool(words)))
            }
            Action::Inject(inject) if self.kind == "veth" => too_long(inject, mtu),
            Action::Inject(inject) if self.kind.is_empty() && inject.cut_to < SHORTEST => {
                let bytes = inject.cut_to;
                Some(format!("a frame of {bytes} bytes: a card pads what it sends to {SHORTEST}"))
            }
            Action::Sysfs { path, value, error: None } => no_such_cpu(path, value),
            Action::Call(call) => call_missing(call),
            _ => None,
        })
    }

    /// Why an item of a check cannot be read of this port; `None`: it can.
    #[must_use]
    pub fn unreadable(&self, item: &CheckItem) -> Option<String> {
        match &item.source {
            // Each driver has names of its own; those of the suite are igb's.
            Source::Ethtool if self.driver == "igb" && self.has_statistics => None,
            Source::Ethtool => {
                Some(format!("these counters are igb's, and the port's driver is {}", self.driver))
            }
            _ => unreadable(item),
        }
    }

    fn ethtool(&self, words: &[&str]) -> Option<String> {
        let driver = &self.driver;
        let lacks = |what: &str| Some(format!("the port ({driver}) {what}"));
        match *words.get(1)? {
            "-K" | "--features" | "--offload" => {
                words.get(3..)?.chunks_exact(2).find_map(|pair| self.feature(feature(pair[0]), pair[1]))
            }
            "-L" | "--set-channels" if self.hardware.channels.is_empty() => lacks("has no channels to set"),
            "-G" | "--set-ring" if self.hardware.rings.is_empty() => lacks("has no rings to set"),
            "-C" | "--coalesce" if self.hardware.coalescing.is_empty() => {
                lacks("has no interrupts to coalesce")
            }
            "-S" | "--statistics" if !self.has_statistics => lacks("has no counters of its own"),
            _ => None,
        }
    }

    fn feature(&self, name: &str, value: &str) -> Option<String> {
        let driver = &self.driver;
        if !self.kind.is_empty() && value == "on" && LEFT_TO_HARDWARE.contains(&name) {
            let kind = &self.kind;
            return Some(format!(
                "a {kind} has no hardware: with {name} its frames would not be those of a cable"
            ));
        }
        let fixed = self.hardware.fixed.get(name).filter(|fixed| *fixed != value)?;
        Some(format!("the port ({driver}) cannot change {name}: it is {fixed}"))
    }
}

/// Why a mask of CPUs for a queue is refused, where one of them is not in the machine.
fn no_such_cpu(path: &str, mask: &str) -> Option<String> {
    if !path.ends_with("/xps_cpus") {
        return None;
    }
    let possible = std::fs::read_to_string("/sys/devices/system/cpu/possible").ok()?;
    let last: u32 = possible.trim().rsplit(['-', ',']).next()?.parse().ok()?;
    let bits = u128::from_str_radix(&mask.replace(',', ""), 16).ok()?;
    let highest = bits.checked_ilog2()?;
    (highest > last).then(|| format!("this machine has no CPU {highest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn port(kind: &str) -> Ability {
        let fixed = [("large-receive-offload".to_owned(), "off".to_owned())].into();
        let hardware = Hardware { fixed, ..Hardware::default() };
        Ability { kind: kind.to_owned(), driver: "e1000e".to_owned(), hardware, has_statistics: true }
    }

    #[rstest]
    #[case::tso_of_a_card("", "ethtool -K eth0 tso on gso on", None)]
    #[case::tso_of_a_veth("veth", "ethtool -K eth0 tso on gso on", Some("has no hardware"))]
    #[case::what_is_fixed(
        "",
        "ethtool -K eth0 gro off lro on",
        Some("cannot change large-receive-offload: it is off")
    )]
    #[case::what_is_fixed_and_so_already("", "ethtool -K eth0 lro off", None)]
    #[case::rings_that_are_not_there("", "ethtool -G eth0 tx 64", Some("no rings"))]
    #[case::counters("", "ethtool -S eth0", None)]
    #[case::features_are_read("", "ethtool -k eth0", None)]
    fn what_a_port_cannot_do_is_known(#[case] kind: &str, #[case] text: &str, #[case] why: Option<&str>) {
        let words: Vec<_> = text.split(' ').collect();
        let missing = port(kind).ethtool(&words);
        match why {
            None => assert_eq!(missing, None),
            Some(why) => assert!(missing.as_ref().is_some_and(|m| m.contains(why)), "{missing:?}"),
        }
    }
}
