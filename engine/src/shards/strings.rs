//! Reading strings at several keys.

use super::Shards;
use crate::error::Refusal;
use crate::keyspace::Entry;

impl Shards<'_> {
    /// The strings at several keys, `None` for a missing key; refused if one holds another type.
    pub fn strings<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]> + Clone) -> Result<Vec<Option<&[u8]>>, Refusal> {
        for key in keys.clone() {
            // An expired key is removed here.
            self.of(key).get(key)?;
        }
        keys.map(|key| self.peek(key).peek(key).map_or(Ok(None), Entry::string)).collect()
    }
}
