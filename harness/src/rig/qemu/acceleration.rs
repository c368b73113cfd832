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

/// How long a guest may take to come up, in real time: on TCG it takes a tenth of that.
const BOOT: Duration = Duration::from_millis(1500);

/// Boots the guest on KVM.
///
/// # Errors
/// Why it cannot be had: there is none, it is not allowed, or it cannot run the guest.
pub fn try_kvm(qemu: &Qemu, image: &Path) -> Result<(), String> {
    program::kvm()?;
    let cannot = |error: RigError| {
        let (RigError::Broken(why) | RigError::Missing(why)) = error;
        let said = why.lines().find(|line| line.contains("KVM internal error"));
        format!(
            "{} opens, but cannot run the guest: {}",
            program::KVM,
            said.or(why.lines().next()).unwrap_or(&why)
        )
    };
    let hardware = Hardware { mac: topology::SUT_MAC, cpus: 1, accel: Accel::Kvm, is_urgent: false };
    let machine = Machine::start(qemu, image, hardware).map_err(cannot)?;
    let identity = Identity { ip: topology::SUT_IP, seed: 0, cpus: 1, patience: BOOT.as_secs() as u16 };
    Guest::new(machine, BOOT).begin(identity).map(drop).map_err(cannot)
}

/// What is used where a run leaves it open, and a sentence on why.
#[must_use]
pub fn choose(qemu: &Qemu, image: &Path) -> (Accel, String) {
    match try_kvm(qemu, image) {
        Ok(()) => (Accel::Kvm, "--accel auto: kvm, which boots the guest".to_owned()),
        Err(why) => (Accel::Tcg, format!("--accel auto: tcg, for {why}")),
    }
}
