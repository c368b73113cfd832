//! The NIC as a whole: register accesses to the block that answers them, and events to the block that planned them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::agenda::{Agenda, Event};
use crate::config::Config;
use crate::fault::{Fault, FaultCount, Plan};
use crate::host::{DropReason, Dropped, HostMemory, Output};
use crate::interrupt::{Interrupts, Table};
use crate::link::Link;
use crate::nvm::Nvm;
use crate::observation::{Observation, Rule};
use crate::phy::Phy;
use crate::random::Random;
use crate::receive::Receive;
use crate::registers::bit::{ctrl, status};
use crate::registers::{BAR_BYTES, RegisterFile, canonical, offset, register_name};
use crate::transmit::Transmit;

/// Observations and lost frames kept until they are taken; later ones are not noted.
const OBSERVATIONS_MAX: usize = 1024;

/// What a step may touch outside of the NIC.
pub(crate) struct Io<'a> {
    pub(crate) memory: &'a mut dyn HostMemory,
    pub(crate) out: &'a mut Output,
}

/// A register that reads all ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AllOnes {
    /// Its offset.
    pub(crate) register: u32,
    /// Until when, in nanoseconds.
    pub(crate) until: u64,
    /// The place of the fault that has it so.
    pub(crate) fault: usize,
}

/// An Intel 82576 port: its registers, its rings' state, its MAC and PHY.
#[derive(Clone, Debug)]
pub struct Nic {
    pub(crate) config: Config,
    pub(crate) now: u64,
    pub(crate) registers: RegisterFile,
    pub(crate) agenda: Agenda,
    pub(crate) random: Random,
    pub(crate) transmit: Transmit,
    pub(crate) receive: Receive,
    pub(crate) interrupts: Interrupts,
    pub(crate) msix: Table,
    pub(crate) link: Link,
    pub(crate) phy: Phy,
    pub(crate) nvm: Nvm,
    pub(crate) in_reset: bool,
    /// The cable is back for good then: the latest end of the flaps so far.
    pub(crate) flaps_until: u64,
    pub(crate) faults: Plan,
    /// Registers that read all ones.
    pub(crate) all_ones: Vec<AllOnes>,
    /// The card is no longer there.
    is_removed: bool,
    observations: Vec<Observation>,
    /// Frames lost since the last step.
    dropped: Vec<Dropped>,
}

impl Nic {
    /// A NIC that has had power for long: NVM read, link partner present, autonegotiation begun at time 0.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let config = config.bounded();
        let mut nic = Self {
            now: 0,
            registers: RegisterFile::new(),
            agenda: Agenda::new(config.seed),
            random: Random::new(config.seed),
            transmit: Transmit::new(),
            receive: Receive::new(),
            interrupts: Interrupts::new(),
            msix: Table::new(),
            link: Link::new(),
            phy: Phy::new(config.partner),
            nvm: Nvm::new(config.mac),
            in_reset: false,
            flaps_until: 0,
            faults: Plan::default(),
            all_ones: Vec::new(),
            is_removed: false,
            observations: Vec::new(),
            dropped: Vec::new(),
            config,
        };
        nic.load_nvm();
        nic.config_done();
        nic.restart_autoneg();
        let faults = core::mem::take(&mut nic.config.faults);
        nic.arm_faults(&faults);
        nic
    }

    /// Plans faults besides those of [`Config::faults`]. Their times and counts begin now.
    pub fn arm_faults(&mut self, faults: &[Fault]) {
        let first = self.faults.arm(faults);
        for (place, fault) in (first..).zip(faults) {
            if let Some(after) = fault.bounded().due() {
                self.agenda.plan(self.now.saturating_add(after), Event::Fault(place as u16));
            }
        }
    }

    /// What has come of each fault, in the order of being armed: those of [`Config::faults`] come first.
    pub fn fault_counts(&self) -> impl Iterator<Item = FaultCount> + '_ {
        self.faults.counts()
    }

    pub(crate) const fn is_removed(&self) -> bool {
        self.is_removed
    }

    /// Pulls the card out of its slot.
    pub(crate) fn remove(&mut self) {
        self.is_removed = true;
        self.link.is_up = false;
        self.phy.has_cable = false;
        self.agenda.drop_all();
        let mut lost = self.transmit.port.take_all();
        lost.append(&mut self.receive.take_all());
        lost.append(&mut self.receive.take_arriving());
        for bytes in lost {
            self.drop_frame(DropReason::Removed, bytes);
        }
        (self.transmit, self.receive) = (Transmit::new(), Receive::new());
        self.interrupts = Interrupts::new();
    }

    /// The time of the latest step, in nanoseconds. Register accesses count as made at this time: step to the present
    /// before the driver runs.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// When [`Nic::step`] next has something to do, in nanoseconds; never before [`Nic::now`].
    #[must_use]
    pub fn next_event(&self) -> Option<u64> {
        self.agenda.next_at().map(|at| at.max(self.now))
    }

    /// Does all that is due at or before `now`, in the order of time, and appends what comes of it to `out`.
    /// A `now` before the previous one does nothing.
    pub fn step(&mut self, now: u64, memory: &mut dyn HostMemory, out: &mut Output) {
        let mut io = Io { memory, out };
        while let Some((at, event)) = self.agenda.pop_due(now) {
            self.now = self.now.max(at);
            self.handle(event, &mut io);
        }
        self.now = self.now.max(now);
        out.dropped.append(&mut self.dropped);
    }

    /// The driver reads a register of BAR 0.
    pub fn read32(&mut self, offset: u32) -> u32 {
        if self.is_removed || !self.admit(offset, "read") {
            return u32::MAX;
        }
        let offset = canonical(offset);
        let ones = self.all_ones.iter().find(|ones| ones.register == offset && self.now < ones.until);
        if let Some(ones) = ones {
            self.faults.struck(ones.fault);
            return u32::MAX;
        }
        match offset {
            offset::STATUS => self.read_status(),
            offset::EERD | offset::EEWR | offset::MDIC => self.registers.get(offset),
            offset::FRTIMER => (self.now / 1000) as u32,
            offset::SWSM => self.read_swsm(),
            offset::ICR
            | offset::ICS
            | offset::IMS
            | offset::IMC
            | offset::EICS
            | offset::EIMS
            | offset::EIMC
            | offset::EICR => self.read_interrupt(offset),
            _ => match self.registers.read(offset) {
                Some(value) => self.with_registers_of_rings(offset, value),
                None => {
                    self.observe(
                        Rule::UnknownRegister,
                        format!("read of {offset:#07x}: no such register (section 8.1.3)"),
                    );
                    0
                }
            },
        }
    }

    /// The value of a register as kept, for displays: nothing is cleared, nothing is noted. 0 where there is none.
    #[must_use]
    pub fn peek32(&self, offset: u32) -> u32 {
        match canonical(offset) {
            offset::STATUS => self.read_status(),
            offset => self.with_registers_of_rings(offset, self.registers.get(offset)),
        }
    }

    /// The driver writes a register of BAR 0. What follows from it happens in [`Nic::step`].
    pub fn write32(&mut self, offset: u32, value: u32) {
        if self.is_removed || !self.admit(offset, "write") || self.in_reset {
            return;
        }
        let offset = canonical(offset);
        let old = self.registers.get(offset);
        let reserved = self.registers.write(offset, value);
        match reserved {
            None => {
                let text =
                    format!("write of {value:#010x} to {offset:#07x}: no such register (section 8.1.3)");
                return self.observe(Rule::UnknownRegister, text);
            }
            Some(0) => {}
            Some(bits) => {
                let name = register_name(offset).unwrap_or("?");
                let text = format!("{name} written with reserved bits {bits:#010x} set (section 8.1.2)");
                self.observe(Rule::ReservedBit, text);
            }
        }
        self.after_write(offset, old, value);
    }

    /// What has been seen since the last [`Nic::take_observations`], in the order of time.
    #[must_use]
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// The same, and forgets them.
    pub fn take_observations(&mut self) -> Vec<Observation> {
        core::mem::take(&mut self.observations)
    }

    pub(crate) fn observe(&mut self, kind: Rule, text: String) {
        if self.observations.len() < OBSERVATIONS_MAX {
            self.observations.push(Observation { at: self.now, kind, text });
        }
    }

    pub(crate) fn drop_frame(&mut self, reason: DropReason, bytes: Vec<u8>) {
        if self.dropped.len() < OBSERVATIONS_MAX {
            self.dropped.push(Dropped { at: self.now, reason, bytes });
        }
    }

    /// A time that lies this delay, and a jitter, after now.
    pub(crate) const fn after(&mut self, delay_ns: u64) -> u64 {
        let span = delay_ns * self.config.latency.jitter_percent as u64 / 100;
        self.now + delay_ns + self.random.next() % (span + 1)
    }

    /// Whether the device may start DMA.
    pub(crate) fn is_bus_master(&self) -> bool {
        !self.in_reset && !self.registers.has(offset::CTRL, ctrl::GIO_MASTER_DISABLE)
    }

    /// Whether the access reaches a register; if not, or not now, it is noted.
    fn admit(&mut self, offset: u32, what: &str) -> bool {
        if offset >= BAR_BYTES {
            let text = format!("{what} at {offset:#x}, beyond BAR 0 of {BAR_BYTES:#x} bytes (section 8.1)");
            self.observe(Rule::AccessOutsideBar, text);
            return false;
        }
        if !offset.is_multiple_of(4) {
            self.observe(
                Rule::MisalignedAccess,
                format!("{what} at {offset:#x}, not a multiple of 4 (section 8.1)"),
            );
            return false;
        }
        let polled = matches!(canonical(offset), offset::CTRL | offset::STATUS | offset::EECD);
        if self.in_reset && !(what == "read" && polled) {
            let name = register_name(offset).unwrap_or("an unknown register");
            let text = format!("{what} of {name} while CTRL.RST is at work (section 4.3)");
            self.observe(Rule::AccessDuringReset, text);
        }
        true
    }

    fn read_status(&self) -> u32 {
        let busy = self.transmit.is_dma_busy() || self.receive.is_dma_busy();
        let master = self.is_bus_master() || (busy && !self.in_reset);
        let value = self.registers.get(offset::STATUS) & !status::OF_LINK | self.link_status();
        value | if master { status::GIO_MASTER_ENABLE } else { 0 }
    }

    /// `SWSM.SMBI` reads 0 once, and 1 until it is written 0 (section 8.16.3).
    fn read_swsm(&mut self) -> u32 {
        let value = self.registers.get(offset::SWSM);
        self.registers.set(offset::SWSM, value | 1);
        value
    }

    /// Registers whose value is kept by a ring.
    fn with_registers_of_rings(&self, offset: u32, value: u32) -> u32 {
        let queue = ((offset & 0x3FF) / offset::QUEUE_STRIDE) as usize;
        match offset - offset::QUEUE_STRIDE * queue as u32 {
            offset::TDH => self.transmit.head(queue),
            offset::RDH => self.receive.head(queue),
            _ => value,
        }
    }

    fn after_write(&mut self, offset: u32, old: u32, value: u32) {
        match offset {
            offset::CTRL => self.write_ctrl(old, value),
            offset::STATUS if value & status::PHYRA == 0 => self.registers.clear_bits(offset, status::PHYRA),
            offset::EECD => self.write_eecd(value),
            offset::EERD => self.write_eerd(value),
            offset::EEWR => self.write_eewr(value),
            offset::MDIC => self.write_mdic(value),
            offset::SWSM => self.registers.set(offset, value & 3),
            0x00C0..=0x00E0 | 0x1514..=0x1580 | 0x1680..=0x1740 | offset::PBACLR => {
                self.write_interrupt(offset, value)
            }
            offset::TCTL => self.write_tctl(value),
            offset::RCTL => self.receive_pump(),
            0xC000..0xC400 => self.write_receive_queue(offset, old, value),
            0xE000..0xE400 => self.write_transmit_queue(offset, old, value),
            _ => {}
        }
    }

    fn handle(&mut self, event: Event, io: &mut Io<'_>) {
        if self.is_removed {
            return;
        }
        match event {
            Event::ResetDone => self.reset_done(),
            Event::NvmLoaded => self.load_nvm(),
            Event::ConfigDone => self.config_done(),
            Event::NvmRead => self.nvm_read_done(),
            Event::NvmWrite => self.nvm_write_done(),
            Event::MdioDone => self.mdio_done(),
            Event::AutonegDone(round) => self.autoneg_done(round),
            Event::TransmitFetch(queue) => self.transmit_fetched(queue.into(), io),
            Event::TransmitData => self.transmit_data_arrived(io),
            Event::TransmitWriteBack(queue) => self.transmit_write_back(queue.into(), io),
            Event::TransmitFlush(queue) => self.transmit_flush_due(queue.into()),
            Event::WireFree => self.frame_left(io),
            Event::PauseOver => self.start_frame(),
            Event::PauseRefresh => self.refresh_pause(),
            Event::FrameArrived => self.frame_arrived(io),
            Event::ReceiveFetch(queue) => self.receive_fetched(queue.into(), io),
            Event::ReceiveData => self.receive_data_done(io),
            Event::ReceiveWriteBack(queue) => self.receive_write_back(queue.into(), io),
            Event::ReceiveFlush(queue) => self.receive_flush_due(queue.into()),
            Event::Moderated(vector) => self.send_message(vector.into()),
            Event::Message(vector) => self.message_arrived(vector.into(), io),
            Event::Fault(index) => self.fault_due(index.into(), io),
            Event::CableBack if self.now >= self.flaps_until => self.set_link(true),
            Event::CableBack => {}
        }
    }
}
