//! What the device takes over, and what of that is switched on: `netdev_features_t`, `netdev_fix_features`, and the words of
//! `ethtool -K` and `-k` (Linux 6.12; texts of ethtool 6.1).

use crate::control::ethtool::Feature;
use alloc::format;
use alloc::string::String;

/// A set of NETIF_F_….
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u16);

impl Features {
    /// NETIF_F_SG: the device gathers a packet from pieces.
    pub const SG: Self = Self(1);
    /// NETIF_F_HW_CSUM: the device fills a checksum in, wherever it stands.
    pub const HW_CSUM: Self = Self(1 << 1);
    /// NETIF_F_GSO: large packets are made for devices that cannot cut them.
    pub const GSO: Self = Self(1 << 2);
    /// NETIF_F_GRO: received packets are merged.
    pub const GRO: Self = Self(1 << 3);
    /// NETIF_F_TSO: the device cuts TCP over IPv4.
    pub const TSO: Self = Self(1 << 4);
    /// NETIF_F_TSO_ECN: the device knows that CWR is the first segment's. igb does not have it.
    pub const TSO_ECN: Self = Self(1 << 5);
    /// NETIF_F_GSO_UDP_L4: the device cuts UDP into datagrams.
    pub const GSO_UDP_L4: Self = Self(1 << 6);
    /// NETIF_F_RXCSUM: the device's word for received checksums is taken.
    pub const RXCSUM: Self = Self(1 << 7);
    /// NETIF_F_HW_VLAN_CTAG_TX: the device puts VLAN tags on the wire.
    pub const VLAN_CTAG_TX: Self = Self(1 << 8);
    /// NETIF_F_HW_VLAN_CTAG_RX: the device takes VLAN tags off.
    pub const VLAN_CTAG_RX: Self = Self(1 << 9);
    /// What an igb for the 82576 offers, with what the core adds; all of it is on at first.
    pub const IGB: Self = Self(
        Self::SG.0
            | Self::HW_CSUM.0
            | Self::GSO.0
            | Self::GRO.0
            | Self::TSO.0
            | Self::GSO_UDP_L4.0
            | Self::RXCSUM.0
            | Self::VLAN_CTAG_TX.0
            | Self::VLAN_CTAG_RX.0,
    );
    /// NETIF_F_GSO_MASK: all kinds of cutting that a device may do.
    pub const GSO_MASK: Self = Self(Self::TSO.0 | Self::TSO_ECN.0 | Self::GSO_UDP_L4.0);

    /// Whether all of `other` are in it.
    #[inline(always)]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without `other`.
    #[inline]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// `netdev_fix_features`: takes out what makes no sense without something that is off.
    #[must_use]
    pub fn fixed(self) -> Self {
        let mut fixed = self;
        if !fixed.contains(Self::SG) {
            fixed = fixed.without(Self::TSO.with(Self::TSO_ECN).with(Self::GSO));
        }
        if !fixed.contains(Self::HW_CSUM) {
            fixed = fixed.without(Self::GSO_MASK);
        }
        // `igb_fix_features`: igb takes tags off and puts them on, or neither.
        if fixed.contains(Self::VLAN_CTAG_RX) {
            fixed.with(Self::VLAN_CTAG_TX)
        } else {
            fixed.without(Self::VLAN_CTAG_TX)
        }
    }

    fn of(feature: Feature) -> Option<Self> {
        Some(match feature {
            Feature::Rx => Self::RXCSUM,
            Feature::Tx => Self::HW_CSUM,
            Feature::Sg => Self::SG,
            Feature::Tso => Self::TSO,
            Feature::Gso => Self::GSO,
            Feature::Gro => Self::GRO,
            Feature::TxUdpSegmentation => Self::GSO_UDP_L4,
            Feature::TxVlan => Self::VLAN_CTAG_TX,
            Feature::RxVlan => Self::VLAN_CTAG_RX,
            Feature::Rxhash => return None,
        })
    }
}

/// The kernel's names, in the order of its bits.
const NAMES: [(Features, &str); 9] = [
    (Features::SG, "tx-scatter-gather"),
    (Features::HW_CSUM, "tx-checksum-ip-generic"),
    (Features::VLAN_CTAG_TX, "tx-vlan-hw-insert"),
    (Features::VLAN_CTAG_RX, "rx-vlan-hw-parse"),
    (Features::GSO, "tx-generic-segmentation"),
    (Features::GRO, "rx-gro"),
    (Features::TSO, "tx-tcp-segmentation"),
    (Features::GSO_UDP_L4, "tx-udp-segmentation"),
    (Features::RXCSUM, "rx-checksum"),
];

/// How `ethtool -k` lists them: the group's name, and the kernel's name indented below where it shows one.
const GROUPS: [(Features, &str, Option<&str>); 9] = [
    (Features::RXCSUM, "rx-checksumming", None),
    (Features::HW_CSUM, "tx-checksumming", Some("tx-checksum-ip-generic")),
    (Features::SG, "scatter-gather", Some("tx-scatter-gather")),
    (Features::TSO, "tcp-segmentation-offload", Some("tx-tcp-segmentation")),
    (Features::GSO, "generic-segmentation-offload", None),
    (Features::GRO, "generic-receive-offload", None),
    (Features::VLAN_CTAG_RX, "rx-vlan-offload", None),
    (Features::VLAN_CTAG_TX, "tx-vlan-offload", None),
    (Features::GSO_UDP_L4, "tx-udp-segmentation", None),
];

/// The features of a device: what was asked for, and what of it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceFeatures {
    wanted: Features,
    active: Features,
}

impl DeviceFeatures {
    /// All of `offered` on.
    #[must_use]
    pub fn new(offered: Features) -> Self {
        Self { wanted: offered, active: offered.fixed() }
    }

    /// `dev->features`.
    #[inline(always)]
    #[must_use]
    pub fn active(&self) -> Features {
        self.active
    }

    /// `ethtool -K`: switches features, and gives what the tool prints: nothing when all is as asked and nothing else
    /// changed.
    ///
    /// # Errors
    /// With what the tool prints when something was asked for and nothing could be changed; or the name of a feature that
    /// cannot be switched here.
    pub fn change(&mut self, asked: &[(Feature, bool)]) -> Result<String, String> {
        let (mut mask, mut value) = (Features::default(), Features::default());
        for &(feature, on) in asked {
            let Some(bit) = Features::of(feature) else { return Err(format!("{feature:?}: not supported")) };
            mask = mask.with(bit);
            value = if on { value.with(bit) } else { value.without(bit) };
        }
        let before = self.active;
        self.wanted = self.wanted.without(mask).with(value);
        self.active = self.wanted.fixed();
        let expected = before.without(mask).with(value);
        if self.active == expected {
            return Ok(String::new());
        }
        let mut text = String::from("Actual changes:\n");
        for (bit, name) in NAMES {
            let (is, was) = (self.active.contains(bit), before.contains(bit));
            let as_expected = is == expected.contains(bit);
            let note = match (mask.contains(bit), as_expected) {
                (true, false) => {
                    if is {
                        " [requested off]"
                    } else {
                        " [requested on]"
                    }
                }
                (false, false) => " [not requested]",
                (..) if is == was => continue,
                _ => "",
            };
            text += &format!("{name}: {}{note}\n", on_off(is));
        }
        if self.active == before {
            return Err(text + "Could not change any device features");
        }
        Ok(text)
    }

    /// `ethtool -k`: the features that the stack knows.
    #[must_use]
    pub fn show(&self, device: &str) -> String {
        let mut text = format!("Features for {device}:\n");
        for (bit, group, name) in GROUPS {
            let (is, wanted) = (self.active.contains(bit), self.wanted.contains(bit));
            let note = match (is, wanted) {
                (false, true) => " [requested on]",
                (true, false) => " [requested off]",
                _ => "",
            };
            text += &format!("{group}: {}{}\n", on_off(is), if name.is_none() { note } else { "" });
            if let Some(name) = name {
                text += &format!("\t{name}: {}{note}\n", on_off(is));
            }
        }
        text
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::ethtool::EthtoolCommand;
    use rstest::rstest;

    fn asked(words: &str) -> alloc::vec::Vec<(Feature, bool)> {
        let text = format!("ethtool -K eth0 {words}");
        let words: alloc::vec::Vec<&str> = text.split(' ').collect();
        match crate::control::parse(&words) {
            Ok(crate::control::Command::Ethtool(EthtoolCommand::Features(list))) => list,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// What ethtool 6.1 printed for a veth pair on Linux 6.18, without the names that an igb or this stack do not have.
    #[rstest]
    #[case::without_gathering_no_large_packets(
        "sg off",
        Ok(
            "Actual changes:\ntx-scatter-gather: off\ntx-generic-segmentation: off [not requested]\n\
            tx-tcp-segmentation: off [not requested]\n"
        )
    )]
    #[case::they_come_back_with_it(
        "sg off; sg on",
        Ok(
            "Actual changes:\ntx-scatter-gather: on\ntx-generic-segmentation: on [not requested]\n\
            tx-tcp-segmentation: on [not requested]\n"
        )
    )]
    #[case::without_checksums_the_device_cuts_nothing(
        "tx off",
        Ok(
            "Actual changes:\ntx-checksum-ip-generic: off\ntx-tcp-segmentation: off [not requested]\n\
            tx-udp-segmentation: off [not requested]\n"
        )
    )]
    #[case::tso_alone("tso off", Ok(""))]
    #[case::tso_that_is_off_already("tso off; tso off", Ok(""))]
    #[case::gso_without_gathering(
        "sg off; gso on",
        Err(
            "Actual changes:\ntx-generic-segmentation: off [requested on]\nCould not change any device features"
        )
    )]
    #[case::udp_without_checksums(
        "tx-udp-segmentation off; tx off; tx-udp-segmentation on",
        Err(
            "Actual changes:\ntx-udp-segmentation: off [requested on]\nCould not change any device features"
        )
    )]
    #[case::all_of_it_at_once("sg off; gso on tso on sg on", Ok(""))]
    #[case::tags_are_left_and_not_put_on_either(
        "rxvlan off",
        Ok("Actual changes:\ntx-vlan-hw-insert: off [not requested]\nrx-vlan-hw-parse: off\n")
    )]
    #[case::tags_cannot_be_taken_off_alone(
        "txvlan off",
        Err("Actual changes:\ntx-vlan-hw-insert: on [requested off]\nCould not change any device features")
    )]
    #[case::gro("gro off", Ok(""))]
    fn a_change_takes_along_what_depends_on_it(#[case] changes: &str, #[case] last: Result<&str, &str>) {
        let mut features = DeviceFeatures::new(Features::IGB);
        let printed = changes.split("; ").map(|words| features.change(&asked(words))).last();
        assert_eq!(printed.as_ref().map(|said| said.as_deref().map_err(String::as_str)), Some(last));
    }

    #[test]
    fn the_listing_says_what_was_asked_for_and_is_not_on() {
        let mut features = DeviceFeatures::new(Features::IGB);
        assert!(features.change(&asked("tx off gro off")).is_ok());
        assert_eq!(
            features.show("eth0"),
            "Features for eth0:\nrx-checksumming: on\ntx-checksumming: off\n\ttx-checksum-ip-generic: off\n\
             scatter-gather: on\n\ttx-scatter-gather: on\n\
             tcp-segmentation-offload: off\n\ttx-tcp-segmentation: off [requested on]\n\
             generic-segmentation-offload: on\ngeneric-receive-offload: off\n\
             rx-vlan-offload: on\ntx-vlan-offload: on\n\
             tx-udp-segmentation: off [requested on]\n"
        );
    }
}
