//! `netdev_pick_tx`: by which transmit queue a packet leaves: that of the CPU that sends (XPS), else that of its flow's hash
//! (Linux 6.12, `net/core/dev.c`).

use crate::drivers::igb::MAX_QUEUE_PAIRS;
use crate::errno::Errno;
use crate::route::OifId;
use crate::skb::{Charge, Skb};
use crate::socket::SocketTable;
use crate::stack::Stack;
use crate::wire::ethernet::ETH_P_IP;
use crate::wire::ipv4::{IPPROTO_TCP, IPPROTO_UDP};
use crate::wire::tcp::{FIN, RST, SYN};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Transmit packet steering: for each CPU, or each receive queue, the queues that it may use, in the order in which they were
/// given to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xps {
    queues_of: BTreeMap<u8, Vec<u16>>,
}

/// The two maps of a device: by the receive queue of a connection (`XPS_RXQS`), and by the CPU (`XPS_CPUS`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XpsMaps {
    pub(crate) rxqs: Xps,
    pub(crate) cpus: Xps,
}

impl Xps {
    /// Whether nobody has a queue.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues_of.is_empty()
    }

    /// `netif_set_xps_queue`: `queue` is for the CPUs (or receive queues) of `mask`, of which bit n is number n, and for no others.
    pub fn set(&mut self, queue: u16, mask: u64) {
        for cpu in 0..64 {
            let queues = self.queues_of.entry(cpu).or_default();
            let at = queues.iter().position(|&other| other == queue);
            match (mask >> cpu & 1 == 1, at) {
                (true, None) => queues.push(queue),
                (false, Some(at)) => drop(queues.swap_remove(at)),
                _ => {}
            }
        }
        self.queues_of.retain(|_, queues| !queues.is_empty());
    }

    /// `netif_reset_xps_queues_gt`: forgets queues from `first` on.
    pub fn reset_from(&mut self, first: u16) {
        (first..MAX_QUEUE_PAIRS).for_each(|queue| self.set(queue, 0));
    }

    /// The CPUs that send by `queue`, as the file `xps_cpus` has them; or the receive queues, as `xps_rxqs` does.
    #[must_use]
    pub fn mask(&self, queue: u16) -> u64 {
        let uses = |queues: &&Vec<u16>| queues.contains(&queue);
        self.queues_of.iter().filter(|(_, queues)| uses(queues)).map(|(cpu, _)| 1 << cpu).sum()
    }

    /// `__get_xps_queue_idx`: what the map has for a CPU or receive queue; among several the hash chooses.
    fn queue(&self, cpu: u8, hash: u32, count: usize) -> Option<usize> {
        let queues = self.queues_of.get(&cpu)?;
        let queue = match queues.as_slice() {
            [only] => *only,
            several => several[reciprocal_scale(hash, several.len())],
        };
        Some(usize::from(queue)).filter(|&queue| queue < count)
    }
}

/// Maps a hash evenly to `0..n`.
fn reciprocal_scale(hash: u32, n: usize) -> usize {
    ((u64::from(hash) * n as u64) >> 32) as usize
}

impl Stack {
    /// `netdev_core_pick_tx`: the transmit queue of a packet, which is also noted in it.
    pub(crate) fn netdev_core_pick_tx(&mut self, skb: &Skb) -> usize {
        let queue = if self.dev.real_num_tx_queues == 1 { 0 } else { self.netdev_pick_tx(skb) };
        self.skbs[skb].queue_mapping = queue as u16;
        queue
    }

    /// A connected socket keeps the queue of its first packet, so that its packets stay in order; a connection may have another as
    /// soon as no segment of it is on its way (`ooo_okay`). Anything else is picked anew.
    fn netdev_pick_tx(&mut self, skb: &Skb) -> usize {
        let count = self.dev.real_num_tx_queues;
        let connection = self.connection(skb);
        let owner = connection.or_else(|| self.connected_owner(skb));
        let charge = owner.map(|sk| self.skbs.charges[sk as usize]);
        let kept = charge.filter(|charge| connection.is_none() || charge.segments > 0);
        let remembered = kept.and_then(|charge| charge.tx_queue).map(usize::from);
        let queue = match remembered.filter(|&queue| queue < count) {
            Some(queue) => queue,
            None => self.pick_anew(skb, count),
        };
        if let Some(sk) = owner {
            self.skbs.charges[sk as usize].tx_queue = Some(queue as u16);
        }
        if let Some(sk) = connection
            && self.skbs[skb].charge == Charge::None
            && !self.skb_is_tcp_pure_ack(skb)
        {
            self.skbs.set_owner_segment(skb, sk);
        }
        queue
    }

    /// `get_xps_queue`, else `skb_tx_hash`.
    fn pick_anew(&mut self, skb: &Skb, count: usize) -> usize {
        self.trace_skb::<true>(skb, "netdev_pick_tx");
        let hash = self.skb_get_hash(skb);
        let rx_queue = self.sk_rx_queue_get(skb);
        let maps = &self.dev.xps;
        let by_rx_queue = rx_queue.and_then(|rx| maps.rxqs.queue(rx as u8, hash, count));
        let by_map = by_rx_queue.or_else(|| maps.cpus.queue(self.cpu, hash, count));
        if by_map.is_some() {
            self.trace_skb::<true>(skb, "get_xps_queue");
        }
        by_map.unwrap_or_else(|| {
            self.trace_skb::<true>(skb, "skb_tx_hash");
            reciprocal_scale(hash, count)
        })
    }

    /// The slot of the TCP socket that a segment is of.
    fn connection(&self, skb: &Skb) -> Option<u32> {
        let meta = &self.skbs[skb];
        let segment = matches!(meta.charge, Charge::None | Charge::Segment);
        Some(meta.sk).filter(|&sk| segment && (sk as usize) < self.skbs.charges.len())
    }

    /// `skb_is_tcp_pure_ack`: a segment of a connection that is neither data nor SYN, FIN or RST.
    fn skb_is_tcp_pure_ack(&self, skb: &Skb) -> bool {
        let meta = &self.skbs[skb];
        let start = usize::from(meta.network_header.wrapping_sub(meta.data_offset()));
        let bytes = self.skbs.linear(skb);
        let header = bytes.get(start..).filter(|ip| ip.len() >= 40);
        header.is_some_and(|ip| {
            let tcp = usize::from(ip[0] & 0xf) * 4;
            let length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
            let flags = ip.get(tcp + 13).copied().unwrap_or(0);
            let headers = tcp + ip.get(tcp + 12).map_or(0, |offset| usize::from(offset >> 4) * 4);
            length == headers && flags & (SYN | FIN | RST) == 0
        })
    }

    /// The socket that a datagram is charged to, if it is connected: one that holds its way out (`sk_dst_cache`).
    fn connected_owner(&self, skb: &Skb) -> Option<u32> {
        let meta = &self.skbs[skb];
        let sk = (meta.charge == Charge::Wmem).then_some(meta.sk)?;
        let socket = self.sockets.get(SocketTable::fd(sk)).ok()?;
        socket.peer.map(|_| sk)
    }

    /// `sk_rx_queue_get`: the receive queue of the socket or request that a packet is of. A reset for no connection, and an
    /// acknowledgement in TIME-WAIT, are of none (up to Linux 6.12).
    fn sk_rx_queue_get(&self, skb: &Skb) -> Option<u16> {
        let meta = &self.skbs[skb];
        match meta.charge {
            Charge::Request => Some(meta.sk as u16),
            Charge::Rmem => None,
            Charge::None | Charge::Segment | Charge::Wmem => {
                self.skbs.charges.get(meta.sk as usize)?.rx_queue
            }
        }
    }

    /// `skb_get_hash`: of the addresses, the protocol, and the ports where the packet is no fragment.
    fn skb_get_hash(&self, skb: &Skb) -> u32 {
        let meta = &self.skbs[skb];
        let start = usize::from(meta.network_header.wrapping_sub(meta.data_offset()));
        let bytes = self.skbs.linear(skb);
        let ip = if meta.protocol == ETH_P_IP { bytes.get(start..) } else { None };
        let mut hash = self.dev.hash_key;
        let mut mix = |word: u64| {
            hash = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
            hash ^= hash >> 32;
        };
        mix(u64::from(meta.protocol));
        if let Some(ip) = ip.filter(|ip| ip.len() >= 20) {
            let word =
                |at: usize| u64::from(u32::from_be_bytes([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]));
            mix(word(12) << 32 | word(16));
            mix(u64::from(ip[9]));
            let header = usize::from(ip[0] & 0xf) * 4;
            let whole = word(4) & 0x3fff == 0;
            let has_ports = matches!(ip[9], IPPROTO_TCP | IPPROTO_UDP);
            if whole && has_ports && ip.len() >= header + 4 {
                mix(word(header));
            }
        }
        (hash >> 32) as u32 ^ hash as u32
    }

    /// `netif_set_real_num_tx_queues`: what only the queues beyond had is dropped, and their CPUs are forgotten.
    pub(crate) fn set_real_num_tx_queues(&mut self, count: u16) {
        self.dev.real_num_tx_queues = usize::from(count);
        self.dev.xps.cpus.reset_from(count);
        self.dev.xps.rxqs.reset_from(count);
        let (qdisc, mut cx) = self.qdisc();
        qdisc.set_tx_queues(&mut cx, usize::from(count));
        self.dev.update_plain();
    }

    /// Writes `queues/tx-N/xps_cpus`.
    ///
    /// # Errors
    /// ENOENT for a queue that is not in use; EOVERFLOW for a CPU that there is not.
    pub(crate) fn set_xps_cpus(&mut self, queue: u16, mask: u64) -> Result<(), Errno> {
        if usize::from(queue) >= self.dev.real_num_tx_queues {
            return Err(Errno::ENOENT);
        }
        if mask.checked_shr(self.cpus.len() as u32).unwrap_or(0) != 0 {
            return Err(Errno::EOVERFLOW);
        }
        self.dev.xps.cpus.set(queue, mask);
        Ok(())
    }

    /// Writes `queues/tx-N/xps_rxqs`.
    ///
    /// # Errors
    /// ENOENT for a queue that is not in use; EOVERFLOW for a receive queue that there never is.
    pub(crate) fn set_xps_rxqs(&mut self, queue: u16, mask: u64) -> Result<(), Errno> {
        if usize::from(queue) >= self.dev.real_num_tx_queues {
            return Err(Errno::ENOENT);
        }
        if mask >> MAX_QUEUE_PAIRS != 0 {
            return Err(Errno::EOVERFLOW);
        }
        self.dev.xps.rxqs.set(queue, mask);
        Ok(())
    }

    /// `sk_rx_queue_update`: notes the receive queue of a packet for the socket that it is for.
    #[cold]
    pub(crate) fn sk_rx_queue_update(&mut self, sk: u32, skb: &Skb) {
        let meta = &self.skbs[skb];
        if meta.iif != OifId::LO {
            self.skbs.charges[sk as usize].rx_queue = Some(meta.queue_mapping);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_queue_that_is_taken_from_a_cpu_is_replaced_by_its_last() {
        let mut xps = Xps::default();
        [(0, 0b11), (1, 0b10), (2, 0b10)].into_iter().for_each(|(queue, mask)| xps.set(queue, mask));
        assert_eq!(xps.queues_of, BTreeMap::from([(0, alloc::vec![0]), (1, alloc::vec![0, 1, 2])]));
        xps.set(0, 0b01);
        assert_eq!((xps.queues_of[&1].as_slice(), xps.mask(0), xps.mask(1)), ([2, 1].as_slice(), 1, 2));
        xps.reset_from(1);
        assert_eq!(xps.queues_of, BTreeMap::from([(0, alloc::vec![0])]));
    }

    #[rstest]
    #[case::the_only_one(0, u32::MAX, Some(0))]
    #[case::the_lower_half(1, 0x7fff_ffff, Some(1))]
    #[case::the_upper_half(1, 0x8000_0000, Some(3))]
    #[case::a_queue_that_is_not_in_use(2, 0, None)]
    #[case::a_cpu_without_a_map(3, 0, None)]
    fn the_map_of_the_cpu_chooses(#[case] cpu: u8, #[case] hash: u32, #[case] queue: Option<usize>) {
        let mut xps = Xps::default();
        [(0, 1), (1, 2), (3, 2), (5, 4)].into_iter().for_each(|(queue, mask)| xps.set(queue, mask));
        assert_eq!(xps.queue(cpu, hash, 4), queue);
    }
}
