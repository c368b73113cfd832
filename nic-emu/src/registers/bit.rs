//! Bits of registers and descriptors that the blocks test or set, by their datasheet names (section 8, 7.1.5, 7.2.2).

pub(crate) mod ctrl {
    pub(crate) const FD: u32 = 1;
    pub(crate) const GIO_MASTER_DISABLE: u32 = 1 << 2;
    pub(crate) const SLU: u32 = 1 << 6;
    pub(crate) const FRCSPD: u32 = 1 << 11;
    pub(crate) const FRCDPX: u32 = 1 << 12;
    pub(crate) const RST: u32 = 1 << 26;
    pub(crate) const RFCE: u32 = 1 << 27;
    pub(crate) const TFCE: u32 = 1 << 28;
    pub(crate) const VME: u32 = 1 << 30;
    pub(crate) const PHY_RST: u32 = 1 << 31;
}

pub(crate) mod fcrtl {
    pub(crate) const XONE: u32 = 1 << 31;
}

pub(crate) mod status {
    pub(crate) const FD: u32 = 1;
    pub(crate) const TXOFF: u32 = 1 << 4;
    /// What the link's state gives.
    pub(crate) const OF_LINK: u32 = FD | LU | TXOFF | 3 << 6;
    pub(crate) const LU: u32 = 1 << 1;
    pub(crate) const LAN_INIT_DONE: u32 = 1 << 9;
    pub(crate) const PHYRA: u32 = 1 << 10;
    pub(crate) const GIO_MASTER_ENABLE: u32 = 1 << 19;
}

pub(crate) mod icr {
    pub(crate) const TXDW: u32 = 1;
    pub(crate) const LSC: u32 = 1 << 2;
    pub(crate) const RXDMT0: u32 = 1 << 4;
    pub(crate) const RXO: u32 = 1 << 6;
    pub(crate) const RXDW: u32 = 1 << 7;
    pub(crate) const MDAC: u32 = 1 << 9;
    pub(crate) const DOUTSYNC: u32 = 1 << 28;
    pub(crate) const INT_ASSERTED: u32 = 1 << 31;
    /// Every cause that software may raise and enable.
    pub(crate) const CAUSES: u32 = 0x77D4_FBFD;
}

pub(crate) mod gpie {
    pub(crate) const NSICR: u32 = 1;
    pub(crate) const MULTIPLE_MSIX: u32 = 1 << 4;
    pub(crate) const EIAME: u32 = 1 << 30;
}

pub(crate) mod rctl {
    pub(crate) const EN: u32 = 1 << 1;
    pub(crate) const SBP: u32 = 1 << 2;
    pub(crate) const UPE: u32 = 1 << 3;
    pub(crate) const MPE: u32 = 1 << 4;
    pub(crate) const LPE: u32 = 1 << 5;
    pub(crate) const LBM_MAC: u32 = 1 << 6;
    pub(crate) const BAM: u32 = 1 << 15;
    pub(crate) const VFE: u32 = 1 << 18;
    pub(crate) const DPF: u32 = 1 << 22;
    pub(crate) const PMCF: u32 = 1 << 23;
    pub(crate) const SECRC: u32 = 1 << 26;
}

pub(crate) mod tctl {
    pub(crate) const EN: u32 = 1 << 1;
    pub(crate) const PSP: u32 = 1 << 3;
    pub(crate) const SWXOFF: u32 = 1 << 22;
}

/// `TXDCTL` and `RXDCTL`.
pub(crate) mod dctl {
    pub(crate) const ENABLE: u32 = 1 << 25;
    pub(crate) const SWFLUSH: u32 = 1 << 26;
}

pub(crate) mod mdic {
    pub(crate) const WRITE: u32 = 1 << 26;
    pub(crate) const READ: u32 = 1 << 27;
    pub(crate) const READY: u32 = 1 << 28;
    pub(crate) const INT_EN: u32 = 1 << 29;
    pub(crate) const ERROR: u32 = 1 << 30;
}

/// Word 2 of an advanced transmit data descriptor.
pub(crate) mod dcmd {
    pub(crate) const EOP: u32 = 1 << 24;
    pub(crate) const RS: u32 = 1 << 27;
    pub(crate) const DEXT: u32 = 1 << 29;
    pub(crate) const VLE: u32 = 1 << 30;
    pub(crate) const TSE: u32 = 1 << 31;
    pub(crate) const RESERVED: u32 = 3 << 16 | 1 << 26 | 1 << 28;
}

/// Word 3 of an advanced transmit data descriptor.
pub(crate) mod olinfo {
    pub(crate) const IXSM: u32 = 1 << 8;
    pub(crate) const TXSM: u32 = 1 << 9;
}
