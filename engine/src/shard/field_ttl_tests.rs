//! Hashes whose fields have TTLs beside a plain model of them, through random commands, time and sweeps.

use super::random::shard_with_ring;
use super::*;
use crate::collection::HashRef;
use crate::event::EventType;
use crate::ring::RecordData;
use crate::shards::Shards;
use std::collections::BTreeMap;

/// The fields of a hash, each with its value and when its TTL ends.
type Fields = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// What the commands should leave. Time takes what has ended before each look.
#[derive(Default)]
struct Model {
    keys: BTreeMap<&'static str, Fields>,
    now_ms: u64,
}

impl Model {
    fn settle(&mut self) {
        let now_ms = self.now_ms;
        self.keys.values_mut().for_each(|fields| fields.retain(|_, row| row.1.is_none_or(|end| end > now_ms)));
        self.keys.retain(|_, fields| !fields.is_empty());
    }

    fn of(&self, key: &str) -> Fields {
        self.keys.get(key).cloned().unwrap_or_default()
    }

    fn set(&mut self, key: &'static str, field: &[u8], value: &[u8], end: Option<u64>) {
        self.keys.entry(key).or_default().insert(field.to_vec(), (value.to_vec(), end));
    }

    /// What becomes of the TTL of a field, by the rules of Redis.
    fn expire(&mut self, key: &str, field: &[u8], at_ms: u64, condition: ExpireCondition) -> FieldTtl {
        let now_ms = self.now_ms;
        let Some(fields) = self.keys.get_mut(key) else { return FieldTtl::NoField };
        let Some((_, end)) = fields.get_mut(field) else { return FieldTtl::NoField };
        let holds = match *end {
            None => !condition.if_some && !condition.if_later,
            Some(end) => {
                !condition.if_none && (!condition.if_later || at_ms > end) && (!condition.if_earlier || at_ms < end)
            }
        };
        if !holds {
            return FieldTtl::Refused;
        }
        *end = Some(at_ms);
        if at_ms > now_ms {
            return FieldTtl::Done;
        }
        fields.remove(field);
        self.settle();
        FieldTtl::Deleted
    }
}

const KEYS: [&str; 3] = ["h", "another hash", "g"];

fn conditions() -> [ExpireCondition; 5] {
    let none = ExpireCondition::default();
    [
        none,
        ExpireCondition { if_none: true, ..none },
        ExpireCondition { if_some: true, ..none },
        ExpireCondition { if_later: true, ..none },
        ExpireCondition { if_earlier: true, ..none },
    ]
}

/// One random command: its answer is that of the model.
fn command(rng: &mut fastrand::Rng, shard: &mut Shard, model: &mut Model, names: usize) {
    let name = KEYS[rng.usize(..KEYS.len())];
    let key = name.as_bytes();
    let mut field = || rng.usize(..names).to_string().into_bytes();
    let (one, other, value) = (field(), field(), field());
    let both = || [&one[..], &other[..]].into_iter();
    let at_ms = model.now_ms + rng.u64(..40) - 1;
    let old = model.of(name);
    match rng.u8(..16) {
        0..3 => {
            let new = both().filter(|field| !old.contains_key(*field)).count()
                - usize::from(one == other && !old.contains_key(&one));
            let set = shard.set_fields(key, both().map(|field| (field, &value[..])));
            assert_eq!(set, Ok(new));
            both().for_each(|field| model.set(name, field, &value, None));
        }
        3 => {
            let is_new = !old.contains_key(&one);
            assert_eq!(shard.set_field_if_absent(key, &one, &value), Ok(is_new));
            if is_new {
                model.set(name, &one, &value, None);
            }
        }
        4 => {
            let row = old.get(&one);
            let number = |row: &(Vec<u8>, Option<u64>)| String::from_utf8_lossy(&row.0).parse::<i64>();
            let sum = 5 + row.map_or(0, |row| number(row).expect("all values are numbers"));
            assert_eq!(shard.increment_field(key, &one, 5), Ok(sum));
            model.set(name, &one, sum.to_string().as_bytes(), row.and_then(|row| row.1));
        }
        5 => {
            let there = both().filter(|field| old.contains_key(*field)).count();
            let there = there - usize::from(one == other && there == 2);
            assert_eq!(shard.delete_fields(key, both()), Ok(there));
            both().for_each(|field| _ = model.keys.get_mut(name).map(|fields| fields.remove(field)));
        }
        6..10 => {
            let condition = conditions()[rng.usize(..5)];
            let expected = both().map(|field| model.expire(name, field, at_ms, condition)).collect();
            assert_eq!(shard.expire_fields(key, both(), at_ms, condition), Ok(expected));
        }
        10 => {
            let expected =
                both().map(|field| match model.keys.get_mut(name).and_then(|fields| fields.get_mut(field)) {
                    None => FieldTtl::NoField,
                    Some((_, end)) => end.take().map_or(FieldTtl::None, |_| FieldTtl::Done),
                });
            let expected = expected.collect();
            assert_eq!(shard.persist_fields(key, both()), Ok(expected));
        }
        11 => {
            let none = ExpireCondition::default();
            let value = |model: &Model, field: &[u8]| model.of(name).get(field).map(|row| row.0.clone());
            let expected: Vec<_> = both()
                .map(|field| {
                    let value = value(model, field);
                    model.expire(name, field, at_ms, none);
                    value
                })
                .collect();
            let read = shard.read_fields(key, both(), FieldTtlChange::EndAt(at_ms)).expect("they are hashes");
            assert_eq!(read.into_iter().map(|value| value.map(|value| value.to_vec())).collect::<Vec<_>>(), expected);
        }
        12 => {
            let expected: Vec<_> =
                both().map(|field| model.keys.get_mut(name).and_then(|fields| fields.remove(field))).collect();
            let removed = shard.remove_fields(key, both()).expect("they are hashes").into_iter();
            assert!(
                removed.map(|value| value.map(|value| value.to_vec())).eq(expected.into_iter().map(|row| Some(row?.0)))
            );
        }
        13 | 14 => {
            let change = [FieldTtlChange::Keep, FieldTtlChange::Clear, FieldTtlChange::EndAt(at_ms)][rng.usize(..3)];
            let condition = [FieldsCondition::Always, FieldsCondition::IfNone, FieldsCondition::IfAll][rng.usize(..3)];
            let there = both().filter(|field| old.contains_key(*field)).count();
            let holds = match condition {
                FieldsCondition::Always => true,
                FieldsCondition::IfNone => there == 0,
                FieldsCondition::IfAll => there == 2,
            };
            let pairs = both().map(|field| (field, &value[..]));
            assert_eq!(shard.set_fields_with_ttl(key, pairs, condition, change), Ok(holds));
            if holds {
                both().for_each(|field| {
                    let kept = old.get(field).and_then(|row| row.1).filter(|_| change == FieldTtlChange::Keep);
                    model.set(name, field, &value, kept);
                });
                if let FieldTtlChange::EndAt(at_ms) = change {
                    both().for_each(|field| _ = model.expire(name, field, at_ms, ExpireCondition::default()));
                }
            }
        }
        _ => match rng.u8(..4) {
            0 => {
                let target = KEYS[rng.usize(..KEYS.len())];
                let mut shards = Shards::One(shard);
                let there = model.keys.contains_key(name);
                if rng.bool() && name != target {
                    assert_eq!(shards.copy(key, target.as_bytes(), false), Ok(there));
                    if there {
                        model.keys.insert(target, old);
                    }
                } else if there {
                    assert_eq!(shards.rename(key, target.as_bytes(), false), Ok(true));
                    if let Some(fields) = model.keys.remove(name) {
                        model.keys.insert(target, fields);
                    }
                }
            }
            1 => assert_eq!(shard.delete(key), model.keys.remove(name).is_some()),
            _ => {
                // So many that they are not packed.
                let many: Vec<Vec<u8>> = (0..names).map(|n| n.to_string().into_bytes()).collect();
                assert!(shard.set_fields(key, many.iter().map(|field| (&field[..], &b"1"[..]))).is_ok());
                let end = rng.bool().then_some(model.now_ms + 20);
                many.iter().for_each(|field| model.set(name, field, b"1", end));
                if let Some(at_ms) = end {
                    let all = shard.expire_fields(key, many.iter().map(|field| &field[..]), at_ms, conditions()[0]);
                    assert_eq!(all, Ok(vec![FieldTtl::Done; names]));
                }
            }
        },
    }
    model.settle();
}

/// The shard shows what the model has.
fn check(shard: &mut Shard, model: &Model) {
    for name in KEYS {
        let fields = model.of(name);
        let names: Vec<Vec<u8>> = fields.keys().cloned().chain([b"none".to_vec()]).collect();
        let ends = shard.field_ends(name.as_bytes(), names.iter().map(|field| &field[..])).expect("it is a hash");
        assert!(ends.into_iter().eq(fields.values().map(|row| Some(row.1)).chain([None])));
        let hash = shard.fields(name.as_bytes()).expect("it is a hash");
        assert_eq!(hash.is_some(), !fields.is_empty(), "{name}");
        let Some(hash) = hash else { continue };
        assert_eq!(hash.len(), fields.len());
        let mut pairs: Vec<_> = hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
        pairs.sort_unstable();
        assert!(pairs.into_iter().eq(fields.iter().map(|(field, row)| (field.clone(), row.0.clone()))));
        let drawn = shard.random_fields(name.as_bytes(), Draw::Distinct(usize::MAX)).expect("it is a hash").len();
        assert_eq!(drawn, fields.len());
    }
    assert_eq!(*shard.footprint(), shard.walked_footprint());
}

/// What the records alone make of the hashes.
fn rebuilt(shard: &mut Shard) -> BTreeMap<Vec<u8>, Fields> {
    let mut keys: BTreeMap<Vec<u8>, Fields> = BTreeMap::new();
    for record in shard.published_from(RingOffset(0)).expect("it records") {
        let parts: Vec<Vec<u8>> = match record.data() {
            None => Vec::new(),
            Some(RecordData::One(part)) => vec![part.to_vec()],
            Some(RecordData::Parts(parts)) => parts.map(<[u8]>::to_vec).collect(),
        };
        let number = |part: &[u8]| crate::number::parse_u64(part).expect("it is a time");
        let key = record.key().to_vec();
        let fields = keys.entry(key.clone()).or_default();
        match (record.event_type(), &parts[..]) {
            (EventType::HSet, [field, value]) => {
                fields.entry(field.clone()).or_default().0.clone_from(value);
            }
            (EventType::HTtlSet, [field, end]) => {
                fields.get_mut(field).expect("the field is there").1 = Some(number(end));
            }
            (EventType::HTtlCleared, [field]) => {
                assert!(fields.get_mut(field).expect("the field is there").1.take().is_some());
            }
            (EventType::HDel, [field]) => assert!(fields.remove(field).is_some()),
            (EventType::HExpire, [field]) => {
                let end = fields.remove(field).expect("the field is there").1;
                assert!(end.is_some_and(|end| end <= record.timestamp_ms()));
            }
            (EventType::HExpire, []) => {
                let is_over = |row: &(Vec<u8>, Option<u64>)| row.1.is_some_and(|end| end <= record.timestamp_ms());
                assert!(!fields.is_empty() && fields.values().all(is_over));
                fields.clear();
            }
            (EventType::Del, []) => fields.clear(),
            (EventType::Rename | EventType::Copy, [_, form, rest @ ..]) if form == b"hash" => {
                *fields = rest.chunks(2).map(|row| (row[0].clone(), (row[1].clone(), None))).collect();
            }
            (EventType::Rename | EventType::Copy, [_, form, rest @ ..]) if form == b"hashttl" => {
                let end = |part: &[u8]| Some(number(part)).filter(|&end| end != 0);
                *fields = rest.chunks(3).map(|row| (row[0].clone(), (row[1].clone(), end(&row[2])))).collect();
            }
            (other, parts) => panic!("{other:?} {parts:?}"),
        }
        if fields.is_empty() {
            keys.remove(&key);
        }
    }
    keys
}

#[test]
fn fields_have_the_ttls_that_commands_gave_them_and_end_on_time() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut shard = shard_with_ring(4 << 20, usize::MAX);
        // Hashes that are packed, and those that are not.
        let names = [3, 20, 150][seed as usize % 3];
        let mut model = Model { now_ms: 1_000, ..Model::default() };
        for _ in 0..200 {
            shard.make_room();
            shard.begin_command();
            command(&mut rng, &mut shard, &mut model, names);
            if rng.u8(..4) == 0 {
                shard.commit();
                model.now_ms += rng.u64(..15);
                shard.set_now_ms(model.now_ms);
                model.settle();
            }
            check(&mut shard, &model);
            if rng.u8(..3) == 0 {
                let left = rng.usize(..4);
                if !shard.expire_some(left) {
                    assert!(shard.next_expiry_ms().is_none_or(|at_ms| at_ms > model.now_ms));
                }
                check(&mut shard, &model);
            }
        }
        while shard.expire_some(3) {}
        shard.commit();
        assert_eq!(shard.key_count(), model.keys.len());
        let ends = model.keys.values().flat_map(|fields| fields.values().filter_map(|row| row.1));
        assert_eq!(shard.turn.field_ends.first_ms(), ends.min());
        let model = model.keys.iter().map(|(key, fields)| (key.as_bytes().to_vec(), fields.clone())).collect();
        assert_eq!(rebuilt(&mut shard), model, "seed {seed}");
    }
}

/// The types of the records, and their data.
fn lines(shard: &mut Shard) -> Vec<String> {
    shard.commit();
    let line = |record: crate::ring::Record<'_>| {
        let parts: Vec<String> = match record.data() {
            None => Vec::new(),
            Some(RecordData::One(part)) => vec![String::from_utf8_lossy(part).into_owned()],
            Some(RecordData::Parts(parts)) => parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect(),
        };
        format!("{} {}", String::from_utf8_lossy(record.type_name()), parts.join(" "))
    };
    shard.published_from(RingOffset(0)).expect("it records").map(line).collect()
}

#[test]
fn each_change_of_a_ttl_has_a_record_and_time_has_those_of_what_it_took() {
    let mut shard = shard_with_ring(1 << 20, 10);
    let (key, fields) = (b"h", || [&b"a"[..], b"b", b"c"].into_iter());
    let pairs = fields().map(|field| (field, &b"1"[..]));
    shard.set_fields(key, pairs.clone()).unwrap();
    shard.expire_fields(key, fields(), 1_010, conditions()[0]).unwrap();
    shard.set_fields(key, [(&b"a"[..], &b"2"[..])].into_iter()).unwrap();
    shard.increment_field(key, b"b", 1).unwrap();
    shard.persist_fields(key, fields()).unwrap();
    shard.expire_fields(key, fields().take(2), 1_010, conditions()[0]).unwrap();
    shard.expire_fields(key, fields().skip(2), 999, conditions()[0]).unwrap();
    shard
        .set_fields_with_ttl(key, pairs.clone().skip(2), FieldsCondition::Always, FieldTtlChange::EndAt(5_000))
        .unwrap();
    shard.set_now_ms(1_010);
    assert_eq!(shard.fields(key).unwrap().map(|hash| hash.len()), Some(1));
    // Over, so it is new, and has no TTL to keep.
    assert_eq!(shard.increment_field(key, b"a", 7), Ok(7));
    while shard.expire_due() {}
    shard.set_fields_with_ttl(key, pairs, FieldsCondition::Always, FieldTtlChange::EndAt(2_000)).unwrap();
    shard.set_now_ms(2_000);
    assert!(shard.read(key).is_none());
    let lines = lines(&mut shard);
    let expected = "HSet a 1,HSet b 1,HSet c 1,HTtlSet a 1010,HTtlSet b 1010,HTtlSet c 1010,HSet a 2,HTtlCleared a,HSet b 2,\
        HTtlCleared b,HTtlCleared c,HTtlSet a 1010,HTtlSet b 1010,HDel c,HSet c 1,HTtlSet c 5000,HSet a 7,HTtlCleared a,\
        HExpire b,HSet a 1,HSet b 1,HSet c 1,HTtlSet a 2000,HTtlSet b 2000,HTtlSet c 2000,HExpire ";
    assert_eq!(lines.join(","), expected);
    assert_eq!((shard.counts().expired, shard.counts().expired_fields), (0, 2));
}

#[test]
fn a_hash_that_has_lost_all_fields_to_time_is_no_key_and_a_large_one_is_swept_in_slices() {
    let mut shard = shard_with_ring(8 << 20, 10);
    let names: Vec<Vec<u8>> = (0..2 * EXPIRE_SLICE).map(|n| n.to_string().into_bytes()).collect();
    let fields = || names.iter().map(|field| &field[..]);
    shard.set_fields(b"h", fields().map(|field| (field, &b"v"[..]))).unwrap();
    shard.expire_fields(b"h", fields().skip(1), 1_010, conditions()[0]).unwrap();
    shard.commit();
    shard.set_now_ms(1_010);
    assert!(shard.expire_due(), "one slice is not enough");
    assert_eq!(shard.fields(b"h").unwrap().map(|hash| (hash.len(), hash.places())), Some((1, EXPIRE_SLICE)));
    shard.commit();
    while shard.expire_due() {
        shard.commit();
    }
    assert_eq!(shard.fields(b"h").unwrap().map(HashRef::places), Some(1));
    shard.expire_fields(b"h", fields(), 1_020, conditions()[0]).unwrap();
    shard.set_now_ms(1_020);
    let database = crate::stream_name::Database(0);
    assert!(shard.random_key(database).is_none() && shard.taken(b"h").is_none() && shard.find(b"h").is_none());
    assert_eq!((shard.key_count(), shard.next_expiry_ms()), (0, None));
    // Any other command finds no key either.
    shard
        .set_fields_with_ttl(
            b"h",
            [(&b"f"[..], &b"v"[..])].into_iter(),
            FieldsCondition::Always,
            FieldTtlChange::EndAt(1_030),
        )
        .unwrap();
    shard.set_now_ms(1_030);
    assert_eq!(shard.push(b"h", crate::collection::End::Tail, [&b"e"[..]].into_iter()), Ok(1));
}
