//! The advanced transmit context descriptor: where headers are, and how to cut (section 7.2.2.2).

use super::descriptor::Descriptor;

/// L4T: which checksum `TXSM` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer4 {
    Udp,
    Tcp,
    Sctp,
    Reserved,
}

/// The content of a context slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) vlan: u16,
    pub(super) mac_length: usize,
    pub(super) ip_length: usize,
    pub(super) l4_length: usize,
    pub(super) mss: usize,
    pub(super) layer4: Layer4,
    pub(super) is_ipv4: bool,
    pub(super) is_snap: bool,
}

impl Context {
    pub(super) const fn new(descriptor: &Descriptor) -> Self {
        let [lengths, _, command, index] = descriptor.words;
        Self {
            vlan: (lengths >> 16) as u16,
            mac_length: (lengths >> 9 & 0x7F) as usize,
            ip_length: (lengths & 0x1FF) as usize,
            l4_length: (index >> 8 & 0xFF) as usize,
            mss: (index >> 16) as usize,
            layer4: match command >> 11 & 3 {
                0 => Layer4::Udp,
                1 => Layer4::Tcp,
                2 => Layer4::Sctp,
                _ => Layer4::Reserved,
            },
            is_ipv4: command & 1 << 10 != 0,
            is_snap: command & 1 << 9 != 0,
        }
    }

    /// Where the layer 4 header begins.
    pub(super) const fn l4_start(&self) -> usize {
        self.mac_length + self.ip_length
    }

    /// What each segment begins with.
    pub(super) const fn header_length(&self) -> usize {
        self.l4_start() + self.l4_length
    }
}
