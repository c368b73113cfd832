//! Sequence numbers: arithmetic modulo 2^32 (RFC 9293, section 3.4).

/// Whether `a` lies before `b`.
#[inline(always)]
pub(crate) const fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// Whether `a` lies behind `b`.
#[inline(always)]
pub(crate) const fn after(a: u32, b: u32) -> bool {
    before(b, a)
}

/// The later of two.
#[inline(always)]
pub(crate) const fn max(a: u32, b: u32) -> u32 {
    if before(a, b) { b } else { a }
}

/// The earlier of two.
#[inline(always)]
pub(crate) const fn min(a: u32, b: u32) -> u32 {
    if before(a, b) { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain(1, 2, true)]
    #[case::the_same(7, 7, false)]
    #[case::over_the_end(0xffff_fff0, 0x10, true)]
    #[case::over_the_end_backwards(0x10, 0xffff_fff0, false)]
    #[case::just_within_half(0, 0x7fff_ffff, true)]
    fn a_number_is_before_another_within_half_of_the_space(#[case] a: u32, #[case] b: u32, #[case] is: bool) {
        assert_eq!(before(a, b), is);
        assert_eq!(after(b, a), is);
        assert_eq!(max(a, b), if is { b } else { a });
        assert_eq!(min(a, b), if is || a == b { a } else { b });
    }
}
