//! What needs a context descriptor of its own: a packet that the device cuts (`igb_tso` of Linux 6.12), or that it puts a VLAN tag on.

use super::Igb;
use super::desc::{self, DCMD_TSE, DCMD_VLE, POPTS_IXSM, POPTS_TXSM, TUCMD_IPV4, TUCMD_L4T_TCP};
use super::ring::{NO_CONTEXT, TxRing};
use super::xmit::{Packet, l4t, tx_map_with};
use crate::bus::Bus;
use crate::drop_reason::DropReason;
use crate::netdev::{DriverCtx, NetdevTx};
use crate::skb::{IpSummed, SkBuff, Skb, SkbPool};
use crate::wire::checksum::fold;
use crate::wire::ipv4::{IPPROTO_TCP, IPPROTO_UDP};

/// What the device is told of such a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Special {
    /// Bytes of all headers: what each segment repeats. 0 of a packet that is not cut.
    hdr_len: u32,
    /// Into how many segments.
    segs: u32,
    /// The context descriptor, as 32-bit words.
    context: [u32; 4],
    /// The command of each data descriptor, and the fourth word of the first.
    words: (u32, u32),
}

impl Igb {
    /// Sends a packet whose `gso_size` is not 0, or that has a VLAN tag beside it; what the layers above ask of
    /// [`Igb::xmit_frame`] holds. One that is to be cut and whose headers are not those of TCP or UDP over IPv4, whole in the
    /// linear part, is dropped.
    #[cold]
    pub(super) fn xmit_special(
        &mut self,
        ctx: &mut DriverCtx<'_>,
        skb: Skb,
        queue: u16,
        more: bool,
    ) -> NetdevTx {
        ctx.trace.function(ctx.skbs[&skb].packet, "igb_xmit_frame");
        if !self.is_up() || ctx.skbs.has_frag_list(&skb) {
            ctx.skbs.drop(ctx.trace, skb, DropReason::DevReady);
            return NetdevTx::Ok;
        }
        let packet = Packet::of(&ctx.skbs[&skb]);
        self.xmit_frame_ring::<true, true>(ctx, skb, &packet, (queue % self.config.queue_pairs, more))
    }
}

impl Special {
    /// Whether the device cuts the packet.
    pub(super) fn cuts(&self) -> bool {
        self.hdr_len != 0
    }

    /// The bytes that are on the wire beside those of the packet: the headers of all segments but the first.
    pub(super) fn more_bytes(&self) -> u32 {
        (self.segs - 1) * self.hdr_len
    }
}

/// Writes the context descriptor and, behind it, a data descriptor for each piece; lends the pieces. Gives the index of the
/// first data descriptor and that of the last one.
pub(super) fn special_map(
    tx: &mut TxRing,
    skbs: &mut SkbPool,
    bus: &mut dyn Bus,
    skb: &Skb,
    packet: &Packet,
    (dma, tso): (u64, &Special),
) -> (u16, u16) {
    let first = tx.ring.next_to_use;
    desc::write_context(&mut tx.ring.descs, first, tso.context);
    tx.context = NO_CONTEXT;
    let start = tx.ring.after(first);
    let last = tx_map_with(tx, skbs, bus, skb, (start, dma, packet.headlen, tso.words));
    // No packet begins at the descriptor behind the context: it keeps how many segments there are.
    tx.buffers[usize::from(start)].bytecount = tso.segs;
    (start, last)
}

/// What the device is told of a packet; `None`, and nothing written, when it cannot be cut and is to be.
pub(super) fn special(skbs: &mut SkbPool, skb: &Skb) -> Option<Special> {
    let tag = skbs[skb].vlan_tci;
    let mut special = if skbs[skb].gso_size != 0 { igb_tso(skbs, skb)? } else { not_cut(&skbs[skb]) };
    if let Some(tag) = tag {
        special.context[0] |= u32::from(tag) << 16;
        special.words.0 |= DCMD_VLE;
    }
    Some(special)
}

/// `igb_tx_csum` of a packet with a tag: the context is written also when no checksum is left to the device.
fn not_cut(meta: &SkBuff) -> Special {
    let partial = meta.ip_summed == IpSummed::Partial;
    let maclen = u32::from(meta.network_header.wrapping_sub(meta.data) & 0x7F);
    let iplen = u32::from(meta.csum_start.wrapping_sub(meta.network_header) & 0x1FF);
    let (iplen, tucmd) = if partial { (iplen, l4t(meta.csum_offset)) } else { (0, 0) };
    Special {
        hdr_len: 0,
        segs: 1,
        context: desc::context_words((maclen, iplen), tucmd, (0, 0)),
        words: (desc::DATA_CMD, desc::olinfo(meta.len, partial)),
    }
}

/// `igb_tso`: writes into the headers what the device builds on (total length 0, the IP checksum a negative zero, the seed
/// of the transport checksum without the length), and says what the context is. `None`, and nothing written, when the
/// headers are not those of TCP or UDP over IPv4.
pub(super) fn igb_tso(skbs: &mut SkbPool, skb: &Skb) -> Option<Special> {
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
    let olinfo = desc::olinfo(len - hdr_len as u32, false) | POPTS_TXSM | POPTS_IXSM;
    Some(Special {
        hdr_len: hdr_len as u32,
        segs,
        context: desc::context_words((maclen as u32, iplen as u32), tucmd, (l4len as u32, mss)),
        words: (desc::DATA_CMD | DCMD_TSE, olinfo),
    })
}
