//! Link: PHY, autonegotiation, cable, loopback (chapters 3.5, 3.7, 8.2.4).

mod machine;

use machine::{MAC, Machine, frame};
use nic_emu::{Config, DropReason, Fault, LinkMode, Partner, Rule, Speed};
use rstest::rstest;

const READ: u32 = 1 << 27;
const WRITE: u32 = 1 << 26;

fn mdic(machine: &mut Machine, phy: u32, register: u32, operation: u32) -> u32 {
    machine.write(0x20, operation | phy << 21 | register << 16);
    assert_eq!(machine.read(0x20) & 1 << 28, 0, "not at once");
    machine.wait(50_000);
    machine.read(0x20)
}

fn phy(machine: &mut Machine, register: u32) -> u32 {
    mdic(machine, 1, register, READ) & 0xFFFF
}

#[test]
fn link_needs_autonegotiation_and_slu() {
    let mut machine = Machine::cold();
    machine.wait(1_499_900_000);
    assert_eq!(phy(&mut machine, 1) & 0x24, 0x00, "AN_DONE, LINK");
    machine.wait(50_000);
    assert_eq!(machine.read(8) & 2, 0, "no SLU");
    machine.set(0, 1 << 6);
    assert_eq!(machine.read(8) & 0xC3, 0x83, "LU, 1000 Mbit/s, FD");
    assert_ne!(machine.read(0xC0) & 4, 0, "LSC");
}

#[test]
fn bmsr_reports_a_loss_once() {
    let mut machine = Machine::up();
    phy(&mut machine, 1);
    assert_eq!(phy(&mut machine, 1) & 0x24, 0x24);
    machine.nic.set_link(false);
    machine.nic.set_link(true);
    machine.wait(2_000_000_000);
    assert_eq!(phy(&mut machine, 1) & 0x24, 0x20, "latched low");
    assert_eq!(phy(&mut machine, 1) & 0x24, 0x24);
}

#[test]
fn pulling_the_cable_interrupts_and_plugging_it_negotiates() {
    let mut machine = Machine::up();
    machine.nic.set_link(false);
    assert!(!machine.nic.is_link_up());
    machine.run();
    assert_eq!(machine.out.interrupts.iter().map(|message| message.vector).collect::<Vec<_>>(), [0]);
    assert_ne!(machine.read(0xC0) & 4, 0, "LSC");
    machine.nic.set_link(true);
    assert_eq!(machine.read(8) & 2, 0);
    machine.wait(1_500_000_000);
    assert_eq!(machine.read(8) & 2, 2);
}

#[test]
fn restarting_autonegotiation_takes_the_link_down_and_up() {
    let mut machine = Machine::up_with(Config { autoneg_ns: 20_000_000, ..Config::new(MAC, 0) });
    assert_eq!(mdic(&mut machine, 1, 0, WRITE | 0x1200) & 1 << 30, 0);
    assert_eq!(machine.read(8) & 2, 0);
    assert_eq!(phy(&mut machine, 0), 0x1000, "RESTART_AN clears itself");
    machine.wait(20_000_000);
    assert_eq!(machine.read(8) & 2, 2);
}

#[test]
fn the_phy_is_an_igp3_with_a_gigabit_partner() {
    let mut machine = Machine::up();
    assert_eq!([phy(&mut machine, 2), phy(&mut machine, 3) & 0xFFF0], [0x02A8, 0x0390]);
    assert_eq!(phy(&mut machine, 5) & 0x0400, 0x0400, "PAUSE");
    assert_eq!(phy(&mut machine, 10) & 0x7800, 0x7800, "receivers good, partner 1000FD");
    assert_eq!(mdic(&mut machine, 2, 2, READ) & 1 << 30, 1 << 30, "no PHY 2");
    assert_eq!(machine.rules(), [Rule::PhyAccess]);
}

#[test]
fn registers_of_phy_pages_are_kept_apart() {
    let mut machine = Machine::up();
    for (page, value) in [(0x100, 0x1111), (0x200, 0x2222)] {
        mdic(&mut machine, 1, 0x1F, WRITE | page);
        mdic(&mut machine, 1, 0x19, WRITE | value);
    }
    mdic(&mut machine, 1, 0x1F, WRITE | 0x100);
    assert_eq!(phy(&mut machine, 0x19), 0x1111);
}

#[test]
fn frames_from_a_cable_without_link_are_lost() {
    let mut machine = Machine::up();
    machine.nic.set_link(false);
    let now = machine.nic.now();
    machine.nic.receive(now, &frame(60));
    machine.run();
    assert_eq!(machine.out.dropped[0].reason, DropReason::LinkDown);
}

#[test]
fn a_cable_pulled_in_the_middle_of_a_frame_loses_it() {
    let mut machine = Machine::up();
    machine.send(&frame(1514));
    machine.wait(8_000);
    machine.nic.set_link(false);
    machine.run();
    assert!(machine.out.frames.is_empty());
    assert_eq!(machine.out.dropped[0].reason, DropReason::LinkDown);
}

#[test]
fn phy_loopback_returns_what_is_sent() {
    let mut machine = Machine::up();
    machine.nic.set_link(false);
    mdic(&mut machine, 1, 0, WRITE | 0x4140);
    machine.send(&frame(256));
    machine.run();
    assert!(machine.out.frames.is_empty());
    assert_eq!(machine.ram.bytes[machine::BUFFERS as usize..][..256], frame(256));
}

#[test]
fn a_link_flap_on_request() {
    let mut config = Config::new(MAC, 0);
    config.faults.push(Fault::LinkFlap { at: 5_000_000_000, for_ns: 1_000_000 });
    let mut machine = Machine::with(config);
    machine.reset();
    machine.bring_up();
    machine.wait(4_900_000_000);
    assert!(machine.nic.is_link_up());
    machine.wait(100_000_000);
    assert!(!machine.nic.is_link_up());
    machine.wait(1_501_000_000);
    assert!(machine.nic.is_link_up());
}

const fn mode(speed: Speed, is_full_duplex: bool) -> Option<LinkMode> {
    Some(LinkMode { speed, is_full_duplex })
}

/// The best that both ends advertise: `ANAR` (bits 8 to 5: 100FD, 100HD, 10FD, 10HD), `GBCR` bit 9, and the partner.
#[rstest]
#[case::all(0x1E1, 0x200, Partner::default(), mode(Speed::Mbps1000, true))]
#[case::a_partner_without_gigabit(0x1E1, 0x200, Partner { gigabit: false, ..Partner::default() }, mode(Speed::Mbps100, true))]
#[case::no_gigabit_advertised(0x1E1, 0, Partner::default(), mode(Speed::Mbps100, true))]
#[case::half_duplex_of_100(0x0A1, 0, Partner::default(), mode(Speed::Mbps100, false))]
#[case::full_duplex_of_10(0x041, 0, Partner::default(), mode(Speed::Mbps10, true))]
#[case::half_duplex_of_10(0x1E1, 0x200, Partner { gigabit: false, modes: 1, ..Partner::default() }, mode(Speed::Mbps10, false))]
#[case::nothing_in_common(0x041, 0, Partner { modes: 8, ..Partner::default() }, None)]
fn autonegotiation_settles(
    #[case] anar: u32,
    #[case] gbcr: u32,
    #[case] partner: Partner,
    #[case] expected: Option<LinkMode>,
) {
    let mut machine = Machine::with(Config { partner, ..Config::new(MAC, 0) });
    machine.set(0, 1 << 6);
    mdic(&mut machine, 1, 4, WRITE | anar);
    mdic(&mut machine, 1, 9, WRITE | gbcr);
    mdic(&mut machine, 1, 0, WRITE | 0x1240);
    machine.wait(2_000_000_000);
    assert_eq!(machine.nic.is_link_up().then(|| machine.nic.link_mode()), expected);
    if let Some(LinkMode { speed, is_full_duplex }) = expected {
        let code = match speed {
            Speed::Mbps10 => 0,
            Speed::Mbps100 => 1,
            Speed::Mbps1000 => 2,
        };
        assert_eq!(machine.read(8) & 0xC3, code << 6 | 2 | u32::from(is_full_duplex), "STATUS");
    }
}

/// A frame of 64 bytes, its preamble and its gap: 84 bytes.
#[rstest]
#[case::at_1000(0x0140, 672)]
#[case::at_100(0x2100, 6_720)]
#[case::at_10(0x0100, 67_200)]
fn a_forced_speed_is_the_rate_of_the_cable(#[case] bmcr: u32, #[case] slot: u64) {
    let mut machine = Machine::up();
    mdic(&mut machine, 1, 0, WRITE | bmcr);
    machine.wait(2_000_000_000);
    machine.out = Default::default();
    machine.send(&frame(60));
    machine.send(&frame(60));
    machine.run();
    let at: Vec<u64> = machine.out.frames.iter().map(|frame| frame.at).collect();
    assert_eq!(at[1] - at[0], slot);
}

#[test]
fn a_mac_forced_to_another_speed_than_its_phy_has_no_link() {
    let mut machine = Machine::up();
    let control = machine.read(0) & !(3 << 8);
    machine.write(0, control | 1 << 11 | 1 << 8);
    assert!(!machine.nic.is_link_up());
    machine.write(0, control | 1 << 11 | 2 << 8);
    assert!(machine.nic.is_link_up());
}

/// Linux's loopback test: PHY and MAC forced to 1000 Mbit/s; all frames come back, and none is on the cable.
#[rstest]
#[case::in_the_phy(0x4140, 0)]
#[case::in_the_mac(0x1140, 1 << 6)]
fn in_loopback_every_frame_comes_back(#[case] bmcr: u32, #[case] lbm: u32) {
    let mut machine = Machine::up();
    mdic(&mut machine, 1, 0, WRITE | bmcr);
    machine.set(0, 1 << 11 | 1 << 12 | 2 << 8 | 1 | 1 << 6);
    machine.set(0x100, lbm);
    machine.wait(2_000_000_000);
    machine.out = Default::default();
    for _ in 0..20 {
        let mut bytes = frame(256);
        bytes[..6].fill(0xFF);
        machine.send(&bytes);
        machine.wait(100_000);
    }
    assert_eq!(machine.out.frames, []);
    assert_eq!([machine.read(0x4078), machine.read(0x4104)], [20, 20], "BPRC, RPTHC");
}
