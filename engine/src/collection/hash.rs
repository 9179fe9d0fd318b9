//! A hash: fields with their values.

use super::Bytes;
use crate::limits::SCAN_WHOLE_MAX;
use indexmap::IndexMap;

/// The fields of a hash and their values.
#[derive(Clone, Debug, Default)]
pub struct HashValue {
    map: Box<IndexMap<Bytes, Bytes, foldhash::fast::RandomState>>,
}

impl HashValue {
    /// The hash, for reading.
    #[inline]
    pub fn view(&self) -> HashRef<'_> {
        HashRef { map: &self.map }
    }

    /// Sets a field; returns whether it is new.
    pub(crate) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        match self.map.get_mut(field) {
            Some(old) => {
                overwrite(old, value);
                false
            }
            None => self.map.insert(Bytes::from_slice(field), Bytes::from_slice(value)).is_none(),
        }
    }

    /// Removes a field; returns whether it existed.
    ///
    /// Small hashes preserve the insertion order of their fields, as Redis's do; in large ones the last field moves to
    /// the place of the deleted one. Neither moves a field to a higher place, which HSCAN relies on.
    pub(crate) fn remove(&mut self, field: &[u8]) -> bool {
        if self.map.len() <= SCAN_WHOLE_MAX {
            self.map.shift_remove(field).is_some()
        } else {
            self.map.swap_remove(field).is_some()
        }
    }
}

/// Replaces a value in place, reusing its memory unless that is far too large.
fn overwrite(old: &mut Bytes, value: &[u8]) {
    if old.capacity() <= 2 * value.len() + 64 {
        old.clear();
        old.extend_from_slice(value);
    } else {
        *old = Bytes::from_slice(value);
    }
}

/// A hash, for reading.
#[derive(Clone, Copy, Debug)]
pub struct HashRef<'a> {
    map: &'a IndexMap<Bytes, Bytes, foldhash::fast::RandomState>,
}

impl<'a> HashRef<'a> {
    /// The number of fields.
    #[inline]
    pub fn len(self) -> usize {
        self.map.len()
    }

    /// Whether there are none, as in no hash that a key holds.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<&'a [u8]> {
        self.map.get(field).map(|value| value.as_slice())
    }

    /// Whether there is a field of this name.
    pub fn contains(self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// The field at a place of the hash's own order, and its value.
    pub fn at(self, place: usize) -> Option<(&'a [u8], &'a [u8])> {
        self.map.get_index(place).map(|(field, value)| (field.as_slice(), value.as_slice()))
    }

    /// All fields and their values, in the hash's own order.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.map.iter().map(|(field, value)| (field.as_slice(), value.as_slice()))
    }

    /// The memory that a look-up reads first.
    #[inline]
    pub(crate) fn first_line(self) -> *const u8 {
        std::ptr::from_ref(self.map).cast()
    }
}
