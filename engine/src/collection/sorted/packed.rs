//! The compact form of a sorted set: a count, and rows in the order of the scores, those of equal ones in the order of the
//! members' bytes. Look-ups and edits are functions of the bytes, in whatever memory they are.
//!
//! ```text
//!   count u16 │ member length, score, member │ …
//! ```

use super::score::{self, Score};
use super::{Decision, is_before};
use crate::collection::packed::{SmallBytes, count};
use crate::collection::rows::{self, Length};
use crate::collection::thresholds::{Thresholds, is_few};
use smallvec::SmallVec;
use std::ops::Range;

/// The bytes of the count.
const COUNT_BYTES: usize = 2;

/// Where a row is.
#[derive(Clone, Copy, Debug)]
struct Row {
    start: usize,
    /// The first byte of the score.
    score: usize,
    /// The first byte of the member.
    member: usize,
    /// The start of the next row.
    next: usize,
}

impl Row {
    #[inline]
    fn score(self, bytes: &[u8]) -> f64 {
        score::read(&bytes[self.score..self.member])
    }

    #[inline]
    fn member(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.member..self.next]
    }

    #[inline]
    fn is_before(self, bytes: &[u8], score: f64, member: &[u8]) -> bool {
        is_before((self.score(bytes), self.member(bytes)), (score, member))
    }
}

/// The row that starts at `at`.
#[inline]
fn row(bytes: &[u8], at: usize) -> Row {
    let (length, score) = rows::length(bytes, at);
    let member = score + score::width(bytes[score]);
    Row { start: at, score, member, next: member + length }
}

/// All rows, from the one at `at` on.
#[inline]
fn rows_from(bytes: &[u8], at: usize) -> impl Iterator<Item = Row> + '_ {
    let mut at = at;
    std::iter::from_fn(move || {
        let row = (at < bytes.len()).then(|| row(bytes, at))?;
        at = row.next;
        Some(row)
    })
}

#[inline]
fn all(bytes: &[u8]) -> impl Iterator<Item = Row> + '_ {
    rows_from(bytes, COUNT_BYTES.min(bytes.len()))
}

#[inline]
fn find(bytes: &[u8], member: &[u8]) -> Option<Row> {
    all(bytes).find(|row| row.member(bytes) == member)
}

/// All members and their scores, in order.
pub(super) fn pairs(bytes: &[u8]) -> impl Iterator<Item = (&[u8], f64)> {
    all(bytes).map(|row| (row.member(bytes), row.score(bytes)))
}

/// The members of some rows and their scores, in order.
pub(super) struct Rows<'a> {
    bytes: &'a [u8],
    at: usize,
    left: usize,
}

impl<'a> Rows<'a> {
    /// The rows at these ranks, which are there.
    #[inline]
    pub fn of(bytes: &'a [u8], ranks: Range<usize>) -> Rows<'a> {
        let at = all(bytes).nth(ranks.start).map_or(bytes.len(), |row| row.start);
        Rows { bytes, at, left: ranks.len() }
    }

    /// The number of rows that are left.
    pub fn left(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<(&'a [u8], f64)> {
        self.left = self.left.checked_sub(1)?;
        let row = row(self.bytes, self.at);
        self.at = row.next;
        Some((row.member(self.bytes), row.score(self.bytes)))
    }
}

/// The score of a member.
#[inline]
pub(super) fn score_of(bytes: &[u8], member: &[u8]) -> Option<f64> {
    find(bytes, member).map(|row| row.score(bytes))
}

/// The rank and the score of a member.
pub(super) fn rank_of(bytes: &[u8], member: &[u8]) -> Option<(usize, f64)> {
    let (rank, row) = all(bytes).enumerate().find(|(_, row)| row.member(bytes) == member)?;
    Some((rank, row.score(bytes)))
}

/// The places of the rows at these ranks, to be read in any order.
pub(super) fn starts(bytes: &[u8], ranks: Range<usize>) -> SmallVec<[u32; 32]> {
    // A packed set has less than 4 GiB, as any value.
    all(bytes).skip(ranks.start).take(ranks.len()).map(|row| row.start as u32).collect()
}

/// The member and the score of the row at such a place.
#[inline]
pub(super) fn pair_at(bytes: &[u8], start: u32) -> (&[u8], f64) {
    let row = row(bytes, start as usize);
    (row.member(bytes), row.score(bytes))
}

/// Decides about a member's score, and sets it; `None` if the set is too large for this, and nothing has changed then.
pub(super) fn update<E>(
    set: &mut impl SmallBytes,
    member: &[u8],
    thresholds: &Thresholds,
    decide: impl FnOnce(Option<f64>) -> Result<Option<f64>, E>,
) -> Result<Option<Decision>, E> {
    let bytes = set.get();
    let found = find(bytes, member);
    let old = found.map(|row| row.score(bytes));
    let Some(new) = decide(old)? else { return Ok(Some(Decision { old, new: None })) };
    let is_set = match found {
        Some(row) => move_row(set, row, new, member),
        None => insert(set, new, member, thresholds),
    };
    Ok(is_set.then_some(Decision { old, new: Some(new) }))
}

/// The place for a score and a member, as that of the first row behind them. The row `but` does not count.
fn place(bytes: &[u8], score: f64, member: &[u8], but: Option<Row>) -> usize {
    let is_behind = |row: &Row| but.is_none_or(|but| but.start != row.start) && !row.is_before(bytes, score, member);
    all(bytes).find(is_behind).map_or(bytes.len(), |row| row.start)
}

fn insert(set: &mut impl SmallBytes, new: f64, member: &[u8], thresholds: &Thresholds) -> bool {
    let bytes = set.get();
    let count = count(bytes) + 1;
    if member.len() > thresholds.sorted_value as usize || !is_few(count, thresholds.sorted_entries) {
        return false;
    }
    let (length, score, count) = (Length::of(member), Score::of(new), (count as u16).to_le_bytes());
    let parts = [&count[..], length.before(), score.bytes(), member];
    let added: usize = parts[1..].iter().map(|part| part.len()).sum();
    if bytes.len().max(COUNT_BYTES) + added > set.room() {
        return false;
    }
    if bytes.is_empty() {
        set.splice(0..0, &parts);
        return true;
    }
    let at = place(bytes, new, member, None);
    set.splice(at..at, &parts[1..]);
    set.overwrite_start(&count);
    true
}

/// Gives a row another score, and moves it there.
fn move_row(set: &mut impl SmallBytes, old: Row, new: f64, member: &[u8]) -> bool {
    let bytes = set.get();
    let (length, score) = (Length::of(member), Score::of(new));
    if bytes.len() - (old.member - old.score) + score.bytes().len() > set.room() {
        return false;
    }
    let at = place(bytes, new, member, Some(old));
    let row = [length.before(), score.bytes(), member];
    let [a, b, c] = row;
    if at < old.start {
        let between: SmallVec<[u8; 256]> = SmallVec::from_slice(&bytes[at..old.start]);
        set.splice(at..old.next, &[a, b, c, &between]);
    } else if at > old.next {
        let between: SmallVec<[u8; 256]> = SmallVec::from_slice(&bytes[old.next..at]);
        set.splice(old.start..at, &[&between, a, b, c]);
    } else {
        set.splice(old.score..old.member, &[score.bytes()]);
    }
    true
}

/// Removes a member; returns whether it existed.
pub(super) fn remove(set: &mut impl SmallBytes, member: &[u8]) -> bool {
    let Some(row) = find(set.get(), member) else { return false };
    cut(set, row.start..row.next, 1);
    true
}

/// Removes the members at these ranks, which are there.
pub(super) fn remove_ranks(set: &mut impl SmallBytes, ranks: Range<usize>) {
    let bytes = set.get();
    let mut rows = all(bytes).skip(ranks.start).take(ranks.len());
    let Some(first) = rows.next() else { return };
    let end = rows.last().unwrap_or(first).next;
    cut(set, first.start..end, ranks.len());
}

fn cut(set: &mut impl SmallBytes, range: Range<usize>, rows: usize) {
    let bytes = set.get();
    let (left, length) = (count(bytes) - rows, bytes.len());
    if left == 0 {
        set.splice(0..length, &[]);
    } else {
        set.splice(range, &[]);
        set.overwrite_start(&(left as u16).to_le_bytes());
    }
}

/// The bytes of a set of so many members, which come in order.
pub(super) fn build<'e>(count: usize, pairs: impl Iterator<Item = (&'e [u8], f64)>) -> Vec<u8> {
    if count == 0 {
        return Vec::new();
    }
    let mut bytes = (count as u16).to_le_bytes().to_vec();
    for (member, score) in pairs {
        for part in [Length::of(member).before(), Score::of(score).bytes(), member] {
            bytes.extend_from_slice(part);
        }
    }
    bytes
}
