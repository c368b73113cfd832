//! What the kernel tells in a few calls of rules, qdiscs and the device: where it is the same as before, no program need be asked.

use super::super::ioctl::{self, Settings};
use super::super::netlink;
use super::super::tap::DEVICE;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::AsFd;

/// The parts of a namespace that can be told apart at a glance. An error is told apart too, and never the same.
#[derive(Clone, Debug)]
pub struct Glance {
    ruleset: Result<u32, Errno>,
    qdiscs: Result<Vec<Vec<u8>>, Errno>,
    hardware: Vec<Result<Vec<u32>, Errno>>,
}

/// What is the same in two glances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Same {
    /// The rules of nftables.
    pub ruleset: bool,
    /// The qdiscs of all devices, but for what they count.
    pub qdiscs: bool,
    /// What ethtool sets.
    pub hardware: bool,
}

impl Glance {
    /// A glance at the namespace of the calling thread.
    #[must_use]
    pub fn take() -> Self {
        let all = [
            Settings::Rings,
            Settings::Coalescing,
            Settings::Channels,
            Settings::Features,
            Settings::Pauses,
            Settings::Indirection,
        ];
        let control = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
        let read =
            |settings| ioctl::ethtool_settings(control.as_ref().map_err(|e| *e)?.as_fd(), DEVICE, settings);
        Self {
            ruleset: netlink::ruleset_generation(),
            qdiscs: netlink::qdiscs(),
            hardware: all.into_iter().map(read).collect(),
        }
    }

    /// What is the same as it was.
    #[must_use]
    pub fn same(&self, was: &Self) -> Same {
        Same {
            ruleset: self.ruleset.is_ok() && self.ruleset == was.ruleset,
            qdiscs: self.qdiscs.is_ok() && self.qdiscs == was.qdiscs,
            // What a device does not have it will not have later.
            hardware: self.hardware == was.hardware && self.hardware.iter().any(Result::is_ok),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn glance() -> Glance {
        Glance {
            ruleset: Ok(1),
            qdiscs: Ok(vec![vec![1, 2]]),
            hardware: vec![Ok(vec![7]), Err(Errno::EOPNOTSUPP)],
        }
    }

    #[rstest]
    #[case::nothing(|_: &mut Glance| (), (true, true, true))]
    #[case::a_rule(|now: &mut Glance| now.ruleset = Ok(2), (false, true, true))]
    #[case::a_kernel_that_does_not_tell(|now: &mut Glance| now.ruleset = Err(Errno::EINVAL), (false, true, true))]
    #[case::a_qdisc(|now: &mut Glance| now.qdiscs = Ok(vec![vec![1, 3]]), (true, false, true))]
    #[case::a_ring(|now: &mut Glance| now.hardware[0] = Ok(vec![8]), (true, true, false))]
    fn what_changed_is_seen(
        #[case] change: fn(&mut Glance),
        #[case] (ruleset, qdiscs, hardware): (bool, bool, bool),
    ) {
        let mut now = glance();
        change(&mut now);
        assert_eq!(now.same(&glance()), Same { ruleset, qdiscs, hardware });
    }

    #[test]
    fn two_errors_are_not_the_same() {
        let blind = || Glance {
            ruleset: Err(Errno::EINVAL),
            qdiscs: Err(Errno::EPERM),
            hardware: vec![Err(Errno::ENODEV)],
        };
        assert_eq!(blind().same(&blind()), Same { ruleset: false, qdiscs: false, hardware: false });
    }
}
