//! Which entries without a value are forgotten: those of whose streams nothing can be read any more, and which no client may
//! watch.

use super::Shard;

impl Shard {
    /// Forgets streams of absent keys whose last event has left the ring, and the oldest ones beyond the bound.
    pub(super) fn forget_absent(&mut self) {
        /// A turn's share of this work, besides twice the turn's additions, so that the queue cannot outgrow its bound.
        const SLICE: usize = 256;
        let added = self.turn.absent.len().saturating_sub(self.absent_before);
        self.forget_some_absent(SLICE + 2 * added);
        self.absent_before = self.turn.absent.len();
    }

    fn forget_some_absent(&mut self, rows: usize) {
        for _ in 0..rows {
            let Some((hash, offset)) = self.turn.absent.front() else { return };
            let head = self.turn.kept_from();
            let too_many = self.turn.absent.len() > self.absent_max;
            if offset >= head && !too_many {
                return;
            }
            self.turn.absent.pop_front();
            let Some(word) = self.table.find_by_hash(hash, |entry| entry.is_queued()) else { continue };
            let entry = word.get();
            if entry.has_value() {
                word.lend().set_queued(false);
            } else if too_many || !entry.may_have_history(head) {
                if let Some(taking) = &mut self.taking {
                    taking.forget(hash, entry);
                }
                self.turn.note_forgotten(entry.last());
                let block = self.table.remove_by_hash(hash, |entry| entry.is_queued() && !entry.has_value());
                self.turn.footprint.forget(block);
            } else {
                self.turn.absent.push_back((hash, entry.age()));
            }
        }
    }
}
