//! What the linux rig needs, what of it is here, and how to get the rest.

use super::capability;
use super::command;
use super::lab::{self, file::LabFile, ports, proof};
use super::pins;
use super::rights;
use super::schedule;
use super::wire::WireKind;

/// Something that the rig needs, or that some cases need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub what: String,
    /// Whether it is here, as it must be.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// The command or setting that gets it.
    pub remedy: Option<String>,
}

impl Finding {
    /// Whether it is about the ports of a lab: then no trial can run there without.
    #[must_use]
    pub fn is_of_a_lab(&self) -> bool {
        [proof::PORTS, proof::CABLE, proof::SPEED].contains(&self.what.as_str())
    }
}

/// The qdiscs that cases may want: name, and the option that builds it.
const QDISCS: [(&str, &str); 8] = [
    ("pfifo_fast", "NET_SCHED"),
    ("tbf", "NET_SCH_TBF"),
    ("prio", "NET_SCH_PRIO"),
    ("fq", "NET_SCH_FQ"),
    ("fq_codel", "NET_SCH_FQ_CODEL"),
    ("htb", "NET_SCH_HTB"),
    ("netem", "NET_SCH_NETEM"),
    ("mqprio", "NET_SCH_MQPRIO"),
];

/// Looks for everything, and tries the cable where a lab is given. It makes namespaces, and none is left.
#[must_use]
pub fn doctor(lab: Option<&LabFile>) -> Vec<Finding> {
    let mut findings = vec![kernel(), rights(), tun(), wire(), scheduling()];
    findings.extend(["ip", "tc", "nft", "ethtool", "sysctl"].map(tool));
    findings.push(protocols());
    let can_try = capability::wire(WireKind::Auto).is_ok() && command::find("tc").is_some();
    if can_try {
        findings.extend(QDISCS.map(|(kind, option)| qdisc(kind, option)));
    }
    findings.extend(pins::all().filter(|pin| pin.of_the_machine).map(|pin| machine_setting(&pin)));
    findings.extend(left_by_runs());
    if let Some(file) = lab {
        findings.extend(of_a_lab(file));
    }
    findings
}

/// Ports that runs on a lab could not put back, as they were killed, and those that a run has now.
#[must_use]
pub fn left_by_runs() -> Vec<Finding> {
    let left = lab::left().into_iter().map(|detail| Finding {
        what: "the ports of a lab".to_owned(),
        ok: false,
        detail,
        remedy: Some("sudo wireproof doctor --repair".to_owned()),
    });
    let in_use = lab::in_use().into_iter().map(|detail| Finding {
        what: "the ports of a lab".to_owned(),
        ok: true,
        detail,
        remedy: None,
    });
    left.chain(in_use).collect()
}

/// The two ports that a file names.
fn of_a_lab(file: &LabFile) -> Vec<Finding> {
    let found = ports::survey(&[&file.port, &file.wire], &file.allow);
    let what = proof::PORTS.to_owned();
    match found {
        Ok(_) => {
            let may = Finding { what, ok: true, detail: "may be taken".to_owned(), remedy: None };
            [vec![may], proof::findings(file, "linux")].concat()
        }
        Err(detail) => {
            let remedy = Some("what the line above says; `ip link` lists what there is".to_owned());
            vec![Finding { what, ok: false, detail, remedy }]
        }
    }
}

/// iproute2 looks names of protocols up where the C library does; the smallest systems do not have the file.
fn protocols() -> Finding {
    let ok = std::path::Path::new("/etc/protocols").exists();
    let detail = if ok { "is there" } else { "missing: `ip rule add ipproto udp` is refused without it" };
    let remedy = (!ok).then(|| "apt-get install netbase".to_owned());
    Finding { what: "/etc/protocols".to_owned(), ok, detail: detail.to_owned(), remedy }
}

fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim().to_owned();
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let ok = version >= (6, 12);
    let remedy = (!ok).then(|| "a kernel of 6.12 or newer; an older one may differ".to_owned());
    Finding { what: "kernel".to_owned(), ok, detail: release, remedy }
}

/// Root, of the machine or of a user namespace; or what stands in the way of either.
fn rights() -> Finding {
    let what = "right to make a network namespace".to_owned();
    match capability::namespace_works() {
        Ok(()) => {
            let detail = if rights::entered() {
                "in a user namespace that wireproof makes itself"
            } else {
                "a namespace could be made"
            };
            Finding { what, ok: true, detail: detail.to_owned(), remedy: None }
        }
        Err(why) => {
            let lifted = rights::forbidding().map(|forbidding| forbidding.remedy);
            Finding { what, ok: false, detail: why, remedy: Some(way_in(lifted.as_deref())) }
        }
    }
}

/// How to get the rights: what lifts that which forbids a user namespace, and root always.
fn way_in(lifted: Option<&str>) -> String {
    match lifted {
        Some(command) => format!("{command}; or sudo wireproof …"),
        None => "sudo wireproof …".to_owned(),
    }
}

/// Which of the two wires a trial gets.
fn wire() -> Finding {
    let what = "wire".to_owned();
    match (capability::wire(WireKind::Auto), capability::tap_works()) {
        (Ok(WireKind::Veth), Err(why)) => {
            Finding { what, ok: true, detail: format!("a veth, because {why}"), remedy: None }
        }
        (Ok(kind), _) => Finding { what, ok: true, detail: kind.device().to_owned(), remedy: None },
        (Err(why), _) => {
            let remedy = "the rights above, and a kernel with CONFIG_TUN, or CONFIG_VETH and CONFIG_PACKET";
            Finding { what, ok: false, detail: why, remedy: Some(remedy.to_owned()) }
        }
    }
}

/// Whether threads run as soon as they could; a machine that does other things makes the harness late otherwise.
fn scheduling() -> Finding {
    let what = "scheduling".to_owned();
    match schedule::possible() {
        Ok(()) => Finding { what, ok: true, detail: "in real time (SCHED_RR)".to_owned(), remedy: None },
        Err(e) => Finding {
            what,
            ok: false,
            detail: format!("ordinary ({e:?} for SCHED_RR): on a busy machine more trials are inconclusive"),
            remedy: Some(
                "root, or the limit on real-time priority: sudo prlimit --rtprio=1 --pid $$".to_owned(),
            ),
        },
    }
}

/// The device that TAPs are made with.
const TUN: &str = "/dev/net/tun";

fn open_tun() -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().read(true).write(true).open(TUN)
}

fn tun() -> Finding {
    let (detail, remedy) = match open_tun() {
        Ok(_) => ("opens".to_owned(), None),
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            // udev gives it this mode; root of a user namespace has no right to a device of another.
            let remedy = format!("root, or a mode that lets you: sudo chmod 0666 {TUN}");
            (format!("{e}; a veth is the wire then"), Some(remedy))
        }
        Err(e) => (e.to_string(), Some("sudo modprobe tun".to_owned())),
    };
    Finding { what: TUN.to_owned(), ok: remedy.is_none(), detail, remedy }
}

fn tool(name: &str) -> Finding {
    let found = command::find(name);
    let remedy = command::package(name).filter(|_| found.is_none());
    Finding {
        what: name.to_owned(),
        ok: found.is_some(),
        detail: found.map_or_else(|| "not found".to_owned(), |path| path.display().to_string()),
        remedy: remedy.map(|package| format!("apt-get install {package}")),
    }
}

fn qdisc(kind: &str, option: &str) -> Finding {
    let ok = capability::qdisc_is_there(kind);
    let detail = if ok { "built in or loaded" } else { "not in this kernel; cases that need it are skipped" };
    Finding {
        what: format!("qdisc {kind}"),
        ok,
        detail: detail.to_owned(),
        remedy: (!ok).then(|| format!("a kernel with CONFIG_{option}")),
    }
}

/// A setting that counts for the whole machine: it can only be looked at.
fn machine_setting(pin: &pins::Pin) -> Finding {
    let text = std::fs::read_to_string(pin.path()).unwrap_or_default();
    let ok = pin.holds(&text);
    Finding {
        what: format!("sysctl {}", pin.key),
        ok,
        detail: format!("`{}`", text.trim()),
        remedy: (!ok).then(|| format!("sysctl -w {}='{}'", pin.key, pin.value)),
    }
}

#[cfg(test)]
mod tests {
    use super::way_in;
    use rstest::rstest;

    #[rstest]
    #[case::a_setting_forbids(
        Some("sudo sysctl -w user.max_user_namespaces=15000"),
        "user.max_user_namespaces=15000"
    )]
    #[case::nobody_knows_why(None, "sudo wireproof")]
    fn what_lifts_it_is_offered(#[case] lifted: Option<&str>, #[case] offered: &str) {
        assert!(way_in(lifted).contains(offered));
        assert!(way_in(lifted).contains("sudo wireproof"), "root always can");
    }
}
