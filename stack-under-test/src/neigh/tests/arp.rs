//! ARP packets against entries in every state. The tables were recorded from Linux 6.18 in a namespace: a script on the other
//! end of a veth sent each packet to entries that `ip neigh` had put into each state.

use super::*;
use crate::route::Prefix;
use rstest::rstest;

/// The states of the columns below; `None` is no entry.
const STATES: [Option<NudState>; 9] = [
    None,
    Some(NudState::None),
    Some(NudState::Incomplete),
    Some(NudState::Reachable),
    Some(NudState::Stale),
    Some(NudState::Probe),
    Some(NudState::Failed),
    Some(NudState::NoArp),
    Some(NudState::Permanent),
];

const THIRD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);

fn arp(op: Operation, sha: Mac, tpa: Ipv4Addr) -> Arp {
    Arp { op, sha, spa: PEER_IP, tha: [0; 6], tpa }
}

fn prepared(state: Option<NudState>) -> Bench {
    let mut bench = Bench::new();
    match state {
        None => {}
        Some(NudState::Incomplete) => {
            bench.send();
        }
        Some(state @ (NudState::Failed | NudState::None)) => {
            let change = NeighChange { addr: PEER_IP, lladdr: None, state };
            bench.call(|table, cx, _| table.add(cx, NeighVerb::Add, &change)).0.expect("a new entry");
        }
        Some(state) => bench.set(state),
    }
    bench
}

fn row(arp: Arp, to: Mac, wait: Duration) -> String {
    let after = |state| {
        let mut bench = prepared(state);
        bench.wait(wait);
        bench.arp(arp, to);
        match bench.table.get(PEER_IP) {
            None => "-".to_string(),
            Some(n) => {
                alloc::format!("{:x}{}", n.lladdr[5] & 0xf, n.state.name().chars().next().unwrap_or('?'))
            }
        }
    };
    let words: Vec<String> = STATES.into_iter().map(after).collect();
    words.join(" ")
}

/// Columns: no entry, none, incomplete (a packet waits), reachable, stale, probe, failed, noarp, permanent. In each, the station
/// (2: that of the entry, a: another) and the state after. First within `locktime` of the entry's last change, then after.
#[rstest]
#[case::reply_of_the_same(
    arp(Operation::Reply, PEER, OWN_IP),
    OWN,
    "- 2R 2R 2R 2R 2R 2R 2N 2P",
    "- 2R 2R 2R 2R 2R 2R 2N 2P"
)]
#[case::reply_of_another(
    arp(Operation::Reply, OTHER, OWN_IP),
    OWN,
    "- aR aR 2R 2S 2P aR 2N 2P",
    "- aR aR aR aR aR aR 2N 2P"
)]
#[case::broadcast_reply_of_the_same(
    arp(Operation::Reply, PEER, OWN_IP),
    BROADCAST,
    "- 2S 2D 2R 2S 2P 2S 2N 2P",
    "- 2S 2D 2R 2S 2P 2S 2N 2P"
)]
#[case::broadcast_reply_of_another(
    arp(Operation::Reply, OTHER, OWN_IP),
    BROADCAST,
    "- aS aD 2R 2S 2P aS 2N 2P",
    "- aS aD aS aS aS aS 2N 2P"
)]
#[case::request_of_the_same(
    arp(Operation::Request, PEER, OWN_IP),
    BROADCAST,
    "2S 2S 2D 2R 2S 2P 2S 2N 2P",
    "2S 2S 2D 2R 2S 2P 2S 2N 2P"
)]
#[case::request_of_another(
    arp(Operation::Request, OTHER, OWN_IP),
    BROADCAST,
    "aS aS aD aS aS aS aS 2N 2P",
    "aS aS aD aS aS aS aS 2N 2P"
)]
#[case::unicast_request_of_another(
    arp(Operation::Request, OTHER, OWN_IP),
    OWN,
    "aS aS aD aS aS aS aS 2N 2P",
    "aS aS aD aS aS aS aS 2N 2P"
)]
#[case::request_for_a_third_by_the_same(
    arp(Operation::Request, PEER, THIRD),
    BROADCAST,
    "- 2S 2D 2R 2S 2P 2S 2N 2P",
    "- 2S 2D 2R 2S 2P 2S 2N 2P"
)]
#[case::request_for_a_third_by_another(
    arp(Operation::Request, OTHER, THIRD),
    BROADCAST,
    "- aS aD 2R 2S 2P aS 2N 2P",
    "- aS aD aS aS aS aS 2N 2P"
)]
#[case::gratuitous_request_of_the_same(
    arp(Operation::Request, PEER, PEER_IP),
    BROADCAST,
    "- 2S 2D 2R 2S 2P 2S 2N 2P",
    "- 2S 2D 2R 2S 2P 2S 2N 2P"
)]
#[case::gratuitous_request_of_another(
    arp(Operation::Request, OTHER, PEER_IP),
    BROADCAST,
    "- aS aD aS aS aS aS 2N 2P",
    "- aS aD aS aS aS aS 2N 2P"
)]
#[case::gratuitous_reply_of_another(Arp { tha: OTHER, ..arp(Operation::Reply, OTHER, PEER_IP) }, BROADCAST,
    "- aS aD aS aS aS aS 2N 2P",
    "- aS aD aS aS aS aS 2N 2P")]
#[case::reply_for_a_third_by_another(
    arp(Operation::Reply, OTHER, THIRD),
    OWN,
    "- aR aR 2R 2S 2P aR 2N 2P",
    "- aR aR aR aR aR aR 2N 2P"
)]
fn an_arp_packet(#[case] arp: Arp, #[case] to: Mac, #[case] locked: &str, #[case] unlocked: &str) {
    assert_eq!(row(arp, to, 30 * MILLI), locked, "within locktime");
    assert_eq!(row(arp, to, 1200 * MILLI), unlocked, "after locktime");
}

fn asks(sha: Mac, spa: Ipv4Addr, tpa: Ipv4Addr) -> Arp {
    Arp { op: Operation::Request, sha, spa, tha: [0; 6], tpa }
}

const fn ip(d: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, d)
}

/// Whether Linux answers a request, and what it remembers of the sender.
#[rstest]
#[case::by_a_neighbour(
    asks(PEER, PEER_IP, OWN_IP),
    "reply 02 192.0.2.2 192.0.2.1",
    "192.0.2.2 lladdr 02:00:00:00:00:02 STALE"
)]
#[case::by_a_probe(asks(PEER, Ipv4Addr::UNSPECIFIED, OWN_IP), "reply 02 0.0.0.0 192.0.2.1", "")]
#[case::from_afar(
    asks(PEER, Ipv4Addr::new(9, 9, 9, 9), OWN_IP),
    "reply 02 9.9.9.9 192.0.2.1",
    "9.9.9.9 lladdr 02:00:00:00:00:02 STALE"
)]
#[case::from_the_broadcast_address(
    asks(PEER, ip(255), OWN_IP),
    "reply 02 192.0.2.255 192.0.2.1",
    "192.0.2.255 lladdr ff:ff:ff:ff:ff:ff NOARP"
)]
#[case::from_a_group(asks(PEER, Ipv4Addr::new(224, 0, 0, 1), OWN_IP), "", "")]
#[case::from_everybody(asks(PEER, Ipv4Addr::BROADCAST, OWN_IP), "", "")]
#[case::from_our_own_address(asks(PEER, OWN_IP, OWN_IP), "", "")]
#[case::of_a_group_station(asks([3, 0, 0, 0, 0, 2], PEER_IP, OWN_IP), "reply 02 192.0.2.2 192.0.2.1", "192.0.2.2 lladdr 03:00:00:00:00:02 STALE")]
#[case::of_our_own_station(
    asks(OWN, PEER_IP, OWN_IP),
    "reply 01 192.0.2.2 192.0.2.1",
    "192.0.2.2 lladdr 02:00:00:00:00:01 STALE"
)]
#[case::of_no_station(asks([0; 6], PEER_IP, OWN_IP), "reply 00 192.0.2.2 192.0.2.1", "192.0.2.2 lladdr 00:00:00:00:00:00 STALE")]
#[case::for_loopback(asks(PEER, PEER_IP, Ipv4Addr::LOCALHOST), "", "")]
#[case::for_a_group(asks(PEER, PEER_IP, Ipv4Addr::new(224, 0, 0, 1)), "", "")]
#[case::for_the_broadcast_address(asks(PEER, PEER_IP, ip(255)), "", "")]
#[case::for_another_host(asks(PEER, PEER_IP, THIRD), "", "")]
#[case::by_a_probe_for_another_host(asks(PEER, Ipv4Addr::UNSPECIFIED, THIRD), "", "")]
fn a_request(#[case] arp: Arp, #[case] done: &str, #[case] entry: &str) {
    let mut bench = Bench::new();
    assert_eq!(bench.arp(arp, BROADCAST), done);
    let lines: Vec<String> = bench.table.dump().iter().map(Neighbour::line).collect();
    assert_eq!(lines.join("\n"), entry);
}

#[test]
fn what_is_not_arp_for_ethernet_and_ipv4_is_malformed() {
    let mut bench = Bench::new();
    let mut bytes = [0; 46];
    asks(PEER, PEER_IP, OWN_IP).write(&mut bytes);
    let mut rcv =
        |bytes: &[u8], pkt_type| bench.call(|table, cx, fib| table.arp_rcv(cx, fib, bytes, pkt_type)).0;
    for n in 0..28 {
        assert_eq!(rcv(&bytes[..n], PacketType::Broadcast), Err(DropReason::ArpMalformed), "{n} bytes");
    }
    assert_eq!(rcv(&bytes, PacketType::OtherHost), Err(DropReason::OtherHost));
    assert_eq!(rcv(&bytes, PacketType::Broadcast), Ok(()));
    assert_eq!(bench.entry(), "02:STALE");
}

#[test]
fn any_bytes_at_all_do_no_harm() {
    let mut bench = Bench::new();
    let mut seed = 1_u32;
    for _ in 0..20_000 {
        let mut bytes = [0_u8; 28];
        asks(PEER, PEER_IP, OWN_IP).write(&mut bytes);
        for _ in 0..4 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes[(seed >> 8) as usize % 28] = (seed >> 16) as u8;
        }
        bench.wait(MILLI);
        let _ = bench.call(|table, cx, fib| table.arp_rcv(cx, fib, &bytes, PacketType::Broadcast));
    }
    assert!(bench.table.dump().len() <= 1024, "the table has a limit");
}

#[test]
fn an_address_that_was_removed_is_not_answered_for() {
    let mut bench = Bench::new();
    bench.fib.delete_address(OifId::ETH0, Prefix::new(OWN_IP, 24)).expect("it is there");
    assert_eq!(bench.arp(asks(PEER, PEER_IP, OWN_IP), BROADCAST), "");
}
