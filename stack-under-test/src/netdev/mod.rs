//! The device layer: pick a queue, its qdisc, the driver; NAPI and softirqs on the way in.
pub mod bql;
pub mod device;
pub mod qdisc;
pub mod softirq;

pub use device::{DriverCtx, NetdevQueue, NetdevStats, NetdevTx};
