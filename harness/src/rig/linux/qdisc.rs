//! pfifo_fast as the default qdisc of `eth0`, where the kernel's default is another: a veth has none, a machine may have its own.

use super::netlink;
use super::tap::DEVICE;
use crate::rig::{Readings, RigError};
use nix::errno::Errno;

/// Whether pfifo_fast stands in for the default of `eth0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StandIn {
    /// The default is pfifo_fast already.
    #[default]
    NotNeeded,
    /// It does.
    There,
    /// It would, but a case has set another.
    Away,
}

impl StandIn {
    /// Puts it there, in the namespace of the calling thread. Before `eth0` is up, that takes no time.
    ///
    /// # Errors
    /// [`RigError::Missing`] when it cannot be had.
    pub fn begin() -> Result<Self, RigError> {
        netlink::add_pfifo_fast(DEVICE)
            .map(|()| Self::There)
            .map_err(|e| RigError::Missing(format!("the default qdisc cannot be pfifo_fast ({e:?})")))
    }

    /// Before a command that may change qdiscs: it goes away, as a default does. So `add` is no second one, and `del` finds none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn give_way(self) -> Result<Self, RigError> {
        match self {
            Self::There => {
                netlink::delete_qdisc(DEVICE).map(|()| Self::Away).map_err(|e| broken("taken away", e))
            }
            other => Ok(other),
        }
    }

    /// After such a command: it comes back, unless another is there now.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn come_back(self) -> Result<Self, RigError> {
        match self {
            Self::Away => match netlink::has_qdisc(DEVICE) {
                Ok(false) => netlink::add_pfifo_fast(DEVICE).map(|()| Self::There),
                // ENODEV: the command has taken eth0 away, and is told so.
                Ok(true) | Err(Errno::ENODEV) => Ok(Self::Away),
                Err(e) => Err(e),
            }
            .map_err(|e| broken("put back", e)),
            other => Ok(other),
        }
    }

    /// What `tc` counts, with the handle `0:` of a default where this stands in for one: the kernel gave it another.
    #[must_use]
    pub fn named_as_default(self, readings: Readings) -> Readings {
        if self != Self::There {
            return readings;
        }
        let name = |key: String| match key.split_once(":/") {
            Some((handle, rest)) if is_chosen(handle) => format!("0:/{rest}"),
            _ => key,
        };
        readings.into_iter().map(|(key, reading)| (name(key), reading)).collect()
    }
}

/// Whether the kernel chose a handle: it does from 8000 on, and ffff is that of `ingress`.
fn is_chosen(handle: &str) -> bool {
    u16::from_str_radix(handle, 16).is_ok_and(|major| (0x8000..0xffff).contains(&major))
}

fn broken(what: &str, error: Errno) -> RigError {
    RigError::Broken(format!("the default qdisc cannot be {what} ({error:?})"))
}

/// Whether a command may change qdiscs.
#[must_use]
pub fn is_changed_by(words: &[String]) -> bool {
    matches!(words, [tc, qdisc, verb, ..] if tc == "tc" && qdisc == "qdisc" && !matches!(verb.as_str(), "show" | "list" | "ls"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::Reading;
    use rstest::rstest;

    #[rstest]
    #[case::the_stand_in(StandIn::There, "8001:/packets", "0:/packets")]
    #[case::the_root_by_its_place(StandIn::There, "root/packets", "root/packets")]
    #[case::ingress(StandIn::There, "ffff:/packets", "ffff:/packets")]
    #[case::one_of_the_case(StandIn::Away, "8001:/packets", "8001:/packets")]
    fn only_the_stand_in_has_the_handle_of_a_default(
        #[case] stand_in: StandIn,
        #[case] counted: &str,
        #[case] named: &str,
    ) {
        let readings = Readings::from([(counted.to_owned(), Reading::Number(7))]);
        let wanted = Readings::from([(named.to_owned(), Reading::Number(7))]);
        assert_eq!(stand_in.named_as_default(readings), wanted);
    }
}
