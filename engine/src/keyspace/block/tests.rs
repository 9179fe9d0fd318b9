//! A block beside a plain value of each of its fields, through random changes of all of them.

use super::*;
use crate::collection::small::{self, Inserted, SmallSet};
use crate::collection::sorted;
use crate::collection::{End, EntryId, Thresholds};
use crate::keyspace::Kind;
use crate::keyspace::entry::ValueMut;
use crate::keyspace::table::Pointed;

#[derive(Clone, Debug, PartialEq)]
enum Model {
    None,
    Str(Vec<u8>),
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    List(Vec<Vec<u8>>),
    Set(Vec<Vec<u8>>),
    Sorted(Vec<(Vec<u8>, f64)>),
    /// The parts of a Redis stream.
    RedisStream(Vec<Vec<u8>>),
}

impl Model {
    fn of(value: Option<ValueRef<'_>>) -> Model {
        match value {
            None => Model::None,
            Some(ValueRef::Str(bytes)) => Model::Str(bytes.to_vec()),
            Some(ValueRef::Hash(hash)) => Model::Hash(hash.iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect()),
            Some(ValueRef::List(list)) => Model::List(list.iter().map(<[u8]>::to_vec).collect()),
            Some(ValueRef::Set(set)) => Model::Set(set.iter().map(|member| member.as_ref().to_vec()).collect()),
            Some(ValueRef::Sorted(set)) => Model::Sorted(set.iter().map(|(m, score)| (m.to_vec(), score)).collect()),
            Some(value @ ValueRef::RedisStream(_)) => {
                Model::RedisStream(value.parts().iter().map(|part| part.to_vec()).collect())
            }
        }
    }
}

fn bytes(rng: &mut fastrand::Rng) -> Vec<u8> {
    let length = match rng.u8(..8) {
        0 => 0,
        1..5 => rng.usize(..40),
        5 => rng.usize(250..260),
        6 => rng.usize(505..520),
        _ => rng.usize(..3_000),
    };
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}

/// Numbers around each change of a width.
fn number_of_any_width(rng: &mut fastrand::Rng) -> u64 {
    let power = [8, 16, 32, 40, 43, 63][rng.usize(..6)];
    (1u64 << power).wrapping_add(rng.u64(..4)).wrapping_sub(2)
}

fn last(rng: &mut fastrand::Rng) -> RingOffset {
    match rng.u8(..4) {
        0 => RingOffset::NONE,
        1 => RingOffset(rng.u64(..1 << 43) & !7),
        2 => RingOffset(number_of_any_width(rng) & !7),
        _ => RingOffset(number_of_any_width(rng)),
    }
}

fn expiry(rng: &mut fastrand::Rng) -> u64 {
    match rng.u8(..5) {
        0 => 0,
        1 => rng.u64(1..2_000),
        2 => 1_577_836_800_000 + rng.u64(..4) - 2,
        3 => 1_790_000_000_000 + rng.u64(..100_000),
        _ => 1_577_836_800_000 + number_of_any_width(rng).min(1 << 60),
    }
}

/// Small and large collections, and strings.
fn collection_or_string(rng: &mut fastrand::Rng) -> Value {
    let count = if rng.u8(..6) == 0 { 200 } else { rng.usize(1..9) };
    let kinds = [Kind::String, Kind::Hash, Kind::List, Kind::Set, Kind::Sorted, Kind::RedisStream];
    let kind = kinds[rng.usize(..kinds.len())];
    let mut value = Value::empty(kind);
    if kind == Kind::RedisStream {
        assert!(value.add_parts([&b"s"[..], b"1000-0", b"1000", b"0-0"].into_iter()));
    }
    for n in 0..count {
        let name = format!("{n}").into_bytes();
        let parts = match kind {
            Kind::Hash => vec![name, bytes(rng)],
            Kind::Sorted => vec![name.clone(), name],
            Kind::RedisStream => {
                vec![b"e".to_vec(), format!("{}-0", n + 1).into_bytes(), b"1".to_vec(), name, bytes(rng)]
            }
            _ => vec![name],
        };
        assert!(value.add_parts(parts.iter().map(Vec::as_slice)));
    }
    if let Value::Hash(hash) = &mut value
        && rng.bool()
    {
        assert!(hash.set_end(b"0", 7, &Thresholds::default()));
    }
    value
}

/// One random change of a block and of what it should be.
fn change(rng: &mut fastrand::Rng, block: &mut Block, facts: &mut Facts, value: &mut Model) {
    match rng.u8(..18) {
        0..3 => {
            let string = bytes(rng);
            drop(block.set_string(&string));
            *value = Model::Str(string);
        }
        3 => {
            // The same length: overwritten where it is.
            if let Model::Str(string) = value {
                string.iter_mut().for_each(|byte| *byte = rng.u8(..));
                drop(block.set_string(string));
            }
        }
        4..6 => {
            let patch = bytes(rng);
            if let Model::Str(string) = value {
                // Within it, at its end, or behind that.
                let offset =
                    [rng.usize(..=string.len()), string.len(), string.len() + rng.usize(..100)][rng.usize(..3)];
                string.resize(string.len().max(offset + patch.len()), 0);
                string[offset..offset + patch.len()].copy_from_slice(&patch);
                block.overwrite_part(offset, &patch);
            }
        }
        6 => {
            let put = collection_or_string(rng);
            let model = Model::of(Some(put.view()));
            drop(block.put(put));
            *value = model;
        }
        7 => {
            let taken = block.take();
            assert_eq!(Model::of(taken.as_ref().map(Value::view)), *value);
            *value = Model::None;
        }
        8 => {
            drop(block.clear());
            *value = Model::None;
        }
        9..11 => {
            facts.next_revision =
                if rng.bool() { facts.next_revision.wrapping_add(1) } else { number_of_any_width(rng) };
            facts.last = last(rng);
            block.set_head(facts.next_revision, facts.last);
        }
        11..13 => {
            facts.expire_at_ms = expiry(rng);
            block.set_expiry(facts.expire_at_ms);
        }
        17 => {
            facts.access = rng.u8(..16);
            block.set_access(facts.access);
        }
        13 => {
            facts.is_queued = rng.bool();
            block.set_queued(facts.is_queued);
        }
        14 => {
            // SAFETY: the address was given away just now.
            let edited = unsafe { Block::edit(block.start) };
            match (edited, value) {
                (Some(ValueMut::List(list)), Model::List(model)) => {
                    list.push(End::Tail, b"more", &Thresholds::default());
                    model.push(b"more".to_vec());
                }
                (Some(ValueMut::Set(set)), Model::Set(model)) => {
                    set.insert(b"more", &Thresholds::default());
                    *model = set.view().iter().map(|member| member.as_ref().to_vec()).collect();
                }
                (Some(ValueMut::Hash(hash)), Model::Hash(model)) => {
                    hash.set(b"more", b"", &Thresholds::default());
                    *model = hash.view().iter().map(|(f, v)| (f.to_vec(), v.to_vec())).collect();
                }
                (Some(ValueMut::Sorted(set)), Model::Sorted(model)) => {
                    set.set(0.5, b"more", &Thresholds::default());
                    *model = set.view().iter().map(|(member, score)| (member.to_vec(), score)).collect();
                }
                (Some(ValueMut::Small(Encoding::PackedSorted)), Model::Sorted(model)) => {
                    let decide = |old: Option<f64>| Ok::<_, ()>(if old.is_none() { Some(0.5) } else { None });
                    let decision = sorted::small::update(&mut block.small(), b"more", &Thresholds::default(), decide);
                    if decision.expect("nothing refuses").is_some_and(|decision| decision.new.is_some()) {
                        let at = model.partition_point(|pair| pair.1 < 0.5);
                        model.insert(at, (b"more".to_vec(), 0.5));
                    }
                }
                (Some(ValueMut::Small(Encoding::PackedList)), Model::List(model)) => {
                    if small::list_push(&mut block.small(), End::Tail, b"more", &Thresholds::default()) {
                        model.push(b"more".to_vec());
                    }
                }
                (Some(ValueMut::Small(Encoding::PackedHash)), Model::Hash(model)) => {
                    let is_new = small::hash_set(&mut block.small(), b"more", b"", &Thresholds::default());
                    if is_new == Some(true) {
                        model.push((b"more".to_vec(), Vec::new()));
                    }
                }
                (Some(ValueMut::Small(form)), Model::Set(model)) => {
                    let form = if form == Encoding::Integers { SmallSet::Integers } else { SmallSet::Packed };
                    match small::set_insert(form, &mut block.small(), b"more", &Thresholds::default()) {
                        Inserted::Done(true) => model.push(b"more".to_vec()),
                        Inserted::Done(false) | Inserted::TooLarge => {}
                        Inserted::Repacked => {
                            block.set_small_encoding(Encoding::PackedSet);
                            model.push(b"more".to_vec());
                        }
                    }
                }
                (Some(ValueMut::RedisStream(stream)), Model::RedisStream(model)) => {
                    let id = EntryId { ms: 2_000 + rng.u64(..1_000), seq: 0 };
                    stream.edit().append(id, [(&b"f"[..], &b"v"[..])].into_iter(), &Thresholds::default());
                    *model = stream.view().items().flatten().map(|part| part.to_vec()).collect();
                }
                (None, Model::None) | (Some(ValueMut::Str), Model::Str(_)) => {}
                (edited, model) => panic!("another kind than {model:?}: {}", edited.is_some()),
            }
        }
        15 => block.renew(),
        _ => {
            let raw = std::mem::replace(block, Block::absent(b"")).into_raw();
            // SAFETY: it was given away just now.
            *block = unsafe { Block::from_raw(raw) };
        }
    }
}

#[test]
fn a_block_has_what_was_put_into_it() {
    let (rounds, changes) = if cfg!(miri) { (12, 60) } else { (2_000, 300) };
    let mut rng = fastrand::Rng::with_seed(11);
    for round in 0..rounds {
        let key: Vec<u8> = match round % 4 {
            0 => (0..rng.u8(..20)).collect(),
            1 => vec![7; rng.usize(250..260)],
            2 => vec![8; rng.usize(..2_000)],
            _ => b"a key".to_vec(),
        };
        let mut block = Block::absent(&key);
        let mut facts =
            Facts { last: RingOffset::NONE, next_revision: 0, expire_at_ms: 0, is_queued: false, access: 0 };
        let mut value = Model::None;
        for _ in 0..changes {
            change(&mut rng, &mut block, &mut facts, &mut value);
            let view = block.view();
            assert_eq!((view.key(), view.facts()), (&key[..], facts));
            assert_eq!(Model::of(view.value()), value);
            assert_eq!(view.has_value(), value != Model::None);
            assert_eq!((view.next_revision(), view.last()), (facts.next_revision, facts.last));
            assert_eq!((view.expire_at_ms(), view.is_queued()), (facts.expire_at_ms, facts.is_queued));
        }
    }
}

#[test]
fn every_width_of_every_field_is_read_as_it_was_written() {
    let lasts = [
        RingOffset::NONE,
        RingOffset(0),
        RingOffset(8),
        RingOffset((1 << 43) - 16),
        RingOffset((1 << 43) - 8),
        RingOffset(1 << 43),
        RingOffset(7),
        RingOffset(u64::MAX - 1),
    ];
    let revisions = [0, 0xFF, 0x100, 0xFFFF, 0x1_0000, 0xFFFF_FFFF, 1 << 32, u64::MAX];
    let expiries = [
        0,
        1,
        1_577_836_799_999,
        1_577_836_800_000,
        1_577_836_800_000 + (1 << 40) - 1,
        1_577_836_800_000 + (1 << 40),
        u64::MAX,
    ];
    let lengths =
        if cfg!(miri) { vec![0, 13, 255, 256, 513] } else { vec![0, 1, 13, 254, 255, 256, 257, 511, 512, 513, 70_000] };
    for &key_length in &lengths {
        let key = vec![1; key_length];
        for &value_length in &lengths {
            let value = vec![2; value_length];
            let mut block = Block::absent(&key);
            for last in lasts {
                for next_revision in revisions {
                    for expire_at_ms in expiries {
                        let facts =
                            Facts { last, next_revision, expire_at_ms, is_queued: next_revision == 0xFF, access: 9 };
                        block.set_facts(facts);
                        assert_eq!(block.view().facts(), facts);
                        if cfg!(miri) {
                            break;
                        }
                    }
                    drop(block.set_string(&value));
                    assert!(matches!(block.view().value(), Some(ValueRef::Str(bytes)) if bytes == value));
                    assert_eq!(block.view().key(), key);
                    drop(block.clear());
                }
            }
        }
    }
}

#[test]
fn a_short_string_costs_as_little_as_was_promised() {
    let allocated = |value: &[u8], expire_at_ms| {
        let mut block = Block::absent(b"key:000000123");
        drop(block.set_string(value));
        block.set_head(1, RingOffset(64));
        block.set_expiry(expire_at_ms);
        block.view().allocated_bytes()
    };
    assert_eq!(allocated(&[b'x'; 16], 0), 48);
    assert_eq!(allocated(&[b'x'; 64], 0), 96);
    assert_eq!(allocated(&[b'x'; 64], 1_790_000_000_000), 96);
    // Only its name and what there is to know of its stream.
    assert_eq!(Block::absent(b"key:000000123").view().allocated_bytes(), 32);
}
