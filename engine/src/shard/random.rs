//! For tests: random commands of all kinds, and dumps of shards for comparison.

mod field_ttls;
mod redis_streams;
mod strings;

use super::*;
use crate::event::CustomType;
use crate::eviction::Policy;
use crate::keyspace::Bytes;
use crate::keyspace::entry::End;
use crate::limits::SCAN_WHOLE_MAX;
use crate::ring;
use crate::shards::Shards;
use crate::slot::shard_of;
use crate::turn::ClientEvent;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A shard at 1,000 ms with a ring that holds a whole test.
pub(crate) fn shard_with_ring(ring_bytes: u64, absent_max: usize) -> Shard {
    let (writer, _) = ring::create(ring_bytes).expect("there is memory for a ring");
    let mut shard = Shard::new(ShardId(0), Arc::new(Sequencer::new(Position(1), 1)), Some(writer), absent_max);
    shard.set_now_ms(1_000);
    shard
}

/// An empty shard that does not record.
pub(crate) fn shard_without_ring(absent_max: usize) -> Shard {
    Shard::new(ShardId(0), Arc::new(Sequencer::new(Position(1), 1)), None, absent_max)
}

/// Accepts any result: done or refused, either is right.
fn accept<T>(_: T) {}

/// Random commands on few keys, so that they interact.
pub(crate) struct Commands {
    pub(crate) rng: fastrand::Rng,
    pub(crate) keys: usize,
    /// Restricts the keys to this shard, of this many; `None` for a single shard.
    pub(crate) only: Option<(ShardId, u16)>,
    /// The size of some commands' records in bytes; 0: all of them are small.
    pub(crate) large: usize,
    now_ms: u64,
    /// Whether keys may have expired that are still there.
    is_expiring: bool,
}

impl Commands {
    pub(crate) fn new(seed: u64, keys: usize) -> Commands {
        Commands { rng: fastrand::Rng::with_seed(seed), keys, only: None, large: 0, now_ms: 1_000, is_expiring: false }
    }

    fn key(&mut self) -> Vec<u8> {
        // Short ones and ones that do not fit inline into an entry.
        loop {
            let n = self.rng.usize(..self.keys);
            let key = if n.is_multiple_of(3) { format!("a key of more bytes:{n}") } else { format!("{n}") };
            if self.only.is_none_or(|(shard, total)| shard_of(key.as_bytes(), total) == shard) {
                return key.into_bytes();
            }
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = if self.rng.u8(..8) == 0 { self.rng.usize(..200) } else { self.rng.usize(..10) };
        std::iter::repeat_with(|| self.rng.u8(..)).take(length).collect()
    }

    /// Few different ones, so that they recur.
    fn small(&mut self) -> Vec<u8> {
        self.rng.u8(..12).to_string().into_bytes()
    }

    fn smalls(&mut self, most: usize) -> Vec<Vec<u8>> {
        let count = self.rng.usize(1..=most);
        (0..count).map(|_| self.small()).collect()
    }

    fn end(&mut self) -> End {
        if self.rng.bool() { End::Head } else { End::Tail }
    }

    fn ttl(&mut self) -> i64 {
        self.now_ms as i64 + self.rng.i64(-1..60)
    }

    /// More elements than a collection that keeps its order on removal has.
    fn many(&mut self) -> Vec<Vec<u8>> {
        let from = self.rng.usize(..1_000);
        (from..from + SCAN_WHOLE_MAX + self.rng.usize(..20)).map(|n| n.to_string().into_bytes()).collect()
    }

    /// One command, including refused ones, or the end of a turn, or time passing. After it the memory is what was counted.
    pub(crate) fn run(&mut self, shard: &mut Shard) {
        self.limit_memory(shard);
        self.run_one(shard);
        assert_eq!(*shard.footprint(), shard.walked_footprint());
    }

    /// If the shard has a pool: other limits and policies now and then, and what comes before a command and at a turn's end.
    fn limit_memory(&mut self, shard: &mut Shard) {
        let Some(pool) = shard.pool().cloned() else { return };
        if self.rng.u8(..40) == 0 {
            pool.set_policy(Policy::NAMED[self.rng.usize(..Policy::NAMED.len())].1);
            pool.set_limit([0, 300, 1_000, 20_000][self.rng.usize(..4)]);
        }
        if self.rng.u8(..5) == 0 {
            shard.evict_some();
        }
        if shard.is_over(0) {
            let memory = shard.make_memory(self.rng.u64(..2_000));
            let is_within = pool.limit() == 0 || shard.footprint().used_bytes() <= pool.limit();
            assert!(memory == Memory::Full || is_within || pool.has_debt(), "so few keys fit into one slice");
        }
    }

    fn run_one(&mut self, shard: &mut Shard) {
        shard.make_room();
        if self.rng.u8(..4) == 0 {
            shard.drain_flushed();
        }
        if self.is_expiring {
            // One key at a time: their records do not belong together, and a run may end between them.
            self.is_expiring = shard.expire_some(1);
            return;
        }
        let key = self.key();
        let key = key.as_slice();
        if self.large > 0 && self.rng.u8(..8) == 0 {
            return self.large(shard, key);
        }
        match self.rng.u8(..100) {
            0..10 => self.generic(shard, key),
            10..25 => self.string(shard, key),
            25..45 => self.hash(shard, key),
            45..65 => self.list(shard, key),
            65..72 => self.set(shard, key),
            72..77 => self.sorted(shard, key),
            77..81 => self.redis_stream(shard, key),
            81..84 => self.redis_groups(shard, key),
            84..86 => self.two_keys(shard, key),
            86..90 => self.event(shard, key),
            90..94 => {
                shard.commit();
            }
            94..98 => {
                self.now_ms += self.rng.u64(1..10);
                shard.set_now_ms(self.now_ms);
                self.is_expiring = true;
            }
            98 if self.only.is_none() && self.rng.u8(..6) == 0 => Shards::One(shard).flush(),
            _ => {
                shard.read(key);
            }
        }
    }

    fn generic(&mut self, shard: &mut Shard, key: &[u8]) {
        match self.rng.u8(..6) {
            0 | 1 => accept(shard.delete(key)),
            2..5 => accept(shard.expire_at(key, self.ttl(), ExpireCondition::default())),
            _ => accept(shard.persist(key)),
        }
    }

    fn hash(&mut self, shard: &mut Shard, key: &[u8]) {
        let (fields, value) = (self.smalls(4), self.bytes());
        let pairs = fields.iter().map(|field| (&field[..], &value[..]));
        match self.rng.u8(..19) {
            0..6 => accept(shard.set_fields(key, pairs)),
            6..10 => accept(shard.delete_fields(key, fields.iter().map(|field| &field[..]))),
            10 => accept(shard.increment_field(key, &fields[0], 3)),
            11..18 => self.field_ttls(shard, key),
            _ => {
                // One of them only: what a command records belongs together, and each of these may need a turn of its own.
                let many = self.many();
                match self.rng.bool() {
                    true => accept(shard.set_fields(key, many.iter().map(|field| (&field[..], &b"v"[..])))),
                    false => accept(shard.delete_fields(key, many.iter().step_by(7).map(|field| &field[..]))),
                }
            }
        }
    }

    fn list(&mut self, shard: &mut Shard, key: &[u8]) {
        let (elements, end) = (self.smalls(5), self.end());
        let (first, second) = (&elements[0][..], &elements[elements.len() - 1][..]);
        match self.rng.u8(..14) {
            0..5 => accept(shard.push(key, end, elements.iter().map(|element| &element[..]))),
            5 => accept(shard.push_existing(key, end, elements.iter().map(|element| &element[..]))),
            6 => accept(shard.pop(key, end)),
            7 => accept(shard.pop_many(key, end, self.rng.usize(..5))),
            8 => accept(shard.set_element(key, self.rng.i64(-5..5), first)),
            9 => accept(shard.insert_beside(key, Side::Before, first, second)),
            10 => accept(shard.insert_beside(key, Side::After, first, second)),
            11 | 12 => accept(shard.remove_elements(key, self.rng.i64(-3..3), first)),
            _ => {
                let (start, keep) = (self.rng.usize(..4), self.rng.usize(..9));
                accept(shard.trim(key, |length| (start < length).then(|| start..length.min(start + keep))));
            }
        }
    }

    fn set(&mut self, shard: &mut Shard, key: &[u8]) {
        let members = self.smalls(4);
        match self.rng.u8(..12) {
            0..6 => accept(shard.add_members(key, members.iter().map(|member| &member[..]))),
            6..8 => accept(shard.remove_members(key, members.iter().map(|member| &member[..]))),
            8 | 9 => accept(shard.pop_member(key)),
            10 if self.rng.bool() => accept(shard.pop_members(key, self.rng.usize(..6))),
            10 => {
                let members: BTreeSet<Bytes> = members.iter().map(|member| Bytes::from_slice(member)).collect();
                let members: Vec<Bytes> = members.into_iter().skip(self.rng.usize(..2)).collect();
                accept(Shards::One(shard).store_members(key, &members));
            }
            _ => {
                let many = self.many();
                match self.rng.bool() {
                    true => accept(shard.add_members(key, many.iter().map(|member| &member[..]))),
                    false => accept(shard.pop_members(key, 9)),
                }
            }
        }
    }

    fn sorted(&mut self, shard: &mut Shard, key: &[u8]) {
        let members = self.smalls(4);
        let scores = [0.0, -0.0, 0.1, 1e300, f64::INFINITY, f64::NEG_INFINITY];
        let score = if self.rng.bool() { self.rng.i16(..).into() } else { scores[self.rng.usize(..scores.len())] };
        let flag = |which: u8, drawn: u8| which == drawn;
        let drawn = self.rng.u8(..12);
        let rule = ScoreRule {
            if_absent: flag(0, drawn),
            if_present: flag(1, drawn),
            if_greater: flag(2, drawn),
            if_less: flag(3, drawn),
            adds: false,
        };
        let first = &members[0][..];
        match self.rng.u8(..12) {
            0..5 => accept(shard.set_scores(key, members.iter().map(|member| (score, &member[..])), rule)),
            5 => accept(shard.set_scores(key, [(score, first)].into_iter(), ScoreRule { adds: true, ..rule })),
            6..8 => accept(shard.remove_scores(key, members.iter().map(|member| &member[..]))),
            8 => accept(shard.pop_scores(key, self.rng.bool(), self.rng.usize(..4))),
            9 => {
                let (start, end) = (self.rng.usize(..5), self.rng.usize(..300));
                accept(shard.remove_ranks(key, false, |set| start.min(set.len())..end));
            }
            10 => {
                let pairs: Vec<(Bytes, f64)> =
                    members.iter().map(|member| (Bytes::from_slice(member), score)).collect();
                let unique: BTreeMap<Bytes, f64> = pairs.into_iter().collect();
                let pairs: Vec<(Bytes, f64)> = unique.into_iter().skip(self.rng.usize(..2)).collect();
                accept(Shards::One(shard).store_scores(key, &pairs));
            }
            _ => {
                let many = self.many();
                let scores: Vec<f64> = many.iter().map(|_| self.rng.i8(..).into()).collect();
                let pairs = scores.iter().zip(&many).map(|(score, member)| (*score, &member[..]));
                match self.rng.bool() {
                    true => accept(shard.set_scores(key, pairs, ScoreRule::default())),
                    false => accept(shard.remove_scores(key, many.iter().step_by(7).map(|member| &member[..]))),
                }
            }
        }
    }

    /// Changes with large records, or many.
    fn large(&mut self, shard: &mut Shard, key: &[u8]) {
        let count = self.rng.usize(1..40);
        let bytes = self.rng.usize(self.large / 4..self.large) / count;
        let elements: Vec<Vec<u8>> = (0..count).map(|n| format!("{n:0bytes$}").into_bytes()).collect();
        let words = elements.iter().map(|element| &element[..]);
        let (long, end) = (&elements[0][..], self.end());
        let target = self.key();
        match self.rng.u8(..12) {
            0 => accept(shard.set(key, long)),
            1 => accept(shard.append(key, long)),
            2 => accept(shard.push(key, end, words)),
            3 => accept(shard.add_members(key, words)),
            4 => accept(shard.set_fields(key, words.map(|field| (field, &b"v"[..])))),
            5 => accept(shard.pop_many(key, end, count)),
            6 => accept(shard.pop_members(key, count)),
            7 => accept(shard.delete_fields(key, words)),
            8 => accept(shard.set_scores(key, words.map(|word| (1.0, word)), ScoreRule::default())),
            9 => accept(shard.pop_scores(key, true, count)),
            _ => accept(Shards::One(shard).rename(key, &target, false)),
        }
    }

    fn two_keys(&mut self, shard: &mut Shard, source: &[u8]) {
        let (target, member, from, to) = (self.key(), self.small(), self.end(), self.end());
        let which = self.rng.u8(..6);
        let mut shards = Shards::One(shard);
        match which {
            4 if self.rng.u8(..4) == 0 => {
                let shard = shards.of(source);
                if let Some(value) = shard.dump(source).and_then(|payload| shard.read_dump(&payload).ok()) {
                    let at_ms = self.rng.bool().then_some(self.now_ms + 50);
                    accept(shard.put_dumped(&target, value, at_ms));
                }
            }
            4 if source != target => accept(shards.copy(source, &target, self.rng.bool())),
            5 => {
                let elements = self.smalls(4);
                let elements: Vec<Bytes> = elements[1..].iter().map(|element| Bytes::from_slice(element)).collect();
                accept(shards.store_elements(&target, &elements));
            }
            0 | 1 => accept(shards.rename(source, &target, which == 1)),
            2 => accept(shards.move_element(source, from, &target, to)),
            _ => accept(shards.move_member(source, &target, &member)),
        }
    }

    fn event(&mut self, shard: &mut Shard, key: &[u8]) {
        let (data, id) = (self.bytes(), self.rng.bool().then(|| [self.rng.u8(..4); 16]));
        let event_type = CustomType::new(b"Paid").expect("no built-in name");
        let event = ClientEvent { event_type, data: &data, meta: Some(b"m"), id, json: false };
        accept(shard.append_event(key, event, Expected::Any));
    }
}

/// A dumped entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// Kind and parts.
    pub(crate) value: Option<(Kind, Vec<Vec<u8>>)>,
    pub(crate) expire_at_ms: Option<u64>,
    pub(crate) revision: Option<u64>,
    pub(crate) last: RingOffset,
    pub(crate) queued: bool,
}

/// A dumped shard.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) rows: BTreeMap<Vec<u8>, Row>,
    /// The queue of absent keys, oldest first; a row whose entry is gone has no key.
    pub(crate) absent: Vec<(Option<Vec<u8>>, RingOffset)>,
    pub(crate) key_count: usize,
    pub(crate) volatile_count: usize,
    pub(crate) next_expiry_ms: Option<u64>,
    pub(crate) db_stream: (u64, RingOffset),
}

/// The parts of a value; members in no order of the set's own, which depends on the forms that it had.
fn parts(value: ValueRef<'_>) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = value.parts().iter().map(|part| part.to_vec()).collect();
    if value.kind() == Kind::Set {
        parts.sort_unstable();
    }
    parts
}

/// The shard, once nothing is left of what was flushed.
pub(crate) fn settled(shard: &mut Shard) -> &Shard {
    while shard.drain_flushed() {}
    shard
}

pub(crate) fn written(shard: &Shard) -> Written {
    assert_eq!(shard.flushed_count(), 0, "call `settled`");
    let mut by_hash = HashMap::new();
    let mut rows = BTreeMap::new();
    for entry in shard.table.iter() {
        by_hash.insert(shard.table.hash(entry.key()), entry.key().to_vec());
        let row = Row {
            value: entry.value().map(|value| (value.kind(), parts(value))),
            expire_at_ms: entry.expire_at_ms(),
            revision: entry.revision().map(|revision| revision.0),
            last: entry.last(),
            queued: entry.is_queued(),
        };
        assert!(rows.insert(entry.key().to_vec(), row).is_none());
    }
    let first_ends = shard.table.iter().filter_map(Entry::first_field_end);
    assert_eq!(shard.turn.field_ends.first_ms(), first_ends.min());
    let next_expiry_ms = rows.values().filter_map(|row| row.expire_at_ms).min();
    // No key expires earlier than the shard knows.
    assert!(next_expiry_ms.is_none_or(|at_ms| shard.next_expiry_ms().is_some_and(|known| known <= at_ms)));
    Written {
        rows,
        absent: shard.turn.absent.iter().map(|(hash, offset)| (by_hash.get(&hash).cloned(), offset)).collect(),
        key_count: shard.key_count(),
        volatile_count: shard.volatile_count(),
        next_expiry_ms,
        db_stream: shard.turn.db_stream(),
    }
}
