//! One row of a case: its steps in order, with what they include and repeat.

use super::checks::Matrix;
use super::command::{CommandCheck, Commands};
use super::differs::{condition, differing};
use super::faults;
use super::files::Files;
use super::functions::FUNCTIONS;
use super::model::{Action, Differs, Extent, Fault, Impairment, Interrupts, RigKind, Step, Trial};
use super::names::Names;
use super::problem::{Problem, choose, nearest};
use super::reader::{Fields, Read, Reader, Reported};
use super::rigs::Rigs;
use super::shape::{CASE, DIFFERS, INTERRUPTS, STEPS, StepShape, keys_of};
use super::substitute::Variables;
use super::value::Patterns;
use super::yaml::{Kind, Node};
use crate::frame::FrameSpec;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Steps of a trial, with all that they include and repeat.
pub const STEPS_AT_MOST: usize = 20_000;
/// What the steps of all rows of a case weigh together ([`Node::weight`]).
pub const CASE_WEIGHT: usize = 64 << 20;
/// After so many problems a trial is read no further.
const PROBLEMS: usize = 100;
/// Files that include each other.
const INCLUDES: usize = 16;

/// Reads one row.
pub struct TrialReader<'l> {
    /// Takes nodes apart, collects problems.
    pub r: Reader,
    /// The names so far.
    pub names: Names,
    /// What `${…}` stands for.
    pub variables: &'l Variables,
    /// All values of the matrix.
    pub matrix: &'l Matrix,
    /// What frames that have a name are expected to look like.
    pub expected: BTreeMap<String, FrameSpec>,
    /// Payloads that rows share.
    pub patterns: &'l mut Patterns,
    /// The step that is read.
    pub step_name: &'static str,
    files: &'l mut Files,
    including: Vec<PathBuf>,
    steps_left: usize,
    weight_left: &'l mut usize,
    commands: Commands,
    automatic_arp: bool,
    charged_as_igb: bool,
    pub(super) real_peer: Option<Impairment>,
    rigs: Option<Rigs>,
}

impl<'l> TrialReader<'l> {
    /// A reader for the row of a file.
    pub fn new(
        file: PathBuf,
        files: &'l mut Files,
        variables: &'l Variables,
        matrix: &'l Matrix,
        patterns: &'l mut Patterns,
        weight_left: &'l mut usize,
    ) -> Self {
        Self {
            r: Reader::default(),
            names: Names::default(),
            expected: BTreeMap::new(),
            variables,
            matrix,
            patterns,
            step_name: "",
            files,
            including: vec![file],
            steps_left: STEPS_AT_MOST,
            weight_left,
            commands: Commands { grammar: |_| Ok(()) },
            automatic_arp: true,
            charged_as_igb: false,
            real_peer: None,
            rigs: None,
        }
    }

    /// The whole trial, from the case with its `${…}` replaced.
    pub fn trial(
        &mut self,
        case: &str,
        row: Vec<(String, String)>,
        node: &Node,
        grammar: CommandCheck,
    ) -> Read<Trial> {
        let fields = self.r.fields(node, "a case", &[CASE])?;
        let head = self.head(&fields);
        self.commands = Commands::for_rigs(self.rigs.as_ref(), grammar);
        let mut steps = Vec::new();
        let list = self.r.need(&fields, "steps")?;
        let read = self.steps(list, &mut steps);
        if let Some(name) = self.names.unjoined().next().filter(|_| !self.names.incomplete).map(str::to_owned)
        {
            let problem = Problem::at(&list.span, format!("nothing waits for the background call `{name}`"))
                .label("in these steps")
                .help(format!("add `- join: {{call: {name}}}`: else nobody sees what it gave"));
            self.r.report(problem);
        }
        let differs = self.differs(&fields);
        let interrupts = self.interrupts(&fields);
        let (about, covers, refs, faults) = head?;
        read?;
        let interrupts = interrupts?;
        let planned = fields.get("faults").map_or(Ok(&[][..]), |node| self.r.list(node, ""))?;
        let judged = planned.iter().map(|fault| faults::within_reach(&mut self.r, fault, interrupts, &steps));
        judged.fold(Ok(()), Result::and)?;
        Ok(Trial {
            case: case.to_owned(),
            row,
            file: node.span.file.clone(),
            about,
            covers,
            refs,
            rigs: self.rigs.clone(),
            automatic_arp: self.automatic_arp,
            charged_as_igb: self.charged_as_igb,
            real_peer: self.real_peer,
            differs: differs?,
            faults,
            interrupts,
            steps,
        })
    }

    /// All but the steps.
    #[expect(clippy::type_complexity, reason = "about, covers, refs and faults, taken apart at once")]
    fn head(&mut self, fields: &Fields<'_>) -> Read<(String, Vec<String>, Vec<String>, Vec<Fault>)> {
        let about = self.r.need(fields, "about").and_then(|node| self.r.text(node))?.trim().to_owned();
        let texts = |r: &mut Reader, key| fields.get(key).map_or(Ok(Vec::new()), |node| r.texts(node));
        let covers = texts(&mut self.r, "covers")?;
        let nodes =
            fields.get("covers").map_or(Ok(&[][..]), |node| self.r.list(node, "write `[one, two]`"))?;
        for (node, name) in nodes.iter().zip(&covers).filter(|(_, name)| !FUNCTIONS.contains(&name.as_str()))
        {
            let problem = Problem::at(&node.span, format!("no function of the path is named `{name}`"));
            let near = nearest(name, FUNCTIONS.iter().copied());
            let help = near.map(|near| format!("did you mean `{near}`?"));
            let help =
                help.unwrap_or_else(|| "a `journey.json` of a run has the names of those on the way".into());
            self.r.report(problem.label("is never traced").help(help));
        }
        let refs = texts(&mut self.r, "refs")?;
        self.rigs = fields.get("rigs").map(|node| self.rigs(node)).transpose()?;
        if let Some(node) = fields.get("peer") {
            (self.automatic_arp, self.real_peer) = self.peer(node)?;
            self.charged_as_igb = self.buffers(node)?;
        }
        self.wire_to_the_peer(fields)?;
        let faults = fields.get("faults").map_or(Ok(Vec::new()), |node| faults::faults(&mut self.r, node))?;
        Ok((about, covers, refs, faults))
    }

    fn interrupts(&mut self, fields: &Fields<'_>) -> Read<Interrupts> {
        let Some(node) = fields.get("interrupts") else { return Ok(Interrupts::default()) };
        let word = self.r.one_of(node, INTERRUPTS)?;
        Ok(Interrupts::ALL
            .iter()
            .find(|(name, _)| *name == word)
            .map_or_else(Interrupts::default, |(_, kind)| *kind))
    }

    fn differs(&mut self, fields: &Fields<'_>) -> Read<Vec<Differs>> {
        let Some(node) = fields.get("differs") else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for item in self.r.list(node, "a list of `{rig: …, why: …}`")? {
            let entry = self.r.fields(item, "differs", &[DIFFERS])?;
            let (rig, why) = (self.r.need(&entry, "rig")?, self.r.need(&entry, "why")?);
            let rig = super::checks::rig(self.r.one_of(rig, super::shape::RIGS)?);
            let when = entry.get("when").map(|node| condition(&mut self.r, node)).transpose()?;
            let step = entry.get("step").map(|node| self.named_step(node)).transpose()?;
            let field = entry.get("field").map(|node| differing(&mut self.r, node, &entry)).transpose()?;
            if step.is_none() && field.is_none() {
                return self.r.wrong(item, "an entry with `step:`, `field:` or both", "say what deviates");
            }
            let why = self.r.text(why)?.to_owned();
            let seen = None;
            found.push(Differs { rig, when, seen, step, field, extent: Extent::Any, everywhere: false, why });
        }
        Ok(found)
    }

    fn named_step(&mut self, node: &Node) -> Read<String> {
        let name = self.r.word(node)?;
        if self.names.has(name) {
            return Ok(name.to_owned());
        }
        Err(self.r.report(
            Problem::at(&node.span, format!("no step has the name `{name}`")).help("give it with `as:`"),
        ))
    }

    /// A list of steps; reads on after one that is wrong.
    pub fn steps(&mut self, node: &Node, out: &mut Vec<Step>) -> Read<()> {
        let items = self.r.list(node, "steps are a list: `- send: {…}`")?;
        if items.is_empty() {
            return self.r.wrong(node, "at least one step", "write `- wait: 1s`, or whatever happens");
        }
        let mut bad = None;
        for item in items {
            if self.steps_left == 0 {
                let message =
                    format!("a trial of more than {STEPS_AT_MOST} steps, repeats and includes counted");
                return Err(self.r.report(
                    Problem::at(&item.span, message)
                        .label("one too many")
                        .help("repeat fewer times, or make several cases of it"),
                ));
            }
            self.steps_left -= 1;
            self.charge(item, item.weight())?;
            if self.r.problems.len() >= PROBLEMS {
                return Err(Reported);
            }
            if let Err(reported) = self.step(item, out) {
                self.names.incomplete = true;
                bad = Some(reported);
            }
        }
        bad.map_or(Ok(()), Err)
    }

    /// Takes from what all rows of the case may weigh together.
    fn charge(&mut self, node: &Node, weight: usize) -> Read<()> {
        let Some(left) = self.weight_left.checked_sub(weight) else {
            let problem =
                Problem::at(&node.span, "this case is too large: its rows, repeats and includes together")
                    .help(format!(
                        "they weigh more than {} MiB; make several cases of it",
                        CASE_WEIGHT >> 20
                    ));
            return Err(self.r.report(problem));
        };
        *self.weight_left = left;
        Ok(())
    }

    fn step(&mut self, node: &Node, out: &mut Vec<Step>) -> Read<()> {
        let (key, body) = match &node.kind {
            Kind::Map(entries) if entries.len() == 1 => &entries[0],
            Kind::Map(entries) => {
                let at = entries.get(1).map_or(&node.span, |(key, _)| &key.span);
                let problem = Problem::at(at, "a step has one key")
                    .label("a second key")
                    .help("begin each step with `- `; what belongs to a step stands inside of its `{…}`");
                return Err(self.r.report(problem));
            }
            _ => return self.r.wrong(node, "a step", "a step is a mapping of one key: `- send: {…}`"),
        };
        let name = key.text().unwrap_or("");
        let Some(shape) = STEPS.iter().find(|shape| shape.name == name) else {
            let problem = Problem::at(&key.span, format!("there is no step {}", key.describe()))
                .label("unknown step")
                .help(choose(name, STEPS.iter().map(|shape| shape.name)));
            return Err(self.r.report(problem));
        };
        self.step_name = shape.name;
        let at = key.span.location();
        let (name, action) = match shape.name {
            "include" => return self.include(body, out),
            "repeat" => return self.repeat(body, out),
            "retransmissions" => return self.retransmissions(body, out),
            "check" => match self.check(body)? {
                Some(action) => (None, action),
                None => return Ok(()),
            },
            "inject" => self.inject(body)?,
            "expect" => {
                let expect = self.expect(body)?;
                (expect.name.clone(), Action::Expect(expect))
            }
            _ => self.plain_step(shape, body)?,
        };
        out.push(Step { at, name, action });
        Ok(())
    }

    fn plain_step(&mut self, shape: &StepShape, body: &Node) -> Read<(Option<String>, Action)> {
        let action = match shape.name {
            "run" => Action::Run(self.commands.read(&mut self.r, body)?),
            "sysfs" => self.sysfs(body)?,
            "link" => Action::Link(self.r.one_of(body, &["up", "down"])? == "up"),
            "join" => self.join(body)?,
            "peer_run" => self.peer_run(body)?,
            "http_server" => self.http_server(body)?,
            "http_get" => self.http_get(body)?,
            "any_order" => self.any_order(body)?,
            "order" => self.order(body)?,
            "fragments" => self.fragments(body)?,
            "wait" => Action::Wait(self.r.duration(body)?),
            "quiet" => Action::Quiet(self.r.duration(body)?),
            "segments" => self.segments(body)?,
            "conserve" => self.conserve(body)?,
            _ => return self.call(shape.name, body),
        };
        Ok((None, action))
    }

    fn sysfs(&mut self, node: &Node) -> Read<Action> {
        let fields = self.r.fields(node, "sysfs", keys_of("sysfs"))?;
        let (path, value) = (self.r.need(&fields, "path")?, self.r.need(&fields, "value")?);
        let text = self.r.text(path)?.to_owned();
        if !text.starts_with("/sys/class/net/") || text.split('/').any(|part| part == "..") {
            return self.r.wrong(
                path,
                "a path under /sys/class/net",
                "such as `/sys/class/net/eth0/queues/tx-0/xps_cpus`",
            );
        }
        let error = fields.get("error").map(|error| self.r.text(error).map(str::to_owned)).transpose()?;
        Ok(Action::Sysfs { path: text, value: self.r.text(value)?.to_owned(), error })
    }

    fn repeat(&mut self, node: &Node, out: &mut Vec<Step>) -> Read<()> {
        let fields = self.r.fields(node, "repeat", keys_of("repeat"))?;
        let (times, steps) = (self.r.need(&fields, "times")?, self.r.need(&fields, "steps")?);
        for _ in 0..self.r.number(times, 1, 10_000)? {
            self.steps(steps, out)?;
        }
        Ok(())
    }

    fn include(&mut self, node: &Node, out: &mut Vec<Step>) -> Read<()> {
        let text = self.r.text(node)?;
        let folder = self.including.last().and_then(|file| file.parent()).unwrap_or(std::path::Path::new(""));
        if text.starts_with('/') {
            return self.r.wrong(node, "a relative path", "relative to the file that includes it");
        }
        let (path, tree) = match self.files.read(&folder.join(text), Some(&node.span)) {
            Ok(read) => read,
            Err(problems) => {
                let mut reported = Reported;
                for problem in problems {
                    reported = self.r.report(problem);
                }
                return Err(reported);
            }
        };
        if let Some(first) = self.including.iter().position(|file| *file == path) {
            let files: Vec<_> =
                self.including[first..].iter().chain([&path]).map(|file| short(file)).collect();
            let problem = Problem::at(&node.span, format!("`{text}` includes itself"))
                .label("the circle closes here")
                .help(files.join(" includes "));
            return Err(self.r.report(problem));
        }
        if self.including.len() > INCLUDES {
            let message = format!("more than {INCLUDES} files include each other");
            return Err(self
                .r
                .report(Problem::at(&node.span, message).help("include fewer files inside of each other")));
        }
        let here = node.span.location();
        let from = format!("included from {}:{}:{}", here.file.path.display(), here.line, here.column);
        self.r.included_from.push(from);
        self.including.push(path);
        let result = match self.charge(node, tree.weight()) {
            Ok(()) => {
                let tree = self.variables.apply(&tree, &mut self.r.problems);
                self.included(&tree, out)
            }
            Err(reported) => Err(reported),
        };
        self.including.pop();
        self.r.included_from.pop();
        result
    }

    /// The steps of an included file, whose other keys must say nothing else than the case.
    fn included(&mut self, node: &Node, out: &mut Vec<Step>) -> Read<()> {
        let fields = self.r.fields(node, "an included file", &[CASE])?;
        let rigs = fields.get("rigs").map(|node| self.rigs(node)).transpose()?;
        let peer = fields.get("peer").map(|node| self.peer(node)).transpose()?;
        let same = |list: &Rigs| {
            let all = [RigKind::Emu, RigKind::Qemu, RigKind::Vfio, RigKind::Linux];
            let mine = self.rigs.as_ref().map_or(&all[..], |rigs| &rigs.only);
            mine.iter().all(|rig| list.contains(rig))
        };
        let names: Vec<_> = self.variables.names().collect();
        let matrix = match fields.get("matrix").map(|node| &node.kind) {
            Some(Kind::Map(entries)) => {
                entries.iter().all(|(key, _)| key.text().is_some_and(|name| names.contains(&name)))
            }
            _ => true,
        };
        let conflicts = [
            (
                "rigs",
                rigs.is_some_and(|list| !same(&list)),
                "the case runs on rigs that this file does not allow",
            ),
            (
                "peer",
                peer.is_some_and(|(arp, real)| {
                    arp != self.automatic_arp || real.is_some() != self.real_peer.is_some()
                }),
                "the case says otherwise",
            ),
            ("wire", fields.get("wire").is_some(), "it is the case's"),
            ("matrix", !matrix, "the case that includes it needs these names in its own matrix"),
            (
                "faults",
                fields.get("faults").is_some_and(|node| !super::checks::is_empty(node)),
                "they are the case's",
            ),
            ("interrupts", fields.get("interrupts").is_some(), "they are the case's"),
            (
                "differs",
                fields.get("differs").is_some_and(|n| !super::checks::is_empty(n)),
                "they are the case's",
            ),
        ];
        for (key, conflict, why) in conflicts {
            if let (true, Some(key_node)) = (conflict, fields.key(key)) {
                let problem =
                    Problem::at(&key_node.span, format!("`{key}:` of an included file conflicts: {why}"))
                        .label("conflicts")
                        .help(format!(
                            "only its steps are used: move `{key}:` to the case, or say the same there"
                        ));
                return Err(self.r.report(problem));
            }
        }
        let steps = self.r.need(&fields, "steps")?;
        self.steps(steps, out)
    }
}

fn short(path: &std::path::Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
