use crate::skb::PoolConfig;
use crate::tcp::tests::support::{bare_stack, idle_sock, received};
use alloc::vec::Vec;
use rstest::rstest;

const POOL: PoolConfig = PoolConfig { skbs: 64, heads: 64, pages: 4, coherent_bytes: 4096 };

// A buffer of igb's costs 2,304 bytes: 2,048, and 256 for the description, which is saved. Linux keeps data in 1,536 of them, so that
// behind 54 bytes of headers and 100 of payload 1,382 more find room.
#[rstest]
#[case::full_segments(&[1460, 1460], 2304 + 2048, 1)]
#[case::one_more_than_a_packet_takes(&[1460; 19], 2 * 2304 + 17 * 2048, 2)]
#[case::small_ones_are_copied(&[100, 100, 100], 2304, 1)]
#[case::a_byte_too_many(&[100, 1383], 2304 + 2048, 1)]
#[case::as_many_as_there_is_room_for(&[100, 1382], 2304, 1)]
#[case::a_small_one_behind_a_full_one(&[1460, 1460, 10], 2304 + 2 * 2048, 1)]
fn packets_in_order_become_one(#[case] lengths: &[usize], #[case] charged: u32, #[case] packets: usize) {
    let mut stack = bare_stack(0, POOL);
    let mut tp = idle_sock();
    let mut seq = 7;
    for &len in lengths {
        let part = received(&mut stack, seq, len);
        stack.tcp_queue_rcv(&mut tp, part);
        seq += len as u32;
    }
    assert_eq!((tp.rmem_alloc, tp.receive_queue.len()), (charged, packets));
    let mut bytes = Vec::new();
    for part in &tp.receive_queue {
        let mut out = alloc::vec![0; stack.skbs[&part.skb].len()];
        stack.skbs.copy_out(&part.skb, 0, &mut out);
        bytes.extend(out);
    }
    assert!(bytes.iter().copied().eq((7..seq).map(|at| at as u8)), "the stream is what it was");
    stack.tcp_purge(&mut tp);
    assert_eq!((tp.rmem_alloc, stack.skbs.in_flight(), stack.skbs.buffers_in_use()), (0, 0, (0, 0)));
}

#[rstest]
#[case::behind_a_gap(1000, 1101, 100)]
#[case::over_what_is_there(1000, 1099, 100)]
fn other_packets_stay_by_themselves(#[case] first: u32, #[case] second: u32, #[case] len: usize) {
    let mut stack = bare_stack(0, POOL);
    let mut to = received(&mut stack, first, len);
    let from = received(&mut stack, second, len);
    assert!(stack.tcp_try_coalesce(&mut to, from).is_err());
}

#[test]
fn what_was_put_together_out_of_order_is_put_behind_what_is_in_order() {
    let mut stack = bare_stack(0, POOL);
    let mut tp = idle_sock();
    let mut gap = received(&mut stack, 1460, 1460);
    let next = received(&mut stack, 2920, 1460);
    assert_eq!(stack.tcp_try_coalesce(&mut gap, next).ok(), Some(2048));
    let first = received(&mut stack, 0, 1460);
    stack.tcp_queue_rcv(&mut tp, first);
    stack.tcp_queue_rcv(&mut tp, gap);
    assert_eq!((tp.rmem_alloc, tp.receive_queue.len()), (2304 + 2 * 2048, 1));
    let mut out = alloc::vec![0; 4380];
    assert_eq!(stack.skbs.copy_out(&tp.receive_queue[0].skb, 0, &mut out), 4380);
    assert!(out.iter().copied().eq((0..4380_u32).map(|at| at as u8)));
}
