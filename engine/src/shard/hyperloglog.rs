//! Operations on strings that are HyperLogLogs.

use super::Shard;
use super::string::patch_record_bytes;
use crate::error::Refusal;
use crate::hyperloglog::{Editor, Observation, Registers, Sketch};
use crate::keyspace::Entry;

impl<'a> Entry<'a> {
    /// The HyperLogLog, `None` if the key does not exist; refused if it holds anything else.
    pub fn sketch(self) -> Result<Option<Sketch<'a>>, Refusal> {
        self.string()?.map(Sketch::of).transpose()
    }
}

impl Shard {
    /// The HyperLogLog at a key.
    pub fn sketch(&mut self, key: &[u8]) -> Result<Option<Sketch<'_>>, Refusal> {
        self.read(key).map_or(Ok(None), Entry::sketch)
    }

    /// Adds elements to a HyperLogLog, a new one if missing; returns whether that changed anything.
    pub fn observe<'k>(&mut self, key: &[u8], elements: impl Iterator<Item = &'k [u8]>) -> Result<bool, Refusal> {
        let sparse_max = self.turn.thresholds.sketch_bytes as usize;
        let old = self.sketch(key)?;
        if let Some(sketch) = old.filter(|sketch| sketch.is_dense()) {
            // Of a dense one only the bytes of the registers that change are overwritten, and recorded.
            let news = |seen: &Observation| sketch.dense_patch(*seen).is_some();
            let seen: Vec<Observation> = elements.map(Observation::of).filter(news).collect();
            return self.observe_dense(key, &seen);
        }
        let mut editor = Editor::of(old, sparse_max);
        let mut is_changed = old.is_none();
        for element in elements {
            is_changed |= editor.add(Observation::of(element))?;
        }
        if is_changed {
            self.replace_sketch(key, &editor.finish(true))?;
        }
        Ok(is_changed)
    }

    fn observe_dense(&mut self, key: &[u8], seen: &[Observation]) -> Result<bool, Refusal> {
        if seen.is_empty() {
            return Ok(false);
        }
        self.turn.admit((seen.len() as u64 + 1) * patch_record_bytes(key, 2), key.len())?;
        let mut entry = self.write(key);
        if let Some((at, byte)) = entry.view().sketch()?.and_then(Sketch::stale_patch) {
            entry.overwrite_string(at, &[byte])?;
        }
        for seen in seen {
            // The element before may have raised the same register.
            if let Some((at, bytes)) = entry.view().sketch()?.and_then(|sketch| sketch.dense_patch(*seen)) {
                entry.overwrite_string(at, &bytes)?;
            }
        }
        Ok(true)
    }

    /// Adds registers to a HyperLogLog, a new one if missing; `is_dense` makes it dense.
    pub fn merge_sketch(&mut self, key: &[u8], registers: &Registers, is_dense: bool) -> Result<(), Refusal> {
        let sparse_max = self.turn.thresholds.sketch_bytes as usize;
        let mut editor = Editor::of(self.sketch(key)?, sparse_max);
        if is_dense {
            editor.make_dense()?;
        }
        editor.add_all(registers)?;
        self.replace_sketch(key, &editor.finish(true))
    }

    fn replace_sketch(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), Refusal> {
        self.turn.admit(patch_record_bytes(key, bytes.len()), key.len())?;
        self.write(key).change_string(bytes)
    }
}
