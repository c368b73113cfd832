//! The linux rig, driven by hand through the seam that the engine uses: calls, frames and commands on a real kernel.

mod bench;
mod ends;
mod frames;
mod lab;
mod leftovers;
mod trials;

use bench::{Bench, peer, recvfrom, sendto};
use frames::{arp_reply, asked_for, datagram, segment, udp_from_peer};
use harness::case::model::{
    Nanos, OptionValue, PORTS, Payload, RouteQuery, SocketKind, Source, Syscall, topology,
};
use harness::rig::linux::{LinuxRig, doctor::doctor, unusable, wire::WireKind};
use harness::rig::{Event, Reading, Readings, Rig, RigError};
use leftovers::nothing_left;
use libtest_mimic::{Arguments, Failed, Trial};
use std::time::{Duration, Instant};

type Outcome = Result<(), Failed>;
type Test = fn() -> Outcome;

const MS: Nanos = 1_000_000;

const RULE: &str = "a_rule_that_drops_tells_the_sender_and_counts";

const NOBODY: &str = "an_ordinary_user_needs_no_rights";

const POWERLESS: &str = "root_without_capabilities_is_told_that_it_has_none";

const USER: &str = "root_of_a_user_namespace_is_enough";

const BRIDGE: &str = "a_lab_refuses_a_port_of_a_bridge";

const VLAN: &str = "a_lab_refuses_a_port_that_a_vlan_stands_on";

fn main() {
    // While there is one thread; why it cannot is told by the rig.
    let _ = harness::rig::linux::rights::enter();
    let arguments = Arguments::from_args();
    let wires = [("tap", WireKind::Tap), ("veth", WireKind::Veth)];
    let tests =
        wires.iter().flat_map(|&(name, wire)| TESTS.iter().map(move |test| of_a_wire(name, wire, test)));
    let (no_lab, no_bridge, no_vlan) = (lab::lacks(), lab::lacks_bridges(), lab::lacks_vlans());
    let lacking = |name| match name {
        BRIDGE => no_bridge.clone(),
        VLAN => no_vlan.clone(),
        _ => no_lab.clone(),
    };
    let of_a_lab = LAB.iter().map(|&(name, test)| match lacking(name) {
        Some(why) => Trial::test(name, test).with_ignored_flag(true).with_kind(format!("skipped: {why}")),
        None => Trial::test(name, test),
    });
    libtest_mimic::run(&arguments, tests.chain(of_a_lab).collect()).exit();
}

/// Tests that have their own wire.
const LAB: &[(&str, Test)] = &[
    ("a_lab_judges_a_port_and_gives_it_back", lab::passes),
    ("a_lab_gives_its_ports_back_after_a_failure", lab::a_failure),
    ("a_lab_gives_its_ports_back_when_it_is_interrupted", lab::interrupted),
    ("a_lab_that_was_killed_is_cleaned_up_by_the_next_run", lab::killed),
    ("a_lab_refuses_ports_that_the_machine_needs", lab::refusals),
    (BRIDGE, lab::a_bridge),
    (VLAN, lab::a_vlan),
    ("a_lab_proves_its_cable", lab::no_cable),
    ("the_doctor_proves_the_cable_of_a_lab_and_its_speed", lab::doctor),
    ("a_lab_forgets_one_trial_before_the_next", lab::reset),
    ("a_lab_begins_each_trial_with_a_qdisc_that_has_counted_nothing", lab::counts),
];

/// All tests; each runs on both wires.
const TESTS: &[(&str, Test)] = &[
    ("a_datagram_to_a_known_neighbour_is_one_frame", one_datagram),
    ("datagrams_wait_for_the_neighbours_address_and_leave_in_order", first_packet_waits),
    ("a_silent_neighbour_is_asked_three_times_and_the_socket_is_told", nobody_answers),
    ("a_blocking_call_overlaps_with_others_and_ends_when_a_frame_comes", blocking_overlaps),
    (RULE, output_drop),
    ("routes_are_read_with_their_errors", routes),
    ("calls_run_on_the_cpu_that_is_asked_for", cpus),
    ("without_carrier_nothing_reaches_the_wire", carrier),
    ("sysfs_is_that_of_the_namespace", own_sysfs),
    ("a_connection_that_the_peer_opens_is_accepted", accepted_connection),
    ("nothing_is_left_when_calls_still_block", nothing_left),
    ("a_rig_is_there_and_gone_in_little_time", overhead),
    ("the_doctor_finds_what_the_rig_has_just_used", examined),
    ("the_engine_runs_a_datagram_through_and_sees_what_is_wrong", trials::a_datagram),
    ("the_engine_puts_the_kernels_fragments_together", trials::fragments),
    ("the_engine_holds_arp_to_its_times", trials::nobody_answers),
    ("what_is_not_there_is_a_skip", trials::skips),
    ("a_command_does_not_reach_the_machine", leftovers::the_machine_stays_as_it_is),
    ("each_rig_has_namespaces_of_its_own", leftovers::own_namespaces),
    (USER, trials::in_a_user_namespace),
    ("a_step_that_takes_eth0_away_fails", trials::eth0_gone),
    ("nothing_is_left_after_a_panic", leftovers::panicked),
    ("nothing_is_left_of_a_run_that_passes_or_fails", ends::passed_or_failed),
    ("nothing_is_left_of_a_run_that_is_interrupted", ends::interrupted),
    ("nothing_is_left_of_runs_that_are_killed", ends::killed),
    (NOBODY, ends::as_nobody),
    (POWERLESS, ends::powerless),
    ("an_uncut_packet_is_cut_before_the_wire", cut_and_filled),
    ("the_harness_knows_how_late_it_was", lateness),
    ("the_port_says_what_it_is_and_its_default_qdisc_is_a_default", nature),
];

/// A test on one wire, as `veth::its_name`. Without the wire it is ignored; in CI a missing wire is a failure, but for a TAP that only
/// root may open.
fn of_a_wire(prefix: &str, wire: WireKind, &(name, test): &(&'static str, Test)) -> Trial {
    let full = format!("{prefix}::{name}");
    let missing = unusable(wire);
    let required = std::env::var("CI").is_ok_and(|ci| ci == "true");
    if let Some(why) =
        missing.clone().filter(|_| required && (wire == WireKind::Veth || ends::not_root().is_none()))
    {
        return Trial::test(full, move || Err(why.into()));
    }
    // Configuration and readings take iproute2; one test takes nft.
    let tools = || trials::lacks(wire, &["ip -V", "tc -V"]);
    let nft = || trials::lacks(wire, &["nft -v"]).filter(|_| name == RULE);
    let user = || trials::no_user_namespace().filter(|_| name == USER);
    let root = || ends::not_root().filter(|_| name == NOBODY || name == POWERLESS);
    let trial = Trial::test(full, move || {
        bench::use_wire(wire);
        test()
    });
    match missing.or_else(tools).or_else(nft).or_else(user).or_else(root) {
        Some(why) => trial.with_ignored_flag(true).with_kind(format!("skipped: {why}")),
        None => trial,
    }
}

fn number(readings: &Readings, key: &str) -> i64 {
    match readings.get(key) {
        Some(Reading::Number(number)) => *number,
        other => panic!("{key} is {other:?}"),
    }
}

fn text(readings: &Readings, key: &str) -> Option<String> {
    match readings.get(key) {
        Some(Reading::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

fn one_datagram() -> Outcome {
    let mut bench = Bench::new()?;
    bench.permanent_neighbour()?;
    let (netdev, snmp) = (bench.rig.read(&Source::Netdev)?, bench.rig.read(&Source::Snmp)?);
    bench.udp("s")?;
    bench.bind("s", 4000)?;
    let (sent, mut frames) = bench.ok(&sendto("s", peer(7), "hello"))?;
    if frames.is_empty() {
        frames.push(bench.frame(Duration::from_secs(1))?);
    }
    assert_eq!((sent, frames.len()), (5, 1));
    assert_eq!(datagram(&frames[0].1, topology::PEER_MAC)?, (7, b"hello".to_vec()));
    assert_eq!(frames[0].1.len(), 14 + 20 + 8 + 5, "neither wire pads");
    let (after, counted) = (bench.rig.read(&Source::Netdev)?, bench.rig.read(&Source::Snmp)?);
    for (before, after, key) in [
        (&netdev, &after, "tx_packets"),
        (&snmp, &counted, "Udp.OutDatagrams"),
        (&snmp, &counted, "Ip.OutRequests"),
    ] {
        assert_eq!(number(after, key) - number(before, key), 1, "{key}");
    }
    assert!(bench.next_event(Duration::from_millis(50))?.is_none(), "nothing else comes");
    let finished = bench.rig.finish();
    assert_eq!((finished.violations.len(), finished.lost_frames), (0, 0));
    assert!(finished.lateness.is_some());
    Ok(())
}

fn nature() -> Outcome {
    let mut bench = Bench::new()?;
    let is = PORTS.map(|port| bench.rig.version(port).is_some());
    let tap = bench.rig.wire() == WireKind::Tap;
    assert_eq!(is, [tap, !tap, true, false], "{PORTS:?}");
    let kinds = |readings: &Readings| -> Vec<String> {
        readings.keys().filter(|key| key.ends_with("/kind")).cloned().collect()
    };
    assert_eq!(kinds(&bench.rig.read(&Source::Qdisc)?), ["0:/kind", "root/kind"]);
    bench.run("tc qdisc replace dev eth0 root handle 7: pfifo")?;
    assert_eq!(kinds(&bench.rig.read(&Source::Qdisc)?), ["7:/kind", "root/kind"]);
    Ok(())
}

fn first_packet_waits() -> Outcome {
    let mut bench = Bench::new()?;
    bench.udp("s")?;
    let mut frames = Vec::new();
    for word in ["one", "two"] {
        frames.extend(bench.ok(&sendto("s", peer(7), word))?.1);
    }
    if frames.is_empty() {
        frames.push(bench.frame(Duration::from_secs(1))?);
    }
    assert_eq!(frames.len(), 1, "both wait behind one request");
    assert_eq!(asked_for(&frames[0].1)?, topology::PEER_IP);
    let neigh = bench.rig.read(&Source::Neigh)?;
    assert_eq!(text(&neigh, "192.0.2.2/state").as_deref(), Some("INCOMPLETE"));
    bench.rig.inject(&arp_reply())?;
    for word in ["one", "two"] {
        let (_, frame) = bench.frame(Duration::from_secs(1))?;
        assert_eq!(datagram(&frame, topology::PEER_MAC)?, (7, word.as_bytes().to_vec()));
    }
    let neigh = bench.rig.read(&Source::Neigh)?;
    assert_eq!(text(&neigh, "192.0.2.2/state").as_deref(), Some("REACHABLE"));
    assert_eq!(text(&neigh, "192.0.2.2/lladdr").as_deref(), Some("02:00:00:00:00:02"));
    Ok(())
}

fn nobody_answers() -> Outcome {
    let mut bench = Bench::new()?;
    bench.udp("s")?;
    let value = OptionValue::Number(1);
    let (level, name) = ("IPPROTO_IP".to_owned(), "IP_RECVERR".to_owned());
    bench.ok(&Syscall::Setsockopt { socket: "s".to_owned(), level, name, value })?;
    bench.ok(&Syscall::Connect { socket: "s".to_owned(), to: peer(7) })?;
    let send = |text: &str| Syscall::Send {
        socket: "s".to_owned(),
        payload: Payload(text.as_bytes().into()),
        flags: Vec::new(),
    };
    let mut requests = bench.ok(&send("lost"))?.1;
    while requests.len() < 3 {
        requests.push(bench.frame(Duration::from_millis(1500))?);
    }
    for pair in requests.windows(2) {
        let gap = pair[1].0 - pair[0].0;
        assert!((900 * MS..1_150 * MS).contains(&gap), "requests are a second apart, not {gap} ns");
    }
    assert!(bench.next_event(Duration::from_millis(1500))?.is_none(), "there is no fourth");
    assert_eq!(bench.call(&send("again"))?, Err("EHOSTUNREACH".to_owned()));
    Ok(())
}

fn blocking_overlaps() -> Outcome {
    let mut bench = Bench::new()?;
    bench.permanent_neighbour()?;
    bench.udp("s")?;
    bench.bind("s", 4000)?;
    bench.udp("other")?;
    let waiting = bench.start(&recvfrom("s"))?;
    assert!(bench.next_event(Duration::from_millis(50))?.is_none(), "it blocks");
    let (sent, frames) = bench.ok(&sendto("other", peer(9), "meanwhile"))?;
    assert_eq!(sent, 9, "another call does not wait for it");
    if frames.is_empty() {
        bench.frame(Duration::from_secs(1))?;
    }
    let injected = bench.rig.now();
    bench.rig.inject(&udp_from_peer(4000, b"data"))?;
    let Some(Event::Returned { call, at, result }) = bench.next_event(Duration::from_secs(1))? else {
        return Err("the call did not return".into());
    };
    let returned = result?;
    assert_eq!((call, returned.value), (waiting, 4));
    assert_eq!(returned.payload.as_deref(), Some(&b"data"[..]));
    assert_eq!(returned.address, Some(peer(7)));
    assert!(at >= injected && at - injected < 50 * MS, "it returned at {at}, the frame came at {injected}");
    Ok(())
}

fn output_drop() -> Outcome {
    let mut bench = Bench::new()?;
    bench.permanent_neighbour()?;
    bench.run("nft add table ip filter")?;
    bench.run("nft add chain ip filter output { type filter hook output priority 0 ; policy accept ; }")?;
    bench.run("nft add rule ip filter output udp dport 9 counter drop")?;
    bench.udp("s")?;
    assert_eq!(bench.call(&sendto("s", peer(9), "no"))?, Err("EPERM".to_owned()));
    let (sent, mut frames) = bench.ok(&sendto("s", peer(10), "yes"))?;
    if frames.is_empty() {
        frames.push(bench.frame(Duration::from_secs(1))?);
    }
    assert_eq!(sent, 3);
    assert_eq!(datagram(&frames[0].1, topology::PEER_MAC)?, (10, b"yes".to_vec()));
    let counters = bench.rig.read(&Source::Nft)?;
    assert_eq!(number(&counters, "filter/output/0/packets"), 1);
    Ok(())
}

fn routes() -> Outcome {
    let mut bench = Bench::new()?;
    bench.run("ip route add 198.51.100.0/24 via 192.0.2.2 dev eth0")?;
    bench.run("ip route add unreachable 203.0.113.0/24")?;
    let mut get = |to: &str| {
        let to = to.parse().expect("an address");
        bench.rig.read(&Source::Route(RouteQuery { to, from: None, tos: None, mark: None }))
    };
    let near = get("198.51.100.9")?;
    assert_eq!(text(&near, "via").as_deref(), Some("192.0.2.2"));
    assert_eq!(text(&near, "dev").as_deref(), Some("eth0"));
    assert_eq!(text(&near, "src").as_deref(), Some("192.0.2.1"));
    assert_eq!(text(&get("203.0.113.5")?, "error").as_deref(), Some("EHOSTUNREACH"));
    assert_eq!(text(&get("192.88.99.1")?, "error").as_deref(), Some("ENETUNREACH"), "no default route");
    Ok(())
}

fn cpus() -> Outcome {
    let mut bench = Bench::new()?;
    bench.udp("s")?;
    let (level, name) = ("SOL_SOCKET".to_owned(), "SO_TYPE".to_owned());
    let get = Syscall::Getsockopt { socket: "s".to_owned(), level, name };
    bench.start_on(Some(0), &get)?;
    let Some(Event::Returned { result, .. }) = bench.next_event(Duration::from_secs(1))? else {
        return Err("the call did not return".into());
    };
    assert_eq!(result?.option, Some(2), "SOCK_DGRAM");
    let allowed: Vec<_> = std::fs::read_dir("/proc/self/task")?
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok())
        .filter(|status| status.starts_with("Name:\tagent"))
        .filter_map(|status| {
            status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:\t").map(str::to_owned))
        })
        .collect();
    assert!(allowed.iter().any(|list| list == "0"), "one agent is tied to CPU 0: {allowed:?}");
    let refused = bench.rig.start(99, Some(100_000), &get);
    assert!(matches!(refused, Err(RigError::Missing(_))), "no machine has that many CPUs: {refused:?}");
    Ok(())
}

fn carrier() -> Outcome {
    let mut bench = Bench::new()?;
    bench.permanent_neighbour()?;
    bench.udp("s")?;
    bench.rig.set_link(false)?;
    // The kernel's link watch takes up to a second to act on it.
    assert!(bench.next_event(Duration::from_millis(1500))?.is_none());
    bench.ok(&sendto("s", peer(7), "into the void"))?;
    assert!(bench.next_event(Duration::from_millis(200))?.is_none(), "the cable is pulled");
    bench.rig.set_link(true)?;
    assert!(bench.next_event(Duration::from_millis(1500))?.is_none());
    let mut frames = bench.ok(&sendto("s", peer(7), "back"))?.1;
    if frames.is_empty() {
        frames.push(bench.frame(Duration::from_secs(1))?);
    }
    assert_eq!(datagram(&frames[0].1, topology::PEER_MAC)?, (7, b"back".to_vec()));
    Ok(())
}

fn own_sysfs() -> Outcome {
    let mut bench = Bench::new()?;
    let result = bench.rig.sysfs("/sys/class/net/eth0/tx_queue_len", "77")?;
    assert_eq!(result.status, 0, "{}", result.output);
    assert!(bench.run("ip link show dev eth0")?.contains("qlen 77"), "eth0 of the namespace was meant");
    let result = bench.rig.sysfs("/sys/class/net/eth0/no_such_file", "1")?;
    assert_ne!(result.status, 0, "a refused write is a result");
    for path in ["/sys/class/net/../../../etc/passwd", "/sys/kernel/mm/ksm/run"] {
        assert!(bench.rig.sysfs(path, "x").is_err(), "{path}: only devices may be written");
    }
    Ok(())
}

fn accepted_connection() -> Outcome {
    let mut bench = Bench::new()?;
    bench.permanent_neighbour()?;
    let listener = || "listener".to_owned();
    bench.ok(&Syscall::Socket { name: listener(), kind: SocketKind::Tcp, nonblocking: false })?;
    bench.bind("listener", 8080)?;
    bench.ok(&Syscall::Listen { socket: listener(), backlog: 1 })?;
    let accepting = bench.start(&Syscall::Accept { socket: listener(), name: "c".to_owned() })?;
    bench.rig.inject(&segment(0, 0, 0x02))?;
    let (_, answer) = bench.frame(Duration::from_secs(1))?;
    let tcp = &answer[34..];
    assert_eq!(tcp[13], 0x12, "SYN and ACK");
    let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
    bench.rig.inject(&segment(1, sequence.wrapping_add(1), 0x10))?;
    let Some(Event::Returned { call, result, .. }) = bench.next_event(Duration::from_secs(1))? else {
        return Err("accept did not return".into());
    };
    assert_eq!(call, accepting);
    assert_eq!(result?.address, Some(peer(40000)));
    let info = bench.rig.read(&Source::TcpInfo("c".to_owned()))?;
    assert_eq!(text(&info, "state").as_deref(), Some("ESTABLISHED"));
    assert_eq!((number(&info, "snd_cwnd"), number(&info, "unacked")), (10, 0));
    Ok(())
}

/// Setting up and taking down costs at most 80 ms; the fastest of some, as the machine may have other things to do.
fn overhead() -> Outcome {
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        drop(LinuxRig::new(bench::wire())?);
        fastest = fastest.min(started.elapsed());
    }
    println!("a rig takes {fastest:?}");
    if fastest > Duration::from_millis(80) {
        return Err(format!("it takes {fastest:?}").into());
    }
    Ok(())
}

fn examined() -> Outcome {
    let findings = doctor(None);
    let find = |what: &str| findings.iter().find(|finding| finding.what == what).cloned();
    for what in ["wire", "right to make a network namespace", "qdisc pfifo_fast"] {
        assert!(find(what).is_some_and(|finding| finding.ok), "{what}: {:?}", find(what));
    }
    for finding in findings.iter().filter(|finding| !finding.ok) {
        assert!(finding.remedy.is_some(), "what is missing has a remedy: {finding:?}");
    }
    Ok(())
}

/// What a socket hands over in one piece, with no checksums in it, is on the wire as a cable would carry it.
fn cut_and_filled() -> Outcome {
    let mut bench = Bench::new()?;
    bench.permanent_neighbour()?;
    bench.udp("s")?;
    let (level, name) = ("IPPROTO_UDP".to_owned(), "UDP_SEGMENT".to_owned());
    let value = OptionValue::Number(1000);
    bench.ok(&Syscall::Setsockopt { socket: "s".to_owned(), level, name, value })?;
    let (sent, mut frames) = bench.ok(&sendto("s", peer(7), &"x".repeat(2500)))?;
    while frames.len() < 3 {
        frames.push(bench.frame(Duration::from_secs(1))?);
    }
    assert_eq!(sent, 2500);
    let lengths: Vec<_> = frames.iter().map(|(_, frame)| frame.len()).collect();
    assert_eq!(lengths, [1042, 1042, 542]);
    for (_, frame) in &frames {
        datagram(frame, topology::PEER_MAC)?;
    }
    Ok(())
}

/// Frames of both directions and calls are counted, and none was on time before it was wanted.
fn lateness() -> Outcome {
    let mut bench = Bench::new()?;
    bench.permanent_neighbour()?;
    bench.udp("s")?;
    bench.bind("s", 4000)?;
    for _ in 0..5 {
        let begun = bench.rig.now();
        let mut frames = bench.ok(&sendto("s", peer(7), "x"))?.1;
        if frames.is_empty() {
            frames.push(bench.frame(Duration::from_secs(1))?);
        }
        assert!((begun..bench.rig.now()).contains(&frames[0].0), "a frame has a time between two others");
    }
    // The engine gets control, and takes its time.
    assert!(bench.next_event(Duration::from_millis(1))?.is_none());
    std::thread::sleep(Duration::from_millis(30));
    bench.rig.inject(&udp_from_peer(4000, b"late"))?;
    let late = bench.rig.last_lateness();
    let finished = bench.rig.finish();
    assert!((30 * MS..1_000 * MS).contains(&late), "it was injected 30 ms late, not {late} ns");
    assert_eq!((finished.delays.captured.count, finished.delays.injected.count), (5, 1));
    assert_eq!(finished.delays.returned.count, 7, "socket, bind, and each sendto");
    assert_eq!((finished.delays.injected.median, finished.delays.injected.worst), (late, late));
    assert!(finished.lateness.is_some_and(|worst| worst >= Duration::from_nanos(late)));
    Ok(())
}
