//! Buffers are counted, bytes are referred to and not copied, and what is taken comes back.

use super::*;
use crate::dma::DmaMemory;
use crate::drop_reason::DropReason;
use crate::trace::Trace;
use alloc::vec::Vec;
use rstest::rstest;

fn pool() -> SkbPool {
    let config = PoolConfig { skbs: 16, heads: 16, pages: 8, coherent_bytes: 16 * 1024 };
    SkbPool::new(DmaMemory::zeroed(config.bytes(), 0x1000_0000), &config)
}

fn counting(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|i| i as u8).collect()
}

/// 100 linear bytes, pieces of 4,096 and 50, and a list of two packets with 30 and 20: the bytes count from 0.
fn mixed(pool: &mut SkbPool) -> Skb {
    let skb = pool.alloc().expect("memory");
    pool.copy_in(&skb, &counting(0, 100));
    assert!(pool.copy_in_page(&skb, &counting(100, 4096)) && pool.copy_in_page(&skb, &counting(4196, 50)));
    let mut list = SkbQueue::default();
    for (from, len) in [(4246, 30), (4276, 20)] {
        let part = pool.alloc().expect("memory");
        pool.copy_in(&part, &counting(from, len));
        list.push_back(pool, part);
    }
    pool.set_frag_list(&skb, &mut list);
    skb
}

#[rstest]
#[case::all_of_it(0, 4296)]
#[case::from_the_middle_of_the_linear_part(60, 100)]
#[case::across_a_page_and_the_next_piece(4000, 220)]
#[case::into_the_list(4200, 96)]
#[case::the_last_byte(4295, 1)]
fn bytes_come_out_in_order_from_wherever_they_lie(#[case] skip: usize, #[case] len: usize) {
    let mut pool = pool();
    let skb = mixed(&mut pool);
    let mut out = alloc::vec![0; len];
    assert_eq!(pool.copy_out(&skb, skip, &mut out), len);
    assert_eq!(out, counting(skip, len));
    let pieces: Vec<u8> =
        pool.pieces(&skb, skip, len).iter().flat_map(|piece| pool.frag_bytes(piece).to_vec()).collect();
    assert_eq!(pieces, out, "references say the same as a copy");
    pool.consume(&mut Trace::default(), skb);
}

#[test]
fn a_packet_that_is_freed_gives_everything_back() {
    let mut pool = pool();
    let before = (pool.free_heads(), pool.in_flight());
    let skb = mixed(&mut pool);
    assert_eq!((pool[&skb].len(), pool.in_flight()), (4296, 3));
    pool.drop(&mut Trace::default(), skb, DropReason::NoMem);
    assert_eq!((pool.free_heads(), pool.in_flight()), before);
    assert_eq!((0..9).map_while(|_| pool.alloc_page()).count(), 8, "both pages are free again");
}

#[test]
fn a_buffer_stays_while_somebody_refers_to_it() {
    let mut pool = pool();
    let skb = pool.alloc().expect("memory");
    pool.copy_in(&skb, b"shared");
    let piece = pool.pieces(&skb, 0, 6)[0];
    pool.get_buf(piece.buf);
    let free = pool.free_heads();
    pool.consume(&mut Trace::default(), skb);
    assert_eq!((pool.free_heads(), pool.frag_bytes(&piece)), (free, &b"shared"[..]));
    pool.put_buf(piece.buf);
    assert_eq!(pool.free_heads(), free + 1);
}

#[rstest]
#[case::within_the_linear_part(70, 70, 0)]
#[case::at_the_end_of_the_linear_part(100, 100, 0)]
#[case::within_a_page(1100, 100, 1)]
#[case::within_the_second_piece(4200, 100, 2)]
#[case::nothing_is_cut(9999, 100, 2)]
fn a_packet_is_cut_at_its_end(#[case] len: usize, #[case] linear: usize, #[case] frags: usize) {
    let mut pool = pool();
    let skb = pool.alloc().expect("memory");
    pool.copy_in(&skb, &counting(0, 100));
    assert!(pool.copy_in_page(&skb, &counting(100, 4096)) && pool.copy_in_page(&skb, &counting(4196, 50)));
    pool.trim(&skb, len);
    let len = len.min(4246);
    assert_eq!((pool[&skb].len(), pool[&skb].headlen(), pool[&skb].nr_frags()), (len, linear, frags));
    let mut out = alloc::vec![0; 5000];
    assert_eq!(pool.copy_out(&skb, 0, &mut out), len);
    assert_eq!(out[..len], counting(0, len));
    pool.consume(&mut Trace::default(), skb);
    assert_eq!((0..9).map_while(|_| pool.alloc_page()).count(), 8);
}

#[test]
fn a_list_can_be_taken_out_again() {
    let mut pool = pool();
    let skb = mixed(&mut pool);
    let mut list = pool.take_frag_list(&skb);
    assert_eq!((pool[&skb].len(), list.len(), list.bytes()), (4246, 2, 50));
    let first = list.pop_front(&mut pool).expect("two packets");
    assert_eq!(pool.linear(&first), counting(4246, 30));
    let trace = &mut Trace::default();
    pool.consume(trace, first);
    pool.purge(trace, &mut list, DropReason::QueuePurge);
    pool.consume(trace, skb);
    assert_eq!(pool.in_flight(), 0);
}

#[test]
fn memory_that_runs_out_is_an_answer_and_not_a_panic() {
    let mut pool = pool();
    let taken: Vec<Skb> = core::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!((taken.len(), pool.alloc()), (16, None));
    let trace = &mut Trace::default();
    taken.into_iter().for_each(|skb| pool.consume(trace, skb));
    assert!(pool.alloc().is_some());
}

#[test]
fn rings_memory_is_given_back_and_found_again_whole() {
    let mut pool = pool();
    let rings: Vec<_> = (0..4).map(|_| pool.alloc_coherent(4096).expect("four pages")).collect();
    assert_eq!(pool.alloc_coherent(1), None);
    for at in [2, 0, 3, 1] {
        pool.free_coherent(rings[at]);
    }
    assert_eq!(pool.alloc_coherent(16 * 1024).map(|ring| ring.len), Some(16 * 1024));
}

#[test]
fn a_socket_is_charged_until_the_packet_is_freed_and_woken_if_it_waits() {
    let mut pool = pool();
    pool.charges.resize(2, Default::default());
    let skb = pool.alloc().expect("memory");
    pool[&skb].truesize = 960;
    pool.set_owner_w(&skb, 1);
    assert_eq!(pool.charges[1].wmem, 960);
    pool.charges[1].nospace = true;
    pool.consume(&mut Trace::default(), skb);
    assert_eq!((pool.charges[1].wmem, &pool.woken[..]), (0, &[1][..]));
}

#[test]
fn a_segment_is_counted_until_it_is_freed_and_a_request_owes_nothing() {
    let mut pool = pool();
    pool.charges.resize(2, Default::default());
    let [segment, synack] = [(); 2].map(|()| pool.alloc().expect("memory"));
    pool.set_owner_segment(&segment, 1);
    pool.set_owner_request(&synack, Some(1));
    assert_eq!((pool[&synack].sk, pool[&synack].charge), (1, Charge::Request));
    assert_eq!((pool.charges[1].segments, pool.charges[1].wmem), (1, 0));
    pool.consume(&mut Trace::default(), synack);
    assert_eq!(pool.charges[1].segments, 1);
    pool.consume(&mut Trace::default(), segment);
    assert_eq!((pool.charges[1].segments, pool.charges[1].wmem), (0, 0));
}
