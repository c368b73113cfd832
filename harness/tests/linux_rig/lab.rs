//! The linux rig on a pair of ports, with a veth pair in place of the cable: each test in namespaces of its own, as root.

use crate::Outcome;
use libtest_mimic::Failed;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The ports as every test finds them: nothing about them is a default.
const PORTS: &str = "
    mount --make-rprivate /
    mount -t tmpfs tmpfs /run
    ip link set lo up
    ip link add p0 address 02:aa:00:00:00:01 mtu 1400 type veth peer name p1 address 02:aa:00:00:00:02 mtu 1300
    ip link set p0 up txqueuelen 77
    ip link set p1 up
    ethtool -K p0 tx off >/dev/null
    sysctl -qw net.ipv4.conf.p0.rp_filter=2
    found() {
        sleep 0.2
        ip -d addr | sed -e '/inet6 fe80/d' -e '/valid_lft/d'
        ip -4 route show table all | sort
        for p in p0 p1; do ethtool -k $p; cat /proc/sys/net/ipv4/conf/$p/rp_filter; done
    }
";

/// Why no lab can be had here.
pub fn lacks() -> Option<String> {
    cannot("")
}

/// Why the port of a lab cannot be given to a bridge here; `None`: it can.
pub fn lacks_bridges() -> Option<String> {
    cannot(BRIDGE)
}

/// Why no VLAN can stand on the port of a lab here; `None`: it can.
pub fn lacks_vlans() -> Option<String> {
    cannot(VLAN)
}

/// Why a lab cannot be had here, and a script beside its ports not be run.
fn cannot(script: &str) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("a lab takes root".to_owned());
    }
    let made = Command::new("unshare").args(["-nm", "sh", "-ec", &format!("{PORTS}\n{script}")]).output();
    match made {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("{script}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(e) => Some(format!("unshare: {e}")),
    }
}

/// A folder with the description of a lab and cases.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Result<Self, Failed> {
        let bench = Self { folder: tempfile::tempdir()? };
        bench.file("lab.yaml", "port: p0\nwire: p1\n")?;
        Ok(bench)
    }

    fn file(&self, name: &str, text: &str) -> Result<(), Failed> {
        Ok(std::fs::write(self.folder.path().join(name), text)?)
    }

    /// Runs a script as root in namespaces of its own, after the ports were made; `$run CASE…` runs cases on the lab. Gives all
    /// that was printed.
    fn script(&self, text: &str) -> Result<String, Failed> {
        let folder = self.folder.path().display();
        let program = env!("CARGO_BIN_EXE_wireproof");
        let mut script = PORTS.to_owned();
        let run = format!("{program} run --rig linux --lab {folder}/lab.yaml --out {folder}/out");
        writeln!(script, "wireproof={program}; run='{run}'; here={folder}; {text}")?;
        let output = Command::new("unshare")
            .args(["-nm", "sh", "-ec", &format!("exec 2>&1; {script}")])
            .current_dir(root())
            .env_remove("SSH_CONNECTION")
            .output()?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(told) } else { Err(format!("{}: {told}", output.status).into()) }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn says(told: &str, words: &[&str]) -> Outcome {
    match words.iter().find(|word| !told.contains(**word)) {
        None => Ok(()),
        Some(word) => Err(format!("it does not say {word:?}: {told}").into()),
    }
}

/// The script must have ended with the ports as they were before.
fn same_as_before(told: &str) -> Outcome {
    says(told, &["the ports are as they were"])
}

const COMPARE: &str = "found >$here/after; diff $here/before $here/after && [ ! -e /run/wireproof ] && echo the ports are as they were";

pub fn passes() -> Outcome {
    let cases = "cases/udp/one_datagram.yaml cases/arp/first_packet_waits.yaml cases/ip/fragments.yaml";
    let told = Bench::new()?.script(&format!(
        "ip addr add 198.51.100.7/24 dev p1; ip route add 203.0.113.0/24 via 198.51.100.9 metric 7
         printf 'port: p0\\nwire: p1\\nallow: [address]\\n' >$here/lab.yaml
         found >$here/before; $run --jobs 3 {cases}; {COMPARE}"
    ))?;
    says(&told, &["0 failed, 0 skipped, 0 inconclusive", "p0 is a veth", "--jobs 3 is 1 here"])?;
    same_as_before(&told)
}

pub fn a_failure() -> Outcome {
    let bench = Bench::new()?;
    bench.file("wrong.yaml", "about: Wrong.\nrigs: [linux]\nsteps:\n  - run: ip link set dev eth0 mtu 900\n  - quiet: 10ms\n  - expect: {udp: {dst_port: 1}, within: 10ms}\n")?;
    let told = bench.script(&format!("found >$here/before; $run $here/wrong.yaml && exit 9; {COMPARE}"))?;
    says(&told, &["1 failed"])?;
    same_as_before(&told)
}

/// A case that takes long, to be interrupted in.
const LONG: &str = "about: Long.\nsteps:\n  - run: ip link set dev eth0 mtu 900\n  - wait: 9s\n";

/// Starts it, and waits until the ports are away.
const START: &str = "$run $here/long.yaml & pid=$!
    n=0; until ! ip link show dev p0 >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 200 ]; sleep 0.05; done; sleep 0.4";

pub fn interrupted() -> Outcome {
    let bench = Bench::new()?;
    bench.file("long.yaml", LONG)?;
    for signal in ["INT", "TERM"] {
        let told = bench.script(&format!(
            "found >$here/before; {START}; kill -{signal} $pid; status=0; wait $pid || status=$?
             echo status $status; {COMPARE}"
        ))?;
        says(&told, &["status 1", "interrupted"])?;
        same_as_before(&told)?;
    }
    Ok(())
}

/// A veth is gone with its namespace; the next run says so. A card would be there under another name, as the pair is that is made
/// then: it is found by its address.
pub fn killed() -> Outcome {
    let bench = Bench::new()?;
    bench.file("long.yaml", LONG)?;
    let told = bench.script(&format!(
        "{START}; ls /run/wireproof; {{ $run $here/long.yaml || echo refused $?; }}
         kill -9 $pid; wait $pid || true; sleep 0.5
         {{ $run cases/udp/one_datagram.yaml || echo status $?; }}; ls /run/wireproof || true; ip link"
    ))?;
    says(&told, &["lab-p0.json", "refused 2", "is taken by a run of process"])?;
    says(
        &told,
        &["p0 of a run that was killed was a veth, which is gone", "there is no port p0", "status 2"],
    )?;
    says(&told, &["cannot access '/run/wireproof'"])?;
    let told = bench.script(&format!(
        "found >$here/before; {START}; kill -9 $pid; wait $pid || true; sleep 0.5
         ip link add eth0 address 02:aa:00:00:00:01 index 3 type veth peer name dev1 address 02:aa:00:00:00:02 index 2
         ethtool -K eth0 gro on >/dev/null
         $wireproof doctor --rig linux | grep -A1 'ports of a lab'; ls /run/wireproof
         $wireproof doctor --repair; {COMPARE}; $wireproof doctor --repair"
    ))?;
    says(
        &told,
        &["p0 and p1 were taken by process", "get it with: sudo wireproof doctor --repair", "lab-p0.json"],
    )?;
    says(&told, &["port p0 of a run that was killed is as it was (it was called eth0)"])?;
    says(&told, &["no run that was killed has left a port"])?;
    same_as_before(&told)
}

pub fn refusals() -> Outcome {
    let bench = Bench::new()?;
    for (before, words) in [
        ("ip link del p0", "there is no port p0 in this network namespace"),
        ("ip addr add 198.51.100.7/24 dev p1", "port p1 is not taken: it has the address 198.51.100.7"),
        (
            "ip addr add 198.51.100.7/24 dev p0; ip route add default via 198.51.100.1",
            "it carries a default route",
        ),
        (
            "ip addr add 198.51.100.7/24 dev p0; export SSH_CONNECTION='203.0.113.5 50000 198.51.100.7 22'",
            "the SSH session that started this runs over it (198.51.100.7)",
        ),
    ] {
        refused(&bench, before, words)?;
    }
    Ok(())
}

const BRIDGE: &str = "ip link add br0 type bridge; ip link set p0 master br0";

pub fn a_bridge() -> Outcome {
    refused(&Bench::new()?, BRIDGE, "a part of br0")
}

const VLAN: &str = "ip link add link p1 name p1.5 type vlan id 5";

pub fn a_vlan() -> Outcome {
    refused(&Bench::new()?, VLAN, "p1.5 stands on it")
}

/// After `before` a run is refused with these words, and leaves the ports as they are.
fn refused(bench: &Bench, before: &str, words: &str) -> Outcome {
    let run = "$run cases/udp/one_datagram.yaml";
    let told = bench.script(&format!(
        "{before}
         found >$here/before 2>&1 || true
         status=0; {run} || status=$?; echo status $status
         found >$here/after 2>&1 || true; cmp $here/before $here/after && echo untouched"
    ));
    says(&told?, &[words, "status 2", "untouched"])
}

/// Two ports that are not the ends of one cable.
pub fn no_cable() -> Outcome {
    let bench = Bench::new()?;
    let others = "ip link del p0
         ip link add p0 type veth peer name q0; ip link add p1 type veth peer name q1; ip link set p0 up; ip link set p1 up";
    let hidden = "unshare -n sleep 60 & there=$!; trap 'kill $there' EXIT; sleep 0.3
         for q in q0 q1; do ip link set $q netns $there; nsenter -t $there -n ip link set $q up; done";
    for (peers, words) in [
        ("ip link set q0 up; ip link set q1 up", "port p0 is joined to q0, not to p1"),
        (hidden, "p0 and p1 are not joined: nothing that port p0 sends arrives at port p1"),
        (
            "ip link set q1 up",
            "no cable: port p0 has no carrier after 10 s: is the cable between p0 and p1 plugged in",
        ),
    ] {
        for program in
            ["$run cases/udp/one_datagram.yaml", "$wireproof doctor --rig linux --lab $here/lab.yaml"]
        {
            let told = bench.script(&format!(
                "{others}; {peers}; found >$here/before
                 status=0; {program} || status=$?; echo status $status; {COMPARE}"
            ))?;
            says(&told, &[words, "status 2"])?;
            same_as_before(&told)?;
        }
    }
    Ok(())
}

/// The doctor proves the cable of a lab, and tells how fast it is; a veth has 10 Gbit/s.
pub fn doctor() -> Outcome {
    let bench = Bench::new()?;
    for (speed, words) in [
        ("", "ok      the link's speed: 10000 Mbit/s"),
        ("speed: 10000", "ok      the link's speed: 10000 Mbit/s"),
        ("speed: 1000", "the link of p0 has 10000 Mbit/s, and the lab's file says `speed: 1000`"),
        ("speed: fast", "a whole number"),
        ("speed: 0", "0 is out of range"),
        ("speed: \"1000\"", "a number is written without quotes"),
        ("speed: -5", "out of range"),
        ("spead: 1000", "speed"),
    ] {
        let told = bench.script(&format!(
            "printf 'port: p0\\nwire: p1\\n%s\\n' '{speed}' >$here/lab.yaml; found >$here/before
             status=0; $wireproof doctor --rig linux --lab $here/lab.yaml || status=$?; echo status $status; {COMPARE}"
        ))?;
        says(&told, &[words])?;
        if words.starts_with("ok") {
            says(
                &told,
                &[
                    "linux: ready",
                    "ok      the cable: a frame from p0 came to p1, and one from p1 to p0",
                    "status 0",
                ],
            )?;
        } else {
            says(&told, &["status 2"])?;
        }
        same_as_before(&told)?;
    }
    let told =
        bench.script("status=0; $run cases/udp/one_datagram.yaml || status=$?; echo status $status")?;
    says(&told, &["status 2"])
}

/// Changes all that a case can reach.
const HAVOC: &str = r#"about: Havoc.
rigs: [linux]
steps:
  - run:
      - ip link set dev eth0 mtu 900 txqueuelen 5 promisc on
      - ip addr add 10.1.1.1/24 dev eth0
      - ip addr add 10.5.5.5/32 dev lo
      - ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:99 dev eth0 nud permanent
      - ip neigh add proxy 192.0.2.77 dev eth0
      - ip route add 198.51.100.0/24 via 192.0.2.2
      - ip route add unreachable 203.0.113.0/24 table 7
      - ip route add unreachable 203.0.113.0/24
      - ip rule add from 192.0.2.1 table 7 pref 100
      - ip rule del pref 32767
      - tc qdisc replace dev eth0 root handle 5 pfifo limit 7
      - nft add table ip t
      - nft add chain ip t c { type filter hook output priority 0 ; policy drop ; }
      - sysctl -w net.ipv4.ip_default_ttl=9 net.ipv4.conf.eth0.arp_ignore=8 net.ipv4.icmp_ratelimit=5
      - ethtool -K eth0 gro on gso off
      - ip link set dev eth0 address 02:00:00:00:00:77
"#;

/// Passes on a system as every case starts with, and on no other: what HAVOC did is not there to be undone.
const CALM: &str = r#"about: Calm.
rigs: [linux]
steps:
  - run:
      - {command: ip rule del pref 100, error: No such file}
      - {command: ip route del unreachable 203.0.113.0/24, error: No such process}
      - {command: ip neigh del proxy 192.0.2.77 dev eth0, error: No such file}
      - {command: ip addr del 10.1.1.1/24 dev eth0, error: Address not found}
      - {command: ip addr del 10.5.5.5/32 dev lo, error: Address not found}
      - {command: nft delete table ip t, error: No such file}
  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: {pattern: counting, length: 1400}, returns: 1400}
  - expect:
      eth: {src: "${sut.mac}", dst: "${peer.mac}"}
      ipv4: {src: "${sut.ip}", dst: "${peer.ip}", ttl: 64}
"#;

/// Sends, and then once more behind a qdisc of its own.
const SENDS: &str = r#"about: Sends.
steps:
  - run: "ip neigh replace ${peer.ip} lladdr ${peer.mac} dev eth0 nud permanent"
  - socket: {as: s, type: udp}
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "one", returns: 3}
  - expect: {udp: {dst_port: 7}}
"#;
const COUNTS: &str = r#"  - run: "tc qdisc replace dev eth0 root handle 7: pfifo"
  - sendto: {socket: s, to: "${peer.ip}:7", payload: "two", returns: 3}
  - expect: {udp: {dst_port: 7}}
"#;

/// What qdiscs have counted in one trial is no part of the next.
pub fn counts() -> Outcome {
    let bench = Bench::new()?;
    std::fs::create_dir_all(bench.folder.path().join("cases"))?;
    bench.file("cases/1_sends.yaml", SENDS)?;
    bench.file("cases/2_counts.yaml", &format!("{SENDS}{COUNTS}"))?;
    let told = bench.script("$wireproof compare --lab $here/lab.yaml --out $here/out $here/cases")?;
    says(&told, &["2 same, 0 differ"])
}

pub fn reset() -> Outcome {
    let bench = Bench::new()?;
    // They run in the order of their names.
    for (name, text) in
        [("1_calm", CALM), ("2_havoc", HAVOC), ("3_calm", CALM), ("4_havoc", HAVOC), ("5_calm", CALM)]
    {
        std::fs::create_dir_all(bench.folder.path().join("cases"))?;
        bench.file(&format!("cases/{name}.yaml"), text)?;
    }
    let told = bench.script(&format!("found >$here/before; $run $here/cases; {COMPARE}"))?;
    says(&told, &["5 passed, 0 failed"])?;
    same_as_before(&told)
}
