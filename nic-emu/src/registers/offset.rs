//! Offsets in BAR 0 of the registers that the blocks use, by their datasheet names (section 8.1.3).

pub(crate) const CTRL: u32 = 0x0000;
pub(crate) const STATUS: u32 = 0x0008;
pub(crate) const EECD: u32 = 0x0010;
pub(crate) const EERD: u32 = 0x0014;
pub(crate) const MDIC: u32 = 0x0020;
pub(crate) const FCAL: u32 = 0x0028;
pub(crate) const FCAH: u32 = 0x002C;
pub(crate) const FCT: u32 = 0x0030;
pub(crate) const VET: u32 = 0x0038;
pub(crate) const ICR: u32 = 0x00C0;
pub(crate) const ICS: u32 = 0x00C8;
pub(crate) const IMS: u32 = 0x00D0;
pub(crate) const IMC: u32 = 0x00D8;
pub(crate) const IAM: u32 = 0x00E0;
pub(crate) const RCTL: u32 = 0x0100;
pub(crate) const FCTTV: u32 = 0x0170;
pub(crate) const TCTL: u32 = 0x0400;
pub(crate) const EEMNGCTL: u32 = 0x1010;
pub(crate) const EEWR: u32 = 0x102C;
pub(crate) const FRTIMER: u32 = 0x1048;
pub(crate) const IAC: u32 = 0x4100;
pub(crate) const GPIE: u32 = 0x1514;
pub(crate) const EICS: u32 = 0x1520;
pub(crate) const EIMS: u32 = 0x1524;
pub(crate) const EIMC: u32 = 0x1528;
pub(crate) const EIAC: u32 = 0x152C;
pub(crate) const EIAM: u32 = 0x1530;
pub(crate) const EICR: u32 = 0x1580;
pub(crate) const EITR: u32 = 0x1680;
pub(crate) const IVAR: u32 = 0x1700;
pub(crate) const IVAR_MISC: u32 = 0x1740;
pub(crate) const FCRTL: u32 = 0x2160;
pub(crate) const FCRTH: u32 = 0x2168;
pub(crate) const FCRTV: u32 = 0x2460;
pub(crate) const RXPBS: u32 = 0x2404;
pub(crate) const TXPBS: u32 = 0x3404;
pub(crate) const DTXTCPFLGL: u32 = 0x359C;
pub(crate) const DTXTCPFLGH: u32 = 0x35A0;
pub(crate) const RXCSUM: u32 = 0x5000;
pub(crate) const RLPML: u32 = 0x5004;
pub(crate) const MTA: u32 = 0x5200;
pub(crate) const RAL: u32 = 0x5400;
pub(crate) const RAL_UPPER: u32 = 0x54E0;
pub(crate) const VFTA: u32 = 0x5600;
pub(crate) const MRQC: u32 = 0x5818;
pub(crate) const SWSM: u32 = 0x5B50;
pub(crate) const PBACLR: u32 = 0x5B68;
pub(crate) const RETA: u32 = 0x5C00;
pub(crate) const RSSRK: u32 = 0x5C80;
pub(crate) const UTA: u32 = 0xA000;

/// Distance between the register sets of two queues.
pub(crate) const QUEUE_STRIDE: u32 = 0x40;
pub(crate) const RDBAL: u32 = 0xC000;
pub(crate) const RDBAH: u32 = 0xC004;
pub(crate) const RDLEN: u32 = 0xC008;
pub(crate) const SRRCTL: u32 = 0xC00C;
pub(crate) const RDH: u32 = 0xC010;
pub(crate) const RDT: u32 = 0xC018;
pub(crate) const RXDCTL: u32 = 0xC028;
pub(crate) const RQDPC: u32 = 0xC030;
pub(crate) const TDBAL: u32 = 0xE000;
pub(crate) const TDBAH: u32 = 0xE004;
pub(crate) const TDLEN: u32 = 0xE008;
pub(crate) const TDH: u32 = 0xE010;
pub(crate) const TDT: u32 = 0xE018;
pub(crate) const TXDCTL: u32 = 0xE028;
pub(crate) const TDWBAL: u32 = 0xE038;
pub(crate) const TDWBAH: u32 = 0xE03C;

/// The same register of another queue.
pub(crate) const fn of_queue(register: u32, queue: usize) -> u32 {
    register + QUEUE_STRIDE * queue as u32
}
