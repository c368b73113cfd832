//! Segmentation by the device: `igb_tso` of Linux 6.12, and the descriptors of a packet that the device cuts.

use super::Igb;
use super::desc::{self, DCMD_TSE, POPTS_IXSM, POPTS_TXSM, TUCMD_IPV4, TUCMD_L4T_TCP};
use super::ring::{NO_CONTEXT, TSO};
use super::xmit::{Packet, Posted, tx_map_with};
use crate::drop_reason::DropReason;
use crate::netdev::{DriverCtx, NetdevTx};
use crate::skb::{IpSummed, Skb, SkbPool};
use crate::wire::checksum::fold;
use crate::wire::ipv4::{IPPROTO_TCP, IPPROTO_UDP};

/// What the device is told of a packet that it is to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tso {
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
        let q = queue % self.config.queue_pairs;
        let packet = Packet::of(&ctx.skbs[&skb]);
        let tx = &mut self.tx[usize::from(q)];
        let unused = tx.ring.unused();
        if unused < packet.nr_frags + 1 + 3 {
            ctx.queues[usize::from(q)].stop();
            return NetdevTx::Busy(skb);
        }
        let Some(tso) = igb_tso(ctx.skbs, &skb) else {
            ctx.skbs.drop(ctx.trace, skb, DropReason::SkbGsoSeg);
            return NetdevTx::Ok;
        };
        ctx.trace.function(packet.name, "igb_tso");

        let first = tx.ring.next_to_use;
        desc::write_context(&mut ctx.skbs.mem, tx.ring.at(first), tso.context);
        tx.context = NO_CONTEXT;
        let start = tx.ring.after(first);
        let dma = ctx.skbs.mem.bus_addr(packet.data_at);
        let olinfo = desc::olinfo(packet.len - tso.hdr_len, false) | POPTS_TXSM | POPTS_IXSM;
        let words = (desc::DATA_CMD | DCMD_TSE, olinfo);
        let last = tx_map_with(tx, ctx.skbs, ctx.bus, &skb, (start, dma, packet.headlen, words));
        // No packet begins at the descriptor behind the context: it keeps how many segments there are.
        tx.buffers[usize::from(start)].nr_frags = tso.segs as u16;
        let posted = Posted {
            first,
            last,
            next: tx.ring.after(last),
            dma,
            bytecount: packet.len + (tso.segs - 1) * tso.hdr_len,
            nr_frags: packet.nr_frags | TSO,
            left: unused - packet.nr_frags - 2,
        };
        self.posted::<true>(ctx, skb, &packet, (q, more), &posted);
        NetdevTx::Ok
    }
}

/// `igb_tso`: writes into the headers what the device builds on (total length 0, the IP checksum a negative zero, the seed
/// of the transport checksum without the length), and says what the context is. `None`, and nothing written, when the
/// headers are not those of TCP or UDP over IPv4.
fn igb_tso(skbs: &mut SkbPool, skb: &Skb) -> Option<Tso> {
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
