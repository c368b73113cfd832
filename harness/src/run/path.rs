//! The journey of one packet, held against what a check says of it.

use super::check::spent_holds;
use super::outcome::{nanos, show_time};
use crate::case::model::{CheckItem, Expected, JourneyQuery, Nanos};
use crate::rig::Journey;
use crate::rig::journey::{Moment, Packet, What};
use std::collections::BTreeSet;

/// What is wrong with the journey of the packet that is asked for; `None` when nothing is.
pub(super) fn wrong(
    journey: &Journey,
    query: &JourneyQuery,
    item: &CheckItem,
    now: Nanos,
    is_virtual: bool,
) -> Option<String> {
    let packet = match find(journey, query) {
        Some(packet) => packet,
        None => return Some("no packet with this payload was seen".to_owned()),
    };
    let moments = with_descendants(journey, packet);
    match &item.expected {
        Expected::Through(names) => through(&moments, names),
        expected @ Expected::Spent(time, _) => {
            let queue = item.key.strip_prefix("spent/").unwrap_or(&item.key);
            match spent(&moments, queue, now) {
                None => Some(format!("the packet never lay in {queue}; it went through {}", way(&moments))),
                Some(spent) if spent_holds(expected, spent, is_virtual) => None,
                Some(spent) => Some(format!(
                    "expected {} in {queue}, the packet spent {}",
                    show_time(nanos(*time)),
                    show_time(spent)
                )),
            }
        }
        Expected::Text(reason) => dropped(&moments, reason),
        Expected::Absent => not_dropped(&moments),
        Expected::Number(_) | Expected::Compare(..) => Some("a journey has no such number".to_owned()),
    }
}

/// The packet whose payload begins as asked.
#[must_use]
pub fn find<'j>(journey: &'j Journey, query: &JourneyQuery) -> Option<&'j Packet> {
    journey
        .packets
        .iter()
        .filter(|p| {
            p.parent.is_none() && p.head.starts_with(&query.payload[..query.payload.len().min(p.head.len())])
        })
        .filter(|p| p.total as usize >= query.payload.len())
        .nth(query.nth)
}

/// What a packet went through, and what was made out of it, in the order of time.
fn with_descendants<'j>(journey: &'j Journey, packet: &'j Packet) -> Vec<&'j Moment> {
    let mut family = BTreeSet::from([packet.id]);
    let mut moments: Vec<_> = packet.moments.iter().collect();
    for other in &journey.packets {
        if other.parent.is_some_and(|parent| family.contains(&parent)) {
            family.insert(other.id);
            moments.extend(&other.moments);
        }
    }
    moments.sort_by_key(|moment| moment.at);
    moments
}

/// Functions and queues by name.
fn name(what: &What) -> Option<&'static str> {
    match what {
        What::Function(name) | What::Queued(name) => Some(name),
        _ => None,
    }
}

fn way(moments: &[&Moment]) -> String {
    moments.iter().filter_map(|moment| name(&moment.what)).collect::<Vec<_>>().join(" → ")
}

fn through(moments: &[&Moment], names: &[String]) -> Option<String> {
    let mut wanted = names.iter().peekable();
    for moment in moments {
        if let (Some(name), Some(next)) = (name(&moment.what), wanted.peek())
            && name == next.as_str()
        {
            wanted.next();
        }
    }
    wanted.next().map(|missing| {
        format!(
            "expected it to go through {}; it did not reach {missing}: {}",
            names.join(" → "),
            way(moments)
        )
    })
}

/// How long it lay in a queue, in all; what still lies there counts until now.
fn spent(moments: &[&Moment], queue: &str, now: Nanos) -> Option<Nanos> {
    let (mut total, mut since, mut seen) = (0, None, false);
    for moment in moments {
        match moment.what {
            What::Queued(name) if name == queue => {
                seen = true;
                since = since.or(Some(moment.at));
            }
            What::Dequeued(name) if name == queue => {
                total += since.take().map_or(0, |since| moment.at.saturating_sub(since));
            }
            _ => {}
        }
    }
    total += since.map_or(0, |since| now.saturating_sub(since));
    seen.then_some(total)
}

/// Before the names of reasons in the kernel's sources.
const PREFIX: &str = "SKB_DROP_REASON_";

fn not_dropped(moments: &[&Moment]) -> Option<String> {
    let reason =
        moments.iter().find_map(|m| if let What::Dropped(reason) = m.what { Some(reason) } else { None })?;
    Some(format!("the packet was dropped for {reason}"))
}

fn dropped(moments: &[&Moment], reason: &str) -> Option<String> {
    let reasons: Vec<_> = moments
        .iter()
        .filter_map(|m| if let What::Dropped(reason) = m.what { Some(reason) } else { None })
        .collect();
    if reasons.iter().any(|is| is.trim_start_matches(PREFIX) == reason) {
        return None;
    }
    let is = if reasons.is_empty() {
        "it was not dropped".to_owned()
    } else {
        format!("it was for {}", reasons.join(", "))
    };
    Some(format!("expected the packet to be dropped for {reason}, {is}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at: Nanos, what: What) -> Moment {
        Moment { at, cpu: 0, context: "process", what }
    }

    fn journey() -> Journey {
        let first = Packet {
            id: 1,
            parent: None,
            head: b"one".to_vec(),
            total: 3,
            flow: None,
            moments: vec![
                moment(10, What::Function("udp_sendmsg")),
                moment(20, What::Queued("arp_queue")),
                moment(70, What::Dequeued("arp_queue")),
            ],
        };
        let child = Packet {
            id: 2,
            parent: Some(1),
            head: Vec::new(),
            total: 3,
            flow: None,
            moments: vec![moment(80, What::Function("igb_xmit_frame"))],
        };
        Journey { packets: vec![first, child], alone: Vec::new() }
    }

    fn query(payload: &[u8]) -> JourneyQuery {
        JourneyQuery { payload: payload.to_vec(), nth: 0 }
    }

    #[test]
    fn the_time_in_a_queue_is_from_in_to_out() {
        let journey = journey();
        let moments = with_descendants(&journey, &journey.packets[0]);
        assert_eq!(spent(&moments, "arp_queue", 100), Some(50));
        assert_eq!(spent(&moments, "qdisc", 100), None);
    }

    #[test]
    fn a_way_includes_what_was_made_out_of_the_packet_and_must_be_in_order() {
        let journey = journey();
        let packet = find(&journey, &query(b"one")).expect("it is there");
        let moments = with_descendants(&journey, packet);
        let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(through(&moments, &names(&["udp_sendmsg", "arp_queue", "igb_xmit_frame"])), None);
        assert!(through(&moments, &names(&["arp_queue", "udp_sendmsg"])).is_some());
    }

    #[test]
    fn a_packet_with_another_payload_is_not_found() {
        assert!(find(&journey(), &query(b"two")).is_none());
        assert!(find(&journey(), &query(b"one and more")).is_none());
    }
}
