//! The command that runs just one trial again, as it can be pasted into a shell.

use crate::case::model::{RigKind, Trial};
use std::path::Path;

/// How this program was called, where that changes what a trial does and where it leaves things.
#[derive(Clone, Debug)]
pub struct Again {
    /// The program as it was called, quoted for a shell.
    program: String,
    /// What follows the rig: ` --out …`, quoted for a shell.
    options: String,
}

impl Default for Again {
    /// As from the sources: for tests, which are another program.
    fn default() -> Self {
        Self { program: "cargo run --release --".to_owned(), options: String::new() }
    }
}

impl Again {
    /// This program, as it was called.
    #[must_use]
    pub fn this_program() -> Self {
        match std::env::args().next() {
            Some(program) => Self { program: quote(&program), options: String::new() },
            None => Self::default(),
        }
    }

    /// The same with an option: `--out`, and its value.
    #[must_use]
    pub fn with(mut self, option: &str, value: &str) -> Self {
        self.options += &format!(" {option} {}", quote(value));
        self
    }

    /// The command for a trial.
    #[must_use]
    pub fn command(&self, file: &Path, trial: &str, rig: RigKind) -> String {
        let Self { program, options } = self;
        let (file, rig) = (quote(&file.display().to_string()), rig.name());
        format!("{program} run {file} --filter {} --rig {rig}{options}", quoted(trial))
    }

    /// The command for a trial, or for all rows of its case.
    #[must_use]
    pub fn of(&self, trial: &Trial, rig: RigKind) -> String {
        self.command(&trial.file.path, &trial.name(), rig)
    }
}

/// A word for a shell: as it is where it can be.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}

/// A word for a shell, in quotes. What would command the terminal is escaped as bash, zsh and ksh read it.
fn quoted(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '\'' | '\\' => format!("\\{c}"),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().map(|b| format!("\\x{b:02x}")).collect()
            }
            c => c.to_string(),
        })
        .collect();
    format!("$'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("cases/udp/one.yaml")]
    #[case::a_space("my cases/one.yaml")]
    #[case::an_apostrophe("it's")]
    #[case::what_a_shell_expands("a[b=*]$HOME`x`;&|<>(){}~!#\"\\")]
    #[case::a_control_character("a\u{1b}[2J'\\\n")]
    #[case::nothing("")]
    fn a_shell_reads_back_what_was_quoted(#[case] text: &str) {
        for word in [quote(text), quoted(text)] {
            let output = std::process::Command::new("bash")
                .args(["-c", &format!("printf '%s.' {word}")])
                .output()
                .expect("bash is here");
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{text}."));
        }
    }

    #[test]
    fn options_follow_the_trial() {
        let again = Again::default().with("--out", "my runs").with("--max-wait", "20s");
        let command = again.command(Path::new("a.yaml"), "a[b=1]", RigKind::Emu);
        let right =
            "cargo run --release -- run a.yaml --filter 'a[b=1]' --rig emu --out 'my runs' --max-wait 20s";
        assert_eq!(command, right);
    }
}
