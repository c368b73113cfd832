//! What the kernel and the tools print, as readings. The texts are of Linux 6.18 and iproute2 6.15.

use super::*;

fn number(readings: &Readings, key: &str) -> Option<i64> {
    match readings.get(key) {
        Some(Reading::Number(number)) => Some(*number),
        _ => None,
    }
}

fn text<'a>(readings: &'a Readings, key: &str) -> Option<&'a str> {
    match readings.get(key) {
        Some(Reading::Text(text)) => Some(text),
        _ => None,
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("the text is JSON")
}

#[test]
fn snmp_joins_the_line_of_names_with_the_line_of_values() {
    let readings = snmp("Tcp: RtoMin MaxConn\nTcp: 200 -1\nUdp: InDatagrams OutDatagrams\nUdp: 3 4\n");
    assert_eq!(number(&readings, "Tcp.MaxConn"), Some(-1));
    assert_eq!(number(&readings, "Udp.OutDatagrams"), Some(4));
    assert_eq!(readings.len(), 4);
}

#[test]
fn snmp_of_half_a_pair_is_nothing() {
    assert!(snmp("Udp: InDatagrams").is_empty());
}

#[test]
fn a_neighbour_without_an_address_has_a_state_only() {
    let readings = neigh(&parsed(
        r#"[{"dst":"192.0.2.2","dev":"eth0","state":["INCOMPLETE"]},
            {"dst":"192.0.2.3","dev":"eth0.7","lladdr":"02:00:00:00:00:02","state":["REACHABLE"]},
            {"dst":"127.0.0.1","dev":"lo","lladdr":"00:00:00:00:00:00","state":["NOARP"]}]"#,
    ));
    assert_eq!(text(&readings, "192.0.2.2/state"), Some("INCOMPLETE"));
    assert_eq!(text(&readings, "192.0.2.2/lladdr"), None);
    assert_eq!(text(&readings, "192.0.2.3/lladdr"), Some("02:00:00:00:00:02"));
    assert_eq!(text(&readings, "127.0.0.1/state"), None, "that of another device");
}

#[test]
fn the_root_qdisc_goes_by_two_names() {
    let readings = qdisc(&parsed(
        r#"[{"kind":"tbf","handle":"1:","root":true,"bytes":1442,"packets":1,"drops":2,"overlimits":3,"requeues":0,"backlog":0,"qlen":0},
            {"kind":"pfifo_fast","handle":"10:","parent":"1:1","bytes":0,"packets":7}]"#,
    ));
    assert_eq!(number(&readings, "root/drops"), Some(2));
    assert_eq!(number(&readings, "1:/overlimits"), Some(3));
    assert_eq!(number(&readings, "10:/packets"), Some(7));
    assert_eq!(text(&readings, "10:/kind"), Some("pfifo_fast"));
}

#[test]
fn a_rule_goes_by_its_place_in_its_chain() {
    let readings = nft(&parsed(
        r#"{"nftables":[{"metainfo":{"version":"1.1.3"}},{"table":{"family":"ip","name":"filter"}},
            {"rule":{"family":"ip","table":"filter","chain":"output","handle":2,"expr":[{"accept":null}]}},
            {"rule":{"family":"ip","table":"filter","chain":"output","handle":3,"expr":[{"counter":{"packets":5,"bytes":60}},{"drop":null}]}}]}"#,
    ));
    assert_eq!(number(&readings, "filter/output/1/packets"), Some(5));
    assert_eq!(number(&readings, "filter/output/1/bytes"), Some(60));
    assert_eq!(readings.len(), 2);
}

#[test]
fn an_error_of_the_route_has_its_name() {
    assert_eq!(route_error("RTNETLINK answers: No route to host\n"), "EHOSTUNREACH");
    assert_eq!(route_error("RTNETLINK answers: Network is unreachable\n"), "ENETUNREACH");
    assert_eq!(route_error("Error: argument is wrong"), "Error: argument is wrong");
}
