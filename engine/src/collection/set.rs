//! A set: members. A small one of integers is an ascending array of numbers, another small one is packed, a large one has an
//! index.
//!
//! A set that was large never becomes an array of numbers: that would change the order of its members, and a walk that
//! began while it was large could miss some.

use super::dense::{Dense, Members};
use super::small::{Inserted, SmallSet};
use super::thin::ThinBytes;
use super::thresholds::{Thresholds, may_shrink};
use super::{Bytes, Member, ints, packed, small};
use crate::number::parse_i64;

/// The members of a set.
#[derive(Clone, Debug, Default)]
pub struct SetValue(Form);

#[derive(Clone, Debug)]
enum Form {
    Integers(ThinBytes),
    Packed(ThinBytes),
    Dense(Box<Dense<Members>>),
}

impl Default for Form {
    fn default() -> Form {
        Form::Integers(ThinBytes::new())
    }
}

impl SetValue {
    /// The set, for reading.
    #[inline]
    pub fn view(&self) -> SetRef<'_> {
        SetRef(match &self.0 {
            Form::Integers(bytes) => View::Integers(bytes),
            Form::Packed(bytes) => View::Packed(bytes),
            Form::Dense(dense) => View::Dense(dense),
        })
    }

    /// A small set in these bytes.
    pub(crate) fn of_small(form: SmallSet, bytes: &[u8]) -> SetValue {
        let bytes = ThinBytes::of(&[bytes]);
        SetValue(match form {
            SmallSet::Integers => Form::Integers(bytes),
            SmallSet::Packed => Form::Packed(bytes),
        })
    }

    /// The form and the bytes of a small set; `None` if it is large.
    pub(crate) fn small(&self) -> Option<(SmallSet, &[u8])> {
        match &self.0 {
            Form::Integers(bytes) => Some((SmallSet::Integers, bytes)),
            Form::Packed(bytes) => Some((SmallSet::Packed, bytes)),
            Form::Dense(_) => None,
        }
    }

    /// The same, to be changed.
    fn small_mut(&mut self) -> Option<(SmallSet, &mut ThinBytes)> {
        match &mut self.0 {
            Form::Integers(bytes) => Some((SmallSet::Integers, bytes)),
            Form::Packed(bytes) => Some((SmallSet::Packed, bytes)),
            Form::Dense(_) => None,
        }
    }

    /// Adds a member; returns whether it is new.
    pub(crate) fn insert(&mut self, member: &[u8], thresholds: &Thresholds) -> bool {
        if let Some((form, bytes)) = self.small_mut() {
            match small::set_insert(form, bytes, member, thresholds) {
                Inserted::Done(is_new) => return is_new,
                Inserted::Repacked => {
                    self.0 = Form::Packed(std::mem::take(bytes));
                    return true;
                }
                Inserted::TooLarge => self.unpack(),
            }
        }
        let Form::Dense(dense) = &mut self.0 else { unreachable!("it has just been unpacked") };
        let is_new = dense.find(member).is_none();
        if is_new {
            dense.push(ThinBytes::of(&[member]));
        }
        is_new
    }

    /// Removes a member; returns whether it existed.
    pub(crate) fn remove(&mut self, member: &[u8], thresholds: &Thresholds) -> bool {
        let place = match (self.small(), &self.0) {
            (Some((form, bytes)), _) => small::set_place(form, bytes, member),
            (None, Form::Dense(dense)) => dense.find(member),
            (None, _) => None,
        };
        place.map(|place| self.cut(place, thresholds)).is_some()
    }

    /// Removes the member at a place of the set's own order.
    pub(crate) fn remove_at(&mut self, place: usize, thresholds: &Thresholds) -> Option<Bytes> {
        let member = self.view().at(place)?.to_bytes();
        self.cut(place, thresholds);
        Some(member)
    }

    /// Removes the member at a place that has one. In a small set the others stay in order; in none does one move to a higher
    /// place.
    fn cut(&mut self, place: usize, thresholds: &Thresholds) {
        if let Some((form, bytes)) = self.small_mut() {
            return small::set_remove_at(form, bytes, place);
        }
        let Form::Dense(dense) = &mut self.0 else { return };
        dense.remove_at(place);
        let longest = thresholds.set_value as usize;
        if may_shrink(dense.len(), thresholds.set_entries) && dense.iter().all(|member| member.len() <= longest) {
            self.pack();
        }
    }

    fn pack(&mut self) {
        let members: Vec<Member<'_>> = self.view().iter().collect();
        let bytes = packed::build(members.len(), members.iter().map(|member| member.as_ref()));
        self.0 = Form::Packed(ThinBytes::of(&[&bytes]));
    }

    fn unpack(&mut self) {
        let mut dense = Dense::new();
        self.view().iter().for_each(|member| dense.push(ThinBytes::of(&[&member])));
        self.0 = Form::Dense(Box::new(dense));
    }

    /// The memory that it has on the heap, in bytes.
    pub(crate) fn allocated_bytes(&self) -> usize {
        match &self.0 {
            Form::Integers(bytes) | Form::Packed(bytes) => bytes.allocated_bytes(),
            Form::Dense(dense) => dense.allocated_bytes(),
        }
    }

    /// The same, found by a look at everything.
    pub(crate) fn walked_bytes(&self) -> usize {
        match &self.0 {
            Form::Integers(bytes) | Form::Packed(bytes) => bytes.allocated_bytes(),
            Form::Dense(dense) => dense.walked_bytes(),
        }
    }

    /// The number of its allocations, about: of those of its members.
    pub(crate) fn allocations(&self) -> usize {
        match &self.0 {
            Form::Integers(_) | Form::Packed(_) => 1,
            Form::Dense(dense) => dense.len(),
        }
    }

    /// Frees up to `most` members of a set that nobody uses any more; returns how many, 0 if what is left takes no time.
    pub(crate) fn free_some(&mut self, most: usize) -> usize {
        match &mut self.0 {
            Form::Integers(_) | Form::Packed(_) => 0,
            Form::Dense(dense) => dense.free_some(most),
        }
    }
}

/// A set, for reading.
#[derive(Clone, Copy, Debug)]
pub struct SetRef<'a>(View<'a>);

#[derive(Clone, Copy, Debug)]
enum View<'a> {
    Integers(&'a [u8]),
    Packed(&'a [u8]),
    Dense(&'a Dense<Members>),
}

impl<'a> SetRef<'a> {
    /// The small set in these bytes.
    #[inline]
    pub(crate) fn of_small(form: SmallSet, bytes: &'a [u8]) -> SetRef<'a> {
        SetRef(match form {
            SmallSet::Integers => View::Integers(bytes),
            SmallSet::Packed => View::Packed(bytes),
        })
    }

    /// The number of members.
    #[inline]
    pub fn len(self) -> usize {
        match self.0 {
            View::Integers(bytes) => ints::count(bytes),
            View::Packed(bytes) => packed::count(bytes),
            View::Dense(dense) => dense.len(),
        }
    }

    /// Whether there are none, as in no set that a key holds.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether the set has a member.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        match self.0 {
            View::Integers(bytes) => parse_i64(member).is_some_and(|number| ints::find(bytes, number).is_ok()),
            View::Packed(bytes) => packed::set::contains(bytes, member),
            View::Dense(dense) => dense.find(member).is_some(),
        }
    }

    /// The member at a place of the set's own order. If the set is packed, all before it are read.
    pub fn at(self, place: usize) -> Option<Member<'a>> {
        match self.0 {
            View::Integers(bytes) => ints::at(bytes, place).map(Member::of_integer),
            View::Packed(bytes) => packed::elements(bytes).nth(place).map(Member::of),
            View::Dense(dense) => dense.at(place).map(|member| Member::of(member)),
        }
    }

    /// All members, in the set's own order.
    pub fn iter(self) -> impl Iterator<Item = Member<'a>> {
        let (integers, packed, dense) = match self.0 {
            View::Integers(bytes) => (Some(ints::members(bytes)), None, None),
            View::Packed(bytes) => (None, Some(packed::elements(bytes)), None),
            View::Dense(dense) => (None, None, Some(dense.iter())),
        };
        let integers = integers.into_iter().flatten().map(Member::of_integer);
        let packed = packed.into_iter().flatten().map(Member::of);
        integers.chain(packed).chain(dense.into_iter().flatten().map(|member| Member::of(member)))
    }

    /// Whether it is stored compactly: then it is small.
    pub fn is_compact(self) -> bool {
        !matches!(self.0, View::Dense(_))
    }

    /// Its bytes if it is stored compactly.
    pub(crate) fn compact_bytes(self) -> Option<usize> {
        match self.0 {
            View::Integers(bytes) | View::Packed(bytes) => Some(bytes.len()),
            View::Dense(_) => None,
        }
    }

    /// Redis's word for the form in which it is stored.
    pub fn encoding(self) -> &'static str {
        match self.0 {
            View::Integers(_) => "intset",
            View::Packed(_) => "listpack",
            View::Dense(_) => "hashtable",
        }
    }

    /// The memory that a look-up reads first.
    #[inline]
    pub(crate) fn first_line(self) -> *const u8 {
        match self.0 {
            View::Integers(bytes) | View::Packed(bytes) => bytes.as_ptr(),
            View::Dense(dense) => std::ptr::from_ref(dense).cast(),
        }
    }
}
