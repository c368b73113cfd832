use super::*;
use crate::control::{Command, Refusal, parse};
use crate::dma::DmaMemory;
use crate::errno::Errno;
use crate::skb::PoolConfig;
use crate::trace::Step;
use rstest::rstest;
use std::string::ToString;

struct Bench {
    qdiscs: Qdiscs,
    skbs: SkbPool,
    trace: Trace,
    now: Instant,
    next: u8,
}

impl Bench {
    fn new(tx_queues: usize, tx_queue_len: u32) -> Self {
        let config = PoolConfig { skbs: 256, heads: 256, pages: 1, coherent_bytes: 4096 };
        let skbs = SkbPool::new(DmaMemory::zeroed(config.bytes(), 0), &config);
        let device = QdiscDevice { num_tx_queues: 4, tx_queues, tx_queue_len, mtu: 1500 };
        Self { qdiscs: Qdiscs::new(device), skbs, trace: Trace::default(), now: Instant(1_000), next: 0 }
    }

    fn tc(&mut self, text: &str) -> Result<(), Refusal> {
        let text = alloc::format!("tc qdisc {text}");
        let words: Vec<&str> = text.split_whitespace().collect();
        let Ok(Command::Qdisc(command)) = parse(&words) else { panic!("{text}: {:?}", parse(&words)) };
        let mut cx = QdiscCtx { now: self.now, skbs: &mut self.skbs, trace: &mut self.trace };
        self.qdiscs.apply(&mut cx, &command)
    }

    /// Enqueues a packet of `len` bytes; its first byte counts up from 1.
    fn send(&mut self, queue: usize, priority: u32, len: usize) -> Enqueue {
        let skb = self.skbs.alloc().expect("the pool is large enough");
        self.next += 1;
        self.skbs.put(&skb, len)[0] = self.next;
        self.skbs[&skb].priority = priority;
        let mut cx = QdiscCtx { now: self.now, skbs: &mut self.skbs, trace: &mut self.trace };
        self.qdiscs.enqueue(&mut cx, queue, skb)
    }

    fn take(&mut self, queue: usize) -> Option<Skb> {
        let mut cx = QdiscCtx { now: self.now, skbs: &mut self.skbs, trace: &mut self.trace };
        self.qdiscs.dequeue(&mut cx, queue)
    }

    /// Takes the next packet, and gives its first byte.
    fn receive(&mut self, queue: usize) -> Option<u8> {
        let skb = self.take(queue)?;
        let first = self.skbs.linear(&skb)[0];
        self.skbs.consume(&mut self.trace, skb);
        Some(first)
    }

    fn receive_all(&mut self, queue: usize) -> Vec<u8> {
        core::iter::from_fn(|| self.receive(queue)).collect()
    }

    fn requeue(&mut self, queue: usize, skb: Skb) {
        let mut cx = QdiscCtx { now: self.now, skbs: &mut self.skbs, trace: &mut self.trace };
        self.qdiscs.requeue(&mut cx, queue, skb);
    }
}

// Priorities that TOS gives: 0x00 → 0, 0x08 → 2, 0x10 → 6, 0x18 → 4.
#[test]
fn pfifo_fast_sends_interactive_before_best_effort_before_bulk() {
    let mut bench = Bench::new(1, 1000);
    for priority in [2, 0, 6, 2, 0, 6, 4, 17] {
        assert_eq!(bench.send(0, priority, 100), Enqueue::Queued);
    }
    // 17 & 15 is 1, which is bulk.
    assert_eq!(bench.receive_all(0), [3, 6, 2, 5, 7, 1, 4, 8]);
    let stats = bench.qdiscs.stats();
    assert_eq!((stats.packets, stats.bytes, stats.qlen, stats.backlog), (8, 800, 0, 0));
}

#[rstest]
#[case::each_band_of_pfifo_fast("root pfifo_fast", &[0, 0, 0, 2, 2, 2, 6], 5, 2)]
#[case::pfifo_in_all("root pfifo limit 3", &[0, 0, 2, 6, 0], 3, 2)]
#[case::pfifo_without_a_limit_by_the_queue_length("root pfifo", &[0, 0, 0], 2, 1)]
#[case::bfifo_in_bytes("root bfifo limit 250", &[0, 0, 0], 2, 1)]
#[case::each_band_of_prio("root prio", &[0, 0, 0, 2, 2, 2, 6], 5, 2)]
#[case::tbf_in_bytes("root tbf rate 1mbit burst 1600 limit 250", &[0, 0, 0], 2, 1)]
fn what_does_not_fit_is_dropped(
    #[case] qdisc: &str,
    #[case] priorities: &[u32],
    #[case] queued: u32,
    #[case] dropped: u64,
) {
    let mut bench = Bench::new(1, 2);
    bench.tc(&alloc::format!("add dev eth0 {qdisc}")).unwrap();
    let results: Vec<Enqueue> = priorities.iter().map(|&priority| bench.send(0, priority, 100)).collect();
    assert_eq!(results.iter().filter(|&r| *r == Enqueue::Dropped).count() as u64, dropped);
    let stats = bench.qdiscs.stats();
    assert_eq!((stats.qlen, stats.backlog, stats.drops), (queued, u64::from(queued) * 100, dropped));
    assert_eq!(bench.skbs.in_flight(), queued as usize);
}

/// Linux 6.18: `tbf rate 8kbit burst 1600`, at 1:7 a pfifo of 3; 1442 bytes, then seven of 442. The child was deleted
/// then, and three more packets were sent.
#[test]
fn tbf_and_its_child_count_as_linux_does() {
    let mut bench = Bench::new(1, 1000);
    bench.tc("replace dev eth0 root handle 1: tbf rate 8kbit burst 1600 limit 100000").unwrap();
    bench.tc("replace dev eth0 parent 1:7 handle 12: pfifo limit 3").unwrap();
    assert_eq!(bench.send(0, 0, 1442), Enqueue::Queued);
    assert_eq!(bench.receive(0), Some(1));
    for i in 0..7 {
        let expected = if i < 3 { Enqueue::Queued } else { Enqueue::Dropped };
        assert_eq!(bench.send(0, 0, 442), expected);
        assert_eq!(bench.receive(0), None);
    }
    let list = bench.qdiscs.list();
    let [root, child] = &list[..] else { panic!("{list:?}") };
    let counted =
        QdiscStats { bytes: 1442, packets: 1, drops: 4, overlimits: 7, requeues: 0, backlog: 1326, qlen: 3 };
    assert_eq!((root.kind, root.handle, root.stats), ("tbf", 0x1_0000, counted));
    assert_eq!(
        (child.kind, child.parent, child.stats),
        ("pfifo", 0x1_0007, QdiscStats { overlimits: 0, ..counted })
    );
    bench.tc("del dev eth0 parent 1:1").unwrap();
    assert_eq!(bench.qdiscs.stats(), QdiscStats { drops: 7, backlog: 0, qlen: 0, ..counted });
    assert_eq!(bench.skbs.in_flight(), 0);
    for _ in 0..3 {
        assert_eq!(bench.send(0, 0, 442), Enqueue::Congested);
    }
    assert_eq!(bench.qdiscs.stats(), QdiscStats { drops: 10, backlog: 0, qlen: 0, ..counted });
}

/// The example of the case language: the first packet takes the burst, the others leave in the order of pfifo_fast, each
/// when its tokens are there.
#[test]
fn pfifo_fast_behind_tbf_is_ordered_and_paced() {
    let mut bench = Bench::new(1, 1000);
    bench.tc("replace dev eth0 root handle 1: tbf rate 100kbit burst 1600 limit 1000000").unwrap();
    bench.tc("replace dev eth0 parent 1:1 handle 10: pfifo_fast").unwrap();
    assert_eq!(bench.send(0, 0, 1442), Enqueue::Queued);
    assert_eq!(bench.receive(0), Some(1));
    for priority in [2, 0, 6, 2, 0, 6, 2, 0, 6] {
        assert_eq!(bench.send(0, priority, 442), Enqueue::Queued);
    }
    assert_eq!(bench.receive(0), None);
    let start = bench.now;
    let mut sent = Vec::new();
    while let Some(at) = bench.qdiscs.next_deadline() {
        assert!(!bench.qdiscs.expired(at - core::time::Duration::from_nanos(1), 0));
        bench.now = at;
        assert!(bench.qdiscs.expired(at, 0));
        sent.extend(bench.receive_all(0));
    }
    assert_eq!(sent, [4, 7, 10, 3, 6, 9, 2, 5, 8]);
    // 9 * 442 - (1600 - 1442) bytes at 12,500 bytes a second; Linux 6.18 sent the last after 306 ms.
    let ns = bench.now.since(start).as_nanos();
    assert!((305_600_000..305_600_100).contains(&ns), "{ns}");
}

#[test]
fn tbf_drops_what_is_longer_than_its_burst_and_has_a_large_packet_cut() {
    let mut bench = Bench::new(1, 1000);
    bench.tc("add dev eth0 root tbf rate 1mbit burst 1000 limit 10000").unwrap();
    assert_eq!(bench.send(0, 0, 1001), Enqueue::Dropped);
    assert_eq!(bench.send(0, 0, 1000), Enqueue::Queued);
    let skb = bench.skbs.alloc().unwrap();
    let start = bench.skbs[&skb].data_offset();
    let bytes = bench.skbs.put(&skb, 1054);
    (bytes[14 + 9], bytes[34 + 12]) = (6, 0x50);
    let meta = &mut bench.skbs[&skb];
    (meta.network_header, meta.transport_header) = (start + 14, start + 34);
    (meta.gso_size, meta.gso_segs) = (500, 2);
    let mut cx = QdiscCtx { now: bench.now, skbs: &mut bench.skbs, trace: &mut bench.trace };
    let Enqueue::Segment(skb) = bench.qdiscs.enqueue(&mut cx, 0, skb) else { panic!("it must be cut") };
    bench.skbs.consume(&mut bench.trace, skb);
    assert_eq!(bench.qdiscs.stats().drops, 1);
}

#[test]
fn a_large_packet_counts_as_its_segments() {
    let mut bench = Bench::new(1, 1000);
    let skb = bench.skbs.alloc().unwrap();
    let start = bench.skbs[&skb].data_offset();
    let bytes = bench.skbs.put(&skb, 1054);
    (bytes[14 + 9], bytes[34 + 12]) = (6, 0x50);
    let meta = &mut bench.skbs[&skb];
    (meta.network_header, meta.transport_header) = (start + 14, start + 34);
    (meta.gso_size, meta.gso_segs) = (500, 2);
    assert!(!bench.qdiscs.bypass(&bench.skbs, 0, &skb), "it may have to be cut");
    assert!(bench.qdiscs.bypass_large(&bench.skbs, 0, &skb));
    bench.skbs.consume(&mut bench.trace, skb);
    let stats = bench.qdiscs.stats();
    assert_eq!((stats.packets, stats.bytes), (2, 1054 + 54));
}

#[test]
fn prio_takes_the_class_that_the_priority_names() {
    let mut bench = Bench::new(1, 1000);
    bench.tc("add dev eth0 root handle 1: prio bands 4").unwrap();
    for priority in [0x1_0004, 0, 0x1_0001, 0x1_0009, 0x2_0001] {
        assert_eq!(bench.send(0, priority, 100), Enqueue::Queued);
    }
    // 1:9 is no band, and 2:1 of another qdisc: both go by priority 0, like the second packet.
    assert_eq!(bench.receive_all(0), [3, 2, 4, 5, 1]);
}

#[test]
fn a_token_bucket_below_prio_holds_back_only_its_band() {
    let mut bench = Bench::new(1, 1000);
    bench.tc("add dev eth0 root handle 1: prio").unwrap();
    bench.tc("add dev eth0 parent 1:1 handle 2: tbf rate 8kbit burst 1000 limit 10000").unwrap();
    for priority in [6, 6, 0] {
        assert_eq!(bench.send(0, priority, 600), Enqueue::Queued);
    }
    assert_eq!(bench.receive_all(0), [1, 3]);
    assert_eq!((bench.qdiscs.qlen(0), bench.qdiscs.stats().overlimits), (1, 0));
    bench.now = bench.qdiscs.next_deadline().expect("the bucket waits");
    assert_eq!(bench.receive_all(0), [2]);
    assert!(bench.qdiscs.is_empty(0));
}

#[test]
fn packets_that_were_put_back_go_first_in_their_order() {
    let mut bench = Bench::new(1, 1000);
    assert!(bench.qdiscs.can_bypass(0));
    for priority in [0, 0, 6] {
        assert_eq!(bench.send(0, priority, 100), Enqueue::Queued);
    }
    assert!(!bench.qdiscs.can_bypass(0));
    let (first, second) = (bench.take(0).unwrap(), bench.take(0).unwrap());
    bench.requeue(0, first);
    bench.requeue(0, second);
    let stats = bench.qdiscs.stats();
    assert_eq!((stats.requeues, stats.qlen, stats.backlog), (2, 3, 300));
    assert_eq!(bench.receive_all(0), [3, 1, 2]);
    assert_eq!(bench.qdiscs.stats().packets, 3, "counted once each");
}

#[test]
fn several_queues_have_a_qdisc_each_below_mq() {
    let mut bench = Bench::new(2, 1000);
    for queue in [0, 1, 1] {
        assert_eq!(bench.send(queue, 0, 100), Enqueue::Queued);
    }
    let kinds: Vec<_> = bench.qdiscs.list().iter().map(|q| (q.kind, q.parent, q.stats.qlen)).collect();
    assert_eq!(kinds, [("mq", TC_H_ROOT, 3), ("pfifo_fast", 1, 1), ("pfifo_fast", 2, 2)]);
    assert_eq!((bench.receive_all(0), bench.receive_all(1)), (alloc::vec![1], alloc::vec![2, 3]));
    bench.tc("replace dev eth0 root handle 1: mq").unwrap();
    bench.tc("replace dev eth0 parent 1:2 pfifo limit 1").unwrap();
    assert_eq!(bench.send(1, 0, 100), Enqueue::Queued);
    assert_eq!(bench.send(1, 0, 100), Enqueue::Dropped);
    assert!(bench.qdiscs.serves_one_queue(1));
    assert_eq!(bench.tc("add dev eth0 parent 1:5 pfifo").unwrap_err().errno, Errno::ENOENT);
    bench.tc("replace dev eth0 root handle 2: pfifo").unwrap();
    assert!(!bench.qdiscs.serves_one_queue(1));
    assert_eq!(bench.skbs.in_flight(), 0, "the old tree was emptied");
}

#[test]
fn the_queues_follow_the_device() {
    let mut bench = Bench::new(1, 3);
    for _ in 0..3 {
        assert_eq!(bench.send(0, 0, 100), Enqueue::Queued);
    }
    let mut cx = QdiscCtx { now: bench.now, skbs: &mut bench.skbs, trace: &mut bench.trace };
    bench.qdiscs.set_tx_queue_len(&mut cx, 2);
    assert_eq!((bench.qdiscs.qlen(0), bench.qdiscs.stats().backlog), (2, 200));
    let mut cx = QdiscCtx { now: bench.now, skbs: &mut bench.skbs, trace: &mut bench.trace };
    bench.qdiscs.set_tx_queues(&mut cx, 4);
    assert_eq!((bench.qdiscs.list().len(), bench.skbs.in_flight()), (5, 0));
    assert_eq!(bench.send(3, 0, 100), Enqueue::Queued);
    let mut cx = QdiscCtx { now: bench.now, skbs: &mut bench.skbs, trace: &mut bench.trace };
    bench.qdiscs.reset(&mut cx);
    assert_eq!((bench.qdiscs.qlen(3), bench.skbs.in_flight()), (0, 0));
    assert!(Bench::new(1, 0).qdiscs.is_noqueue(0));
}

#[test]
fn a_qdisc_of_a_queue_keeps_what_it_counted() {
    let mut bench = Bench::new(1, 10);
    let queues = |bench: &mut Bench, count| {
        let mut cx = QdiscCtx { now: bench.now, skbs: &mut bench.skbs, trace: &mut bench.trace };
        bench.qdiscs.set_tx_queues(&mut cx, count);
    };
    let shown = |bench: &Bench| -> Vec<_> {
        bench.qdiscs.list().iter().map(|q| (q.kind, q.parent & 0xffff, q.stats.packets)).collect()
    };
    let root = TC_H_ROOT & 0xffff;
    assert_eq!(bench.send(0, 0, 100), Enqueue::Queued);
    assert_eq!(bench.receive_all(0).len(), 1);
    queues(&mut bench, 2);
    assert_eq!(shown(&bench), [("mq", root, 1), ("pfifo_fast", 1, 1), ("pfifo_fast", 2, 0)]);
    assert_eq!(bench.send(1, 0, 100), Enqueue::Queued);
    assert_eq!(bench.receive_all(1).len(), 1);
    assert_eq!(bench.send(1, 0, 100), Enqueue::Queued);
    queues(&mut bench, 1);
    assert_eq!(shown(&bench), [("mq", root, 2), ("pfifo_fast", 1, 1)], "mq adds all up, and stays");
    assert_eq!(bench.skbs.in_flight(), 0, "what waited for a queue that went is gone");
    queues(&mut bench, 2);
    assert_eq!(shown(&bench), [("mq", root, 2), ("pfifo_fast", 1, 1), ("pfifo_fast", 2, 1)]);
}

// What Linux 6.18 answers, with a tbf 1: at the root and nothing but its default below.
#[rstest]
#[case(
    "add dev eth0 root tbf rate 1mbit burst 1600 limit 1",
    Errno::EEXIST,
    "Exclusivity flag on, cannot modify."
)]
#[case(
    "add dev eth0 root handle 1: tbf rate 1mbit burst 1600 limit 1",
    Errno::EEXIST,
    "Exclusivity flag on, cannot modify."
)]
#[case("add dev eth0 root handle 2: pfifo", Errno::EEXIST, "NLM_F_REPLACE needed to override.")]
#[case("change dev eth0 root handle 2: pfifo", Errno::EEXIST, "NLM_F_REPLACE needed to override.")]
#[case(
    "replace dev eth0 root handle 1: pfifo",
    Errno::EINVAL,
    "Invalid qdisc name: must match existing qdisc."
)]
#[case("add dev eth0 parent 5:1 pfifo", Errno::ENOENT, "Failed to find specified qdisc.")]
#[case(
    "add dev eth0 parent 1:1 handle 1: pfifo",
    Errno::EINVAL,
    "Cannot move an existing qdisc to a different parent."
)]
#[case(
    "replace dev eth0 parent 1:1 handle 1: tbf rate 1mbit burst 1600 limit 1",
    Errno::EINVAL,
    "Cannot move an existing qdisc to a different parent."
)]
#[case("add dev eth0 parent 1:1 mq", Errno::EOPNOTSUPP, "Operation not supported")]
#[case(
    "replace dev eth0 root tbf rate 1mbit burst 1000 limit 1000 peakrate 1mbit mtu 1000",
    Errno::EINVAL,
    "Invalid argument"
)]
#[case("del dev eth0 parent 5:1", Errno::ENOENT, "Failed to find qdisc with specified classid.")]
#[case("del dev eth0 parent 1:1", Errno::ENOENT, "Cannot delete qdisc with handle of zero.")]
#[case("del dev eth0 root handle 5:", Errno::EINVAL, "Invalid handle.")]
#[case(
    "change dev eth0 parent 1:1 pfifo",
    Errno::ENOENT,
    "Qdisc not found. To create specify NLM_F_CREATE flag."
)]
fn is_refused(#[case] command: &str, #[case] errno: Errno, #[case] message: &str) {
    let mut bench = Bench::new(1, 1000);
    bench.tc("add dev eth0 root handle 1: tbf rate 1mbit burst 1600 limit 3000").unwrap();
    assert_eq!(bench.tc(command), Err(Refusal { errno, message: message.to_string() }));
}

#[test]
fn a_child_of_a_queue_without_classes_is_refused() {
    let mut bench = Bench::new(1, 1000);
    assert_eq!(
        bench.tc("del dev eth0 root").unwrap_err().message,
        "Cannot delete qdisc with handle of zero."
    );
    bench.tc("add dev eth0 root handle 1: pfifo").unwrap();
    assert_eq!(
        bench.tc("add dev eth0 parent 1:1 pfifo").unwrap_err().message,
        "Parent qdisc is not classful."
    );
}

/// Linux 6.18: without a handle, another kind takes the place of what is there whatever the verb; the same kind is changed
/// and keeps its packets.
#[test]
fn the_same_kind_is_changed_another_takes_its_place() {
    let mut bench = Bench::new(1, 1000);
    bench.tc("add dev eth0 root pfifo limit 5").unwrap();
    assert_eq!(bench.send(0, 0, 100), Enqueue::Queued);
    bench.tc("replace dev eth0 root pfifo limit 1").unwrap();
    assert_eq!((bench.qdiscs.qlen(0), bench.qdiscs.list()[0].handle), (1, 0x8001_0000));
    assert_eq!(bench.send(0, 0, 100), Enqueue::Dropped);
    bench.tc("change dev eth0 root bfifo limit 700").unwrap();
    let root = &bench.qdiscs.list()[0];
    assert_eq!((root.kind, root.handle, root.stats), ("bfifo", 0x8002_0000, QdiscStats::default()));
    assert_eq!(bench.skbs.in_flight(), 0);
    bench.tc("del dev eth0 root").unwrap();
    assert_eq!((bench.qdiscs.list()[0].kind, bench.qdiscs.list()[0].handle), ("pfifo_fast", 0));
}

#[test]
fn qdiscs_cannot_be_nested_without_end() {
    let mut bench = Bench::new(1, 1000);
    bench.tc("add dev eth0 root handle 1: prio").unwrap();
    let errors: Vec<_> = (1..40)
        .map(|i| bench.tc(&alloc::format!("add dev eth0 parent {i:x}:1 handle {:x}: prio", i + 1)))
        .filter_map(Result::err)
        .collect();
    assert_eq!(errors[0].errno, Errno::ELOOP);
    assert_eq!(bench.send(0, 0, 100), Enqueue::Queued);
    assert_eq!(bench.receive(0), Some(1));
}

#[test]
fn the_journal_has_every_function_and_the_queue_once() {
    let mut bench = Bench::new(1, 1000);
    bench.tc("add dev eth0 root handle 1: tbf rate 1mbit burst 1600 limit 3000").unwrap();
    bench.tc("add dev eth0 parent 1:1 pfifo_fast").unwrap();
    bench.trace.set_on(true);
    let skb = bench.skbs.alloc().unwrap();
    bench.skbs.put(&skb, 60);
    bench.skbs[&skb].packet = 7;
    let mut cx = QdiscCtx { now: bench.now, skbs: &mut bench.skbs, trace: &mut bench.trace };
    assert_eq!(bench.qdiscs.enqueue(&mut cx, 0, skb), Enqueue::Queued);
    let skb = bench.qdiscs.dequeue(&mut cx, 0).unwrap();
    let events = bench.trace.take();
    assert!(events.iter().all(|event| event.packet == 7));
    let steps: Vec<Step> = events.into_iter().map(|event| event.step).collect();
    let expected = [
        Step::Function("tbf_enqueue"),
        Step::Function("pfifo_fast_enqueue"),
        Step::Queued("qdisc"),
        Step::Function("tbf_dequeue"),
        Step::Function("pfifo_fast_dequeue"),
        Step::Dequeued("qdisc"),
    ];
    assert_eq!(steps, expected);
    bench.skbs.consume(&mut bench.trace, skb);
}
