//! DUMP and RESTORE: values that leave and come.

use super::Shard;
use crate::dump::{DumpError, decode, encode};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::{Value, ValueRef};
use crate::ring::record_bytes_parts;
use crate::turn::ttl_record_bytes;

impl Shard {
    /// The value of a key as a payload of DUMP; `None` if it does not exist.
    pub fn dump(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let now_ms = self.turn.now_ms();
        self.value(key).map(|value| match value {
            ValueRef::Hash(hash) => encode(ValueRef::Hash(hash.live(now_ms))),
            other => encode(other),
        })
    }

    /// The value of a payload, for [`Shard::put_dumped`].
    ///
    /// # Errors
    /// The payload is damaged, or has no value that this server has.
    pub fn read_dump(&self, payload: &[u8]) -> Result<Value, DumpError> {
        decode(payload, self.thresholds())
    }

    /// Replaces what a key holds by this value, which is no empty collection; it expires at `at_ms`, Unix milliseconds.
    pub fn put_dumped(&mut self, key: &[u8], value: Value, at_ms: Option<u64>) -> Result<(), Refusal> {
        let parts =
            [value.view().form().len()].into_iter().chain(value.view().parts().into_iter().map(|part| part.len()));
        self.turn.admit(record_bytes_parts(key.len(), parts) + ttl_record_bytes(key), key.len())?;
        let mut entry = self.write(key);
        entry.take_over(EventType::Restore, None, value);
        if let Some(at_ms) = at_ms {
            entry.set_ttl(at_ms);
        }
        Ok(())
    }
}
