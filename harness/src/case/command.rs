//! `run:` - commands of an administrator, split into words and checked against a grammar.

use super::confine::stays_inside;
use super::model::{Command, RigKind};
use super::problem::{Problem, choose};
use super::reader::{Read, Reader};
use super::rigs::Rigs;
use super::shape::COMMAND;
use super::yaml::{Kind, Node};

/// What is wrong with a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandProblem {
    /// Which word, from 0; the number of words when one is missing at the end.
    pub word_index: usize,
    /// What is wrong with it.
    pub message: String,
    /// What could stand there.
    pub expected: String,
}

/// A grammar of commands: whether our stack understands these words.
pub type CommandCheck = fn(&[&str]) -> Result<(), CommandProblem>;

/// The grammar that cases are checked against, unless they run on `linux` alone.
pub const GRAMMAR: CommandCheck = stack_grammar;

/// The programs of `run:`.
pub const PROGRAMS: &[&str] = &["ip", "tc", "ethtool", "sysctl", "nft"];
/// More words than this are no command.
const WORDS: usize = 256;

/// Takes whatever words there are: the kernel will judge them.
fn any_words(_: &[&str]) -> Result<(), CommandProblem> {
    Ok(())
}

/// What the stack under test understands of `ip`, `tc`, `ethtool`, `sysctl` and `nft`.
fn stack_grammar(words: &[&str]) -> Result<(), CommandProblem> {
    stack_under_test::control::parse(words).map(drop).map_err(|error| CommandProblem {
        word_index: error.word,
        message: error.message,
        expected: error.expected,
    })
}

/// How commands are checked.
#[derive(Clone, Copy)]
pub struct Commands {
    /// The grammar.
    pub grammar: CommandCheck,
}

impl Commands {
    /// The grammar that holds for a case with these rigs: Linux's own tools know more than our stack.
    #[must_use]
    pub fn for_rigs(rigs: Option<&Rigs>, grammar: CommandCheck) -> Self {
        let only_linux = rigs.is_some_and(|rigs| rigs.only == [RigKind::Linux]);
        Self { grammar: if only_linux { any_words } else { grammar } }
    }

    /// One command or a list of them.
    pub fn read(self, r: &mut Reader, node: &Node) -> Read<Vec<Command>> {
        match &node.kind {
            Kind::List(items) if !items.is_empty() => {
                let commands: Vec<_> = items.iter().map(|item| self.one(r, item)).collect();
                commands.into_iter().collect()
            }
            Kind::List(_) => r.wrong(node, "a command", "write at least one"),
            _ => Ok(vec![self.one(r, node)?]),
        }
    }

    fn one(self, r: &mut Reader, node: &Node) -> Read<Command> {
        let (text, error, output) = match &node.kind {
            Kind::Map(entries) if !entries.iter().any(|(key, _)| key.text() == Some("command")) => {
                let text = entries.first().and_then(|(key, _)| key.text()).unwrap_or("");
                let problem = Problem::at(&node.span, "YAML reads this command as a mapping")
                    .label("`: ` makes it one")
                    .help(format!("quote it: \"{text}: …\""))
                    .and_help("a command that must fail: `{command: \"ip …\", error: \"what it prints\"}`");
                return Err(r.report(problem));
            }
            Kind::Map(_) => {
                let fields = r.fields(node, "run", &[COMMAND])?;
                let error = fields.get("error").map(|error| r.text(error).map(str::to_owned)).transpose()?;
                let output = fields.get("output").map(|lines| r.lines(lines)).transpose()?;
                (r.need(&fields, "command")?, error, output.unwrap_or_default())
            }
            _ => (node, None, Vec::new()),
        };
        let words = self.words(r, text)?;
        Ok(Command { words, error, output, at: text.span.location() })
    }

    fn words(self, r: &mut Reader, node: &Node) -> Read<Vec<String>> {
        let text = r.text(node)?;
        let words = match split(text) {
            Ok(words) => words,
            Err(at) => {
                let span = node.part(at, text.len());
                return Err(
                    r.report(Problem::at(&span, "a quote that is not closed").help("add the closing `\"`"))
                );
            }
        };
        let Some(first) = words.first() else {
            return r.wrong(node, "a command", "such as `ip link set dev eth0 mtu 9000`");
        };
        if words.len() > WORDS {
            return Err(r.report(
                Problem::at(&node.span, format!("a command of more than {WORDS} words"))
                    .help("write several commands, each a `run:` of its own"),
            ));
        }
        if !PROGRAMS.contains(&first.text.as_str()) {
            let problem = Problem::at(
                &node.part(first.from, first.to),
                format!("`{}` is not a command here", first.text),
            )
            .label("unknown program")
            .help(choose(&first.text, PROGRAMS.iter().copied()))
            .and_help("commands are never given to a shell");
            return Err(r.report(problem));
        }
        let list: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        if let Err(problem) = stays_inside(&list) {
            return Err(r.report(shown(node, text, &words, problem)));
        }
        if let Err(problem) = (self.grammar)(&list) {
            let problem = shown(node, text, &words, problem);
            return Err(r.report(problem.and_help("the `linux` rig alone takes all that Linux's tools do")));
        }
        Ok(words.into_iter().map(|word| word.text).collect())
    }
}

/// A problem at the word that it is about.
fn shown(node: &Node, text: &str, words: &[Word], problem: CommandProblem) -> Problem {
    let (span, label) = match words.get(problem.word_index) {
        Some(word) => (node.part(word.from, word.to), "this word"),
        None => (node.part(text.trim_end().len(), text.len()), "something is missing here"),
    };
    let shown = Problem::at(&span, problem.message).label(label);
    if problem.expected.is_empty() {
        return shown;
    }
    shown.help(format!("here can stand: {}", problem.expected))
}

/// A word with where it stands in the command.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    from: usize,
    to: usize,
}

/// The words of a command line, as [`split`] finds them.
pub(super) fn split_words(text: &str) -> Result<Vec<String>, usize> {
    Ok(split(text)?.into_iter().map(|word| word.text).collect())
}

/// Splits by white space; what stands in double quotes is one word. The error is where an open quote stands.
fn split(text: &str) -> Result<Vec<Word>, usize> {
    let mut words: Vec<Word> = Vec::new();
    let mut quote = None;
    let mut inside = false;
    for (at, c) in text.char_indices() {
        if c == '"' {
            quote = if quote.is_some() { None } else { Some(at) };
        } else if c.is_whitespace() && quote.is_none() {
            inside = false;
            continue;
        }
        if !inside {
            words.push(Word { text: String::new(), from: at, to: at });
            inside = true;
        }
        if let Some(word) = words.last_mut() {
            word.to = at + c.len_utf8();
            if c != '"' {
                word.text.push(c);
            }
        }
    }
    quote.map_or(Ok(words), Err)
}

#[cfg(test)]
mod tests {
    use super::split;
    use rstest::rstest;

    #[rstest]
    #[case::by_any_white_space("ip  link\tshow ", &["ip", "link", "show"])]
    #[case::quotes_keep_a_word_together("nft add rule \"a b\" c", &["nft", "add", "rule", "a b", "c"])]
    #[case::quotes_inside_a_word("sysctl -w a=\"1 2\"", &["sysctl", "-w", "a=1 2"])]
    #[case::nothing_is_no_word("  ", &[])]
    fn words_are_split(#[case] text: &str, #[case] words: &[&str]) {
        let found: Vec<_> = split(text).unwrap().into_iter().map(|word| word.text).collect();
        assert_eq!(found, words);
    }

    #[test]
    fn an_open_quote_is_found_where_it_stands() {
        assert_eq!(split("ip \"link"), Err(3));
    }
}
