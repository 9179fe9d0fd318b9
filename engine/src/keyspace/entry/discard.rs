//! Values that no key has any more.

use super::{EntryMut, Value};
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
            Value::RedisStream(stream) => garbage.put(Unused::RedisStream(stream)),
        }
    }
}

impl EntryMut<'_> {
    /// Frees a value that the key has lost, if it was more than bytes.
    #[inline]
    pub(super) fn discard(&mut self, old: Option<Value>) {
        if let Some(old) = old {
            self.note_lost(&old);
            old.discard(&mut self.turn.garbage);
        }
    }

    /// Notes that the key loses a value. Commands that wait for entries of a consumer group are woken, because the group is gone.
    #[inline]
    pub(super) fn note_lost(&mut self, value: &Value) {
        if matches!(value, Value::RedisStream(_)) {
            self.turn.waiters.signal(self.word.get().key());
        }
    }
}
