//! The right to make network namespaces: that of root, or of root of a user namespace that the process enters by itself.

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// CAP_SYS_ADMIN of uapi `linux/capability.h`: who has it may make namespaces.
const CAP_SYS_ADMIN: u64 = 1 << 21;

static ENTERED: AtomicBool = AtomicBool::new(false);
static OUTCOME: OnceLock<Result<(), String>> = OnceLock::new();

/// Enters a user namespace in which the process is root, unless it may make network namespaces already. To be called at the
/// start of `main`, before there is a second thread; again it changes nothing. Files that are written stay the user's: only that user
/// and one group are known inside, as 0.
///
/// # Errors
/// A sentence that says what forbids it.
pub fn enter() -> Result<(), String> {
    OUTCOME.get_or_init(|| if is_privileged() { Ok(()) } else { become_root() }).clone()
}

/// What came of [`enter`], once it was called.
pub(super) fn outcome() -> Option<&'static Result<(), String>> {
    OUTCOME.get()
}

/// Whether the process is in a user namespace that [`enter`] made.
pub(super) fn entered() -> bool {
    ENTERED.load(Ordering::Relaxed)
}

/// Whether this process has CAP_SYS_ADMIN where it is.
pub(super) fn is_privileged() -> bool {
    status("CapEff")
        .and_then(|set| u64::from_str_radix(&set, 16).ok())
        .is_some_and(|set| set & CAP_SYS_ADMIN != 0)
}

/// A line of `/proc/self/status`.
fn status(key: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim().to_owned()))
}

fn become_root() -> Result<(), String> {
    let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return Err(format!(
            "a user namespace is entered before threads are started, and there are {threads}"
        ));
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(refused)?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {user} 1")),
        ("gid_map", format!("0 {group} 1")),
    ] {
        let path = format!("/proc/self/{file}");
        fs::write(&path, text).map_err(|e| match forbidding() {
            Some(what) => format!("a user namespace gives no rights: {}", what.why),
            // Since Linux 5.12: see verify_root_map of kernel/user_namespace.c.
            None if user.is_root() => format!(
                "a user namespace gives no rights: {path}: {e}; root without capabilities needs CAP_SETFCAP for it, an ordinary user does not"
            ),
            None => format!("a user namespace gives no rights: {path}: {e}"),
        })?;
    }
    ENTERED.store(true, Ordering::Relaxed);
    Ok(())
}

fn refused(error: Errno) -> String {
    match forbidding() {
        Some(what) => format!("a user namespace cannot be made ({error:?}): {}", what.why),
        None => format!("a user namespace cannot be made ({error:?})"),
    }
}

/// Something that forbids user namespaces, or what the rig makes in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forbidding {
    /// What it is, by the name of its setting.
    pub why: String,
    /// What lifts it.
    pub remedy: String,
}

/// Settings that forbid: name, the value that does, and what lifts it.
const SETTINGS: [(&str, &str, &str); 7] = [
    ("user.max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
    ("user.max_net_namespaces", "0", "sudo sysctl -w user.max_net_namespaces=15000"),
    ("user.max_mnt_namespaces", "0", "sudo sysctl -w user.max_mnt_namespaces=15000"),
    ("user.max_uts_namespaces", "0", "sudo sysctl -w user.max_uts_namespaces=15000"),
    ("user.max_ipc_namespaces", "0", "sudo sysctl -w user.max_ipc_namespaces=15000"),
    ("kernel.unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "1",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
];

/// The first that forbids it here, as far as one can see it.
pub(super) fn forbidding() -> Option<Forbidding> {
    let read = |key: &str| fs::read_to_string(format!("/proc/sys/{}", key.replace('.', "/"))).ok();
    found(&read, status("Seccomp").as_deref())
}

/// As [`forbidding`], from what the settings are and the line `Seccomp` of the status.
fn found(read: &dyn Fn(&str) -> Option<String>, seccomp: Option<&str>) -> Option<Forbidding> {
    let setting = SETTINGS.iter().find(|(key, value, _)| read(key).is_some_and(|text| text.trim() == *value));
    if let Some((key, value, remedy)) = setting {
        return Some(Forbidding { why: format!("{key}={value} forbids it"), remedy: (*remedy).to_owned() });
    }
    // SECCOMP_MODE_FILTER: containers have one that lets no namespaces be made.
    (seccomp == Some("2")).then(|| Forbidding {
        why: "a seccomp filter (that of a container?) forbids it".to_owned(),
        remedy: "start the container with --security-opt seccomp=unconfined, or with --privileged".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::no_user_namespaces(("user.max_user_namespaces", "0\n"), None, Some("user.max_user_namespaces=0"))]
    #[case::no_network_namespaces(("user.max_net_namespaces", "0\n"), None, Some("user.max_net_namespaces=0"))]
    #[case::no_mounts_apart(("user.max_mnt_namespaces", "0\n"), None, Some("user.max_mnt_namespaces=0"))]
    #[case::no_host_names_apart(("user.max_uts_namespaces", "0\n"), None, Some("user.max_uts_namespaces=0"))]
    #[case::no_ipc_apart(("user.max_ipc_namespaces", "0\n"), None, Some("user.max_ipc_namespaces=0"))]
    #[case::debians_switch(("kernel.unprivileged_userns_clone", "0\n"), None, Some("unprivileged_userns_clone=0"))]
    #[case::ubuntus_switch(
        ("kernel.apparmor_restrict_unprivileged_userns", "1\n"),
        None,
        Some("apparmor_restrict_unprivileged_userns=1")
    )]
    #[case::a_container(("kernel.unprivileged_userns_clone", "1\n"), Some("2"), Some("seccomp"))]
    #[case::nothing(("user.max_user_namespaces", "96365\n"), Some("0"), None)]
    fn what_forbids_a_user_namespace_is_named_with_what_lifts_it(
        #[case] setting: (&str, &str),
        #[case] seccomp: Option<&str>,
        #[case] named: Option<&str>,
    ) {
        let read = |key: &str| (key == setting.0).then(|| setting.1.to_owned());
        let forbidding = found(&read, seccomp);
        assert_eq!(forbidding.is_some(), named.is_some());
        if let (Some(forbidding), Some(named)) = (forbidding, named) {
            assert!(forbidding.why.contains(named), "{}", forbidding.why);
            assert!(!forbidding.remedy.is_empty());
        }
    }

    #[test]
    fn with_threads_it_is_refused_and_says_why() {
        // A test has a thread beside that of main.
        let refused = become_root().expect_err("there are threads");
        assert!(refused.contains("before threads are started"), "{refused}");
    }
}
