//! Registers of the 82576 that the driver touches: offsets in BAR 0, and bits, by their datasheet names.

pub(super) const CTRL: u32 = 0x0000;
pub(super) const CTRL_GIO_MASTER_DISABLE: u32 = 1 << 2;
pub(super) const CTRL_FD: u32 = 1 << 0;
pub(super) const CTRL_SPD: u32 = 3 << 8;
pub(super) const CTRL_SPD_1000: u32 = 2 << 8;
pub(super) const CTRL_SLU: u32 = 1 << 6;
pub(super) const CTRL_FRCSPD: u32 = 1 << 11;
pub(super) const CTRL_FRCDPX: u32 = 1 << 12;
pub(super) const CTRL_RST: u32 = 1 << 26;
pub(super) const CTRL_RFCE: u32 = 1 << 27;
pub(super) const CTRL_TFCE: u32 = 1 << 28;
pub(super) const CTRL_VME: u32 = 1 << 30;

pub(super) const STATUS: u32 = 0x0008;
pub(super) const STATUS_FD: u32 = 1 << 0;
pub(super) const STATUS_LU: u32 = 1 << 1;
pub(super) const STATUS_TXOFF: u32 = 1 << 4;
pub(super) const STATUS_SPEED_SHIFT: u32 = 6;
pub(super) const STATUS_GIO_MASTER_ENABLE: u32 = 1 << 19;

pub(super) const EECD: u32 = 0x0010;
pub(super) const EECD_AUTO_RD: u32 = 1 << 9;

pub(super) const EERD: u32 = 0x0014;
pub(super) const EERD_START: u32 = 1 << 0;
pub(super) const EERD_DONE: u32 = 1 << 1;

pub(super) const CTRL_EXT: u32 = 0x0018;
pub(super) const CTRL_EXT_LINK_MODE: u32 = 3 << 22;
pub(super) const CTRL_EXT_DRV_LOAD: u32 = 1 << 28;

pub(super) const MDIC: u32 = 0x0020;
pub(super) const MDIC_REG_SHIFT: u32 = 16;
pub(super) const MDIC_PHY_SHIFT: u32 = 21;
pub(super) const MDIC_OP_WRITE: u32 = 1 << 26;
pub(super) const MDIC_OP_READ: u32 = 1 << 27;
pub(super) const MDIC_READY: u32 = 1 << 28;
pub(super) const MDIC_ERROR: u32 = 1 << 30;

pub(super) const FCAL: u32 = 0x0028;
pub(super) const FCAH: u32 = 0x002C;
pub(super) const FCT: u32 = 0x0030;
pub(super) const VET: u32 = 0x0038;
pub(super) const FCTTV: u32 = 0x0170;
pub(super) const FCRTL: u32 = 0x2160;
pub(super) const FCRTL_XONE: u32 = 1 << 31;
pub(super) const FCRTH: u32 = 0x2168;
pub(super) const RXPBS: u32 = 0x2404;
pub(super) const WUC: u32 = 0x5800;
pub(super) const MANC: u32 = 0x5820;
pub(super) const MANC_EN_BMC2OS: u32 = 1 << 28;
pub(super) const SWSM: u32 = 0x5B50;
pub(super) const SWSM_SMBI: u32 = 1 << 0;
pub(super) const SWSM_SWESMBI: u32 = 1 << 1;
pub(super) const SW_FW_SYNC: u32 = 0x5B5C;
pub(super) const SWFW_EEP: u32 = 0x0001;
pub(super) const SWFW_PHY0: u32 = 0x0002;
pub(super) const TSICR: u32 = 0xB66C;

pub(super) const ICR: u32 = 0x00C0;
pub(super) const ICS: u32 = 0x00C8;
pub(super) const IMS: u32 = 0x00D0;
pub(super) const IMC: u32 = 0x00D8;
pub(super) const IAM: u32 = 0x00E0;
pub(super) const INT_LSC: u32 = 1 << 2;
pub(super) const INT_DOUTSYNC: u32 = 1 << 28;
pub(super) const INT_RXDMT0: u32 = 1 << 4;
pub(super) const INT_DRSTA: u32 = 1 << 30;
pub(super) const INT_ASSERTED: u32 = 1 << 31;
/// Without MSI-X: a queue (RXT0, TXDW, RXDMT0), the link (RXSEQ, LSC), DOUTSYNC and DRSTA.
pub(super) const INT_ALL: u32 = 0x5000_009D;
pub(super) const GPIE: u32 = 0x1514;
/// NSICR | MSIX_MODE | EIAME | PBA support.
pub(super) const GPIE_MSIX: u32 = 1 | 1 << 4 | 1 << 30 | 1 << 31;
pub(super) const EICS: u32 = 0x1520;
pub(super) const EIMS: u32 = 0x1524;
pub(super) const EIMC: u32 = 0x1528;
pub(super) const EIAC: u32 = 0x152C;
pub(super) const EIAM: u32 = 0x1530;
pub(super) const IVAR_MISC: u32 = 0x1740;
pub(super) const IVAR_VALID: u32 = 0x80;
pub(super) const EITR_CNT_INGR: u32 = 1 << 31;

/// Throttle of one vector.
pub(super) const fn eitr(vector: u32) -> u32 {
    0x1680 + 4 * vector
}

/// The n-th register with entries of queues, receive and transmit (see `ids.rs`).
pub(super) const fn ivar(n: u32) -> u32 {
    0x1700 + 4 * (n & 7)
}

pub(super) const RCTL: u32 = 0x0100;
pub(super) const RCTL_EN: u32 = 1 << 1;
pub(super) const RCTL_SBP: u32 = 1 << 2;
pub(super) const RCTL_UPE: u32 = 1 << 3;
pub(super) const RCTL_MPE: u32 = 1 << 4;
pub(super) const RCTL_LPE: u32 = 1 << 5;
pub(super) const RCTL_LBM: u32 = 3 << 6;
pub(super) const RCTL_MO: u32 = 3 << 12;
pub(super) const RCTL_BAM: u32 = 1 << 15;
pub(super) const RCTL_BSIZE: u32 = 3 << 16;
pub(super) const RCTL_VFE: u32 = 1 << 18;
pub(super) const RCTL_CFIEN: u32 = 1 << 19;
pub(super) const RCTL_SECRC: u32 = 1 << 26;
pub(super) const RXCSUM: u32 = 0x5000;
pub(super) const RXCSUM_CRCOFLD: u32 = 1 << 11;
pub(super) const RXCSUM_PCSD: u32 = 1 << 13;
pub(super) const RLPML: u32 = 0x5004;
pub(super) const RFCTL: u32 = 0x5008;
pub(super) const RFCTL_IPV6_EX_DIS: u32 = 1 << 16;
pub(super) const RFCTL_LEF: u32 = 1 << 18;
pub(super) const MTA: u32 = 0x5200;
pub(super) const RAL0: u32 = 0x5400;
pub(super) const RAH0: u32 = 0x5404;
pub(super) const RAH_AV: u32 = 1 << 31;
/// The address is of pool 0, the only one.
pub(super) const RAH_POOL_1: u32 = 1 << 18;
pub(super) const VFTA: u32 = 0x5600;
pub(super) const MRQC: u32 = 0x5818;
/// RSS over IPv4, IPv4/TCP, IPv6, IPv6/TCP and IPv6/TCP with extensions.
pub(super) const MRQC_RSS: u32 = 2 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 20 | 1 << 21;
pub(super) const RETA: u32 = 0x5C00;
pub(super) const RSSRK: u32 = 0x5C80;
pub(super) const UTA: u32 = 0xA000;
pub(super) const VMOLR_RLPML: u32 = 0x3FFF;
pub(super) const VMOLR_LPE: u32 = 1 << 16;
pub(super) const VMOLR_RSSE: u32 = 1 << 17;
pub(super) const VMOLR_AUPE: u32 = 1 << 24;
pub(super) const VMOLR_ROMPE: u32 = 1 << 25;
pub(super) const VMOLR_ROPE: u32 = 1 << 26;
pub(super) const VMOLR_BAM: u32 = 1 << 27;
pub(super) const VMOLR_MPME: u32 = 1 << 28;
pub(super) const VMOLR_STRVLAN: u32 = 1 << 30;
pub(super) const RPLOLR: u32 = 0x5AF0;
pub(super) const RPLOLR_STRVLAN: u32 = 1 << 30;
pub(super) const DTXCTL: u32 = 0x3590;
pub(super) const DTXCTL_VLAN_ADDED: u32 = 1 << 3;

/// Low half of receive address `n`; the high half follows.
pub(super) const fn ral(n: u32) -> u32 {
    if n < 16 { RAL0 + 8 * n } else { 0x54E0 + 8 * (n - 16) }
}

/// Offload rules of pool `p`.
pub(super) const fn vmolr(p: u32) -> u32 {
    0x5AD0 + 4 * p
}

/// The registers of receive queue `q` begin here.
pub(super) const fn rxq(q: u32) -> u32 {
    0xC000 + 0x40 * q
}

/// The registers of transmit queue `q` begin here.
pub(super) const fn txq(q: u32) -> u32 {
    0xE000 + 0x40 * q
}

// Offsets within the registers of one queue, receive and transmit alike.
pub(super) const Q_BAL: u32 = 0x00;
pub(super) const Q_BAH: u32 = 0x04;
pub(super) const Q_LEN: u32 = 0x08;
pub(super) const Q_SRRCTL: u32 = 0x0C;
pub(super) const Q_HEAD: u32 = 0x10;
pub(super) const Q_TAIL: u32 = 0x18;
pub(super) const Q_DCTL: u32 = 0x28;
pub(super) const Q_RQDPC: u32 = 0x30;
pub(super) const DCTL_ENABLE: u32 = 1 << 25;
pub(super) const SRRCTL_DROP_EN: u32 = 1 << 31;
/// 256-byte headers (unused), 2 KiB packet buffers, advanced descriptors with one buffer.
pub(super) const SRRCTL_ONE_BUFFER_2K: u32 = 0x0200_0402;

pub(super) const TIPG: u32 = 0x0410;
pub(super) const TCTL: u32 = 0x0400;
pub(super) const TCTL_EN: u32 = 1 << 1;
pub(super) const TCTL_PSP: u32 = 1 << 3;
pub(super) const TCTL_CT: u32 = 0xFF << 4;
pub(super) const TCTL_CT_15: u32 = 15 << 4;
pub(super) const TCTL_COLD: u32 = 0x3FF << 12;
pub(super) const TCTL_COLD_63: u32 = 63 << 12;
pub(super) const TCTL_RTLC: u32 = 1 << 24;
