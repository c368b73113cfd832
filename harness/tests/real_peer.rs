//! Runs with a real peer, as one starts them: what is left of them however they end, what is a skip and what a failure, and the example
//! server.

use libtest_mimic::{Arguments, Failed, Trial as Test};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

type Outcome = Result<(), Failed>;
/// By its name.
type Named = (&'static str, fn() -> Outcome);

/// What each run and its programs have in their environment.
const MARK: &str = "WIREPROOF_TEST_OF_PEERS";
/// By when something must be there, or gone.
const BOUND: Duration = Duration::from_secs(15);
/// A program that runs for longer than any test.
const SLEEPS: &str =
    "  - peer_run: {run: \"sleep 613\", background: s}\n  - peer_run: {run: \"sleep 614\", within: 9s}\n";

fn main() -> ExitCode {
    // While there is one thread; why it cannot is told below.
    let _ = harness::rig::linux::rights::enter();
    let lacks = harness::rig::linux::peer::unusable();
    let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    let tests: &[Named] = &[
        ("nothing_is_left_of_a_run_that_is_killed", || ends_with(Signal::SIGKILL)),
        ("nothing_is_left_of_a_run_that_is_interrupted", || ends_with(Signal::SIGINT)),
        ("a_program_that_is_not_there_is_a_skip", absent_program),
        ("a_kernel_under_test_has_no_kernel_as_its_peer", on_linux),
        ("a_status_that_is_not_expected_fails_with_what_was_printed", another_status),
        ("a_program_can_be_ended_by_another", ended_by_another),
        ("a_program_that_does_not_end_fails_the_trial", does_not_end),
        ("a_file_that_is_changed_on_its_way_is_seen", other_bytes),
        ("a_page_that_is_not_there_is_an_error", no_page),
        ("the_example_server_answers_curl", example),
    ];
    let test = |&(name, test): &Named| match lacks.clone() {
        Some(why) if in_ci => Test::test(name, move || Err(Failed::from(why))),
        Some(why) => Test::test(name, || Ok(())).with_kind(why).with_ignored_flag(true),
        None => Test::test(name, test),
    };
    libtest_mimic::run(&Arguments::from_args(), tests.iter().map(test).collect()).exit_code()
}

/// A case in a folder of its own, run by the program.
struct Run {
    folder: tempfile::TempDir,
    mark: String,
}

impl Run {
    fn new(name: &str, steps: &str) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let text = format!("about: A case.\npeer: {{kind: linux}}\nsteps:\n{steps}");
        std::fs::write(folder.path().join("a.yaml"), text)?;
        Ok(Self { folder, mark: format!("{MARK}={name}-{}", std::process::id()) })
    }

    fn command(&self, rig: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wireproof"));
        command.args(["run", "a.yaml", "--rig", rig]).current_dir(self.folder.path());
        let value = self.mark.split_once('=').map_or("", |(_, value)| value);
        command.env(MARK, value).stdin(Stdio::null());
        command
    }

    /// Status and all that is printed.
    fn whole(&self, rig: &str) -> Result<(Option<i32>, String), Failed> {
        let Output { status, stdout, stderr } = self.command(rig).output()?;
        let said = [stdout, stderr].concat();
        Ok((status.code(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// How many processes of this run are alive.
    fn alive(&self) -> usize {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let marked = |path: PathBuf| {
            let variables = std::fs::read(path.join("environ")).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|variable| variable == self.mark.as_bytes())
        };
        entries.filter(|entry| marked(entry.path())).count()
    }

    fn until(&self, what: &str, holds: impl Fn(usize) -> bool) -> Outcome {
        let deadline = Instant::now() + BOUND;
        while !holds(self.alive()) {
            if Instant::now() > deadline {
                return Err(format!("waited in vain until {what}: {} are alive", self.alive()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn ends_with(signal: Signal) -> Outcome {
    let run = Run::new(signal.as_str(), SLEEPS)?;
    let mut child = run.command("emu").stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let there = run.until("both programs run", |alive| alive == 3);
    kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
    child.wait()?;
    there?;
    run.until("all are gone", |alive| alive == 0)
}

fn says(run: &Run, rig: &str, status: i32, words: &[&str]) -> Outcome {
    let (code, said) = run.whole(rig)?;
    let missing = words.iter().find(|word| !said.contains(**word));
    match missing {
        None if code == Some(status) => run.until("all are gone", |alive| alive == 0),
        _ => Err(format!("status {code:?} instead of {status}, or without {missing:?}: {said}").into()),
    }
}

fn absent_program() -> Outcome {
    let run = Run::new("absent", "  - peer_run: no-such-program\n")?;
    // A run in which nothing ran is not a success.
    says(&run, "emu", 2, &["`no-such-program` is not there"])
}

fn on_linux() -> Outcome {
    let run = Run::new("linux", "  - peer_run: \"true\"\n")?;
    says(&run, "linux", 2, &["its peer is the Linux kernel"])
}

fn another_status() -> Outcome {
    let run = Run::new("status", "  - peer_run: \"ls nothing-is-named-so\"\n")?;
    says(&run, "emu", 1, &["expected it to return 0, it returned 2", "No such file", "a.yaml:4:5"])
}

/// timeout(1) sends SIGTERM, which must not be blocked.
fn ended_by_another() -> Outcome {
    let run =
        Run::new("timeout", "  - peer_run: {run: \"timeout 0.2 sleep 615\", returns: 124, within: 5s}\n")?;
    says(&run, "emu", 0, &["1 passed"])
}

fn does_not_end() -> Outcome {
    let run = Run::new("endless", "  - peer_run: {run: \"sleep 613\", within: 300ms}\n")?;
    says(&run, "emu", 1, &["`sleep 613` has not ended after 300ms"])
}

fn other_bytes() -> Outcome {
    let steps = "  - peer_run: {run: \"head -c 100000 /dev/urandom\", stdout: a}\n  \
                 - peer_run: {run: \"head -c 100000 /dev/urandom\", stdout: b}\n  \
                 - http_server: {port: 80}\n  \
                 - peer_run: {run: \"curl -sS -o c http://192.0.2.1/a\"}\n  \
                 - peer_run: \"cmp a c\"\n  \
                 - peer_run: \"cmp b c\"\n";
    says(&Run::new("bytes", steps)?, "emu", 1, &["a.yaml:9:5", "b c differ"])
}

fn no_page() -> Outcome {
    let steps = "  - peer_run: {run: \"python3 -m http.server --bind 192.0.2.2 8000\", background: s}\n  \
                 - http_get: {from: \"http://192.0.2.2:8000/nothing\", to: a, error: HTTP 404}\n  \
                 - http_get: {from: \"http://192.0.2.2:8000/nothing\", to: a}\n";
    says(&Run::new("page", steps)?, "emu", 1, &["a.yaml:6:5", "got error HTTP 404"])
}

/// Ended when the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn example() -> Outcome {
    use std::io::{BufRead, BufReader};
    let tests = std::env::current_exe()?;
    let target = tests.parent().and_then(|deps| deps.parent()).ok_or("a folder")?;
    let program = target.join("examples/server");
    let mut server =
        Command::new(program).args(["--seconds", "20"]).stdout(Stdio::piped()).spawn().map(Server)?;
    let said = server.0.stdout.take().ok_or("its output")?;
    let lines = BufReader::new(said).lines().map_while(Result::ok);
    let mut commands = lines.filter(|line| line.contains("curl"));
    let command = commands.next().ok_or("it does not say what to type")?;
    let mut words = command.split_whitespace();
    let shell = words.next().ok_or("a command")?;
    let output = Command::new(shell).args(words).args(["-sS", "--max-time", "9"]).output()?;
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    if page == "wireproof\n" {
        return Ok(());
    }
    Err(format!("{command}: {page:?}, {}", String::from_utf8_lossy(&output.stderr)).into())
}
