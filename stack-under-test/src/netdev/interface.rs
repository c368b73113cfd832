//! `eth0`: the driver, its queues, the qdisc before them, and what is counted above the driver.

use super::NetdevQueue;
use super::features::{DeviceFeatures, Features};
use super::pick::XpsMaps;
use super::qdisc::{QdiscDevice, Qdiscs};
use crate::drivers::igb::{Igb, MAX_QUEUE_PAIRS};
use crate::skb::Skb;
use crate::wire::Mac;
use crate::wire::ethernet::ETH_P_IP;
use alloc::vec::Vec;

/// The device under test, as the layers above the driver see it.
#[derive(Debug)]
pub struct Interface {
    /// The driver.
    pub igb: Igb,
    /// One a transmit queue that there can be (`num_tx_queues`).
    pub queues: Vec<NetdevQueue>,
    /// Transmit queues in use.
    pub(crate) real_num_tx_queues: usize,
    /// `IFF_RXFH_CONFIGURED`: an administrator wrote the indirection table.
    pub(crate) rxfh_configured: bool,
    /// Which CPU, or which connection by its receive queue, sends by which queue.
    pub(crate) xps: XpsMaps,
    /// The key of the flow hash: a secret of this boot.
    pub(crate) hash_key: u64,
    /// The qdiscs.
    pub qdisc: Qdiscs,
    /// Frames that the driver handed up in the poll that runs.
    pub(crate) rx: Vec<Skb>,
    /// The address, with the ethertype of IPv4 behind it: how the Ethernet header of what is sent ends.
    hh: [u8; 8],
    /// The largest IP packet, in bytes.
    pub mtu: u32,
    /// IFF_UP.
    pub up: bool,
    /// Up with carrier: packets are taken (`dev_activate`).
    pub(crate) active: bool,
    /// What the device takes over (`ethtool -K`).
    pub(crate) features: DeviceFeatures,
    /// Active, the device gathers and adds up checksums, has one queue and no VLAN device above it: a packet that is not large
    /// goes to the driver as it is.
    pub(crate) plain: bool,
    /// There is or was a VLAN device above: a packet may carry a tag.
    pub(crate) has_vlans: bool,
    /// Active, the device has one queue and no VLAN device above it, and its packets get their checksums here.
    pub(crate) sums_missing: bool,
    /// Transmit queues, a bit each, of which a run of the qdisc was asked for in NET_TX.
    pub(crate) scheduled: u32,
    /// `txqueuelen`.
    pub tx_queue_len: u32,
    /// `rx_dropped` of the core: frames that nobody handles.
    pub rx_dropped: u64,
    /// Frames for another station (they are not in `rx_dropped` since Linux 5.19).
    pub rx_otherhost_dropped: u64,
    /// `tx_dropped` of the core.
    pub tx_dropped: u64,
    /// How often the interrupt of each vector was taken.
    pub(crate) interrupts: [u64; VECTORS],
}

/// Vectors of which interrupts are counted: one for each queue pair, and the one of what belongs to no queue.
pub(crate) const VECTORS: usize = MAX_QUEUE_PAIRS as usize + 1;

/// DEFAULT_TX_QUEUE_LEN, in packets.
pub const DEFAULT_TX_QUEUE_LEN: u32 = 1000;

fn header_end(mac: Mac) -> [u8; 8] {
    let ([a, b, c, d, e, f], [g, h]) = (mac, ETH_P_IP.to_be_bytes());
    [a, b, c, d, e, f, g, h]
}

impl Interface {
    /// The address.
    #[inline]
    #[must_use]
    pub fn mac(&self) -> Mac {
        let [mac @ .., _, _] = self.hh;
        mac
    }

    /// Sets the address that frames are sent from.
    pub(crate) fn set_mac(&mut self, mac: Mac) {
        self.hh = header_end(mac);
    }

    /// The last eight bytes of the Ethernet header of an IPv4 packet that is sent.
    #[inline(always)]
    pub(crate) fn header_end(&self) -> &[u8; 8] {
        &self.hh
    }

    /// The interface of a driver, down, with the default qdisc; `hash_key` is the secret of its flow hash.
    pub(crate) fn new(igb: Igb, hash_key: u64) -> Self {
        let mtu = igb.mtu();
        let real_num_tx_queues = usize::from(igb.queue_pairs());
        let mut queues = Vec::new();
        queues.resize_with(usize::from(MAX_QUEUE_PAIRS), NetdevQueue::default);
        Self {
            hh: header_end(igb.mac()),
            qdisc: Qdiscs::new(QdiscDevice {
                num_tx_queues: usize::from(MAX_QUEUE_PAIRS),
                tx_queues: real_num_tx_queues,
                tx_queue_len: DEFAULT_TX_QUEUE_LEN,
                mtu,
            }),
            igb,
            queues,
            real_num_tx_queues,
            rxfh_configured: false,
            xps: XpsMaps::default(),
            hash_key,
            rx: Vec::new(),
            mtu,
            up: false,
            active: false,
            features: DeviceFeatures::new(Features::IGB),
            plain: false,
            has_vlans: false,
            sums_missing: false,
            scheduled: 0,
            tx_queue_len: DEFAULT_TX_QUEUE_LEN,
            rx_dropped: 0,
            rx_otherhost_dropped: 0,
            tx_dropped: 0,
            interrupts: [0; VECTORS],
        }
    }

    /// `dev->features`.
    #[inline(always)]
    pub(crate) fn has(&self, features: Features) -> bool {
        self.features.active().contains(features)
    }

    /// Brings `plain` and `sums_missing` up to date.
    pub(crate) fn update_plain(&mut self) {
        let gathers = self.has(Features::SG.with(Features::HW_CSUM));
        let simple = self.active && self.real_num_tx_queues == 1 && !self.has_vlans;
        self.plain = simple && gathers;
        self.sums_missing = simple && !self.has(Features::HW_CSUM);
    }
}
