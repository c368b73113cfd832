//! From paths to trials: every file, every row of its matrix, and all that is wrong with any of them.

use super::checks::Matrix;
use super::command::{CommandCheck, GRAMMAR};
use super::files::{Files, case_name, discover};
use super::model::Trial;
use super::problem::{Problem, Problems};
use super::reader::{Read, Reader};
use super::substitute::Variables;
use super::trial::{CASE_WEIGHT, TrialReader};
use super::value::Patterns;
use super::yaml::{Kind, Node};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows of a matrix.
pub const ROWS: usize = 1_000;
/// Rows of a matrix, times what the file weighs ([`Node::weight`]).
const ROWS_WEIGHT: usize = 32 << 20;
/// After so many rows with problems, no further row is read.
const BAD_ROWS: usize = 10;
/// Trials of a case times their steps.
const STEPS: usize = 200_000;

/// Reads all cases under these paths. Nothing is run.
///
/// # Errors
/// All that is wrong with any of the files; then no case counts as read.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Trial>, Problems> {
    load_with(paths, GRAMMAR)
}

/// As [`load`], with the trials whose name contains a text; cases that are wrong are an error all the same.
///
/// # Errors
/// As [`load`].
pub fn load_filtered(paths: &[PathBuf], filter: &str) -> Result<Vec<Trial>, Problems> {
    let mut trials = load(paths)?;
    trials.retain(|trial| trial.name().contains(filter));
    Ok(trials)
}

/// As [`load`], with another grammar for commands.
///
/// # Errors
/// As [`load`].
pub fn load_with(paths: &[PathBuf], grammar: CommandCheck) -> Result<Vec<Trial>, Problems> {
    let mut problems = Problems::default();
    let found = discover(paths).unwrap_or_else(|list| {
        list.into_iter().for_each(|problem| problems.push(problem));
        Vec::new()
    });
    let mut files = Files::default();
    let mut trials = Vec::new();
    let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in found {
        let name = case_name(&path);
        if let Some(other) = names.insert(name.clone(), path.clone()) {
            let both = format!("`{}` and `{}` are both the case `{name}`", other.display(), path.display());
            problems.push(
                Problem::new(both).help("a case is named by its folder and its file: rename one of them"),
            );
            continue;
        }
        let mut case = Case { files: &mut files, problems: &mut problems, grammar };
        case.read(&path, &name, &mut trials);
    }
    if problems.is_empty() {
        super::known::add(&mut trials, paths, &mut files, &mut problems);
    }
    if problems.is_empty() { Ok(trials) } else { Err(problems) }
}

struct Case<'l> {
    files: &'l mut Files,
    problems: &'l mut Problems,
    grammar: CommandCheck,
}

impl Case<'_> {
    fn read(&mut self, path: &Path, name: &str, trials: &mut Vec<Trial>) {
        let (canonical, tree) = match self.files.read(path, None) {
            Ok(read) => read,
            Err(list) => return list.into_iter().for_each(|problem| self.problems.push(problem)),
        };
        let mut reader = Reader::default();
        let matrix = matrix(&mut reader, &tree);
        reader.problems.iter().for_each(|problem| self.problems.push(problem.clone()));
        let Ok(matrix) = matrix else { return };
        let tree = without_matrix(&tree);
        let mut patterns = Patterns::new();
        let before = self.problems.len();
        let (mut steps, mut bad_rows, mut weight) = (0, 0, CASE_WEIGHT);
        let mut unused: Vec<&String> = matrix.iter().map(|(key, _)| key).collect();
        for row in rows(&matrix) {
            let labels = row.iter().map(|(key, value)| (key.clone(), label(value))).collect();
            let variables = Variables::new(row);
            let replaced = variables.apply(&tree, self.problems);
            let (files, patterns) = (&mut *self.files, &mut patterns);
            let mut reader =
                TrialReader::new(canonical.clone(), files, &variables, &matrix, patterns, &mut weight);
            let trial = reader.trial(name, labels, &replaced, self.grammar);
            reader.r.problems.iter().for_each(|problem| self.problems.push(problem.clone()));
            match trial {
                Ok(trial) => {
                    steps += trial.steps.len();
                    trials.push(trial);
                }
                Err(_) => bad_rows += 1,
            }
            unused.retain(|key| !variables.was_used(key));
            if steps > STEPS {
                let message = format!("`{}`: its rows have more than {STEPS} steps together", path.display());
                return self.problems.push(Problem::new(message).help("make several cases of it"));
            }
            if bad_rows >= BAD_ROWS {
                return;
            }
        }
        if self.problems.len() == before
            && let (Some(key), Some(node)) =
                (unused.first(), key_in_matrix(&self.files.read(path, None), &unused))
        {
            let problem = Problem::at(&node.span, format!("`{key}` of the matrix is used nowhere"))
                .label("its rows would all be the same")
                .help(format!("write `${{{key}}}` where it matters, or remove it"));
            self.problems.push(problem);
        }
    }
}

/// The key of the matrix with this name.
fn key_in_matrix(
    read: &Result<(PathBuf, std::rc::Rc<Node>), Vec<Problem>>,
    unused: &[&String],
) -> Option<Node> {
    let Ok((_, tree)) = read else { return None };
    let Kind::Map(entries) = &entry(tree, "matrix")?.kind else { return None };
    let first = unused.first()?;
    entries.iter().find(|(key, _)| key.text() == Some(first)).map(|(key, _)| key.clone())
}

fn entry<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
}

/// The case without its matrix, whose values are not to be replaced by themselves.
fn without_matrix(node: &Node) -> Node {
    let Kind::Map(entries) = &node.kind else { return node.clone() };
    let rest = entries.iter().filter(|(key, _)| key.text() != Some("matrix")).cloned().collect();
    Node { span: node.span.clone(), kind: Kind::Map(rest) }
}

/// The lists of `matrix:`, with the topology's variables replaced.
fn matrix(r: &mut Reader, case: &Node) -> Read<Matrix> {
    let Some(node) = entry(case, "matrix") else { return Ok(Vec::new()) };
    let entries = r.map(node, "names with lists: `{mtu: [576, 1500]}`")?;
    let only_topology = Variables::default();
    let mut matrix = Matrix::new();
    let mut rows = 1_usize;
    for (key, values) in entries {
        let name = r.word(key)?;
        if name.chars().any(|c| !(c.is_ascii_alphanumeric() || c == '_')) {
            return r.wrong(key, "a name", "letters, digits and `_`");
        }
        let values = r.list(values, "a list: each value makes a row")?;
        if values.is_empty() {
            return r.wrong(node, "a list with a value", "an empty list makes no row at all");
        }
        rows = rows.saturating_mul(values.len());
        matrix.push((
            name.to_owned(),
            values.iter().map(|v| only_topology.apply(v, &mut r.problems)).collect(),
        ));
    }
    if rows > ROWS || rows.saturating_mul(case.weight()) > ROWS_WEIGHT {
        let problem = Problem::at(&node.span, format!("this matrix has {rows} rows, too many for a case"))
            .help(format!("at most {ROWS}, and fewer in a large file"));
        return Err(r.report(problem));
    }
    Ok(matrix)
}

/// Every row, the last key fastest.
fn rows(matrix: &Matrix) -> Vec<Vec<(String, Node)>> {
    let mut rows = vec![Vec::new()];
    for (name, values) in matrix {
        rows = rows
            .into_iter()
            .flat_map(|row| {
                values.iter().map(move |value| {
                    let mut row = row.clone();
                    row.push((name.clone(), value.clone()));
                    row
                })
            })
            .collect();
    }
    rows
}

/// How a value of the matrix is shown in the name of a trial.
fn label(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(scalar) => scalar.text.clone(),
        Kind::List(items) => items.iter().map(label).collect::<Vec<_>>().join("+"),
        Kind::Map(entries) => {
            entries.iter().map(|(k, v)| format!("{}:{}", label(k), label(v))).collect::<Vec<_>>().join("+")
        }
    }
}
