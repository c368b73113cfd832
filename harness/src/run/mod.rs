//! Executing trials: [`pool`] hands them to worker threads, [`trial`] runs one on a fresh rig, and [`engine`] does its steps.

pub mod artifacts;
pub mod calls;
pub mod canary;
pub mod check;
pub mod conclusive;
pub mod conserve;
pub mod covers;
pub mod datagrams;
pub mod differs;
pub mod engine;
mod expect;
pub mod factory;
mod flows;
pub mod governor;
pub mod lateness;
pub mod outcome;
mod path;
pub mod pool;
pub mod record;
pub mod rigs;
pub mod select;
pub mod soak;
mod struck;
pub mod timing;
pub mod trial;
pub mod unread;
mod unstated;
pub mod verdict;

pub use factory::RigFactory;
pub use record::Record;
pub use trial::{TrialReport, execute};
pub use verdict::{Failure, Verdict};
