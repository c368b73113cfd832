//! `wireproof show CASE`: the last run of a case, from what it left.

use super::CANNOT;
use super::args::ShowArguments;
use crate::capture;
use crate::case::name_of_file;
use crate::report::output::{Output, complain, printable};
use crate::report::{ladder, missing};
use crate::run::artifacts::{EPOCH, JOURNEY, RESULT, WIRE, file_name};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

/// Shows every row of a case that was run last, or the one that is named.
///
/// # Errors
/// When what a run left cannot be read, or nothing can be printed.
pub fn run(arguments: &ShowArguments) -> io::Result<u8> {
    let base = arguments.out.join(arguments.rig.name());
    let (case, row) = match arguments.case.split_once('[') {
        Some((case, row)) => (case, Some(row.trim_end_matches(']'))),
        None => (arguments.case.as_str(), None),
    };
    let folder = base.join(case_name(case));
    let folders = match row {
        Some(row) => vec![folder.join(file_name(row))],
        None => rows(&folder)?,
    };
    let folders: Vec<_> = folders.into_iter().filter(|folder| folder.join(RESULT).is_file()).collect();
    if folders.is_empty() {
        let (case, rig, out) = (&arguments.case, arguments.rig.name(), arguments.out.display());
        complain(&format!(
            "no run of {case} on {rig} is kept below {out}\nrun it with: wireproof run --rig {rig} --filter '{case}'"
        ));
        return Ok(CANNOT);
    }
    let mut out = Output::new(io::stdout().lock());
    for folder in folders {
        let mut text = Vec::new();
        show(&mut text, &folder)?;
        out.put(&printable(&String::from_utf8_lossy(&text)))?;
    }
    Ok(0)
}

/// The name of a case that was given by its name or, as `run` takes it, by its file.
fn case_name(case: &str) -> String {
    match case.strip_suffix(".yaml") {
        Some(_) if Path::new(case).is_file() => name_of_file(Path::new(case)),
        Some(name) => name.to_owned(),
        None => case.to_owned(),
    }
}

/// The folder of a case, and those of its rows, in the order of their names.
fn rows(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = vec![folder.to_owned()];
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                folders.push(entry?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    folders.sort();
    Ok(folders)
}

fn show(out: &mut impl io::Write, folder: &Path) -> io::Result<()> {
    let result: Value = serde_json::from_slice(&std::fs::read(folder.join(RESULT))?)?;
    let text = |key: &str| result[key].as_str().unwrap_or_default().trim().to_owned();
    writeln!(out, "{} on {}: {}", text("case"), text("rig"), text("result"))?;
    writeln!(out, "{}", text("about"))?;
    if !text("why").is_empty() {
        writeln!(out, "why: {}", text("why"))?;
    }
    for detail in result["details"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        writeln!(out, "  {detail}")?;
    }
    let wire = capture::read::read(&folder.join(WIRE), EPOCH, None).map_err(io::Error::other)?;
    writeln!(
        out,
        "\nthe wire (→ from the system under test, ← to it):\n{}",
        ladder::ladder(&wire).trim_end()
    )?;
    if let Ok(journey) = capture::journal::read(&folder.join(JOURNEY)) {
        writeln!(out, "\njourneys:")?;
        for packet in &journey.packets {
            write!(out, "{}", missing::packet_text(packet, &journey))?;
        }
    }
    let counters = result["counters"].as_object();
    if counters.is_some_and(|counters| !counters.is_empty()) {
        writeln!(out, "\ncounters since the first step:")?;
    }
    for (source, values) in counters.into_iter().flatten() {
        for (key, value) in values.as_object().into_iter().flatten() {
            writeln!(out, "  {source:<9} {key:<32} {value}")?;
        }
    }
    writeln!(out, "\ncapture: {}\n", folder.join(WIRE).display())
}

#[cfg(test)]
mod tests {
    use super::case_name;
    use rstest::rstest;

    #[rstest]
    #[case::by_its_name("udp/one_datagram", "udp/one_datagram")]
    #[case::by_its_file_below_the_cases("udp/one_datagram.yaml", "udp/one_datagram")]
    #[case::by_the_path_that_run_takes("../cases/udp/one_datagram.yaml", "udp/one_datagram")]
    #[case::by_a_whole_path(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../cases/udp/one_datagram.yaml"),
        "udp/one_datagram"
    )]
    fn a_case_is_named_by_its_path_too(#[case] given: &str, #[case] name: &str) {
        // Tests are run in the folder of their package.
        assert_eq!(case_name(given), name);
    }
}
