//! What a case asks the emulated NIC to do wrong.

use super::model::{Action, Command, Fault, Interrupts, Step};
use super::problem::{Problem, nearest};
use super::reader::{Read, Reader};
use super::shape::{Form, Key, key, must};
use super::yaml::{Kind, Node};
use stack_under_test::control::ethtool::EthtoolCommand;
use stack_under_test::control::{self, Command as Parsed};

const TIME: Form = Form::Number(0, i64::MAX);
const VECTOR: Key = must(
    "vector",
    Form::Number(0, 24),
    "The MSI-X vector: 0 for the link, n for queue pair n - 1; without MSI-X 0 alone.",
);
const QUEUE: Key =
    must("queue", Form::Number(0, 7), "The transmit queue, one of those that the driver can have.");
const RX_QUEUE: Key =
    must("queue", Form::Number(0, 7), "The receive queue, one of those that the driver can have.");
const AT: Key = must("at_ns", TIME, "When, in nanoseconds after the first step.");
const BY: Key = must("by_ns", TIME, "How much later, in nanoseconds.");
const FOR: Key = must("for_ns", TIME, "For how long, in nanoseconds.");
const REGISTER: Key =
    must("register", Form::Name, "The datasheet's name of a register: `STATUS`, or of an array `RDH(1)`.");
const NTH: Key = key("nth", Form::Number(1, u32::MAX as i64), "Which one since the first step, from 1 on.");
const PER_MILLE: Key = key("per_mille", Form::Number(0, 1000), "How many of thousand, in place of `nth`.");
const SEED: Key = key("seed", Form::Number(0, i64::MAX), "Which of them `per_mille` strikes.");

/// An entry of `faults:`; it has one of these keys.
pub const FAULT: &[Key] = &[
    key("lost_interrupt", Form::Keys(&[&[VECTOR, NTH, PER_MILLE, SEED]]), "A message never reaches the CPU."),
    key("spurious_interrupt", Form::Keys(&[&[VECTOR, AT]]), "A message without a cause."),
    key("late_write_back", Form::Keys(&[&[QUEUE, BY, NTH, PER_MILLE, SEED]]), "A completion comes late."),
    key(
        "lost_write_back",
        Form::Keys(&[&[QUEUE, NTH, PER_MILLE, SEED]]),
        "A completion never comes: DD stays clear, though the interrupt comes.",
    ),
    key(
        "descriptor_fetch_error",
        Form::Keys(&[&[QUEUE, NTH, PER_MILLE, SEED]]),
        "A fetch of transmit descriptors fails, and the queue stands still until it is reset.",
    ),
    key(
        "refused_dma",
        Form::Keys(&[&[QUEUE, NTH, PER_MILLE, SEED]]),
        "The machine refuses a read of packet data: the frame is lost.",
    ),
    key(
        "late_receive_write_back",
        Form::Keys(&[&[RX_QUEUE, BY, NTH, PER_MILLE, SEED]]),
        "The descriptor of a received frame is written back late.",
    ),
    key(
        "lost_receive_write_back",
        Form::Keys(&[&[RX_QUEUE, NTH, PER_MILLE, SEED]]),
        "The descriptor of a received frame is never written back, though `RDH` moves and the interrupt comes.",
    ),
    key(
        "receive_descriptor_fetch_error",
        Form::Keys(&[&[RX_QUEUE, NTH, PER_MILLE, SEED]]),
        "A fetch of free receive descriptors fails: frames stay in the NIC until it is reset.",
    ),
    key(
        "refused_receive_dma",
        Form::Keys(&[&[RX_QUEUE, NTH, PER_MILLE, SEED]]),
        "The machine refuses a write of a received frame, and the NIC does not learn of it: the buffer is as it was.",
    ),
    key("link_flap", Form::Keys(&[&[AT, FOR]]), "The cable is pulled and put back; autonegotiation follows."),
    key(
        "corrupted_received_frame",
        Form::Keys(&[&[NTH, PER_MILLE, SEED]]),
        "A frame to the NIC arrives with a wrong FCS.",
    ),
    key("lost_received_frame", Form::Keys(&[&[NTH, PER_MILLE, SEED]]), "A frame to the NIC does not arrive."),
    key(
        "corrupted_sent_frame",
        Form::Keys(&[&[NTH, PER_MILLE, SEED]]),
        "A frame leaves the NIC damaged: nobody takes it.",
    ),
    key(
        "lost_sent_frame",
        Form::Keys(&[&[NTH, PER_MILLE, SEED]]),
        "A frame that the NIC sent is not on the wire.",
    ),
    key("removal", Form::Keys(&[&[AT]]), "The card is pulled out: its registers read all ones."),
    key(
        "all_ones",
        Form::Keys(&[&[REGISTER, AT, FOR]]),
        "One register reads all ones for a time; the card is there, and its other registers are as ever.",
    ),
    key("slow_reset", Form::Keys(&[&[BY, NTH, PER_MILLE, SEED]]), "A reset of the device takes longer."),
];

/// Reads `faults:`.
pub fn faults(r: &mut Reader, node: &Node) -> Read<Vec<Fault>> {
    let mut faults = Vec::new();
    for item in r.list(node, "`[{lost_interrupt: {vector: 1, nth: 3}}]`")? {
        let Kind::Map(entries) = &item.kind else {
            return r.wrong(item, "one fault", "`{lost_interrupt: {vector: 1, nth: 3}}`");
        };
        r.fields(item, "faults", &[FAULT])?;
        let [(kind, arguments)] = &entries[..] else {
            return r.wrong(item, "one fault", "each fault is an entry of the list");
        };
        faults.push(fault(r, kind, arguments)?);
    }
    Ok(faults)
}

fn fault(r: &mut Reader, kind: &Node, arguments: &Node) -> Read<Fault> {
    let name = r.word(kind)?;
    let shape = FAULT.iter().find(|key| key.name == name).map(|key| key.form);
    let keys = if let Some(Form::Keys(keys)) = shape { keys } else { &[] };
    let fields = r.fields(arguments, name, keys)?;
    let mut numbers = std::collections::BTreeMap::new();
    for key in keys.iter().copied().flatten() {
        let given = if key.required { Some(r.need(&fields, key.name)?) } else { fields.get(key.name) };
        if let (Some(node), Form::Number(least, most)) = (given, key.form) {
            numbers.insert(key.name.to_owned(), r.number(node, least, most)?.unsigned_abs());
        } else if let (Some(node), Form::Name) = (given, key.form) {
            numbers.insert(key.name.to_owned(), register(r, node)?);
        }
    }
    let counts = keys.iter().copied().flatten().any(|key| key.name == "nth");
    if counts && numbers.contains_key("nth") == numbers.contains_key("per_mille") {
        let problem = Problem::at(&arguments.span, format!("`{name}` needs either `nth` or `per_mille`"))
            .label("which ones is not clear")
            .help("`nth: 3` is the third since the first step, `per_mille: 20, seed: 1` are some of them");
        return Err(r.report(problem));
    }
    Ok(Fault { kind: name.to_owned(), arguments: numbers, at: kind.span.location() })
}

/// Refuses faults of vectors and queues that this trial can never have: without MSI-X there is one interrupt and one queue pair, with it
/// a vector for the link and one for each pair, of which there is one until `ethtool -L` makes more.
pub fn within_reach(r: &mut Reader, node: &Node, interrupts: Interrupts, steps: &[Step]) -> Read<()> {
    let pairs = if interrupts == Interrupts::Msix { queue_pairs(steps) } else { 1 };
    let Kind::Map(fields) = &node.kind else { return Ok(()) };
    let [(_, arguments)] = &fields[..] else { return Ok(()) };
    let Kind::Map(arguments) = &arguments.kind else { return Ok(()) };
    for (key, value) in arguments {
        let (what, most) = match key.text() {
            Some("vector") if interrupts == Interrupts::Msix => ("vector", pairs),
            Some("vector") => ("vector", 0),
            Some("queue") => ("queue", pairs - 1),
            _ => continue,
        };
        let number = r.number(value, 0, i64::MAX)?;
        if number <= i64::from(most) {
            continue;
        }
        let label =
            if most == 0 { format!("there is {what} 0 alone") } else { format!("the last is {most}") };
        let help = match interrupts {
            Interrupts::Msix => {
                "with MSI-X there is vector 0 for the link and vector n for queue pair n - 1, and one pair until                                  `ethtool -L eth0 combined 2` or more, up to 8, is run"
            }
            Interrupts::Msi | Interrupts::Intx => {
                "with `interrupts: msi` or `intx` one interrupt tells of all, and there is one queue pair"
            }
        };
        let problem =
            Problem::at(&value.span, format!("the driver never has a {what} {number} in this trial"));
        return Err(r.report(problem.label(label).help(help)));
    }
    Ok(())
}

/// The most queue pairs that the commands of a trial ask for.
fn queue_pairs(steps: &[Step]) -> u32 {
    let commands = steps.iter().filter_map(|step| match &step.action {
        Action::Run(commands) => Some(commands),
        _ => None,
    });
    let asked = |command: &Command| {
        let words: Vec<_> = command.words.iter().map(String::as_str).collect();
        match control::parse(&words) {
            Ok(Parsed::Ethtool(EthtoolCommand::Channels { combined, .. })) => combined,
            _ => None,
        }
    };
    commands.flatten().filter_map(asked).max().unwrap_or(1).max(1)
}

/// The offset of a register, by its name.
fn register(r: &mut Reader, node: &Node) -> Read<u64> {
    let name = r.word(node)?;
    if let Some(offset) = nic_emu::register_offset(name) {
        return Ok(offset.into());
    }
    let names: Vec<_> = nic_emu::registers().map(|register| register.name).collect();
    let near = nearest(name, names.iter().copied());
    let help = near.map_or("the datasheet's name: `STATUS`, `RDH(1)`".to_owned(), |near| {
        format!("did you mean `{near}`?")
    });
    let problem = Problem::at(&node.span, format!("the 82576 has no register `{name}`"));
    Err(r.report(problem.label("unknown").help(help)))
}
