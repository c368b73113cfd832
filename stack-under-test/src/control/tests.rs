use super::ip::Verb;
use super::ip::neigh::{NeighCommand, NudState};
use super::ip::route::RouteCommand;
use super::ip::rule::{RuleAction, RuleCommand};
use super::tc::{PRIO2BAND, QdiscCommand, QdiscParams, QdiscVerb, TC_H_ROOT, TbfParams};
use super::*;
use crate::netdev::IfName;
use crate::route::RouteKind;
use core::net::Ipv4Addr;
use rstest::rstest;

fn read(text: &str) -> Result<Command, GrammarError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    parse(&words)
}

// The commands of the examples of the case language, and forms that an administrator writes.
#[rstest]
#[case("ip link set dev eth0 mtu 9000")]
#[case("ip link set eth0 down mtu 1500 address 02:00:00:00:00:07 txqueuelen 10")]
#[case("ip -4 addr add 192.0.2.1/24 brd + dev eth0 scope global")]
#[case("ip a del 192.0.2.1/24 dev eth0")]
#[case("ip addr flush dev eth0")]
#[case("ip route add default via 192.0.2.254 dev eth0")]
#[case(
    "ip r replace 198.51.100.0/24 via 192.0.2.2 dev eth0 src 192.0.2.1 metric 5 table 100 mtu lock 1400 onlink"
)]
#[case("ip route add unreachable 203.0.113.0/24")]
#[case("ip route del default")]
#[case("ip route add table 5 unreachable 198.51.100.0/24")]
#[case::the_kernel_refuses_it("ip route add 192.0.2.1/24")]
#[case("ip route flush table main")]
#[case("ip route flush cache")]
#[case("ip rule add from 192.0.2.1 fwmark 0x1/0xff ipproto udp dport 10-20 lookup 100")]
#[case("ip rule add pref 5 tos 0x10 to 198.51.100.0/24 prohibit")]
#[case("ip rule del pref 5")]
#[case("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent")]
#[case("ip neigh flush all")]
#[case("ip neigh del 192.0.2.2 dev eth0")]
#[case("tc qdisc replace dev eth0 root handle 1: tbf rate 100kbit burst 1600 limit 1000000")]
#[case("tc qdisc replace dev eth0 parent 1:1 handle 10: pfifo_fast")]
#[case("tc qdisc del dev eth0 root")]
#[case("tc qdisc add dev eth0 root handle 1: prio bands 4 priomap 3 3 3 3")]
#[case("ethtool -K eth0 tso on gso on")]
#[case("ethtool -K eth0 generic-receive-offload off tx-checksumming off")]
#[case("ethtool -C eth0 rx-usecs 3 adaptive-rx off")]
#[case("ethtool -G eth0 rx 256 tx 80")]
#[case("ethtool -L eth0 combined 4")]
#[case("ethtool -A eth0 rx off tx off")]
#[case("sysctl -w net.ipv4.tcp_early_retrans=0")]
#[case("sysctl net/ipv4/neigh/eth0/retrans_time_ms=100 net.ipv4.conf.all.rp_filter=1")]
#[case("nft add table ip filter")]
#[case("nft add chain ip filter output { type filter hook output priority 0 ; policy accept ; }")]
#[case("nft add chain filter output {type filter hook output priority mangle - 5; policy drop;}")]
#[case("nft add rule ip filter output udp dport 9 counter drop")]
#[case("nft insert rule filter output ip saddr != 192.0.2.0/28 udp sport { 9, 10-20,30 } accept")]
#[case("nft add rule ip f o ip frag-off & 0x1fff != 0 counter comment \"no first\"")]
#[case("nft add rule ip f o oifname \"eth*\" meta mark set 0x10 meta priority set 1:6")]
#[case(
    "nft add rule ip f o tcp flags & 2 == syn tcp flags syn,ack ip dscp ef icmp type echo-request jump sub"
)]
#[case("nft flush ruleset ; add table ip a")]
#[case("nft delete rule ip f o handle 7")]
fn is_understood(#[case] text: &str) {
    assert_eq!(read(text).err(), None);
}

#[rstest]
#[case::no_command("", 0, "command")]
#[case::unknown_tool("iptables -A OUTPUT", 0, "ip, tc, ethtool, sysctl or nft")]
#[case::a_slip("ip link sett eth0 up", 2, "set")]
#[case::an_unknown_interface("ip link set dev eth1 up", 4, "eth0 or lo")]
#[case::a_missing_value("ip link set dev eth0 mtu", 6, "MTU")]
#[case::a_number_that_is_none("ip link set dev eth0 mtu big", 6, "MTU")]
#[case::no_interface("ip addr add 192.0.2.1/24", 4, "dev eth0")]
#[case::a_length_above_32("ip addr add 192.0.2.1/33 dev eth0", 3, "192.0.2.1/24")]
#[case::no_destination("ip route add dev eth0", 5, "198.51.100.0/24")]
#[case::a_prefix_that_is_none("ip route add 198.51.100.0/40 dev eth0", 3, "198.51.100.0/24")]
#[case::multipath("ip route add default nexthop via 192.0.2.2", 4, "via")]
#[case::ipv6("ip -6 route add default via ::1", 1, "-4")]
#[case::ipv6_gateway("ip route add default via fe80::1", 5, "gateway")]
#[case::a_mac_too_short("ip neigh add 192.0.2.2 lladdr 02:00:00:00:02 dev eth0", 5, "02:00:00:00:00:02")]
#[case::an_unknown_state("ip neigh add 192.0.2.2 dev eth0 nud eternal", 7, "permanent")]
#[case::goto("ip rule add from all goto 5", 5, "lookup")]
#[case::another_qdisc("tc qdisc add dev eth0 root fq_codel", 6, "pfifo_fast")]
#[case::a_qdisc_slip("tc qdisc add dev eth0 root pfifo_fst", 6, "pfifo_fast")]
#[case::a_rate_without_bit("tc qdisc add dev eth0 root tbf rate 100k burst 1600 limit 10", 8, "kbit")]
#[case::tbf_without_burst("tc qdisc add dev eth0 root tbf rate 100kbit limit 10", 11, "burst")]
#[case::both_limits(
    "tc qdisc add dev eth0 root tbf rate 1mbit burst 1600 limit 10 latency 5ms",
    13,
    "one of"
)]
#[case::no_place("tc qdisc add dev eth0 pfifo", 6, "root")]
#[case::pfifo_fast_takes_nothing("tc qdisc add dev eth0 root pfifo_fast limit 3", 7, "end")]
#[case::priomap_out_of_bands("tc qdisc add dev eth0 root prio priomap 3", 8, "bands")]
#[case::an_unknown_feature("ethtool -K eth0 tos on", 3, "tso")]
#[case::on_or_off("ethtool -K eth0 tso yes", 4, "on or off")]
#[case::an_unknown_kind_of_queue("ethtool -L eth0 pairs 4", 3, "combined")]
#[case::a_key_slip("sysctl -w net.ipv4.ip_foward=1", 2, "net.ipv4.ip_forward")]
#[case::a_key_of_another_interface(
    "sysctl -w net.ipv4.conf.eth1.rp_filter=1",
    2,
    "net.ipv4.conf.eth0.rp_filter"
)]
#[case::a_value_out_of_range("sysctl -w net.ipv4.ip_forward=yes", 2, "0 to 1")]
#[case::spaces_around_the_equals("sysctl -w net.ipv4.ip_forward = 1", 2, "key=value")]
#[case::a_chain_without_semicolon("nft add chain ip f o { type filter hook output priority 0 }", 13, ";")]
#[case::a_glued_brace("nft add chain ip f o {type filter hook output priority 0}", 11, ";")]
#[case::nat("nft add chain ip f o { type nat hook output priority 0 ; }", 8, "filter or route")]
#[case::dstnat_on_output("nft add chain ip f o { type filter hook output priority dstnat ; }", 12, "hook")]
#[case::reject("nft add rule ip f o udp dport 9 reject", 9, "drop")]
#[case::log("nft add rule ip f o log", 6, "counter")]
#[case::a_port_too_large("nft add rule ip f o udp dport 99999", 8, "65535")]
#[case::a_service_name("nft add rule ip f o udp dport domain", 8, "65535")]
#[case::an_empty_range("nft add rule ip f o ip saddr 192.0.2.9-192.0.2.1", 8, "range")]
#[case::a_field_slip("nft add rule ip f o udp dprt 9", 7, "dport")]
#[case::behind_the_verdict("nft add rule ip f o accept counter", 7, "ends the rule")]
#[case::an_interface_that_is_none("nft add rule ip f o iif nosuch", 7, "eth0")]
#[case::an_empty_rule("nft add rule ip f o", 6, "udp dport 9")]
#[case::another_family("nft add table ip6 f", 3, "inet")]
#[case::too_much("nft add table ip f g", 5, "end")]
#[case::open_quotes("nft add rule ip f o counter comment \"x", 8, "closing")]
fn is_refused_at_the_word(#[case] text: &str, #[case] word: usize, #[case] says: &str) {
    let error = read(text).expect_err("it must be refused");
    assert_eq!(error.word, word, "{error:?}");
    assert!(error.expected.contains(says) || error.message.contains(says), "{error:?}");
}

#[rstest]
#[case("ip link set eth0 mtuu 1500", "\"mtu\"")]
#[case("tc qdisc add dev eth0 root pfifofast", "\"pfifo_fast\"")]
#[case("nft add rule ip f o cuonter", "\"counter\"")]
#[case("nft add rule ip f o icmp type echo-requst", "\"echo-request\"")]
fn a_near_miss_is_named(#[case] text: &str, #[case] near: &str) {
    let error = read(text).expect_err("it must be refused");
    assert!(error.message.contains("did you mean") && error.message.contains(near), "{error:?}");
}

#[test]
fn a_route_is_read_whole() {
    let Ok(Command::Route(RouteCommand::Set(route))) =
        read("ip route append prohibit 10.0.0.0/8 metric 7 table local tos 0x10")
    else {
        panic!("not a route")
    };
    assert_eq!((route.verb, route.kind), (Verb::Append, Some(RouteKind::Prohibit)));
    assert_eq!((route.to.addr, route.to.len), (Ipv4Addr::new(10, 0, 0, 0), 8));
    assert_eq!((route.metric, route.table, route.tos), (Some(7), Some(255), Some(0x10)));
    assert_eq!((route.via, route.dev), (None, None));
}

#[test]
fn a_rule_is_read_whole() {
    let Ok(Command::Rule(RuleCommand::Set(rule))) =
        read("ip rule add not from 10.0.0.0/8 fwmark 3 sport 5 table 9")
    else {
        panic!("not a rule")
    };
    assert!(rule.invert);
    assert_eq!((rule.fwmark, rule.sport), (Some((3, u32::MAX)), Some((5, 5))));
    assert_eq!(rule.action, Some(RuleAction::Table(9)));
}

#[test]
fn a_neighbour_is_read_whole() {
    let Ok(Command::Neigh(NeighCommand::Set(neigh))) =
        read("ip neigh add 192.0.2.2 lladdr 02:0:00:00:00:ff dev eth0 nud stale")
    else {
        panic!("not a neighbour")
    };
    assert_eq!((neigh.lladdr, neigh.nud), (Some([2, 0, 0, 0, 0, 255]), Some(NudState::Stale)));
}

#[rstest]
#[case::limit("rate 100kbit burst 1600 limit 1000000", 12_500, 1600, 1_000_000)]
// 12,500 bytes a second for 1.5 ms is 18.75 bytes, beside the burst (Linux 6.18 shows the latency as 1440 µs).
#[case::latency("rate 100kbit burst 2000 latency 1.5ms", 12_500, 2000, 2018)]
#[case::the_cell_is_ignored("rate 1mbit buffer 10kb/8 limit 3k", 125_000, 10_240, 3072)]
fn tbf_parameters(#[case] words: &str, #[case] rate: u64, #[case] burst: u32, #[case] limit: u32) {
    let command = read(&alloc::format!("tc qdisc change dev eth0 root handle a: tbf {words}"));
    let params = Some(QdiscParams::Tbf(TbfParams { rate, burst, limit, peak: None }));
    let (verb, parent, handle) = (QdiscVerb::Change, TC_H_ROOT, 0xa_0000);
    assert_eq!(command, Ok(Command::Qdisc(QdiscCommand { verb, dev: IfName::ETH0, parent, handle, params })));
}

#[test]
fn a_short_priomap_leaves_the_rest_as_it_is() {
    let Ok(Command::Qdisc(command)) = read("tc qdisc add dev eth0 parent 1:a prio bands 4 priomap 3 3")
    else {
        panic!("not a qdisc")
    };
    let mut priomap = PRIO2BAND;
    priomap[..2].fill(3);
    assert_eq!(command.parent, 0x1_000a);
    assert_eq!(command.params, Some(QdiscParams::Prio { bands: 4, priomap }));
}

#[test]
fn sysctl_values_keep_their_numbers() {
    let words = ["sysctl", "-w", "net.ipv4.tcp_rmem=4096  131072 6291456", "net.core.rmem_max=4096"];
    let Ok(Command::Sysctl(settings)) = parse(&words) else { panic!("not a sysctl") };
    assert_eq!(settings[0].value, "4096 131072 6291456");
    assert_eq!(settings[0].numbers().collect::<Vec<_>>(), [4096, 131_072, 6_291_456]);
    assert_eq!((settings[1].key.as_str(), settings[1].number()), ("net.core.rmem_max", Some(4096)));
}

/// Commands from outside are hostile: whatever is cut, doubled or swapped, the answer is a command or an error at a word
/// that exists (or at the end).
#[rstest]
#[case("ip route replace to 198.51.100.0/24 via inet 192.0.2.2 dev eth0 mtu lock 1400 table 0x10")]
#[case("ip rule add from 192.0.2.1 fwmark 0x1/0xff ipproto udp dport 10-20 lookup 100")]
#[case("ip addr add local 192.0.2.1/24 brd + dev eth0 scope global")]
#[case("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent")]
#[case(
    "tc qdisc add dev eth0 parent 1:1 handle a: tbf rate 1.5e3kbit burst 10kb/8 latency 5.ms peakrate 2mbit mtu 1"
)]
#[case("tc qdisc add dev eth0 root prio bands 4 priomap 3 3 3")]
#[case("ethtool -C eth0 rx-usecs 3 adaptive-rx off")]
#[case("sysctl -w net/ipv4/conf/eth0/rp_filter=1 net.ipv4.ip_forward=1")]
#[case("nft add chain ip f o { type filter hook output priority mangle - 5; policy drop; } ; add table x")]
#[case(
    "nft insert rule f o index 3 ip saddr != { 192.0.2.0/28 , 1.1.1.1-1.1.1.9 } tcp flags & 2 == syn|ack comment \"é b\""
)]
fn a_damaged_command_is_refused_at_a_word(#[case] text: &str) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let damaged = |words: &[&str]| {
        if let Err(error) = parse(words) {
            assert!(error.word <= words.len() && !error.expected.is_empty(), "{words:?}: {error:?}");
        }
    };
    assert!(parse(&words).is_ok(), "{:?}", parse(&words));
    for at in 0..words.len() {
        damaged(&words[..at]);
        for cut in words[at].char_indices().map(|(i, _)| i) {
            let mut shorter = words.clone();
            shorter[at] = &words[at][..cut];
            damaged(&shorter);
            shorter[at] = &words[at][cut..];
            damaged(&shorter);
        }
        for other in 0..words.len() {
            let mut changed = words.clone();
            changed.swap(at, other);
            damaged(&changed);
            changed.insert(at, words[other]);
            damaged(&changed);
            changed.truncate(other);
            damaged(&changed);
        }
    }
}
