//! What a device does in place of the kernel: off, where a cable would carry something else than the kernel sent.

use super::ioctl;
use crate::rig::RigError;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::AsFd;

/// A feature with its requests of uapi `linux/ethtool.h`.
struct Feature {
    /// As `ethtool -K` has it.
    name: &'static str,
    get: u32,
    set: u32,
}

/// Checksums that stay unfilled, packets that stay uncut or are put together. Segmentation in software (`gso`) and scatter-gather stay on,
/// as on a TAP and on a card: the kernel cuts before the device has the packet.
const FEATURES: [Feature; 4] = [
    Feature { name: "tso", get: 0x1e, set: 0x1f },
    Feature { name: "tx", get: 0x16, set: 0x17 },
    Feature { name: "rx", get: 0x14, set: 0x15 },
    Feature { name: "gro", get: 0x2b, set: 0x2c },
];

/// Takes the features away from a device of the calling thread's network namespace, and reads them back.
///
/// # Errors
/// [`RigError::Missing`] for one that stays on.
pub fn as_on_a_cable(device: &str) -> Result<(), RigError> {
    let wrong = |what: &str, e: Errno| RigError::Missing(format!("{what} of {device}: {e:?}"));
    let control = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|e| wrong("features", e))?;
    for feature in &FEATURES {
        // What cannot be set may be off for good: what is read decides.
        let set = ioctl::ethtool(control.as_fd(), device, feature.set, 0);
        let is =
            ioctl::ethtool(control.as_fd(), device, feature.get, 0).map_err(|e| wrong(feature.name, e))?;
        if is != 0 {
            let why = set.err().map_or_else(String::new, |e| format!(" ({e:?})"));
            return Err(RigError::Missing(format!("{} of {device} stays on{why}", feature.name)));
        }
    }
    Ok(())
}
