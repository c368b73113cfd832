//! Device drivers.
pub mod igb;
