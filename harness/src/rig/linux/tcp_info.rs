//! `TCP_INFO` of a socket: `struct tcp_info` of the kernel's uapi `linux/tcp.h`, field by field.

use super::ioctl;
use crate::case::symbols::TCP_STATES;
use crate::rig::{Reading, Readings, RigError};
use guest::readings::TCP_CA_STATES;
use nix::libc;
use std::os::fd::OwnedFd;

/// Bytes of the structure up to the last field that is read (Linux 6.7 has more).
const SIZE: usize = 240;

/// Name without `tcpi_`, offset, size in bytes. The two window scales share the byte 6, and two states are text.
const FIELDS: &[(&str, usize, usize)] = &[
    ("retransmits", 2, 1),
    ("probes", 3, 1),
    ("backoff", 4, 1),
    ("options", 5, 1),
    ("rto", 8, 4),
    ("ato", 12, 4),
    ("snd_mss", 16, 4),
    ("rcv_mss", 20, 4),
    ("unacked", 24, 4),
    ("sacked", 28, 4),
    ("lost", 32, 4),
    ("retrans", 36, 4),
    ("last_data_sent", 44, 4),
    ("last_data_recv", 52, 4),
    ("last_ack_recv", 56, 4),
    ("pmtu", 60, 4),
    ("rcv_ssthresh", 64, 4),
    ("rtt", 68, 4),
    ("rttvar", 72, 4),
    ("snd_ssthresh", 76, 4),
    ("snd_cwnd", 80, 4),
    ("advmss", 84, 4),
    ("reordering", 88, 4),
    ("rcv_rtt", 92, 4),
    ("rcv_space", 96, 4),
    ("total_retrans", 100, 4),
    ("bytes_acked", 120, 8),
    ("bytes_received", 128, 8),
    ("segs_out", 136, 4),
    ("segs_in", 140, 4),
    ("notsent_bytes", 144, 4),
    ("min_rtt", 148, 4),
    ("data_segs_in", 152, 4),
    ("data_segs_out", 156, 4),
    ("delivered", 192, 4),
    ("delivered_ce", 196, 4),
    ("bytes_sent", 200, 8),
    ("bytes_retrans", 208, 8),
    ("dsack_dups", 216, 4),
    ("reord_seen", 220, 4),
    ("rcv_ooopack", 224, 4),
    ("snd_wnd", 228, 4),
    ("rcv_wnd", 232, 4),
];

/// The fields that the kernel fills, times in microseconds or milliseconds as it gives them.
///
/// # Errors
/// [`RigError::Broken`] when the socket has none.
pub fn read(socket: &OwnedFd) -> Result<Readings, RigError> {
    let mut bytes = [0; SIZE];
    let length = ioctl::get_option(socket, libc::IPPROTO_TCP, libc::TCP_INFO, &mut bytes)
        .map_err(|e| RigError::Broken(format!("TCP_INFO: {e:?}")))?;
    Ok(readings(&bytes[..length]))
}

/// The fields that these bytes have.
fn readings(bytes: &[u8]) -> Readings {
    let number = |at: usize, size: usize| {
        let field = bytes.get(at..at + size)?;
        Some(field.iter().rev().fold(0, |n, byte| n << 8 | i64::from(*byte)))
    };
    let mut readings: Readings = FIELDS
        .iter()
        .filter_map(|&(name, at, size)| Some((name.to_owned(), Reading::Number(number(at, size)?))))
        .collect();
    let byte = |at: usize| usize::from(bytes.get(at).copied().unwrap_or(0));
    let name = |names: &[&str], at: Option<usize>| {
        Reading::Text((*at.and_then(|at| names.get(at)).unwrap_or(&"UNKNOWN")).to_owned())
    };
    readings.insert("state".to_owned(), name(TCP_STATES, byte(0).checked_sub(1)));
    readings.insert("ca_state".to_owned(), name(TCP_CA_STATES, Some(byte(1))));
    for (key, scale) in [("snd_wscale", byte(6) & 15), ("rcv_wscale", byte(6) >> 4)] {
        readings.insert(key.to_owned(), Reading::Number(i64::try_from(scale).unwrap_or(0)));
    }
    readings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::symbols::TCP_INFO;

    #[test]
    fn every_field_that_a_case_can_name_is_read() {
        let all = readings(&[0; SIZE]);
        assert_eq!(all.len(), TCP_INFO.len());
        assert!(TCP_INFO.iter().all(|name| all.contains_key(*name)));
    }

    #[test]
    fn an_older_kernel_has_fewer_fields() {
        let mut bytes = [0; 104];
        (bytes[0], bytes[1], bytes[6], bytes[80]) = (1, 3, 0x79, 10);
        let all = readings(&bytes);
        assert_eq!(all.get("state"), Some(&Reading::Text("ESTABLISHED".to_owned())));
        assert_eq!(all.get("ca_state"), Some(&Reading::Text("Recovery".to_owned())));
        assert_eq!(all.get("snd_wscale"), Some(&Reading::Number(9)));
        assert_eq!(all.get("rcv_wscale"), Some(&Reading::Number(7)));
        assert_eq!(all.get("snd_cwnd"), Some(&Reading::Number(10)));
        assert_eq!(all.get("bytes_acked"), None);
    }
}
