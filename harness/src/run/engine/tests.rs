//! The engine on a rig that does what a script says.

use super::*;
use crate::case::model::{
    After, CallStep, CheckItem, Differs, Expect, Expected, Extent, Fragments, Interrupts, Location, Order,
    Outcome, Payload, RigKind, Source, SourceFile, Syscall, Tolerance,
};
use crate::frame::{FieldSpec, FrameSpec, Layer, Value, build, field};
use crate::rig::{CallId, CallResult, CommandResult, Finished, Journey, Reading, Readings, Returned};
use rstest::rstest;
use std::sync::Arc;

/// What a call gives, how long it takes, and the frames that it sends that long after its start.
type ScriptedCall = (CallResult, Nanos, Vec<(Nanos, Vec<u8>)>);

/// A rig of which a script says what comes when.
#[derive(Default)]
struct Scripted {
    now: Nanos,
    /// In the order of time.
    agenda: Vec<(Nanos, Event)>,
    /// The next calls.
    calls: VecDeque<ScriptedCall>,
    injected: Vec<Vec<u8>>,
    /// Time is real, and each wait that nothing ends is this much too long.
    oversleeps: Option<Nanos>,
    /// How long it takes to read a source.
    reads_for: Nanos,
    counter: i64,
}

impl Scripted {
    fn at(&mut self, at: Nanos, event: Event) {
        let place = self.agenda.partition_point(|(other, _)| *other <= at);
        self.agenda.insert(place, (at, event));
    }

    fn sends(mut self, at: Nanos, bytes: Vec<u8>) -> Self {
        self.at(at, Event::Frame(SeenFrame { at, late: 0, bytes, packet: None }));
        self
    }
}

impl Rig for Scripted {
    fn kind(&self) -> RigKind {
        RigKind::Emu
    }
    fn is_virtual(&self) -> bool {
        self.oversleeps.is_none()
    }
    fn now(&self) -> Nanos {
        self.now
    }
    fn start(&mut self, call: CallId, _cpu: Option<u32>, _syscall: &Syscall) -> Result<(), RigError> {
        let (result, takes, frames) =
            self.calls.pop_front().unwrap_or_else(|| (Ok(Returned::default()), 0, Vec::new()));
        for (delay, bytes) in frames {
            let at = self.now + delay;
            self.at(at, Event::Frame(SeenFrame { at, late: 0, bytes, packet: None }));
        }
        let at = self.now + takes;
        self.at(at, Event::Returned { call, at, result });
        Ok(())
    }
    fn command(&mut self, command: &Command) -> Result<CommandResult, RigError> {
        let refused = command.words[0] == "refused";
        Ok(CommandResult { status: i32::from(refused), output: "no such thing".to_owned() })
    }
    fn sysfs(&mut self, _path: &str, _value: &str) -> Result<CommandResult, RigError> {
        Ok(CommandResult::default())
    }
    fn inject(&mut self, frame: &[u8]) -> Result<(), RigError> {
        self.injected.push(frame.to_vec());
        self.counter += 1;
        Ok(())
    }
    fn set_link(&mut self, _up: bool) -> Result<(), RigError> {
        Ok(())
    }
    fn advance(&mut self, until: Nanos) -> Result<Option<Event>, RigError> {
        if self.agenda.first().is_some_and(|(at, _)| *at <= until) {
            let (at, event) = self.agenda.remove(0);
            self.now = self.now.max(at);
            return Ok(Some(event));
        }
        if self.now < until {
            self.now = until + self.oversleeps.unwrap_or(0);
        }
        Ok(None)
    }
    fn read(&mut self, _source: &Source) -> Result<Readings, RigError> {
        self.now += self.reads_for;
        Ok(Readings::from([("injected".to_owned(), Reading::Number(7 + self.counter))]))
    }
    fn journey(&mut self) -> Option<&Journey> {
        None
    }
    fn finish(&mut self) -> Finished {
        Finished::default()
    }
}

fn here() -> Location {
    let file = SourceFile { path: "cases/made.yaml".into(), text: String::new() };
    Location { file: Arc::new(file), line: 1, column: 1 }
}

fn step(action: Action) -> Step {
    Step { at: here(), name: None, action }
}

fn trial(actions: Vec<Action>) -> Trial {
    Trial {
        case: "made".to_owned(),
        row: Vec::new(),
        file: here().file,
        about: String::new(),
        covers: Vec::new(),
        refs: Vec::new(),
        rigs: None,
        automatic_arp: true,
        charged_as_igb: false,
        real_peer: None,
        differs: Vec::new(),
        faults: Vec::new(),
        interrupts: Interrupts::Msix,
        steps: actions.into_iter().map(step).collect(),
    }
}

fn spec(layer: Layer, fields: &[(Layer, &str, Value)], payload: &[u8]) -> FrameSpec {
    let field = |(layer, key, value): &(Layer, &str, Value)| FieldSpec {
        field: field::find(*layer, key).expect("the field is in the table"),
        value: value.clone(),
        at: here(),
    };
    FrameSpec {
        layers: vec![layer],
        fields: fields.iter().map(field).collect(),
        payload: (!payload.is_empty()).then(|| Payload(payload.into())),
        quotes: None,
        tcp: None,
    }
}

/// A datagram to this port: as a recipe and as a pattern.
fn udp(port: u64, payload: &[u8]) -> FrameSpec {
    let ports =
        [(Layer::Udp, "src_port", Value::Number(4000)), (Layer::Udp, "dst_port", Value::Number(port))];
    spec(Layer::Udp, &ports, payload)
}

fn frame_to(port: u64) -> Vec<u8> {
    build(&udp(port, b"hello"), None).expect("the recipe is whole")
}

fn expected(port: u64) -> Expect {
    Expect { at: here(), name: None, pattern: udp(port, b"hello"), within: None, after: None }
}

fn expect(port: u64) -> Action {
    Action::Expect(expected(port))
}

fn call(outcome: Outcome, background: Option<&str>) -> Action {
    let call = Syscall::Close { socket: "s".to_owned() };
    Action::Call(CallStep { call, cpu: None, background: background.map(str::to_owned), outcome })
}

const MS: Nanos = 1_000_000;

fn run(rig: &mut Scripted, trial: &Trial) -> Result<(), String> {
    let mut record = Record::default();
    let cancelled = AtomicBool::new(false);
    let result = Engine::new(rig, trial, &mut record, &Unread::default(), &|_| 0, &cancelled).run();
    result.map_err(|stop| match stop {
        Stop::Failed(failure) => failure.message,
        other => format!("{other:?}"),
    })
}

fn passes(rig: &mut Scripted, trial: &Trial) {
    assert_eq!(run(rig, trial), Ok(()));
}

fn fails(rig: &mut Scripted, trial: &Trial, with: &str) {
    let why = run(rig, trial).expect_err("it must fail");
    assert!(why.contains(with), "{why:?} does not contain {with:?}");
}

#[test]
fn a_frame_that_comes_within_a_second_is_the_one_expected() {
    passes(&mut Scripted::default().sends(999 * MS, frame_to(7)), &trial(vec![expect(7)]));
}

#[test]
fn a_frame_that_comes_after_a_second_is_too_late() {
    fails(&mut Scripted::default().sends(1001 * MS, frame_to(7)), &trial(vec![expect(7)]), "no frame came");
}

#[test]
fn the_first_frame_that_does_not_match_fails_even_if_the_next_would() {
    let mut rig = Scripted::default().sends(MS, frame_to(8)).sends(2 * MS, frame_to(7));
    fails(&mut rig, &trial(vec![expect(7)]), "another frame");
}

#[test]
fn frames_that_came_before_their_step_are_still_there_for_it() {
    let mut rig = Scripted::default().sends(MS, frame_to(7)).sends(2 * MS, frame_to(8));
    passes(&mut rig, &trial(vec![Action::Wait(Duration::from_millis(5)), expect(7), expect(8)]));
}

#[test]
fn a_frame_that_no_step_explains_fails_the_case_at_its_end() {
    let mut rig = Scripted::default().sends(MS, frame_to(7));
    fails(&mut rig, &trial(vec![Action::Wait(Duration::from_millis(5))]), "no step explains");
}

#[test]
fn what_follows_the_last_step_is_outside_of_the_case() {
    let mut rig = Scripted::default().sends(MS, frame_to(7)).sends(2 * MS, frame_to(8));
    passes(&mut rig, &trial(vec![expect(7)]));
}

#[rstest]
#[case::in_the_order_given([7, 8])]
#[case::the_other_way_round([8, 7])]
fn any_order_takes_its_frames_as_they_come(#[case] ports: [u64; 2]) {
    let mut rig = Scripted::default().sends(MS, frame_to(ports[0])).sends(2 * MS, frame_to(ports[1]));
    passes(&mut rig, &trial(vec![Action::AnyOrder(vec![expected(7), expected(8)])]));
}

#[test]
fn any_order_takes_no_frame_that_it_does_not_name() {
    let mut rig = Scripted::default().sends(MS, frame_to(7)).sends(2 * MS, frame_to(9));
    fails(&mut rig, &trial(vec![Action::AnyOrder(vec![expected(7), expected(8)])]), "none of those");
}

#[rstest]
#[case::as_it_should_be(&[7, 8, 7], true)]
#[case::another_order(&[7, 7, 8], false)]
fn order_looks_at_one_field_of_the_next_frames(#[case] ports: &[u64], #[case] holds: bool) {
    let mut rig = Scripted::default();
    for (at, port) in ports.iter().enumerate() {
        rig = rig.sends(at as Nanos, frame_to(*port));
    }
    let is = [7, 8, 7].map(Value::Number).to_vec();
    let of = field::find(Layer::Udp, "dst_port").expect("the field is in the table");
    let trial = trial(vec![Action::Order(Order { of, is, relative: false, within: None })]);
    assert_eq!(run(&mut rig, &trial).is_ok(), holds);
}

#[test]
fn a_datagram_that_fits_is_one_fragment() {
    let mut rig = Scripted::default().sends(MS, frame_to(7));
    let mut pattern = udp(7, b"");
    pattern.payload = None;
    let fragments =
        Fragments { mtu: 1500, pattern, payload: Payload(b"hello".as_slice().into()), within: None };
    passes(&mut rig, &trial(vec![Action::Fragments(fragments)]));
}

#[test]
fn quiet_holds_when_nothing_is_pending_and_nothing_comes() {
    passes(
        &mut Scripted::default().sends(11 * MS, frame_to(7)),
        &trial(vec![Action::Quiet(Duration::from_millis(10))]),
    );
}

#[rstest]
#[case::while_it_lasts(vec![Action::Quiet(Duration::from_millis(10))])]
#[case::before_it_began(vec![Action::Wait(Duration::from_millis(10)), Action::Quiet(Duration::ZERO)])]
fn quiet_is_broken_by_a_frame(#[case] actions: Vec<Action>) {
    fails(&mut Scripted::default().sends(9 * MS, frame_to(7)), &trial(actions), "quiet");
}

#[rstest]
#[case::exactly(1000, true)]
#[case::a_millisecond_late(1001, true)]
#[case::two_milliseconds_late(1002, false)]
#[case::two_milliseconds_early(998, false)]
fn a_frame_is_placed_after_a_named_step(#[case] gap_ms: u64, #[case] holds: bool) {
    let mut rig = Scripted::default().sends(MS, frame_to(7)).sends((1 + gap_ms) * MS, frame_to(8));
    let first = Expect { name: Some("first".to_owned()), ..expected(7) };
    let delay = Duration::from_secs(1);
    let after = After { step: "first".to_owned(), delay, tolerance: Tolerance::Default };
    let second = Expect { after: Some(after), ..expected(8) };
    let trial = trial(vec![Action::Expect(first), Action::Expect(second)]);
    assert_eq!(run(&mut rig, &trial).is_ok(), holds);
}

fn arp_request(target: [u8; 4]) -> Vec<u8> {
    use crate::case::model::topology::{SUT_IP, SUT_MAC};
    let fields = [
        (Layer::Eth, "src", Value::Mac(SUT_MAC)),
        (Layer::Eth, "dst", Value::Mac([0xff; 6])),
        (Layer::Arp, "op", Value::Number(1)),
        (Layer::Arp, "sha", Value::Mac(SUT_MAC)),
        (Layer::Arp, "spa", Value::Ipv4(SUT_IP)),
        (Layer::Arp, "tha", Value::Mac([0; 6])),
        (Layer::Arp, "tpa", Value::Ipv4(target.into())),
    ];
    build(&spec(Layer::Arp, &fields, b""), None).expect("the recipe is whole")
}

#[test]
fn the_automatic_peer_answers_and_that_is_outside_of_the_closed_world() {
    let mut rig = Scripted::default().sends(MS, arp_request([192, 0, 2, 2])).sends(2 * MS, frame_to(7));
    passes(&mut rig, &trial(vec![expect(7)]));
    assert_eq!(rig.injected.len(), 1);
}

#[test]
fn a_request_for_an_address_that_nobody_has_is_a_frame_that_no_step_explains() {
    let mut rig = Scripted::default().sends(MS, arp_request([192, 0, 2, 77]));
    fails(&mut rig, &trial(vec![Action::Wait(Duration::from_millis(5))]), "no step explains");
}

#[test]
fn a_case_that_speaks_of_arp_answers_for_itself() {
    let mut rig = Scripted::default().sends(MS, arp_request([192, 0, 2, 2]));
    let request = [(Layer::Arp, "op", Value::Number(1))];
    let expect = Expect { pattern: spec(Layer::Arp, &request, b""), ..expected(7) };
    passes(&mut rig, &trial(vec![Action::Expect(expect)]));
    assert_eq!(rig.injected.len(), 0);
}

#[rstest]
#[case::when_it_returns_in_time(4_900, true)]
#[case::but_not_longer_than_five_seconds(5_100, false)]
fn a_call_blocks(#[case] takes_ms: u64, #[case] holds: bool) {
    let mut rig = Scripted::default();
    rig.calls.push_back((Ok(Returned::default()), takes_ms * MS, Vec::new()));
    assert_eq!(run(&mut rig, &trial(vec![call(Outcome::default(), None)])).is_ok(), holds);
}

#[test]
fn a_call_in_the_background_overlaps_with_frames_until_it_is_joined() {
    let mut rig = Scripted::default();
    rig.calls.push_back((Ok(Returned { value: 3, ..Returned::default() }), 40 * MS, vec![(MS, frame_to(7))]));
    let three = Outcome {
        returns: Some(3),
        after: Some((Duration::from_millis(40), Tolerance::Default)),
        ..Outcome::default()
    };
    let join = crate::case::model::Join { call: "reader".to_owned(), outcome: three };
    passes(&mut rig, &trial(vec![call(Outcome::default(), Some("reader")), expect(7), Action::Join(join)]));
}

#[test]
fn a_call_that_gives_something_else_fails_the_case() {
    let mut rig = Scripted::default();
    rig.calls.push_back((Err("EPERM".to_owned()), 0, Vec::new()));
    fails(
        &mut rig,
        &trial(vec![call(Outcome::default(), None)]),
        "close: expected it to succeed, got error EPERM",
    );
}

fn command(word: &str, error: Option<&str>) -> Action {
    let words = vec![word.to_owned()];
    Action::Run(vec![Command { words, error: error.map(str::to_owned), output: Vec::new(), at: here() }])
}

#[rstest]
#[case::in_their_order(&["RX: 4096", "TX: 256"], true)]
#[case::white_space_is_as_one(&["RX:\t\t4096"], true)]
#[case::the_other_order(&["TX: 256", "RX: 4096"], false)]
#[case::a_part_of_a_line(&["409"], false)]
#[case::a_line_that_is_there_once(&["TX: 256", "TX: 256"], false)]
fn what_a_command_prints_must_hold_the_lines(#[case] lines: &[&str], #[case] holds: bool) {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let missing = missing_line("Ring parameters:\nRX:\t\t4096\nTX:  256\n", &lines);
    assert_eq!(missing.is_none(), holds);
}

#[rstest]
#[case::a_command_that_succeeds("fine", None, true)]
#[case::a_command_that_fails("refused", None, false)]
#[case::a_command_that_must_fail_and_does("refused", Some("no such thing"), true)]
#[case::a_command_that_fails_with_another_message("refused", Some("permission"), false)]
#[case::a_command_that_must_fail_and_does_not("fine", Some("no such thing"), false)]
fn a_command_must_end_as_the_case_says(#[case] word: &str, #[case] error: Option<&str>, #[case] holds: bool) {
    assert_eq!(run(&mut Scripted::default(), &trial(vec![command(word, error)])).is_ok(), holds);
}

fn counter_is(value: i64) -> Check {
    let item = CheckItem {
        at: here(),
        source: Source::Netdev,
        key: "injected".to_owned(),
        expected: Expected::Number(value),
    };
    Check { rigs: None, items: vec![item] }
}

#[rstest]
#[case::the_difference(1, true)]
#[case::not_the_value_itself(8, false)]
fn a_counter_is_the_difference_since_the_first_step(#[case] value: i64, #[case] holds: bool) {
    let inject = Action::Inject(Inject { frame: udp(7, b"x"), has_wrong_fcs: false, cut_to: usize::MAX });
    let trial = trial(vec![inject, Action::Check(counter_is(value))]);
    assert_eq!(run(&mut Scripted::default(), &trial).is_ok(), holds);
}

mod late;
mod listed;

#[test]
fn a_run_that_is_stopped_stops_at_the_next_step() {
    let trial = trial(vec![expect(7)]);
    let (mut rig, mut record, cancelled) = (Scripted::default(), Record::default(), AtomicBool::new(true));
    assert!(matches!(
        Engine::new(&mut rig, &trial, &mut record, &Unread::default(), &|_| 0, &cancelled).run(),
        Err(Stop::Cancelled)
    ));
}
