//! How the CPU is had: whether the kernel's virtual machine can run the guest is tried, and not taken from its being there.

use super::guest::Guest;
use super::machine::{Hardware, Machine};
use super::options::Accel;
use super::program::{self, Qemu};
use crate::case::model::topology;
use crate::rig::RigError;
use guest::protocol::Identity;
use std::path::Path;
use std::time::Duration;

/// How long a guest may take to come up where nobody asked for KVM, in real time: on TCG it takes a tenth of that.
pub const BOOT: Duration = Duration::from_millis(1500);

/// Boots the guest on KVM, which may take so long.
///
/// # Errors
/// Why it cannot be had: there is none, it is not allowed, or it cannot run the guest.
pub fn try_kvm(qemu: &Qemu, image: &Path, patience: Duration) -> Result<(), String> {
    program::kvm()?;
    let cannot = |error: RigError| {
        let (RigError::Broken(why) | RigError::Missing(why)) = error;
        // The guest may have been in the middle of a line.
        let said = why.lines().find_map(|line| Some(&line[line.find("KVM internal error")?..]));
        format!(
            "{} opens, but cannot run the guest: {}",
            program::KVM,
            said.or(why.lines().next()).unwrap_or(&why)
        )
    };
    let hardware = Hardware { mac: topology::SUT_MAC, cpus: 1, accel: Accel::Kvm, is_urgent: false };
    let machine = Machine::start(qemu, image, hardware).map_err(cannot)?;
    let seconds = u16::try_from(patience.as_secs()).unwrap_or(u16::MAX);
    let identity = Identity { ip: topology::SUT_IP, seed: 0, cpus: 1, patience: seconds };
    Guest::new(machine, patience).begin(identity).map(drop).map_err(cannot)
}

/// What a run uses that asks for this, and a sentence on why where it leaves that open. KVM is tried once, before any trial, for as long as
/// a guest may take to answer where it was asked for by name.
///
/// # Errors
/// When KVM was asked for and cannot be had.
pub fn choose(
    asked: Accel,
    patience: Duration,
    tried: impl FnOnce(Duration) -> Result<(), String>,
) -> Result<(Accel, Option<String>), String> {
    match asked {
        Accel::Tcg => Ok((Accel::Tcg, None)),
        Accel::Kvm => tried(patience).map(|()| (Accel::Kvm, None)).map_err(refused),
        Accel::Auto => Ok(match tried(BOOT) {
            Ok(()) => (Accel::Kvm, Some("--accel auto: kvm, which boots the guest".to_owned())),
            Err(why) => (Accel::Tcg, Some(format!("--accel auto: tcg, for {why}"))),
        }),
    }
}

/// What is said of a run that wants KVM where it cannot be had.
#[must_use]
pub fn refused(why: String) -> String {
    format!("--accel kvm: {why}; --accel tcg needs nothing")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::tcg_is_not_tried(Accel::Tcg, None, Ok((Accel::Tcg, None)))]
    #[case::kvm_that_boots(Accel::Kvm, Some(true), Ok((Accel::Kvm, None)))]
    #[case::kvm_that_does_not(
        Accel::Kvm,
        Some(false),
        Err("--accel kvm: it hangs; --accel tcg needs nothing")
    )]
    #[case::either_where_kvm_boots(Accel::Auto, Some(true), Ok((Accel::Kvm, Some("--accel auto: kvm, which boots the guest"))))]
    #[case::either_where_it_does_not(Accel::Auto, Some(false), Ok((Accel::Tcg, Some("--accel auto: tcg, for it hangs"))))]
    fn kvm_is_tried_before_it_is_used(
        #[case] asked: Accel,
        #[case] boots: Option<bool>,
        #[case] expected: Result<(Accel, Option<&str>), &str>,
    ) {
        let mut tries = 0;
        let tried = |_| {
            tries += 1;
            if boots == Some(true) { Ok(()) } else { Err("it hangs".to_owned()) }
        };
        let chosen = choose(asked, Duration::from_secs(10), tried);
        let expected = expected.map(|(accel, why)| (accel, why.map(str::to_owned))).map_err(str::to_owned);
        assert_eq!((chosen, tries), (expected, usize::from(boots.is_some())));
    }
}
