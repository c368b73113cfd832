use super::*;
use crate::skb::PoolConfig;
use crate::tcp::tests::support::{bare_stack, idle_sock, received};

const POOL: PoolConfig = PoolConfig { skbs: 64, heads: 64, pages: 16, coherent_bytes: 4096 };

/// A socket whose buffer of `rcvbuf` was set, with packets of 100 bytes 200 apart out of order.
fn with_gaps(rcvbuf: u32, packets: u32) -> (Stack, TcpSock) {
    let mut stack = bare_stack(0, POOL);
    let mut tp = idle_sock();
    (tp.options.rcvbuf, tp.tunables.rcvbuf_locked) = (rcvbuf, true);
    for at in 0..packets {
        let part = received(&mut stack, 1000 + 200 * at, 100);
        tp.rmem_alloc += part.truesize;
        tp.out_of_order.push(part);
    }
    (stack, tp)
}

#[test]
fn a_buffer_within_its_limit_takes_more() {
    let (mut stack, mut tp) = with_gaps(4 * 2304, 4);
    assert!(stack.tcp_try_rmem_schedule(&mut tp, 0, 2304));
    assert_eq!((tp.out_of_order.len(), stack.mib.get(Counter::TcpExtPruneCalled)), (4, 0));
}

// Each costs 2,304; an eighth of 9,215 is less, so that one after the other goes until the rest fits.
#[test]
fn the_furthest_go_first() {
    let (mut stack, mut tp) = with_gaps(4 * 2304 - 1, 5);
    assert!(stack.tcp_try_rmem_schedule(&mut tp, 0, 2304));
    let left: Vec<u32> = tp.out_of_order.iter().map(|part| part.seq).collect();
    assert_eq!(left, [1000, 1200, 1400]);
    assert_eq!(stack.mib.get(Counter::TcpExtOfoPruned), 1);
}

#[test]
fn none_goes_that_lies_before_what_came() {
    let (mut stack, mut tp) = with_gaps(4 * 2304 - 1, 5);
    assert!(!stack.tcp_try_rmem_schedule(&mut tp, 5000, 2304));
    assert_eq!((tp.out_of_order.len(), stack.mib.get(Counter::TcpExtRcvPruned)), (5, 1));
}

#[test]
fn a_buffer_that_nobody_set_grows_to_what_is_in_it() {
    let (mut stack, mut tp) = with_gaps(4096, 5);
    tp.tunables.rcvbuf_locked = false;
    assert!(stack.tcp_try_rmem_schedule(&mut tp, 0, 2304));
    assert_eq!((tp.options.rcvbuf, tp.out_of_order.len()), (5 * 2304, 5));
}

// 40 packets of 100 bytes cost 92,160; copied together they are 4,000 bytes: 3,776 and 224 of them, for 4,352 and 960.
#[test]
fn packets_without_a_gap_are_copied_together() {
    let mut stack = bare_stack(0, POOL);
    let mut tp = idle_sock();
    (tp.options.rcvbuf, tp.tunables.rcvbuf_locked) = (8192, true);
    (tp.copied_seq, tp.rcv_nxt) = (500, 4500);
    for at in 0..40 {
        let part = received(&mut stack, 500 + 100 * at, 100);
        tp.rmem_alloc += part.truesize;
        tp.receive_queue.push_back(part);
    }
    assert!(stack.tcp_try_rmem_schedule(&mut tp, 4500, 2304));
    assert_eq!((tp.receive_queue.len(), tp.rmem_alloc), (2, 4352 + 960));
    assert_eq!(stack.mib.get(Counter::TcpExtRcvCollapsed), 40);
    let mut seq = 500_u32;
    for part in &tp.receive_queue {
        assert_eq!(part.seq, seq);
        let mut out = alloc::vec![0; stack.skbs[&part.skb].len()];
        stack.skbs.copy_out(&part.skb, 0, &mut out);
        assert!(out.iter().copied().eq((seq..part.end_seq).map(|at| at as u8)));
        seq = part.end_seq;
    }
    assert_eq!(seq, 4500);
    stack.tcp_purge(&mut tp);
    assert_eq!((tp.rmem_alloc, stack.skbs.in_flight(), stack.skbs.buffers_in_use()), (0, 0, (0, 0)));
}

#[test]
fn what_was_read_is_not_copied_and_a_fin_stays_where_it_is() {
    let mut stack = bare_stack(0, POOL);
    let mut tp = idle_sock();
    (tp.options.rcvbuf, tp.tunables.rcvbuf_locked) = (4608, true);
    (tp.copied_seq, tp.rcv_nxt) = (550, 801);
    for at in 0..3 {
        let mut part = received(&mut stack, 500 + 100 * at, 100);
        (part.fin, part.end_seq) = (at == 2, part.end_seq + u32::from(at == 2));
        tp.rmem_alloc += part.truesize;
        tp.receive_queue.push_back(part);
    }
    assert!(stack.tcp_try_rmem_schedule(&mut tp, 801, 2304));
    let parts: Vec<_> = tp.receive_queue.iter().map(|part| (part.seq, part.end_seq, part.fin)).collect();
    assert_eq!(parts, [(550, 700, false), (700, 801, true)]);
    assert_eq!(stack.mib.get(Counter::TcpExtRcvCollapsed), 2);
}
