//! Register access that notices when the device is gone, and the faults that the driver names.

use super::regs::{CTRL, CTRL_GIO_MASTER_DISABLE, CTRL_RST, STATUS};
use crate::bus::Bus;
use alloc::vec::Vec;

/// Something that a wait ended in, or that the device should not have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// STATUS.GIO_MASTER_ENABLE did not clear within 800 polls of 100 µs. Tolerated: the reset follows.
    MasterDisableTimeout,
    /// EECD.AUTO_RD did not set within 10 polls of 1 ms. Tolerated (QEMU never sets it).
    AutoReadTimeout,
    /// CTRL.RST did not clear within 10 polls of 1 ms. The device is given up.
    ResetTimeout,
    /// The device id is none that the driver knows. The device is given up.
    UnknownDevice,
    /// Neither the configuration nor RAL0/RAH0 has a unicast address. The device is given up.
    InvalidMac,
    /// The semaphores of the PHY (SWSM, SW_FW_SYNC) were not free within 200 polls of 5 ms.
    SemaphoreTimeout,
    /// MDIC.READY did not set within 1920 polls of 50 µs.
    MdicTimeout,
    /// MDIC.ERROR was set.
    MdicError,
    /// There was no memory for the rings when the device was to come up again. It stays down.
    RingMemory,
    /// Registers read all ones: the device was pulled out.
    Removed,
    /// A transmit queue got nothing done for longer than the time allowed (igb's "Detected Tx Unit Hang").
    TxHang,
    /// A receive descriptor claims more bytes than its buffer has, or never ends its packet.
    RxDescriptor,
    /// A receive descriptor that the device was done with did not come back within two seconds. Its frame is lost.
    RxWriteBack,
    /// Frames that the device took reached no receive ring for longer than two seconds. The device is reset.
    RxHang,
    /// A register read all ones, and the device is there: the value was not believed.
    AllOnes,
}

impl Fault {
    pub(super) const COUNT: usize = Self::AllOnes as usize + 1;
}

/// The way to the registers.
#[derive(Debug, Default)]
pub(super) struct Hw {
    /// Set once registers read all ones; nothing is read or written from then on.
    pub(super) removed: bool,
    /// How often each fault happened.
    faults: [u32; Fault::COUNT],
    last_fault: Option<Fault>,
    /// What was last written to registers of which parts are changed.
    kept: Vec<(u32, u32)>,
}

impl Hw {
    /// Reads a register. When it gives all ones, and CTRL and STATUS do so too, the device is gone (`igb_rd32`; Linux believes register 0
    /// by itself). A sole one that gives all ones is no removal: whoever reads has to know whether that can be; see [`Self::try_rd32`].
    pub(super) fn rd32(&mut self, bus: &mut dyn Bus, reg: u32) -> u32 {
        if self.removed {
            return u32::MAX;
        }
        let value = bus.read32(reg);
        if value == u32::MAX && [CTRL, STATUS].iter().all(|&other| bus.read32(other) == u32::MAX) {
            self.removed = true;
            self.fault(Fault::Removed);
        }
        value
    }

    /// Writes a register, unless the device is gone.
    #[inline]
    pub(super) fn wr32(&mut self, bus: &mut dyn Bus, reg: u32, value: u32) {
        if !self.removed {
            bus.write32(reg, value);
        }
    }

    /// Reads a register that never has all bits set. `None` when it says so, or the device is gone.
    pub(super) fn try_rd32(&mut self, bus: &mut dyn Bus, reg: u32) -> Option<u32> {
        let value = self.rd32(bus, reg);
        if value == u32::MAX && !self.removed {
            self.fault(Fault::AllOnes);
        }
        (value != u32::MAX).then_some(value)
    }

    /// Reads a register, clears and sets bits, and writes it back. When it reads all ones, what was last written to it is changed. Nothing
    /// is written when the device is gone.
    pub(super) fn modify(&mut self, bus: &mut dyn Bus, reg: u32, clear: u32, set: u32) {
        let read = self.try_rd32(bus, reg);
        if self.removed {
            return;
        }
        let place = self.kept.iter().position(|&(kept, _)| kept == reg);
        let value = read.unwrap_or_else(|| place.map_or(0, |at| self.kept[at].1));
        let value = value & !clear | set;
        // What begins a reset is not written a second time.
        let keep = if reg == CTRL { value & !(CTRL_RST | CTRL_GIO_MASTER_DISABLE) } else { value };
        match place {
            Some(at) => self.kept[at].1 = keep,
            None => self.kept.push((reg, keep)),
        }
        self.wr32(bus, reg, value);
    }

    /// Counts a fault.
    #[cold]
    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
        self.last_fault = Some(fault);
    }

    pub(super) fn faults(&self, fault: Fault) -> u32 {
        self.faults[fault as usize]
    }

    pub(super) fn last_fault(&self) -> Option<Fault> {
        self.last_fault
    }
}
