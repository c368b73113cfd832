//! Interrupt moderation: how long a vector stays silent after an interrupt, adapted to the traffic (`igb_set_itr`,
//! `igb_update_ring_itr`; Linux 6.12). A value is the interval in µs times four, as in EITR.

/// About 6,200 interrupts a second: where a vector starts.
pub(super) const START: u16 = 648;
const RATE_4K: u16 = 980;
const RATE_20K: u16 = 196;
const RATE_70K: u16 = 56;
/// The bits of EITR that hold the interval.
const MASK: u16 = 0x7FFC;
/// `rx_usecs` up to this one are modes, not microseconds.
pub(super) const LAST_MODE: u16 = 3;
/// The default mode: dynamic, and never above 20,000 interrupts a second.
pub(super) const CONSERVATIVE: u16 = 3;

/// What kind of traffic a direction has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Latency {
    #[default]
    Lowest,
    Low,
    Bulk,
}

/// One direction of a vector: what came since the interval was last chosen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) packets: u32,
    pub(super) bytes: u32,
    latency: Latency,
}

impl Traffic {
    /// Adds what one cleaning did.
    #[inline]
    pub(super) fn add(&mut self, packets: u32, bytes: u32) {
        self.packets = self.packets.saturating_add(packets);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn average(&self) -> u32 {
        self.bytes.checked_div(self.packets).unwrap_or(0)
    }

    /// `igb_update_itr`: moves between the kinds, and forgets what was counted.
    fn classify(&mut self) {
        if self.packets == 0 {
            return;
        }
        let (packets, bytes) = (self.packets, self.bytes);
        self.latency = match self.latency {
            // Few bytes: no average is large.
            Latency::Lowest if bytes <= 512 => Latency::Lowest,
            Latency::Low if bytes < 512 && packets <= 2 => Latency::Lowest,
            Latency::Low if bytes <= 2000 => Latency::Low,
            _ => self.classify_many(),
        };
        self.clear();
    }

    fn classify_many(&self) -> Latency {
        let (packets, bytes, average) = (self.packets, self.bytes, self.average());
        match self.latency {
            Latency::Lowest if average > 8000 => Latency::Bulk,
            Latency::Lowest if packets < 5 && bytes > 512 => Latency::Low,
            Latency::Low if bytes > 10_000 => match () {
                () if average > 8000 || packets < 10 || average > 1200 => Latency::Bulk,
                () if packets > 35 => Latency::Lowest,
                () => Latency::Low,
            },
            Latency::Low if average > 2000 => Latency::Bulk,
            Latency::Low if packets <= 2 && bytes < 512 => Latency::Lowest,
            Latency::Bulk if bytes > 25_000 && packets > 35 => Latency::Low,
            Latency::Bulk if bytes < 1500 => Latency::Low,
            same => same,
        }
    }

    fn clear(&mut self) {
        self.packets = 0;
        self.bytes = 0;
    }
}

/// The moderation of one vector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Itr {
    setting: u16,
    value: u16,
    dirty: bool,
    pub(super) rx: Traffic,
    pub(super) tx: Traffic,
}

impl Itr {
    /// For `rx_usecs` as `ethtool -C` takes it: 0 off, 1 dynamic, 3 dynamic conservative, else microseconds.
    pub(super) fn new(rx_usecs: u16) -> Self {
        let dynamic = rx_usecs != 0 && rx_usecs <= LAST_MODE;
        let setting = if dynamic { rx_usecs } else { rx_usecs << 2 };
        let value = if dynamic { START } else { setting };
        Self { setting, value, dirty: true, rx: Traffic::default(), tx: Traffic::default() }
    }

    /// The register must be written anew: the device was reset.
    pub(super) fn set_dirty(&mut self) {
        self.dirty = true;
    }

    /// The value for EITR, when it has to be written (`igb_write_itr`); asked once a change.
    #[inline]
    pub(super) fn take_value(&mut self) -> Option<u16> {
        core::mem::take(&mut self.dirty).then_some(match self.value & MASK {
            0 => 4,
            value => value,
        })
    }

    /// Chooses the interval anew at the end of a poll; `only_vector`: there is one queue vector, which Linux treats apart.
    pub(super) fn update(&mut self, gigabit: bool, only_vector: bool) {
        if self.setting & 3 == 0 {
            return;
        }
        let value = if only_vector { self.by_latency(gigabit) } else { self.by_frame_size(gigabit) };
        if let Some(value) = value.filter(|&value| value != self.value) {
            self.value = value;
            self.dirty = true;
        }
    }

    fn by_latency(&mut self, gigabit: bool) -> Option<u16> {
        if !gigabit {
            return Some(RATE_4K);
        }
        self.tx.classify();
        self.rx.classify();
        let latency = self.tx.latency.max(self.rx.latency);
        let conservative = self.setting == CONSERVATIVE;
        Some(match latency {
            Latency::Lowest if !conservative => RATE_70K,
            Latency::Lowest | Latency::Low => RATE_20K,
            Latency::Bulk => RATE_4K,
        })
    }

    fn by_frame_size(&mut self, gigabit: bool) -> Option<u16> {
        let average = self.rx.average().max(self.tx.average());
        self.rx.clear();
        self.tx.clear();
        if !gigabit {
            return Some(RATE_4K);
        }
        if average == 0 {
            return None;
        }
        let wire = (average + 24).min(3000) as u16;
        let value = if (301..1200).contains(&wire) { wire / 3 } else { wire / 2 };
        Some(if self.setting == CONSERVATIVE { value.max(RATE_20K) } else { value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::off_is_the_shortest_interval(0, 4)]
    #[case::dynamic_starts_at_162_us(3, 648)]
    #[case::fifty_microseconds(50, 200)]
    fn rx_usecs_become_an_interval(#[case] rx_usecs: u16, #[case] eitr: u16) {
        let mut itr = Itr::new(rx_usecs);
        assert_eq!((itr.take_value(), itr.take_value()), (Some(eitr), None));
    }

    #[rstest]
    #[case::a_trickle_of_small_frames(&[(1, 60)], 196)]
    #[case::a_few_large_frames(&[(4, 4 * 1514)], 196)]
    #[case::then_many_of_them(&[(4, 4 * 1514), (12, 12 * 1514)], 980)]
    #[case::and_calm_again(&[(4, 4 * 1514), (12, 12 * 1514), (10, 1000)], 196)]
    fn one_vector_follows_the_kind_of_traffic(#[case] polls: &[(u32, u32)], #[case] eitr: u16) {
        let mut itr = Itr::new(CONSERVATIVE);
        for &(packets, bytes) in polls {
            itr.rx.add(packets, bytes);
            itr.update(true, true);
        }
        assert_eq!(itr.value, eitr);
    }

    #[test]
    fn mode_1_goes_to_70_000_interrupts_a_second() {
        let mut itr = Itr::new(1);
        itr.rx.add(1, 60);
        itr.update(true, true);
        assert_eq!(itr.value, 56);
    }

    /// Linux 6.12 `igb_update_ring_itr`: size plus 24; a third between 300 and 1200, else half; at least 196 in conservative mode.
    #[rstest]
    #[case::small(60, 196)]
    #[case::medium(900, 308)]
    #[case::full(1514, 769)]
    #[case::capped(9000, 1500)]
    fn several_vectors_follow_the_frame_size(#[case] size: u32, #[case] eitr: u16) {
        let mut itr = Itr::new(CONSERVATIVE);
        itr.rx.add(10, 10 * size);
        itr.update(true, false);
        assert_eq!(itr.value, eitr);
    }

    #[test]
    fn below_a_gigabit_the_interval_is_245_us() {
        let mut itr = Itr::new(CONSERVATIVE);
        itr.update(false, true);
        assert_eq!(itr.value, 980);
    }
}
