//! What Linux's own igb driver did on QEMU's igb, recorded, and what ours does with the same calls at the same times: the same
//! frames, the same counters, but for differences that are listed with their reason (`fixtures/linux-reference/differences.txt`),
//! each of which must occur.
//!
//! ```text
//! fixtures/linux-reference/SET.txt → recording → replay on emu ─→ difference → listed, or not
//! ```

mod difference;
mod line;
mod recording;
mod replay;
mod tcp;

use difference::{Listed, differences};
use recording::Recording;
use rstest::rstest;
use std::path::PathBuf;

const PERMANENT: &str = "ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent";
const TBF: &str = "tc qdisc replace dev eth0 root handle 1: tbf rate 500kbit burst 2000 limit 200000";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/linux-reference")
}

fn recording(set: &str) -> Recording {
    let path = folder().join(format!("{set}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Recording::parse(&text).unwrap_or_else(|line| panic!("{}: not understood: {line}", path.display()))
}

fn listed() -> Vec<Listed> {
    let path = folder().join("differences.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(Listed::parse).collect()
}

/// Runs a set after these commands, and holds it against its recording.
fn holds(set: &str, commands: &[&str]) {
    let recorded = recording(set);
    let ours = replay::run(&recorded, commands);
    let found = differences(set, &recorded, &ours);
    let listed: Vec<_> = listed().into_iter().filter(|entry| entry.is_about(set)).collect();
    let unlisted: Vec<_> = found
        .iter()
        .filter(|d| !listed.iter().any(|entry| entry.allows(d)))
        .map(ToString::to_string)
        .collect();
    let absent: Vec<_> = listed
        .iter()
        .filter(|entry| !found.iter().any(|d| entry.allows(d)))
        .map(|entry| &entry.what)
        .collect();
    assert!(unlisted.is_empty(), "{set}: not as recorded:\n{}", unlisted.join("\n"));
    assert!(absent.is_empty(), "{set}: these are listed as different, and are not: {absent:?}");
}

#[rstest]
#[case::one_frame("a-udp-100")]
#[case::one_full_frame("a-udp-1472")]
#[case::three_fragments("a-udp-4000")]
#[case::the_largest_datagram("a-udp-65507")]
#[case::ten_of_each("a-udp-all")]
fn datagrams_are_as_linux_sends_them(#[case] set: &str) {
    holds(set, &[PERMANENT]);
}

#[rstest]
#[case::soon("c-arp-50ms", &[])]
#[case::late("c-arp-1500ms", &[])]
#[case::never("c-arp-never", &[])]
#[case::many_wait("c-arp-50ms-burst300", &[])]
#[case::three_may_wait("c-arp-qlen3", &["sysctl -w net.ipv4.neigh.eth0.unres_qlen_bytes=6270"])]
#[case::soon_in_virtual_time("f-arp-50ms", &[])]
#[case::never_in_virtual_time("f-arp-never", &[])]
fn neighbours_are_asked_as_linux_asks_them(#[case] set: &str, #[case] commands: &[&str]) {
    holds(set, commands);
}

#[rstest]
#[case::pfifo_fast("d-pfifo_fast-direct", &["tc qdisc replace dev eth0 root pfifo_fast"])]
#[case::prio("d-prio-direct", &["tc qdisc replace dev eth0 root handle 1: prio"])]
#[case::pfifo_fast_behind_a_bucket("d-tbf-pfifo_fast", &[TBF, "tc qdisc add dev eth0 parent 1:1 handle 10: pfifo_fast"])]
#[case::prio_behind_a_bucket("d-tbf-prio", &[TBF, "tc qdisc add dev eth0 parent 1:1 handle 10: prio"])]
fn priorities_leave_in_the_order_of_linux(#[case] set: &str, #[case] commands: &[&str]) {
    let commands: Vec<_> = [PERMANENT].iter().chain(commands).copied().collect();
    holds(set, &commands);
}

#[rstest]
#[case::large_frames("e-mtu9000", &["ip link set dev eth0 mtu 9000"])]
#[case::large_rings("e-G-4096", &["ethtool -G eth0 rx 4096 tx 4096"])]
#[case::four_queues("e-L-combined4", &["ethtool -L eth0 combined 4"])]
#[case::four_queues_while_up("e-L-combined4-live", &["ethtool -L eth0 combined 4", "ethtool -G eth0 rx 512 tx 512"])]
#[case::a_queue_for_each_of_two_cpus("e-smp2-default", &["ethtool -L eth0 combined 2"])]
fn datagrams_are_the_same_however_the_device_is_set_up(#[case] set: &str, #[case] commands: &[&str]) {
    let commands: Vec<_> = commands.iter().copied().chain([PERMANENT]).collect();
    holds(set, &commands);
}

/// As much memory as the recorded machine had, which decides how far a window scales.
#[test]
fn a_silent_peer_is_asked_for_a_connection_as_often_as_by_linux() {
    holds(
        "f-syn-retries",
        &[
            PERMANENT,
            "sysctl -w net.ipv4.tcp_rmem=4096\t131072\t3145728",
            "sysctl -w net.core.rmem_max=212992",
        ],
    );
}

const MEMORY: [&str; 2] =
    ["sysctl -w net.ipv4.tcp_rmem=4096\t131072\t3145728", "sysctl -w net.core.rmem_max=212992"];
const CUBIC: &str = "sysctl -w net.ipv4.tcp_congestion_control=cubic";
const NONE: &str = "ethtool -K eth0 tso off gso off";
const SOFTWARE: &str = "ethtool -K eth0 tso off gso on";
const MS: u64 = 1_000_000;

#[rstest]
#[case::a_write_that_the_stack_cuts("b-tcp-64k-none", &[PERMANENT, CUBIC, NONE, MEMORY[0], MEMORY[1]], 65_536, 1)]
#[case::a_write_that_the_device_cuts("b-tcp-64k-tso", &[PERMANENT, CUBIC, MEMORY[0], MEMORY[1]], 65_536, 1)]
#[case::many_writes_that_the_stack_cuts("b-tcp-1m-none", &[PERMANENT, CUBIC, NONE, MEMORY[0], MEMORY[1]], 1 << 20, 1)]
#[case::many_that_are_cut_at_the_driver("b-tcp-1m-gso", &[PERMANENT, CUBIC, SOFTWARE, MEMORY[0], MEMORY[1]], 1 << 20, 1)]
#[case::many_that_the_device_cuts("b-tcp-1m-tso", &[PERMANENT, CUBIC, MEMORY[0], MEMORY[1]], 1 << 20, 1)]
#[case::a_long_way("f-tcp-2m-20ms-cubic", &[PERMANENT, CUBIC, NONE, MEMORY[0], MEMORY[1]], 2_000_000, 20)]
fn a_transfer_keeps_the_rules_of_linux(
    #[case] set: &str,
    #[case] commands: &'static [&'static str],
    #[case] bytes: usize,
    #[case] delay_ms: u64,
) {
    let text = std::fs::read_to_string(folder().join("tcp.txt")).expect("it was recorded");
    let ours = tcp::run(&tcp::Transfer { commands, bytes, delay: delay_ms * MS });
    let found = tcp::differences(&tcp::recorded(&text, set), &ours);
    let wrong = tcp::held(set, &found, &listed());
    assert!(wrong.is_empty(), "{set}: not as recorded:\n{}", wrong.join("\n"));
}

/// A recording that cannot be run here is named with its reason, so that none is forgotten.
#[test]
fn what_is_not_run_says_why() {
    let text = std::fs::read_to_string(folder().join("README.md")).expect("the folder is described");
    for set in ["d-default-mq-fq_codel", "d-tbf-fq_codel", "b-tcp-1m-tso-vnethdr"] {
        let line =
            text.lines().find(|line| line.contains(set)).unwrap_or_else(|| panic!("{set} is not named"));
        assert!(line.len() > set.len() + 20, "{set} has no reason: {line}");
    }
}
