//! The device layer: pick a queue, its qdisc, the driver; NAPI and softirqs on the way in.

pub mod bql;
pub mod device;
pub mod features;
pub(crate) mod gro;
mod gso;
pub mod interface;
pub mod name;
pub mod napi;
pub mod pick;
pub mod qdisc;
pub mod softirq;
pub mod validate;
pub mod vlan;
pub mod xmit;

pub use device::{DriverCtx, NetdevQueue, NetdevStats, NetdevTx};
pub use interface::Interface;
pub use name::IfName;

/// `netdev_max_backlog`: packets of the loopback device that may wait for a CPU.
pub const MAX_BACKLOG: usize = 1000;
