//! `sysctl -w net.ipv4.tcp_*`: the settings that TCP acts on. A new socket begins with them.

use super::Stack;
use alloc::vec::Vec;

/// What became of a value.
pub(super) enum Set {
    /// It holds from now on.
    Done,
    /// The kernel would not take it.
    Bad,
    /// Nothing in the stack reads this key.
    Unread,
}

impl Stack {
    /// Sets one key by its name without `net.ipv4.tcp_`. The range of a number was checked with the key.
    pub(super) fn tcp_sysctl(&mut self, name: &str, value: &str) -> Set {
        let tcp = &mut self.sysctl.tcp;
        if name == "congestion_control" {
            match ["reno", "cubic"].into_iter().find(|known| *known == value) {
                Some(known) => tcp.congestion_control = known,
                None => return Set::Bad,
            }
            return Set::Done;
        }
        if let "rmem" | "wmem" = name {
            let numbers: Vec<u32> = value.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            let Ok(three) = <[u32; 3]>::try_from(numbers) else { return Set::Bad };
            *(if name == "rmem" { &mut tcp.rmem } else { &mut tcp.wmem }) = three;
            return Set::Done;
        }
        let Ok(number) = value.trim().parse::<u32>() else { return Set::Bad };
        let byte = u8::try_from(number).unwrap_or(u8::MAX);
        match name {
            "timestamps" => tcp.timestamps = number != 0,
            "sack" => tcp.sack = number != 0,
            "dsack" => tcp.dsack = number != 0,
            "window_scaling" => tcp.window_scaling = number != 0,
            "moderate_rcvbuf" => tcp.moderate_rcvbuf = number != 0,
            "slow_start_after_idle" => tcp.slow_start_after_idle = number != 0,
            "rfc1337" => tcp.rfc1337 = number != 0,
            "ecn" => tcp.ecn = byte,
            "early_retrans" => tcp.early_retrans = byte,
            "syn_retries" => tcp.syn_retries = byte,
            "syn_linear_timeouts" => tcp.syn_linear_timeouts = byte,
            "synack_retries" => tcp.synack_retries = byte,
            "retries2" => tcp.retries2 = byte,
            "orphan_retries" => tcp.orphan_retries = byte,
            "keepalive_probes" => tcp.keepalive_probes = byte,
            "tw_reuse" => tcp.tw_reuse = byte,
            "keepalive_time" => tcp.keepalive_time = number,
            "keepalive_intvl" => tcp.keepalive_intvl = number,
            "fin_timeout" => tcp.fin_timeout = number,
            "rto_min_us" => tcp.rto_min_us = number,
            "reordering" => tcp.reordering = number,
            "min_tso_segs" => tcp.min_tso_segs = number,
            _ => return Set::Unread,
        }
        Set::Done
    }
}
