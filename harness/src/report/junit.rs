//! Results for CI: `--junit FILE`.

use super::human::in_full;
use crate::case::model::RigKind;
use crate::run::Verdict;
use crate::run::pool::{Entry, NOT_RUN};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::io;
use std::path::Path;

/// Writes the results of a run on one rig.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, rig: RigKind, entries: &[Entry]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut suite = TestSuite::new(rig.name());
    suite.add_test_cases(entries.iter().map(test_case));
    let mut report = Report::new("wireproof");
    report.add_test_suite(suite);
    let unwritten =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()));
    let file = std::fs::File::create(path).map_err(unwritten)?;
    report.serialize(file).map_err(|error| unwritten(io::Error::other(error)))
}

fn test_case(entry: &Entry) -> TestCase {
    let status = match &entry.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Skip(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(why.as_str());
            status
        }
        Verdict::Inconclusive(why) if why == NOT_RUN => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(NOT_RUN);
            status
        }
        Verdict::Inconclusive(why) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(format!("inconclusive: {why}"));
            status
        }
        Verdict::Fail(failure) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(failure.message.as_str()).set_description(in_full(&entry.shown, failure));
            status
        }
    };
    let mut case = TestCase::new(entry.name.as_str(), status);
    let folder = entry.name.split_once('/').map_or("", |(folder, _)| folder);
    case.set_classname(format!("{}.{folder}", entry.rig.name())).set_time(entry.took);
    for why in &entry.earlier {
        case.add_property(("inconclusive, and run again", why.as_str()));
    }
    for (reason, count) in &entry.skipped_checks {
        let text = format!("{count}: {reason}");
        case.add_property(("skipped checks", text.as_str()));
    }
    case
}
