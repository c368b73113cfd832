//! `ip neigh`, and a link that goes down; errors and states were read from Linux 6.18.

use super::*;
use crate::errno::Errno;
use crate::route::RouteError;
use rstest::rstest;

fn change(
    bench: &mut Bench,
    verb: NeighVerb,
    lladdr: Option<Mac>,
    state: NudState,
) -> Result<(), RouteError> {
    let change = NeighChange { addr: PEER_IP, lladdr, state };
    bench.call(|table, cx, _| table.add(cx, verb, &change)).0
}

#[rstest]
#[case::permanent(Some(PEER), NudState::Permanent, None, "192.0.2.2 lladdr 02:00:00:00:00:02 PERMANENT")]
#[case::stale(Some(PEER), NudState::Stale, None, "192.0.2.2 lladdr 02:00:00:00:00:02 STALE")]
#[case::reachable(Some(PEER), NudState::Reachable, None, "192.0.2.2 lladdr 02:00:00:00:00:02 REACHABLE")]
#[case::noarp(Some(PEER), NudState::NoArp, None, "192.0.2.2 lladdr 02:00:00:00:00:02 NOARP")]
#[case::none_forgets_the_station(Some(PEER), NudState::None, None, "192.0.2.2")]
#[case::failed_forgets_the_station(Some(PEER), NudState::Failed, None, "192.0.2.2 FAILED")]
#[case::incomplete_without_a_station(None, NudState::Incomplete, None, "192.0.2.2 INCOMPLETE")]
#[case::stale_without_a_station(None, NudState::Stale, Some(Errno::EINVAL), "192.0.2.2")]
#[case::permanent_without_a_station(None, NudState::Permanent, Some(Errno::EINVAL), "192.0.2.2")]
fn an_entry_is_added(
    #[case] lladdr: Option<Mac>,
    #[case] state: NudState,
    #[case] error: Option<Errno>,
    #[case] line: &str,
) {
    let mut bench = Bench::new();
    assert_eq!(change(&mut bench, NeighVerb::Add, lladdr, state).err().map(|e| e.errno), error);
    assert_eq!(bench.table.get(PEER_IP).map(Neighbour::line).as_deref(), Some(line));
}

#[rstest]
#[case::delay(NudState::Delay)]
#[case::probe(NudState::Probe)]
fn a_check_begins_at_once(#[case] state: NudState) {
    let mut bench = Bench::new();
    assert_eq!(change(&mut bench, NeighVerb::Add, Some(PEER), state), Ok(()));
    assert_eq!(bench.run(10 * MILLI), "0.0: unicast 02");
    assert_eq!(bench.entry(), "02:PROBE");
}

#[test]
fn verbs_want_the_entry_there_or_not() {
    let mut bench = Bench::new();
    let missing = change(&mut bench, NeighVerb::Change, Some(PEER), NudState::Stale);
    assert_eq!(missing, Err(RouteError::plain(Errno::ENOENT)));
    assert_eq!(change(&mut bench, NeighVerb::Replace, Some(PEER), NudState::Permanent), Ok(()));
    let there = change(&mut bench, NeighVerb::Add, Some(PEER), NudState::Permanent);
    assert_eq!(there, Err(RouteError::plain(Errno::EEXIST)));
    assert_eq!(change(&mut bench, NeighVerb::Change, Some(OTHER), NudState::Stale), Ok(()));
    assert_eq!(bench.entry(), "aa:STALE");
    assert_eq!(change(&mut bench, NeighVerb::Replace, None, NudState::Reachable), Ok(()));
    assert_eq!(bench.entry(), "aa:REACHABLE", "without lladdr the station stays");
}

#[test]
fn a_deleted_entry_is_gone_and_packets_that_wait_learn_it() {
    let mut bench = Bench::new();
    bench.send();
    let (result, words) = bench.call(|table, cx, _| table.delete(cx, PEER_IP));
    assert_eq!((result, words.as_str()), (Ok(()), "error"));
    let (result, _) = bench.call(|table, cx, _| table.delete(cx, PEER_IP));
    assert_eq!(result, Err(RouteError::plain(Errno::ENOENT)));
    assert_eq!((bench.entry().as_str(), bench.table.next_deadline()), ("-", None));
}

#[test]
fn a_flush_spares_what_it_is_told_to() {
    let mut bench = Bench::new();
    bench.set(NudState::Permanent);
    bench.arp(
        Arp {
            op: Operation::Request,
            sha: OTHER,
            spa: Ipv4Addr::new(192, 0, 2, 9),
            tha: [0; 6],
            tpa: OWN_IP,
        },
        BROADCAST,
    );
    bench.call(|table, cx, _| table.flush(cx, |n| !matches!(n.state, NudState::NoArp | NudState::Permanent)));
    assert_eq!((bench.table.dump().len(), bench.entry().as_str()), (1, "02:PERMANENT"));
}

#[rstest]
#[case::stale_is_lost_with_the_carrier(NudState::Stale, "-")]
#[case::reachable_too(NudState::Reachable, "-")]
#[case::permanent_stays(NudState::Permanent, "02:PERMANENT")]
fn the_carrier_is_lost(#[case] state: NudState, #[case] after: &str) {
    let mut bench = Bench::new();
    bench.set(state);
    bench.call(|table, cx, _| table.carrier_down(cx));
    assert_eq!(bench.entry(), after);
    bench.call(|table, cx, _| table.ifdown(cx));
    assert_eq!(bench.entry(), "-");
}

#[test]
fn packets_that_wait_when_the_link_goes_down_are_dropped() {
    let mut bench = Bench::new();
    bench.send();
    let ((), words) = bench.call(|table, cx, _| table.ifdown(cx));
    assert_eq!(words, "NEIGH_DEAD");
    assert_eq!((bench.pool.in_flight(), bench.table.next_deadline()), (0, None));
}

#[test]
fn names_of_states_are_read_in_any_case() {
    assert_eq!(NudState::from_name("permanent"), Some(NudState::Permanent));
    assert_eq!(NudState::from_name("NOARP"), Some(NudState::NoArp));
    assert_eq!(NudState::from_name("gone"), None);
}
