//! How much a connection carries, over loss and the size of its buffers.

use super::application::Applications;
use super::network::Network;
use super::plan::{ConnectionPlan, Ending, HostPlan, Plan, SidePlan, WirePlan};
use std::fmt::Write as _;

/// Half of the round trip, in nanoseconds.
const DELAY: u64 = 5_000_000;
/// What is sent, in bytes.
const BYTES: u64 = 2_000_000;
/// What is measured at most, in virtual nanoseconds.
const TIME: u64 = 10_000_000_000;

/// Shares of frames that are lost, in thousandths.
pub const LOSSES: [u32; 5] = [0, 1, 10, 30, 100];
/// Values of SO_SNDBUF and SO_RCVBUF, as they are set (the stack doubles them).
pub const BUFFERS: [i32; 4] = [16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// Kilobits of payload a second: one sender, a round trip of 10 ms on a wire of 1 Gbit/s, from the first call on, until all
/// of 2 MB came, or 10 s are over.
///
/// # Errors
/// What went wrong.
pub fn measure(loss: u32, buffer: i32, congestion: &str) -> Result<u64, String> {
    let commands = vec![format!("sysctl -w net.ipv4.tcp_congestion_control={congestion}")];
    let host = HostPlan { cpus: 1, commands };
    let side = |bytes| {
        let options = ["SO_SNDBUF", "SO_RCVBUF"].map(|name| ("SOL_SOCKET", name, buffer));
        SidePlan { bytes, write: 65_536, read: 65_536, pause: 0, options: options.to_vec() }
    };
    let sides = [side(BYTES), side(0)];
    let connection = ConnectionPlan { client: 0, at: 0, sides, closer: 0, ending: Ending::Orderly };
    let wire = WirePlan { loss, delay: DELAY, ..WirePlan::default() };
    let plan = Plan::made_up(wire, [host.clone(), host], vec![connection]);
    let mut network = Network::new(&plan).map_err(|error| error.to_string())?;
    let mut applications = Applications::new(&plan);
    while applications.received() < BYTES && network.now() < TIME {
        let limit = applications.next_due().unwrap_or(TIME).min(TIME);
        network.step(limit)?;
        applications.go_on(&mut network)?;
    }
    Ok(applications.received() * 8 * 1_000_000 / network.now().max(1))
}

/// All of it, as a table.
///
/// # Errors
/// What went wrong.
pub fn table() -> Result<String, String> {
    let mut text = String::from("kbit/s      buffer  loss    0 %   0.1 %     1 %     3 %    10 %\n");
    for congestion in ["reno", "cubic"] {
        for buffer in BUFFERS {
            let _ = write!(text, "{congestion:<6} {:>6} KiB        ", buffer >> 10);
            for loss in LOSSES {
                let _ = write!(text, "{:>8}", measure(loss, buffer, congestion)?);
            }
            text.push('\n');
        }
    }
    Ok(text)
}
