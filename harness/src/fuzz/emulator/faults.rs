//! What is settled before the NIC has power: its delays, and the faults that the records of an input plan.

use crate::case::model::topology;
use crate::fuzz::record::Record;
use nic_emu::{Config, Fault, Latency};

/// The longest that a reset takes here, in nanoseconds.
pub const RESET_MAX: u64 = 4_000_000;
/// The most faults of one input.
const FAULTS_MAX: usize = 16;

/// The configuration that the records of an input ask for.
#[must_use]
pub fn config(records: &[Record]) -> Config {
    let first = records.first().copied().unwrap_or_default();
    let mut config = Config::new(topology::SUT_MAC, first.x.into());
    if first.y & 1 != 0 {
        (config.reset_ns, config.nvm_load_ns, config.serial_ns) = (0, 0, 0);
    }
    if first.y & 2 != 0 {
        config.reset_ns = RESET_MAX;
    }
    if first.y & 4 != 0 {
        let delay = u64::from(first.y >> 8 & 0xFFF);
        let jitter_percent = (first.y >> 24) as u8;
        config.latency = Latency {
            descriptor_fetch_ns: delay,
            data_fetch_ns: delay * 2,
            write_back_ns: delay / 2,
            msix_ns: delay,
            jitter_percent,
        };
    }
    config.autoneg_ns = if first.y & 8 != 0 { 1000 } else { config.autoneg_ns };
    config.msix_vectors = (first.y >> 16) as u8;
    let faults = records.iter().filter(|record| record.kind % super::KINDS == 0).take(FAULTS_MAX);
    config.faults = faults.map(|record| fault(*record)).collect();
    config
}

fn fault(record: Record) -> Fault {
    let (which, nth) = (record.b, record.x % 64);
    // Times of faults are a case's, and any number may stand there.
    let time = if record.y == u32::MAX { u64::MAX } else { u64::from(record.y) };
    match record.a % 4 {
        0 => Fault::LostInterrupt { vector: which, nth },
        1 => Fault::SpuriousInterrupt { vector: which, at: record.x.into() },
        2 => Fault::LateWriteBack { queue: which % 16, nth, by_ns: time },
        _ => Fault::LinkFlap { at: record.x.into(), for_ns: time },
    }
}
