//! A flush of all keys. Its record ends them all at once: the shard continues with an empty table. The old one is emptied a
//! segment at a time, between turns. What it has of streams whose events can still be read moves to the new table then, or as
//! soon as their keys are written again.

use super::Shard;
use crate::keyspace::{AbsentRow, Block, Entry, Keys};
use crate::limits::{FLUSHED_KEYS_PAID, FLUSHED_PARTS};
use crate::position::{Position, RingOffset};
use crate::snapshot::Taking;
use crate::turn::Turn;
use crate::waiters::Awaited;

/// A table that was flushed and has entries still.
pub(super) struct Flushed {
    table: Keys,
    /// The segment that is emptied next.
    next: usize,
    /// The rows for the queue of absent keys, in parts by age.
    parts: Vec<Vec<AbsentRow>>,
    /// The ages between which those are, from the history's oldest record to its end, both as of the flush.
    oldest: RingOffset,
    end: RingOffset,
}

impl Flushed {
    fn new(table: Keys, oldest: RingOffset, end: RingOffset) -> Flushed {
        Flushed { table, next: 0, parts: vec![Vec::new(); FLUSHED_PARTS], oldest, end }
    }

    /// The entry of a key, which has its value still.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Entry<'_>> {
        self.table.find(hash, key)
    }

    /// The part of an age.
    fn part(&mut self, age: RingOffset) -> &mut Vec<AbsentRow> {
        let range = self.end.0.saturating_sub(self.oldest.0).max(1);
        let at = u128::from(age.0.saturating_sub(self.oldest.0)) * FLUSHED_PARTS as u128 / u128::from(range);
        &mut self.parts[(at as usize).min(FLUSHED_PARTS - 1)]
    }

    /// Removes the value of an entry that has left the table, and counts and queues the rest. `None` if nothing of its stream
    /// can be read any more.
    fn strip(&mut self, turn: &mut Turn, taking: Option<&mut Taking>, hash: u64, mut block: Block) -> Option<Block> {
        let is_readable = Entry::of(block.view()).may_have_history(turn.kept_from());
        turn.dropped.note_freed(block.view().taken().bytes);
        // A block that has all of its value goes with it; only what is outside may be large, and is freed in slices.
        if (is_readable || !block.view().has_all())
            && let Some(value) = block.drop_value()
        {
            value.discard(&mut turn.garbage);
        }
        if !is_readable {
            turn.note_forgotten(Entry::of(block.view()).last());
            if let Some(taking) = taking {
                taking.forget(hash, Entry::of(block.view()));
            }
            return None;
        }
        block.set_queued(true);
        turn.footprint.add(block.view().taken());
        let age = Entry::of(block.view()).age();
        self.part(age).push((hash, age));
        Some(block)
    }

    /// Queues the entries that were kept, the oldest part first.
    fn finish(self, turn: &mut Turn) {
        self.parts.into_iter().for_each(|part| turn.absent.push_flushed(part));
    }
}

/// Takes what a flushed table knows of a key that is written again: its entry, without a value.
#[inline]
pub(super) fn take(flushed: &mut [Flushed], turn: &mut Turn, hash: u64, key: &[u8]) -> Option<Block> {
    flushed.iter_mut().find_map(|flushed| {
        let block = flushed.table.detach(hash, key)?;
        // A snapshot in progress waits until the tables are empty, and then finds what is written now.
        flushed.strip(turn, None, hash, block)
    })
}

impl Shard {
    /// Deletes every key once more, at the position of a flush that only this shard has not recorded: nothing was
    /// recorded here since, because it was lent until all had recorded it.
    pub(crate) fn flush_again(&mut self, position: Position) {
        self.flush(position);
        while self.drain_flushed() {}
    }

    /// Deletes every key, with one record, whose position the caller reserved for all shards.
    pub(crate) fn flush(&mut self, position: Position) {
        let (oldest, end) = (self.turn.history_head(), self.turn.ring_end());
        self.turn.clear_keys();
        self.turn.waiters.signal_all(Awaited::RedisStream);
        // The entries that had these rows are flushed once more.
        self.flushed.iter_mut().flat_map(|flushed| &mut flushed.parts).for_each(Vec::clear);
        let table = self.table.flush();
        if table.len() > 0 {
            self.flushed.push(Flushed::new(table, oldest, end));
        }
        (self.absent_before, self.flushed_before) = (0, 0);
        self.turn.commit_flush(position);
    }

    /// Empties some segments of what was flushed; returns whether anything is left. More of them the more keys were added since
    /// the last call, so that what is flushed and what is new never take more memory together than what was flushed.
    #[inline]
    pub(super) fn drain_flushed(&mut self) -> bool {
        if self.flushed.is_empty() {
            return false;
        }
        let added = self.table.len().saturating_sub(self.flushed_before);
        for _ in 0..1 + added / FLUSHED_KEYS_PAID {
            self.drain_segment();
        }
        self.flushed_before = self.table.len();
        !self.flushed.is_empty()
    }

    fn drain_segment(&mut self) {
        let Shard { table, turn, taking, flushed, .. } = self;
        // The oldest flush first: its rows are the oldest.
        let Some(oldest) = flushed.first_mut() else { return };
        let mut blocks = Vec::new();
        let has_next = oldest.table.empty_segment(oldest.next, |block| blocks.push(block));
        oldest.next += 1;
        for block in blocks {
            let hash = table.hash(block.view().key());
            if let Some(block) = oldest.strip(turn, taking.as_deref_mut(), hash, block) {
                table.insert(hash, block);
            }
        }
        if !has_next || oldest.table.len() == 0 {
            flushed.remove(0).finish(turn);
            self.absent_before = self.turn.absent.len();
        }
    }

    /// The number of keys that were flushed and are not freed yet.
    pub(super) fn flushed_count(&self) -> usize {
        self.flushed.iter().map(|flushed| flushed.table.len()).sum()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::event::CustomType;
    use crate::position::Revision;
    use crate::shard::random::{shard_with_ring, shard_without_ring};
    use crate::shard::{Expected, SnapshotProgress};
    use crate::shards::Shards;
    use crate::turn::ClientEvent;

    /// So many keys that they are in several segments.
    const KEYS: usize = 3_000;

    fn keys() -> impl Iterator<Item = String> {
        (0..KEYS).map(|n| format!("key:{n}"))
    }

    fn filled(mut shard: Shard) -> Shard {
        for key in keys() {
            shard.make_room();
            shard.set(key.as_bytes(), b"value").unwrap();
        }
        shard.commit();
        shard
    }

    fn check(shard: &Shard) {
        assert_eq!(*shard.footprint(), shard.walked_footprint());
        assert_eq!(shard.key_count(), shard.table.iter().filter(|entry| entry.has_value()).count());
    }

    #[test]
    fn what_was_flushed_is_gone_at_once_and_freed_in_slices() {
        let mut shard = filled(shard_without_ring(KEYS));
        Shards::One(&mut shard).flush();
        assert_eq!((shard.key_count(), shard.garbage_count()), (0, KEYS));
        assert!(keys().all(|key| shard.read(key.as_bytes()).is_none() && !shard.delete(key.as_bytes())));
        let mut slices = 0;
        while shard.free_some() {
            check(&shard);
            slices += 1;
        }
        assert!(slices > 3, "{slices}");
        assert_eq!((shard.garbage_count(), shard.table.iter().count()), (0, 0));
        assert!(shard.take_freed_bytes() > 0);
    }

    #[test]
    fn streams_go_on_while_their_keys_are_freed_and_after() {
        for slices in [0, 1, 3, 1_000] {
            let mut shard = filled(shard_with_ring(64 << 20, KEYS));
            Shards::One(&mut shard).flush();
            for _ in 0..slices {
                shard.free_some();
            }
            for (n, key) in keys().enumerate() {
                let key = key.as_bytes();
                assert_eq!((shard.next_revision(key), shard.stream_state(key).last), (1, Some(Revision(0))));
                if n % 3 == 0 {
                    shard.set(key, b"new").unwrap();
                    assert_eq!(shard.next_revision(key), 2);
                } else if n % 3 == 1 {
                    let event_type = CustomType::new(b"Paid").unwrap();
                    let event = ClientEvent { event_type, data: b"", meta: None, id: None, json: false };
                    let appended = shard.append_event(key, event, Expected::At(Revision(0)));
                    assert_eq!(appended.unwrap().1, Revision(1));
                    assert!(shard.read(key).is_none());
                }
            }
            shard.commit();
            while shard.free_some() {}
            check(&shard);
            assert_eq!((shard.key_count(), shard.table.iter().count()), (KEYS / 3, KEYS));
            assert_eq!(shard.turn.absent.len(), KEYS, "each has its row, as after a flush in one piece");
        }
    }

    #[test]
    fn a_flush_behind_a_flush_keeps_what_both_know() {
        let mut shard = filled(shard_with_ring(64 << 20, 2 * KEYS));
        Shards::One(&mut shard).flush();
        shard.free_some();
        for key in keys().step_by(2) {
            shard.set(key.as_bytes(), b"new").unwrap();
        }
        shard.commit();
        Shards::One(&mut shard).flush();
        assert_eq!(shard.key_count(), 0);
        shard.free_some();
        for (n, key) in keys().enumerate() {
            assert_eq!(shard.next_revision(key.as_bytes()), if n % 2 == 0 { 2 } else { 1 }, "{key}");
        }
        while shard.free_some() {}
        check(&shard);
        let ages: Vec<_> = shard.turn.absent.iter().map(|row| row.1).collect();
        assert_eq!(ages.len(), KEYS);
    }

    #[test]
    fn a_snapshot_waits_for_what_was_flushed() {
        let mut shard = filled(shard_with_ring(64 << 20, KEYS));
        let mut out = Vec::new();
        shard.begin_snapshot(1, &mut out).unwrap();
        shard.snapshot_slice(&mut out, 100);
        Shards::One(&mut shard).flush();
        let before = out.len();
        assert_eq!(shard.snapshot_slice(&mut out, usize::MAX), SnapshotProgress::More);
        assert_eq!(out.len(), before);
        while shard.free_some() {}
        assert_eq!(shard.snapshot_slice(&mut out, usize::MAX), SnapshotProgress::Done);
        assert!(shard.finish_snapshot(&mut out).unwrap().rows >= KEYS as u64 - 100);
    }

    #[test]
    fn much_that_is_new_pays_with_much_that_is_freed() {
        let mut shard = filled(shard_without_ring(KEYS));
        Shards::One(&mut shard).flush();
        for n in 0..KEYS {
            shard.set(format!("new:{n}").as_bytes(), b"value").unwrap();
        }
        shard.free_some();
        assert_eq!(shard.garbage_count(), 0, "in the turn in which as many came");
    }
}
