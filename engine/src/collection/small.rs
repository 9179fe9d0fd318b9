//! Changes of small collections, in whatever memory they are. Each says what it has done, or that the collection has to
//! leave that memory or that form first: then nothing has changed.

use super::packed::{self, SmallBytes};
use super::rows::row_bytes;
use super::thresholds::{Thresholds, is_few};
use super::{Bytes, End, Member, ints};
use crate::number::parse_i64;
use std::ops::Range;

/// The form of a small set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SmallSet {
    Integers,
    Packed,
}

/// What came of an insertion into a small set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// Whether the member was new.
    Done(bool),
    /// The set was one of integers and has been packed, with the member, which is new.
    Repacked,
    /// The set is too large for this.
    TooLarge,
}

/// The number of fields, members or elements of a packed collection.
#[inline]
pub(crate) fn count(bytes: &[u8]) -> usize {
    packed::count(bytes)
}

/// Sets a field of a packed hash; returns whether it is new, `None` if the hash is too large for this.
pub(crate) fn hash_set(
    hash: &mut impl SmallBytes,
    field: &[u8],
    value: &[u8],
    thresholds: &Thresholds,
) -> Option<bool> {
    if field.len().max(value.len()) > thresholds.hash_value as usize {
        return None;
    }
    if let Some(edit) = packed::hash::overwrite(hash.get(), field, value) {
        return edit.apply(hash).then_some(false);
    }
    let is_few = is_few(packed::count(hash.get()) + 1, thresholds.hash_entries);
    (is_few && packed::hash::add(hash.get(), field, value).apply(hash)).then_some(true)
}

/// Removes a field of a packed hash; returns whether it existed. The others stay in order.
pub(crate) fn hash_remove(hash: &mut impl SmallBytes, field: &[u8]) -> bool {
    packed::hash::remove(hash.get(), field).is_some_and(|edit| edit.apply(hash))
}

/// Adds a member to a small set. An empty one is of integers.
pub(crate) fn set_insert(
    form: SmallSet,
    set: &mut impl SmallBytes,
    member: &[u8],
    thresholds: &Thresholds,
) -> Inserted {
    match form {
        SmallSet::Integers => integers_insert(set, member, thresholds),
        SmallSet::Packed if packed::set::contains(set.get(), member) => Inserted::Done(false),
        SmallSet::Packed => {
            let fits = member.len() <= thresholds.set_value as usize
                && is_few(packed::count(set.get()) + 1, thresholds.set_entries)
                && packed::set::add(set.get(), member).apply(set);
            if fits { Inserted::Done(true) } else { Inserted::TooLarge }
        }
    }
}

fn integers_insert(set: &mut impl SmallBytes, member: &[u8], thresholds: &Thresholds) -> Inserted {
    let (number, count) = (parse_i64(member), ints::count(set.get()));
    if let Some(number) = number {
        let Err(place) = ints::find(set.get(), number) else { return Inserted::Done(false) };
        if is_few(count + 1, thresholds.set_integers) {
            return if ints::insert(set, place, number) { Inserted::Done(true) } else { Inserted::TooLarge };
        }
        if count > 0 {
            return Inserted::TooLarge;
        }
    }
    // A member that is no integer; or there may be no set of integers at all.
    let texts: Vec<Member<'_>> = ints::members(set.get()).map(Member::of_integer).collect();
    let members = || texts.iter().map(|member| member.as_ref()).chain([member]);
    if !is_few(count + 1, thresholds.set_entries)
        || members().any(|member| member.len() > thresholds.set_value as usize)
    {
        return Inserted::TooLarge;
    }
    let bytes = packed::build(count + 1, members());
    if bytes.len() > set.room() {
        return Inserted::TooLarge;
    }
    let length = set.get().len();
    set.splice(0..length, &[&bytes]);
    Inserted::Repacked
}

/// The place of a member of a small set.
pub(crate) fn set_place(form: SmallSet, set: &[u8], member: &[u8]) -> Option<usize> {
    match form {
        SmallSet::Integers => parse_i64(member).and_then(|number| ints::find(set, number).ok()),
        SmallSet::Packed => packed::set::place_of(set, member),
    }
}

/// Removes the member at a place that has one, of a small set. The others stay in order.
pub(crate) fn set_remove_at(form: SmallSet, set: &mut impl SmallBytes, place: usize) {
    match form {
        SmallSet::Integers => ints::remove_at(set, place),
        SmallSet::Packed => {
            if let Some(edit) = packed::set::remove_at(set.get(), place) {
                edit.apply(set);
            }
        }
    }
}

/// Adds an element at an end of a packed list; returns whether it fits.
pub(crate) fn list_push(list: &mut impl SmallBytes, end: End, element: &[u8], thresholds: &Thresholds) -> bool {
    let index = if end == End::Head { 0 } else { packed::count(list.get()) };
    list_insert(list, index, element, thresholds)
}

/// Inserts an element at an index, at most the length, of a packed list; returns whether it fits.
pub(crate) fn list_insert(list: &mut impl SmallBytes, index: usize, element: &[u8], thresholds: &Thresholds) -> bool {
    let (size, bytes) = (thresholds.chunk_size(), list.get());
    packed::count(bytes) < size.elements
        && bytes.len() + row_bytes(element, false) <= size.bytes
        && packed::list::insert(bytes, index, element).apply(list)
}

/// Overwrites the element at an index within a packed list; returns whether it fits.
pub(crate) fn list_set(list: &mut impl SmallBytes, index: usize, element: &[u8], thresholds: &Thresholds) -> bool {
    let bytes = list.get();
    let old = packed::list::at(bytes, index).map_or(0, <[u8]>::len);
    bytes.len() - old + row_bytes(element, false) <= thresholds.chunk_size().bytes
        && packed::list::overwrite(bytes, index, element).is_some_and(|edit| edit.apply(list))
}

/// Removes the element at an end of a packed list.
pub(crate) fn list_pop(list: &mut impl SmallBytes, end: End) -> Option<Bytes> {
    let bytes = list.get();
    let index = if end == End::Head { 0 } else { packed::count(bytes).checked_sub(1)? };
    let (element, removal) = packed::list::remove(bytes, index)?;
    let element = Bytes::from_slice(element);
    removal.apply(list);
    Some(element)
}

/// Removes the first `most` elements of a packed list that equal `element`, counted from an end; returns how many.
pub(crate) fn list_remove(list: &mut impl SmallBytes, from: End, most: usize, element: &[u8]) -> usize {
    let bytes = list.get();
    let equal = packed::elements(bytes).filter(|each| *each == element).count();
    let removed = equal.min(most);
    if removed == 0 {
        return 0;
    }
    // In the order from the head.
    let kept_first = if from == End::Head { 0 } else { equal - removed };
    let mut seen = 0;
    let kept = packed::elements(bytes).filter(|each| {
        let is_equal = *each == element;
        seen += usize::from(is_equal);
        !is_equal || seen <= kept_first || seen > kept_first + removed
    });
    let (kept, length) = (packed::build(packed::count(bytes) - removed, kept), bytes.len());
    list.splice(0..length, &[&kept]);
    removed
}

/// Keeps the elements of a packed list in a range of indexes within it.
pub(crate) fn list_keep(list: &mut impl SmallBytes, kept: Range<usize>) {
    let bytes = list.get();
    let (count, length) = (kept.len(), bytes.len());
    let kept = packed::build(count, packed::elements(bytes).skip(kept.start).take(count));
    list.splice(0..length, &[&kept]);
}
