//! What is settled before the NIC has power: its delays, and the faults that the records of an input plan.

use crate::case::model::topology;
use crate::fuzz::record::Record;
use nic_emu::{Config, Fault, Latency, Partner, Which};

/// The longest that a reset takes here, in nanoseconds.
pub const RESET_MAX: u64 = 4_000_000;
/// The most faults of one input.
const FAULTS_MAX: usize = 16;

/// The other end of the cable: a usual one, or any.
#[must_use]
pub fn partner(first: Record) -> Partner {
    if first.a & 0x80 == 0 {
        return Partner::default();
    }
    let has = |bit: u16| first.b & bit != 0;
    Partner { gigabit: has(0x10), modes: first.b & 0xF, pause: has(0x20), asymmetric_pause: has(0x40) }
}

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
    config.partner = partner(first);
    let faults = records.iter().filter(|record| record.kind % super::KINDS == 0).take(FAULTS_MAX);
    config.faults = faults.map(|record| fault(*record)).collect();
    config
}

fn fault(record: Record) -> Fault {
    // Times of faults are a case's, and any number may stand there.
    let time = if record.y == u32::MAX { u64::MAX } else { u64::from(record.y) };
    let which = if record.x & 1 << 31 == 0 {
        Which::Nth(record.x % 64)
    } else {
        Which::Share { per_mille: (record.x >> 8 & 0x3ff) as u16, seed: record.y.into() }
    };
    let (vector, queue, at) = (record.b, record.b % 16, record.x.into());
    match record.a % 18 {
        0 => Fault::LostInterrupt { vector, which },
        1 => Fault::SpuriousInterrupt { vector, at },
        2 => Fault::LateWriteBack { queue, which, by_ns: time },
        3 => Fault::LinkFlap { at, for_ns: time },
        4 => Fault::LostWriteBack { queue, which },
        5 => Fault::DescriptorFetchError { queue, which },
        6 => Fault::RefusedDma { queue, which },
        7 => Fault::CorruptedReceivedFrame { which },
        8 => Fault::LostReceivedFrame { which },
        9 => Fault::CorruptedSentFrame { which },
        10 => Fault::LostSentFrame { which },
        11 => Fault::Removal { at },
        13 => Fault::LateReceiveWriteBack { queue, which, by_ns: time },
        14 => Fault::LostReceiveWriteBack { queue, which },
        15 => Fault::ReceiveFetchError { queue, which },
        17 => Fault::AllOnes { register: record.x & 0x1_FFFC, at: u64::from(record.b) << 8, for_ns: time },
        16 => Fault::RefusedReceiveDma { queue, which },
        _ => Fault::SlowReset { which, by_ns: time },
    }
}
