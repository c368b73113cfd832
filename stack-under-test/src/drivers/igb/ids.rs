//! Which devices there are, and where they differ (Linux 6.12 `igb_pci_tbl`, `igb_get_max_rss_queues`, `igb_write_ivar`). Only the
//! 82576 has been driven, on two emulators; the others are named, and untested.

/// The vendor of all of them: Intel.
pub const VENDOR: u16 = 0x8086;
/// An 82576 with a copper port.
pub const DEV_ID_82576: u16 = 0x10C9;

/// How the registers that route queues to vectors lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ivar {
    /// Register `queue & 7`, the upper half for queues from 8 on.
    ColumnMajor,
    /// Register `queue >> 1`, the upper half for odd queues.
    RowMajor,
}

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac {
    /// As the datasheet calls it.
    pub name: &'static str,
    /// The most queue pairs that Linux spreads received packets over.
    pub max_rss_queues: u16,
    /// Receive address registers.
    pub(super) rar_entries: u32,
    pub(super) ivar: Ivar,
    /// Whether it was driven by this driver.
    pub tested: bool,
}

const I82576: Mac =
    Mac { name: "82576", max_rss_queues: 8, rar_entries: 24, ivar: Ivar::ColumnMajor, tested: true };
const I350: Mac =
    Mac { name: "I350", max_rss_queues: 8, rar_entries: 32, ivar: Ivar::RowMajor, tested: false };
const I210: Mac =
    Mac { name: "I210", max_rss_queues: 4, rar_entries: 16, ivar: Ivar::RowMajor, tested: false };

/// By device id. Media other than copper are not here: their link is another.
const TABLE: [(u16, &Mac); 6] = [
    (DEV_ID_82576, &I82576),
    (0x10E8, &I82576),
    (0x1526, &I82576),
    (0x1521, &I350),
    (0x1533, &I210),
    (0x157B, &I210),
];

/// The kind of a device id; `None` where the driver has none.
#[must_use]
pub fn mac_of(device: u16) -> Option<&'static Mac> {
    TABLE.iter().find(|(id, _)| *id == device).map(|(_, mac)| *mac)
}

impl Mac {
    /// Where queue `q`'s entry is: the register, from the first, and the place of its receive byte; transmit is the byte above.
    pub(super) fn ivar_of(&self, q: u32) -> (u32, u32) {
        match self.ivar {
            Ivar::ColumnMajor => (q & 7, if q < 8 { 0 } else { 16 }),
            Ivar::RowMajor => (q >> 1, 16 * (q & 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// By the table of section 2.2 of the facts sheet.
    #[rstest]
    #[case::the_82576s_first(DEV_ID_82576, 0, (0, 0))]
    #[case::the_82576s_second_stands_in_the_next_register(DEV_ID_82576, 1, (1, 0))]
    #[case::the_82576s_ninth_stands_above_the_first(DEV_ID_82576, 8, (0, 16))]
    #[case::the_i350s_second_stands_above_the_first(0x1521, 1, (0, 16))]
    #[case::the_i210s_fourth(0x1533, 3, (1, 16))]
    fn a_queue_has_its_place(#[case] device: u16, #[case] q: u32, #[case] place: (u32, u32)) {
        assert_eq!(mac_of(device).map(|mac| mac.ivar_of(q)), Some(place));
    }

    /// By `igb_get_max_rss_queues` and the datasheets' counts of RAL; what nobody has driven says so.
    #[rstest]
    #[case::the_82576(DEV_ID_82576, "82576", (8, 24), true)]
    #[case::the_i350(0x1521, "I350", (8, 32), false)]
    #[case::the_i210(0x1533, "I210", (4, 16), false)]
    fn a_kind_has_its_limits(
        #[case] device: u16,
        #[case] name: &str,
        #[case] limits: (u16, u32),
        #[case] tested: bool,
    ) {
        let mac = mac_of(device).expect("it is in the table");
        assert_eq!((mac.name, mac.tested), (name, tested));
        assert_eq!((mac.max_rss_queues, mac.rar_entries), limits);
    }

    #[test]
    fn a_device_of_another_driver_is_not_known() {
        assert_eq!(mac_of(0x100E), None);
    }
}
