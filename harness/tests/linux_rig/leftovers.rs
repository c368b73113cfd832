//! What a rig must not leave behind: threads, namespaces, devices, sockets.

use crate::Outcome;
use crate::bench::{Bench, peer, recvfrom, wire};
use harness::case::model::{SocketKind, Syscall};
use harness::rig::Rig;
use harness::rig::linux::wire::WireKind;
use libtest_mimic::Failed;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The network namespaces of the threads of this process, by what `lsns` would list.
fn namespaces() -> Result<BTreeSet<String>, Failed> {
    let tasks = std::fs::read_dir("/proc/self/task")?;
    let links = tasks.filter_map(|task| std::fs::read_link(task.ok()?.path().join("ns/net")).ok());
    Ok(links.map(|link| link.display().to_string()).collect())
}

/// Open descriptors that are a TAP or a socket.
fn wires_and_sockets() -> Result<usize, Failed> {
    let links = std::fs::read_dir("/proc/self/fd")?.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    Ok(links.map(|l| l.display().to_string()).filter(|l| l.contains("tun") || l.contains("socket")).count())
}

/// Names of the threads that a rig makes and that are there now.
fn threads() -> Result<usize, Failed> {
    let tasks = std::fs::read_dir("/proc/self/task")?;
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    Ok(names.filter(|n| matches!(n.trim(), "agent" | "namespace" | "wire reader")).count())
}

/// That none of them is left. The kernel may show a thread for a moment after it was joined.
fn no_threads() -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(2);
    while threads()? > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(threads()?, 0, "no thread is left");
    Ok(())
}

/// A test that looks at the whole process, while other tests run beside it, runs again as a process of its own. `None`: this is it.
fn alone(name: &str) -> Option<Outcome> {
    const ALONE: &str = "WIREPROOF_LINUX_RIG_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return None;
    }
    let prefix = if wire() == WireKind::Veth { "veth" } else { "tap" };
    let output = std::env::current_exe().and_then(|program| {
        let name = format!("{prefix}::{name}");
        std::process::Command::new(program)
            .args(["--exact", &name, "--test-threads", "1"])
            .env(ALONE, "1")
            .output()
    });
    Some(match output {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && told.contains("1 passed") { Ok(()) } else { Err(told.into()) }
        }
        Err(e) => Err(e.into()),
    })
}

/// Also a panic takes down what was put up.
pub fn panicked() -> Outcome {
    if let Some(outcome) = alone("nothing_is_left_after_a_panic") {
        return outcome;
    }
    let before = (namespaces()?, wires_and_sockets()?);
    let died = std::panic::catch_unwind(|| {
        let mut bench = Bench::new().expect("the wire is there");
        bench.udp("s").expect("a socket");
        bench.start(&recvfrom("s")).expect("a call that blocks");
        panic!("on purpose");
    });
    assert!(died.is_err_and(|why| why.downcast_ref::<&str>() == Some(&"on purpose")));
    no_threads()?;
    assert_eq!((namespaces()?, wires_and_sockets()?), before);
    Ok(())
}

/// Whatever still blocks is woken.
pub fn nothing_left() -> Outcome {
    if let Some(outcome) = alone("nothing_is_left_when_calls_still_block") {
        return outcome;
    }
    let before = (namespaces()?, wires_and_sockets()?);
    let mut bench = Bench::new()?;
    bench.udp("quiet")?;
    bench.bind("quiet", 4000)?;
    bench.start(&recvfrom("quiet"))?;
    bench.start(&Syscall::Poll {
        socket: "quiet".to_owned(),
        events: vec!["POLLIN".to_owned()],
        timeout_ms: -1,
    })?;
    let listener = || "listener".to_owned();
    let socket = Syscall::Socket { name: listener(), kind: SocketKind::Tcp, nonblocking: false };
    bench.ok(&socket)?;
    bench.ok(&Syscall::Listen { socket: listener(), backlog: 1 })?;
    bench.start(&Syscall::Accept { socket: listener(), name: "c".to_owned() })?;
    bench.ok(&Syscall::Socket { name: "out".to_owned(), kind: SocketKind::Tcp, nonblocking: false })?;
    bench.start(&Syscall::Connect { socket: "out".to_owned(), to: peer(80) })?;
    // Closed under a call that waits on it: only the call keeps it.
    while bench.next_event(Duration::from_millis(50))?.is_some() {}
    bench.ok(&Syscall::Close { socket: "quiet".to_owned() })?;
    assert!(namespaces()?.len() > before.0.len(), "the rig has a namespace of its own");
    // A veth has one namespace more, for its other end.
    let expected = if wire() == WireKind::Veth { 8 } else { 7 };
    assert_eq!(threads()?, expected, "five agents, the reader and the namespace");
    let started = Instant::now();
    let finished = bench.rig.finish();
    assert_eq!(finished.violations, Vec::<String>::new());
    assert!(started.elapsed() < Duration::from_millis(500), "it took {:?}", started.elapsed());
    drop(bench);
    no_threads()?;
    assert_eq!((namespaces()?, wires_and_sockets()?), before);
    Ok(())
}

/// The rig does what `check` would have refused: it must not reach the machine.
pub fn the_machine_stays_as_it_is() -> Outcome {
    let mut bench = Bench::new()?;
    for key in ["kernel.hostname", "vm.swappiness"] {
        // What is there already, so that it does no harm should it be taken.
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let Ok(value) = std::fs::read_to_string(path) else { continue };
        let written = bench.run(&format!("sysctl -w {key}={}", value.trim()));
        assert!(written.is_err(), "{key} was written");
    }
    let name = format!("wireproof-{}", std::process::id());
    bench.run(&format!("ip netns add {name}"))?;
    let left = std::path::Path::new("/run/netns").join(&name);
    let is_left = left.exists();
    if is_left {
        std::process::Command::new("ip").args(["netns", "del", &name]).status()?;
    }
    assert!(!is_left, "a named namespace is left");
    Ok(())
}

/// The names of namespaces, of the thread of the rig and of this one.
pub fn own_namespaces() -> Outcome {
    let kinds = ["net", "mnt", "uts", "ipc"];
    let all = || -> Result<Vec<BTreeSet<String>>, Failed> {
        let of = |kind: &str| -> Result<BTreeSet<String>, Failed> {
            let tasks = std::fs::read_dir("/proc/self/task")?;
            let paths = tasks.filter_map(|task| Some(task.ok()?.path().join("ns").join(kind)));
            let links = paths.filter_map(|path| std::fs::read_link(path).ok());
            Ok(links.map(|link| link.display().to_string()).collect())
        };
        kinds.iter().map(|kind| of(kind)).collect()
    };
    let _bench = Bench::new()?;
    for (kind, names) in kinds.iter().zip(all()?) {
        assert!(names.len() > 1, "the rig has no {kind} namespace of its own");
    }
    Ok(())
}
