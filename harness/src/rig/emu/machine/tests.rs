//! The machine's rules, against a NIC that is set up by hand.

use super::*;
use rstest::rstest;

const BASE: u64 = 0x1_0000_0000;
/// Where the ring begins in memory.
const RING: usize = 4096;
const COUNT: u32 = 32;

/// The registers of one direction's queue 0, and the bit that enables the direction: datasheet, sections 8.10 and 8.12.
#[derive(Clone, Copy)]
struct Direct {
    base: u32,
    alias: u32,
    enable: (u32, u32),
}

const TRANSMIT: Direct = Direct { base: 0xE000, alias: 0x3800, enable: (0x400, 1 << 1) };
const RECEIVE: Direct = Direct { base: 0xC000, alias: 0x2800, enable: (0x100, 1 << 1) };

struct Rig {
    machine: Rc<RefCell<Machine>>,
    bus: EmuBus,
    memory: DmaMemory,
    now: u64,
}

impl Rig {
    fn new() -> Self {
        let mut memory = DmaMemory::zeroed(8192, BASE);
        let rings = memory.set_apart(RING).expect("memory of our own");
        let nic = Nic::new(nic_emu::Config::new([2, 0, 0, 0, 0, 1], 0));
        let machine = Rc::new(RefCell::new(Machine::new(nic, rings)));
        Self { bus: EmuBus(Rc::clone(&machine)), machine, memory, now: 0 }
    }

    /// One queue of 32 descriptors that runs, and fetches each as soon as it is announced (PTHRESH 8, HTHRESH 1).
    fn with_a_queue(direct: Direct) -> Self {
        let mut rig = Self::new();
        rig.bus.dma_map(BASE, 8192, Direction::Bidirectional);
        let ring = BASE + RING as u64;
        for (offset, value) in
            [(0, ring as u32), (4, (ring >> 32) as u32), (8, COUNT * 16), (0x28, 1 << 25 | 1 << 8 | 8)]
        {
            rig.bus.write32(direct.base + offset, value);
        }
        rig.bus.write32(direct.enable.0, direct.enable.1);
        rig.run();
        assert_eq!(rig.violations(), Vec::<String>::new());
        rig
    }

    /// A descriptor with this word; without a length nothing is sent for it.
    fn write(&mut self, index: u32, word: u64) {
        self.memory.write_le64_pair(RING + index as usize * 16, [word, 0]);
    }

    fn run(&mut self) {
        self.now += 1_000_000;
        self.machine.borrow_mut().step(self.now, &mut self.memory, &mut Output::default());
    }

    /// What was broken about memory; a descriptor that says nothing is the NIC's business.
    fn violations(&mut self) -> Vec<String> {
        let mut all = self.machine.borrow_mut().take_violations();
        all.retain(|what| !what.contains("the NIC saw"));
        all
    }
}

#[test]
fn a_reach_beyond_what_is_lent_is_refused_and_kept() {
    let mut memory = DmaMemory::zeroed(4096, BASE);
    let mut lent = Lent::default();
    lent.lend(BASE, 64, Direction::ToDevice);
    let mut violations = Vec::new();
    let mut reach = Reach {
        memory: &mut memory,
        lent: &lent,
        announced: &mut Announced::default(),
        violations: &mut violations,
        now: 7,
    };
    let mut bytes = [0; 64];
    assert_eq!(reach.read(BASE, &mut bytes), Ok(()));
    assert_eq!(reach.read(BASE + 1, &mut bytes), Err(DmaFault));
    assert_eq!(reach.write(BASE, &bytes), Err(DmaFault));
    assert_eq!(reach.read(BASE + 1_000_000, &mut bytes), Err(DmaFault), "outside of memory altogether");
    assert_eq!(violations.len(), 3);
    assert!(violations[0].contains("at 7 ns the device reads 64 bytes at 0x100000001"), "{violations:?}");
}

#[test]
fn memory_that_was_not_lent_cannot_be_taken_back() {
    let mut rig = Rig::new();
    rig.bus.dma_map(BASE, 64, Direction::ToDevice);
    rig.bus.dma_unmap(BASE, 64);
    assert_eq!(rig.violations(), Vec::<String>::new());
    rig.bus.dma_unmap(BASE, 64);
    assert_eq!(rig.violations().len(), 1);
}

#[rstest]
#[case::to_send(TRANSMIT, TRANSMIT.base, "TDT(0)")]
#[case::to_send_at_the_second_place(TRANSMIT, TRANSMIT.alias, "TDT(0)")]
#[case::to_receive(RECEIVE, RECEIVE.base, "RDT(0)")]
#[case::to_receive_at_the_second_place(RECEIVE, RECEIVE.alias, "RDT(0)")]
fn the_tail_comes_after_the_descriptors(#[case] direct: Direct, #[case] registers: u32, #[case] name: &str) {
    let mut rig = Rig::with_a_queue(direct);
    rig.write(0, BASE);
    rig.write(1, BASE);
    rig.bus.write32(registers + 0x18, 2);
    rig.run();
    assert_eq!(rig.violations(), Vec::<String>::new(), "in order");

    rig.write(2, BASE);
    rig.bus.write32(registers + 0x18, 4);
    rig.write(3, BASE);
    rig.run();
    let violations = rig.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(
        violations[0].contains(&format!("descriptor 3 of {name} changed after the tail")),
        "{violations:?}"
    );
}

#[test]
fn a_tail_that_goes_around_the_end_announces_both_parts() {
    let mut rig = Rig::with_a_queue(TRANSMIT);
    rig.bus.write32(TRANSMIT.base + 0x18, COUNT - 1);
    rig.run();
    rig.bus.write32(TRANSMIT.base + 0x18, 2);
    rig.write(COUNT - 1, BASE);
    rig.write(1, BASE);
    rig.run();
    assert_eq!(rig.violations().len(), 2);
}

#[test]
fn what_was_fetched_or_is_beyond_the_tail_may_be_written() {
    let mut rig = Rig::with_a_queue(TRANSMIT);
    rig.bus.write32(TRANSMIT.base + 0x18, 1);
    rig.write(1, BASE);
    rig.run();
    rig.write(0, BASE + 1);
    rig.run();
    assert_eq!(rig.violations(), Vec::<String>::new());
}

#[test]
fn a_tail_beyond_the_ring_or_of_a_queue_that_does_not_run_announces_nothing() {
    let mut rig = Rig::with_a_queue(TRANSMIT);
    rig.bus.write32(TRANSMIT.base + 0x18, COUNT);
    rig.bus.write32(TRANSMIT.base + 0x40 + 0x18, 1);
    rig.write(0, BASE);
    rig.bus.write32(TRANSMIT.base + 0x18, u32::MAX);
    rig.run();
    assert_eq!(rig.violations(), Vec::<String>::new());
}
