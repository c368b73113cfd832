//! TCP options: as packetdrill writes them, and as they are on the wire (RFC 9293 section 3.2, RFC 7323, RFC 2018).

use std::fmt;

/// One option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// `eol`: the end of the list; padding of zeros follows.
    Eol,
    /// `nop`
    Nop,
    /// `mss N`
    Mss(u16),
    /// `wscale N`
    Wscale(u8),
    /// `sackOK`
    SackOk,
    /// `sack A:B C:D`, in the numbers of the receiver's stream.
    Sack(Vec<(u32, u32)>),
    /// `TS val N ecr N`
    Timestamps {
        /// The sender's clock.
        val: u32,
        /// The receiver's clock, as the sender saw it last.
        ecr: u32,
    },
    /// Another kind, with what follows its length.
    Other(u8, Vec<u8>),
    /// What is left of a list whose lengths are wrong.
    Malformed(Vec<u8>),
}

impl TcpOption {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Eol => out.push(0),
            Self::Nop => out.push(1),
            Self::Mss(mss) => {
                out.extend([2, 4]);
                out.extend(mss.to_be_bytes());
            }
            Self::Wscale(shift) => out.extend([3, 3, *shift]),
            Self::SackOk => out.extend([4, 2]),
            Self::Sack(blocks) => {
                out.extend([5, u8::try_from(2 + 8 * blocks.len()).unwrap_or(u8::MAX)]);
                out.extend(blocks.iter().flat_map(|(a, b)| [a.to_be_bytes(), b.to_be_bytes()]).flatten());
            }
            Self::Timestamps { val, ecr } => {
                out.extend([8, 10]);
                out.extend([val.to_be_bytes(), ecr.to_be_bytes()].iter().flatten());
            }
            Self::Other(kind, body) => {
                out.extend([*kind, u8::try_from(2 + body.len()).unwrap_or(u8::MAX)]);
                out.extend(body);
            }
            Self::Malformed(bytes) => out.extend(bytes),
        }
    }
}

impl fmt::Display for TcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex =
            |f: &mut fmt::Formatter<'_>, bytes: &[u8]| bytes.iter().try_for_each(|b| write!(f, "{b:02x}"));
        match self {
            Self::Eol => f.write_str("eol"),
            Self::Nop => f.write_str("nop"),
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::Wscale(shift) => write!(f, "wscale {shift}"),
            Self::SackOk => f.write_str("sackOK"),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().try_for_each(|(a, b)| write!(f, " {a}:{b}"))
            }
            Self::Timestamps { val, ecr } => write!(f, "TS val {val} ecr {ecr}"),
            Self::Other(kind, body) => {
                write!(f, "kind {kind} ")?;
                hex(f, body)
            }
            Self::Malformed(bytes) => {
                f.write_str("malformed ")?;
                hex(f, bytes)
            }
        }
    }
}

/// The options as they are on the wire, padded with zeros to a multiple of 4.
#[must_use]
pub fn encode(options: &[TcpOption]) -> Vec<u8> {
    let mut bytes = Vec::new();
    options.iter().for_each(|option| option.encode(&mut bytes));
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The list that a wire has of a list that a case gives: with an `eol` where padding has to follow.
#[must_use]
pub fn padded(options: &[TcpOption]) -> Vec<TcpOption> {
    let mut bytes = Vec::new();
    options.iter().for_each(|option| option.encode(&mut bytes));
    let mut list = options.to_vec();
    if !bytes.len().is_multiple_of(4) && list.last() != Some(&TcpOption::Eol) {
        list.push(TcpOption::Eol);
    }
    list
}

/// Takes a list of options apart. Whatever has a wrong length, and what follows it, is one [`TcpOption::Malformed`].
#[must_use]
pub fn decode(mut bytes: &[u8]) -> Vec<TcpOption> {
    let mut list = Vec::new();
    while let Some(&kind) = bytes.first() {
        match kind {
            0 => {
                list.push(TcpOption::Eol);
                if bytes.iter().any(|b| *b != 0) {
                    list.push(TcpOption::Malformed(bytes[1..].to_vec()));
                }
                return list;
            }
            1 => {
                list.push(TcpOption::Nop);
                bytes = &bytes[1..];
            }
            _ => {
                let length = bytes.get(1).map_or(0, |length| usize::from(*length));
                let Some(body) = bytes.get(2..length).filter(|_| length >= 2) else {
                    list.push(TcpOption::Malformed(bytes.to_vec()));
                    return list;
                };
                list.push(one(kind, body));
                bytes = &bytes[length..];
            }
        }
    }
    list
}

fn one(kind: u8, body: &[u8]) -> TcpOption {
    let word = |at: usize| body.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    match (kind, body.len()) {
        (2, 2) => TcpOption::Mss(u16::from_be_bytes([body[0], body[1]])),
        (3, 1) => TcpOption::Wscale(body[0]),
        (4, 0) => TcpOption::SackOk,
        (5, 8 | 16 | 24 | 32) => {
            TcpOption::Sack((0..body.len() / 8).map(|i| (word(i * 8), word(i * 8 + 4))).collect())
        }
        (8, 8) => TcpOption::Timestamps { val: word(0), ecr: word(4) },
        _ => TcpOption::Other(kind, body.to_vec()),
    }
}

/// The options with their SACK blocks counted from the receiver's first sequence number.
#[must_use]
pub fn relative(options: &[TcpOption], base: u32) -> Vec<TcpOption> {
    moved(options, |n| n.wrapping_sub(base))
}

/// The reverse of [`relative`].
#[must_use]
pub fn absolute(options: &[TcpOption], base: u32) -> Vec<TcpOption> {
    moved(options, |n| n.wrapping_add(base))
}

fn moved(options: &[TcpOption], by: impl Fn(u32) -> u32) -> Vec<TcpOption> {
    let one = |option: &TcpOption| match option {
        TcpOption::Sack(blocks) => TcpOption::Sack(blocks.iter().map(|(a, b)| (by(*a), by(*b))).collect()),
        other => other.clone(),
    };
    options.iter().map(one).collect()
}

/// Whether a list is the one expected: the sender's clock may have any value, as each has its own.
#[must_use]
pub fn same(expected: &[TcpOption], got: &[TcpOption]) -> bool {
    let free = |list: &[TcpOption]| -> Vec<TcpOption> {
        let one = |option: &TcpOption| match option {
            TcpOption::Timestamps { ecr, .. } => TcpOption::Timestamps { val: 0, ecr: *ecr },
            other => other.clone(),
        };
        list.iter().map(one).collect()
    };
    free(expected) == free(got)
}

/// `<mss 1460,nop>`; `<>` for none.
#[must_use]
pub fn show(options: &[TcpOption]) -> String {
    let list: Vec<_> = options.iter().map(ToString::to_string).collect();
    format!("<{}>", list.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// By the figures of RFC 9293 (mss), RFC 7323 (wscale, TS) and RFC 2018 (sackOK, sack).
    #[rstest]
    #[case::of_a_syn(
        &[TcpOption::Mss(1460), TcpOption::SackOk, TcpOption::Nop, TcpOption::Wscale(7), TcpOption::Eol],
        &[2, 4, 0x05, 0xb4, 4, 2, 1, 3, 3, 7, 0, 0]
    )]
    #[case::of_data(
        &[TcpOption::Nop, TcpOption::Nop, TcpOption::Timestamps { val: 0x0102_0304, ecr: 5 }],
        &[1, 1, 8, 10, 1, 2, 3, 4, 0, 0, 0, 5]
    )]
    #[case::of_a_selective_acknowledgement(
        &[TcpOption::Nop, TcpOption::Nop, TcpOption::Sack(vec![(1, 2), (3, 4)])],
        &[1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]
    )]
    fn a_list_is_the_same_on_the_wire(#[case] list: &[TcpOption], #[case] bytes: &[u8]) {
        assert_eq!((encode(list).as_slice(), decode(bytes).as_slice()), (bytes, list));
    }

    #[rstest]
    #[case::a_length_beyond_the_end(&[2, 5, 1, 2], &[TcpOption::Malformed(vec![2, 5, 1, 2])])]
    #[case::a_length_of_one(&[1, 9, 1, 1], &[TcpOption::Nop, TcpOption::Malformed(vec![9, 1, 1])])]
    #[case::no_length(&[1, 1, 1, 4], &[TcpOption::Nop, TcpOption::Nop, TcpOption::Nop, TcpOption::Malformed(vec![4])])]
    #[case::an_unknown_kind(&[99, 4, 7, 8], &[TcpOption::Other(99, vec![7, 8])])]
    #[case::something_behind_the_end(&[0, 0, 1, 0], &[TcpOption::Eol, TcpOption::Malformed(vec![0, 1, 0])])]
    fn hostile_lists_end(#[case] bytes: &[u8], #[case] list: &[TcpOption]) {
        assert_eq!(decode(bytes), list);
    }

    #[test]
    fn the_senders_clock_is_free_and_the_echo_is_not() {
        let ts = |val, ecr| vec![TcpOption::Timestamps { val, ecr }];
        assert!(same(&ts(1, 2), &ts(99, 2)));
        assert!(!same(&ts(1, 2), &ts(1, 3)));
    }
}
