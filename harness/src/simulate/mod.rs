//! Deterministic simulation: two of our stacks, each with its driver on a NIC of its own, over a wire that loses, reorders,
//! duplicates, corrupts and delays. A seed chooses everything.
//!
//! ```text
//! seed → plan → applications ─ calls ─→ host ─ frames ─→ wire ─ frames ─→ host ←─ calls ─ applications
//!                     └── what arrived, how it ended, what is left ──→ outcome
//! ```

pub mod application;
pub mod dice;
pub mod hostile;
pub mod network;
pub mod outcome;
pub mod plan;
pub mod seeds;
pub mod throughput;
pub mod wire;

pub use outcome::{Failure, Outcome};
pub use plan::{Limits, Plan};

use application::Applications;
use network::Network;

/// Connections have to be over by then, in virtual time: an hour, about four times what a peer that is gone costs.
const OVER_BY: u64 = 3_600_000_000_000;
/// So many things may happen until then: what takes more is a loop.
const STEPS_MAX: u64 = 20_000_000;
/// How long what is left of closed connections may stay: orphans that send a FIN again, then TIME-WAIT.
const GONE_AFTER: u64 = 1_800_000_000_000;

/// What a seed chooses, within limits.
#[must_use]
pub fn plan(seed: u64, limits: &Limits) -> Plan {
    Plan::new(seed, limits)
}

/// Does what a plan says.
///
/// # Errors
/// What did not hold, with the plan and the last frames.
pub fn run(plan: &Plan) -> Result<Outcome, Failure> {
    let mut network = match Network::new(plan) {
        Ok(network) => network,
        Err(error) => return Err(Failure::new(plan, error.to_string(), Vec::new())),
    };
    let done = transfer(plan, &mut network);
    done.map_err(|what| Failure::new(plan, what, network.last_frames()))
}

fn transfer(plan: &Plan, network: &mut Network) -> Result<Outcome, String> {
    let mut applications = Applications::new(plan);
    let mut steps = 0_u64;
    while !applications.are_over() {
        steps += 1;
        if steps > STEPS_MAX {
            return Err(format!("too much happens: {}", applications.describe()));
        }
        let due = applications.next_due();
        let limit = due.unwrap_or(OVER_BY).min(OVER_BY);
        if !network.step(limit)? && limit == OVER_BY {
            return Err(format!("connections do not end: {}", applications.describe()));
        }
        applications.go_on(network)?;
    }
    applications.check(network.may_be_unreachable())?;
    let over = network.now();
    network.settle(over + GONE_AFTER)?;
    Ok(Outcome { over, gone: network.now(), ..applications.outcome() })
}
