//! Results for machines: `--format json`, one object a line.

use crate::run::pool::Entry;

/// `{"case":…,"rig":…,"result":"pass|fail|skip|inconclusive","ms":…,"why":…}`, without a line end; in
/// real time with `"overhead_ms":…`, beyond the trial's own waits, and `"late_ms":…`, of the harness at worst; with
/// `"skipped_checks":{REASON:COUNT}` where the rig cannot make some; with `"earlier":[WHY]` where it was run again as it said nothing.
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
    if !entry.earlier.is_empty() {
        object["earlier"] = serde_json::json!(entry.earlier);
    }
    object.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::model::RigKind;
    use crate::run::Verdict;
    use crate::run::record::Record;
    use crate::run::timing::Timing;
    use std::time::Duration;

    fn entry() -> Entry {
        Entry {
            name: "c".to_owned(),
            rig: RigKind::Linux,
            verdict: Verdict::Pass,
            shown: String::new(),
            took: Duration::from_millis(150),
            skipped_checks: Default::default(),
            timing: None,
            earlier: Vec::new(),
        }
    }

    #[test]
    fn a_result_in_virtual_time_has_no_cost_of_real_time() {
        let line = line(&entry());
        assert_eq!(line, r#"{"case":"c","rig":"linux","result":"pass","ms":150.0,"why":""}"#);
    }

    #[test]
    fn a_result_in_real_time_says_what_it_cost_and_which_checks_were_left_out() {
        let timing = Some(Timing::of(&Record::default(), 41_000_000, (2_500_000, 0)));
        let skipped_checks = [("no NIC".to_owned(), 2)].into();
        let line = line(&Entry { timing, skipped_checks, earlier: vec!["late".to_owned()], ..entry() });
        let end =
            r#""why":"","overhead_ms":41.0,"late_ms":2.5,"skipped_checks":{"no NIC":2},"earlier":["late"]}"#;
        assert!(line.ends_with(end), "{line}");
    }
}
