//! Every register that the NIC answers for: name, where, reset value, writable bits, access kind.
//!
//! Reset values are those that QEMU's 82576 shows or the I210's datasheet gives. Those of `SRRCTL`, `DTXMXSZRQ`, `DTXMXPKTSZ`,
//! `PBA`, and `DTXTCPFLGL`/`H` are not confirmed by either. A row with a count is an array.

use super::access::Access::{
    self, Block, ReadOnly, ReadToClear, ReadToClearLow, ReadToClearPair, ReadWrite, WriteOneToClear,
    WriteOneToMask, WriteOneToSet, WriteOnly,
};

/// One register or an array of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) offset: u32,
    pub(super) stride: u32,
    pub(super) count: u32,
    pub(super) reset: u32,
    pub(super) writable: u32,
    /// Bits that a driver must not set.
    pub(super) reserved: u32,
    pub(super) access: Access,
}

const fn row(name: &'static str, offset: u32, reset: u32, writable: u32, access: Access) -> Row {
    Row { name, offset, stride: 4, count: 1, reset, writable, reserved: 0, access }
}

/// A register that holds what is written.
const fn rw(name: &'static str, offset: u32, reset: u32, writable: u32) -> Row {
    row(name, offset, reset, writable, ReadWrite)
}

/// A statistics counter.
const fn counter(name: &'static str, offset: u32) -> Row {
    row(name, offset, 0, 0, ReadToClear)
}

impl Row {
    const fn times(mut self, count: u32, stride: u32) -> Self {
        self.count = count;
        self.stride = stride;
        self
    }

    /// One for each of the 16 queues.
    const fn queues(self) -> Self {
        self.times(16, 0x40)
    }

    const fn reserved(mut self, bits: u32) -> Self {
        self.reserved = bits;
        self
    }
}

const ALL: u32 = u32::MAX;

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    // Section 8.2: general.
    rw("CTRL", 0x0000, 0x0010_0209, 0xD8DC_1BED),
    row("STATUS", 0x0008, 0x8000_0481, 0, Block),
    rw("EECD", 0x0010, 0x0000_1110, 0x0000_007F),
    row("EERD", 0x0014, 0, 0, Block),
    rw("CTRL_EXT", 0x0018, 0, 0x1DD7_FFFF),
    row("MDIC", 0x0020, 0x1000_0000, 0, Block),
    rw("SCTL", 0x0024, 0, ALL),
    rw("FCAL", 0x0028, 0, ALL),
    rw("FCAH", 0x002C, 0, 0xFFFF),
    rw("FCT", 0x0030, 0, 0xFFFF),
    rw("CONNSW", 0x0034, 0, ALL),
    rw("VET", 0x0038, 0x8100_8100, ALL),
    rw("TSSDP", 0x003C, 0, ALL),
    rw("FCTTV", 0x0170, 0, 0xFFFF),
    rw("TXCW", 0x0178, 0, 0xC000_FFFF),
    rw("PHPM", 0x0E14, 0, ALL),
    rw("LEDCTL", 0x0E00, 0x0706_8302, ALL),
    rw("MDICNFG", 0x0E04, 0, ALL),
    rw("PBA", 0x1000, 0x0022_0022, 0xFFFF),
    rw("PBS", 0x1008, 0, ALL),
    rw("EEMNGCTL", 0x1010, 0x8000_0000, 0),
    row("EEWR", 0x102C, 0, 0, Block),
    row("FRTIMER", 0x1048, 0, 0, Block),
    rw("TCPTIMER", 0x104C, 0, 0x0000_0FFF),
    // Section 8.8: interrupts.
    row("ICR", 0x00C0, 0, 0, WriteOneToClear),
    rw("ITR", 0x00C4, 0, 0xFFFF),
    row("ICS", 0x00C8, 0, 0, WriteOneToSet),
    row("IMS", 0x00D0, 0, 0, WriteOneToSet),
    row("IMC", 0x00D8, 0, 0, WriteOneToMask),
    rw("IAM", 0x00E0, 0, 0xF7D4_FBFD),
    rw("GPIE", 0x1514, 0, 0xC000_0F91).reserved(0x3FFF_F06E),
    row("EICS", 0x1520, 0, 0, WriteOneToSet),
    row("EIMS", 0x1524, 0, 0, WriteOneToSet),
    row("EIMC", 0x1528, 0, 0, WriteOneToMask),
    rw("EIAC", 0x152C, 0, 0xC1FF_FFFF),
    rw("EIAM", 0x1530, 0, 0xC1FF_FFFF),
    row("EICR", 0x1580, 0, 0, WriteOneToClear),
    rw("EITR", 0x1680, 0, 0x7FFF_FFFC).times(25, 4),
    rw("IVAR", 0x1700, 0, 0x9F9F_9F9F).times(8, 4).reserved(0x6060_6060),
    rw("IVAR_MISC", 0x1740, 0, 0x0000_9F9F).reserved(0xFFFF_6060),
    rw("MBVFICR", 0x0C80, 0, 0), rw("MBVFIMR", 0x0C84, 0xFF, 0xFF),
    rw("VFRE", 0x0C8C, 0xFF, 0xFF), rw("VFTE", 0x0C90, 0xFF, 0xFF),
    row("PBACLR", 0x5B68, 0, 0, WriteOnly),
    // Section 8.5: flow control. Section 8.3: packet buffers.
    rw("FCRTL", 0x2160, 0, 0x8000_FFF0),
    rw("FCRTH", 0x2168, 0, 0xFFF0),
    rw("FCRTC", 0x2170, 0, ALL),
    rw("FCRTV", 0x2460, 0, 0xFFFF),
    rw("RXPBS", 0x2404, 0x40, 0x7F),
    rw("QDE", 0x2408, 0, 0xFFFF),
    rw("DMACR", 0x2508, 0, ALL),
    rw("DMCTLX", 0x2514, 0, ALL),
    rw("DMCTXTH", 0x3550, 0, ALL),
    rw("TXPBS", 0x3404, 0x28, 0x7F),
    // Section 8.10: receive.
    rw("RCTL", 0x0100, 0, 0x04DF_B3FE).reserved(0xFB00_4C01),
    rw("RXCSUM", 0x5000, 0x300, 0x3FFF),
    rw("RLPML", 0x5004, 0x2600, 0x3FFF),
    rw("RFCTL", 0x5008, 0, ALL),
    rw("MTA", 0x5200, 0, ALL).times(128, 4),
    rw("RAL", 0x5400, 0, ALL).times(16, 8),
    rw("RAH", 0x5404, 0, 0x83FF_FFFF).times(16, 8),
    rw("RAL", 0x54E0, 0, ALL).times(8, 8),
    rw("RAH", 0x54E4, 0, 0x83FF_FFFF).times(8, 8),
    rw("PSRTYPE", 0x5480, 0, ALL).times(8, 4),
    rw("VLAPQF", 0x55B0, 0, ALL),
    rw("SYNQF", 0x55FC, 0, ALL),
    rw("VFTA", 0x5600, 0, ALL).times(128, 4),
    rw("MRQC", 0x5818, 0, ALL),
    rw("VT_CTL", 0x581C, 0, ALL),
    rw("SAQF", 0x5980, 0, ALL).times(8, 4),
    rw("DAQF", 0x59A0, 0, ALL).times(8, 4),
    rw("SPQF", 0x59C0, 0, ALL).times(8, 4),
    rw("FTQF", 0x59E0, 0, ALL).times(8, 4),
    rw("IMIR", 0x5A80, 0, ALL).times(8, 4),
    rw("IMIREXT", 0x5AA0, 0, ALL).times(8, 4),
    rw("IMIRVP", 0x5AC0, 0, ALL),
    rw("VMOLR", 0x5AD0, 0x8000_2600, ALL).times(8, 4),
    rw("RPLOLR", 0x5AF0, 0x8000_0000, ALL),
    rw("RETA", 0x5C00, 0, ALL).times(32, 4),
    rw("RSSRK", 0x5C80, 0, ALL).times(10, 4),
    rw("ETQF", 0x5CB0, 0, ALL).times(8, 4),
    rw("VLVF", 0x5D00, 0, ALL).times(32, 4),
    rw("UTA", 0xA000, 0, ALL).times(128, 4),
    rw("RDBAL", 0xC000, 0, 0xFFFF_FF80).queues(),
    rw("RDBAH", 0xC004, 0, ALL).queues(),
    rw("RDLEN", 0xC008, 0, 0x000F_FFF0).queues(),
    rw("SRRCTL", 0xC00C, 0x0000_0400, 0x8FF0_3F7F).queues().reserved(0x700F_C080),
    row("RDH", 0xC010, 0, 0, ReadOnly).queues(),
    rw("RXCTL", 0xC014, 0, ALL).queues(),
    row("RDT", 0xC018, 0, 0, Block).queues(),
    rw("RXDCTL", 0xC028, 0x0001_0000, 0x021F_1F1F).queues().reserved(0xF9E0_E0E0),
    counter("RQDPC", 0xC030).queues(),
    // Section 8.12: transmit.
    rw("TCTL", 0x0400, 0xA404_00F8, ALL),
    rw("TCTL_EXT", 0x0404, 0x0001_0840, ALL),
    rw("TIPG", 0x0410, 0x0060_1008, 0x3FFF_FFFF),
    rw("AIT", 0x0458, 0, 0xFFFF),
    row("TDFH", 0x3410, 0, 0, ReadOnly), row("TDFT", 0x3418, 0, 0, ReadOnly), row("TDFHS", 0x3420, 0, 0, ReadOnly),
    row("TDFTS", 0x3428, 0, 0, ReadOnly), row("TDFPC", 0x3430, 0, 0, ReadOnly),
    rw("DTXSWC", 0x3500, 0, ALL),
    rw("DTXMXSZRQ", 0x3540, 0x10, 0xFFF),
    rw("DTXMXPKTSZ", 0x355C, 0x98, 0x1FF),
    rw("DTXCTL", 0x3590, 0x44, ALL),
    rw("DTXTCPFLGL", 0x359C, 0x0F76_0FF6, 0x0FFF_0FFF),
    rw("DTXTCPFLGH", 0x35A0, 0x0000_0F7F, 0x0FFF),
    rw("VMVIR", 0x3700, 0, ALL).times(8, 4),
    rw("TDBAL", 0xE000, 0, 0xFFFF_FF80).queues(),
    rw("TDBAH", 0xE004, 0, ALL).queues(),
    rw("TDLEN", 0xE008, 0, 0x000F_FFF0).queues(),
    row("TDH", 0xE010, 0, 0, ReadOnly).queues(),
    rw("TXCTL", 0xE014, 0x2A00, ALL).queues(),
    row("TDT", 0xE018, 0, 0, Block).queues(),
    rw("TXDCTL", 0xE028, 0, 0xF21F_1F1F).queues().reserved(0x01E0_E0E0),
    rw("TDWBAL", 0xE038, 0, 0xFFFF_FFFD).queues(),
    rw("TDWBAH", 0xE03C, 0, ALL).queues(),
    // Section 8.18: statistics. The low half of a pair is cleared by a read of the high one.
    counter("CRCERRS", 0x4000), counter("ALGNERRC", 0x4004), counter("SYMERRS", 0x4008), counter("RXERRC", 0x400C),
    counter("MPC", 0x4010), counter("SCC", 0x4014), counter("ECOL", 0x4018), counter("MCC", 0x401C),
    counter("LATECOL", 0x4020), counter("COLC", 0x4028), counter("CBTMPC", 0x402C), counter("DC", 0x4030),
    counter("TNCRS", 0x4034), counter("SEC", 0x4038), counter("HTDPMC", 0x403C), counter("RLEC", 0x4040),
    counter("XONRXC", 0x4048), counter("XONTXC", 0x404C), counter("XOFFRXC", 0x4050), counter("XOFFTXC", 0x4054),
    counter("FCRUC", 0x4058), counter("PRC64", 0x405C), counter("PRC127", 0x4060), counter("PRC255", 0x4064),
    counter("PRC511", 0x4068), counter("PRC1023", 0x406C), counter("PRC1522", 0x4070), counter("GPRC", 0x4074),
    counter("BPRC", 0x4078), counter("MPRC", 0x407C), counter("GPTC", 0x4080),
    row("GORCL", 0x4088, 0, 0, ReadToClearLow), row("GORCH", 0x408C, 0, 0, ReadToClearPair),
    row("GOTCL", 0x4090, 0, 0, ReadToClearLow), row("GOTCH", 0x4094, 0, 0, ReadToClearPair),
    counter("RNBC", 0x40A0), counter("RUC", 0x40A4), counter("RFC", 0x40A8), counter("ROC", 0x40AC),
    counter("RJC", 0x40B0), counter("MGTPRC", 0x40B4), counter("MGTPDC", 0x40B8), counter("MGTPTC", 0x40BC),
    row("TORL", 0x40C0, 0, 0, ReadToClearLow), row("TORH", 0x40C4, 0, 0, ReadToClearPair),
    row("TOTL", 0x40C8, 0, 0, ReadToClearLow), row("TOTH", 0x40CC, 0, 0, ReadToClearPair),
    counter("TPR", 0x40D0), counter("TPT", 0x40D4), counter("PTC64", 0x40D8), counter("PTC127", 0x40DC),
    counter("PTC255", 0x40E0), counter("PTC511", 0x40E4), counter("PTC1023", 0x40E8), counter("PTC1522", 0x40EC),
    counter("MPTC", 0x40F0), counter("BPTC", 0x40F4), counter("TSCTC", 0x40F8), counter("TSCTFC", 0x40FC),
    counter("IAC", 0x4100), counter("RPTHC", 0x4104), counter("ICRXATC", 0x4108), counter("ICTXPTC", 0x410C),
    counter("ICTXATC", 0x4110), counter("HGPTC", 0x4118), counter("ICTXQMTC", 0x411C), counter("ICRXDMTC", 0x4120),
    counter("HTCBDPC", 0x4124), row("HGORCL", 0x4128, 0, 0, ReadToClearLow), row("HGORCH", 0x412C, 0, 0, ReadToClearPair),
    row("HGOTCL", 0x4130, 0, 0, ReadToClearLow), row("HGOTCH", 0x4134, 0, 0, ReadToClearPair), counter("LENERRS", 0x4138),
    counter("O2BSPC", 0x4158), counter("B2OGPRC", 0x415C), counter("SCVPC", 0x4228), counter("B2OSPC", 0x8FE0),
    counter("O2BGPTC", 0x8FE4),
    // Of virtual functions, which are not modelled: they stay 0.
    counter("PVFGPRC", 0x1_0010).times(8, 0x100), counter("PVFGPTC", 0x1_0014).times(8, 0x100),
    counter("PVFGORC", 0x1_0018).times(8, 0x100), counter("PVFGOTC", 0x1_0034).times(8, 0x100),
    counter("PVFMPRC", 0x1_0038).times(8, 0x100),
    // Section 8.16, 8.17, 8.20: SerDes, wake, management, PCIe, semaphores.
    rw("PCS_CFG0", 0x4200, 0, ALL), rw("PCS_LCTL", 0x4208, 0, ALL), row("PCS_LSTAT", 0x420C, 0, 0, ReadOnly),
    rw("PCS_ANADV", 0x4218, 0, ALL), row("PCS_LPAB", 0x421C, 0, 0, ReadOnly),
    rw("WUC", 0x5800, 0, ALL), rw("WUFC", 0x5808, 0, ALL), row("WUS", 0x5810, 0, ALL, WriteOneToClear),
    rw("MANC", 0x5820, 0, 0), rw("IPAV", 0x5838, 0, ALL), rw("GCR", 0x5B00, 0x0685_0200, ALL),
    row("FACTPS", 0x5B30, 0, 0, ReadOnly), row("SWSM", 0x5B50, 0, 0, Block), row("FWSM", 0x5B54, 0, 0, ReadOnly),
    rw("SW_FW_SYNC", 0x5B5C, 0, 0xFFFF), rw("DCA_CTRL", 0x5B74, 1, ALL),
    // Section 8.14: time sync. Held, but no clock runs.
    rw("SYSTIML", 0xB600, 0, ALL), rw("SYSTIMH", 0xB604, 0, ALL), rw("TIMINCA", 0xB608, 0, ALL),
    rw("TIMADJL", 0xB60C, 0, ALL), rw("TIMADJH", 0xB610, 0, ALL), rw("TSYNCTXCTL", 0xB614, 0, 0x10),
    row("TXSTMPL", 0xB618, 0, 0, ReadOnly), row("TXSTMPH", 0xB61C, 0, 0, ReadOnly), rw("TSYNCRXCTL", 0xB620, 0, 0x1E),
    row("RXSTMPL", 0xB624, 0, 0, ReadOnly), row("RXSTMPH", 0xB628, 0, 0, ReadOnly),
    row("RXSATRL", 0xB62C, 0, 0, ReadOnly), row("RXSATRH", 0xB630, 0, 0, ReadOnly), rw("TSAUXC", 0xB640, 0, ALL),
    counter("TSICR", 0xB66C), rw("TSIM", 0xB674, 0, ALL), rw("TSYNCRXCFG", 0x5F50, 0, ALL),
];
