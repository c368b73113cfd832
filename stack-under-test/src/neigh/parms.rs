//! The parameters of a neighbour table: `struct neigh_parms`, by the names of `/proc/sys/net/ipv4/neigh`.

use crate::time::Duration;

/// The parameters, with the defaults of Linux 6.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighParms {
    /// Broadcast requests before a neighbour has failed.
    pub mcast_solicit: u32,
    /// Unicast requests before a neighbour that was known has failed.
    pub ucast_solicit: u32,
    /// Requests to a user-space resolver; there is none, so they pass in silence.
    pub app_solicit: u32,
    /// Broadcast requests after the unicast ones to a neighbour that was known.
    pub mcast_resolicit: u32,
    /// Time between requests.
    pub retrans_time: Duration,
    /// The mean of the time for which a confirmed neighbour is taken to be reachable.
    pub base_reachable_time: Duration,
    /// Time for which a neighbour that may have gone is used before it is asked.
    pub delay_first_probe_time: Duration,
    /// Time without use after which an entry may be removed.
    pub gc_stale_time: Duration,
    /// Limit of the queue of packets that wait for one neighbour, in bytes of `truesize`.
    pub unres_qlen_bytes: u64,
    /// Time for which an address that was learnt is not given up for another (gratuitous ARP excepted).
    pub locktime: Duration,
    /// Entries below which nothing is removed.
    pub gc_thresh1: u32,
    /// Entries above which those not updated for 5 s are removed.
    pub gc_thresh2: u32,
    /// Entries at most.
    pub gc_thresh3: u32,
    /// `arp_ignore`: only 0 (answer for any address of this host) is supported.
    pub arp_ignore: u8,
    /// `arp_announce`: only 0 (the source of the waiting packet) is supported.
    pub arp_announce: u8,
}

impl Default for NeighParms {
    fn default() -> Self {
        Self {
            mcast_solicit: 3,
            ucast_solicit: 3,
            app_solicit: 0,
            mcast_resolicit: 0,
            retrans_time: Duration::from_secs(1),
            base_reachable_time: Duration::from_secs(30),
            delay_first_probe_time: Duration::from_secs(5),
            gc_stale_time: Duration::from_secs(60),
            unres_qlen_bytes: 212_992,
            locktime: Duration::from_secs(1),
            gc_thresh1: 128,
            gc_thresh2: 512,
            gc_thresh3: 1024,
            arp_ignore: 0,
            arp_announce: 0,
        }
    }
}

/// The value of `unres_qlen` in packets is converted with this many bytes: `SKB_TRUESIZE(ETH_FRAME_LEN)`, x86-64
/// (3 packets are 6270 bytes: measured on Linux 6.12).
pub const UNRES_QLEN_PACKET_BYTES: u64 = 2090;

fn millis(value: u64) -> Duration {
    // No timer lasts longer than Linux's longest, 2^31 ms.
    Duration::from_millis(value.min(1 << 31))
}

fn count(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl NeighParms {
    /// Sets the parameter that has this name in `/proc/sys/net/ipv4/neigh/eth0` or `…/default`; `false` if there is none.
    /// Units are those of the file.
    pub fn set(&mut self, name: &str, value: u64) -> bool {
        match name {
            "mcast_solicit" => self.mcast_solicit = count(value),
            "ucast_solicit" => self.ucast_solicit = count(value),
            "app_solicit" => self.app_solicit = count(value),
            "mcast_resolicit" => self.mcast_resolicit = count(value),
            "retrans_time_ms" => self.retrans_time = millis(value),
            "base_reachable_time_ms" => self.base_reachable_time = millis(value),
            "base_reachable_time" => self.base_reachable_time = millis(value.saturating_mul(1000)),
            "delay_first_probe_time" => self.delay_first_probe_time = millis(value.saturating_mul(1000)),
            "gc_stale_time" => self.gc_stale_time = millis(value.saturating_mul(1000)),
            "unres_qlen_bytes" => self.unres_qlen_bytes = value,
            "unres_qlen" => self.unres_qlen_bytes = value.saturating_mul(UNRES_QLEN_PACKET_BYTES),
            // In ticks of USER_HZ, 10 ms.
            "locktime" => self.locktime = millis(value.saturating_mul(10)),
            "gc_thresh1" => self.gc_thresh1 = count(value),
            "gc_thresh2" => self.gc_thresh2 = count(value),
            "gc_thresh3" => self.gc_thresh3 = count(value),
            _ => return false,
        }
        true
    }

    /// The value of a parameter by its name, in the unit of its file; `None` if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Some(match name {
            "mcast_solicit" => self.mcast_solicit.into(),
            "ucast_solicit" => self.ucast_solicit.into(),
            "app_solicit" => self.app_solicit.into(),
            "mcast_resolicit" => self.mcast_resolicit.into(),
            "retrans_time_ms" => millis(self.retrans_time),
            "base_reachable_time_ms" => millis(self.base_reachable_time),
            "base_reachable_time" => self.base_reachable_time.as_secs(),
            "delay_first_probe_time" => self.delay_first_probe_time.as_secs(),
            "gc_stale_time" => self.gc_stale_time.as_secs(),
            "unres_qlen_bytes" => self.unres_qlen_bytes,
            "unres_qlen" => self.unres_qlen_bytes / UNRES_QLEN_PACKET_BYTES,
            "locktime" => millis(self.locktime) / 10,
            "gc_thresh1" => self.gc_thresh1.into(),
            "gc_thresh2" => self.gc_thresh2.into(),
            "gc_thresh3" => self.gc_thresh3.into(),
            _ => return None,
        })
    }

    /// `neigh_rand_reach_time`: between half and one and a half of the base. `random` is uniform in all of its bits.
    #[must_use]
    pub fn reachable_time(&self, random: u32) -> Duration {
        let base = u64::try_from(self.base_reachable_time.as_nanos()).unwrap_or(u64::MAX);
        let part = (u128::from(base) * u128::from(random)) >> 32;
        Duration::from_nanos((base / 2).saturating_add(part as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::the_least(0, 15_000)]
    #[case::the_middle(1 << 31, 30_000)]
    #[case::the_most(u32::MAX, 44_999)]
    fn reachable_time_lies_around_its_base(#[case] random: u32, #[case] millis: u128) {
        assert_eq!(NeighParms::default().reachable_time(random).as_millis(), millis);
    }

    /// The values of a fresh namespace of Linux 6.18.
    #[rstest]
    #[case("mcast_solicit", 3)]
    #[case("ucast_solicit", 3)]
    #[case("app_solicit", 0)]
    #[case("mcast_resolicit", 0)]
    #[case("retrans_time_ms", 1000)]
    #[case("base_reachable_time_ms", 30000)]
    #[case("delay_first_probe_time", 5)]
    #[case("gc_stale_time", 60)]
    #[case("unres_qlen_bytes", 212_992)]
    #[case("locktime", 100)]
    fn a_default_is_linuxs(#[case] name: &str, #[case] value: u64) {
        let mut parms = NeighParms::default();
        assert_eq!(parms.get(name), Some(value));
        assert!(parms.set(name, value + 7));
        assert_eq!(parms.get(name), Some(value + 7));
    }

    #[test]
    fn a_limit_in_packets_is_one_in_bytes() {
        let mut parms = NeighParms::default();
        assert_eq!(parms.get("unres_qlen"), Some(101));
        assert!(parms.set("unres_qlen", 3));
        assert_eq!(parms.unres_qlen_bytes, 6270);
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let mut parms = NeighParms::default();
        assert!(!parms.set("no_such", 1));
        assert_eq!(parms.get("no_such"), None);
    }
}
