//! Descriptors of the 82576, 16 bytes each: what is written to send, to lend a buffer, and what the device writes back.

use crate::dma::Descriptors;

// Third word of an advanced transmit descriptor.
const DTYP_CONTEXT: u32 = 2 << 20;
const DTYP_DATA: u32 = 3 << 20;
const DCMD_IFCS: u32 = 1 << 25;
const DCMD_DEXT: u32 = 1 << 29;
/// End of packet, and report status.
pub(super) const DCMD_EOP_RS: u32 = 1 << 24 | 1 << 27;
/// What every data descriptor of the driver says: advanced data, insert the CRC.
pub(super) const DATA_CMD: u32 = DTYP_DATA | DCMD_DEXT | DCMD_IFCS;
/// The device puts the tag of the context on.
pub(super) const DCMD_VLE: u32 = 1 << 30;
/// The device cuts the packet.
pub(super) const DCMD_TSE: u32 = 1 << 31;
/// Fourth word: insert the checksum of the IPv4 header.
pub(super) const POPTS_IXSM: u32 = 1 << 8;
/// Fourth word: insert the checksum of layer 4.
pub(super) const POPTS_TXSM: u32 = 1 << 9;
const PAYLEN_SHIFT: u32 = 14;
/// The context is one of IPv4.
pub(super) const TUCMD_IPV4: u32 = 1 << 10;
/// The layer-4 type of a context: TCP (UDP is 0).
pub(super) const TUCMD_L4T_TCP: u32 = 1 << 11;
/// The layer-4 type of a context: SCTP.
pub(super) const TUCMD_L4T_SCTP: u32 = 2 << 11;

/// Descriptor done, in the upper half of a transmit descriptor's second word.
pub(super) const TX_DD: u64 = 1 << 32;

// Third word of a receive descriptor that was written back.
pub(super) const RXD_EOP: u32 = 1 << 1;
pub(super) const RXD_IXSM: u32 = 1 << 2;
/// A VLAN tag was taken off; it stands in the upper half of the fourth word.
pub(super) const RXD_VP: u32 = 1 << 3;
pub(super) const RXD_UDPCS: u32 = 1 << 4;
pub(super) const RXD_TCPCS: u32 = 1 << 5;
pub(super) const RXD_L4E: u32 = 1 << 29;
pub(super) const RXD_IPE: u32 = 1 << 30;
/// RXE: the frame was damaged on its way.
pub(super) const RXD_RXE: u32 = 1 << 31;
/// CE, SE, SEQ, CXE and RXE: the frame is damaged.
pub(super) const RXD_FRAME_ERRORS: u32 = 1 << 24 | 1 << 25 | 1 << 26 | 1 << 28 | RXD_RXE;

/// The fourth word of a packet's first data descriptor.
#[inline(always)]
pub(super) fn olinfo(paylen: u32, txsm: bool) -> u32 {
    paylen << PAYLEN_SHIFT | if txsm { POPTS_TXSM } else { 0 }
}

/// A data descriptor: as many bytes as `cmd_len` says at the bus address `dma`.
#[inline(always)]
pub(super) fn data(dma: u64, cmd_len: u32, olinfo: u32) -> [u64; 2] {
    [dma, u64::from(cmd_len) | u64::from(olinfo) << 32]
}

/// Writes a data descriptor at `i`: as many bytes as `cmd_len` says at the bus address `dma`.
#[inline(always)]
pub(super) fn write_data(descs: &mut Descriptors, i: u16, dma: u64, cmd_len: u32, olinfo: u32) {
    descs.write(i, data(dma, cmd_len, olinfo));
}

/// Writes a context descriptor at `i` that asks for a checksum alone: slot 0, no segmentation.
#[inline(always)]
pub(super) fn write_csum_context(descs: &mut Descriptors, i: u16, maclen: u32, iplen: u32, l4t: u32) {
    descs.write(i, [u64::from(iplen | maclen << 9), u64::from(DTYP_CONTEXT | DCMD_DEXT | l4t)]);
}

/// The words of a context descriptor for slot 0: the lengths of the link and IP headers, the type of what they carry, and
/// for segmentation the length of the transport header and the payload of a segment.
#[inline]
pub(super) fn context_words((maclen, iplen): (u32, u32), tucmd: u32, (l4len, mss): (u32, u32)) -> [u32; 4] {
    [iplen | maclen << 9, 0, DTYP_CONTEXT | DCMD_DEXT | tucmd, l4len << 8 | mss << 16]
}

/// Writes a context descriptor at `i`.
#[inline]
pub(super) fn write_context(descs: &mut Descriptors, i: u16, words: [u32; 4]) {
    let [a, b, c, d] = words.map(u64::from);
    descs.write(i, [a | b << 32, c | d << 32]);
}

/// A receive descriptor as the device writes it back.
pub(super) fn written_back(status: u32, len: u16) -> [u64; 2] {
    [0, u64::from(status) | u64::from(len) << 32]
}

/// A descriptor that lends the buffer at the bus address `dma`: nothing of what was written back is left.
#[inline(always)]
pub(super) fn lent(dma: u64) -> [u64; 2] {
    [dma, 0]
}
