//! Receive: filters, descriptors, status, shortage (chapter 7.1).

mod machine;

use machine::{BUFFERS, Machine, RX_RING, frame};
use nic_emu::{DropReason, Rule};
use rstest::rstest;

/// Word 2 (status and errors) of a receive descriptor.
fn status(machine: &Machine, index: u64) -> u32 {
    machine.ram.word(RX_RING + 16 * index + 8)
}

fn length(machine: &Machine, index: u64) -> usize {
    (machine.ram.word(RX_RING + 16 * index + 12) & 0xFFFF) as usize
}

fn receive(machine: &mut Machine, bytes: &[u8]) {
    let now = machine.nic.now();
    machine.nic.receive(now, bytes);
    machine.run();
}

/// A UDP datagram of 5 bytes from 192.0.2.2 to 192.0.2.1, its checksums computed by hand.
fn udp() -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    bytes.extend([0x45, 0, 0, 33, 0, 1, 0, 0, 64, 17, 0xF6, 0xC7, 192, 0, 2, 2, 192, 0, 2, 1]);
    bytes.extend([0x10, 0x00, 0x20, 0x00, 0, 13, 0x07, 0xFE, b'h', b'e', b'l', b'l', b'o']);
    bytes.resize(60, 0);
    bytes
}

#[test]
fn a_frame_is_in_memory_before_its_descriptor_says_so_and_interrupts() {
    let mut machine = Machine::up();
    let began = machine.nic.now();
    machine.nic.receive(began, &frame(1000));
    machine.wait((8 + 1000 + 4) * 8);
    assert_eq!(status(&machine, 0) & 1, 0, "only just in");
    machine.run();
    assert_eq!(machine.ram.bytes[BUFFERS as usize..][..1000], frame(1000));
    assert_eq!(status(&machine, 0) & 3, 3, "DD, EOP");
    assert_eq!(length(&machine, 0), 1000);
    assert_eq!(machine.out.interrupts.iter().map(|message| message.vector).collect::<Vec<_>>(), [1]);
    assert_eq!(machine.read(0xC010), 1, "RDH");
    assert_eq!(machine.rules(), []);
}

#[test]
fn frames_from_the_cable_follow_each_other_at_its_rate() {
    let mut machine = Machine::up();
    let began = machine.nic.now();
    machine.nic.receive(began, &frame(1514));
    machine.nic.receive(began, &frame(1514));
    machine.wait(20_000);
    assert_eq!(machine.read(0xC010), 1);
    machine.wait(10_000);
    assert_eq!(machine.read(0xC010), 2);
}

#[rstest]
#[case::our_address(0, [2, 0, 0, 0, 0, 1], true)]
#[case::another_address(0, [2, 0, 0, 0, 0, 9], false)]
#[case::another_address_with_upe(1 << 3, [2, 0, 0, 0, 0, 9], true)]
#[case::broadcast(0, [255; 6], true)]
#[case::a_multicast_not_listed(0, [1, 0, 0x5E, 0, 0, 1], false)]
#[case::a_multicast_with_mpe(1 << 4, [1, 0, 0x5E, 0, 0, 1], true)]
#[case::a_multicast_in_the_table(0, [1, 0xAA, 0, 0x12, 0x34, 0x56], true)]
fn address_filter(#[case] mode: u32, #[case] destination: [u8; 6], #[case] passes: bool) {
    let mut machine = Machine::up();
    machine.write(0x5200 + 4 * (0x563 >> 5), 1 << (0x563 & 31));
    machine.set(0x100, mode);
    let mut bytes = frame(60);
    bytes[..6].copy_from_slice(&destination);
    receive(&mut machine, &bytes);
    assert_eq!(status(&machine, 0) & 1 == 1, passes);
    assert_eq!(
        machine.out.dropped.first().map(|lost| lost.reason),
        (!passes).then_some(DropReason::Filtered)
    );
}

#[rstest]
#[case::one_byte_short(59, 0x40A4, Some(DropReason::Undersize))]
#[case::the_shortest(60, 0x405C, None)]
#[case::the_longest_for_rlpml_1536(1532, 0x4070, None)]
#[case::one_byte_long(1533, 0x40AC, Some(DropReason::Oversize))]
fn length_is_checked(#[case] bytes: usize, #[case] counter: u32, #[case] dropped: Option<DropReason>) {
    let mut machine = Machine::up();
    receive(&mut machine, &frame(bytes));
    assert_eq!(machine.out.dropped.first().map(|lost| lost.reason), dropped);
    assert_eq!(machine.read(counter), 1);
    assert_eq!(machine.read(counter), 0, "cleared by reading");
}

#[rstest]
#[case::untagged(1514, false, true)]
#[case::untagged_too_long(1515, false, false)]
#[case::tagged(1518, true, true)]
#[case::tagged_too_long(1519, true, false)]
fn without_lpe_the_limit_is_1518_and_1522_with_a_tag(
    #[case] bytes: usize,
    #[case] tagged: bool,
    #[case] passes: bool,
) {
    let mut machine = Machine::up();
    machine.write(0x100, 0x0400_8002);
    let mut bytes = frame(bytes);
    if tagged {
        bytes[12..16].copy_from_slice(&[0x81, 0x00, 0, 5]);
    }
    receive(&mut machine, &bytes);
    assert_eq!(machine.out.dropped.is_empty(), passes);
}

#[test]
fn a_frame_larger_than_a_buffer_takes_several_descriptors() {
    let mut machine = Machine::up();
    machine.write(0x5004, 0x2600);
    receive(&mut machine, &frame(5000));
    assert_eq!([status(&machine, 0) & 3, status(&machine, 1) & 3, status(&machine, 2) & 3], [1, 1, 3]);
    assert_eq!([length(&machine, 0), length(&machine, 1), length(&machine, 2)], [2048, 2048, 904]);
    assert_eq!(machine.ram.bytes[BUFFERS as usize..][..5000], frame(5000));
}

#[rstest]
#[case::good(None, 0x71)]
#[case::bad_ip_header(Some(22), 0x71 | 1 << 30)]
#[case::bad_payload(Some(42), 0x71 | 1 << 29)]
fn checksums_are_verified(#[case] broken: Option<usize>, #[case] expected: u32) {
    let mut machine = Machine::up();
    let mut bytes = udp();
    if let Some(place) = broken {
        bytes[place] ^= 1;
    }
    receive(&mut machine, &bytes);
    assert_eq!(status(&machine, 0) & 0xFFF0_0FF1 & !(1 << 1), expected);
    assert_eq!(machine.ram.word(RX_RING) >> 4 & 0x1FFF, 0x21, "packet type: IPv4, UDP");
}

#[rstest]
#[case::stripped_with_vme(true, 60, 1 << 3, 0x2005)]
#[case::kept_without(false, 64, 0, 0)]
fn a_tag_is(#[case] vme: bool, #[case] bytes: usize, #[case] vp: u32, #[case] tag: u32) {
    let mut machine = Machine::up();
    machine.set(0, u32::from(vme) << 30);
    let mut tagged = frame(60);
    tagged.splice(12..12, [0x81, 0x00, 0x20, 0x05]);
    receive(&mut machine, &tagged);
    assert_eq!(length(&machine, 0), bytes);
    assert_eq!(status(&machine, 0) & 1 << 3, vp);
    assert_eq!(machine.ram.word(RX_RING + 12) >> 16, tag);
}

#[test]
fn the_vlan_filter_drops_ids_that_are_not_listed() {
    let mut machine = Machine::up();
    machine.set(0x100, 1 << 18);
    machine.write(0x5600 + 4 * (100 >> 5), 1 << (100 & 31));
    for id in [100, 101] {
        let mut tagged = frame(60);
        tagged.splice(12..12, [0x81, 0x00, 0, id]);
        receive(&mut machine, &tagged);
    }
    assert_eq!(machine.read(0xC010), 1);
    assert_eq!(machine.out.dropped[0].reason, DropReason::Filtered);
}

#[test]
fn without_secrc_the_fcs_follows_the_frame() {
    let mut machine = Machine::up();
    machine.write(0x100, 0x0000_8022);
    receive(&mut machine, &[0xFF; 60]);
    assert_eq!(length(&machine, 0), 64);
    // CRC-32 over the frame and its FCS leaves the residue of IEEE 802.3 clause 3.2.9, here bit-reflected and inverted.
    let mut residue = u32::MAX;
    for byte in &machine.ram.bytes[BUFFERS as usize..][..64] {
        residue ^= u32::from(*byte);
        for _ in 0..8 {
            residue = residue >> 1 ^ if residue & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
    }
    assert_eq!(residue, 0xDEBB_20E3);
}

#[test]
fn a_frame_without_descriptors_waits_and_is_counted_once_then_the_buffer_overflows() {
    let mut machine = Machine::up();
    for _ in 0..90 {
        let now = machine.nic.now();
        machine.nic.receive(now, &frame(1514));
    }
    machine.run();
    assert_eq!(machine.read(0xC010), 31, "all that were given");
    assert_eq!(machine.read(0x40A0), 1, "RNBC");
    let waiting = 64 * 1024 / 1514;
    assert_eq!(machine.read(0x4010), 90 - 31 - waiting, "MPC");
    assert_eq!(machine.read(0x4074), 31 + waiting, "GPRC");
    assert_ne!(machine.read(0xC0) & 1 << 6, 0, "RXO");
    machine.write(0xC018, 10);
    machine.run();
    assert_eq!(machine.read(0xC010), 10, "delivered late");
}

#[test]
fn with_drop_en_a_queue_without_descriptors_drops() {
    let mut machine = Machine::up();
    machine.write(0xC00C, 0x8200_0402);
    machine.rules();
    for _ in 0..40 {
        receive(&mut machine, &frame(60));
    }
    assert_eq!(machine.read(0xC030), 9, "RQDPC");
    assert_eq!(machine.out.dropped.len(), 9);
    assert_eq!(machine.out.dropped[0].reason, DropReason::NoDescriptor);
}

#[test]
fn a_bad_fcs_is_counted_and_dropped() {
    let mut machine = Machine::up();
    let now = machine.nic.now();
    machine.nic.receive_with_bad_crc(now, &frame(60));
    machine.run();
    assert_eq!(machine.out.dropped[0].reason, DropReason::BadCrc);
    assert_eq!([machine.read(0x4000), machine.read(0x4074), machine.read(0x40D0)], [1, 0, 1]);
}

#[test]
fn nothing_is_received_while_disabled() {
    let mut machine = Machine::up();
    machine.write(0x100, 0);
    receive(&mut machine, &frame(60));
    assert_eq!(machine.out.dropped[0].reason, DropReason::ReceiverDisabled);
    assert_eq!(machine.read(0x40D0), 0, "TPR");
}

#[test]
fn a_buffer_that_is_not_lent_is_not_written() {
    let mut machine = Machine::up();
    machine.ram.lent = vec![(0x1000, BUFFERS)];
    receive(&mut machine, &frame(60));
    assert_eq!(machine.rules(), [Rule::DmaFault]);
}

/// Verification suite values of the RSS specification: 66.9.149.187:2794 to 161.142.100.80:1766.
#[rstest]
#[case::with_ports(6, 1 << 16 | 1 << 17, 1, 0x51CC_C178)]
#[case::addresses_only(6, 1 << 17, 2, 0x323E_8FC2)]
#[case::another_protocol(1, 1 << 16 | 1 << 17, 2, 0x323E_8FC2)]
fn rss_hash(#[case] protocol: u8, #[case] fields: u32, #[case] kind: u32, #[case] hash: u32) {
    const KEY: [u8; 40] = [
        0x6D, 0x5A, 0x56, 0xDA, 0x25, 0x5B, 0x0E, 0xC2, 0x41, 0x67, 0x25, 0x3D, 0x43, 0xA3, 0x8F, 0xB0, 0xD0,
        0xCA, 0x2B, 0xCB, 0xAE, 0x7B, 0x30, 0xB4, 0x77, 0xCB, 0x2D, 0xA3, 0x80, 0x30, 0xF2, 0x0C, 0x6A, 0x42,
        0xB7, 0x3B, 0xBE, 0xAC, 0x01, 0xFA,
    ];
    let mut machine = Machine::up();
    for (index, word) in KEY.chunks_exact(4).enumerate() {
        machine.write(0x5C80 + 4 * index as u32, u32::from_le_bytes(word.try_into().unwrap()));
    }
    machine.write(0x5818, 2 | fields);
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    bytes.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0, 66, 9, 149, 187, 161, 142, 100, 80]);
    bytes.extend([2794_u16.to_be_bytes(), 1766_u16.to_be_bytes()].concat());
    bytes.resize(60, 0);
    receive(&mut machine, &bytes);
    assert_eq!(machine.ram.word(RX_RING) & 0xF, kind);
    assert_eq!(machine.ram.word(RX_RING + 4), hash);
}

#[test]
fn rss_sends_a_frame_to_the_queue_of_its_table_entry() {
    let mut machine = Machine::up();
    machine.write(0x5818, 2 | 1 << 17);
    for index in 0..32 {
        machine.write(0x5C00 + 4 * index, 0x0303_0303);
    }
    machine.write(0xC0C0, 0x4000);
    machine.write(0xC0C8, 128);
    machine.write(0xC0CC, 0x0200_0402);
    machine.write(0xC0E8, 1 << 25);
    machine.ram.descriptor(0x4000, [0xC_0000, 0, 0, 0]);
    machine.write(0xC0D8, 1);
    receive(&mut machine, &udp());
    assert_eq!(machine.read(0xC0D0), 1, "RDH of queue 3");
    assert_eq!(machine.ram.bytes[0xC_0000..][..60], udp());
    receive(&mut machine, &frame(60));
    assert_eq!(machine.read(0xC010), 1, "not IP: queue 0");
}

#[test]
fn a_legacy_descriptor_has_its_own_layout() {
    let mut machine = Machine::up();
    machine.write(0xC028, 0);
    machine.write(0xC00C, 2);
    machine.write(0xC028, 0x0200_0000);
    machine.write(0xC018, 8);
    receive(&mut machine, &udp());
    assert_eq!(length(&machine, 0), 0x0073, "DD EOP UDPCS TCPCS IPCS, no errors");
    assert_eq!(status(&machine, 0), 60, "length");
}

/// With the longest frame that `RLPML` can be told to pass, 9,728 bytes with FCS, in buffers of 2 KiB.
#[rstest]
#[case::the_longest(9724, 5)]
#[case::one_byte_longer(9725, 0)]
fn jumbo_frames(#[case] bytes: usize, #[case] descriptors: u64) {
    let mut machine = Machine::up();
    machine.write(0x5004, 9728);
    receive(&mut machine, &frame(bytes));
    let done = (0..u64::from(machine::RING)).filter(|index| status(&machine, *index) & 1 == 1).count();
    assert_eq!(done as u64, descriptors);
    assert_eq!(machine.read(0x40AC), u32::from(descriptors == 0), "ROC");
    if descriptors > 0 {
        assert_eq!((0..descriptors).map(|index| length(&machine, index)).sum::<usize>(), bytes);
        assert_eq!(status(&machine, descriptors - 1) & 2, 2, "EOP");
    }
}

/// Every entry of the redirection table names a queue by its four low bits.
#[test]
fn rss_reaches_all_16_queues() {
    let mut machine = Machine::up();
    machine.write(0x5818, 2 | 1 << 17);
    machine.write(0x5C80, 0x6D5A_56DA);
    for queue in 0..16 {
        // Without descriptors: each counts what it drops.
        machine.write(0xC028 + 0x40 * queue, 0);
        machine.write(0xC008 + 0x40 * queue, 128);
        machine.write(0xC00C + 0x40 * queue, 0x8200_0402);
        machine.write(0xC028 + 0x40 * queue, 1 << 25);
        for entry in 0..32 {
            machine.write(0x5C00 + 4 * entry, 0x0101_0101 * queue);
        }
        receive(&mut machine, &udp());
        assert_eq!(machine.read(0xC030 + 0x40 * queue), 1, "RQDPC({queue})");
    }
}
