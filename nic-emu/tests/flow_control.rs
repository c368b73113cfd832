//! Pause frames, both ways (chapter 3.7.5; IEEE 802.3 annex 31B). At 1 Gbit/s a quantum of 512 bits takes 512 ns.

mod machine;

use machine::{MAC, Machine, frame};
use nic_emu::SentFrame;
use rstest::rstest;

const RFCE: u32 = 1 << 27;
const TFCE: u32 = 1 << 28;
/// `RCTL.MPE`: every multicast address passes.
const MPE: u32 = 1 << 4;
const PAUSE_ADDRESS: [u8; 6] = [0x01, 0x80, 0xC2, 0, 0, 0x01];

/// With the address and type of pause frames, the longest pause, and these bits of `CTRL`.
fn machine(control: u32) -> Machine {
    let mut machine = Machine::up();
    machine.write(0x28, 0x00C2_8001);
    machine.write(0x2C, 0x0100);
    machine.write(0x30, 0x8808);
    machine.write(0x170, 0xFFFF);
    machine.set(0, control);
    for counter in [0x4048, 0x404C, 0x4050, 0x4054, 0x4058, 0x4074, 0x40D0, 0x4080, 0x40D4] {
        machine.read(counter);
    }
    machine
}

fn control_frame(to: [u8; 6], opcode: u16, quanta: u16) -> Vec<u8> {
    let mut bytes = to.to_vec();
    bytes.extend([2, 0, 0, 0, 0, 2, 0x88, 0x08]);
    bytes.extend(opcode.to_be_bytes());
    bytes.extend(quanta.to_be_bytes());
    bytes.resize(60, 0);
    bytes
}

fn pause(machine: &mut Machine, quanta: u16) {
    machine.nic.receive(0, &control_frame(PAUSE_ADDRESS, 1, quanta));
    machine.wait(700);
}

#[test]
fn a_pause_frame_stops_transmission_for_its_quanta() {
    let mut machine = machine(RFCE);
    let from = machine.nic.now();
    pause(&mut machine, 1000);
    assert_ne!(machine.read(8) & 1 << 4, 0, "TXOFF");
    machine.send(&frame(60));
    machine.run();
    assert_eq!(machine.read(8) & 1 << 4, 0);
    // 8 + 64 bytes of the pause frame, then 1000 quanta.
    assert_eq!(machine.out.frames[0].started - from, 576 + 512_000);
    assert_eq!([machine.read(0x4050), machine.read(0x4048)], [1, 0], "XOFFRXC, XONRXC");
    assert_eq!([machine.read(0x40D0), machine.read(0x4074)], [1, 0], "TPR, GPRC");
}

#[test]
fn a_pause_of_no_time_ends_one() {
    let mut machine = machine(RFCE);
    pause(&mut machine, 0xFFFF);
    machine.send(&frame(60));
    machine.wait(10_000);
    assert_eq!(machine.out.frames, []);
    pause(&mut machine, 0);
    machine.wait(1_000);
    assert_eq!(machine.out.frames.len(), 1);
    assert_eq!([machine.read(0x4050), machine.read(0x4048)], [1, 1]);
}

#[rstest]
#[case::without_rfce(0, PAUSE_ADDRESS, 1, 0, 0)]
#[case::to_another_station(RFCE, [2, 0, 0, 0, 0, 9], 1, 0, 0)]
#[case::to_this_station(RFCE, MAC, 1, 1, 0)]
#[case::of_another_opcode(RFCE, PAUSE_ADDRESS, 0x101, 0, 1)]
fn a_control_frame(
    #[case] control: u32,
    #[case] to: [u8; 6],
    #[case] opcode: u16,
    #[case] obeyed: u32,
    #[case] unsupported: u32,
) {
    let mut machine = machine(control);
    machine.nic.receive(0, &control_frame(to, opcode, 1000));
    machine.wait(700);
    assert_eq!(machine.read(8) >> 4 & 1, obeyed, "TXOFF");
    assert_eq!([machine.read(0x4050), machine.read(0x4058)], [obeyed, unsupported], "XOFFRXC, FCRUC");
}

#[rstest]
#[case::to_this_station(MPE, MAC, 1, 1)]
#[case::to_this_station_with_dpf(MPE | 1 << 22, MAC, 1, 0)]
#[case::to_all_though_its_address_passes(MPE, PAUSE_ADDRESS, 1, 0)]
#[case::to_all_with_pmcf(MPE | 1 << 23, PAUSE_ADDRESS, 1, 1)]
#[case::of_another_opcode_with_pmcf(1 << 23, PAUSE_ADDRESS, 2, 1)]
#[case::of_another_opcode(0, PAUSE_ADDRESS, 2, 0)]
fn a_control_frame_reaches_the_host(
    #[case] rctl: u32,
    #[case] to: [u8; 6],
    #[case] opcode: u16,
    #[case] received: u32,
) {
    let mut machine = machine(RFCE);
    machine.set(0x100, rctl);
    machine.nic.receive(0, &control_frame(to, opcode, 0));
    machine.run();
    assert_eq!(machine.read(0x4104), received, "RPTHC");
}

/// Frames come in faster than the host takes them: nobody gives descriptors.
fn flood(machine: &mut Machine, frames: usize) {
    for _ in 0..frames {
        machine.nic.receive(0, &frame(1000));
    }
}

#[test]
fn above_the_high_watermark_the_peer_is_stopped_and_below_the_low_one_released() {
    let mut machine = machine(TFCE);
    machine.write(0x2168, 0x2000);
    machine.write(0x2160, 0x8000_0000 | 0x1000);
    flood(&mut machine, 31 + 9);
    machine.wait(500_000);
    let [xoff] = &machine.out.frames[..] else { panic!("{:?}", machine.out.frames) };
    let mut expected = PAUSE_ADDRESS.to_vec();
    expected.extend(MAC);
    expected.extend([0x88, 0x08, 0, 1, 0xFF, 0xFF]);
    expected.resize(60, 0);
    assert_eq!((&xoff.bytes, xoff.queue), (&expected, SentFrame::OF_THE_MAC));
    machine.out = Default::default();
    machine.write(0xC018, 8);
    machine.run();
    let [xon] = &machine.out.frames[..] else { panic!("{:?}", machine.out.frames) };
    assert_eq!(xon.bytes[16..18], [0, 0]);
    assert_eq!([machine.read(0x4054), machine.read(0x404C)], [1, 1], "XOFFTXC, XONTXC");
    assert_eq!([machine.read(0x40D4), machine.read(0x4080)], [2, 0], "TPT, GPTC");
}

#[rstest]
#[case::without_tfce(0, 0x2000, 0x8000_1000, 0)]
#[case::without_a_watermark(TFCE, 0, 0x8000_1000, 0)]
#[case::without_xone_there_is_no_xon(TFCE, 0x2000, 0x1000, 1)]
fn pause_frames_are_sent(#[case] control: u32, #[case] high: u32, #[case] low: u32, #[case] frames: usize) {
    let mut machine = machine(control);
    machine.write(0x2168, high);
    machine.write(0x2160, low);
    flood(&mut machine, 31 + 9);
    machine.wait(500_000);
    machine.write(0xC018, 8);
    machine.run();
    assert_eq!(machine.out.frames.len(), frames);
}

#[test]
fn a_stop_is_repeated_as_often_as_fcrtv_says() {
    let mut machine = machine(TFCE);
    machine.write(0x2168, 0x2000);
    machine.write(0x2460, 1000);
    flood(&mut machine, 31 + 9);
    machine.wait(2_000_000);
    let at: Vec<u64> = machine.out.frames.iter().map(|frame| frame.started).collect();
    assert!(at.len() >= 3, "{at:?}");
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] == 512_000), "{at:?}");
}

#[test]
fn software_can_ask_for_one_xoff() {
    let mut machine = machine(TFCE);
    machine.set(0x400, 1 << 22);
    assert_eq!(machine.read(0x400) & 1 << 22, 0, "it clears itself");
    machine.run();
    assert_eq!((machine.out.frames.len(), machine.read(0x4054)), (1, 1));
}

#[test]
fn a_pause_frame_leaves_while_paused_and_before_data_that_waits() {
    let mut machine = machine(RFCE | TFCE);
    pause(&mut machine, 1000);
    machine.send(&frame(60));
    machine.wait(10_000);
    machine.set(0x400, 1 << 22);
    machine.run();
    let queues: Vec<u16> = machine.out.frames.iter().map(|frame| frame.queue).collect();
    assert_eq!(queues, [SentFrame::OF_THE_MAC, 0]);
}
