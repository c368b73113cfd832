//! Good cases, and the trials that they become.

use super::command::CommandProblem;
use super::model::{
    Action, Comparison, Expected, JourneyQuery, OptionValue, RouteQuery, Source, Syscall, Tolerance, Trial,
};
use super::{Problems, load, load_with};
use crate::frame::Value;
use rstest::rstest;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Loads files of a folder `udp`; what begins with `_` is only included.
fn load_files(files: &[(&str, &str)]) -> Result<Vec<Trial>, Problems> {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("udp")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join("udp").join(name), text).unwrap();
    }
    load(&[folder.path().to_owned()])
}

/// The actions of a case with these steps, without a matrix.
fn actions(steps: &str) -> Vec<Action> {
    let text = format!("about: A case.\nsteps:\n{steps}");
    let trials = load_files(&[("case.yaml", &text)]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(trials.len(), 1);
    trials.into_iter().next().unwrap().steps.into_iter().map(|step| step.action).collect()
}

fn one(steps: &str) -> Action {
    actions(steps).pop().unwrap()
}

#[test]
fn the_matrix_is_the_product_of_its_lists_with_the_last_key_fastest() {
    let text = "about: A case.\nmatrix:\n  mtu: [576, 1500]\n  length: [1, 2]\nsteps:\n  \
                - run: \"ip link set dev eth0 mtu ${mtu}\"\n  - socket: {as: s, type: udp}\n  \
                - sendto: {socket: s, to: \"${peer.ip}:9\", payload: {pattern: counting, length: \"${length}\"}, returns: \"${length}\"}\n";
    let trials = load_files(&[("fragments.yaml", text)]).unwrap();
    let names: Vec<_> = trials.iter().map(Trial::name).collect();
    assert_eq!(
        names,
        [
            "udp/fragments[mtu=576,length=1]",
            "udp/fragments[mtu=576,length=2]",
            "udp/fragments[mtu=1500,length=1]",
            "udp/fragments[mtu=1500,length=2]",
        ]
    );
    let Action::Run(commands) = &trials[2].steps[0].action else { panic!("not a command") };
    assert_eq!(commands[0].words, ["ip", "link", "set", "dev", "eth0", "mtu", "1500"]);
    let Action::Call(call) = &trials[3].steps[2].action else { panic!("not a call") };
    assert_eq!(call.outcome.returns, Some(2));
    let Syscall::Sendto { to, payload, .. } = &call.call else { panic!("not a sendto") };
    assert_eq!((to.to_string().as_str(), &payload.0[..]), ("192.0.2.2:9", &[0, 1][..]));
}

#[rstest]
#[case::text("\"héllo\"", "héllo".as_bytes())]
#[case::zeros("{pattern: zero, length: 3}", &[0, 0, 0])]
#[case::hexadecimal("{hex: \"de ad be:ef\"}", &[0xde, 0xad, 0xbe, 0xef])]
#[case::empty("\"\"", &[])]
fn payloads(#[case] yaml: &str, #[case] bytes: &[u8]) {
    let action =
        one(&format!("  - socket: {{as: s, type: udp}}\n  - send: {{socket: s, payload: {yaml}}}\n"));
    let Action::Call(call) = action else { panic!("not a call") };
    let Syscall::Send { payload, .. } = call.call else { panic!("not a send") };
    assert_eq!(&payload.0[..], bytes);
}

#[test]
fn counting_begins_again_after_255() {
    let Action::Expect(expect) = one("  - expect: {payload: {pattern: counting, length: 258}}\n") else {
        panic!()
    };
    let bytes = expect.pattern.payload.unwrap().0;
    assert_eq!((bytes[0], bytes[255], bytes[256], bytes[257], bytes.len()), (0, 255, 0, 1, 258));
}

#[rstest]
#[case::nanoseconds("10ns", Duration::from_nanos(10))]
#[case::microseconds("1500us", Duration::from_micros(1500))]
#[case::milliseconds("50ms", Duration::from_millis(50))]
#[case::seconds("1s", Duration::from_secs(1))]
#[case::a_part_of_a_second("0.25s", Duration::from_millis(250))]
fn durations(#[case] text: &str, #[case] duration: Duration) {
    let Action::Wait(time) = one(&format!("  - wait: {text}\n")) else { panic!("not a wait") };
    assert_eq!(time, duration);
}

#[test]
fn a_frame_has_typed_fields_in_the_order_of_the_wire() {
    let Action::Expect(expect) = one(
        "  - expect:\n      udp: {dst_port: 0x07}\n      ipv4: {flags: [DF], protocol: udp, src: \"${sut.ip}\"}\n      \
         eth: {dst: ff:ff:ff:ff:ff:ff, type: ipv4}\n      within: 10ms\n",
    ) else {
        panic!("not an expect")
    };
    let fields: Vec<_> =
        expect.pattern.fields.iter().map(|given| (given.field.name(), given.value.clone())).collect();
    let wanted = [
        ("eth.dst", Value::Mac([255; 6])),
        ("eth.type", Value::Number(0x0800)),
        ("ipv4.flags", Value::Number(2)),
        ("ipv4.protocol", Value::Number(17)),
        ("ipv4.src", Value::Ipv4("192.0.2.1".parse().unwrap())),
        ("udp.dst_port", Value::Number(7)),
    ];
    assert_eq!(fields, wanted.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(expect.within, Some(Duration::from_millis(10)));
    assert_eq!((expect.pattern.fields[5].at.line, expect.pattern.fields[5].at.column), (4, 23));
}

#[test]
fn after_and_its_tolerance() {
    let steps = actions(
        "  - expect: {as: first, arp: {op: request}}\n  \
         - expect: {arp: {}, after: {first: 1s}, tolerance: 15%}\n  - expect: {arp: {}, after: {first: 2s}}\n",
    );
    let after: Vec<_> = steps
        .iter()
        .filter_map(|action| if let Action::Expect(expect) = action { expect.after.as_ref() } else { None })
        .map(|after| (after.step.as_str(), after.delay.as_secs(), after.tolerance))
        .collect();
    assert_eq!(after, [("first", 1, Tolerance::Percent(15.0)), ("first", 2, Tolerance::Default)]);
}

#[test]
fn repeat_and_include_put_their_steps_in_place() {
    let included = "about: Steps.\nsteps:\n  - socket: {as: s, type: udp}\n";
    let text = "about: A case.\nsteps:\n  - include: _socket.yaml\n  - repeat:\n      times: 2\n      steps:\n        \
                - send: {socket: s, payload: \"x\"}\n        - wait: 1ms\n";
    let trials = load_files(&[("_socket.yaml", included), ("case.yaml", text)]).unwrap();
    let steps = &trials[0].steps;
    assert_eq!(steps.len(), 5);
    assert!(steps[0].at.file.path.ends_with("udp/_socket.yaml"));
    assert_eq!((steps[0].at.line, steps[0].at.column), (3, 5));
    assert!(matches!(steps[3].action, Action::Call(_)) && matches!(steps[4].action, Action::Wait(_)));
}

#[test]
fn every_source_of_a_check_has_its_keys() {
    let Action::Check(check) = one("  - check:
      netdev: {tx_packets: 1}
      softirqs: {NET_RX: \">=1\", NET_TX/0: 0}
      qdisc: {\"1:\": {packets: 3}, root: {drops: \"!=0\"}}
      nft: {\"filter/output/0\": {packets: 1}}
      neigh: {\"${peer.ip}\": {state: INCOMPLETE, lladdr: \"${peer.mac}\"}, 192.0.2.9: absent}
      route: {to: 198.51.100.9, tos: 16, via: none, src: \"${sut.ip}\"}
      journey: {packet: {payload: one, nth: 2}, through: [ip_output], spent: {arp_queue: 50ms}, tolerance: 20ms, dropped: none}
") else {
        panic!("not a check")
    };
    let found: Vec<_> = check.items.into_iter().map(|item| (item.source, item.key, item.expected)).collect();
    let route =
        Source::Route(RouteQuery { to: [198, 51, 100, 9].into(), from: None, tos: Some(16), mark: None });
    let journey = Source::Journey(JourneyQuery { payload: b"one".to_vec(), nth: 2 });
    let spent = Expected::Spent(Duration::from_millis(50), Tolerance::Time(Duration::from_millis(20)));
    let text = |text: &str| Expected::Text(text.to_owned());
    let wanted = [
        (Source::Netdev, "tx_packets", Expected::Number(1)),
        (Source::Softirqs, "NET_RX", Expected::Compare(Comparison::GreaterOrEqual, 1)),
        (Source::Softirqs, "NET_TX/0", Expected::Number(0)),
        (Source::Qdisc, "1:/packets", Expected::Number(3)),
        (Source::Qdisc, "root/drops", Expected::Compare(Comparison::NotEqual, 0)),
        (Source::Nft, "filter/output/0/packets", Expected::Number(1)),
        (Source::Neigh, "192.0.2.2/state", text("INCOMPLETE")),
        (Source::Neigh, "192.0.2.2/lladdr", text("02:00:00:00:00:02")),
        (Source::Neigh, "192.0.2.9/state", Expected::Absent),
        (route.clone(), "via", Expected::Absent),
        (route, "src", text("192.0.2.1")),
        (journey.clone(), "through", Expected::Through(vec!["ip_output".into()])),
        (journey.clone(), "spent/arp_queue", spent),
        (journey, "dropped", Expected::Absent),
    ];
    assert_eq!(found, wanted.map(|(source, key, expected)| (source, key.to_owned(), expected)));
}

#[test]
fn when_limits_a_check_to_rows() {
    let text = "about: A case.\nmatrix: {mtu: [576, 1500]}\nsteps:\n  - wait: 1s\n  \
                - check: {when: {mtu: 576}, netdev: {tx_packets: 0}}\n";
    let trials = load_files(&[("case.yaml", text)]).unwrap();
    assert_eq!(trials.iter().map(|trial| trial.steps.len()).collect::<Vec<_>>(), [2, 1]);
}

#[rstest]
#[case::a_number("IP_TOS, value: 0x10", OptionValue::Number(16))]
#[case::a_symbol("IP_MTU_DISCOVER, value: IP_PMTUDISC_DO", OptionValue::Symbol("IP_PMTUDISC_DO".into()))]
fn options_take_what_their_kind_is(#[case] text: &str, #[case] wanted: OptionValue) {
    let action = one(&format!(
        "  - socket: {{as: s, type: udp}}\n  - setsockopt: {{socket: s, level: IPPROTO_IP, name: {text}}}\n"
    ));
    let Action::Call(call) = action else { panic!("not a call") };
    let Syscall::Setsockopt { value, .. } = call.call else { panic!("not a setsockopt") };
    assert_eq!(value, wanted);
}

#[test]
fn a_command_that_must_fail_is_a_mapping() {
    let Action::Run(commands) = one(
        "  - run: [{command: ip link set dev eth0 mtu 20, error: \"mtu less than\"}, ethtool -K eth0 tx off]\n",
    ) else {
        panic!("not a command")
    };
    assert_eq!(commands[0].error.as_deref(), Some("mtu less than"));
    assert_eq!(commands[1].words, ["ethtool", "-K", "eth0", "tx", "off"]);
}

/// A grammar that knows nothing of `frobnicate`, and wants a word behind `mtu`.
fn picky(words: &[&str]) -> Result<(), CommandProblem> {
    let problem = |word_index, message: &str| CommandProblem {
        word_index,
        message: message.into(),
        expected: "link, route".into(),
    };
    if let Some(at) = words.iter().position(|word| *word == "frobnicate") {
        return Err(problem(at, "`ip` has no `frobnicate`"));
    }
    if words.last() == Some(&"mtu") { Err(problem(words.len(), "a number is missing")) } else { Ok(()) }
}

#[rstest]
#[case::a_word("\"ip frobnicate ${peer.ip}\"", "case.yaml:3:14]", "here can stand: link, route")]
#[case::a_word_behind_a_variable(
    "\"ip ${peer.ip} frobnicate\"",
    "case.yaml:3:25]",
    "`ip` has no `frobnicate`"
)]
#[case::a_word_that_is_missing("ip link mtu", "case.yaml:3:21]", "a number is missing")]
fn an_unsupported_word_is_pointed_at(#[case] command: &str, #[case] place: &str, #[case] words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.yaml");
    fs::write(&path, format!("about: A case.\nsteps:\n  - run: {command}\n")).unwrap();
    let said = load_with(std::slice::from_ref(&path), picky).unwrap_err().to_string();
    assert!(said.contains(place) && said.contains(words), "{said}");
    fs::write(&path, format!("about: A case.\nrigs: [linux]\nsteps:\n  - run: {command}\n")).unwrap();
    assert!(load_with(&[path], picky).is_ok(), "Linux's own tools know more");
}

#[test]
fn equal_patterns_are_one_piece_of_memory() {
    let steps = "  - repeat:\n      times: 10000\n      steps:\n        - expect: {payload: {pattern: zero, length: 1000000}}\n";
    let began = Instant::now();
    assert_eq!(actions(steps).len(), 10_000);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn two_files_cannot_be_the_same_case() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = ["a/udp", "b/udp"].iter().map(|name| folder.path().join(name)).collect();
    for path in &paths {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("x.yaml"), "about: A case.\nsteps:\n  - wait: 1s\n").unwrap();
    }
    assert!(load(&paths).unwrap_err().to_string().contains("are both the case `udp/x`"));
    assert_eq!(load(&[paths[0].clone(), paths[0].join("x.yaml")]).unwrap().len(), 1, "one file, named twice");
}

/// Whatever is cut out of a case: it is read or refused, and nothing panics.
#[test]
fn a_case_with_a_hole_in_it_is_read_or_refused() {
    const TEXT: &str =
        "about: &a A case.\nmatrix: {n: [1, {hex: \"00\"}]}\nrigs: [emu]\nfaults: [{x: {nth: 3}}]\nsteps:
  - run: [\"ip neigh ${peer.ip} \\\"x\\\"\", {command: nft \"a, error: é}]\n  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: \"${peer.ip}:7\", payload: \"${n}\", returns: 1, after: 1s, tolerance: 5%}
  - inject: {icmp: {type: 3, quotes: q}, ipv4: {options: 00}}\n  - order: {of: udp.dst_port, is: [1, *a]}
  - repeat: {times: 2, steps: [{wait: 1.5ms}]}\n  - check: {when: {n: 1}, neigh: {192.0.2.1: absent}}\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.yaml");
    let ends: Vec<_> = TEXT.char_indices().map(|(at, _)| at).collect();
    for window in ends.windows(4).step_by(2) {
        fs::write(&path, format!("{}{}", &TEXT[..window[0]], &TEXT[window[3]..])).unwrap();
        if let Err(problems) = load(std::slice::from_ref(&path)) {
            assert!(!problems.to_string().is_empty());
        }
    }
}
