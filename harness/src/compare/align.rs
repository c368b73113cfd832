//! Two sequences side by side, so that what only one of them has is one difference, and what follows is aligned again.

/// A pair of an alignment: the index in each of both, or in one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// In both.
    Both(usize, usize),
    /// In the first alone.
    OnlyA(usize),
    /// In the second alone.
    OnlyB(usize),
}

/// Longest sequences that are aligned cell by cell, as the product of their lengths; beyond it index by index.
const CELLS: usize = 16 << 20;

/// What one alone costs; two that are paired may cost up to twice that.
pub const ALONE: u32 = 2;

/// The cheapest alignment, where pairing `a[i]` with `b[j]` costs `cost(i, j)` (0: the same; `None`: never).
pub fn align(a: usize, b: usize, cost: impl Fn(usize, usize) -> Option<u32>) -> Vec<Pair> {
    let head = (0..a.min(b)).take_while(|i| cost(*i, *i) == Some(0)).count();
    let tail = (0..a.min(b) - head).take_while(|i| cost(a - 1 - i, b - 1 - i) == Some(0)).count();
    let mut pairs: Vec<Pair> = (0..head).map(|i| Pair::Both(i, i)).collect();
    pairs.extend(middle(head..a - tail, head..b - tail, &cost));
    pairs.extend((0..tail).rev().map(|i| Pair::Both(a - 1 - i, b - 1 - i)));
    pairs
}

fn middle(
    a: std::ops::Range<usize>,
    b: std::ops::Range<usize>,
    cost: &impl Fn(usize, usize) -> Option<u32>,
) -> Vec<Pair> {
    let (rows, columns) = (a.len(), b.len());
    if rows.saturating_mul(columns) > CELLS {
        let both = rows.min(columns);
        let paired = (0..both).map(|i| Pair::Both(a.start + i, b.start + i));
        let rest_a = (both..rows).map(|i| Pair::OnlyA(a.start + i));
        let rest_b = (both..columns).map(|i| Pair::OnlyB(b.start + i));
        return paired.chain(rest_a).chain(rest_b).collect();
    }
    // least[i][j]: the cost of aligning what follows i and j.
    let width = columns + 1;
    let mut least = vec![0_u32; (rows + 1) * width];
    for i in (0..=rows).rev() {
        for j in (0..=columns).rev() {
            least[i * width + j] = match (i < rows, j < columns) {
                (false, false) => 0,
                (true, false) => least[(i + 1) * width + j] + ALONE,
                (false, true) => least[i * width + j + 1] + ALONE,
                (true, true) => {
                    let alone = least[(i + 1) * width + j].min(least[i * width + j + 1]) + ALONE;
                    let both = cost(a.start + i, b.start + j).map(|c| c + least[(i + 1) * width + j + 1]);
                    both.map_or(alone, |both| both.min(alone))
                }
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < rows || j < columns {
        let here = least[i * width + j];
        let both = (i < rows && j < columns)
            .then(|| cost(a.start + i, b.start + j))
            .flatten()
            .is_some_and(|c| c + least[(i + 1) * width + j + 1] == here);
        if both {
            pairs.push(Pair::Both(a.start + i, b.start + j));
            (i, j) = (i + 1, j + 1);
        } else if i < rows && least[(i + 1) * width + j] + ALONE == here {
            pairs.push(Pair::OnlyA(a.start + i));
            i += 1;
        } else {
            pairs.push(Pair::OnlyB(b.start + j));
            j += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Letters: the same letter costs nothing, upper and lower case of it one, others are never paired.
    fn shown(a: &str, b: &str) -> String {
        let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
        let cost = |i: usize, j: usize| match (a[i], b[j]) {
            (x, y) if x == y => Some(0),
            (x, y) if x.eq_ignore_ascii_case(&y) => Some(1),
            _ => None,
        };
        let show = |pair: &Pair| match *pair {
            Pair::Both(i, j) => format!("{}{}", a[i], b[j]),
            Pair::OnlyA(i) => format!("{}-", a[i]),
            Pair::OnlyB(j) => format!("-{}", b[j]),
        };
        align(a.len(), b.len(), cost).iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[rstest]
    #[case::the_same("abc", "abc", "aa bb cc")]
    #[case::one_more_in_the_middle("abc", "axbc", "aa -x bb cc")]
    #[case::one_less_at_the_end("abc", "ab", "aa bb c-")]
    #[case::one_that_changed("abc", "aBc", "aa bB cc")]
    #[case::one_more_and_one_that_changed("abc", "axBc", "aa -x bB cc")]
    #[case::another_in_its_place("abc", "axc", "aa b- -x cc")]
    #[case::nothing("", "a", "-a")]
    #[case::one_of_several_alike("aaa", "aaaa", "aa aa aa -a")]
    fn what_only_one_has_moves_nothing_else(#[case] a: &str, #[case] b: &str, #[case] pairs: &str) {
        assert_eq!(shown(a, b), pairs);
    }
}
