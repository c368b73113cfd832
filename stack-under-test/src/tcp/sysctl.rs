//! Writing `net.ipv4.tcp_*`: names and ranges of Linux 6.12 (ip-sysctl.rst).

use super::cong::CongestionControl;
use crate::sysctl::TcpSysctl;

/// What became of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It holds.
    Set,
    /// The kernel would not take this value.
    Invalid,
    /// Nothing here reads it.
    Unknown,
}

fn three(value: &str) -> Option<[u32; 3]> {
    let mut numbers = value.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(a)), Some(Ok(b)), Some(Ok(c)), None) => Some([a, b, c]),
        _ => None,
    }
}

impl TcpSysctl {
    /// Sets one by its name without `tcp_`.
    pub(crate) fn write(&mut self, name: &str, value: &str) -> Written {
        self.try_write(name, value)
            .map_or(Written::Invalid, |known| if known { Written::Set } else { Written::Unknown })
    }

    /// `None` for a value that cannot be; `false` for a name that is not known.
    fn try_write(&mut self, name: &str, value: &str) -> Option<bool> {
        let number = value.parse::<u32>().ok();
        let byte = number.and_then(|number| u8::try_from(number).ok());
        let flag = number.filter(|number| *number <= 1).map(|number| number == 1);
        match name {
            "timestamps" => self.timestamps = number.filter(|number| *number <= 2)? != 0,
            "sack" => self.sack = flag?,
            "dsack" => self.dsack = flag?,
            "window_scaling" => self.window_scaling = flag?,
            "ecn" => self.ecn = byte.filter(|byte| *byte <= 2)?,
            "early_retrans" => self.early_retrans = byte.filter(|byte| *byte <= 4)?,
            "rto_min_us" => self.rto_min_us = number.filter(|number| *number > 0)?,
            "moderate_rcvbuf" => self.moderate_rcvbuf = flag?,
            "min_tso_segs" => self.min_tso_segs = number.filter(|number| (1..=255).contains(number))?,
            "slow_start_after_idle" => self.slow_start_after_idle = flag?,
            "syn_retries" => self.syn_retries = byte.filter(|byte| (1..=127).contains(byte))?,
            "syn_linear_timeouts" => self.syn_linear_timeouts = byte.filter(|byte| *byte <= 127)?,
            "synack_retries" => self.synack_retries = byte?,
            "retries2" => self.retries2 = byte?,
            "orphan_retries" => self.orphan_retries = byte?,
            "max_orphans" => self.max_orphans = number?,
            "fin_timeout" => self.fin_timeout = number?,
            "keepalive_time" => self.keepalive_time = number?,
            "keepalive_intvl" => self.keepalive_intvl = number?,
            "keepalive_probes" => self.keepalive_probes = byte?,
            "tw_reuse" => self.tw_reuse = byte.filter(|byte| *byte <= 2)?,
            "max_tw_buckets" => self.max_tw_buckets = number?,
            "rfc1337" => self.rfc1337 = flag?,
            "reordering" => self.reordering = number?,
            "frto" => self.frto = number? != 0,
            "invalid_ratelimit" => self.invalid_ratelimit_ms = number?.into(),
            "rmem" => self.rmem = three(value)?,
            "notsent_lowat" => self.notsent_lowat = number?,
            "wmem" => self.wmem = three(value)?,
            "congestion_control" => self.congestion_control = CongestionControl::named(value)?.name(),
            _ => return Some(false),
        }
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::a_flag("sack", "0", Written::Set)]
    #[case::a_flag_that_is_none("sack", "2", Written::Invalid)]
    #[case::three_numbers("rmem", "4096 131072 6291456", Written::Set)]
    #[case::two_numbers("rmem", "4096 131072", Written::Invalid)]
    #[case::an_algorithm("congestion_control", "cubic", Written::Set)]
    #[case::one_that_is_not_here("congestion_control", "bbr", Written::Invalid)]
    #[case::what_nothing_reads("autocorking", "1", Written::Unknown)]
    fn a_setting_is_written(#[case] name: &str, #[case] value: &str, #[case] became: Written) {
        assert_eq!(TcpSysctl::default().write(name, value), became);
    }
}
