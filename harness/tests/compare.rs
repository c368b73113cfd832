//! `wireproof compare` as people and scripts meet it, between a rig and itself.

use rstest::rstest;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const WIREPROOF: &str = env!("CARGO_BIN_EXE_wireproof");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn compare(arguments: &[&str]) -> Output {
    let out = tempfile::tempdir().unwrap();
    Command::new(WIREPROOF)
        .arg("compare")
        .args(arguments)
        .arg("--out")
        .arg(out.path())
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn a_rig_does_what_it_does() {
    let output = compare(&["--rig", "emu", "--rig", "emu"]);
    let lines = lines(&output);
    let others: Vec<_> =
        lines.iter().filter(|line| !line.starts_with("same  ") && !line.starts_with("skip  ")).collect();
    assert!(
        others.first().is_some_and(|line| line.contains(" same, 0 differ, 0 wrong on both")),
        "{others:?}"
    );
    assert!(lines.len() > 300, "{}", lines.len());
    assert_eq!(output.status.code(), Some(0), "{others:?}");
}

#[test]
fn a_case_that_no_rig_passes_is_wrong() {
    let output = compare(&["fixtures/wrong-cases", "--rig", "emu", "--rig", "emu", "--format", "json"]);
    let lines = lines(&output);
    assert!(!lines.is_empty());
    for line in &lines {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["result"], "wrong", "{line}");
        assert_eq!(object["rigs"], serde_json::json!(["emu#1", "emu#2"]), "{line}");
    }
    assert_eq!(output.status.code(), Some(1));
}

#[rstest]
#[case::one_rig(&["--rig", "emu"], "compare needs two rigs, not 1")]
#[case::a_rig_that_is_not_built(&["--rig", "emu", "--rig", "vfio"], "rig vfio: ")]
#[case::no_such_case(&["--rig", "emu", "--rig", "emu", "--filter", "no such"], "nothing ran")]
#[case::a_bad_case(&["fixtures/bad-cases/differs_in_no_field.yaml", "--rig", "emu", "--rig", "emu"], "no field")]
fn what_cannot_be_compared_is_told(#[case] arguments: &[&str], #[case] said: &str) {
    let output = compare(arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(said), "{text}");
    assert_eq!(output.status.code(), Some(2));
}
