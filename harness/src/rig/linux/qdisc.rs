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

    /// A new default in place of the one that is there: it has counted nothing.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn renew(self) -> Result<Self, RigError> {
        match self {
            Self::There => self.give_way()?.come_back(),
            Self::NotNeeded => netlink::add_pfifo_fast(DEVICE)
                .and_then(|()| netlink::delete_qdisc(DEVICE))
                .map(|()| self)
                .map_err(|e| broken("made anew", e)),
            Self::Away => Ok(self),
        }
    }

    /// The kernel's own default, made anew, for a trial that needs it: `mq` of a device with many queues. What stood in is away until
    /// it is put back between two trials.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn leave_out(self) -> Result<Self, RigError> {
        match self {
            Self::There => self.give_way().map(|_| Self::NotNeeded),
            other => other.renew(),
        }
    }

    /// What is read of qdiscs, with the handle 0: of a default in place of the one that the kernel gave to what stands in.
    #[must_use]
    pub fn as_default(self, readings: Readings) -> Readings {
        if self != Self::There {
            return readings;
        }
        let named = |key: String| match key.split_once(":/") {
            Some((handle, rest)) if u16::from_str_radix(handle, 16).is_ok_and(is_chosen) => {
                format!("0:/{rest}")
            }
            _ => key,
        };
        readings.into_iter().map(|(key, value)| (named(key), value)).collect()
    }
}

/// Whether a handle is one that the kernel chose: from 8000: on, below that of ingress.
fn is_chosen(handle: u16) -> bool {
    (0x8000..0xffff).contains(&handle)
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
    #[case::it_stands_in(StandIn::There, ["0:/kind", "ffff:/kind", "root/kind"])]
    #[case::a_case_has_its_own(StandIn::Away, ["8002:/kind", "ffff:/kind", "root/kind"])]
    #[case::the_default_is_the_kernels(StandIn::NotNeeded, ["8002:/kind", "ffff:/kind", "root/kind"])]
    fn what_stands_in_is_read_as_the_default_that_it_stands_in_for(
        #[case] stand_in: StandIn,
        #[case] keys: [&str; 3],
    ) {
        let kind = || Reading::Text("pfifo_fast".to_owned());
        let read = ["root/kind", "8002:/kind", "ffff:/kind"].map(|key| (key.to_owned(), kind()));
        let told: Vec<_> = stand_in.as_default(read.into_iter().collect()).into_keys().collect();
        assert_eq!(told, keys);
    }
}
