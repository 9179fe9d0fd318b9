//! Random commands on Redis streams.

use super::{Commands, accept};
use crate::collection::{EntryId, Thresholds, Times, Trim, TrimTo};
use crate::shard::{AddRule, ClaimRule, GroupStart, NewEntryId, References, Shard};

impl Commands {
    fn id(&mut self) -> EntryId {
        EntryId { ms: self.rng.u64(..self.now_ms + 20), seq: self.rng.u64(..3) }
    }

    /// Ids, some of which are those of entries.
    fn ids(&mut self, shard: &mut Shard, key: &[u8]) -> Vec<EntryId> {
        let count = self.rng.usize(1..4);
        let skipped = self.rng.usize(..4);
        let mut ids: Vec<EntryId> = match shard.redis_stream(key) {
            Ok(Some(stream)) => {
                stream.range(EntryId::MIN, EntryId::MAX).skip(skipped).map(|entry| entry.id).take(count).collect()
            }
            _ => Vec::new(),
        };
        ids.push(self.id());
        ids
    }

    pub(super) fn redis_stream(&mut self, shard: &mut Shard, key: &[u8]) {
        let (names, value) = (self.smalls(3), self.bytes());
        let pairs = names.iter().map(|name| (&name[..], &value[..]));
        let is_approximate = self.rng.bool();
        let to = if self.rng.bool() { TrimTo::Length(self.rng.u64(..9)) } else { TrimTo::From(self.id()) };
        let trim = Trim { to, is_approximate, limit: is_approximate.then(|| self.rng.u64(..5)) };
        let rule = AddRule { creates: self.rng.u8(..6) > 0, trim: (self.rng.u8(..6) == 0).then_some(trim) };
        match self.rng.u8(..12) {
            0..5 => accept(shard.add_entry(key, NewEntryId::Any, pairs, rule)),
            5 => accept(shard.add_entry(key, NewEntryId::AnySeq(self.now_ms), pairs, rule)),
            6 => {
                let id = self.id().next().expect("it is far from the end");
                accept(shard.add_entry(key, NewEntryId::Is(id), pairs, rule));
            }
            7 | 8 => {
                let ids = self.ids(shard, key);
                let all = [References::Keep, References::Delete, References::Await];
                match self.rng.choice(all) {
                    Some(References::Keep) | None => accept(shard.delete_entries(key, &ids)),
                    Some(references) => accept(shard.delete_entries_and(key, &ids, references)),
                }
            }
            9 => accept(shard.trim_entries(key, trim)),
            10 => {
                // Behind most entries, so that it is taken now and then.
                let id = EntryId { ms: self.now_ms + self.rng.u64(..20), seq: 0 };
                let (added, deleted) = (self.rng.bool().then_some(50), self.rng.bool().then(|| self.id()));
                let deleted = deleted.filter(|deleted| *deleted <= id);
                accept(shard.set_stream_state(key, id, added, deleted));
            }
            _ => {
                // More entries than a block has.
                let thresholds = *shard.thresholds();
                shard.set_thresholds(Thresholds { stream_entries: 3, ..thresholds });
                for _ in 0..8 {
                    accept(shard.add_entry(key, NewEntryId::Any, pairs.clone(), AddRule { creates: true, trim: None }));
                }
                shard.set_thresholds(thresholds);
            }
        }
    }

    /// Some changes of groups, on a key that is a Redis stream if one is found.
    pub(super) fn redis_groups(&mut self, shard: &mut Shard, key: &[u8]) {
        let mut key = key.to_vec();
        for _ in 0..self.keys {
            if matches!(shard.redis_stream(&key), Ok(Some(_))) {
                break;
            }
            key = self.key();
        }
        (0..self.rng.usize(1..5)).for_each(|_| self.redis_group(shard, &key));
    }

    fn redis_group(&mut self, shard: &mut Shard, key: &[u8]) {
        let (groups, consumers) = ([&b"g"[..], b"another group of the stream"], [&b"c"[..], b"d"]);
        let (group, consumer) = (groups[self.rng.usize(..2)], consumers[self.rng.usize(..2)]);
        let of = (group, consumer);
        let start = if self.rng.bool() { GroupStart::Last } else { GroupStart::Behind(self.id()) };
        let start = (start, self.rng.bool().then(|| self.rng.u64(..9)));
        let times = [Times::More, Times::Same, Times::Are(7)][self.rng.usize(..3)];
        let most = self.rng.usize(1..4);
        match self.rng.u8(..24) {
            0..5 => accept(shard.create_stream_group(key, group, start, self.rng.u8(..4) == 0)),
            5 => accept(shard.set_stream_group(key, group, start)),
            6 => accept(shard.remove_stream_group(key, group)),
            7 => accept(shard.add_stream_consumer(key, group, consumer)),
            8 => accept(shard.remove_stream_consumer(key, group, consumer)),
            9..15 => accept(shard.read_stream_group(key, of, most, self.rng.u8(..5) == 0)),
            15 | 16 => accept(shard.reread_stream_group(key, of, EntryId::MIN, most)),
            17 | 18 => {
                let mut ids = self.ids(shard, key);
                if let Ok(Some(stream)) = shard.redis_stream(key)
                    && let Some(group) = stream.group(group)
                {
                    ids.extend(group.pending(EntryId::MIN, EntryId::MAX).map(|(id, _)| id).take(most));
                }
                match self.rng.choice([None, Some(References::Delete), Some(References::Await)]).flatten() {
                    None => accept(shard.acknowledge_entries(key, group, &ids)),
                    Some(references) => accept(shard.acknowledge_and_delete(key, group, &ids, references)),
                }
            }
            19..22 => {
                let ids = self.ids(shard, key);
                let rule = ClaimRule {
                    min_idle_ms: self.rng.u64(..3),
                    delivered_ms: self.now_ms - self.rng.u64(..9),
                    times,
                    is_forced: self.rng.bool(),
                    last_id: self.rng.bool().then(|| self.id()),
                };
                accept(shard.claim_entries(key, of, &ids, rule));
            }
            _ => accept(shard.auto_claim_entries(key, of, (EntryId::MIN, most), (self.rng.u64(..3), Times::More))),
        }
    }
}
