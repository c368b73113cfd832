//! Counters: those that the device keeps and clears when read, folded into 64 bits, and those of the driver.

use super::Igb;
use super::regs::*;
use super::rx_hang::Counts;
use crate::netdev::{DriverCtx, NetdevStats};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What the driver counts for one queue pair.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueueStats {
    pub(super) tx_packets: u64,
    pub(super) tx_bytes: u64,
    pub(super) tx_restart: u64,
    pub(super) rx_packets: u64,
    pub(super) rx_bytes: u64,
    pub(super) rx_drops: u64,
    pub(super) csum_err: u64,
    pub(super) alloc_failed: u64,
}

macro_rules! counters {
    ($($name:ident = $offset:literal,)*) => {
        /// A counter of the device that is shown to somebody.
        #[derive(Clone, Copy, Debug)]
        #[expect(clippy::upper_case_acronyms, reason = "the names are the datasheet's")]
        enum Counter { $($name,)* }

        /// The register of each.
        const REGISTERS: &[(u32, Counter)] = &[$(($offset, Counter::$name),)*];
    };
}

counters! {
    CRCERRS = 0x4000, ALGNERRC = 0x4004, RXERRC = 0x400C, MPC = 0x4010, SCC = 0x4014, ECOL = 0x4018, MCC = 0x401C,
    LATECOL = 0x4020, COLC = 0x4028, DC = 0x4030, TNCRS = 0x4034, XONRXC = 0x4048, XONTXC = 0x404C, XOFFRXC = 0x4050,
    XOFFTXC = 0x4054, GPRC = 0x4074, BPRC = 0x4078, MPRC = 0x407C, GPTC = 0x4080, GORC = 0x4088, GOTC = 0x4090,
    RNBC = 0x40A0, RUC = 0x40A4, ROC = 0x40AC, MGTPRC = 0x40B4, MGTPDC = 0x40B8, MGTPTC = 0x40BC, MPTC = 0x40F0,
    BPTC = 0x40F4, TSCTC = 0x40F8, TSCTFC = 0x40FC, O2BSPC = 0x4158, B2OGPRC = 0x415C, B2OSPC = 0x8FE0,
    O2BGPTC = 0x8FE4,
}

/// Read to be cleared, and shown to nobody: the upper halves of byte counts, sizes, pause opcodes, timers.
const CLEARED: &[u32] = &[
    0x4008, 0x402C, 0x4038, 0x4040, 0x4058, 0x405C, 0x4060, 0x4064, 0x4068, 0x406C, 0x4070, 0x408C, 0x4094,
    0x40A8, 0x40B0, 0x40C0, 0x40C4, 0x40C8, 0x40CC, 0x40D0, 0x40D4, 0x40D8, 0x40DC, 0x40E0, 0x40E4, 0x40E8,
    0x40EC, 0x4100, 0x4104, 0x4108, 0x410C, 0x4110, 0x4118, 0x411C, 0x4120, 0x4124,
];

/// Frames that the device has put into memory.
const RPTHC: u32 = 0x4104;

/// Read only after a reset, to be cleared.
const CLEARED_AT_RESET: &[u32] = &[0x403C, 0x4128, 0x412C, 0x4130, 0x4134, 0x4138, 0x4228];

const COUNTERS: usize = REGISTERS.len();

/// What the device has counted in a register of [`CLEARED`], folded in too: `ethtool -d` shows it.
const UNSHOWN: usize = CLEARED.len();

/// The device's counters, and the driver's own for the whole device.
#[derive(Debug)]
pub(super) struct HwStats {
    values: [u64; COUNTERS],
    unshown: [u64; UNSHOWN],
    tx_timeouts: u64,
    out_of_sync: u64,
}

impl Default for HwStats {
    fn default() -> Self {
        Self { values: [0; COUNTERS], unshown: [0; UNSHOWN], tx_timeouts: 0, out_of_sync: 0 }
    }
}

impl HwStats {
    fn get(&self, counter: Counter) -> u64 {
        self.values[counter as usize]
    }

    /// Frames that came in, by the device's counts of them. What is for management is not for the host.
    pub(super) fn receive_counts(&self) -> Counts {
        let to_host = CLEARED.iter().position(|&register| register == RPTHC);
        Counts {
            arrived: self.get(Counter::GPRC).saturating_sub(self.get(Counter::MGTPRC)),
            missed: self.get(Counter::MPC),
            to_host: to_host.map_or(0, |at| self.unshown[at]),
            ..Counts::default()
        }
    }

    /// `tx_timeout_count`.
    pub(super) fn tx_timeout(&mut self) {
        self.tx_timeouts += 1;
    }

    /// `tx_dma_out_of_sync`.
    pub(super) fn out_of_sync(&mut self) {
        self.out_of_sync += 1;
    }
}

impl Igb {
    /// Folds the device's counters in (`igb_update_stats`). Not without a link: they go on counting then.
    pub(super) fn update_stats(&mut self, ctx: &mut DriverCtx<'_>) {
        if self.link.speed == 0 || !self.running() {
            return;
        }
        let copper = self.hw.rd32(ctx.bus, CTRL_EXT) & CTRL_EXT_LINK_MODE == 0;
        let management = self.hw.rd32(ctx.bus, MANC) & MANC_EN_BMC2OS != 0;
        // Reading the upper half of a pair clears the lower one: not while that cannot be read.
        let mut unread = u32::MAX;
        for &(register, counter) in REGISTERS {
            let read = match counter {
                Counter::RXERRC | Counter::TNCRS => copper,
                Counter::O2BSPC | Counter::B2OGPRC | Counter::B2OSPC | Counter::O2BGPTC => management,
                _ => true,
            };
            if read {
                // One that is full stays at all ones: not within two seconds.
                let value = self.hw.try_rd32(ctx.bus, register);
                if self.hw.removed {
                    return;
                }
                unread = if value.is_none() { register } else { unread };
                self.stats.values[counter as usize] += u64::from(value.unwrap_or(0));
            }
        }
        for (&register, sum) in CLEARED.iter().zip(&mut self.stats.unshown) {
            if unread.checked_add(4) == Some(register) {
                continue;
            }
            let value = self.hw.try_rd32(ctx.bus, register);
            if self.hw.removed {
                return;
            }
            unread = if value.is_none() { register } else { unread };
            *sum += u64::from(value.unwrap_or(0));
        }
        for q in 0..self.rx.len() {
            let drops = self.hw.try_rd32(ctx.bus, rxq(q as u32) + Q_RQDPC).unwrap_or(0);
            if !self.hw.removed {
                self.queue_stats[q].rx_drops += u64::from(drops);
            }
        }
    }

    /// A register as `ethtool -d` shows it (`igb_get_regs`): counters as they were folded in, and of causes what reading does
    /// not clear.
    pub fn dump(&mut self, ctx: &mut DriverCtx<'_>, offset: u32) -> u32 {
        let counted = REGISTERS.iter().find(|&&(register, _)| register == offset);
        if let Some(&(_, counter)) = counted {
            return self.stats.get(counter) as u32;
        }
        if let Some(at) = CLEARED.iter().position(|&register| register == offset) {
            return self.stats.unshown[at] as u32;
        }
        match offset {
            0x4000..0x4200 | 0x4220..0x4300 | 0xA018 => 0,
            0x1580 => self.hw.rd32(ctx.bus, EICS),
            0x1500 | 0x1504 => self.hw.rd32(ctx.bus, ICS),
            0x1508 | 0x150C => self.hw.rd32(ctx.bus, IMS),
            0x1510 => self.hw.rd32(ctx.bus, IAM),
            _ => self.hw.rd32(ctx.bus, offset),
        }
    }

    /// Clears the device's counters after a reset (`igb_clear_hw_cntrs_82575`).
    pub(super) fn clear_stats(&mut self, ctx: &mut DriverCtx<'_>) {
        let shown = REGISTERS.iter().map(|&(register, _)| register);
        for register in shown.chain(CLEARED.iter().copied()).chain(CLEARED_AT_RESET.iter().copied()) {
            self.hw.rd32(ctx.bus, register);
        }
    }

    /// The counters of the interface, read from the device first (`ndo_get_stats64`). Packets and bytes are the driver's:
    /// without CRC, and sent ones count when their completion is cleaned.
    pub fn stats64(&mut self, ctx: &mut DriverCtx<'_>) -> NetdevStats {
        self.update_stats(ctx);
        self.advance(ctx);
        let queues = |count: fn(&QueueStats) -> u64| self.queue_stats.iter().map(count).sum::<u64>();
        let hw = |counter| self.stats.get(counter);
        NetdevStats {
            rx_packets: queues(|q| q.rx_packets),
            tx_packets: queues(|q| q.tx_packets),
            rx_bytes: queues(|q| q.rx_bytes),
            tx_bytes: queues(|q| q.tx_bytes),
            rx_errors: [Counter::RXERRC, Counter::CRCERRS, Counter::ALGNERRC, Counter::RUC, Counter::ROC]
                .map(hw)
                .iter()
                .sum(),
            tx_errors: hw(Counter::ECOL) + hw(Counter::LATECOL),
            multicast: hw(Counter::MPRC),
            collisions: hw(Counter::COLC),
            rx_length_errors: hw(Counter::RUC) + hw(Counter::ROC),
            rx_crc_errors: hw(Counter::CRCERRS),
            rx_frame_errors: hw(Counter::ALGNERRC),
            rx_fifo_errors: queues(|q| q.rx_drops) + hw(Counter::MPC),
            rx_missed_errors: hw(Counter::MPC),
            tx_aborted_errors: hw(Counter::ECOL),
            tx_carrier_errors: hw(Counter::TNCRS),
            tx_window_errors: hw(Counter::LATECOL),
            ..NetdevStats::default()
        }
    }

    /// `ethtool -S`: every counter by Linux's name and in its order (6.12), read from the device first.
    pub fn ethtool_stats(&mut self, ctx: &mut DriverCtx<'_>) -> Vec<(String, u64)> {
        let net = self.stats64(ctx);
        let mut all: Vec<(String, u64)> =
            self.global_stats().map(|(name, value)| (name.to_string(), value)).into();
        all.extend(
            [
                ("rx_errors", net.rx_errors),
                ("tx_errors", net.tx_errors),
                ("tx_dropped", net.tx_dropped),
                ("rx_length_errors", net.rx_length_errors),
                ("rx_over_errors", net.rx_over_errors),
                ("rx_frame_errors", net.rx_frame_errors),
                ("rx_fifo_errors", net.rx_fifo_errors),
                ("tx_fifo_errors", net.tx_fifo_errors),
                ("tx_heartbeat_errors", net.tx_heartbeat_errors),
            ]
            .map(|(name, value)| (name.to_string(), value)),
        );
        for (n, q) in self.queue_stats.iter().enumerate() {
            let values = [("packets", q.tx_packets), ("bytes", q.tx_bytes), ("restart", q.tx_restart)];
            all.extend(values.map(|(name, value)| (format!("tx_queue_{n}_{name}"), value)));
        }
        for (n, q) in self.queue_stats.iter().enumerate() {
            let values = [
                ("packets", q.rx_packets),
                ("bytes", q.rx_bytes),
                ("drops", q.rx_drops),
                ("csum_err", q.csum_err),
                ("alloc_failed", q.alloc_failed),
            ];
            all.extend(values.map(|(name, value)| (format!("rx_queue_{n}_{name}"), value)));
        }
        all
    }

    /// The first block of `ethtool -S`.
    fn global_stats(&self) -> [(&'static str, u64); 42] {
        let hw = |counter| self.stats.get(counter);
        [
            ("rx_packets", hw(Counter::GPRC)),
            ("tx_packets", hw(Counter::GPTC)),
            ("rx_bytes", hw(Counter::GORC)),
            ("tx_bytes", hw(Counter::GOTC)),
            ("rx_broadcast", hw(Counter::BPRC)),
            ("tx_broadcast", hw(Counter::BPTC)),
            ("rx_multicast", hw(Counter::MPRC)),
            ("tx_multicast", hw(Counter::MPTC)),
            ("multicast", hw(Counter::MPRC)),
            ("collisions", hw(Counter::COLC)),
            ("rx_crc_errors", hw(Counter::CRCERRS)),
            ("rx_no_buffer_count", hw(Counter::RNBC)),
            ("rx_missed_errors", hw(Counter::MPC)),
            ("tx_aborted_errors", hw(Counter::ECOL)),
            ("tx_carrier_errors", hw(Counter::TNCRS)),
            ("tx_window_errors", hw(Counter::LATECOL)),
            ("tx_abort_late_coll", hw(Counter::LATECOL)),
            ("tx_deferred_ok", hw(Counter::DC)),
            ("tx_single_coll_ok", hw(Counter::SCC)),
            ("tx_multi_coll_ok", hw(Counter::MCC)),
            ("tx_timeout_count", self.stats.tx_timeouts),
            ("rx_long_length_errors", hw(Counter::ROC)),
            ("rx_short_length_errors", hw(Counter::RUC)),
            ("rx_align_errors", hw(Counter::ALGNERRC)),
            ("tx_tcp_seg_good", hw(Counter::TSCTC)),
            ("tx_tcp_seg_failed", hw(Counter::TSCTFC)),
            ("rx_flow_control_xon", hw(Counter::XONRXC)),
            ("rx_flow_control_xoff", hw(Counter::XOFFRXC)),
            ("tx_flow_control_xon", hw(Counter::XONTXC)),
            ("tx_flow_control_xoff", hw(Counter::XOFFTXC)),
            ("rx_long_byte_count", hw(Counter::GORC)),
            ("tx_dma_out_of_sync", self.stats.out_of_sync),
            ("tx_smbus", hw(Counter::MGTPTC)),
            ("rx_smbus", hw(Counter::MGTPRC)),
            ("dropped_smbus", hw(Counter::MGTPDC)),
            ("os2bmc_rx_by_bmc", hw(Counter::O2BGPTC)),
            ("os2bmc_tx_by_bmc", hw(Counter::B2OSPC)),
            ("os2bmc_tx_by_host", hw(Counter::O2BSPC)),
            ("os2bmc_rx_by_host", hw(Counter::B2OGPRC)),
            ("tx_hwtstamp_timeouts", 0),
            ("tx_hwtstamp_skipped", 0),
            ("rx_hwtstamp_cleared", 0),
        ]
    }
}
