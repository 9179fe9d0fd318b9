//! Values that no key has any more.

use super::Value;
use crate::collection::{Garbage, Unused};

impl Value {
    /// Frees the value: a large collection in slices, everything else at once.
    pub(crate) fn discard(self, garbage: &mut Garbage) {
        match self {
            Value::Str(_) => {}
            Value::Hash(hash) => garbage.put(Unused::Hash(hash)),
            Value::List(list) => garbage.put(Unused::List(list)),
            Value::Set(set) => garbage.put(Unused::Set(set)),
            Value::Sorted(set) => garbage.put(Unused::Sorted(set)),
        }
    }
}
