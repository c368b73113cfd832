use super::*;
use crate::control::{Command, Refusal, parse};
use rstest::rstest;

const OUTPUT: &str =
    "add table ip f ; add chain ip f o { type filter hook output priority 0 ; policy accept ; }";

fn apply(filter: &mut Netfilter, text: &str) -> Result<(), Refusal> {
    let words: Vec<&str> = core::iter::once("nft").chain(text.split_whitespace()).collect();
    match parse(&words) {
        Ok(Command::Nft(commands)) => filter.apply(&commands),
        other => panic!("{text}: {other:?}"),
    }
}

fn with(rules: &[&str]) -> Netfilter {
    let mut filter = Netfilter::default();
    apply(&mut filter, OUTPUT).unwrap();
    for rule in rules {
        apply(&mut filter, rule).unwrap();
    }
    filter
}

/// 192.0.2.1 to 192.0.2.2, TTL 64, DSCP 46, id 7; `fragment` in units of 8 bytes; the transport begins with two ports.
fn packet(protocol: u8, dport: u16, fragment: u16) -> Vec<u8> {
    let mut bytes =
        alloc::vec![0x45, 46 << 2, 0, 40, 0, 7, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
    bytes.extend(40_000_u16.to_be_bytes());
    bytes.extend(dport.to_be_bytes());
    bytes.extend([0, 20, 0, 0, 0, 0, 0, 0, 0x50, 0x12, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn send(filter: &mut Netfilter, l3: &[u8]) -> (Verdict, u32, u32) {
    let mut view = PacketView { l3, iif: None, oif: Some("eth0"), mark: 0, priority: 0, len: 40 };
    let verdict = filter.evaluate(&mut Trace::default(), 0, Hook::LocalOut, &mut view);
    (verdict, view.mark, view.priority)
}

const DROPPED: Verdict = Verdict::Drop(Errno::EPERM);

#[rstest]
#[case("udp dport 9", true)]
#[case("udp dport 10", false)]
#[case("udp dport != 10", true)]
#[case("udp dport { 1, 5-9 }", true)]
#[case("udp dport != { 1, 5-9 }", false)]
#[case("udp dport < 9", false)]
#[case("udp dport <= 9", true)]
#[case("udp sport > 39999", true)]
#[case("udp length 20", true)]
#[case::another_protocol("tcp dport 9", false)]
#[case::another_protocol_even_negated("tcp dport != 10", false)]
#[case("th dport 9", true)]
#[case("ip saddr 192.0.2.1", true)]
#[case("ip saddr 192.0.2.0/30", true)]
#[case("ip daddr != 192.0.2.0/30", false)]
#[case("ip daddr 192.0.2.2-192.0.2.9", true)]
#[case("ip protocol udp", true)]
#[case("ip protocol { tcp, icmp }", false)]
#[case("ip ttl 64 ip id 7 ip length 40", true)]
#[case("ip dscp ef", true)]
#[case("ip dscp cs1", false)]
#[case("meta l4proto 17 meta length > 39", true)]
#[case("ip frag-off & 0x1fff != 0", false)]
#[case("oif eth0", true)]
#[case("oifname \"et*\"", true)]
#[case("oifname != \"eth0\"", false)]
#[case("iif lo", false)]
#[case("iifname != \"lo\"", true)]
#[case("mark 0 meta priority none", true)]
fn a_match_on_a_datagram(#[case] condition: &str, #[case] holds: bool) {
    let mut filter = with(&[&alloc::format!("add rule ip f o {condition} drop")]);
    assert_eq!(send(&mut filter, &packet(17, 9, 0)).0 == DROPPED, holds);
}

#[rstest]
#[case("tcp flags syn", true)]
#[case("tcp flags rst", false)]
#[case("tcp flags == syn", false)]
#[case("tcp flags == syn|ack", true)]
#[case("tcp flags & 2 == syn", true)]
fn a_match_on_syn_ack(#[case] condition: &str, #[case] holds: bool) {
    let mut filter = with(&[&alloc::format!("add rule ip f o {condition} drop")]);
    assert_eq!(send(&mut filter, &packet(6, 9, 0)).0 == DROPPED, holds);
}

#[rstest]
#[case::no_ports("udp dport 0-65535 drop", Verdict::Accept)]
#[case::nor_other_ports("udp dport != 9 drop", Verdict::Accept)]
#[case::but_a_protocol("ip protocol udp drop", DROPPED)]
#[case::and_an_offset("ip frag-off & 0x1fff != 0 drop", DROPPED)]
fn a_later_fragment_has(#[case] rule: &str, #[case] verdict: Verdict) {
    let mut filter = with(&[&alloc::format!("add rule ip f o {rule}")]);
    assert_eq!(send(&mut filter, &packet(17, 9, 185)).0, verdict);
}

#[test]
fn a_packet_cut_short_matches_nothing_and_breaks_nothing() {
    let mut filter =
        with(&["add rule ip f o udp dport != 1 drop", "add rule ip f o ip daddr != 1.1.1.1 drop"]);
    let whole = packet(17, 9, 0);
    for len in 0..20 {
        assert_eq!(send(&mut filter, &whole[..len]).0, Verdict::Accept, "{len} bytes");
    }
    assert_eq!(send(&mut filter, &whole[..22]).0, DROPPED, "by its address");
}

#[test]
fn an_empty_hook_has_no_chains() {
    let mut filter = Netfilter::default();
    assert!(!filter.has_chains(Hook::LocalOut));
    apply(&mut filter, OUTPUT).unwrap();
    assert!(filter.has_chains(Hook::LocalOut) && !filter.has_chains(Hook::LocalIn));
    apply(&mut filter, "delete table ip f").unwrap();
    assert!(!filter.has_chains(Hook::LocalOut));
}

/// The rules and the readings of a run on Linux 6.18, for one datagram of 38 bytes to port 9.
#[test]
fn jump_goto_and_return() {
    let mut filter = with(&[
        "add chain ip f sub ; add chain ip f sub2",
        "add rule ip f o counter comment before",
        "add rule ip f o udp dport 9 jump sub",
        "add rule ip f o counter comment after",
        "add rule ip f sub counter goto sub2",
        "add rule ip f sub counter comment never",
        "add rule ip f sub2 udp length > 1000 counter return",
        "add rule ip f sub2 udp dport != 9 counter comment neq",
    ]);
    assert_eq!(send(&mut filter, &packet(17, 9, 0)).0, Verdict::Accept);
    for (comment, packets) in [("before", 1), ("after", 1), ("never", 0), ("neq", 0)] {
        assert_eq!(filter.counter_by_comment(comment), Some((packets, packets * 40)), "{comment}");
    }
    assert_eq!(filter.counter("f", "sub", 0), Some((1, 40)));
}

/// Linux 6.18: with the same priority the chain that was added last comes first, and drops.
#[test]
fn chains_go_by_priority_then_the_newest_first() {
    let mut filter = with(&[
        "add chain ip f o2 { type filter hook output priority 0 ; }",
        "add chain ip f first { type filter hook output priority -10 ; }",
        "add rule ip f first counter accept",
        "add rule ip f o counter drop",
        "add rule ip f o2 counter drop",
    ]);
    assert_eq!(send(&mut filter, &packet(17, 9, 0)).0, DROPPED);
    assert_eq!(filter.counter("f", "first", 0), Some((1, 40)));
    assert_eq!(filter.counter("f", "o2", 0), Some((1, 40)));
    assert_eq!(filter.counter("f", "o", 0), Some((0, 0)));
}

#[test]
fn a_policy_of_drop_drops_what_reaches_the_end() {
    let mut filter = with(&["add rule ip f o udp dport 9 accept", "add chain ip f o { policy drop ; }"]);
    assert_eq!(send(&mut filter, &packet(17, 9, 0)).0, Verdict::Accept);
    assert_eq!(send(&mut filter, &packet(17, 10, 0)).0, DROPPED);
    apply(&mut filter, "insert rule ip f o return").unwrap();
    assert_eq!(send(&mut filter, &packet(17, 9, 0)).0, DROPPED, "return in a base chain is its policy");
}

#[test]
fn a_mark_is_set_and_a_route_chain_has_it_routed_again() {
    let mut filter = with(&["add rule ip f o meta mark set 0x10 meta priority set 1:6"]);
    assert_eq!(send(&mut filter, &packet(17, 9, 0)), (Verdict::Accept, 0x10, 0x1_0006));
    apply(&mut filter, "add chain ip f r { type route hook output priority mangle ; }").unwrap();
    assert_eq!(send(&mut filter, &packet(17, 9, 0)).0, Verdict::Accept);
    apply(&mut filter, "add rule ip f r udp dport 9 meta mark set 5").unwrap();
    assert_eq!(send(&mut filter, &packet(17, 9, 0)).0, Verdict::Reroute);
}

// The errors were seen on Linux 6.18 with nftables 1.0.6.
#[rstest]
#[case("add rule ip nope o accept", Errno::ENOENT)]
#[case("add rule ip f nope accept", Errno::ENOENT)]
#[case("add rule ip f o jump nope", Errno::ENOENT)]
#[case("add rule ip f o jump o", Errno::EOPNOTSUPP)]
#[case("add chain ip nope c", Errno::ENOENT)]
#[case("create table ip f", Errno::EEXIST)]
#[case("create chain ip f o", Errno::EEXIST)]
#[case("add chain ip f o { type filter hook input priority 0 ; }", Errno::EOPNOTSUPP)]
#[case("add chain ip f x { type route hook input priority 0 ; }", Errno::EOPNOTSUPP)]
#[case("delete table ip nope", Errno::ENOENT)]
#[case("delete chain ip f b", Errno::EBUSY)]
#[case("flush chain ip f nope", Errno::ENOENT)]
#[case("delete rule ip f o handle 99", Errno::ENOENT)]
#[case("replace rule ip f o handle 99 accept", Errno::ENOENT)]
#[case("insert rule ip f o index 9 accept", Errno::ENOENT)]
#[case::a_circle("add rule ip f b jump a", Errno::EMLINK)]
fn is_refused(#[case] command: &str, #[case] errno: Errno) {
    let mut filter =
        with(&["add chain ip f a ; add chain ip f b", "add rule ip f o jump a ; add rule ip f a jump b"]);
    let before = filter.list();
    let both = alloc::format!("add table ip g ; add chain ip g c ; {command}");
    assert_eq!(apply(&mut filter, &both).map_err(|refusal| refusal.errno), Err(errno));
    assert_eq!(filter.list(), before, "nothing of it took effect");
}

/// Linux 6.18: eighteen chains, each jumping to the next; from a base chain the fourth can be reached, the third not.
#[test]
fn jumps_go_sixteen_chains_deep() {
    let mut filter = with(&[]);
    for i in 1..=18 {
        apply(&mut filter, &alloc::format!("add chain ip f c{i}")).unwrap();
    }
    for i in 1..=17 {
        apply(&mut filter, &alloc::format!("add rule ip f c{i} jump c{}", i + 1)).unwrap();
    }
    let refusal = apply(&mut filter, "add rule ip f o jump c3").unwrap_err();
    assert_eq!(
        (refusal.errno, refusal.message.as_str()),
        (Errno::EMLINK, "Could not process rule: Too many links")
    );
    apply(&mut filter, "add rule ip f o jump c4").unwrap();
    apply(&mut filter, "add rule ip f c18 counter drop").unwrap();
    assert_eq!(send(&mut filter, &packet(17, 9, 0)).0, DROPPED);
}

/// Linux 6.18, `nft -a list ruleset`: chains and rules of a table draw on one sequence of handles.
#[test]
fn rules_are_placed_by_handle_and_index() {
    let mut filter = with(&[
        "add rule ip f o counter comment a",
        "insert rule ip f o counter comment b",
        "add rule ip f o index 0 counter comment c",
        "insert rule ip f o handle 2 counter comment d",
        "replace rule ip f o handle 3 counter comment e",
        "delete rule ip f o handle 4",
    ]);
    let rules = |filter: &Netfilter| -> Vec<(u64, Option<String>)> {
        filter.list()[0].rules.iter().map(|rule| (rule.handle, rule.comment.clone())).collect()
    };
    let name = |comment: &str| Some(String::from(comment));
    assert_eq!(rules(&filter), [(6, name("e")), (5, name("d")), (2, name("a"))]);
    apply(&mut filter, "flush table ip f").unwrap();
    assert_eq!(rules(&filter), []);
}
