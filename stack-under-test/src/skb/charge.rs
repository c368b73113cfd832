//! What packets cost their sockets: the accounts of memory on both ways, and Linux's arithmetic of a packet's size.

use super::pool::NONE;
use super::{Charge, Skb, SkbPool};

/// Linux 6.12, x86-64: `sizeof(struct sk_buff)` rounded up to a cache line.
pub const SKB_DESCRIPTION_BYTES: u32 = 256;
/// Linux 6.12, x86-64: `sizeof(struct skb_shared_info)` rounded up to a cache line.
pub const SHARED_INFO_BYTES: u32 = 320;

/// Where data ends that an igb writes into a buffer of 2,048 bytes, counted from where it begins: Linux keeps 192 bytes before
/// it (`igb_skb_pad`) and the shared info behind it.
pub const RX_DATA_END: usize = 2048 - 192 - SHARED_INFO_BYTES as usize;

/// The slab for small packets, in bytes: `skb_small_head_cache` of 6.12. (6.18 has 576, read through SIOCOUTQ.)
pub const SMALL_HEAD_BYTES: u32 = 704;

/// What Linux charges for a packet whose linear buffer was asked for with `size` bytes: rounded up to a cache line, the
/// shared info added, rounded up to the small slab or to one of `kmalloc` (a power of two), and the description added.
#[inline]
#[must_use]
pub fn truesize(size: u32) -> u32 {
    let with_overhead = size.next_multiple_of(64) + SHARED_INFO_BYTES;
    let slab =
        if with_overhead <= SMALL_HEAD_BYTES { SMALL_HEAD_BYTES } else { with_overhead.next_power_of_two() };
    slab + SKB_DESCRIPTION_BYTES
}

/// What a socket is charged with, and whether it waits for room.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketCharge {
    /// `sk_wmem_alloc` without its initial one: bytes of truesize on the way out.
    pub wmem: u32,
    /// `sk_rmem_alloc`: bytes of truesize in the receive queue.
    pub rmem: u32,
    /// `SOCK_NOSPACE`: tell the socket when memory on the way out is freed.
    pub nospace: bool,
    /// `sk_tx_queue_mapping`: the transmit queue of a connected socket, once it has sent.
    pub tx_queue: Option<u16>,
    /// How many segments other than bare acknowledgements are on their way out; counted while there are several queues.
    pub segments: u32,
    /// `sk_rx_queue_mapping`: the receive queue that the socket's packets come by; noted while `xps_rxqs` asks for it.
    pub rx_queue: Option<u16>,
}

impl SkbPool {
    /// Charges a packet on its way out to a socket.
    #[inline]
    pub fn set_owner_w(&mut self, skb: &Skb, sk: u32) {
        let meta = &mut self.meta[skb.0 as usize];
        meta.sk = sk;
        meta.charge = Charge::Wmem;
        self.charges[sk as usize].wmem += meta.truesize;
    }

    /// Charges a segment of a packet as the packet is; the packet itself stays charged until it is freed.
    pub(crate) fn charge_segment(&mut self, packet: &Skb, segment: &Skb) {
        let meta = &self.meta[packet.0 as usize];
        match meta.charge {
            Charge::Wmem => self.set_owner_w(segment, meta.sk),
            Charge::Segment => self.set_owner_segment(segment, meta.sk),
            _ => {}
        }
    }

    /// Charges a received packet to a socket.
    pub fn set_owner_r(&mut self, skb: &Skb, sk: u32) {
        let meta = &mut self.meta[skb.0 as usize];
        meta.sk = sk;
        meta.charge = Charge::Rmem;
        self.charges[sk as usize].rmem += meta.truesize;
    }

    /// `skb_set_owner_edemux`: notes in a request's packet by which receive queue the request's SYN came, if it came by one. The
    /// packet is charged to nobody.
    #[cold]
    pub(crate) fn set_owner_request(&mut self, skb: &Skb, rx_queue: Option<u16>) {
        if let Some(rx_queue) = rx_queue {
            let meta = &mut self.meta[skb.0 as usize];
            (meta.sk, meta.charge) = (u32::from(rx_queue), Charge::Request);
        }
    }

    /// Counts a segment of a connection until it is freed.
    pub(crate) fn set_owner_segment(&mut self, skb: &Skb, sk: u32) {
        let meta = &mut self.meta[skb.0 as usize];
        (meta.sk, meta.charge) = (sk, Charge::Segment);
        self.charges[sk as usize].segments += 1;
    }

    /// `skb_orphan`: takes the charge off.
    #[inline]
    pub fn orphan(&mut self, skb: &Skb) {
        let meta = &mut self.meta[skb.0 as usize];
        let charge =
            (core::mem::take(&mut meta.charge), core::mem::replace(&mut meta.sk, NONE), meta.truesize);
        self.uncharge(charge);
    }

    #[inline(always)]
    pub(super) fn uncharge(&mut self, (charge, sk, truesize): (Charge, u32, u32)) {
        if charge == Charge::Wmem {
            let charge = &mut self.charges[sk as usize];
            charge.wmem -= truesize;
            if charge.nospace {
                self.woken.push(sk);
            }
        } else if charge == Charge::Rmem {
            self.charges[sk as usize].rmem -= truesize;
        } else if charge == Charge::Segment {
            self.charges[sk as usize].segments -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::truesize;
    use rstest::rstest;

    // A UDP datagram of n bytes asks for 14 + 2 + 15 + 28 + n. The small slab follows from a capture of 6.12, where 221
    // datagrams of 100 bytes fit into an ARP queue of 212,992; the others were read through SIOCOUTQ on 6.18.
    #[rstest]
    #[case::the_small_slab(100, 960)]
    #[case::half_a_kibibyte(600, 1280)]
    #[case::a_kibibyte(1000, 2304)]
    #[case::a_full_frame(1472, 2304)]
    fn truesize_is_what_linux_charges(#[case] payload: u32, #[case] charged: u32) {
        assert_eq!(truesize(payload + 28 + 31), charged);
    }
}
