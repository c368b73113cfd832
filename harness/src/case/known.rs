//! What QEMU's NIC does otherwise than an 82576, kept as data in `fixtures/qemu-differences.yaml`: the entries that a trial is
//! named in become deviations of it, as if its case listed them in `differs:`.

use super::differs::{differing, version};
use super::files::Files;
use super::model::{Differs, Extent, RigKind, Trial, UDP_SEGMENTS, Way};
use super::problem::{Problem, Problems, nearest};
use super::reader::{Fields, Read, Reader};
use super::shape::{KNOWN, RIGS, WAYS};
use super::yaml::{Kind, Node};
use std::path::{Path, PathBuf};

/// The folder of the suite that the file is about.
const SUITE: &str = "cases";
/// `cases:` of an entry that may show in any trial.
const EVERYWHERE: &str = "all";
/// The list, from the folder around the suite.
pub const FILE: &str = "fixtures/qemu-differences.yaml";

/// What the device's counters by size begin with.
const SIZES: &str = "sizes.";

/// Of any version: a lab may have a card in place of QEMU's igb.
const ON_QEMU: &str = "qemu >= 0";

/// A deviation, and the trials that it shows in.
struct Known {
    /// The rig is set for each of `rigs`.
    differs: Differs,
    rigs: Vec<RigKind>,
    /// The name of a trial, or of a case: then all of its rows. None: it may show in all.
    cases: Vec<Shows>,
}

/// Where a deviation shows, and how far it goes there.
struct Shows {
    at: Node,
    name: String,
    extent: Extent,
}

/// Adds what is known to the trials of a suite that it shows in. `paths` is where they were read from.
pub(super) fn add(trials: &mut [Trial], paths: &[PathBuf], files: &mut Files, problems: &mut Problems) {
    let Some(root) = trials.iter().find_map(root) else { return };
    let path = root.join(FILE);
    if !path.exists() {
        // Cases of somebody else have nothing beside them.
        if root.join("fixtures").is_dir() {
            let missing = Problem::new(format!("there is no `{}`", path.display())).help(
                "it says what QEMU's NIC does otherwise, and the suite fails on the qemu rig without it: get it from the repository, or make it `[]`",
            );
            problems.push(missing);
        }
        return;
    }
    let all = paths.iter().any(|path| path.is_dir() && path.file_name().is_some_and(|name| name == SUITE));
    match files.read(&path, None) {
        Ok((_, tree)) => add_of(&tree, trials, (all, Some(&root.join(SUITE))), problems),
        Err(list) => list.into_iter().for_each(|problem| problems.push(problem)),
    }
}

/// The folder around the suite that a trial is of.
fn root(trial: &Trial) -> Option<PathBuf> {
    let path = std::fs::canonicalize(&trial.file.path).ok().filter(|_| is_of_the_suite(trial))?;
    path.ancestors().nth(3).map(Path::to_path_buf)
}

/// Whether a trial is one of the suite, and not another one of the same name.
fn is_of_the_suite(trial: &Trial) -> bool {
    trial.file.path.ends_with(Path::new(SUITE).join(format!("{}.yaml", trial.case)))
}

/// Adds what stands in a file; `all`: these are all trials that there are, and who is not among them does not exist; `folder` is that of
/// the suite, where who is not among them may have a file.
fn add_of(tree: &Node, trials: &mut [Trial], (all, folder): (bool, Option<&Path>), problems: &mut Problems) {
    let known = read(tree, problems);
    for Known { differs, rigs, cases } in known {
        if differs.everywhere {
            for trial in trials.iter_mut().filter(|trial| is_of_the_suite(trial)) {
                trial.differs.extend(rigs.iter().map(|&rig| Differs { rig, ..differs.clone() }));
            }
        }
        for Shows { at, name, extent } in cases {
            let case = name.split('[').next().unwrap_or_default();
            let is_read = trials.iter().any(|trial| trial.case == case && is_of_the_suite(trial));
            let named =
                |trial: &&mut Trial| is_of_the_suite(trial) && (trial.case == name || trial.name() == name);
            let mut found = false;
            for trial in trials.iter_mut().filter(named) {
                found = true;
                if let Some(step) = differs.step.as_deref().filter(|step| !has(trial, step)) {
                    let what = format!("no step of {name} has the name `{step}`");
                    problems.push(Problem::at(&at.span, what).help("give it with `as:`"));
                }
                trial.differs.extend(rigs.iter().map(|&rig| Differs {
                    rig,
                    extent: extent.clone(),
                    ..differs.clone()
                }));
            }
            let is_there = folder.is_none_or(|folder| folder.join(format!("{case}.yaml")).is_file());
            if !found && (all || is_read || !is_there) {
                let names: Vec<String> = trials.iter().map(Trial::name).collect();
                let near = nearest(&name, names.iter().map(String::as_str));
                let help = near
                    .map_or("`wireproof list` has all".to_owned(), |near| format!("did you mean `{near}`?"));
                problems.push(Problem::at(&at.span, format!("there is no trial `{name}`")).help(help));
            }
        }
    }
}

fn has(trial: &Trial, step: &str) -> bool {
    trial.steps.iter().any(|s| s.name.as_deref() == Some(step))
}

fn read(tree: &Node, problems: &mut Problems) -> Vec<Known> {
    let mut r = Reader::default();
    let items = r.list(tree, "a list of `{seen: …, because: …, field: …, cases: …}`").unwrap_or_default();
    let known = items.iter().filter_map(|item| entry(&mut r, item).ok()).collect();
    r.problems.iter().for_each(|problem| problems.push(problem.clone()));
    known
}

fn entry(r: &mut Reader, item: &Node) -> Read<Known> {
    let entry = r.fields(item, "a known difference", &[KNOWN])?;
    let seen = r.need(&entry, "seen").and_then(|node| version(r, node))?;
    let rigs = entry.get("rigs").map(|node| r.some_of(node, RIGS)).transpose()?;
    let rigs =
        rigs.map_or_else(|| vec![RigKind::Qemu], |names| names.into_iter().map(super::checks::rig).collect());
    let why = r.need(&entry, "because").and_then(|node| r.text(node))?.trim().to_owned();
    let step = entry.get("step").map(|node| r.word(node).map(str::to_owned)).transpose()?;
    let field = match r.need(&entry, "field")? {
        // Both are about the trial as a whole.
        node if [Some(UDP_SEGMENTS), Some("frame")].contains(&node.text()) => r.word(node)?.to_owned(),
        // The device's counters by size are of no source that a case could name.
        node if node.text().is_some_and(|text| text.starts_with(SIZES)) => r.word(node)?.to_owned(),
        node => differing(r, node, &entry)?,
    };
    let extent = extent(r, &entry)?;
    let cases = r.need(&entry, "cases")?;
    let everywhere = cases.text() == Some(EVERYWHERE);
    let sources: &[&str] = match extent {
        Extent::Times(_) => &["interrupts."],
        Extent::By(_) => &["ethtool.", SIZES],
        _ => &[],
    };
    let is_of_them = sources.iter().any(|source| field.starts_with(source));
    if everywhere == sources.is_empty() || everywhere && !is_of_them {
        let help = "`times:` is for a field `interrupts.…`, `by:` for one `ethtool.…` or `sizes.…`: what else may be anything in any trial \
                    would never be noticed";
        return r.wrong(cases, "`cases: all` with `times:` or `by:`, or the trials that it shows in", help);
    }
    if super::checks::is_empty(cases) {
        return r.wrong(
            cases,
            "the trials that it shows in",
            "an entry that shows in none is stale: take it out",
        );
    }
    let cases = match &cases.kind {
        _ if everywhere => Vec::new(),
        Kind::Map(rows) => rows
            .iter()
            .map(|(name, value)| {
                let is = Extent::Is(values(r, value)?);
                Ok(Shows { at: name.clone(), name: r.text(name)?.to_owned(), extent: is })
            })
            .collect::<Read<Vec<_>>>()?,
        _ => r
            .list(cases, "names of trials, or these with the values that they have")?
            .iter()
            .map(|name| {
                Ok(Shows { at: name.clone(), name: r.text(name)?.to_owned(), extent: extent.clone() })
            })
            .collect::<Read<Vec<_>>>()?,
    };
    let differs = Differs {
        rig: RigKind::Qemu,
        when: Some(ON_QEMU.to_owned()),
        seen: Some(seen),
        step,
        field: Some(field),
        extent,
        everywhere,
        why,
    };
    Ok(Known { differs, rigs, cases })
}

/// How far an entry goes where it gives no values.
fn extent(r: &mut Reader, entry: &Fields<'_>) -> Read<Extent> {
    if let Some(node) = entry.get("lacks") {
        return Ok(Extent::Lacks(r.word(node)?.to_owned()));
    }
    if let Some(node) = entry.get("times") {
        return Ok(Extent::Times(r.number(node, 2, 16)?.unsigned_abs()));
    }
    let Some(node) = entry.get("by") else { return Ok(Extent::Any) };
    let word = r.one_of(node, WAYS)?;
    Ok(Way::NAMED.iter().find(|(name, _)| *name == word).map_or(Extent::Any, |(_, way)| Extent::By(*way)))
}

/// A value, or a list of those that follow one another, as they stand there, be they numbers or words.
fn values(r: &mut Reader, node: &Node) -> Read<Vec<String>> {
    let list = if let Kind::List(items) = &node.kind { items } else { std::slice::from_ref(node) };
    let text = |item: &Node| item.text().map(str::to_owned);
    match list.iter().map(text).collect() {
        Some(values) => Ok(values),
        None => r.wrong(node, "a value", "the one that the field has in this trial, or a list of several"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::model::SourceFile;
    use crate::case::yaml::parse;
    use rstest::rstest;
    use std::sync::Arc;

    fn added(text: &str, all: bool) -> (Vec<Trial>, String) {
        let folder = tempfile::tempdir().expect("there is room");
        let place = folder.path().join("cases/udp");
        std::fs::create_dir_all(&place).expect("there is room");
        let case =
            "about: A.\nmatrix: {n: [1, 2]}\nsteps:\n  - expect: {udp: {dst_port: \"${n}\"}, as: it}\n";
        std::fs::write(place.join("a.yaml"), case).expect("there is room");
        std::fs::write(place.join("b.yaml"), "").expect("there is room");
        let mut trials = crate::case::load(&[place.join("a.yaml")]).expect("it is right");
        let mut problems = Problems::default();
        let file = SourceFile { path: "known.yaml".into(), text: text.to_owned() };
        let tree = parse(&Arc::new(file)).expect("it is YAML");
        add_of(&tree, &mut trials, (all, Some(&folder.path().join("cases"))), &mut problems);
        (trials, problems.render(false))
    }

    #[rstest]
    #[case::a_row("[\"udp/a[n=2]\"]", "field: udp.dst_port", &[0, 1])]
    #[case::all_rows("[udp/a]", "field: udp.dst_port", &[1, 1])]
    #[case::with_a_value("{\"udp/a[n=1]\": 5}", "field: ethtool.tx_bytes", &[1, 0])]
    #[case::another_case_that_was_not_read("[udp/b]", "field: udp.dst_port", &[0, 0])]
    fn what_is_known_is_added_where_it_shows(
        #[case] cases: &str,
        #[case] field: &str,
        #[case] added_to: &[usize],
    ) {
        let text = format!("- {{seen: 10.0.2, because: Why., {field}, cases: {cases}}}\n");
        let (trials, said) = added(&text, false);
        assert_eq!(said, "");
        assert_eq!(trials.iter().map(|t| t.differs.len()).collect::<Vec<_>>(), added_to);
    }

    #[rstest]
    #[case::a_row_that_is_not_there(
        "field: udp.dst_port, cases: [\"udp/a[n=3]\"]",
        false,
        "there is no trial `udp/a[n=3]`"
    )]
    #[case::a_case_that_is_not_there(
        "field: udp.dst_port, cases: [udp/b]",
        true,
        "there is no trial `udp/b`"
    )]
    #[case::a_case_without_a_file("field: udp.dst_port, cases: [udp/c]", false, "there is no trial `udp/c`")]
    #[case::an_empty_list("field: udp.dst_port, cases: []", false, "an entry that shows in none is stale")]
    #[case::an_empty_map("field: ethtool.tx_bytes, cases: {}", false, "an entry that shows in none is stale")]
    #[case::a_condition(
        "when: linux >= 6.1, field: udp.dst_port, cases: [udp/a]",
        false,
        "has no key `when`"
    )]
    #[case::anything_anywhere("field: netdev.tx_packets, cases: all", false, "would never be noticed")]
    #[case::times_of_a_counter(
        "times: 2, field: netdev.tx_packets, cases: all",
        false,
        "`times:` is for a field"
    )]
    #[case::a_way_of_the_driver(
        "by: cut, field: netdev.tx_packets, cases: all",
        false,
        "`by:` for one `ethtool.…` or `sizes.…`"
    )]
    #[case::a_way_that_nobody_knows(
        "by: magic, field: ethtool.tx_packets, cases: all",
        false,
        "not one of: padding, cut, tag, fcs"
    )]
    #[case::a_way_in_some_trials(
        "by: cut, field: ethtool.tx_packets, cases: [udp/a]",
        false,
        "`cases: all` with"
    )]
    #[case::too_many_times("times: 1, field: interrupts.eth0, cases: all", false, "2")]
    #[case::a_field_that_is_not_there(
        "field: udp.dest, cases: [udp/a]",
        false,
        "there is no field `udp.dest`"
    )]
    #[case::a_step_that_is_not_there(
        "step: that, field: frame, cases: [udp/a]",
        false,
        "no step of udp/a has the name `that`"
    )]
    #[case::no_cases("field: udp.dst_port", false, "cases")]
    fn what_is_wrong_with_the_list_is_told(#[case] entry: &str, #[case] all: bool, #[case] told: &str) {
        let (_, said) = added(&format!("- {{seen: 10.0.2, because: Why., {entry}}}\n"), all);
        assert!(said.contains(told), "{said}");
    }

    #[rstest]
    #[case::of_another_program("linux 6.1", "the version of QEMU that it was seen on")]
    #[case::a_condition("qemu <= 10.0.2", "the version of QEMU that it was seen on")]
    #[case::nothing("\"\"", "the version of QEMU that it was seen on")]
    fn a_difference_was_seen_on_a_version(#[case] seen: &str, #[case] told: &str) {
        let entry = format!("- {{seen: {seen}, because: Why., field: udp.dst_port, cases: [udp/a]}}\n");
        let (trials, said) = added(&entry, false);
        assert!(said.contains(told) && trials.iter().all(|t| t.differs.is_empty()), "{said}");
    }

    #[rstest]
    #[case::interrupts("field: interrupts.eth0-TxRx-*, times: 2", Extent::Times(2))]
    #[case::by_the_frames("field: ethtool.tx_bytes, by: padding", Extent::By(Way::Padding))]
    #[case::by_the_frames_of_a_size("field: sizes.tx_*, by: cut", Extent::By(Way::Cut))]
    fn a_difference_that_may_show_anywhere_is_added_to_all(#[case] what: &str, #[case] extent: Extent) {
        let (trials, said) =
            added(&format!("- {{seen: 10.0.2, because: Why., {what}, cases: all}}\n"), false);
        assert_eq!(said, "");
        assert!(trials.iter().all(|t| t.differs.len() == 1 && t.differs[0].extent == extent));
    }

    #[test]
    fn a_suite_whose_list_is_gone_is_told_what_it_lacks() {
        let folder = tempfile::tempdir().expect("there is room");
        let place = folder.path().join("cases/udp");
        std::fs::create_dir_all(&place).expect("there is room");
        std::fs::write(place.join("a.yaml"), "about: A.\nsteps:\n  - wait: 1ms\n").expect("there is room");
        assert!(crate::case::load(std::slice::from_ref(&place)).is_ok(), "who has no fixtures has no list");
        std::fs::create_dir(folder.path().join("fixtures")).expect("there is room");
        let said = crate::case::load(&[place]).expect_err("it is gone").render(false);
        assert!(said.contains("qemu-differences.yaml") && said.contains("get it from"), "{said}");
    }
}
