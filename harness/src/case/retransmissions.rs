//! `retransmissions: {of: NAME, at: […]}`: when a frame comes again, as many frames that are expected.

use super::model::{Action, After, Expect, Step, Tolerance};
use super::reader::Read;
use super::shape::{Form, StepShape, key, keys_of, must, step};
use super::trial::TrialReader;
use super::yaml::Node;
use std::time::Duration;

/// More than any timer lets come.
const AT_MOST: usize = 64;

/// `retransmissions`
pub(super) const RETRANSMISSIONS: StepShape = step(
    "retransmissions",
    Form::Keys(&[&[
        must("of", Form::Name, "The frame, by the name that `as:` of its `expect:` gave it."),
        must("at", Form::Durations, "How long after that frame each comes: `[200ms, 600ms, 1400ms]`."),
        key("tolerance", Form::Tolerance, "How far off each time may be."),
    ]]),
    "The next frames are like the named one in all that its `expect:` says, and come at these times after it.",
);

impl TrialReader<'_> {
    /// Each time is a frame that is expected: it fails where it stands in the list.
    pub(super) fn retransmissions(&mut self, node: &Node, out: &mut Vec<Step>) -> Read<()> {
        const HELP: &str = "write `at: [200ms, 600ms]`";
        let fields = self.r.fields(node, "retransmissions", keys_of("retransmissions"))?;
        let (of, at) = (self.r.need(&fields, "of")?, self.r.need(&fields, "at")?);
        let first = self.names.step(&mut self.r, of, true)?;
        let tolerance = fields.get("tolerance").map(|node| self.r.tolerance(node)).transpose()?;
        let items = self.r.list(at, HELP)?;
        if items.is_empty() || items.len() > AT_MOST {
            let help = "for no frame at all use `quiet:`; longer lists are two steps";
            return self.r.wrong(at, &format!("1 to {AT_MOST} times"), help);
        }
        let Some(pattern) = self.expected.get(&first).cloned() else { return Ok(()) };
        let mut before = Duration::ZERO;
        for item in items {
            let delay = self.r.duration(item)?;
            if delay <= before {
                let help =
                    "each time counts from the first frame, not from the one before: later ones are longer";
                return self.r.wrong(item, "a time later than the one before it", help);
            }
            before = delay;
            let tolerance = tolerance.unwrap_or(Tolerance::Default);
            let after = Some(After { step: first.clone(), delay, tolerance });
            let at = item.span.location();
            let expect = Expect { at: at.clone(), name: None, pattern: pattern.clone(), within: None, after };
            out.push(Step { at, name: None, action: Action::Expect(expect) });
        }
        Ok(())
    }
}
