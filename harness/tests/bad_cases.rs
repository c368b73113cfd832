//! Cases that are wrong: each is refused where it is wrong, with what would be right, before anything runs.
//!
//! The files of `fixtures/bad-cases` say in their last lines what must be reported, `# error LINE:COLUMN words | words`,
//! with `@FILE` behind it when it is found in an included file.

use harness::case::load;
use rstest::rstest;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/bad-cases")
}

/// What `wireproof check` says of a path, which must be nothing but an exit status of 2 and a message. What grows without measure
/// takes far longer than a busy machine is slow.
fn refused(path: &Path) -> String {
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_wireproof")).arg("check").arg(path).output().unwrap();
    let took = began.elapsed();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{}: {said}", path.display());
    assert!(output.stdout.is_empty(), "{}", path.display());
    assert!(took < Duration::from_secs(20), "{} took {took:?}", path.display());
    assert!(!said.contains('\x1b') && !said.contains("panicked"), "{said}");
    said
}

/// The report without its frame: words that are wrapped are together again.
fn plain(said: &str) -> String {
    let words: Vec<_> =
        said.split(|c: char| c.is_whitespace() || "│·".contains(c)).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

fn wanted(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# error ")).collect()
}

#[test]
fn every_bad_case_is_refused_where_it_is_wrong() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('_') {
            continue;
        }
        seen += 1;
        let text = fs::read_to_string(&path).unwrap();
        let said = plain(&refused(&path));
        let problems = load(std::slice::from_ref(&path)).unwrap_err();
        let wanted = wanted(&text);
        assert!(!wanted.is_empty(), "{name} does not say what is wrong with it");
        for problem in problems.iter().filter(|problem| !problem.has_help()) {
            wrong.push(format!("{name}: no help for {problem}"));
        }
        if problems.len() != wanted.len() {
            wrong.push(format!("{name}: {} problems instead of {}: {said}", problems.len(), wanted.len()));
        }
        for line in wanted {
            let (line, file) = line.split_once(" @").unwrap_or((line, &name));
            let (place, words) = line.split_once(' ').unwrap();
            let missing = words.split(" | ").find(|words| !said.contains(words));
            if !said.contains(&format!("{file}:{place}]")) || missing.is_some() {
                wrong.push(format!("{name}: not at {file}:{place}, or without {missing:?}: {said}"));
            }
        }
    }
    assert!(seen > 60, "only {seen} bad cases were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A lab is described in a file as well; it is read before any port is looked at.
#[test]
fn every_bad_lab_is_refused_where_it_is_wrong() {
    let folder = fixtures().join("../bad-labs");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let output = Command::new(env!("CARGO_BIN_EXE_wireproof"))
            .args(["run", "--rig", "linux", "--lab"])
            .arg(&path)
            .arg(fixtures().join("../../cases/udp/one_datagram.yaml"))
            .output()
            .unwrap();
        let said = plain(&String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        let text = fs::read_to_string(&path).unwrap();
        for line in wanted(&text) {
            seen += 1;
            let (place, words) = line.split_once(' ').unwrap();
            let missing = words.split(" | ").find(|words| !said.contains(words));
            assert!(said.contains(&format!("{name}:{place}]")), "{name} at {place}: {said}");
            assert!(missing.is_none() && said.contains("help:"), "{name} without {missing:?}: {said}");
        }
    }
    assert!(seen > 10, "only {seen} bad labs were found");
}

const GOOD: &str = "about: A case.\nsteps:\n  - wait: 1s\n";

#[rstest]
#[case::a_list_in_a_list_in_a_list("[", "nested more than 64 deep")]
#[case::a_mapping_in_a_mapping("{a: ", "nested more than 64 deep")]
#[case::a_list_of_lists_in_block_style("- ", "nested more than 64 deep")]
fn a_nesting_of_10_000_is_refused(#[case] piece: &str, #[case] words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.yaml");
    fs::write(&path, format!("about: Deep.\nsteps:\n  {}", piece.repeat(10_000))).unwrap();
    assert!(plain(&refused(&path)).contains(words), "{}", refused(&path));
}

#[rstest]
#[case::fifty_mebibytes_of_a_comment(50 << 20, "has 50 MiB; the limit for a case is 1 MiB")]
#[case::a_byte_more_than_the_limit((1 << 20) + 1, "the limit for a case is 1 MiB")]
fn a_large_file_is_refused_by_its_size(#[case] bytes: usize, #[case] words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.yaml");
    let mut text = format!("{GOOD}#");
    text.extend(std::iter::repeat_n('x', bytes - text.len()));
    fs::write(&path, text).unwrap();
    let said = plain(&refused(&path));
    assert!(said.contains(words) && said.contains("large.yaml:1:1]"), "{said}");
    assert!(said.contains("1 about: A case.") && said.contains("help: make several cases"), "{said}");
}

#[rstest]
#[case::an_empty_file(b"", "the file is empty", ":1:1]")]
#[case::nothing_but_comments(b"# nothing\n", "the file is empty", ":1:1]")]
#[case::bytes_that_are_not_utf8(b"about: \xff\xfe\nsteps: []\n", "this is not UTF-8", ":1:8]")]
#[case::a_null_byte(b"about: \0\n", "this is not YAML", ":1:8]")]
fn a_file_that_is_not_even_yaml(#[case] bytes: &[u8], #[case] words: &str, #[case] place: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.yaml");
    fs::write(&path, bytes).unwrap();
    let said = plain(&refused(&path));
    assert!(said.contains(words) && said.contains(place), "{said}");
}

#[rstest]
#[case::brackets_without_end("about: Deep.\nsteps: ", &"[".repeat(100_000), "", ":2:72]", "2 …[[[[")]
#[case::a_key_of_100_kb("about: A case.\nsteps:\n  - ", &"k".repeat(100_000), ": 1\n", ":3:100005]", "kkk: 1")]
#[case::a_key_that_yaml_takes("about: A case.\nsteps:\n  - ", &"k".repeat(1_000), ": 1\n", ":3:5]", "3 - kkkk")]
#[case::far_in_the_line("about: A case.\nsteps: [{wait: 1s}, ", &"{wait: 1s}, ".repeat(5_000), "{wait: long}]\n",
    ":2:60028]", "{wait: 1s}, {wait: long}]")]
#[case::a_long_line_beside_it("about: A case.\nsteps: []\n# ", &"x".repeat(100_000), "", ":2:8]", "2 steps: []")]
#[case::nothing_but_one_long_line("", &"é".repeat(100_000), "", ":1:1]", "1 ééé")]
fn of_a_very_long_line_the_part_that_is_wrong_is_shown(
    #[case] begins: &str,
    #[case] middle: &str,
    #[case] ends: &str,
    #[case] place: &str,
    #[case] line: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.yaml");
    fs::write(&path, format!("{begins}{middle}{ends}")).unwrap();
    let shown = refused(&path);
    let said = plain(&shown);
    assert!(said.contains(place) && said.contains(line) && said.contains("help: "), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 130), "{shown}");
    assert!(shown.lines().any(|line| line.contains("╰── ")), "nothing points at it: {shown}");
}

#[test]
fn a_file_that_is_not_there() {
    let said = plain(&refused(Path::new("no/such/case.yaml")));
    assert!(said.contains("cannot read `no/such/case.yaml`"), "{said}");
}

#[test]
fn a_folder_without_cases() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("_only_included.yaml"), GOOD).unwrap();
    fs::write(folder.path().join("notes.txt"), "no case").unwrap();
    let said = plain(&refused(folder.path()));
    assert!(said.contains("there is no case in"), "{said}");
}

#[test]
fn one_bad_file_among_good_ones_refuses_them_all() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("good.yaml"), GOOD).unwrap();
    fs::write(folder.path().join("bad.yaml"), "about: Bad.\nsteps:\n  - wait: long\n").unwrap();
    fs::write(folder.path().join("worse.yaml"), "about: Worse.\nstep: 1\n").unwrap();
    let said = plain(&refused(folder.path()));
    assert!(said.contains("bad.yaml:3:11]") && said.contains("worse.yaml:2:1]"), "{said}");
}

/// How long reading takes until a file of so many short lines is refused: the least of three, which a busy machine spoils least.
fn time_to_refuse(lines: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.yaml");
    fs::write(&path, format!("about: Many.\nsteps:\n{}", "-\n".repeat(lines))).unwrap();
    let once = |_| {
        let start = Instant::now();
        assert!(plain(&refused(&path)).contains("more than 100000 nodes"));
        start.elapsed()
    };
    (0..3).map(once).min().unwrap()
}

#[test]
fn what_short_lines_cost_grows_with_their_number_and_not_with_its_square() {
    let (few, many) = (time_to_refuse(110_000), time_to_refuse(500_000));
    assert!(many < few * 12, "less than five times the lines took {many:?}, and not {few:?}");
}

#[rstest]
#[case::texts_repeated(
    "  - repeat: {times: 10000, steps: [{send: {socket: s, payload: TEXT}}]}\n",
    "this case is too large"
)]
#[case::texts_in_texts("  - run: \"VARIABLES\"\n", "the `${…}` of one row make more than 4 MiB")]
#[case::thousands_of_unknown_steps("UNKNOWN", "and 75 more problems")]
fn what_grows_when_it_is_expanded_is_refused(#[case] steps: &str, #[case] words: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grows.yaml");
    let steps = steps
        .replace("TEXT", &format!("\"{}\"", "x".repeat(500_000)))
        .replace("VARIABLES", &"${x}".repeat(100_000))
        .replace("UNKNOWN", &"  - unknown: {socket: s}\n".repeat(15_000));
    let matrix = format!("{{x: [{}]}}", "y".repeat(1_000));
    fs::write(
        &path,
        format!("about: A case.\nmatrix: {matrix}\nsteps:\n  - socket: {{as: s, type: udp}}\n{steps}"),
    )
    .unwrap();
    let said = plain(&refused(&path));
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_text_that_many_aliases_stand_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aliases.yaml");
    let aliases = "*a, ".repeat(50_000);
    fs::write(&path, format!("about: &a \"{}\"\nrefs: [{aliases}]\n", "x".repeat(500_000))).unwrap();
    assert!(plain(&refused(&path)).contains("or 8 MiB, aliases expanded"));
}
