//! A hash: fields with their values. A small one is packed, a large one has an index. One whose fields have had TTLs is either,
//! with the ends of those beside it: [`timed`].

mod timed;

use super::dense::{Dense, Fields};
use super::thin::ThinBytes;
use super::thresholds::{Thresholds, may_shrink};
use super::{Member, packed, small};
use timed::{Timed, TimedRef};

/// The fields of a hash and their values.
#[derive(Clone, Debug, Default)]
pub struct HashValue(Form);

#[derive(Clone, Debug)]
enum Form {
    Packed(ThinBytes),
    Dense(Box<Dense<Fields>>),
    Timed(Box<Timed>),
}

impl Default for Form {
    fn default() -> Form {
        Form::Packed(ThinBytes::new())
    }
}

impl HashValue {
    /// The hash, for reading.
    #[inline]
    pub fn view(&self) -> HashRef<'_> {
        HashRef(match &self.0 {
            Form::Packed(bytes) => View::Packed(bytes),
            Form::Dense(dense) => View::Dense(dense),
            Form::Timed(timed) => View::Timed(timed.view()),
        })
    }

    /// A hash that is packed in these bytes.
    pub(crate) fn of_packed(bytes: &[u8]) -> HashValue {
        HashValue(Form::Packed(ThinBytes::of(&[bytes])))
    }

    /// The bytes in which it is packed; `None` if it is not.
    pub(crate) fn packed(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Packed(bytes) => Some(bytes),
            Form::Dense(_) | Form::Timed(_) => None,
        }
    }

    /// Sets a field; returns whether it is new. One that has a TTL keeps it.
    pub(crate) fn set(&mut self, field: &[u8], value: &[u8], thresholds: &Thresholds) -> bool {
        if let Form::Timed(timed) = &mut self.0 {
            return timed.set(field, value, thresholds);
        }
        if let Form::Packed(bytes) = &mut self.0 {
            if let Some(is_new) = small::hash_set(bytes, field, value, thresholds) {
                return is_new;
            }
            self.unpack();
        }
        let Form::Dense(dense) = &mut self.0 else { unreachable!("it has just been unpacked") };
        match dense.find(field) {
            Some(place) => {
                dense.change(place, |element| Fields::overwrite(element, value));
                false
            }
            None => {
                dense.push(Fields::element(field, value));
                true
            }
        }
    }

    /// Removes a field; returns whether it existed. In a small hash the others stay in order; in none does one move to a
    /// higher place.
    pub(crate) fn remove(&mut self, field: &[u8], thresholds: &Thresholds) -> bool {
        match &mut self.0 {
            Form::Packed(bytes) => small::hash_remove(bytes, field),
            Form::Dense(dense) => {
                let Some(place) = dense.find(field) else { return false };
                dense.remove_at(place);
                if may_shrink(dense.len(), thresholds.hash_entries) {
                    self.pack(thresholds.hash_value as usize);
                }
                true
            }
            Form::Timed(timed) => timed.remove(field, thresholds),
        }
    }

    fn unpack(&mut self) {
        let mut dense = Dense::new();
        self.view().iter().for_each(|(field, value)| dense.push(Fields::element(field, value)));
        self.0 = Form::Dense(Box::new(dense));
    }

    /// Packs the hash if no field and no value is longer than `longest`.
    fn pack(&mut self, longest: usize) {
        let view = self.view();
        if view.iter().all(|(field, value)| field.len().max(value.len()) <= longest) {
            self.0 = Form::Packed(ThinBytes::of(&[&packed::hash::build(view.len(), view.iter())]));
        }
    }

    /// The memory that it has on the heap, in bytes.
    pub(crate) fn allocated_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(bytes) => bytes.allocated_bytes(),
            Form::Dense(dense) => dense.allocated_bytes(),
            Form::Timed(timed) => timed.allocated_bytes(),
        }
    }

    /// The same, found by a look at everything.
    pub(crate) fn walked_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(bytes) => bytes.allocated_bytes(),
            Form::Dense(dense) => dense.walked_bytes(),
            Form::Timed(timed) => timed.walked_bytes(),
        }
    }

    /// The number of its allocations, about: of those of its fields.
    pub(crate) fn allocations(&self) -> usize {
        match &self.0 {
            Form::Packed(_) => 1,
            Form::Dense(dense) => dense.len(),
            Form::Timed(timed) => timed.allocations(),
        }
    }

    /// Frees up to `most` fields of a hash that nobody uses any more; returns how many, 0 if what is left takes no time.
    pub(crate) fn free_some(&mut self, most: usize) -> usize {
        match &mut self.0 {
            Form::Packed(_) => 0,
            Form::Dense(dense) => dense.free_some(most),
            Form::Timed(timed) => timed.free_some(most),
        }
    }
}

/// A hash, for reading.
#[derive(Clone, Copy, Debug)]
pub struct HashRef<'a>(View<'a>);

#[derive(Clone, Copy, Debug)]
enum View<'a> {
    Packed(&'a [u8]),
    Dense(&'a Dense<Fields>),
    Timed(TimedRef<'a>),
}

impl<'a> HashRef<'a> {
    /// The hash that is packed in these bytes.
    #[inline]
    pub(crate) fn of_packed(bytes: &'a [u8]) -> HashRef<'a> {
        HashRef(View::Packed(bytes))
    }

    /// The number of fields.
    #[inline]
    pub fn len(self) -> usize {
        match self.0 {
            View::Packed(bytes) => packed::count(bytes),
            View::Dense(dense) => dense.len(),
            View::Timed(timed) => timed.len(),
        }
    }

    /// Whether there are none, as in no hash that a key holds.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<&'a [u8]> {
        match self.0 {
            View::Packed(bytes) => packed::hash::get(bytes, field),
            View::Dense(dense) => Some(Fields::pair(dense.at(dense.find(field)?)?).1),
            View::Timed(timed) => timed.get(field),
        }
    }

    /// Whether there is a field of this name.
    pub fn contains(self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// The field at a place of the hash's own order, and its value; `None` also for one that is hidden. If the hash is compact,
    /// all before it are read.
    pub fn at(self, place: usize) -> Option<(&'a [u8], &'a [u8])> {
        match self.0 {
            View::Packed(_) => self.iter().nth(place),
            View::Dense(dense) => dense.at(place).map(|element| Fields::pair(element)),
            View::Timed(timed) => timed.at(place),
        }
    }

    /// All fields and their values, in the hash's own order.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let (view, hiding) = match self.0 {
            View::Timed(timed) => (timed.fields().0, timed.hiding()),
            view => (view, None),
        };
        let (packed, dense) = match view {
            View::Packed(bytes) => (Some(packed::hash::pairs(bytes)), None),
            View::Dense(dense) => (None, Some(dense.iter().map(|element| Fields::pair(element)))),
            View::Timed(_) => unreachable!("the fields of a timed hash are packed or have an index"),
        };
        let all = packed.into_iter().flatten().chain(dense.into_iter().flatten());
        all.filter(move |(field, _)| hiding.is_none_or(|timed| !timed.hides(field)))
    }

    /// Whether it is stored compactly: then it is small, and a place is found by reading those before it.
    pub fn is_compact(self) -> bool {
        match self.0 {
            View::Packed(_) => true,
            View::Dense(_) => false,
            View::Timed(timed) => timed.fields().is_compact(),
        }
    }

    /// Its bytes if it is packed.
    pub(crate) fn compact_bytes(self) -> Option<usize> {
        match self.0 {
            View::Packed(bytes) => Some(bytes.len()),
            View::Dense(_) | View::Timed(_) => None,
        }
    }

    /// Redis's word for the form in which it is stored.
    pub fn encoding(self) -> &'static str {
        match (self.is_compact(), self.is_timed()) {
            (true, false) => "listpack",
            (true, true) => "listpackex",
            (false, _) => "hashtable",
        }
    }

    /// The memory that a look-up reads first.
    #[inline]
    pub(crate) fn first_line(self) -> *const u8 {
        match self.0 {
            View::Packed(bytes) => bytes.as_ptr(),
            View::Dense(dense) => std::ptr::from_ref(dense).cast(),
            View::Timed(timed) => timed.first_line(),
        }
    }
}
