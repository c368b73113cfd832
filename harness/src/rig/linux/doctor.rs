//! What the linux rig needs, what of it is here, and how to get the rest.

use super::capability;
use super::command;
use super::pins;

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

/// Looks for everything. It makes namespaces, and none is left.
#[must_use]
pub fn doctor() -> Vec<Finding> {
    let mut findings = vec![kernel(), rights(), tun()];
    findings.extend(["ip", "tc", "nft", "ethtool", "sysctl"].map(tool));
    findings.push(protocols());
    let can_try = capability::wire().is_ok() && command::find("tc").is_some();
    if can_try {
        findings.extend(QDISCS.map(|(kind, option)| qdisc(kind, option)));
    }
    findings.extend(pins::all().filter(|pin| pin.of_the_machine).map(|pin| machine_setting(&pin)));
    findings
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
    let Err(why) = capability::wire() else {
        let detail = "a namespace and a TAP could be made".to_owned();
        return Finding { what, ok: true, detail, remedy: None };
    };
    let forbidding: Vec<_> = USER_NAMESPACES.iter().filter_map(forbids).collect();
    let user = match forbidding.as_slice() {
        [] => "user namespaces are allowed".to_owned(),
        names => format!("user namespaces are forbidden by {}", names.join(", ")),
    };
    let remedy = Some(way_in(forbidding.is_empty(), open_tun().is_ok()).to_owned());
    Finding { what, ok: false, detail: format!("{why}; {user}"), remedy }
}

/// How to get the rights: a user namespace helps where it may be made, and where this user may open the TAP device.
fn way_in(user_namespaces: bool, tun: bool) -> &'static str {
    if user_namespaces && tun {
        "unshare -Ur wireproof …, or sudo wireproof …"
    } else {
        "sudo wireproof …"
    }
}

/// Settings that forbid user namespaces: file, and the value that does.
const USER_NAMESPACES: [(&str, &str); 3] = [
    ("user.max_user_namespaces", "0"),
    ("kernel.unprivileged_userns_clone", "0"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1"),
];

fn forbids((key, value): &(&str, &str)) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/sys/{}", key.replace('.', "/"))).ok()?;
    (text.trim() == *value).then(|| format!("{key}={value}"))
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
            (e.to_string(), Some(format!("root, or a mode that lets you: sudo chmod 0666 {TUN}")))
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
    #[case::nothing_stands_in_its_way(true, true, true)]
    #[case::user_namespaces_are_forbidden(false, true, false)]
    #[case::the_tap_device_is_roots_alone(true, false, false)]
    fn a_user_namespace_is_offered_where_it_helps(
        #[case] allowed: bool,
        #[case] tun: bool,
        #[case] offered: bool,
    ) {
        assert_eq!(way_in(allowed, tun).contains("unshare -Ur"), offered);
        assert!(way_in(allowed, tun).contains("sudo"), "root always can");
    }
}
