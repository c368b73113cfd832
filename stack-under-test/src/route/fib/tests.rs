//! Every line and error here was read from a Linux 6.18 kernel with iproute2, in a namespace with a veth as `eth0`.

use super::*;
use crate::drop_reason::DropReason;
use crate::route::{NewRoute, Prefix, RouteError, RouteQuery, RouteVerb};
use alloc::string::String;
use rstest::rstest;

fn ip(text: &str) -> Ipv4Addr {
    text.parse().expect("an address")
}

fn prefix(text: &str) -> Prefix {
    let (addr, len) = text.split_once('/').unwrap_or((text, "32"));
    Prefix::new(ip(addr), len.parse().expect("a length"))
}

fn address(text: &str) -> Address {
    let at = prefix(text);
    Address::new(OifId::ETH0, at.addr(), at.len())
}

/// `eth0` up with 192.0.2.1/24.
fn fib() -> Fib {
    let mut fib = Fib::new();
    fib.set_link_up(OifId::ETH0, true);
    fib.set_carrier(OifId::ETH0, true);
    fib.add_address(address("192.0.2.1/24")).expect("a fresh address");
    fib
}

fn via(to: &str, gateway: &str) -> NewRoute {
    NewRoute { to: prefix(to), gateway: Some(ip(gateway)), ..NewRoute::default() }
}

fn dev(to: &str) -> NewRoute {
    NewRoute { to: prefix(to), dev: Some(OifId::ETH0), ..NewRoute::default() }
}

fn kind(kind: RouteKind, to: &str) -> NewRoute {
    NewRoute { to: prefix(to), kind, ..NewRoute::default() }
}

fn add(fib: &mut Fib, new: &NewRoute) {
    fib.add_route(RouteVerb::Add, new).expect("a route that can be added");
}

fn show(fib: &Fib, table: Option<u32>) -> String {
    let lines: Vec<String> = fib.dump(table).iter().map(|r| fib.route_line(r, table.is_none())).collect();
    lines.join("\n")
}

fn get(fib: &Fib, key: &FlowKey) -> Result<String, Errno> {
    fib.output(key).map(|result| fib.get_line(key, &result))
}

#[test]
fn an_address_brings_its_routes() {
    let expected = "192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.1
local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1
local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1
broadcast 127.255.255.255 dev lo table local proto kernel scope link src 127.0.0.1
local 192.0.2.1 dev eth0 table local proto kernel scope host src 192.0.2.1
broadcast 192.0.2.255 dev eth0 table local proto kernel scope link src 192.0.2.1";
    assert_eq!(show(&fib(), None), expected);
}

#[rstest]
#[case::a_neighbour("192.0.2.2", Ok("192.0.2.2 dev eth0 src 192.0.2.1"))]
#[case::itself("192.0.2.1", Ok("local 192.0.2.1 dev lo src 192.0.2.1"))]
#[case::the_directed_broadcast("192.0.2.255", Ok("broadcast 192.0.2.255 dev eth0 src 192.0.2.1"))]
#[case::the_lowest_address_is_a_host("192.0.2.0", Ok("192.0.2.0 dev eth0 src 192.0.2.1"))]
#[case::limited_broadcast_without_a_default_route("255.255.255.255", Err(Errno::ENETUNREACH))]
#[case::a_group_without_a_default_route("224.0.0.5", Err(Errno::ENETUNREACH))]
#[case::elsewhere_without_a_default_route("8.8.8.8", Err(Errno::ENETUNREACH))]
#[case::loopback("127.0.0.1", Ok("local 127.0.0.1 dev lo src 127.0.0.1"))]
#[case::nowhere_is_here("0.0.0.0", Ok("local 0.0.0.0 dev lo src 127.0.0.1"))]
fn the_way_to(#[case] to: &str, #[case] expected: Result<&str, Errno>) {
    assert_eq!(get(&fib(), &FlowKey::to(ip(to))), expected.map(String::from));
}

#[rstest]
#[case::limited_broadcast("255.255.255.255", "broadcast 255.255.255.255 dev eth0 src 192.0.2.1")]
#[case::a_group("224.0.0.5", "multicast 224.0.0.5 dev eth0 src 192.0.2.1")]
#[case::elsewhere_is_taken_to_be_on_the_link("8.8.8.8", "8.8.8.8 dev eth0 src 192.0.2.1")]
#[case::itself("192.0.2.1", "local 192.0.2.1 dev lo src 192.0.2.1")]
fn the_way_out_of_eth0_to(#[case] to: &str, #[case] expected: &str) {
    let key = FlowKey { oif: Some(OifId::ETH0), ..FlowKey::to(ip(to)) };
    assert_eq!(get(&fib(), &key).as_deref(), Ok(expected));
}

#[rstest]
#[case::an_own_address("192.0.2.1", Ok("192.0.2.2 from 192.0.2.1 dev eth0"))]
#[case::another_hosts("192.0.2.9", Err(Errno::ENETUNREACH))]
#[case::a_group("224.0.0.1", Err(Errno::EINVAL))]
fn a_source_that_is(#[case] from: &str, #[case] expected: Result<&str, Errno>) {
    let key = FlowKey { src: Some(ip(from)), ..FlowKey::to(ip("192.0.2.2")) };
    assert_eq!(get(&fib(), &key), expected.map(String::from));
}

#[rstest]
#[case::elsewhere("8.8.8.8", "8.8.8.8 via 192.0.2.254 dev eth0 src 192.0.2.1")]
#[case::limited_broadcast("255.255.255.255", "broadcast 255.255.255.255 dev eth0 src 192.0.2.1")]
#[case::a_group_has_no_gateway("224.0.0.5", "multicast 224.0.0.5 dev eth0 src 192.0.2.1")]
fn with_a_default_route_the_way_to(#[case] to: &str, #[case] expected: &str) {
    let mut fib = fib();
    add(&mut fib, &via("0.0.0.0/0", "192.0.2.254"));
    assert_eq!(get(&fib, &FlowKey::to(ip(to))).as_deref(), Ok(expected));
}

#[rstest]
#[case::unreachable(RouteKind::Unreachable, Errno::EHOSTUNREACH)]
#[case::prohibit(RouteKind::Prohibit, Errno::EACCES)]
#[case::blackhole(RouteKind::Blackhole, Errno::EINVAL)]
fn a_route_that_is_an_error(#[case] what: RouteKind, #[case] expected: Errno) {
    let mut fib = fib();
    add(&mut fib, &via("0.0.0.0/0", "192.0.2.254"));
    add(&mut fib, &kind(what, "203.0.113.0/24"));
    assert_eq!(fib.output(&FlowKey::to(ip("203.0.113.5"))), Err(expected));
}

#[rstest]
#[case::host_bits(
    via("198.51.100.7/24", "192.0.2.2"),
    Errno::EINVAL,
    "Invalid prefix for given prefix length."
)]
#[case::a_gateway_on_no_link(
    via("10.0.0.0/8", "203.0.113.1"),
    Errno::ENETUNREACH,
    "Nexthop has invalid gateway."
)]
#[case::the_same_with_an_interface(
    NewRoute { dev: Some(OifId::ETH0), ..via("10.0.0.0/8", "203.0.113.1") },
    Errno::ENETUNREACH, "Nexthop has invalid gateway.")]
#[case::a_broadcast_gateway(via("11.0.0.0/8", "192.0.2.255"), Errno::EINVAL, "Nexthop has invalid gateway.")]
#[case::a_gateway_behind_a_gateway(
    via("14.0.0.0/8", "198.51.100.1"),
    Errno::ENETUNREACH,
    "Nexthop has invalid gateway."
)]
#[case::a_gateway_as_far_as_the_destination(
    NewRoute { scope: Some(Scope::Link), ..via("57.0.0.0/8", "192.0.2.2") },
    Errno::ENETUNREACH, "Nexthop has invalid gateway.")]
#[case::a_source_of_another_host(
    NewRoute { prefsrc: Some(ip("1.2.3.4")), ..via("11.0.0.0/8", "192.0.2.2") },
    Errno::EINVAL, "Invalid prefsrc address.")]
#[case::no_next_hop(NewRoute { to: prefix("44.0.0.0/8"), ..NewRoute::default() }, Errno::ENODEV, "")]
#[case::there_already(dev("192.0.2.0/24"), Errno::EEXIST, "")]
#[case::another_gateway_to_the_same(via("198.51.100.0/24", "192.0.2.3"), Errno::EEXIST, "")]
fn a_route_is_refused(#[case] new: NewRoute, #[case] errno: Errno, #[case] message: &'static str) {
    let mut fib = fib();
    add(&mut fib, &via("198.51.100.0/24", "192.0.2.2"));
    assert_eq!(fib.add_route(RouteVerb::Add, &new), Err(RouteError { errno, message }));
}

#[test]
fn append_prepend_and_metric_decide_the_order() {
    let mut fib = fib();
    let to = "198.51.100.0/24";
    add(&mut fib, &via(to, "192.0.2.2"));
    add(&mut fib, &NewRoute { metric: 10, ..via(to, "192.0.2.3") });
    assert_eq!(fib.add_route(RouteVerb::Append, &via(to, "192.0.2.3")), Ok(()));
    let again = fib.add_route(RouteVerb::Append, &via(to, "192.0.2.3"));
    assert_eq!(again, Err(RouteError::plain(Errno::EEXIST)));
    assert_eq!(fib.add_route(RouteVerb::Prepend, &via(to, "192.0.2.4")), Ok(()));
    let expected = "192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.1
198.51.100.0/24 via 192.0.2.4 dev eth0
198.51.100.0/24 via 192.0.2.2 dev eth0
198.51.100.0/24 via 192.0.2.3 dev eth0
198.51.100.0/24 via 192.0.2.3 dev eth0 metric 10";
    assert_eq!(show(&fib, Some(RT_TABLE_MAIN)), expected);
    let way = get(&fib, &FlowKey::to(ip("198.51.100.9")));
    assert_eq!(way.as_deref(), Ok("198.51.100.9 via 192.0.2.4 dev eth0 src 192.0.2.1"));
}

#[test]
fn replace_and_change_take_the_place_of_the_same_metric() {
    let mut fib = fib();
    let to = "55.0.0.0/8";
    add(&mut fib, &NewRoute { metric: 5, mtu: 1400, ..via(to, "192.0.2.2") });
    assert_eq!(fib.add_route(RouteVerb::Replace, &NewRoute { metric: 5, ..via(to, "192.0.2.3") }), Ok(()));
    assert_eq!(fib.add_route(RouteVerb::Replace, &via(to, "192.0.2.3")), Ok(()));
    assert_eq!(fib.add_route(RouteVerb::Change, &NewRoute { metric: 5, ..via(to, "192.0.2.4") }), Ok(()));
    let missing = fib.add_route(RouteVerb::Change, &via("98.0.0.0/8", "192.0.2.3"));
    assert_eq!(missing, Err(RouteError::plain(Errno::ENOENT)));
    let expected = "55.0.0.0/8 via 192.0.2.3 dev eth0
55.0.0.0/8 via 192.0.2.4 dev eth0 metric 5
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.1";
    assert_eq!(show(&fib, Some(RT_TABLE_MAIN)), expected);
}

#[rstest]
#[case::nothing_like_it(RouteQuery { to: prefix("99.0.0.0/8"), ..RouteQuery::default() })]
#[case::another_gateway(RouteQuery { gateway: Some(ip("192.0.2.9")), ..query() })]
#[case::another_metric(RouteQuery { metric: Some(99), ..query() })]
#[case::another_kind(RouteQuery { kind: Some(RouteKind::Unreachable), ..query() })]
#[case::another_source(RouteQuery { prefsrc: Some(ip("192.0.2.1")), ..query() })]
#[case::another_protocol(RouteQuery { protocol: Some(crate::route::RTPROT_STATIC), ..query() })]
#[case::another_table(RouteQuery { table: Some(100), ..query() })]
fn nothing_is_deleted(#[case] query: RouteQuery) {
    let mut fib = fib();
    add(&mut fib, &via("198.51.100.0/24", "192.0.2.2"));
    assert_eq!(fib.delete_route(&query), Err(RouteError::plain(Errno::ESRCH)));
}

fn query() -> RouteQuery {
    RouteQuery { to: prefix("198.51.100.0/24"), ..RouteQuery::default() }
}

#[test]
fn the_first_that_matches_is_deleted() {
    let mut fib = fib();
    add(&mut fib, &via("198.51.100.0/24", "192.0.2.2"));
    add(&mut fib, &NewRoute { metric: 10, ..via("198.51.100.0/24", "192.0.2.3") });
    assert_eq!(fib.delete_route(&query()), Ok(()));
    let way = get(&fib, &FlowKey::to(ip("198.51.100.9")));
    assert_eq!(way.as_deref(), Ok("198.51.100.9 via 192.0.2.3 dev eth0 src 192.0.2.1"));
}

#[rstest]
#[case::through_an_own_address_is_on_the_link(
    via("11.0.0.0/8", "192.0.2.1"),
    "11.1.1.1",
    "11.1.1.1 dev eth0 src 192.0.2.1"
)]
#[case::an_onlink_gateway(
    NewRoute { dev: Some(OifId::ETH0), onlink: true, ..via("10.0.0.0/8", "203.0.113.1") },
    "10.1.1.1", "10.1.1.1 via 203.0.113.1 dev eth0 src 192.0.2.1")]
#[case::a_local_prefix(
    NewRoute { dev: Some(OifId::ETH0), ..kind(RouteKind::Local, "60.0.0.0/8") },
    "60.1.2.3", "local 60.1.2.3 dev lo src 60.1.2.3")]
#[case::a_broadcast_address(
    NewRoute { dev: Some(OifId::ETH0), ..kind(RouteKind::Broadcast, "61.0.0.0") },
    "61.0.0.0", "broadcast 61.0.0.0 dev eth0 src 192.0.2.1")]
#[case::a_longer_prefix_than_the_connected_one(
    via("192.0.2.128/25", "192.0.2.2"),
    "192.0.2.200",
    "192.0.2.200 via 192.0.2.2 dev eth0 src 192.0.2.1"
)]
#[case::but_not_than_the_broadcast(
    via("192.0.2.128/25", "192.0.2.2"),
    "192.0.2.255",
    "broadcast 192.0.2.255 dev eth0 src 192.0.2.1"
)]
#[case::through_the_loopback(
    NewRoute { to: prefix("46.0.0.0/8"), dev: Some(OifId::LO), ..NewRoute::default() },
    "46.0.0.1", "46.0.0.1 dev lo src 192.0.2.1")]
fn a_route_gives_the_way(#[case] new: NewRoute, #[case] to: &str, #[case] expected: &str) {
    let mut fib = fib();
    add(&mut fib, &new);
    assert_eq!(get(&fib, &FlowKey::to(ip(to))).as_deref(), Ok(expected));
}

#[test]
fn a_longer_prefix_of_main_goes_before_one_of_local() {
    let mut fib = fib();
    add(&mut fib, &NewRoute { dev: Some(OifId::ETH0), ..kind(RouteKind::Local, "60.0.0.0/8") });
    add(&mut fib, &via("60.1.0.0/16", "192.0.2.2"));
    let way = get(&fib, &FlowKey::to(ip("60.1.2.3")));
    assert_eq!(way.as_deref(), Ok("60.1.2.3 via 192.0.2.2 dev eth0 src 192.0.2.1"));
}

#[rstest]
#[case::with_its_tos(0x10, "13.1.1.1 tos 0x10 via 192.0.2.3 dev eth0 src 192.0.2.1")]
#[case::with_another(0x08, "13.1.1.1 tos 0x08 dev eth0 src 192.0.2.1")]
#[case::without(0, "13.1.1.1 dev eth0 src 192.0.2.1")]
fn a_packet_takes_the_route_of_its_tos(#[case] tos: u8, #[case] expected: &str) {
    let mut fib = fib();
    add(&mut fib, &dev("13.0.0.0/8"));
    add(&mut fib, &NewRoute { tos: 0x10, ..via("13.0.0.0/8", "192.0.2.3") });
    assert_eq!(get(&fib, &FlowKey { tos, ..FlowKey::to(ip("13.1.1.1")) }).as_deref(), Ok(expected));
}

#[rstest]
#[case::of_the_route(1000, false, 1000)]
#[case::locked(1000, true, 1000)]
#[case::at_most(70000, false, 65520)]
#[case::of_the_link(0, false, 1500)]
fn the_mtu(#[case] mtu: u32, #[case] mtu_lock: bool, #[case] expected: u32) {
    let mut fib = fib();
    add(&mut fib, &NewRoute { mtu, mtu_lock, ..via("12.0.0.0/8", "192.0.2.2") });
    let way = fib.output(&FlowKey::to(ip("12.1.1.1"))).expect("a way");
    assert_eq!((way.mtu, way.mtu_locked, way.nexthop()), (expected, mtu_lock, ip("192.0.2.2")));
}

#[test]
fn addresses_share_subnets_and_leave_with_their_primary() {
    let mut fib = fib();
    for text in ["10.1.1.1/32", "10.1.2.0/31", "192.0.2.5/24"] {
        fib.add_address(address(text)).expect("a fresh address");
    }
    add(&mut fib, &NewRoute { prefsrc: Some(ip("192.0.2.5")), ..via("77.0.0.0/8", "192.0.2.9") });
    add(&mut fib, &via("78.0.0.0/8", "192.0.2.9"));
    let local: Vec<String> =
        fib.dump(Some(RT_TABLE_LOCAL)).iter().map(|r| fib.route_line(r, false)).collect();
    assert!(
        local.contains(&"local 192.0.2.5 dev eth0 proto kernel scope host src 192.0.2.1".into()),
        "{local:?}"
    );
    assert_eq!(fib.output(&FlowKey::to(ip("10.1.2.1"))).map(|way| way.src), Ok(ip("10.1.2.0")));
    assert_eq!(fib.output(&FlowKey::to(ip("77.0.0.1"))).map(|way| way.src), Ok(ip("192.0.2.5")));
    assert_eq!(fib.delete_address(OifId::ETH0, prefix("192.0.2.1/24")), Ok(()));
    let expected = "10.1.2.0/31 dev eth0 proto kernel scope link src 10.1.2.0
78.0.0.0/8 via 192.0.2.9 dev eth0
local 10.1.1.1 dev eth0 table local proto kernel scope host src 10.1.1.1
local 10.1.2.0 dev eth0 table local proto kernel scope host src 10.1.2.0";
    let all = show(&fib, None);
    let of_eth0: Vec<&str> = all.lines().filter(|line| line.contains("eth0")).collect();
    assert_eq!(of_eth0.join("\n"), expected);
}

#[test]
fn the_last_address_takes_all_routes_of_the_link_along() {
    let mut fib = fib();
    add(&mut fib, &via("0.0.0.0/0", "192.0.2.254"));
    assert_eq!(fib.delete_address(OifId::ETH0, prefix("192.0.2.1/24")), Ok(()));
    assert!(!show(&fib, None).contains("eth0"));
}

#[rstest]
#[case::again("192.0.2.1/24", Some(Errno::EEXIST))]
#[case::with_another_length("192.0.2.1/25", None)]
#[case::nothing("0.0.0.0/24", None)]
fn an_address_is_added(#[case] text: &str, #[case] error: Option<Errno>) {
    assert_eq!(fib().add_address(address(text)).err().map(|e| e.errno), error);
}

#[test]
fn an_address_that_is_not_there_cannot_be_deleted() {
    let error = fib().delete_address(OifId::ETH0, prefix("192.0.2.77/24")).expect_err("not there");
    assert_eq!((error.errno, error.message), (Errno::EADDRNOTAVAIL, "ipv4: Address not found."));
}

#[test]
fn a_link_that_goes_down_keeps_what_is_on_this_host() {
    let mut fib = fib();
    add(&mut fib, &via("0.0.0.0/0", "192.0.2.254"));
    add(&mut fib, &NewRoute { metric: 7, ..kind(RouteKind::Unreachable, "0.0.0.0/0") });
    add(&mut fib, &NewRoute { scope: Some(Scope::Host), ..dev("56.0.0.0/8") });
    let generation = fib.generation();
    fib.set_link_up(OifId::ETH0, false);
    assert_ne!(fib.generation(), generation);
    assert_eq!(
        show(&fib, Some(RT_TABLE_MAIN)),
        "unreachable default metric 7\n56.0.0.0/8 dev eth0 scope host"
    );
    assert_eq!(fib.addr_type(ip("192.0.2.1")), RouteKind::Local);
    let refused = fib.add_route(RouteVerb::Add, &dev("47.0.0.0/8")).expect_err("the link is down");
    assert_eq!((refused.errno, refused.message), (Errno::ENETDOWN, "Device for nexthop is not up."));
    fib.set_link_up(OifId::ETH0, true);
    assert!(show(&fib, None).contains("\n192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.1\n"));
    assert!(show(&fib, None).contains("broadcast 192.0.2.255"));
}

#[test]
fn a_lost_carrier_leaves_the_routes() {
    let mut fib = fib();
    fib.set_carrier(OifId::ETH0, false);
    assert_eq!(show(&fib, Some(254)), "192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.1 linkdown");
    assert!(fib.output(&FlowKey::to(ip("192.0.2.2"))).is_ok());
}

fn rule(fib: &mut Fib, change: impl Fn(&mut Rule)) {
    let mut rule = Rule::new(fib.default_rule_priority(), RuleAction::Lookup(100));
    change(&mut rule);
    fib.add_rule(rule).expect("a fresh rule");
}

#[test]
fn a_rule_without_a_priority_goes_before_the_second() {
    let mut fib = fib();
    rule(&mut fib, |_| {});
    rule(&mut fib, |_| {});
    rule(&mut fib, |rule| rule.priority = 50);
    rule(&mut fib, |_| {});
    let priorities: Vec<u32> = fib.rules().iter().map(|r| r.priority).collect();
    assert_eq!(priorities, [0, 49, 50, 32764, 32765, 32766, 32767]);
}

#[rstest]
#[case::unreachable(RuleAction::Unreachable, Errno::ENETUNREACH)]
#[case::prohibit(RuleAction::Prohibit, Errno::EACCES)]
#[case::blackhole(RuleAction::Blackhole, Errno::EINVAL)]
fn a_rule_that_is_an_error(#[case] action: RuleAction, #[case] expected: Errno) {
    let mut fib = fib();
    add(&mut fib, &via("0.0.0.0/0", "192.0.2.254"));
    rule(&mut fib, |rule| (rule.to, rule.action) = (prefix("203.0.113.0/24"), action));
    assert_eq!(fib.output(&FlowKey::to(ip("203.0.113.1"))), Err(expected));
    assert!(fib.output(&FlowKey::to(ip("203.0.114.1"))).is_ok());
}

#[rstest]
#[case::mark(|r: &mut Rule| r.fwmark = Some((7, u32::MAX)), FlowKey { mark: 7, ..key() })]
#[case::masked_mark(|r: &mut Rule| r.fwmark = Some((0x10, 0xf0)), FlowKey { mark: 0x1f, ..key() })]
#[case::source(|r: &mut Rule| r.from = prefix("192.0.2.1/24"), FlowKey { src: Some(ip("192.0.2.1")), ..key() })]
#[case::tos(|r: &mut Rule| r.tos = 0x10, FlowKey { tos: 0x10, ..key() })]
#[case::protocol(|r: &mut Rule| r.ipproto = Some(17), FlowKey { protocol: 17, ..key() })]
#[case::destination_port(|r: &mut Rule| r.dport = Some(7..=7), FlowKey { dport: 7, ..key() })]
#[case::source_ports(|r: &mut Rule| r.sport = Some(100..=200), FlowKey { sport: 200, ..key() })]
#[case::interface(|r: &mut Rule| r.oif = Some(OifId::ETH0), FlowKey { oif: Some(OifId::ETH0), ..key() })]
#[case::all_but(|r: &mut Rule| (r.not, r.dport) = (true, Some(0..=0)), FlowKey { dport: 7, ..key() })]
fn a_rule_selects_by(#[case] change: impl Fn(&mut Rule), #[case] selected: FlowKey) {
    let mut fib = fib();
    add(&mut fib, &via("0.0.0.0/0", "192.0.2.254"));
    add(&mut fib, &NewRoute { table: Some(100), ..via("198.51.100.0/24", "192.0.2.2") });
    rule(&mut fib, change);
    let gateway = |key: &FlowKey| fib.output(key).map(|way| way.gateway);
    assert_eq!(gateway(&selected), Ok(Some(ip("192.0.2.2"))));
    assert_eq!(gateway(&key()), Ok(Some(ip("192.0.2.254"))));
}

fn key() -> FlowKey {
    FlowKey::to(ip("198.51.100.1"))
}

#[test]
fn the_table_shows_once_it_is_not_main() {
    let mut fib = fib();
    add(&mut fib, &NewRoute { table: Some(100), ..via("198.51.100.0/24", "192.0.2.2") });
    rule(&mut fib, |rule| rule.fwmark = Some((7, u32::MAX)));
    let way = get(&fib, &FlowKey { mark: 7, ..key() });
    assert_eq!(way.as_deref(), Ok("198.51.100.1 via 192.0.2.2 dev eth0 table 100 src 192.0.2.1 mark 7"));
    let own = get(&fib, &FlowKey::to(ip("192.0.2.1")));
    assert_eq!(own.as_deref(), Ok("local 192.0.2.1 dev lo table local src 192.0.2.1"));
}

#[test]
fn without_the_rule_for_local_an_own_address_is_a_neighbour() {
    let mut fib = fib();
    assert_eq!(fib.delete_rule(|rule| rule.priority == 0), Ok(()));
    assert_eq!(get(&fib, &FlowKey::to(ip("192.0.2.1"))).as_deref(), Ok("192.0.2.1 dev eth0 src 192.0.2.1"));
    assert_eq!(fib.delete_rule(|rule| rule.priority == 0), Err(RouteError::plain(Errno::ENOENT)));
    fib.flush_rules();
    assert_eq!(fib.output(&FlowKey::to(ip("192.0.2.2"))), Err(Errno::ENETUNREACH));
}

#[rstest]
#[case::for_this_host("192.0.2.1", "192.0.2.2", Ok(RouteKind::Local))]
#[case::for_this_host_from_afar("192.0.2.1", "9.9.9.9", Ok(RouteKind::Local))]
#[case::directed_broadcast("192.0.2.255", "192.0.2.2", Ok(RouteKind::Broadcast))]
#[case::limited_broadcast("255.255.255.255", "192.0.2.2", Ok(RouteKind::Broadcast))]
#[case::limited_broadcast_of_a_host_without_address("255.255.255.255", "0.0.0.0", Ok(RouteKind::Broadcast))]
#[case::from_a_broadcast_address_of_a_subnet("192.0.2.1", "192.0.2.255", Ok(RouteKind::Local))]
#[case::all_hosts("224.0.0.1", "192.0.2.2", Ok(RouteKind::Multicast))]
#[case::a_group_not_joined("224.0.0.5", "192.0.2.2", Err(DropReason::IpInNoRoutes))]
#[case::for_a_neighbour("192.0.2.9", "192.0.2.2", Err(DropReason::IpInNoRoutes))]
#[case::for_nobody_we_know("8.8.8.8", "192.0.2.2", Err(DropReason::IpInNoRoutes))]
#[case::from_the_block_that_once_was_none("192.0.2.1", "0.0.0.9", Ok(RouteKind::Local))]
#[case::to_the_block_that_once_was_none("0.0.0.9", "192.0.2.2", Err(DropReason::IpInNoRoutes))]
#[case::from_itself("192.0.2.1", "192.0.2.1", Err(DropReason::IpInvalidSource))]
#[case::from_a_group("192.0.2.1", "224.0.0.1", Err(DropReason::IpInvalidSource))]
#[case::from_everybody("192.0.2.1", "255.255.255.255", Err(DropReason::IpInvalidSource))]
#[case::from_loopback("192.0.2.1", "127.0.0.1", Err(DropReason::IpInvalidSource))]
#[case::from_nobody("192.0.2.1", "0.0.0.0", Err(DropReason::IpInvalidSource))]
#[case::to_loopback("127.0.0.1", "192.0.2.2", Err(DropReason::IpLocalnet))]
fn a_received_packet(#[case] dst: &str, #[case] src: &str, #[case] expected: Result<RouteKind, DropReason>) {
    let key = FlowKey { src: Some(ip(src)), ..FlowKey::to(ip(dst)) };
    assert_eq!(fib().input(&key, OifId::ETH0), expected);
}

#[test]
fn a_joined_group_is_taken_in_until_it_is_left() {
    let mut fib = fib();
    let key = FlowKey { src: Some(ip("192.0.2.2")), ..FlowKey::to(ip("239.1.2.3")) };
    fib.join_group(key.dst);
    assert_eq!(fib.input(&key, OifId::ETH0), Ok(RouteKind::Multicast));
    fib.leave_group(key.dst);
    assert_eq!(fib.input(&key, OifId::ETH0), Err(DropReason::IpInNoRoutes));
}

#[test]
fn many_routes_are_searched_as_few_are() {
    let mut fib = fib();
    for i in (0..=255).rev() {
        add(&mut fib, &via(&alloc::format!("198.18.{i}.0/24"), &alloc::format!("192.0.2.{}", 2 + i % 250)));
    }
    for i in 0..=255_u8 {
        let way = fib.output(&FlowKey::to(Ipv4Addr::new(198, 18, i, 77))).expect("a way");
        assert_eq!((way.gateway, way.prefix_len), (Some(Ipv4Addr::new(192, 0, 2, 2 + i % 250)), 24));
    }
    assert_eq!(fib.output(&FlowKey::to(ip("198.19.0.1"))), Err(Errno::ENETUNREACH));
    assert_eq!(fib.flush_routes(|r| r.gateway.is_some()), 256);
}

#[test]
fn dont_route_leaves_only_the_link() {
    let mut fib = fib();
    add(&mut fib, &via("0.0.0.0/0", "192.0.2.254"));
    let direct =
        |to: &str| fib.output(&FlowKey { dont_route: true, ..FlowKey::to(ip(to)) }).map(|way| way.kind);
    assert_eq!(direct("192.0.2.2"), Ok(RouteKind::Unicast));
    assert_eq!(direct("8.8.8.8"), Err(Errno::ENETUNREACH));
}
