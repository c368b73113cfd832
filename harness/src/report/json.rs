//! Results for machines: `--format json`, one object a line.

use crate::run::pool::Entry;

/// `{"case":…,"rig":…,"result":"pass|fail|skip|inconclusive","ms":…,"why":…}`, without a line end.
#[must_use]
pub fn line(entry: &Entry) -> String {
    let ms = (entry.took.as_secs_f64() * 1e6).round() / 1e3;
    serde_json::json!({
        "case": entry.name,
        "rig": entry.rig.name(),
        "result": entry.verdict.word(),
        "ms": ms,
        "why": entry.verdict.why(),
    })
    .to_string()
}
