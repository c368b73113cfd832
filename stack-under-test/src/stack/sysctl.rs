//! `sysctl -w`: what a setting changes. A key that the stack knows but does not act on keeps its default, or is refused.

use super::Stack;
use crate::control::Refusal;
use crate::control::sysctl::Setting;
use crate::errno::Errno;
use crate::tcp::sysctl::Written;
use crate::time::Duration;
use alloc::format;
use alloc::string::String;

impl Stack {
    /// Sets one key.
    ///
    /// # Errors
    /// EINVAL for a value that the kernel would not take; EOPNOTSUPP, with what to do, for one that this stack does not
    /// act on.
    pub(crate) fn sysctl_write(&mut self, setting: &Setting) -> Result<(), Refusal> {
        let (key, value) = (setting.key.as_str(), setting.value.as_str());
        if let Some(name) = key.strip_prefix("net.ipv4.neigh.") {
            return match name.split_once('.') {
                Some(("eth0" | "default", name)) => self.neigh_sysctl(name, value),
                _ => Ok(()),
            };
        }
        if let Some(name) = key.strip_prefix("net.ipv4.tcp_") {
            match self.sysctl.tcp.write(name, value) {
                Written::Set => return Ok(()),
                Written::Unknown => return Self::pinned_only(key, value),
                Written::Invalid => {
                    let message = format!("setting key \"{key}\": Invalid argument");
                    return Err(Refusal::new(Errno::EINVAL, message));
                }
            }
        }
        if key.starts_with("net.ipv4.conf.") {
            return Self::pinned_only(key, value);
        }
        let bad = || Refusal::new(Errno::EINVAL, format!("setting key \"{key}\": Invalid argument"));
        let number = value.parse::<u32>().map_err(|_| bad());
        let sysctl = &mut self.sysctl;
        match key.strip_prefix("net.ipv4.").or_else(|| key.strip_prefix("net.core.")).unwrap_or(key) {
            "ip_default_ttl" => sysctl.ip_default_ttl = number?.try_into().map_err(|_| bad())?,
            "ip_no_pmtu_disc" => sysctl.ip_no_pmtu_disc = number? as u8,
            "ipfrag_time" => sysctl.ipfrag_time = number?,
            "ipfrag_high_thresh" => {
                sysctl.ipfrag_high_thresh =
                    number.ok().filter(|high| *high >= sysctl.ipfrag_low_thresh).ok_or_else(bad)?;
            }
            "ipfrag_low_thresh" => {
                sysctl.ipfrag_low_thresh =
                    number.ok().filter(|low| *low <= sysctl.ipfrag_high_thresh).ok_or_else(bad)?;
            }
            "ipfrag_max_dist" => sysctl.ipfrag_max_dist = number?,
            "icmp_ratelimit" => sysctl.icmp_ratelimit = Duration::from_millis(u64::from(number?)),
            "icmp_ratemask" => sysctl.icmp_ratemask = number?,
            "icmp_echo_ignore_all" => sysctl.icmp_echo_ignore_all = number? != 0,
            "icmp_echo_ignore_broadcasts" => sysctl.icmp_echo_ignore_broadcasts = number? != 0,
            "route.min_pmtu" => sysctl.min_pmtu = number?,
            "route.mtu_expires" => sysctl.mtu_expires = Duration::from_secs(u64::from(number?)),
            "somaxconn" => sysctl.tcp.somaxconn = number?,
            "wmem_default" => sysctl.wmem_default = number?,
            "rmem_default" => sysctl.rmem_default = number?,
            "wmem_max" => sysctl.wmem_max = number?,
            "rmem_max" => sysctl.rmem_max = number?,
            "ip_local_port_range" => {
                let mut ports = value.split_whitespace().map(str::parse::<u16>);
                match (ports.next(), ports.next()) {
                    (Some(Ok(low)), Some(Ok(high))) if 0 < low && low <= high => {
                        sysctl.ip_local_port_range = (low, high)
                    }
                    _ => return Err(bad()),
                }
            }
            _ => return Self::pinned_only(key, value),
        }
        Ok(())
    }

    /// A key that nothing in the stack reads yet can be set to what it is, and to nothing else.
    fn pinned_only(key: &str, value: &str) -> Result<(), Refusal> {
        let name = key.rsplit('.').next().unwrap_or(key);
        let is = INERT.iter().find(|(inert, _)| *inert == name).map(|(_, is)| *is);
        if is == Some(value) {
            return Ok(());
        }
        let stays = is.map_or_else(String::new, |is| format!("; it stays \"{is}\""));
        Err(Refusal::new(Errno::EOPNOTSUPP, format!("{key} is not acted on by this stack yet{stays}")))
    }
}

/// Settings whose one behaviour the stack has, by the last part of their names.
const INERT: &[(&str, &str)] = &[
    ("rp_filter", "0"),
    ("arp_ignore", "0"),
    ("arp_announce", "0"),
    ("arp_notify", "0"),
    ("arp_accept", "0"),
    ("arp_filter", "0"),
    ("accept_local", "0"),
    ("forwarding", "0"),
    ("ip_forward", "0"),
    ("route_localnet", "0"),
    ("log_martians", "0"),
    ("fwmark_reflect", "0"),
    ("ip_nonlocal_bind", "0"),
    ("icmp_msgs_per_sec", "1000"),
    ("icmp_msgs_burst", "50"),
    ("tcp_recovery", "1"),
    ("tcp_mtu_probing", "0"),
    ("tcp_adv_win_scale", "1"),
    ("tcp_autocorking", "1"),
    ("tcp_limit_output_bytes", "4194304"),
    ("tcp_pingpong_thresh", "1"),
    ("tcp_fastopen", "1"),
    ("tcp_syncookies", "1"),
    ("tcp_retries1", "3"),
    ("tcp_no_metrics_save", "1"),
    ("tcp_base_mss", "1024"),
    ("tcp_stdurg", "0"),
];
