//! What no command of a case may do, on any rig: leave the namespace of its trial, change the machine, or take eth0 away.

use super::command::CommandProblem;

/// Settings below `net.` that a namespace shows, and that count for the whole machine all the same (looked at on Linux 6.18,
/// by writing each in one namespace and reading it in another); and those that only the first namespace has.
const OF_THE_MACHINE: [&str; 22] = [
    "net.netfilter.nf_hooks_lwtunnel",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_expect_max",
    "net.nf_conntrack_max",
    "net.core.bpf_jit_enable",
    "net.core.bpf_jit_harden",
    "net.core.busy_poll",
    "net.core.busy_read",
    "net.core.default_qdisc",
    "net.core.dev_weight",
    "net.core.flow_limit_cpu_bitmap",
    "net.core.netdev_budget",
    "net.core.netdev_budget_usecs",
    "net.core.netdev_max_backlog",
    "net.core.rmem_max",
    "net.core.rps_sock_flow_entries",
    "net.core.wmem_max",
    "net.ipv4.inet_peer_maxttl",
    "net.ipv4.tcp_available_congestion_control",
    "net.ipv4.tcp_mem",
    "net.ipv4.udp_mem",
];

/// Whether a command stays in its namespace, as far as its words can tell: the rig shuts the rest off.
///
/// # Errors
/// The word that leads out, and what could stand there.
pub fn stays_inside(words: &[&str]) -> Result<(), CommandProblem> {
    match words {
        ["sysctl", rest @ ..] => rest.iter().enumerate().try_for_each(|(at, word)| sysctl(at + 1, word)),
        [tool @ ("ip" | "tc"), ..] => {
            let object = options(tool, words)?;
            if *tool == "ip" { ip(words, object) } else { tc(words, object) }
        }
        ["nft", rest @ ..] => match rest.iter().position(|word| reads_a_file(word)) {
            Some(at) => {
                refused(at + 1, "a case does not read other files", "the rule itself, as `nft add rule …`")
            }
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn refused(word_index: usize, message: &str, expected: &str) -> Result<(), CommandProblem> {
    Err(CommandProblem { word_index, message: message.to_owned(), expected: expected.to_owned() })
}

/// `-w`, or a setting of the namespace; no file of settings.
fn sysctl(at: usize, word: &str) -> Result<(), CommandProblem> {
    if word.starts_with('-') {
        let harmless =
            matches!(word, "-w" | "--write" | "-n" | "--values" | "-q" | "--quiet" | "-e" | "--ignore");
        return if harmless {
            Ok(())
        } else {
            refused(at, &format!("`{word}` is not for a case"), "-w, -n, -q, -e")
        };
    }
    let key = word.split('=').next().unwrap_or("").trim();
    let dotted = key.replace('/', ".");
    // Components of dots lead up, and patterns may mean a setting of the machine.
    let odd = dotted.contains("..") || dotted.ends_with('.') || dotted.contains(['*', '?', '[']);
    if !dotted.starts_with("net.") || odd {
        let message =
            format!("`{key}` belongs to the machine: a case changes what belongs to its network namespace");
        return refused(at, &message, "settings that begin with `net.`");
    }
    if OF_THE_MACHINE.contains(&dotted.as_str()) {
        let message = format!("`{key}` counts for the whole machine, not for a network namespace");
        return refused(at, &message, "a setting that each network namespace has");
    }
    Ok(())
}

/// The options before the object, which the tools take by any beginning of their names. Gives where the object stands.
fn options(tool: &str, words: &[&str]) -> Result<usize, CommandProblem> {
    let mut at = 1;
    while let Some(option) = words.get(at).filter(|word| word.starts_with('-')) {
        let name = option.trim_start_matches('-');
        if begins(name, "netns") {
            let message = format!("`{tool} {option}` leaves the namespace of the trial");
            refused(at, &message, "the command without it: it runs in the trial's namespace")?;
        }
        if begins(name, "batch") {
            refused(at, "a case does not read other files", "the command itself, and a `run:` for each")?;
        }
        let has_value = matches!(name, "f" | "l" | "rc")
            || name.len() > 1 && matches!(name, "family" | "loops" | "rcvbuf");
        at += if has_value { 2 } else { 1 };
    }
    Ok(at)
}

fn ip(words: &[&str], object: usize) -> Result<(), CommandProblem> {
    let name = words.get(object).copied().unwrap_or("");
    // `n` and `ne` are `neigh`.
    let leaves = (name.len() > 2 && begins(name, "netns")) || begins(name, "vrf");
    if leaves {
        let message = format!("`ip {name}` leaves the namespace of the trial");
        return refused(object, &message, "address, link, neigh, route, rule and the like");
    }
    let elsewhere = ["netns", "link-netns", "link-netnsid"];
    if let Some(at) = words.iter().position(|word| elsewhere.contains(word)) {
        return refused(
            at,
            "a case may not reach another namespace",
            "a device of the trial's own namespace",
        );
    }
    let verb = words.get(object + 1).copied().unwrap_or("");
    let named = words.iter().skip(object + 2).position(|word| matches!(*word, "eth0" | "group"));
    match named {
        Some(at) if begins(name, "link") && begins(verb, "delete") => refused(
            object + 2 + at,
            "eth0 is the wire of the trial: it cannot be deleted",
            "a device that the case made",
        ),
        _ => Ok(()),
    }
}

fn tc(words: &[&str], object: usize) -> Result<(), CommandProblem> {
    let name = words.get(object).copied().unwrap_or("");
    if begins(name, "exec") {
        return refused(object, "`tc exec` runs another program", "qdisc, class, filter");
    }
    Ok(())
}

/// `-f`, `--file`, `-i`, `--interactive`, `-I`, `--includepath`, also among other letters; `include "…"`.
fn reads_a_file(word: &str) -> bool {
    let letters = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
    letters.is_some_and(|letters| letters.contains(['f', 'i', 'I']))
        || ["--f", "--in"].iter().any(|option| word.starts_with(option))
        || word.contains("include")
}

/// Whether a word is an abbreviation of a name, or the name.
fn begins(word: &str, name: &str) -> bool {
    !word.is_empty() && name.starts_with(word)
}

#[cfg(test)]
mod tests {
    use super::stays_inside;
    use rstest::rstest;

    #[rstest]
    #[case::a_setting_of_the_kernel("sysctl -w kernel.hostname=evil", 2, "belongs to the machine")]
    #[case::a_setting_of_memory("sysctl vm.swappiness=61", 1, "belongs to the machine")]
    #[case::out_of_net_by_slashes("sysctl -w net/../kernel/hostname=evil", 2, "belongs to the machine")]
    #[case::out_of_net_by_dots("sysctl -w net.//.kernel.hostname=evil", 2, "belongs to the machine")]
    #[case::a_pattern("sysctl -w net.netfilter.nf_hooks*=1", 2, "belongs to the machine")]
    #[case::a_setting_of_all_namespaces("sysctl -w net.core.rmem_max=1", 2, "the whole machine")]
    #[case::the_same_with_slashes("sysctl -w net/ipv4/tcp_mem=1", 2, "the whole machine")]
    #[case::a_file_of_settings("sysctl -p", 1, "not for a case")]
    #[case::a_namespace_with_a_name("ip netns add wpx", 1, "leaves the namespace")]
    #[case::shortened("ip net exec wpx ip link", 1, "leaves the namespace")]
    #[case::behind_an_option("ip -4 netns exec wpx ls", 2, "leaves the namespace")]
    #[case::behind_an_option_with_a_value("ip -f inet netns list", 3, "leaves the namespace")]
    #[case::another_namespace("ip -n wpx link show", 1, "leaves the namespace")]
    #[case::another_namespace_of_tc("tc -netns wpx qdisc show", 1, "leaves the namespace")]
    #[case::a_program_in_a_vrf("ip vrf exec v ls", 1, "leaves the namespace")]
    #[case::a_program_by_tc("tc exec bpf import x run ls", 1, "another program")]
    #[case::commands_of_a_file("ip -batch commands", 1, "other files")]
    #[case::rules_of_a_file("nft -f rules", 1, "other files")]
    #[case::a_device_moved("ip link set dev eth0 netns 1", 5, "another namespace")]
    #[case::a_veth_into_another("ip link add a type veth peer name b netns 1", 9, "another namespace")]
    #[case::the_wire("ip link del eth0", 3, "the wire of the trial")]
    #[case::the_wire_in_short("ip l d dev eth0", 4, "the wire of the trial")]
    #[case::the_wire_with_its_group("ip link delete group default", 3, "the wire of the trial")]
    fn what_leads_out_is_refused_where_it_stands(
        #[case] text: &str,
        #[case] word: usize,
        #[case] says: &str,
    ) {
        let words: Vec<_> = text.split(' ').collect();
        let problem = stays_inside(&words).expect_err(text);
        assert_eq!(problem.word_index, word, "{}", problem.message);
        assert!(problem.message.contains(says), "{}", problem.message);
        assert!(!problem.expected.is_empty());
    }

    #[rstest]
    #[case::a_setting_of_a_device("sysctl -w net.ipv4.conf.eth0.arp_notify=1")]
    #[case::with_slashes("sysctl net/ipv4/neigh/eth0/mcast_solicit=2")]
    #[case::neighbours_in_short("ip n add 192.0.2.9 dev eth0 lladdr 02:00:00:00:00:09")]
    #[case::a_neighbour("ip neigh del 192.0.2.9 dev eth0")]
    #[case::colour("ip -br link show eth0")]
    #[case::a_device_that_the_case_made("ip link del dummy0")]
    #[case::a_device_set_down("ip link set dev eth0 down")]
    #[case::rules("nft add rule ip filter output counter")]
    #[case::a_limit("ethtool -K eth0 tx off")]
    fn what_stays_is_taken(#[case] text: &str) {
        let words: Vec<_> = text.split(' ').collect();
        assert_eq!(stays_inside(&words), Ok(()));
    }
}
