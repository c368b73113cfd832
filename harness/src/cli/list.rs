//! `wireproof list [PATH…]` - the cases with what each covers and the rigs that it can run on.

use super::check::refuse;
use crate::case::load;
use crate::case::model::{RigKind, Trial};
use crate::case::rigs::Rigs;
use crate::report::output::{printable, put};
use serde_json::json;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

/// What `list` can be told.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Files or folders of cases.
    #[arg(value_name = "PATH", default_value = "cases")]
    pub paths: Vec<PathBuf>,
    /// Lines for people, or one JSON object a line.
    #[arg(long, value_enum, default_value_t = ListFormat::Human)]
    pub format: ListFormat,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ListFormat {
    /// Aligned columns.
    Human,
    /// One JSON object a line.
    Json,
}

/// Lists the cases. Exit status 2 when one of them is wrong.
///
/// # Errors
/// When nothing can be printed.
pub fn run(args: &ListArgs) -> io::Result<u8> {
    let trials = match load(&args.paths) {
        Ok(trials) => trials,
        Err(problems) => return Ok(refuse(&problems)),
    };
    let text = match args.format {
        ListFormat::Human => human(&trials),
        ListFormat::Json => json_lines(&trials),
    };
    put(&text).map(|()| 0)
}

/// The trials of each case; those of a case follow each other.
fn cases(trials: &[Trial]) -> impl Iterator<Item = &[Trial]> {
    trials.chunk_by(|a, b| a.case == b.case)
}

fn rigs(trial: &Trial) -> Vec<&'static str> {
    let all = || [RigKind::Emu, RigKind::Qemu, RigKind::Vfio, RigKind::Linux].map(RigKind::name).to_vec();
    trial.rigs.as_ref().map_or_else(all, Rigs::names)
}

fn human(trials: &[Trial]) -> String {
    let rows: Vec<[String; 5]> = cases(trials)
        .map(|case| {
            let first = &case[0];
            let about = first.about.split_whitespace().collect::<Vec<_>>().join(" ");
            let covers = first.covers.join(",");
            // Widths are of what is shown.
            [first.case.clone(), case.len().to_string(), rigs(first).join(","), covers, about]
                .map(|cell| printable(&cell).into_owned())
        })
        .collect();
    let head = ["CASE", "TRIALS", "RIGS", "COVERS", "ABOUT"];
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .chain([head[column].len()])
            .max()
            .unwrap_or(0)
            .min(60)
    };
    let widths: Vec<usize> = (0..4).map(width).collect();
    let mut out = String::new();
    for row in std::iter::once(&head.map(str::to_owned)).chain(&rows) {
        for (column, width) in widths.iter().enumerate() {
            let cell = &row[column];
            let _ =
                if column == 1 { write!(out, "{cell:>width$}  ") } else { write!(out, "{cell:<width$}  ") };
        }
        let _ = writeln!(out, "{}", row[4]);
    }
    out
}

fn json_lines(trials: &[Trial]) -> String {
    let mut out = String::new();
    for case in cases(trials) {
        let first = &case[0];
        let names: Vec<String> = case.iter().map(Trial::name).collect();
        let object = json!({
            "case": first.case,
            "trials": names,
            "rigs": rigs(first),
            "covers": first.covers,
            "refs": first.refs,
            "about": first.about,
            "file": first.file.path,
        });
        let _ = writeln!(out, "{object}");
    }
    out
}
