//! The description of a lab: which port is under test, and which is at the other end of its cable.

use crate::case::Problems;
use crate::case::files::Files;
use crate::case::model::{Action, Trial};
use crate::case::problem::Problem;
use crate::case::reader::{Read, Reader};
use crate::case::shape::{Form, Key};
use crate::case::yaml::Node;
use crate::rig::vfio::binding::Address;
use crate::rig::vfio::device::Interrupts;
use std::path::Path;

/// What a port may be although it looks like one that the machine needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// It carries a default route.
    DefaultRoute,
    /// It has an address.
    Address,
    /// The session that started this runs over it.
    Session,
}

impl Allowed {
    /// The word of the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::DefaultRoute => "default_route",
            Self::Address => "address",
            Self::Session => "session",
        }
    }
}

/// The words of `allow:`.
const ALLOW: [Allowed; 3] = [Allowed::DefaultRoute, Allowed::Address, Allowed::Session];

const fn key(name: &'static str, form: Form, required: bool, about: &'static str) -> Key {
    Key { name, form, required, about }
}

const KEYS: &[Key] = &[
    key(
        "port",
        Form::Name,
        true,
        "The interface under test, as `ip link` shows it; for vfio, its PCI address does as well.",
    ),
    key("wire", Form::Name, true, "The name of the interface at the other end of its cable."),
    key(
        "cable",
        Form::OneOf(&["plain", "fixed"]),
        false,
        "`fixed`: pulled at the wire's end, the port does not see it.",
    ),
    key(
        "interrupts",
        Form::OneOf(&["msix", "intx"]),
        false,
        "For vfio: how the port tells of something; msix unless told.",
    ),
    key(
        "speed",
        Form::Number(1, SPEED_MAX),
        false,
        "How fast the link is to be, in Mbit/s: `1000`. Another one is an error; without the key any will do.",
    ),
    key(
        "sabotage",
        Form::OneOf(SABOTAGE),
        false,
        "For vfio, to see that it is seen: `memory` is taken from under the device; `panic` ends each trial so.",
    ),
    key("allow", Form::SomeOf(&["default_route", "address", "session"]), false, "What a port may be."),
];

/// The words of `sabotage:`.
const SABOTAGE: &[&str] = &["memory", "panic"];

/// What is done to a trial on purpose where our driver has the port, once it is up: it must fail, say why, and leave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Its memory is taken from under the device.
    Memory,
    /// The thread that runs it panics.
    Panic,
}

/// The help for what is no file that can be read.
const READABLE: &str = "a lab file is a file of text that you may read";

/// The largest speed of a link that a file can ask for, in Mbit/s.
const SPEED_MAX: i64 = 1_600_000;

/// A lab, as its file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabFile {
    /// The interface under test, or its PCI address.
    pub port: String,
    /// The interface at the other end of the cable.
    pub wire: String,
    /// Something stands between the two, and the port under test keeps its link when the other end goes down.
    pub fixed: bool,
    /// How the port under test tells of something, where our driver has it.
    pub interrupts: Interrupts,
    /// How fast the link must be, in Mbit/s; `None`: any.
    pub speed: Option<u32>,
    /// What is done to each trial.
    pub sabotage: Option<Sabotage>,
    /// What either may be.
    pub allow: Vec<Allowed>,
}

impl LabFile {
    /// Reads and checks a file; the ports are not looked at.
    ///
    /// # Errors
    /// All that is wrong with it, each where it stands, with what would be right.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let mut reader = Reader::default();
        match Files::default().read(path, None) {
            Ok((_, tree)) => {
                if let Ok(lab) = lab(&mut reader, &tree) {
                    return Ok(lab);
                }
            }
            Err(problems) => {
                let is_empty = std::fs::read_to_string(path).is_ok_and(|text| text.trim().is_empty());
                for problem in problems {
                    // What reads cases speaks of them.
                    let help =
                        if is_empty { "a lab file has at least `port:` and `wire:`" } else { READABLE };
                    let is_of_a_lab = is_empty || path.is_dir();
                    reader.problems.push(if is_of_a_lab { problem.help(help) } else { problem });
                }
            }
        }
        Err(reader.problems)
    }
}

fn lab(r: &mut Reader, tree: &Node) -> Read<LabFile> {
    let fields = r.fields(tree, "a lab", &[KEYS])?;
    let (port, wire) = (r.need(&fields, "port")?, r.need(&fields, "wire")?);
    let allow = match fields.get("allow") {
        None => Ok(Vec::new()),
        Some(list) => r.some_of(list, &ALLOW.map(Allowed::word)),
    };
    let cable = fields.get("cable").map_or(Ok("plain"), |node| r.one_of(node, &["plain", "fixed"]));
    let interrupts = fields.get("interrupts").map_or(Ok("msix"), |node| r.one_of(node, &["msix", "intx"]));
    let sabotage = fields.get("sabotage").map(|node| r.one_of(node, SABOTAGE));
    let speed = fields.get("speed").map(|node| r.number(node, 1, SPEED_MAX));
    let port_name = match r.word(port) {
        Ok(text) if Address::parse(text).is_some() => Ok(text.to_owned()),
        _ => interface(r, port),
    };
    let wire_name = interface(r, wire);
    let (port_name, wire_name, allow, fixed) = (port_name?, wire_name?, allow?, cable? == "fixed");
    if port_name == wire_name {
        let problem = Problem::at(&wire.span, format!("`{wire_name}` is the port under test"))
            .label("the same interface")
            .help("name the interface at the other end of the cable");
        return Err(r.report(problem));
    }
    let interrupts = if interrupts? == "intx" { Interrupts::Intx } else { Interrupts::Msix };
    let sabotage =
        sabotage.transpose()?.map(|word| if word == "panic" { Sabotage::Panic } else { Sabotage::Memory });
    let speed = speed.transpose()?.and_then(|speed| u32::try_from(speed).ok());
    let allow = ALLOW.into_iter().filter(|may| allow.contains(&may.word())).collect();
    Ok(LabFile { port: port_name, wire: wire_name, fixed, interrupts, speed, sabotage, allow })
}

/// Why a trial cannot run where the cable is fixed; `None`: it can.
#[must_use]
pub fn pulls_a_fixed_cable(fixed: bool, trial: &Trial) -> Option<String> {
    let pulls = fixed && trial.steps.iter().any(|step| matches!(step.action, Action::Link(_)));
    pulls.then(|| "the case pulls the cable, which is fixed in this lab".to_owned())
}

/// A name that Linux takes for an interface (`dev_valid_name`).
fn interface(r: &mut Reader, node: &Node) -> Read<String> {
    let name = r.word(node)?;
    let wrong = match name {
        _ if name.len() > 15 => "it has more than 15 bytes",
        "." | ".." => "it is a folder",
        _ if name.starts_with('-') => "programs take a `-` in front for an option",
        _ if name.contains(['/', ':', '%']) => "it has a `/`, `:` or `%` in it",
        "lo" => "the loopback has no cable",
        _ => return Ok(name.to_owned()),
    };
    let problem = Problem::at(&node.span, format!("`{name}` is no name of a port: {wrong}"))
        .label("not a port")
        .help("write a name as `ip link` shows it, such as `enp3s0`");
    Err(r.report(problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn the_example_is_right() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/lab.example.yaml");
        let lab = LabFile::read(&path).expect("it is right");
        let plain = (false, Interrupts::Msix, None);
        assert_eq!((lab.fixed, lab.interrupts, lab.sabotage), plain);
        assert_eq!(lab.speed, Some(1000));
        let (port, wire) = ("enp3s0f0".to_owned(), "enp3s0f1".to_owned());
        assert_eq!((lab.port, lab.wire, lab.allow), (port, wire, Vec::new()));
    }

    #[rstest]
    #[case::nothing("", "lab")]
    #[case::a_list("- port: p0\n- wire: p1\n", "lab")]
    #[case::no_yaml("port: [p0\nwire: p1\n", "this is not YAML")]
    #[case::no_wire("port: p0\n", "lacks `wire:`")]
    #[case::no_port("wire: p1\n", "lacks `port:`")]
    #[case::an_unknown_key("port: p0\nwire: p1\ncabel: fixed\n", "no key `cabel`")]
    #[case::a_key_twice("port: p0\nport: p2\nwire: p1\n", "the key `port` stands twice")]
    #[case::one_port_twice("port: p0\nwire: p0\n", "is the port under test")]
    #[case::the_loopback("port: lo\nwire: p1\n", "the loopback has no cable")]
    #[case::a_path("port: ../p0\nwire: p1\n", "it has a `/`")]
    #[case::a_folder("port: p0\nwire: ..\n", "it is a folder")]
    #[case::a_long_name("port: p0\nwire: p123456789012345\n", "more than 15 bytes")]
    #[case::an_option("port: p0\nwire: \"-all\"\n", "a `-` in front")]
    #[case::two_words("port: p0 p1\nwire: p1\n", "expected a name")]
    #[case::no_text("port: {name: p0}\nwire: p1\n", "expected a name, found a mapping")]
    #[case::a_wire_by_its_address("port: p0\nwire: \"0000:03:00.0\"\n", "it has a `/`, `:`")]
    #[case::no_such_function("port: \"0000:03:00.9\"\nwire: p1\n", "it has a `/`, `:`")]
    #[case::another_cable("port: p0\nwire: p1\ncable: long\n", "there are: plain, fixed")]
    #[case::other_interrupts("port: p0\nwire: p1\ninterrupts: msi\n", "`msix`")]
    #[case::allowed_what(
        "port: p0\nwire: p1\nallow: [everything]\n",
        "there are: default_route, address, session"
    )]
    #[case::speed_in_words("port: p0\nwire: p1\nspeed: 1G\n", "whole number")]
    #[case::speed_of_nothing("port: p0\nwire: p1\nspeed: 0\n", "out of range")]
    #[case::speed_in_bits("port: p0\nwire: p1\nspeed: 1000000000\n", "out of range")]
    fn a_file_that_is_wrong_is_refused_where_it_is(#[case] text: &str, #[case] words: &str) {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("lab.yaml");
        std::fs::write(&path, text).expect("a file");
        let told = LabFile::read(&path).expect_err("it is wrong").to_string();
        assert!(told.contains(words) && told.contains("lab.yaml"), "{told}");
    }

    #[test]
    fn the_help_is_about_a_lab_file() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("lab.yaml");
        std::fs::write(&path, "").expect("a file");
        let told = |path| LabFile::read(path).expect_err("it is wrong").to_string();
        assert!(told(&path).contains("a lab file has at least `port:` and `wire:`"), "{}", told(&path));
        assert!(told(folder.path()).contains("a lab file is a file of text"), "{}", told(folder.path()));
    }

    #[test]
    fn what_is_allowed_is_read() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("lab.yaml");
        std::fs::write(&path, "port: 03:00.1\nwire: p1\ncable: fixed\ninterrupts: intx\nsabotage: memory\nallow: [session, address]\n")
            .expect("a file");
        let lab = LabFile::read(&path).expect("it is right");
        assert_eq!(lab.speed, None);
        let asked = (true, Interrupts::Intx, Some(Sabotage::Memory));
        assert_eq!((lab.fixed, lab.interrupts, lab.sabotage), asked);
        assert_eq!(lab.port, "03:00.1");
        assert_eq!(lab.allow, [Allowed::Address, Allowed::Session]);
    }
}
