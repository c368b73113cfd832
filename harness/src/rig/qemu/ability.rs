//! What QEMU's NIC cannot do for a trial, found before it runs: so that it is a skip with a reason, not a failure.

use crate::case::model::{Action, Trial};

/// Why the qemu rig cannot run a trial; `None`: it can.
#[must_use]
pub fn missing(trial: &Trial) -> Option<String> {
    trial.steps.iter().find_map(|step| match &step.action {
        Action::Inject(inject) if inject.has_wrong_fcs => {
            Some("the cable to QEMU carries no frame check sequence that could be wrong".to_owned())
        }
        Action::App(_) | Action::PeerRun(_) => Some("this rig has no real peer".to_owned()),
        _ => None,
    })
}
