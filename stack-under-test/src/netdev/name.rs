//! The name of an interface: `eth0`, `lo`, and those of VLAN devices, which an administrator chooses.

use core::fmt;
use core::ops::Deref;

/// `IFNAMSIZ` without the zero at the end.
const MOST: usize = 15;

/// The name of an interface, at most 15 bytes; empty where none was given.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct IfName {
    bytes: [u8; MOST],
    len: u8,
}

impl IfName {
    /// The loopback.
    pub const LO: Self = Self::of(b"lo");
    /// The network interface.
    pub const ETH0: Self = Self::of(b"eth0");

    const fn of(name: &[u8]) -> Self {
        let mut bytes = [0; MOST];
        let mut at = 0;
        while at < name.len() {
            bytes[at] = name[at];
            at += 1;
        }
        Self { bytes, len: name.len() as u8 }
    }

    /// A name that the stack can have: `eth0`, `lo`, and for a VLAN device what begins with `eth0.` or `vlan`, as vconfig(8)
    /// makes such names. Linux takes any; here a slip is found before anything runs.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let of_a_vlan =
            ["eth0.", "vlan"].iter().any(|start| word.len() > start.len() && word.starts_with(start));
        let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        let known = matches!(word, "eth0" | "lo") || (of_a_vlan && plain && word.len() <= MOST);
        known.then(|| Self::of(word.as_bytes()))
    }
}

impl Deref for IfName {
    type Target = str;

    fn deref(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &**self)
    }
}

#[cfg(test)]
mod tests {
    use super::IfName;
    use rstest::rstest;

    #[rstest]
    #[case::the_interface("eth0", true)]
    #[case::the_loopback("lo", true)]
    #[case::a_vlan_by_its_device("eth0.100", true)]
    #[case::a_vlan_by_its_number("vlan100", true)]
    #[case::another_interface("eth1", false)]
    #[case::nothing_behind_the_dot("eth0.", false)]
    #[case::sixteen_bytes("eth0.12345678901", false)]
    #[case::a_slash("vlan1/2", false)]
    #[case::nothing("", false)]
    fn a_name_is_one_that_the_stack_can_have(#[case] word: &str, #[case] known: bool) {
        assert_eq!(IfName::parse(word).as_deref(), known.then_some(word));
    }
}
