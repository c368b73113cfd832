//! Results for machines: `--format json`, one object a line.

use crate::run::pool::Entry;

/// `{"case":…,"rig":…,"result":"pass|fail|skip|inconclusive","ms":…,"why":…}`, without a line end; in
/// real time with `"overhead_ms":…`, beyond the trial's own waits, and `"late_ms":…`, of the harness at worst; with
/// `"skipped_checks":{REASON:COUNT}` where the rig cannot make some.
#[must_use]
pub fn line(entry: &Entry) -> String {
    let ms = (entry.took.as_secs_f64() * 1e6).round() / 1e3;
    let mut object = serde_json::json!({
        "case": entry.name,
        "rig": entry.rig.name(),
        "result": entry.verdict.word(),
        "ms": ms,
        "why": entry.verdict.why(),
    });
    if let Some(timing) = &entry.timing {
        let ms = |nanos: u64| (nanos as f64 / 1e3).round() / 1e3;
        object["overhead_ms"] = ms(timing.overhead.iter().sum()).into();
        object["late_ms"] = ms(timing.late()).into();
    }
    if !entry.skipped_checks.is_empty() {
        object["skipped_checks"] = serde_json::json!(entry.skipped_checks);
    }
    object.to_string()
}
