//! YAML text to checked trials: reading, diagnosing, expanding. It knows nothing of rigs or stacks.

pub mod model;

mod calls;
mod checks;
pub mod command;
mod confine;
mod conserve;
pub mod differs;
mod epoll;
mod faults;
pub(crate) mod files;
mod form;
mod frames;
mod functions;
mod known;
mod load;
mod names;
mod peer;
mod peer_shape;
pub mod problem;
pub(crate) mod reader;
mod real_peer;
mod relations;
mod retransmissions;
pub mod rigs;
pub mod schema;
pub(crate) mod shape;
mod substitute;
pub(crate) mod symbols;
#[cfg(test)]
mod tests;
pub mod topology;
mod trial;
mod value;
mod wire_steps;
pub(crate) mod yaml;

pub use files::case_name as name_of_file;
pub use known::FILE as KNOWN_DIFFERENCES;
pub use load::{load, load_filtered, load_with};
pub use problem::{Problem, Problems};
