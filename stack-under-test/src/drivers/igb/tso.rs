//! Segmentation by the device: `igb_tso` of Linux 6.12, and the descriptors of a packet that the device cuts.

use super::Igb;
use super::desc::{self, DCMD_TSE, POPTS_IXSM, POPTS_TXSM, TUCMD_IPV4, TUCMD_L4T_TCP};
use super::ring::{NO_CONTEXT, TxRing};
use super::xmit::{Packet, tx_map_with};
use crate::bus::Bus;
use crate::drop_reason::DropReason;
use crate::netdev::{DriverCtx, NetdevTx};
use crate::skb::{IpSummed, Skb, SkbPool};
use crate::wire::checksum::fold;
use crate::wire::ipv4::{IPPROTO_TCP, IPPROTO_UDP};

/// What the device is told of a packet that it is to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tso {
    /// Bytes of all headers: what each segment repeats.
    hdr_len: u32,
    /// Into how many segments.
    segs: u32,
    /// The context descriptor, as 32-bit words.
    context: [u32; 4],
}

impl Igb {
    /// Sends a packet whose `gso_size` is not 0; what the layers above ask of [`Igb::xmit_frame`] holds. One whose headers
    /// are not those of TCP or UDP over IPv4, whole in the linear part, is dropped.
    #[cold]
    pub(super) fn xmit_tso(&mut self, ctx: &mut DriverCtx<'_>, skb: Skb, queue: u16, more: bool) -> NetdevTx {
        ctx.trace.function(ctx.skbs[&skb].packet, "igb_xmit_frame");
        if !self.is_up() || ctx.skbs.has_frag_list(&skb) {
            ctx.skbs.drop(ctx.trace, skb, DropReason::DevReady);
            return NetdevTx::Ok;
        }
        let packet = Packet::of(&ctx.skbs[&skb]);
        self.xmit_frame_ring::<true, true>(ctx, skb, &packet, (queue % self.config.queue_pairs, more))
    }
}

impl Tso {
    /// The bytes that are on the wire beside those of the packet: the headers of all segments but the first.
    pub(super) fn more_bytes(&self) -> u32 {
        (self.segs - 1) * self.hdr_len
    }
}

/// Writes the context descriptor and, behind it, a data descriptor for each piece; lends the pieces. Gives the index of the
/// first data descriptor and that of the last one.
pub(super) fn tso_map(
    tx: &mut TxRing,
    skbs: &mut SkbPool,
    bus: &mut dyn Bus,
    skb: &Skb,
    packet: &Packet,
    (dma, tso): (u64, &Tso),
) -> (u16, u16) {
    let first = tx.ring.next_to_use;
    desc::write_context(&mut tx.ring.descs, first, tso.context);
    tx.context = NO_CONTEXT;
    let start = tx.ring.after(first);
    let olinfo = desc::olinfo(packet.len - tso.hdr_len, false) | POPTS_TXSM | POPTS_IXSM;
    let words = (desc::DATA_CMD | DCMD_TSE, olinfo);
    let last = tx_map_with(tx, skbs, bus, skb, (start, dma, packet.headlen, words));
    // No packet begins at the descriptor behind the context: it keeps how many segments there are.
    tx.buffers[usize::from(start)].bytecount = tso.segs;
    (start, last)
}

/// `igb_tso`: writes into the headers what the device builds on (total length 0, the IP checksum a negative zero, the seed
/// of the transport checksum without the length), and says what the context is. `None`, and nothing written, when the
/// headers are not those of TCP or UDP over IPv4.
pub(super) fn igb_tso(skbs: &mut SkbPool, skb: &Skb) -> Option<Tso> {
    let meta = &skbs[skb];
    let (len, mss, headlen) = (meta.len() as u32, u32::from(meta.gso_size), meta.headlen());
    if meta.ip_summed != IpSummed::Partial || mss == 0 {
        return None;
    }
    let maclen = usize::from(meta.network_header.checked_sub(meta.data_offset())?);
    let data = skbs.linear_mut(skb);
    let ip = data.get_mut(maclen..).filter(|ip| ip.len() >= 20)?;
    let (protocol, iplen) = (ip[9], usize::from(ip[0] & 0xf) * 4);
    let l4_offset = maclen + iplen;
    let l4 = ip.get_mut(iplen..)?;
    let (l4len, field, tucmd) = match protocol {
        IPPROTO_TCP => (usize::from(*l4.get(12)? >> 4) * 4, 16, TUCMD_IPV4 | TUCMD_L4T_TCP),
        IPPROTO_UDP => (8, 6, TUCMD_IPV4),
        _ => return None,
    };
    let hdr_len = l4_offset + l4len;
    if hdr_len > headlen || iplen < 20 || l4len < field || len as usize <= hdr_len {
        return None;
    }
    // `csum_replace_by_diff`: the device adds the length of each segment itself.
    let paylen = len - l4_offset as u32;
    let seed = u16::from_be_bytes([l4[field], l4[field + 1]]);
    let without = fold(u64::from(seed) + u64::from(!fold(u64::from(paylen))));
    l4[field..field + 2].copy_from_slice(&without.to_be_bytes());
    ip[2..4].fill(0);
    ip[10..12].fill(0xff);
    let segs = (len - hdr_len as u32).div_ceil(mss);
    Some(Tso {
        hdr_len: hdr_len as u32,
        segs,
        context: desc::context_words((maclen as u32, iplen as u32), tucmd, (l4len as u32, mss)),
    })
}
