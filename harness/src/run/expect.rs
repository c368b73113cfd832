//! Steps that take frames of the system under test: `expect`, `any_order`, `order`, `fragments`, `quiet`.
//!
//! Frames are taken from the inbox in the order of the wire. The first that does not fit fails the case: nothing is
//! skipped to find a better one.

use super::datagrams;
use super::engine::{Engine, Stop};
use super::lateness;
use super::outcome::{nanos, show_time, slack};
use super::record::Explained;
use super::verdict::Failure;
use crate::case::model::{self, Expect, Nanos, Step};
use crate::frame::{FrameSpec, decode, summary::relative, tcp::Streams};
use crate::judge::pattern::{Mismatch, matches};
use crate::judge::relation::{self, Progress, Relation};
use crate::report::failure::mismatch_text;
use std::time::Duration;

/// By when a frame must come after the previous step, where a case does not say.
const DEFAULT_BOUND: Duration = Duration::from_secs(1);

/// The field of a segment's flags.
const FLAGS: &str = "tcp.flags";

/// In virtual time, how long a frame that did not come in time is waited for, to say by how much it was late.
const LATE: Duration = Duration::from_secs(1);

/// When a frame may be on the wire.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Nanos,
    to: Nanos,
    /// Where the time begins that it is counted from.
    origin: Nanos,
}

impl<'t> Engine<'t> {
    /// The next frame must be this one.
    pub(super) fn expect(&mut self, expect: &'t Expect) -> Result<(), Stop> {
        let (window, begin) = (self.window(expect)?, self.rig.now());
        // One that has its time is waited for.
        if expect.after.is_none() && self.may_be_missing()? {
            return Ok(());
        }
        let frame = loop {
            let Some(frame) = self.next(window.to)? else {
                let name = expect.name.as_deref();
                // A rig that deviates in a step as a whole may send nothing.
                if name.is_some() && self.deviations.tolerates(name, "frame", ("", "")) {
                    return Ok(());
                }
                return Err(self.nothing_came(expect, window, begin)?.into());
            };
            // What a real peer makes the stack send besides is not told by the case.
            if self.trial.real_peer.is_none()
                || self.record.frame(frame).at > window.to
                || self.fits(expect, frame).is_ok()
            {
                break frame;
            }
            self.inbox.pop_front();
        };
        if let Err(mismatch) = self.fits(expect, frame) {
            if self.miss(1) {
                return Ok(());
            }
            if self.record.frame(frame).at > window.to {
                // It came while a late one was still waited for.
                return Err(self.nothing_came(expect, window, begin)?.into());
            }
            return Err(self.another_frame(expect, frame, &mismatch).into());
        }
        self.in_time(expect, frame, window)?;
        self.take(frame, expect);
        Ok(())
    }

    /// Whether nothing came of a datagram, and that is listed.
    fn may_be_missing(&mut self) -> Result<bool, Stop> {
        if self.datagrams.is_none() {
            return Ok(false);
        }
        self.drain(self.rig.now())?;
        // Where that were too many, it may come yet.
        Ok(self.inbox.is_empty() && self.datagrams.as_mut().is_some_and(|datagrams| datagrams.miss(1)))
    }

    /// Whether so many datagrams may be missing.
    fn miss(&mut self, count: usize) -> bool {
        let Some(datagrams) = &mut self.datagrams else { return false };
        let may = datagrams.miss(count);
        if !may {
            datagrams.miss_too_many(count);
        }
        may
    }

    /// The next frames must be these, in whatever order. A frame that fits several is given to one so that all find theirs.
    pub(super) fn any_order(&mut self, step: &'t Step, expects: &'t [Expect]) -> Result<(), Stop> {
        let mut windows = Vec::new();
        for expect in expects {
            windows.push(self.window(expect)?);
        }
        let deadline = windows.iter().map(|w| w.to).max().unwrap_or(self.previous);
        let mut frames: Vec<usize> = Vec::new();
        let mut owner: Vec<Option<usize>> = vec![None; expects.len()];
        while frames.len() < expects.len() {
            let Some(frame) = self.next_after(frames.len(), deadline)? else {
                let free: Vec<_> =
                    expects.iter().zip(&owner).filter(|(_, o)| o.is_none()).map(|(e, _)| e).collect();
                let missing: Vec<_> = free.iter().map(|e| self.wanted(e)).collect();
                let what = format!(
                    "no frame came by {}; still missing: {}",
                    show_time(deadline),
                    missing.join("; ")
                );
                let failure = Failure::at(free.first().map_or(&step.at, |e| &e.at), what)
                    .off_by(deadline.saturating_sub(self.previous), self.previous);
                let wanted = free.first().map(|e| self.flows.expected(&e.pattern));
                return Err(wanted.iter().fold(failure, |f, spec| f.wanting(spec)).into());
            };
            frames.push(frame);
            let fits: Vec<Vec<bool>> =
                frames.iter().map(|f| expects.iter().map(|e| self.fits(e, *f).is_ok()).collect()).collect();
            if !assign(&fits, frames.len() - 1, &mut owner, &mut vec![false; expects.len()]) {
                return Err(self.fits_none(step, expects, &owner, frame).into());
            }
        }
        for (at, expect) in expects.iter().enumerate() {
            let Some(frame) = owner[at].map(|i| frames[i]) else { continue };
            self.in_time(expect, frame, windows[at])?;
            self.take(frame, expect);
        }
        Ok(())
    }

    /// `order: {of: FIELD, is: […]}`.
    pub(super) fn order(&mut self, step: &'t Step, order: &'t model::Order) -> Result<(), Stop> {
        let values: Vec<_> = order.is.iter().map(|value| order.of.show(value)).collect();
        let expected = format!("{} {}", order.of.name(), values.join(", "));
        self.relation(step, &mut relation::Order::new(order), order.within, (&expected, None))
    }

    /// `fragments: {…}`.
    pub(super) fn fragments(&mut self, step: &'t Step, fragments: &'t model::Fragments) -> Result<(), Stop> {
        let (mtu, length) = (fragments.mtu, fragments.payload.0.len());
        let expected = format!("the frames of a datagram of {length} bytes, at an MTU of {mtu}");
        let whole = FrameSpec { payload: Some(fragments.payload.clone()), ..fragments.pattern.clone() };
        self.relation(
            step,
            &mut relation::Fragments::new(fragments),
            fragments.within,
            (&expected, Some(&whole)),
        )
    }

    /// `segments: {…}`.
    pub(super) fn segments(&mut self, step: &'t Step, segments: &'t model::Segments) -> Result<(), Stop> {
        let (mss, range) = (segments.mss, crate::frame::tcp::range(segments.first, segments.length));
        let expected = format!("the segments of {range}, at an MSS of {mss}");
        let mut relation = relation::Segments::new(segments, self.flows.last_bases());
        self.relation(step, &mut relation, segments.within, (&expected, None))
    }

    /// Hands frames to a relation until it is complete. What it says nothing about stays for other steps.
    fn relation(
        &mut self,
        step: &'t Step,
        relation: &mut dyn Relation,
        within: Option<Duration>,
        (expected, wanted): (&str, Option<&FrameSpec>),
    ) -> Result<(), Stop> {
        let deadline = self.previous.saturating_add(nanos(within.unwrap_or(DEFAULT_BOUND)));
        let name = step.name.as_deref();
        relation.excuse(&self.deviations.lacking(name, FLAGS));
        let mut others = 0;
        let mut taken = Vec::new();
        loop {
            let Some(frame) = self.next_after(others, deadline)? else {
                if self.miss(relation.missing()) {
                    return Ok(());
                }
                let what = format!("time was up at {}: {}", show_time(deadline), relation.awaited());
                let failure = Failure::at(&step.at, what)
                    .with(self.beside(expected, &taken))
                    .off_by(deadline.saturating_sub(self.previous), self.previous);
                return Err(wanted.iter().fold(failure, |f, spec| f.wanting(spec)).into());
            };
            let late = self.record.frame(frame).at.saturating_sub(deadline);
            if late > 0 {
                let what = format!("a frame came {} too late: {}", show_time(late), relation.awaited());
                let failure = Failure::at(&step.at, what).with(self.beside(expected, &[frame]));
                return Err(failure.off_by(late, self.previous).into());
            }
            relation.came_from(self.sent_as(frame));
            let progress = relation.push(&decode(&self.record.frame(frame).bytes));
            match progress {
                Progress::NotMine => others += 1,
                Progress::Failed(why) => {
                    taken.push(frame);
                    let mut details = self.beside(expected, &taken);
                    details.extend(why.mismatch.iter().flat_map(lines));
                    return Err(Failure::at(&step.at, why.what.clone()).with(details).untimed().into());
                }
                Progress::NeedMore | Progress::Complete => {
                    self.inbox.retain(|i| *i != frame);
                    self.record.explain(frame, Explained::Step(self.index));
                    if taken.is_empty() {
                        self.remember_frame(step.name.as_deref(), frame);
                    }
                    taken.push(frame);
                    if progress == Progress::Complete {
                        if let Some((expected, got)) = relation.excused() {
                            self.deviations.tolerates(name, FLAGS, (&expected, &got));
                        }
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The packet that a frame of TCP was sent as before it was cut, where the rig keeps a journey.
    fn sent_as(&mut self, frame: usize) -> Option<u32> {
        let packet = self.record.frame(frame).packet?;
        self.rig.journey()?.sent_as(packet)
    }

    /// Nothing is pending, and nothing comes for this long.
    pub(super) fn quiet(&mut self, step: &Step, time: Duration) -> Result<(), Stop> {
        self.drain(self.rig.now())?;
        let until = self.rig.now().saturating_add(nanos(time));
        loop {
            if let Some(&frame) = self.inbox.front() {
                let time = show_time(nanos(time));
                let what =
                    format!("expected quiet for {time}, but a frame came: {}", self.line(frame).trim());
                let failure = Failure::at(&step.at, what).with(self.beside("no frame", &[frame]));
                return Err(failure.untimed().into());
            }
            if !self.pump(until)? {
                return Ok(());
            }
        }
    }

    /// When an expected frame may come.
    fn window(&self, expect: &Expect) -> Result<Window, Stop> {
        let within = expect.within.map(|w| self.previous.saturating_add(nanos(w)));
        let Some(after) = &expect.after else {
            let to = within.unwrap_or_else(|| self.previous.saturating_add(nanos(DEFAULT_BOUND)));
            return Ok(Window { from: 0, to, origin: self.previous });
        };
        let Some(&origin) = self.times.get(after.step.as_str()) else {
            return Err(Failure::at(&expect.at, format!("no step is named {}", after.step)).into());
        };
        let slack = nanos(slack(after.tolerance, after.delay, self.rig.is_virtual()));
        let at = origin.saturating_add(nanos(after.delay));
        let to = at.saturating_add(slack);
        Ok(Window { from: at.saturating_sub(slack), to: within.map_or(to, |w| w.min(to)), origin })
    }

    /// The failure when time was up. In virtual time, one that comes later is waited for, to say so.
    fn nothing_came(&mut self, expect: &Expect, window: Window, begin: Nanos) -> Result<Failure, Stop> {
        let by = show_time(window.to);
        let mut what = format!("no frame came by {by}; expected {}", self.wanted(expect));
        if window.to < begin {
            what = format!("{what}; that was over before this step began, at {}", show_time(begin));
        }
        if self.rig.is_virtual() {
            let until = self.rig.now().saturating_add(nanos(LATE));
            if let Some(frame) = self.next(until)?
                && self.fits(expect, frame).is_ok()
            {
                let at = self.record.frame(frame).at;
                let late = show_time(at.saturating_sub(window.to));
                what = format!("the frame came at {}, {late} too late: {what}", show_time(at));
                return Ok(Failure::at(&expect.at, what).with([self.line(frame)]));
            }
        }
        let bound = window.to.saturating_sub(window.origin);
        let wanted = self.flows.expected(&expect.pattern);
        Ok(Failure::at(&expect.at, what).wanting(&wanted).off_by(bound, window.origin))
    }

    /// Whether a frame that fits came when it should.
    fn in_time(&mut self, expect: &'t Expect, frame: usize, window: Window) -> Result<(), Stop> {
        let at = self.record.frame(frame).at;
        if (window.from..=window.to).contains(&at)
            || self.deviations.tolerates(expect.name.as_deref(), "after", ("", ""))
        {
            return Ok(());
        }
        let (came, off) = (show_time(at), window.from.saturating_sub(at).max(at.saturating_sub(window.to)));
        let what = if at < window.from {
            format!("the frame came at {came}, too early: not before {}", show_time(window.from))
        } else {
            format!(
                "the frame came at {came}, {} too late: not after {}",
                show_time(off),
                show_time(window.to)
            )
        };
        Err(Failure::at(&expect.at, what).with([self.line(frame)]).off_by(off, window.origin).into())
    }

    /// Whether a frame is the one expected, known deviations aside.
    fn fits(&mut self, expect: &Expect, frame: usize) -> Result<(), Mismatch> {
        let decoded = decode(&self.record.frame(frame).bytes);
        let Err(mut mismatch) = matches(&self.flows.expected(&expect.pattern), &decoded) else {
            return Ok(());
        };
        let is_cut = self.datagrams.is_some() && datagrams::is_first(&decoded);
        if self.deviations.is_empty() {
            return Err(mismatch);
        }
        let step = expect.name.as_deref();
        for line in mismatch.lines.iter_mut().filter(|line| !line.same) {
            line.same = is_cut && datagrams::may_differ(line)
                || self.deviations.tolerates(step, &line.field, (&line.expected, &line.got));
        }
        mismatch.payload.take_if(|diff| {
            is_cut && datagrams::is_prefix(diff) || self.deviations.tolerates(step, "payload", ("", ""))
        });
        let same = mismatch.lines.iter().all(|l| l.same) && mismatch.payload.is_none();
        if same && mismatch.problems.is_empty() { Ok(()) } else { Err(mismatch) }
    }

    /// A step takes a frame.
    fn take(&mut self, frame: usize, expect: &'t Expect) {
        self.inbox.retain(|i| *i != frame);
        self.record.explain(frame, Explained::Step(self.index));
        self.flows.took(&expect.pattern, &decode(&self.record.frame(frame).bytes));
        self.remember_frame(expect.name.as_deref(), frame);
    }

    /// The next frame in the inbox, waited for until `deadline`.
    fn next(&mut self, deadline: Nanos) -> Result<Option<usize>, Stop> {
        self.next_after(0, deadline)
    }

    /// The frame in the inbox that has `before` others before it, waited for until `deadline`; in real time as much longer as
    /// the harness or the machine was late meanwhile, and at least 20 ms, so that one that is late is seen for what it is.
    fn next_after(&mut self, before: usize, deadline: Nanos) -> Result<Option<usize>, Stop> {
        if let Some(frame) = self.next_by(before, deadline)? {
            return Ok(Some(frame));
        }
        if self.rig.is_virtual() {
            return Ok(None);
        }
        let late = self.all_late_since(self.previous).max(nanos(lateness::BOUND));
        self.next_by(before, deadline.saturating_add(late))
    }

    fn next_by(&mut self, before: usize, deadline: Nanos) -> Result<Option<usize>, Stop> {
        loop {
            if let Some(&frame) = self.inbox.get(before) {
                return Ok(Some(frame));
            }
            if !self.pump(deadline)? && self.inbox.len() <= before {
                return Ok(None);
            }
        }
    }

    /// One line about a frame: when, and what.
    pub(super) fn line(&self, frame: usize) -> String {
        let at = show_time(self.record.frame(frame).at);
        format!("{at:>12}  {}", self.summary(frame))
    }

    /// A frame in one line, its sequence numbers counted from the first of each stream of the trial.
    pub(super) fn summary(&self, frame: usize) -> String {
        let mut streams = Streams::default();
        let frames = self.record.frames().iter().take(frame + 1);
        let last = frames.map(|frame| streams.bases(&decode(&frame.bytes))).last().unwrap_or_default();
        relative(&decode(&self.record.frame(frame).bytes), &last)
    }

    /// What was expected beside the frames that came.
    fn beside(&self, expected: &str, frames: &[usize]) -> Vec<String> {
        let mut lines = vec![format!("expected: {expected}")];
        lines.extend(frames.iter().map(|frame| format!("got:      {}", self.line(*frame).trim())));
        if frames.is_empty() {
            lines.push("got:      nothing".to_owned());
        }
        lines
    }

    /// What a pattern wants, in one line.
    fn wanted(&self, expect: &Expect) -> String {
        let layers = expect.pattern.layers.iter().map(|layer| layer.name().to_owned());
        let fields =
            expect.pattern.fields.iter().map(|f| format!("{} {}", f.field.name(), f.field.show(&f.value)));
        let segment = expect.pattern.tcp.iter().map(|tcp| format!("tcp {tcp}"));
        let payload = expect.pattern.payload.iter().map(|p| format!("{} bytes of payload", p.0.len()));
        let text =
            layers.filter(|_| expect.pattern.fields.is_empty()).chain(fields).chain(segment).chain(payload);
        text.collect::<Vec<_>>().join(", ")
    }

    fn another_frame(&self, expect: &Expect, frame: usize, mismatch: &Mismatch) -> Failure {
        let what = format!("another frame came than the one expected: {}", first_difference(mismatch));
        let differs = mismatch.lines.iter().find(|line| !line.same);
        let field = differs.and_then(|l| expect.pattern.fields.iter().find(|f| f.field.name() == l.field));
        let segment =
            expect.pattern.tcp.as_ref().filter(|_| differs.is_some_and(|l| l.field.starts_with("tcp.")));
        let at = field.map(|f| &f.at).or(segment.map(|tcp| &tcp.at)).unwrap_or(&expect.at);
        let wanted = self.flows.expected(&expect.pattern);
        Failure::at(at, what).with([self.line(frame)]).wanting(&wanted).untimed()
    }

    /// The failure for a frame that none of the expected ones is.
    fn fits_none(
        &mut self,
        step: &Step,
        expects: &[Expect],
        owner: &[Option<usize>],
        frame: usize,
    ) -> Failure {
        let free = expects.iter().zip(owner).filter(|(_, owner)| owner.is_none()).map(|(e, _)| e);
        let mut nearest: Option<Mismatch> = None;
        for expect in free {
            if let Err(mismatch) = self.fits(expect, frame)
                && nearest.as_ref().is_none_or(|n| mismatch.distance() < n.distance())
            {
                nearest = Some(mismatch);
            }
        }
        let mut details = vec![self.line(frame)];
        details.extend(nearest.iter().flat_map(lines));
        Failure::at(&step.at, "a frame came that is none of those still expected").with(details).untimed()
    }
}

/// A mismatch, field by field.
fn lines(mismatch: &Mismatch) -> Vec<String> {
    mismatch_text(mismatch).lines().map(str::to_owned).collect()
}

/// The first thing that differs, in one line.
fn first_difference(mismatch: &Mismatch) -> String {
    if let Some(line) = mismatch.lines.iter().find(|line| !line.same) {
        return format!("{} is {}, not {}", line.field, line.got, line.expected);
    }
    if let Some(p) = &mismatch.payload {
        return format!(
            "the payload has {} bytes and differs from byte {} on: expected {}, got {}",
            p.got_length, p.first, p.expected, p.got
        );
    }
    mismatch.problems.first().map(|problem| format!("it is malformed: {problem}")).unwrap_or_default()
}

/// Gives frame `frame` to one of the patterns that it fits, moving others if that is what it takes. `false`: impossible.
fn assign(fits: &[Vec<bool>], frame: usize, owner: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for pattern in 0..owner.len() {
        if !fits[frame][pattern] || tried[pattern] {
            continue;
        }
        tried[pattern] = true;
        if owner[pattern].is_none_or(|other| assign(fits, other, owner, tried)) {
            owner[pattern] = Some(frame);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_fits_two_patterns_leaves_the_other_to_the_frame_that_fits_only_it() {
        let fits = vec![vec![true, true], vec![true, false]];
        let mut owner = vec![None, None];
        assert!(assign(&fits, 0, &mut owner, &mut [false; 2]));
        assert!(assign(&fits, 1, &mut owner, &mut [false; 2]));
        assert_eq!(owner, [Some(1), Some(0)]);
    }

    #[test]
    fn two_frames_for_one_pattern_are_one_too_many() {
        let fits = vec![vec![true, false], vec![true, false]];
        let mut owner = vec![None, None];
        assert!(assign(&fits, 0, &mut owner, &mut [false; 2]));
        assert!(!assign(&fits, 1, &mut owner, &mut [false; 2]));
    }
}
