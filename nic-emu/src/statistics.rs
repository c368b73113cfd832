//! Which event moves which counter (section 8.18). Counters stop at all ones; byte counts run from destination address to FCS.

use crate::nic::Nic;

/// Bytes of the FCS.
pub(crate) const FCS: usize = 4;

const PRC64: u32 = 0x405C;
const GPRC: u32 = 0x4074;
const BPRC: u32 = 0x4078;
const MPRC: u32 = 0x407C;
const GPTC: u32 = 0x4080;
const GORCL: u32 = 0x4088;
const GOTCL: u32 = 0x4090;
const TORL: u32 = 0x40C0;
const TOTL: u32 = 0x40C8;
const TPR: u32 = 0x40D0;
const TPT: u32 = 0x40D4;
const PTC64: u32 = 0x40D8;
const MPTC: u32 = 0x40F0;
const BPTC: u32 = 0x40F4;
const RPTHC: u32 = 0x4104;
const HGPTC: u32 = 0x4118;
const HGORCL: u32 = 0x4128;
const HGOTCL: u32 = 0x4130;

/// Counters that others move by name.
pub(crate) mod counter {
    pub(crate) const CRCERRS: u32 = 0x4000;
    pub(crate) const MPC: u32 = 0x4010;
    pub(crate) const XONRXC: u32 = 0x4048;
    pub(crate) const XONTXC: u32 = 0x404C;
    pub(crate) const XOFFRXC: u32 = 0x4050;
    pub(crate) const XOFFTXC: u32 = 0x4054;
    pub(crate) const FCRUC: u32 = 0x4058;
    pub(crate) const RNBC: u32 = 0x40A0;
    pub(crate) const RUC: u32 = 0x40A4;
    pub(crate) const RFC: u32 = 0x40A8;
    pub(crate) const ROC: u32 = 0x40AC;
    pub(crate) const RJC: u32 = 0x40B0;
    pub(crate) const TSCTC: u32 = 0x40F8;
    pub(crate) const TSCTFC: u32 = 0x40FC;
}

/// Whom a destination address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    Unicast,
    Multicast,
    Broadcast,
}

pub(crate) fn cast_of(frame: &[u8]) -> Cast {
    match frame {
        [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, ..] => Cast::Broadcast,
        [first, ..] if first & 1 == 1 => Cast::Multicast,
        _ => Cast::Unicast,
    }
}

impl Nic {
    pub(crate) fn count(&mut self, register: u32, by: u32) {
        let value = self.registers.get(register).saturating_add(by);
        self.registers.set(register, value);
    }

    fn count_bytes(&mut self, low: u32, by: usize) {
        let old = u64::from(self.registers.get(low + 4)) << 32 | u64::from(self.registers.get(low));
        let new = old.saturating_add(by as u64);
        self.registers.set(low, new as u32);
        self.registers.set(low + 4, (new >> 32) as u32);
    }

    /// One of six counters in a row, by size with FCS; those below 64 bytes are in none.
    fn count_size(&mut self, first: u32, bytes: usize) {
        let bucket = match bytes {
            0..64 => return,
            64 => 0,
            65..128 => 1,
            128..256 => 2,
            256..512 => 3,
            512..1024 => 4,
            _ => 5,
        };
        self.count(first + 4 * bucket, 1);
    }

    /// A frame, without FCS here, has left the port whole.
    pub(crate) fn count_sent(&mut self, frame: &[u8]) {
        let bytes = frame.len() + FCS;
        self.count(TPT, 1);
        self.count_bytes(TOTL, bytes);
        if bytes < 64 {
            return;
        }
        self.count(GPTC, 1);
        self.count_bytes(GOTCL, bytes);
        self.count(HGPTC, 1);
        self.count_bytes(HGOTCL, bytes);
        self.count_size(PTC64, bytes);
        match cast_of(frame) {
            Cast::Unicast => {}
            Cast::Multicast => self.count(MPTC, 1),
            Cast::Broadcast => self.count(BPTC, 1),
        }
    }

    /// A pause frame of the MAC's own has left: it is in the totals, and in no count of good packets.
    pub(crate) fn count_sent_pause(&mut self, frame: &[u8], is_xon: bool) {
        self.count(TPT, 1);
        self.count_bytes(TOTL, frame.len() + FCS);
        self.count(if is_xon { counter::XONTXC } else { counter::XOFFTXC }, 1);
    }

    /// A frame was seen at the port, good or bad, for us or not.
    pub(crate) fn count_seen(&mut self, frame: &[u8]) {
        self.count(TPR, 1);
        self.count_bytes(TORL, frame.len() + FCS);
    }

    /// A good frame passed the filters and went into the packet buffer.
    pub(crate) fn count_received(&mut self, frame: &[u8]) {
        let bytes = frame.len() + FCS;
        self.count(GPRC, 1);
        self.count_bytes(GORCL, bytes);
        self.count_size(PRC64, bytes);
        match cast_of(frame) {
            Cast::Unicast => {}
            Cast::Multicast => self.count(MPRC, 1),
            Cast::Broadcast => self.count(BPRC, 1),
        }
    }

    /// A frame was handed to the host.
    pub(crate) fn count_to_host(&mut self, frame: &[u8]) {
        self.count(RPTHC, 1);
        self.count_bytes(HGORCL, frame.len() + FCS);
    }
}
