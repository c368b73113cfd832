//! The whole stack on the emulated NIC, with the smallest frames: whether the wire of 1 Gbit/s ever idles between two of them.

use harness::case::model::Interrupts;
use harness::rig::emu::{Host, Identity};
use rstest::rstest;
use stack_under_test::errno::Errno;
use stack_under_test::socket::Fd;
use stack_under_test::udp::output::SendFlags;
use std::net::{Ipv4Addr, SocketAddrV4};

/// A frame of 64 bytes with preamble and gap: 84 bytes at 8 ns each.
const SLOT: u64 = 672;
/// How long byte limit and moderation may take to find what the load needs.
const WARM_UP: u64 = 100_000_000;
/// A second; where the program is not optimised, the twentieth part of it.
const WINDOW: u64 = if cfg!(debug_assertions) { 50_000_000 } else { 1_000_000_000 };
const PEER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 9);

/// Sends until the socket has no more room.
fn fill(host: &mut Host, socket: Fd) {
    let (stack, now) = host.stack();
    loop {
        match stack.sendto(now, 0, socket, &[0; 18], Some(PEER), SendFlags::default()) {
            Ok(_) => {}
            Err(Errno::EAGAIN) => return,
            Err(other) => panic!("sendto: {other:?}"),
        }
    }
}

/// Frames of a window, and the longest time from the end of one to the end of the next.
fn frames(commands: &[&str]) -> (u64, u64) {
    let mut all =
        vec!["ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent".to_owned()];
    all.extend(commands.iter().map(|command| (*command).to_owned()));
    let mut host = Host::new(&Identity::default(), &all).unwrap();
    let socket = host.stack().0.socket_udp().unwrap();
    let (mut count, mut longest, mut last) = (0, 0, WARM_UP);
    fill(&mut host, socket);
    while let Some(due) = host.next_due().filter(|due| *due <= WARM_UP + WINDOW) {
        host.go_to(due).unwrap();
        if host.stack().0.take_woken().contains(&socket) {
            fill(&mut host, socket);
        }
        while let Some((at, frame)) = host.next_frame() {
            assert_eq!(frame.len(), 60, "without its FCS");
            if at > WARM_UP {
                count += 1;
                longest = longest.max(at - last);
                last = at;
            }
        }
    }
    assert_eq!(host.violations(), Vec::<String>::new());
    (count, longest)
}

/// 1,488,095 frames in a second: 10^9 over 672.
#[test]
fn the_wire_never_idles_between_the_smallest_frames() {
    let (count, longest) = frames(&[]);
    assert_eq!((count, longest), (WINDOW / SLOT, SLOT));
}

#[rstest]
#[case::of_64_descriptors(&["ethtool -G eth0 tx 64"])]
fn a_ring_that_is_too_small_shows_gaps(#[case] commands: &[&str]) {
    let (count, longest) = frames(commands);
    assert!(count < WINDOW / SLOT * 9 / 10 && longest > 10 * SLOT, "{count} frames, {longest} ns at most");
}

/// Without MSI-X one interrupt tells of everything: link, sent and received.
#[test]
fn one_interrupt_for_all_does_as_well() {
    let identity = Identity { interrupts: Interrupts::Intx, ..Identity::default() };
    let commands = ["ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent".to_owned()];
    let mut host = Host::new(&identity, &commands).unwrap();
    let socket = host.stack().0.socket_udp().unwrap();
    host.stack().0.bind(socket, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 9)).unwrap();
    for round in 1..=50u64 {
        let (stack, now) = host.stack();
        assert_eq!(stack.sendto(now, 0, socket, &[0; 18], Some(PEER), SendFlags::default()), Ok(18));
        host.go_to(round * 1_000_000).unwrap();
        let (_, mut frame) = host.next_frame().unwrap();
        // Back to its sender: addresses of both layers change places.
        frame[..12].rotate_left(6);
        frame[26..34].rotate_left(4);
        host.receive(&frame).unwrap();
    }
    host.go_to(3_000_000_000).unwrap();
    let (stack, now) = host.stack();
    assert_eq!(stack.skbs_in_flight(), 50, "received, and not read");
    let counters = stack.ethtool_stats(now);
    let is = |name: &str| counters.iter().find(|(known, _)| known == name).unwrap().1;
    assert_eq!(["tx_queue_0_packets", "rx_queue_0_packets", "tx_timeout_count"].map(is), [50, 50, 0]);
    let more = stack.control(
        now,
        &stack_under_test::control::parse(&["ethtool", "-L", "eth0", "combined", "2"]).unwrap(),
    );
    assert!(more.is_err(), "queues need vectors");
    assert_eq!(host.violations(), Vec::<String>::new());
}
