//! A journey with everything that can happen, there and back.

use super::*;
use std::net::Ipv4Addr;

fn moment(at: Nanos, what: What) -> Moment {
    Moment { at, cpu: 0, context: "process", what }
}

/// "one" waits for an address and goes out as frame 2; "lost" is dropped; then a timer runs.
pub(crate) fn journey() -> Journey {
    let one = vec![
        moment(1_000, What::Function("udp_sendmsg")),
        moment(1_500, What::Queued("arp_queue")),
        Moment { context: "NET_RX", ..moment(50_001_500, What::Dequeued("arp_queue")) },
        moment(50_002_000, What::Posted { queue: 0, last_descriptor: 3 }),
        moment(50_014_304, What::Wire(2)),
        moment(50_020_000, What::Consumed),
    ];
    let lost = vec![
        moment(60_000_000, What::Function("udp_sendmsg")),
        moment(60_000_250, What::Function("nf_hook_slow")),
        moment(60_000_300, What::Dropped("NETFILTER_DROP")),
        moment(60_000_300, What::Refused("EPERM".to_owned())),
    ];
    let flow = Flow { daddr: Ipv4Addr::new(192, 0, 2, 2), dport: 80, sport: 0, protocol: 17 };
    Journey {
        packets: vec![
            Packet { id: 1, parent: None, head: b"one".to_vec(), total: 3, flow: None, moments: one },
            Packet {
                id: 2,
                parent: Some(1),
                head: b"lost".to_vec(),
                total: 4,
                flow: Some(flow),
                moments: lost,
            },
        ],
        alone: vec![Moment {
            cpu: 1,
            context: "TIMER",
            ..moment(3_000_000_000, What::Function("neigh_timer_handler"))
        }],
    }
}

#[test]
fn what_is_read_back_is_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journey.json");
    write(&path, "arp/waits", "emu", &journey()).unwrap();
    write(&path, "arp/waits", "emu", &journey()).unwrap();
    assert_eq!(read(&path).unwrap(), journey());
    assert_eq!(text("arp/waits", "emu", &journey()), text("arp/waits", "emu", &journey()));
}

#[test]
fn every_span_that_begins_ends_not_before_it() {
    let all: Value = serde_json::from_str(&text("arp/waits", "emu", &journey())).unwrap();
    let events = all["traceEvents"].as_array().unwrap();
    let mut open: Vec<(&Value, &Value, f64)> = Vec::new();
    for event in events {
        let key = (&event["id"], &event["name"]);
        match event["ph"].as_str().unwrap() {
            "b" => open.push((key.0, key.1, event["ts"].as_f64().unwrap())),
            "e" => {
                let begun = open.iter().rposition(|(id, name, _)| (*id, *name) == key).unwrap();
                assert!(open.remove(begun).2 <= event["ts"].as_f64().unwrap());
            }
            _ => {}
        }
    }
    assert_eq!(open, []);
    let waited = events.iter().find(|e| e["name"] == "arp_queue" && e["ph"] == "e").unwrap();
    assert_eq!(waited["ts"], json!(50_001.5), "microseconds");
}

#[test]
fn a_file_of_others_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journey.json");
    let whole = text("arp/waits", "emu", &journey());
    for length in (0..whole.len() - 2).step_by(31) {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(read(&path).is_err());
    }
    std::fs::write(&path, whole.replace("6f6e65", "6f6e6")).unwrap();
    assert!(read(&path).is_err());
}
