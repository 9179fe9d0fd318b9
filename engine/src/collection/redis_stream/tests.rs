//! A stream beside a plain model of it, and what it takes.

use super::*;
use crate::collection::{Garbage, Unused};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, Debug)]
enum Step {
    Add {
        ms: u64,
        seq: u64,
        fields: Fields,
    },
    Delete(usize),
    /// The last id becomes that of the last entry, or this much more.
    SetLast(u64),
    Trim {
        length: Option<u64>,
        of: usize,
        is_approximate: bool,
        limit: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let word = prop_oneof![6 => vec(0..3u8, 0..4), 1 => vec(any::<u8>(), 120..300)];
    let fields = vec((prop_oneof![Just(b"a".to_vec()), Just(b"name".to_vec()), word.clone()], word), 1..4);
    let add = (prop_oneof![3 => Just(0u64), 2 => 1..300u64, 1 => Just(1 << 40)], 0..4u64, fields);
    prop_oneof![
        8 => add.prop_map(|(ms, seq, fields)| Step::Add { ms, seq, fields }),
        3 => any::<prop::sample::Index>().prop_map(|index| Step::Delete(index.index(1 << 20))),
        1 => (0..3u64).prop_map(Step::SetLast),
        1 => (proptest::option::of(0..20u64), 0..40usize, any::<bool>(), 0..9u64)
            .prop_map(|(length, of, is_approximate, limit)| Step::Trim { length, of, is_approximate, limit }),
    ]
}

fn pairs(fields: &Fields) -> impl Iterator<Item = Pair<'_>> + Clone {
    fields.iter().map(|(name, value)| (&name[..], &value[..]))
}

fn owned<'a>(entries: impl Iterator<Item = StreamEntry<'a>>) -> Vec<(EntryId, Fields)> {
    let fields = |entry: &StreamEntry<'a>| -> Fields {
        assert_eq!(entry.fields.len(), entry.fields.clone().count());
        entry.fields.clone().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    };
    entries.map(|entry| (entry.id, fields(&entry))).collect()
}

proptest! {
    #[test]
    fn entries_are_where_a_map_has_them(
        steps in vec(step(), 1..120),
        entries in prop_oneof![Just(0u32), 1..5u32, Just(100)],
        bytes in prop_oneof![Just(0u32), Just(64), Just(4096)],
    ) {
        let thresholds = Thresholds { stream_entries: entries, stream_bytes: bytes, ..Thresholds::default() };
        let mut value = RedisStreamValue::default();
        let mut model: BTreeMap<EntryId, Fields> = BTreeMap::new();
        let mut added = 0;
        for step in steps {
            let stream = value.edit();
            match step {
                Step::Add { ms, seq, fields } => {
                    let last = stream.last_id();
                    let id = match ms {
                        0 => EntryId { seq: last.seq + 1 + seq, ..last },
                        _ => EntryId { ms: last.ms + ms, seq },
                    };
                    prop_assert!(!stream.append(last, pairs(&fields), &thresholds), "the id is not greater");
                    prop_assert!(stream.append(id, pairs(&fields), &thresholds));
                    model.insert(id, fields);
                    added += 1;
                }
                Step::Delete(index) => {
                    let id = model.keys().nth(index % (model.len() + 1)).copied().unwrap_or(EntryId { ms: 1 << 50, seq: 1 });
                    prop_assert_eq!(stream.delete(id), model.remove(&id).is_some());
                    prop_assert!(!stream.delete(id), "once");
                }
                Step::SetLast(more) => {
                    let last = model.keys().last().copied().unwrap_or_default();
                    let last = EntryId { seq: last.seq + more, ..last };
                    let (added, deleted) = (stream.added(), stream.max_deleted());
                    stream.set_state(last, added, deleted);
                }
                Step::Trim { length, of, is_approximate, limit } => {
                    let at = model.keys().nth(of).copied().unwrap_or(EntryId { ms: 7, seq: 0 });
                    let to = length.map_or(TrimTo::From(at), TrimTo::Length);
                    let before = model.len() as u64;
                    let cut = stream.trim(Trim { to, is_approximate, limit: Some(limit) }, &thresholds);
                    let removed = cut.as_ref().map_or(0, |cut| cut.removed);
                    let most = match to {
                        TrimTo::Length(length) => before.saturating_sub(length),
                        TrimTo::From(id) => model.range(..id).count() as u64,
                    };
                    if is_approximate {
                        prop_assert!(removed <= most && (limit == 0 || removed <= limit));
                    } else {
                        prop_assert_eq!(removed, most);
                    }
                    let mut last = None;
                    (0..removed).for_each(|_| last = model.pop_first().map(|(id, _)| id));
                    prop_assert_eq!(cut.map(|cut| cut.last), last);
                }
            }
            let stream = value.view();
            prop_assert_eq!(stream.len(), model.len() as u64);
            prop_assert_eq!(stream.added(), added);
            prop_assert_eq!((stream.first(), stream.last()), (model.keys().next().copied(), model.keys().last().copied()));
            prop_assert_eq!(value.allocated_bytes(), value.walked_bytes());
        }
        let stream = value.view();
        let all: Vec<(EntryId, Fields)> = model.clone().into_iter().collect();
        prop_assert_eq!(&owned(stream.range(EntryId::MIN, EntryId::MAX)), &all);
        let ids: Vec<EntryId> = model.keys().copied().chain([EntryId::MIN, EntryId { ms: 3, seq: 3 }, EntryId::MAX]).collect();
        for &from in ids.iter().step_by(3) {
            prop_assert_eq!(stream.get(from).map(|entry| entry.id), model.contains_key(&from).then_some(from));
            prop_assert_eq!(stream.has_beyond(from), model.range(from..).any(|(id, _)| *id > from));
            for &to in ids.iter().step_by(2) {
                let wanted = if from <= to { model.range(from..=to).map(|(id, _)| *id).collect() } else { Vec::new() };
                let ids: Vec<EntryId> = stream.range(from, to).map(|entry| entry.id).collect();
                prop_assert_eq!(&ids, &wanted);
                let mut back: Vec<EntryId> = stream.range_back(from, to).map(|entry| entry.id).collect();
                back.reverse();
                prop_assert_eq!(back, wanted);
            }
        }
        // The same once more from its parts.
        let mut again = RedisStreamValue::default();
        let items: Vec<_> = stream.items().collect();
        for item in &items {
            prop_assert!(again.add_parts(item.iter().map(|part| &part[..]), &thresholds));
        }
        prop_assert_eq!(stream.parts_bytes(), items.iter().flatten().map(|part| part.len() as u64 + 4).sum::<u64>());
        prop_assert_eq!(&owned(again.view().range(EntryId::MIN, EntryId::MAX)), &all);
        let state = |stream: &RedisStream| (stream.last_id(), stream.added(), stream.max_deleted());
        prop_assert_eq!(state(again.view()), state(stream));
    }
}

#[test]
fn groups_know_who_has_what_and_what_it_takes() {
    let thresholds = &Thresholds::default();
    let mut value = RedisStreamValue::default();
    for n in 1..=5_000 {
        assert!(value.edit().append(EntryId { ms: n, seq: 0 }, [(&b"f"[..], &b"v"[..])].into_iter(), thresholds));
    }
    let long = [b'n'; 100];
    let names: [&[u8]; 3] = [b"a", b"b", &long];
    let mut rng = fastrand::Rng::with_seed(3);
    let id = |n: u64| EntryId { ms: n, seq: 0 };
    for step in 0..20_000 {
        let (group, consumer) = (names[rng.usize(..3)], names[rng.usize(..3)]);
        let stream = value.edit();
        match rng.u8(..30) {
            0 => stream.set_group(group, id(rng.u64(..5_000)), None),
            1 => drop(stream.remove_group(group)),
            2 => {
                let had = stream.group(group).and_then(|group| group.consumer(consumer)).map(|c| c.pending_count());
                assert_eq!(stream.remove_consumer(group, consumer), had);
            }
            3..12 => {
                let most = rng.usize(1..50);
                if let Some(delivery) = stream.deliver((group, consumer), (EntryId::MAX, most), rng.u8(..9) == 0, step)
                {
                    assert!(delivery.count <= most && delivery.first <= delivery.last);
                }
            }
            12..20 => {
                let ids = (0..20).map(|_| id(rng.u64(..5_000)));
                stream.acknowledge(group, ids);
            }
            _ => {
                let ids = (0..5).map(|_| id(rng.u64(..5_000)));
                stream.claim((group, consumer), ids, (step, Times::More), step);
            }
        }
        if step % 101 != 0 {
            continue;
        }
        for (_, group) in value.view().groups() {
            let all: Vec<_> = group.pending(EntryId::MIN, EntryId::MAX).collect();
            assert_eq!(all.len(), group.pending_count());
            for consumer in group.consumers() {
                let own: Vec<EntryId> = consumer.pending(EntryId::MIN, EntryId::MAX).collect();
                let is_own = |entry: &PendingEntry| group.by_number(entry.consumer).name() == consumer.name();
                let wanted: Vec<EntryId> = all.iter().filter(|(_, entry)| is_own(entry)).map(|(id, _)| *id).collect();
                assert_eq!((&own, own.len()), (&wanted, consumer.pending_count()));
            }
        }
        assert_eq!(value.allocated_bytes(), value.walked_bytes());
        let mut again = RedisStreamValue::default();
        assert!(
            again
                .add_parts(value.view().items().flatten().collect::<Vec<_>>().iter().map(|part| &part[..]), thresholds)
        );
        assert!(again.view().items().eq(value.view().items()));
    }
}

#[test]
fn a_million_entries_take_few_bytes_each_and_are_freed_in_slices() {
    let thresholds = &Thresholds::default();
    let mut value = RedisStreamValue::default();
    for n in 0..1_000_000u64 {
        let id = EntryId { ms: 1_700_000_000_000 + n / 7, seq: n % 7 };
        assert!(value.edit().append(id, [(&b"field"[..], &b"value:0123456789"[..])].into_iter(), thresholds));
    }
    let each = value.allocated_bytes() as f64 / 1e6;
    assert!(each < 32.0, "{each}");
    let cut = value.edit().trim(Trim { to: TrimTo::Length(7), is_approximate: false, limit: None }, thresholds);
    let cut = cut.expect("it was longer");
    assert_eq!((cut.removed, value.view().len()), (999_993, 7));
    let mut garbage = Garbage::default();
    garbage.put(Unused::RedisStream(cut.unused.expect("whole blocks went")));
    let mut slices = 1;
    while garbage.free_some() {
        slices += 1;
    }
    assert!(slices > 1 && value.allocated_bytes() < 10_000 && value.allocated_bytes() == value.walked_bytes());
}

#[test]
fn parts_that_contradict_are_refused() {
    let is_valid = |parts: &[&str]| {
        let mut value = RedisStreamValue::default();
        value.add_parts(parts.iter().map(|part| part.as_bytes()), &Thresholds::default())
    };
    assert!(is_valid(&[]) && is_valid(&["s", "5-0", "9", "0-0", "e", "5-0", "1", "f", "v"]));
    let group = ["s", "5-0", "9", "0-0", "g", "name", "1-0", "-"];
    assert!(is_valid(&group) && is_valid(&[&group[..], &["c", "name", "x", "7", "1", "1-0", "8", "2"]].concat()));
    for more in [
        &["g", "name", "1-0", "1"][..],
        &["c", "other", "x", "7", "0"],
        &["c", "name", "x", "7", "1", "1-0", "8"],
        &["c", "name", "x", "7", "2", "1-0", "8", "2", "1-0", "8", "2"],
        &["e", "6-0", "1", "f", "v"],
        &["e", "0-0", "1", "f", "v"],
        &["e", "4-0", "2", "f", "v"],
        &["e", "4-0", "1", "f", "v", "e", "4-0", "1", "f", "v"],
        &["x"],
        &["s", "5-0", "9"],
        &["e", "4", "1", "f", "v"],
    ] {
        assert!(!is_valid(&[&group[..], more].concat()), "{more:?}");
    }
}

#[test]
fn groups_consumers_and_what_is_pending_are_freed_in_slices() {
    let mut value = RedisStreamValue::default();
    let stream = value.edit();
    for n in 0..10_000u64 {
        let name = n.to_string().into_bytes();
        stream.set_group(&name, EntryId::MIN, None);
        stream.see_consumer(b"0", &name, 1);
        stream.claim((b"1", b"c"), [EntryId { ms: n, seq: 1 }].into_iter(), (1, Times::Same), 1);
    }
    let group = stream.remove_group(b"1").expect("it is there");
    assert_eq!((group.allocations(), stream.groups().len()), (10_001, 9_999));
    let mut garbage = Garbage::default();
    for unused in [group, value] {
        garbage.put(Unused::RedisStream(unused));
        let mut slices = 1;
        while garbage.free_some() {
            slices += 1;
        }
        assert!((3..9).contains(&slices), "{slices}");
    }
}
