//! How a trial ended.

use super::lateness::Excuse;
use crate::case::model::{Location, Nanos};
use crate::frame::FrameSpec;

/// How a trial ended.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Every step held, and nothing came that no step explains.
    Pass,
    /// A step did not hold, a frame is unexplained, a rule of the hardware was broken, or the rig died under the trial.
    Fail(Box<Failure>),
    /// It was not run; decided before the run.
    Skip(String),
    /// It was run and says nothing: the harness was too late, the capture lost frames, or somebody stopped it. Never a pass.
    Inconclusive(String),
}

impl Verdict {
    /// A failure with a message.
    #[must_use]
    pub fn fail(failure: Failure) -> Self {
        Self::Fail(Box::new(failure))
    }

    /// Whether it is a pass.
    #[must_use]
    pub fn is_pass(&self) -> bool {
        matches!(self, Self::Pass)
    }

    /// Why it says nothing, if it does.
    #[must_use]
    pub fn inconclusive(&self) -> Option<&str> {
        match self {
            Self::Inconclusive(why) => Some(why),
            Self::Pass | Self::Fail(_) | Self::Skip(_) => None,
        }
    }

    /// `pass`, `fail`, `skip` or `inconclusive`, as `--format json` prints it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(_) => "fail",
            Self::Skip(_) => "skip",
            Self::Inconclusive(_) => "inconclusive",
        }
    }

    /// Why, in one line; empty for a pass.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Pass => String::new(),
            Self::Fail(failure) => failure.to_string(),
            Self::Skip(why) | Self::Inconclusive(why) => why.clone(),
        }
    }
}

/// What did not hold.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// The line of the case that did not hold, if it is about one.
    pub at: Option<Location>,
    /// What happened, in one line.
    pub message: String,
    /// What helps to understand it: field by field, the frames around it. Lines, shown below the message.
    pub details: Vec<String>,
    /// The bytes that a call was to send and since when, if it is about one: its packet's journey is shown where it was lost.
    pub sent: Option<Box<(Nanos, Vec<u8>)>>,
    /// The frame that should have come, if it is about one: shown beside the nearest that did.
    pub wanted: Option<Box<FrameSpec>>,
    /// How much lateness of the harness or the machine would explain it.
    pub excuse: Excuse,
}

impl Failure {
    /// A failure that is about no line of the case.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// A failure at a line of the case.
    #[must_use]
    pub fn at(at: &Location, message: impl Into<String>) -> Self {
        Self { at: Some(at.clone()), ..Self::new(message) }
    }

    /// The same with lines that help to understand it.
    #[must_use]
    pub fn with(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// The same with what a call was to send, since when.
    #[must_use]
    pub fn sending(mut self, since: Nanos, payload: &[u8]) -> Self {
        self.sent = Some(Box::new((since, payload.to_vec())));
        self
    }

    /// The same with the frame that should have come.
    #[must_use]
    pub fn wanting(mut self, pattern: &FrameSpec) -> Self {
        self.wanted = Some(Box::new(pattern.clone()));
        self
    }

    /// The same, explained by this much lateness since a time of the trial.
    #[must_use]
    pub fn off_by(mut self, late: Nanos, since: Nanos) -> Self {
        self.excuse = Excuse::By { late, since };
        self
    }

    /// The same, not about time, but explained by lateness beyond what the trial tolerates.
    #[must_use]
    pub fn untimed(mut self) -> Self {
        self.excuse = Excuse::BeyondTolerance;
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{}:{}:{}: ", at.file.path.display(), at.line, at.column)?;
        }
        f.write_str(&self.message)
    }
}
