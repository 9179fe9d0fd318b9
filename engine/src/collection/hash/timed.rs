//! A hash whose fields have TTLs, or have had: the fields as in any other hash, and beside them a sorted set of those that have a
//! TTL, whose scores are the times at which those end. So a hash without TTLs has nothing of this, and the first field to end is
//! found at once.
//!
//! The hash itself reads no clock: the entry that owns it removes a field whose TTL is over. Until then [`HashRef::live`] hides
//! that field, and the other ways to read show it.

use super::{Form, HashRef, HashValue, Member, View};
use crate::collection::{SortedValue, Thresholds, allocated};

/// A sorted set of more ends has an index, however many fields may be packed: a walk over all fields looks for the end of each.
const ENDS_PACKED_MAX: u32 = 128;

/// See the description of this file.
#[derive(Clone, Debug, Default)]
pub(super) struct Timed {
    /// Not timed itself.
    fields: HashValue,
    /// When the TTLs end, Unix milliseconds: below 2^53, so that a score has each exactly.
    ends: SortedValue,
}

/// The bounds of the compact form of the ends.
fn of_ends(thresholds: &Thresholds) -> Thresholds {
    let sorted_entries = thresholds.hash_entries.min(ENDS_PACKED_MAX);
    Thresholds { sorted_entries, sorted_value: thresholds.hash_value, ..*thresholds }
}

impl Timed {
    pub fn view(&self) -> TimedRef<'_> {
        TimedRef { timed: self, now_ms: 0 }
    }

    pub fn set(&mut self, field: &[u8], value: &[u8], thresholds: &Thresholds) -> bool {
        self.fields.set(field, value, thresholds)
    }

    pub fn remove(&mut self, field: &[u8], thresholds: &Thresholds) -> bool {
        let existed = self.fields.remove(field, thresholds);
        if existed {
            self.ends.remove(field, &of_ends(thresholds));
        }
        existed
    }

    pub fn allocated_bytes(&self) -> usize {
        allocated(size_of::<Timed>()) + self.fields.allocated_bytes() + self.ends.allocated_bytes()
    }

    pub fn walked_bytes(&self) -> usize {
        allocated(size_of::<Timed>()) + self.fields.walked_bytes() + self.ends.walked_bytes()
    }

    pub fn allocations(&self) -> usize {
        self.fields.allocations() + self.ends.allocations()
    }

    pub fn free_some(&mut self, most: usize) -> usize {
        match self.fields.free_some(most) {
            0 => self.ends.free_some(most),
            freed => freed,
        }
    }
}

impl HashValue {
    /// A hash without fields that is timed.
    pub(crate) fn timed() -> HashValue {
        HashValue(Form::Timed(Box::default()))
    }

    /// Has a field's TTL end at `at_ms`, Unix milliseconds, above 0 and below 2^53. Does nothing if there is no such field; returns
    /// whether there is.
    pub(crate) fn set_end(&mut self, field: &[u8], at_ms: u64, thresholds: &Thresholds) -> bool {
        if !self.view().contains(field) {
            return false;
        }
        if !self.view().is_timed() {
            let timed = Timed { fields: std::mem::take(self), ..Timed::default() };
            self.0 = Form::Timed(Box::new(timed));
        }
        if let Form::Timed(timed) = &mut self.0 {
            timed.ends.set(at_ms as f64, field, &of_ends(thresholds));
        }
        true
    }

    /// Removes a field's TTL; returns whether there was one.
    pub(crate) fn clear_end(&mut self, field: &[u8], thresholds: &Thresholds) -> bool {
        match &mut self.0 {
            Form::Timed(timed) => timed.ends.remove(field, &of_ends(thresholds)),
            Form::Packed(_) | Form::Dense(_) => false,
        }
    }
}

/// A timed hash, for reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimedRef<'a> {
    timed: &'a Timed,
    /// Fields whose TTL ends at this time or before are hidden.
    now_ms: u64,
}

impl<'a> TimedRef<'a> {
    pub fn fields(self) -> HashRef<'a> {
        self.timed.fields.view()
    }

    fn end(self, field: &[u8]) -> Option<u64> {
        self.timed.ends.view().score(field).map(|score| score as u64)
    }

    fn end_at(self, rank: usize) -> Option<(&'a [u8], u64)> {
        self.timed.ends.view().range(rank..rank + 1, false).next().map(|(field, score)| (field, score as u64))
    }

    /// The number of fields that are hidden.
    fn hidden(self) -> usize {
        self.timed.ends.view().count_before(|_, end| end as u64 <= self.now_ms)
    }

    /// It, if it hides any field.
    pub fn hiding(self) -> Option<TimedRef<'a>> {
        self.end_at(0).filter(|(_, end)| *end <= self.now_ms).map(|_| self)
    }

    /// Whether a field is hidden.
    pub fn hides(self, field: &[u8]) -> bool {
        self.end(field).is_some_and(|end| end <= self.now_ms)
    }

    pub fn len(self) -> usize {
        self.fields().len() - self.hidden()
    }

    pub fn get(self, field: &[u8]) -> Option<&'a [u8]> {
        self.fields().get(field).filter(|_| !self.hides(field))
    }

    pub fn at(self, place: usize) -> Option<(&'a [u8], &'a [u8])> {
        self.fields().at(place).filter(|(field, _)| !self.hides(field))
    }

    pub fn first_line(self) -> *const u8 {
        std::ptr::from_ref(self.timed).cast()
    }
}

impl<'a> HashRef<'a> {
    /// The hash without the fields whose TTLs are over at `now_ms`, Unix milliseconds.
    #[inline]
    pub fn live(self, now_ms: u64) -> HashRef<'a> {
        match self.0 {
            View::Timed(timed) => HashRef(View::Timed(TimedRef { now_ms, ..timed })),
            _ => self,
        }
    }

    #[inline]
    fn as_timed(self) -> Option<TimedRef<'a>> {
        if let View::Timed(timed) = self.0 { Some(timed) } else { None }
    }

    /// Whether its fields have TTLs, or have had.
    #[inline]
    pub fn is_timed(self) -> bool {
        self.as_timed().is_some()
    }

    /// When a field's TTL ends, Unix milliseconds; `None` if it has none, or there is no such field. Fields are never hidden here.
    pub fn end(self, field: &[u8]) -> Option<u64> {
        self.as_timed()?.end(field)
    }

    /// The field whose TTL ends first, and when. Never hidden either.
    pub fn first_end(self) -> Option<(&'a [u8], u64)> {
        self.as_timed()?.end_at(0)
    }

    /// The number of places: of fields, with those that are hidden.
    pub fn places(self) -> usize {
        self.as_timed().map_or_else(|| self.len(), |timed| timed.fields().len())
    }

    /// Whether the TTLs of all fields are over at `now_ms`.
    pub(crate) fn has_ended(self, now_ms: u64) -> bool {
        self.as_timed().is_some_and(|timed| {
            let ends = timed.timed.ends.view().len();
            let last = ends.checked_sub(1).and_then(|rank| timed.end_at(rank));
            ends == timed.fields().len() && last.is_some_and(|(_, end)| end <= now_ms)
        })
    }

    /// All fields of a timed hash in order, each with its value and when its TTL ends, 0 for none.
    pub(crate) fn triples(self) -> impl Iterator<Item = [Member<'a>; 3]> {
        self.iter().map(move |(field, value)| {
            let end = self.end(field).map_or(0, |end| end as i64);
            [Member::of(field), Member::of(value), Member::of_integer(end)]
        })
    }
}
