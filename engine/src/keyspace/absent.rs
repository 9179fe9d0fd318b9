//! The queue of entries without a value: which is forgotten first.

use crate::position::RingOffset;
use std::{cmp::Reverse, collections::VecDeque};

/// The most rows of a part that are sorted, which takes about a millisecond: of more, nothing depends on the exact order.
const SORTED_MAX: usize = 16_384;

/// An entry, by the hash of its key, with a ring offset at or before its last record.
pub(crate) type AbsentRow = (u64, RingOffset);

/// Entries without a value, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Absent {
    /// Rows that flushes have left, older than all others: in parts, of which none is empty. The first one has its oldest row
    /// last; each is sorted when it becomes the first, because sorting all takes a whole turn.
    flushed: VecDeque<Vec<AbsentRow>>,
    rows: VecDeque<AbsentRow>,
    len: usize,
}

impl Absent {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The oldest row.
    #[inline]
    pub(crate) fn front(&self) -> Option<AbsentRow> {
        match self.flushed.front() {
            None => self.rows.front(),
            Some(part) => part.last(),
        }
        .copied()
    }

    pub(crate) fn pop_front(&mut self) {
        let Some(part) = self.flushed.front_mut() else {
            self.len -= usize::from(self.rows.pop_front().is_some());
            return;
        };
        part.pop();
        self.len -= 1;
        if part.is_empty() {
            self.flushed.pop_front();
            self.sort_first();
        }
    }

    #[inline]
    pub(crate) fn push_back(&mut self, row: AbsentRow) {
        self.len += 1;
        self.rows.push_back(row);
    }

    /// The newest row, to be changed, if it was pushed to the back.
    pub(crate) fn back_mut(&mut self) -> Option<&mut AbsentRow> {
        self.rows.back_mut()
    }

    pub(crate) fn clear(&mut self) {
        *self = Absent::default();
    }

    /// Orders the rows that were pushed to the back by age.
    pub(crate) fn sort(&mut self) {
        self.rows.make_contiguous().sort_unstable_by_key(|row| row.1);
    }

    /// Adds a part of the rows that a flush has left: newer ones than the parts before, older ones than what was pushed to
    /// the back since. Its rows are in any order.
    pub(crate) fn push_flushed(&mut self, part: Vec<AbsentRow>) {
        if !part.is_empty() {
            self.len += part.len();
            self.flushed.push_back(part);
            if self.flushed.len() == 1 {
                self.sort_first();
            }
        }
    }

    fn sort_first(&mut self) {
        if let Some(part) = self.flushed.front_mut()
            && part.len() <= SORTED_MAX
        {
            part.sort_unstable_by_key(|row| Reverse(row.1));
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = AbsentRow> {
        // As they leave: a part that is not the first one is sorted then.
        let sorted = |part: &Vec<AbsentRow>| {
            let mut part = part.clone();
            part.sort_unstable_by_key(|row| row.1);
            part
        };
        self.flushed.iter().flat_map(sorted).chain(self.rows.iter().copied())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn rows_of_flushes_leave_in_the_order_of_their_ages_before_all_others() {
        let mut absent = Absent::default();
        let row = |age: u64| (age ^ 0x55, RingOffset(age));
        // Parts in the order of their ages, the rows of each in any.
        absent.push_flushed(vec![row(3), row(1), row(2)]);
        absent.push_flushed(Vec::new());
        absent.push_back(row(9));
        absent.push_flushed(vec![row(5), row(4)]);
        absent.push_flushed(vec![row(7), row(6), row(8)]);
        for (gone, age) in (1..=9).enumerate() {
            assert_eq!((absent.len(), absent.front()), (9 - gone, Some(row(age))));
            absent.pop_front();
        }
        assert_eq!((absent.len(), absent.front()), (0, None));
    }
}
