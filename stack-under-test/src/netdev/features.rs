//! What the device takes over, and what of that is switched on: `netdev_features_t`, `netdev_fix_features`, and the words of
//! `ethtool -K` and `-k` (Linux 6.12; texts of ethtool 6.1).

mod rows;

pub use rows::named;

use crate::control::ethtool::Feature;
use alloc::format;
use alloc::string::String;
use rows::{GROUPS, Is, ROWS, Row};

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

    /// Whether a feature is on, of these.
    fn has(self, is: Is) -> bool {
        match is {
            Is::Bit(bit) => self.contains(bit),
            Is::On => true,
            Is::Off => false,
        }
    }
}

/// Whether a word of `ethtool -K` means this feature: by its own name, or by that of its group.
fn means(feature: Feature, (name, group, _): &Row) -> bool {
    match feature {
        Feature::Rx => *name == "rx-checksum",
        Feature::Tx => *group == "tx-checksumming",
        Feature::Sg => *group == "scatter-gather",
        Feature::Tso => *group == "tcp-segmentation-offload",
        Feature::Gso => *name == "tx-generic-segmentation",
        Feature::Gro => *name == "rx-gro",
        Feature::TxUdpSegmentation => *name == "tx-udp-segmentation",
        Feature::TxVlan => *name == "tx-vlan-hw-insert",
        Feature::RxVlan => *name == "rx-vlan-hw-parse",
        Feature::Rxhash => *name == "rx-hashing",
        Feature::Lro => *name == "rx-lro",
        Feature::Ntuple => *name == "rx-ntuple-filter",
        Feature::Named(own) => *name == own,
    }
}

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
    /// changed. A group stands for all of its features, also for those that cannot be switched.
    ///
    /// # Errors
    /// With what the tool prints when nothing of what was asked for could be done.
    pub fn change(&mut self, asked: &[(Feature, bool)]) -> Result<String, String> {
        let requested =
            |row: &Row| asked.iter().rev().find(|(feature, _)| means(*feature, row)).map(|(_, on)| *on);
        let before = self.active;
        for row in &ROWS {
            if let (Is::Bit(bit), Some(on)) = (row.2, requested(row)) {
                self.wanted = if on { self.wanted.with(bit) } else { self.wanted.without(bit) };
            }
        }
        self.active = self.wanted.fixed();
        let (mut text, mut all_in_vain, mut as_asked) = (String::new(), true, true);
        for row in &ROWS {
            let (is, was) = (self.active.has(row.2), before.has(row.2));
            let note = match requested(row) {
                Some(on) if on != is => {
                    as_asked = false;
                    if on { " [requested on]" } else { " [requested off]" }
                }
                Some(_) => {
                    all_in_vain = false;
                    if is == was {
                        continue;
                    }
                    ""
                }
                None if is == was => continue,
                None => {
                    as_asked = false;
                    " [not requested]"
                }
            };
            text += &format!("{}: {}{note}\n", row.0, on_off(is));
        }
        if as_asked {
            return Ok(String::new());
        }
        text.insert_str(0, "Actual changes:\n");
        if all_in_vain { Err(text + "Could not change any device features") } else { Ok(text) }
    }

    /// `ethtool -k`: all features by group, then those that are in none.
    #[must_use]
    pub fn show(&self, device: &str) -> String {
        let mut text = format!("Features for {device}:\n");
        for group in GROUPS {
            let mut rows = ROWS.iter().filter(|row| row.1 == group);
            if let (Some(only), None) = (rows.next(), rows.next()) {
                text += &self.line("", group, only.2);
                continue;
            }
            let rows = || ROWS.iter().filter(|row| row.1 == group);
            text += &format!("{group}: {}\n", on_off(rows().any(|row| self.active.has(row.2))));
            rows().for_each(|row| text += &self.line("\t", row.0, row.2));
        }
        ROWS.iter().filter(|row| row.1.is_empty()).for_each(|row| text += &self.line("", row.0, row.2));
        text
    }

    fn line(&self, indent: &str, name: &str, is: Is) -> String {
        let note = match (is, self.active.has(is), self.wanted.has(is)) {
            (Is::On | Is::Off, ..) => " [fixed]",
            (_, false, true) => " [requested on]",
            (_, true, false) => " [requested off]",
            _ => "",
        };
        format!("{indent}{name}: {}{note}\n", on_off(self.active.has(is)))
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

    /// What ethtool 6.1 printed for a veth pair and for lo on Linux 6.18: without the names that only 6.18 has, and with those
    /// as fixed that an igb on this stack does not have.
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
            "Actual changes:\ntx-scatter-gather: on\ntx-scatter-gather-fraglist: off [requested on]\n\
            tx-generic-segmentation: on [not requested]\ntx-tcp-segmentation: on [not requested]\n"
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
    #[case::all_of_it_at_once(
        "sg off; gso on tso on sg on",
        Ok(
            "Actual changes:\ntx-scatter-gather: on\ntx-scatter-gather-fraglist: off [requested on]\n\
            tx-generic-segmentation: on\ntx-tcp-segmentation: on\ntx-tcp-ecn-segmentation: off [requested on]\n\
            tx-tcp-mangleid-segmentation: off [requested on]\ntx-tcp6-segmentation: off [requested on]\n"
        )
    )]
    #[case::one_that_is_fixed(
        "lro on",
        Err("Actual changes:\nrx-lro: off [requested on]\nCould not change any device features")
    )]
    #[case::one_that_is_fixed_on(
        "highdma off",
        Err("Actual changes:\nhighdma: on [requested off]\nCould not change any device features")
    )]
    #[case::two_that_are_fixed(
        "lro on rx-fcs on",
        Err(
            "Actual changes:\nrx-lro: off [requested on]\nrx-fcs: off [requested on]\n\
            Could not change any device features"
        )
    )]
    #[case::one_that_is_fixed_beside_one_that_is_not(
        "lro on gro off",
        Ok("Actual changes:\nrx-gro: off\nrx-lro: off [requested on]\n")
    )]
    #[case::one_that_is_fixed_beside_one_that_is_on_already(
        "lro on gro on",
        Ok("Actual changes:\nrx-lro: off [requested on]\n")
    )]
    #[case::one_that_is_fixed_as_it_is_asked_for("lro off", Ok(""))]
    #[case::by_the_kernels_name("tx-tcp-segmentation off", Ok(""))]
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
        let text = features.show("eth0");
        assert!(text.starts_with(
            "Features for eth0:\nrx-checksumming: on\ntx-checksumming: off\n\ttx-checksum-ipv4: off [fixed]\n\
             \ttx-checksum-ip-generic: off\n\ttx-checksum-ipv6: off [fixed]\n\ttx-checksum-fcoe-crc: off [fixed]\n\
             \ttx-checksum-sctp: off [fixed]\nscatter-gather: on\n\ttx-scatter-gather: on\n\
             \ttx-scatter-gather-fraglist: off [fixed]\ntcp-segmentation-offload: off\n\
             \ttx-tcp-segmentation: off [requested on]\n\ttx-tcp-ecn-segmentation: off [fixed]\n\
             \ttx-tcp-mangleid-segmentation: off [fixed]\n\ttx-tcp6-segmentation: off [fixed]\n\
             generic-segmentation-offload: on\ngeneric-receive-offload: off\nlarge-receive-offload: off [fixed]\n\
             rx-vlan-offload: on\ntx-vlan-offload: on\nntuple-filters: off [fixed]\nreceive-hashing: off [fixed]\n\
             highdma: on [fixed]\nrx-vlan-filter: on [fixed]\nvlan-challenged: off [fixed]\n"
        ), "{text}");
        assert!(text.contains("\ntx-udp-segmentation: off [requested on]\n"), "{text}");
        assert!(text.ends_with("\nhsr-dup-offload: off [fixed]\n"), "{text}");
    }
}
