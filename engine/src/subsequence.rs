//! The longest common subsequence of two strings: LCS.

use crate::error::Refusal;
use crate::limits::SUBSEQUENCE_CELLS_MAX;
use std::ops::Range;

/// The longest common subsequence of two strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subsequence {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The runs of it that are whole in both strings: where each is in the first and in the second one, the last one first.
    pub matches: Vec<(Range<usize>, Range<usize>)>,
}

/// Finds it. Of several that are equally long, the one that Redis finds.
///
/// # Errors
/// The strings are too long: the time and the memory that this takes grow with the product of their lengths, which is at
/// most [`SUBSEQUENCE_CELLS_MAX`].
pub fn longest_common(a: &[u8], b: &[u8]) -> Result<Subsequence, Refusal> {
    let width = b.len() + 1;
    let cells = width.checked_mul(a.len() + 1).filter(|&cells| cells <= SUBSEQUENCE_CELLS_MAX);
    // The length for each pair of beginnings: no more than the shorter string has, which 16 bits hold within the bound.
    let mut lengths = vec![0u16; cells.ok_or(Refusal::SubsequenceTooLarge)?];
    for (i, &byte) in a.iter().enumerate() {
        let (above, row) = lengths[i * width..].split_at_mut(width);
        for (j, &other) in b.iter().enumerate() {
            row[j + 1] = if byte == other { above[j] + 1 } else { above[j + 1].max(row[j]) };
        }
    }
    let length = |i: usize, j: usize| lengths[i * width + j];
    let mut found = Subsequence { bytes: Vec::new(), matches: Vec::new() };
    let (mut i, mut j) = (a.len(), b.len());
    let mut open: Option<(Range<usize>, Range<usize>)> = None;
    while i > 0 && j > 0 {
        if a[i - 1] == b[j - 1] {
            i -= 1;
            j -= 1;
            found.bytes.push(a[i]);
            open = Some(match open {
                Some((in_a, in_b)) => (i..in_a.end, j..in_b.end),
                None => (i..i + 1, j..j + 1),
            });
            continue;
        }
        found.matches.extend(open.take());
        if length(i - 1, j) > length(i, j - 1) {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    found.matches.extend(open);
    found.bytes.reverse();
    Ok(found)
}

/// Its length alone, in bytes, in memory that grows with the shorter string.
///
/// # Errors
/// As of [`longest_common`].
pub fn longest_common_length(a: &[u8], b: &[u8]) -> Result<usize, Refusal> {
    let (long, short) = if a.len() < b.len() { (b, a) } else { (a, b) };
    let cells = (short.len() + 1).checked_mul(long.len() + 1).filter(|&cells| cells <= SUBSEQUENCE_CELLS_MAX);
    cells.ok_or(Refusal::SubsequenceTooLarge)?;
    let mut row = vec![0u16; short.len() + 1];
    for &byte in long {
        let mut before = 0;
        for (j, &other) in short.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if byte == other { before + 1 } else { above.max(row[j]) };
            before = above;
        }
    }
    Ok(row.last().copied().unwrap_or(0).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_subsequence(of: &[u8], part: &[u8]) -> bool {
        let mut rest = of.iter();
        part.iter().all(|byte| rest.any(|other| other == byte))
    }

    proptest! {
        #[test]
        fn it_is_in_both_and_as_long_as_the_length_says(
            a in proptest::collection::vec(0u8..4, 0..40), b in proptest::collection::vec(0u8..4, 0..40),
        ) {
            let found = longest_common(&a, &b).expect("they are short");
            prop_assert_eq!(longest_common_length(&a, &b), Ok(found.bytes.len()));
            prop_assert!(is_subsequence(&a, &found.bytes) && is_subsequence(&b, &found.bytes));
            let mut joined = Vec::new();
            for (in_a, in_b) in found.matches.iter().rev() {
                prop_assert_eq!(&a[in_a.clone()], &b[in_b.clone()]);
                joined.extend_from_slice(&a[in_a.clone()]);
            }
            prop_assert_eq!(joined, found.bytes);
        }
    }

    #[test]
    fn long_strings_are_refused() {
        let long = vec![b'x'; 1 << 20];
        assert_eq!(longest_common(&long, &long), Err(Refusal::SubsequenceTooLarge));
        assert_eq!(longest_common_length(&long, &long), Err(Refusal::SubsequenceTooLarge));
        assert_eq!(longest_common_length(&long, b"xxy"), Ok(2));
        assert_eq!(longest_common(b"", b"").map(|found| found.bytes), Ok(Vec::new()));
    }
}
