//! What a rig does not see of its wire, or nobody can: why an equation about it cannot be decided.

use super::losses::Losses;
use crate::case::model::{Action, Group, Syscall, Trial};
use crate::judge::conserve::traffic::{Device, Frame};
use crate::judge::conserve::{Equation, Traffic};
use crate::rig::{Journey, Port};
use crate::run::record::{From as Sender, WireFrame};

const NIC: &[Group] = &[Group::Netdev, Group::Ethtool, Group::Queues, Group::Sizes];
const DEVICE: &[Group] = &[Group::Netdev, Group::Ethtool, Group::Sizes];
const DRIVER: &[Group] = &[Group::Netdev, Group::Queues];
const BELOW_IP: &[Group] = &[Group::Snmp];
const BELOW_TCP: &[Group] = &[Group::Tcp];
const QDISC: &[Group] = &[Group::Qdisc];
/// All that counts what is sent.
const SENDERS: &[Group] =
    &[Group::Netdev, Group::Ethtool, Group::Queues, Group::Sizes, Group::Qdisc, Group::Tcp, Group::Snmp];
/// Options of ethtool that only show something.
const SHOWS: [&str; 10] = ["-k", "-c", "-g", "-l", "-a", "-x", "-i", "-d", "-S", ""];

/// What the equations are held against.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What the frames went through.
    pub device: Device,
    /// The port, on a rig that sees it.
    pub port: Option<&'a Port>,
    /// Where each packet was, on a rig that knows.
    pub journey: Option<&'a Journey>,
    /// What of that was lost.
    pub losses: Option<&'a Losses>,
    /// The frames of both directions.
    pub frames: &'a [&'a WireFrame],
}

/// Which way frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl Way {
    /// Of what an equation counts.
    fn of(equation: &Equation) -> Self {
        let field = equation.field();
        let out = [".tx_", "_tx_", "collisions", "qdisc.", ".Out", ".Frag", "Retrans"];
        if out.iter().any(|part| field.contains(part)) { Self::Out } else { Self::In }
    }
}

/// Why equations of some groups cannot be decided.
#[derive(Debug, Default)]
pub struct Doubts(Vec<(Way, &'static [Group], String)>);

impl Doubts {
    /// Why this equation of a group cannot be decided; `None`: it can.
    #[must_use]
    pub fn about(&self, group: Group, equation: &Equation) -> Option<&str> {
        let way = Way::of(equation);
        let found = self.0.iter().find(|(of, groups, _)| *of == way && groups.contains(&group));
        found.map(|(.., why)| why.as_str())
    }

    fn add(&mut self, way: Way, groups: &'static [Group], why: impl Into<String>) {
        self.0.push((way, groups, why.into()));
    }
}

/// What happened in a trial that not every rig can follow.
#[derive(Debug, Default)]
pub struct Unseen {
    /// The cable was pulled at some time.
    pub was_unplugged: bool,
    /// The device was reset while the cable was pulled.
    pub reset_without_link: bool,
    /// The driver made counters anew.
    was_renewed: bool,
    /// A command has changed which stations the NIC listens to, or its own.
    changed_filters: bool,
    /// A command that may reset a device was done.
    may_be_reset: bool,
    /// The trial sends datagrams that are cut.
    cuts_datagrams: bool,
}

impl Unseen {
    /// What is known before the first step.
    #[must_use]
    pub fn of(trial: &Trial) -> Self {
        let cuts = |action: &Action| match action {
            Action::Call(call) => {
                matches!(&call.call, Syscall::Setsockopt { name, .. } if name == "UDP_SEGMENT")
            }
            _ => false,
        };
        let cuts_datagrams = trial.steps.iter().any(|step| cuts(&step.action));
        Self { cuts_datagrams, ..Self::default() }
    }

    /// A command was done, and counters have begun anew with it or not.
    pub fn ran(&mut self, words: &[&str], renewed: bool) {
        self.may_be_reset |= match words {
            ["ethtool", option, ..] => !SHOWS.contains(option),
            ["ip", "link", "set", ..] => true,
            _ => false,
        };
        let filters = ["promisc", "allmulticast", "address"];
        self.changed_filters |=
            words.first() == Some(&"ip") && words.iter().any(|word| filters.contains(word));
        self.was_renewed |= renewed && words.first() == Some(&"ethtool");
    }

    /// Why equations cannot be decided, of frames on a device with this MTU at least; and whether those of the qdisc begin at
    /// the last reset.
    #[must_use]
    pub fn doubts(&self, seen: &Seen<'_>, traffic: &Traffic, (mtu, since_reset): (u64, bool)) -> Doubts {
        let mut doubts = Doubts::default();
        if let Some(losses) = seen.losses {
            lost(&mut doubts, losses, seen.port.is_some(), since_reset, !traffic.cut_off.is_empty());
        }
        if traffic.accepted.iter().any(|frame| frame.tag > 0) {
            let why = "a frame with a VLAN tag was taken in, and nothing tells whether a VLAN device of this host heard it";
            doubts.add(Way::In, BELOW_IP, why);
        }
        if self.changed_filters {
            let why = "the NIC listens to other stations than at first, and nothing tells which frames were for this host";
            doubts.add(Way::In, BELOW_IP, why);
            doubts.add(Way::In, if seen.port.is_none() { NIC } else { &[] }, why);
        }
        if self.reset_without_link {
            let why = "the device was reset without a link: what it had counted since is not read then (igb_update_stats)";
            doubts.add(Way::Out, DEVICE, why);
            doubts.add(Way::In, DEVICE, why);
        }
        if seen.device == Device::Hardware && seen.port.is_none() {
            self.out_of_sight(&mut doubts, seen, mtu);
        }
        if self.cuts_datagrams && !traffic.sent.iter().all(|frame| frame.whole.is_some()) {
            let why = "a large datagram of UDP_SEGMENT counts once, and this rig does not tell which frames were one";
            doubts.add(Way::Out, BELOW_IP, why);
        }
        doubts
    }

    /// On a NIC whose port cannot be seen.
    fn out_of_sight(&self, doubts: &mut Doubts, seen: &Seen<'_>, mtu: u64) {
        let came = || seen.frames.iter().filter(|f| f.from != Sender::Sut).map(|f| Frame::of(&f.bytes));
        for (is_there, why) in [
            (
                came().any(|frame| frame.tag > 0),
                "a frame with a VLAN tag came, and this rig does not tell whether the NIC's filter let it pass",
            ),
            (
                came().any(|frame| frame.is_longer_than(mtu)),
                "a frame came that is longer than the MTU allows, and this rig does not tell what the NIC did with it",
            ),
            (
                came().any(|frame| frame.pause.is_some()),
                "a pause frame came, and this rig does not tell whether the MAC kept it to itself",
            ),
        ] {
            if is_there {
                doubts.add(Way::In, NIC, why);
                doubts.add(Way::In, BELOW_IP, why);
            }
        }
        if self.was_unplugged {
            let why = "the cable was pulled, and this rig does not see what the NIC sent meanwhile";
            doubts.add(Way::Out, SENDERS, why);
            doubts.add(
                Way::In,
                NIC,
                "the cable was pulled, and this rig does not see what the NIC took until then",
            );
        }
        if self.was_renewed {
            let why = "the driver made its counters anew, and this rig does not see what it had counted last";
            doubts.add(Way::Out, NIC, why);
            doubts.add(Way::In, NIC, why);
        }
        if seen.journey.is_none() && self.may_be_reset {
            let why =
                "a command may have reset the device, and this rig does not see what was lost in its rings";
            doubts.add(Way::Out, SENDERS, why);
        }
    }
}

/// Packets were lost between those who count them and the wire.
fn lost(doubts: &mut Doubts, losses: &Losses, sees_port: bool, since_reset: bool, was_cut_off: bool) {
    let why = losses.why();
    let say =
        |count: usize, where_| format!("packets that it has counted were dropped {where_} ({why}): {count}");
    if losses.below_ip > 0 {
        doubts.add(Way::Out, BELOW_IP, say(losses.below_ip, "on their way to the wire"));
    }
    if losses.looped > 0 {
        let why = format!("packets that it has counted went over the loopback: {}", losses.looped);
        doubts.add(Way::Out, BELOW_IP, why.clone());
        doubts.add(Way::In, BELOW_IP, why.clone());
        doubts.add(Way::Out, BELOW_TCP, why);
    }
    if losses.below_tcp > 0 {
        doubts.add(Way::Out, BELOW_TCP, say(losses.below_tcp, "on their way to the wire"));
    }
    if !losses.behind_qdisc.is_empty() && !since_reset {
        doubts.add(Way::Out, QDISC, say(losses.behind_qdisc.len(), "behind it"));
    }
    if !losses.in_rings.is_empty() && (!sees_port || was_cut_off) {
        let count = losses.in_rings.len();
        let why =
            format!("a reset found packets in the rings, and nobody tells which of them were sent: {count}");
        doubts.add(Way::Out, DRIVER, why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::of_a_device("netdev tx_packets", Way::Out)]
    #[case::of_all_queues("the sum of ethtool tx_queue_*_bytes", Way::Out)]
    #[case::what_came("netdev rx_bytes", Way::In)]
    #[case::to_groups("netdev multicast", Way::In)]
    #[case::of_the_root("qdisc root bytes", Way::Out)]
    #[case::of_ip("snmp Ip.OutTransmits", Way::Out)]
    #[case::of_tcp("snmp Tcp.OutSegs + Tcp.RetransSegs", Way::Out)]
    #[case::received("snmp Ip.InReceives", Way::In)]
    fn a_counter_counts_one_way(#[case] counter: &str, #[case] way: Way) {
        assert_eq!(Way::of(&Equation::nothing(counter.to_owned(), 0, "")), way);
    }
}
