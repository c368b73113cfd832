//! Selective acknowledgements: reading those of the peer into the scoreboard (RFC 2018, RFC 2883, RFC 6675), and making ours
//! (`tcp_sacktag_write_queue`, `tcp_sack_new_ofo_skb`, Linux 6.12).

use super::ack::{FLAG_DATA_SACKED, FLAG_DSACKING_ACK, FLAG_ORIG_SACK_ACKED};
use super::options::{MAX_SACKS, SackBlock};
use super::segment::{EVER_RETRANS, LOST, RETRANS, SACKED_ACKED, SACKED_RETRANS, TxSegment};
use super::seq::{after, before};
use super::sock::{CaState, TcpSock};
use crate::mib::{Counter, Mib};
use crate::stack::Stack;

/// What reading the blocks of one ACK gathers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SackState {
    /// The lowest number that shows reordering; `None`: none.
    pub(crate) reord: Option<u32>,
    /// When the first and the last of what is newly acknowledged was sent, in microseconds.
    pub(crate) first_sackt: u64,
    pub(crate) last_sackt: u64,
    pub(crate) flag: u32,
}

impl TcpSock {
    /// `tcp_dsack_seen`: how many segments came twice by this block; 0 when it tells of more than can be.
    fn dsack_seen(&mut self, block: SackBlock, state: &mut SackState) -> u32 {
        let length = block.end.wrapping_sub(block.start);
        if !before(block.start, block.end) || length > self.max_window {
            return 0;
        }
        let dup_segs = length.div_ceil(self.mss_cache.max(1));
        self.dsack_dups = self.dsack_dups.wrapping_add(dup_segs);
        if self.dsack_dups > self.total_retrans {
            return 0;
        }
        self.rx_opt.dsack_seen = true;
        self.rack.dsack_seen = true;
        state.flag |= FLAG_DSACKING_ACK;
        // What was sent again without need was delivered, too.
        self.delivered = self.delivered.wrapping_add(dup_segs);
        dup_segs
    }

    /// `tcp_check_sack_reordering`: what is at `low_seq` came behind what was acknowledged before.
    pub(crate) fn check_sack_reordering(&mut self, low_seq: u32, mib: &mut Mib) {
        let fack = self.highest_sack();
        if !before(low_seq, fack) {
            return;
        }
        let metric = fack.wrapping_sub(low_seq);
        let mss = self.mss_cache.max(1);
        if metric > self.reordering.saturating_mul(mss) {
            self.reordering = metric.div_ceil(mss).min(300);
        }
        self.reord_seen += 1;
        mib.inc(if self.rx_opt.tstamp_ok { Counter::TcpExtTsReorder } else { Counter::TcpExtSackReorder });
    }

    /// `tcp_sacktag_one`: a packet of the queue is within a block.
    fn sacktag_one(&mut self, at: usize, dup_sack: bool, now_us: u64, state: &mut SackState) {
        let highest = self.highest_sack();
        let segment = &self.rtx[at];
        let (seq, end_seq, mstamp, pcount) =
            (segment.seq, segment.end_seq, segment.mstamp, segment.pcount.max(1));
        let mut sacked = segment.sacked;
        if dup_sack && sacked & RETRANS != 0 {
            if self.undo_marker != 0 && self.undo_retrans > 0 && after(end_seq, self.undo_marker) {
                self.undo_retrans = (self.undo_retrans - i64::from(pcount)).max(0);
            }
            if sacked & SACKED_ACKED != 0 {
                state.note_reordering(seq);
            }
        }
        if !after(end_seq, self.snd_una) {
            return;
        }
        if sacked & SACKED_ACKED == 0 {
            self.rack_advance(sacked, end_seq, mstamp, now_us);
            if sacked & SACKED_RETRANS != 0 {
                if sacked & LOST != 0 {
                    sacked &= !(LOST | SACKED_RETRANS);
                    self.lost_out = self.lost_out.saturating_sub(pcount);
                    self.retrans_out = self.retrans_out.saturating_sub(pcount);
                }
            } else {
                if sacked & EVER_RETRANS == 0 {
                    if before(seq, highest) {
                        state.note_reordering(seq);
                    }
                    if !after(end_seq, self.high_seq) {
                        state.flag |= FLAG_ORIG_SACK_ACKED;
                    }
                    if state.first_sackt == 0 {
                        state.first_sackt = mstamp;
                    }
                    state.last_sackt = mstamp;
                }
                if sacked & LOST != 0 {
                    sacked &= !LOST;
                    self.lost_out = self.lost_out.saturating_sub(pcount);
                }
            }
            sacked |= SACKED_ACKED;
            state.flag |= FLAG_DATA_SACKED;
            let first = self.sacked_out == 0;
            self.sacked_out += pcount;
            self.delivered = self.delivered.wrapping_add(pcount);
            if first || after(end_seq, self.highest_sack_seq) {
                self.highest_sack_seq = end_seq;
            }
        }
        if dup_sack && sacked & SACKED_RETRANS != 0 {
            sacked &= !SACKED_RETRANS;
            self.retrans_out = self.retrans_out.saturating_sub(pcount);
        }
        self.rtx[at].sacked = sacked;
    }

    /// `tcp_is_sackblock_valid`.
    fn is_sackblock_valid(&self, is_dsack: bool, block: SackBlock) -> bool {
        let SackBlock { start, end } = block;
        if after(end, self.snd_nxt) || !before(start, end) || !before(start, self.snd_nxt) {
            return false;
        }
        if after(start, self.snd_una) {
            return true;
        }
        if !is_dsack || self.undo_marker == 0 || after(end, self.snd_una) {
            return false;
        }
        if !before(start, self.undo_marker) {
            return true;
        }
        after(end, self.undo_marker) && !before(start, end.wrapping_sub(self.max_window))
    }
}

impl SackState {
    fn note_reordering(&mut self, seq: u32) {
        if self.reord.is_none_or(|reord| before(seq, reord)) {
            self.reord = Some(seq);
        }
    }
}

impl Stack {
    /// `tcp_sacktag_write_queue`: what the blocks of an ACK say of the packets that are under way.
    pub(crate) fn tcp_sacktag_write_queue(
        &mut self,
        tp: &mut TcpSock,
        ack_seq: u32,
        prior_snd_una: u32,
        blocks: &[SackBlock],
    ) -> SackState {
        self.trace.function(0, "tcp_sacktag_write_queue");
        let mut state = SackState::default();
        let dsack = self.tcp_check_dsack(tp, ack_seq, prior_snd_una, blocks, &mut state);
        if before(ack_seq, prior_snd_una.wrapping_sub(tp.max_window)) || tp.packets_out == 0 {
            return state;
        }
        for (nth, block) in blocks.iter().enumerate() {
            let dup = dsack && nth == 0;
            if !tp.is_sackblock_valid(dup, *block) {
                if dup {
                    self.mib.inc(Counter::TcpExtDsackIgnoredOld);
                } else if after(block.end, tp.snd_una) {
                    self.mib.inc(Counter::TcpExtSackDiscard);
                }
                continue;
            }
            // Nothing that was acknowledged.
            if !dup && !after(block.end, tp.snd_una) {
                continue;
            }
            self.tcp_sacktag_walk(tp, *block, dup, &mut state);
        }
        if (tp.ca_state != CaState::Loss || tp.undo_marker != 0)
            && let Some(low) = state.reord
        {
            tp.check_sack_reordering(low, &mut self.mib);
        }
        state
    }

    /// `tcp_check_dsack`: whether the first block tells of a duplicate (RFC 2883).
    fn tcp_check_dsack(
        &mut self,
        tp: &mut TcpSock,
        ack_seq: u32,
        prior_snd_una: u32,
        blocks: &[SackBlock],
        state: &mut SackState,
    ) -> bool {
        let Some(first) = blocks.first() else { return false };
        let below = before(first.start, ack_seq);
        let within = blocks
            .get(1)
            .is_some_and(|second| !after(first.end, second.end) && !before(first.start, second.start));
        if !below && !within {
            return false;
        }
        self.mib.inc(if below { Counter::TcpExtDsackRecv } else { Counter::TcpExtDsackOfoRecv });
        let dup_segs = tp.dsack_seen(*first, state);
        if dup_segs == 0 {
            self.mib.inc(Counter::TcpExtDsackIgnoredDubious);
            return false;
        }
        self.mib.add(Counter::TcpExtDsackRecvSegs, dup_segs as usize);
        if tp.undo_marker != 0
            && tp.undo_retrans > 0
            && !after(first.end, prior_snd_una)
            && after(first.end, tp.undo_marker)
        {
            tp.undo_retrans = (tp.undo_retrans - i64::from(dup_segs)).max(0);
        }
        true
    }

    /// `tcp_sacktag_walk`: marks the packets of one block; one that is only partly in it is cut at a segment.
    fn tcp_sacktag_walk(&mut self, tp: &mut TcpSock, block: SackBlock, dup: bool, state: &mut SackState) {
        let now_us = self.tcp_mstamp();
        let base = tp.rtx.front().map_or(0, |head| head.seq);
        let from = block.start.wrapping_sub(base) as i32;
        let mut at =
            tp.rtx.partition_point(|segment| (segment.end_seq.wrapping_sub(base) as i32) <= from.max(0));
        while at < tp.rtx.len() {
            let segment = &tp.rtx[at];
            if !before(segment.seq, block.end) {
                break;
            }
            self.tcp_count_shift(tp, at, block, dup);
            let segment = &tp.rtx[at];
            let whole = !after(block.start, segment.seq) && !before(block.end, segment.end_seq);
            if !whole && !self.tcp_match_to_sack(tp, at, block) {
                at += 1;
                continue;
            }
            let segment = &tp.rtx[at];
            if !after(block.start, segment.seq) && !before(block.end, segment.end_seq) {
                tp.sacktag_one(at, dup, now_us, state);
            }
            at += 1;
        }
    }

    /// `tcp_shift_skb_data`: Linux joins a packet that is acknowledged selectively with the one before it where it can. This
    /// scoreboard keeps them apart, and counts what Linux would have done.
    fn tcp_count_shift(&mut self, tp: &TcpSock, at: usize, block: SackBlock, dup: bool) {
        let (mss, segment) = (tp.mss_cache.max(1), &tp.rtx[at]);
        if segment.sacked & SACKED_ACKED != 0 {
            // Linux's cache of what was acknowledged before spares it the walk to here.
            return;
        }
        let seglen = |segment: &TxSegment| if segment.pcount > 1 { mss } else { segment.len };
        let joins = |other: Option<&TxSegment>| {
            other.is_some_and(|other| {
                other.sacked & (SACKED_ACKED | SACKED_RETRANS | LOST) == SACKED_ACKED && !other.eor
            })
        };
        let before_it = at.checked_sub(1).and_then(|at| tp.rtx.get(at)).filter(|other| joins(Some(other)));
        let resent = segment.sacked & (LOST | SACKED_RETRANS) == SACKED_RETRANS && !dup;
        let starts_within = !after(block.start, segment.seq);
        let whole = starts_within && !before(block.end, segment.end_seq);
        let len = if whole { segment.len } else { block.end.wrapping_sub(segment.seq) };
        let counter = match before_it {
            Some(other) if !resent && segment.len > 0 => {
                if !whole && (segment.pcount <= 1 || (starts_within && len < mss)) {
                    return;
                }
                if !starts_within || seglen(segment) != seglen(other) {
                    Counter::TcpExtSackShiftFallback
                } else if whole {
                    Counter::TcpExtSackMerged
                } else {
                    Counter::TcpExtSackShifted
                }
            }
            _ => Counter::TcpExtSackShiftFallback,
        };
        self.mib.inc(counter);
        let next = tp.rtx.get(at + 1);
        if counter == Counter::TcpExtSackMerged && joins(next) && next.map(seglen) == Some(seglen(segment)) {
            // The hole between two was filled: all three become one.
            self.mib.inc(counter);
        }
    }

    /// `tcp_match_skb_to_sack`: cuts a large packet where a block begins or ends. Whether it was cut.
    fn tcp_match_to_sack(&mut self, tp: &mut TcpSock, at: usize, block: SackBlock) -> bool {
        let segment = &tp.rtx[at];
        if segment.pcount <= 1 {
            return false;
        }
        let mss = tp.mss_cache.max(1);
        let in_sack_start = !after(block.start, segment.seq);
        let mut len = if in_sack_start {
            block.end.wrapping_sub(segment.seq)
        } else {
            block.start.wrapping_sub(segment.seq)
        };
        if len > mss {
            let rest = len % mss;
            len -= rest;
            if !in_sack_start && rest > 0 {
                len += mss;
            }
        } else if len < mss {
            if in_sack_start {
                return false;
            }
            len = mss;
        }
        if len == 0 || len >= segment.len {
            return false;
        }
        self.tcp_fragment_rtx(tp, at, len, mss);
        true
    }
}

impl TcpSock {
    /// `tcp_sack_new_ofo_skb`: a block for a packet that came out of order; the newest stands first.
    pub(crate) fn sack_new_ofo(&mut self, seq: u32, end_seq: u32) {
        let count = usize::from(self.num_sacks);
        let touching = |block: &SackBlock| !after(seq, block.end) && !after(block.start, end_seq);
        if let Some(at) = self.selective_acks[..count].iter().position(touching) {
            let block = &mut self.selective_acks[at];
            block.start = super::seq::min(block.start, seq);
            block.end = super::seq::max(block.end, end_seq);
            self.selective_acks[..=at].rotate_right(1);
            self.sack_maybe_coalesce();
            return;
        }
        let kept = count.min(MAX_SACKS - 1);
        self.selective_acks[..=kept].rotate_right(1);
        self.selective_acks[0] = SackBlock { start: seq, end: end_seq };
        self.num_sacks = (kept + 1) as u8;
    }

    /// `tcp_sack_maybe_coalesce`: the first block may have grown into others.
    fn sack_maybe_coalesce(&mut self) {
        let mut at = 1;
        while at < usize::from(self.num_sacks) {
            let (first, other) = (self.selective_acks[0], self.selective_acks[at]);
            if !after(first.start, other.end) && !after(other.start, first.end) {
                self.selective_acks[0] = SackBlock {
                    start: super::seq::min(first.start, other.start),
                    end: super::seq::max(first.end, other.end),
                };
                self.selective_acks[at..usize::from(self.num_sacks)].rotate_left(1);
                self.num_sacks -= 1;
            } else {
                at += 1;
            }
        }
    }

    /// `tcp_sack_remove`: what has come in order needs no block any more.
    pub(crate) fn sack_remove(&mut self) {
        if self.out_of_order.is_empty() {
            self.num_sacks = 0;
            return;
        }
        let (rcv_nxt, mut kept) = (self.rcv_nxt, 0);
        for at in 0..usize::from(self.num_sacks) {
            let block = self.selective_acks[at];
            if before(rcv_nxt, block.start) {
                self.selective_acks[kept] = block;
                kept += 1;
            }
        }
        self.num_sacks = kept as u8;
    }

    /// `tcp_dsack_set`, `tcp_dsack_extend`: a duplicate came, and the peer is told (RFC 2883).
    pub(crate) fn dsack_set(&mut self, seq: u32, end_seq: u32, enabled: bool, mib: &mut Mib) {
        if !self.rx_opt.sack_ok || !enabled {
            return;
        }
        match &mut self.duplicate_sack {
            Some(block) if !after(seq, block.end) && !after(block.start, end_seq) => {
                block.start = super::seq::min(block.start, seq);
                block.end = super::seq::max(block.end, end_seq);
            }
            Some(_) => {}
            none => {
                let old = before(seq, self.rcv_nxt);
                mib.inc(if old { Counter::TcpExtDsackOldSent } else { Counter::TcpExtDsackOfoSent });
                *none = Some(SackBlock { start: seq, end: end_seq });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::tests::support::idle_sock;

    #[test]
    fn the_newest_block_stands_first_and_touching_ones_become_one() {
        let mut tp = idle_sock();
        for (start, end) in [(100, 200), (300, 400), (500, 600), (700, 800), (900, 1000)] {
            tp.sack_new_ofo(start, end);
        }
        let block = |start, end| SackBlock { start, end };
        assert_eq!(tp.num_sacks, 4, "the oldest is forgotten");
        assert_eq!(tp.selective_acks, [block(900, 1000), block(700, 800), block(500, 600), block(300, 400)]);
        tp.sack_new_ofo(600, 700);
        assert_eq!(tp.num_sacks, 3);
        assert_eq!(tp.selective_acks[..3], [block(500, 800), block(900, 1000), block(300, 400)]);
    }
}
