//! Options of an IPv4 header that came in: `ip_options_compile` as far as it judges them (RFC 791, section 3.1; Linux 6.12).

const IPOPT_END: u8 = 0;
const IPOPT_NOOP: u8 = 1;
const IPOPT_RR: u8 = 7;
const IPOPT_TIMESTAMP: u8 = 68;
const IPOPT_LSRR: u8 = 131;
const IPOPT_SSRR: u8 = 137;
const IPOPT_RA: u8 = 148;
/// Where the options begin in a header.
const HEADER_BYTES: usize = 20;

/// What a host does about the options of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They are well formed, and ask for nothing that a host that is the destination does.
    Fine,
    /// They route the packet, which `accept_source_route` does not allow.
    SourceRoute,
    /// The octet of the header at which they go wrong, as "parameter problem" points at it.
    Wrong(u8),
}

/// Judges the options of `header`, an IPv4 header in full length.
pub(crate) fn judge(header: &[u8]) -> Verdict {
    let mut at = HEADER_BYTES;
    let mut verdict = Verdict::Fine;
    let wrong = |octet: usize| Verdict::Wrong(u8::try_from(octet).unwrap_or(u8::MAX));
    while let Some(option) = header.get(at..).filter(|option| !option.is_empty()) {
        match option[0] {
            IPOPT_END => break,
            IPOPT_NOOP => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let len = option.get(1).map_or(0, |len| usize::from(*len));
        if len < 2 || len > option.len() {
            return wrong(at);
        }
        if let Some(octet) = wrong_octet(&option[..len]) {
            return wrong(at + octet);
        }
        if matches!(option[0], IPOPT_LSRR | IPOPT_SSRR) {
            verdict = Verdict::SourceRoute;
        }
        at += len;
    }
    verdict
}

/// The octet of one option, from its type on, that cannot be.
fn wrong_octet(option: &[u8]) -> Option<usize> {
    let len = option.len();
    let pointer = option.get(2).map_or(0, |pointer| usize::from(*pointer));
    // Type, length, pointer; and how much an entry takes that is still to be filled in.
    let (least, first, entry) = match option[0] {
        IPOPT_RR => (3, 4, 4),
        IPOPT_LSRR | IPOPT_SSRR => (3, 4, 0),
        IPOPT_TIMESTAMP => (4, 5, 4),
        IPOPT_RA => return (len < 4).then_some(1),
        _ => return None,
    };
    if len < least {
        return Some(1);
    }
    let no_room = entry != 0 && pointer <= len && pointer + entry - 1 > len;
    (pointer < first || no_room).then_some(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::none(&[], Verdict::Fine)]
    #[case::no_operation(&[1, 1, 1, 0], Verdict::Fine)]
    #[case::what_follows_the_end(&[0, 7, 0, 0], Verdict::Fine)]
    #[case::a_type_that_nobody_knows(&[0x88, 4, 0, 1], Verdict::Fine)]
    #[case::an_empty_record_route(&[7, 7, 4, 0, 0, 0, 0, 0], Verdict::Fine)]
    #[case::a_full_record_route(&[7, 7, 8, 9, 9, 9, 9, 0], Verdict::Fine)]
    #[case::a_type_without_a_length(&[1, 1, 1, 7], Verdict::Wrong(23))]
    #[case::a_length_of_nothing(&[0x88, 0, 0, 0], Verdict::Wrong(20))]
    #[case::longer_than_the_header(&[1, 0x88, 4, 0], Verdict::Wrong(21))]
    #[case::a_record_route_without_pointer(&[7, 2, 0, 0], Verdict::Wrong(21))]
    #[case::a_pointer_into_the_option(&[7, 7, 3, 0, 0, 0, 0, 0], Verdict::Wrong(22))]
    #[case::an_entry_that_does_not_fit(&[7, 7, 5, 0, 0, 0, 0, 0], Verdict::Wrong(22))]
    #[case::a_source_route(&[131, 7, 8, 192, 0, 2, 2, 0], Verdict::SourceRoute)]
    #[case::a_router_alert_cut_short(&[148, 3, 0, 0], Verdict::Wrong(21))]
    fn options_are_judged(#[case] options: &[u8], #[case] verdict: Verdict) {
        let mut header = alloc::vec![0; HEADER_BYTES];
        header.extend_from_slice(options);
        assert_eq!(judge(&header), verdict);
    }
}
