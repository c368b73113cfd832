//! The units of `tc`: rates, sizes and times as iproute2 6.1 reads and rounds them (tc(8), PARAMETERS).

/// A number as `strtod(3)` reads it, and what follows it.
fn decimal(word: &str) -> Option<(f64, &str)> {
    let bytes = word.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = digits(0);
    let mut any = end;
    if bytes.get(end) == Some(&b'.') {
        let more = digits(end + 1);
        any += more;
        end += 1 + more;
    }
    if any == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let more = if end + 1 + sign <= bytes.len() { digits(end + 1 + sign) } else { 0 };
        if more > 0 {
            end += 1 + sign + more;
        }
    }
    Some((word[..end].parse().ok().filter(|n: &f64| n.is_finite())?, &word[end..]))
}

/// `kbit` … in bits a second: decimal and binary, compared without regard to case.
const RATE_UNITS: [(&str, f64); 19] = [
    ("", 1.0),
    ("bit", 1.0),
    ("kibit", 1024.0),
    ("kbit", 1000.0),
    ("mibit", 1_048_576.0),
    ("mbit", 1e6),
    ("gibit", 1_073_741_824.0),
    ("gbit", 1e9),
    ("tibit", 1_099_511_627_776.0),
    ("tbit", 1e12),
    ("bps", 8.0),
    ("kibps", 8.0 * 1024.0),
    ("kbps", 8e3),
    ("mibps", 8.0 * 1_048_576.0),
    ("mbps", 8e6),
    ("gibps", 8.0 * 1_073_741_824.0),
    ("gbps", 8e9),
    ("tibps", 8.0 * 1_099_511_627_776.0),
    ("tbps", 8e12),
];

/// A rate in bytes a second, cut to a whole number: `100kbit` (decimal), `1kibit`, `1kbps` (bytes). A bare number is in
/// bits a second.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "iproute2 cuts in the same way")]
pub fn rate(word: &str) -> Option<u64> {
    let (number, unit) = decimal(word)?;
    let (_, scale) = RATE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    Some((number * scale / 8.0) as u64)
}

/// A size in bytes, cut to a whole number: `1600`, `10k` and `10kb` (1,024), `1mb`, `1gb`, `1kbit` (1,024 bits).
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "iproute2 cuts in the same way")]
pub fn size(word: &str) -> Option<u32> {
    let (number, unit) = decimal(word)?;
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1024.0,
        "m" | "mb" => 1_048_576.0,
        "g" | "gb" => 1_073_741_824.0,
        "kbit" => 128.0,
        "mbit" => 131_072.0,
        "gbit" => 134_217_728.0,
        _ => return None,
    };
    let bytes = number * scale;
    (bytes <= f64::from(u32::MAX)).then_some(bytes as u32)
}

/// A time in microseconds, cut to a whole number: `1s`, `50ms`, `100us`; a bare number is in microseconds.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "iproute2 cuts in the same way")]
pub fn time(word: &str) -> Option<u32> {
    let (number, unit) = decimal(word)?;
    let scale = match unit.to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" => 1e6,
        "ms" | "msec" | "msecs" => 1e3,
        "" | "us" | "usec" | "usecs" => 1.0,
        _ => return None,
    };
    let us = number * scale;
    (us <= f64::from(u32::MAX)).then_some(us as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    // Read back from Linux 6.18 with `tc -j qdisc show` after `tc qdisc add … tbf rate WORD` (iproute2 6.1).
    #[rstest]
    #[case::a_bare_number_is_bits("1000", Some(125))]
    #[case::k_alone_is_not_a_rate("1k", None)]
    #[case::kbit_is_decimal("1kbit", Some(125))]
    #[case::kbps_is_bytes("1kbps", Some(1000))]
    #[case::kibit_is_binary("1kibit", Some(128))]
    #[case::case_does_not_matter("1Kibps", Some(1024))]
    #[case::mbps("1mbps", Some(1_000_000))]
    #[case::a_fraction_is_cut("1.2345kbit", Some(154))]
    #[case::an_exponent("1e3bit", Some(125))]
    #[case::no_number("kbit", None)]
    fn rates(#[case] word: &str, #[case] bytes: Option<u64>) {
        assert_eq!(rate(word), bytes);
    }

    #[rstest]
    #[case::bytes("1000", Some(1000))]
    #[case::k("1k", Some(1024))]
    #[case::kb("1kb", Some(1024))]
    #[case::kbit("1kbit", Some(128))]
    #[case::kib_is_unknown("1kib", None)]
    #[case::half("1.5k", Some(1536))]
    #[case::more_than_32_bits("5gb", None)]
    fn sizes(#[case] word: &str, #[case] bytes: Option<u32>) {
        assert_eq!(size(word), bytes);
    }

    #[rstest]
    #[case::microseconds("7", Some(7))]
    #[case::half_a_millisecond("0.5ms", Some(500))]
    #[case::seconds("1secs", Some(1_000_000))]
    #[case::minutes_are_unknown("1m", None)]
    fn times(#[case] word: &str, #[case] us: Option<u32>) {
        assert_eq!(time(word), us);
    }
}
