//! What changes of hashes, lists, sets, sorted sets and Redis streams record: the records alone rebuild every value, over one shard and over two,
//! and a change that is refused leaves neither a record nor a trace.
#![cfg(not(loom))]

mod rebuild;

use keytide_engine::collection::{EntryId, StreamEntry, Trim, TrimTo};
use keytide_engine::error::Refusal;
use keytide_engine::event::EventType;
use keytide_engine::filter::Filter;
use keytide_engine::history::{History, Request};
use keytide_engine::keyspace::ValueRef;
use keytide_engine::keyspace::entry::End;
use keytide_engine::number::score_text;
use keytide_engine::position::{Position, ShardId};
use keytide_engine::ring::{self, Ring};
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::{AddRule, Draw, NewEntryId, ScoreRule, ScoresSet, Shard, Side};
use keytide_engine::shards::{Aggregate, Shards, scored_difference, scored_intersection, scored_union};
use rebuild::{Rebuilt, apply};
use std::collections::BTreeMap;
use std::sync::Arc;

type Text = String;

fn text(bytes: &[u8]) -> Text {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Some shards with their rings, and the history that reads them.
struct World {
    #[expect(clippy::vec_box, reason = "`Shards` takes them as the cores hold them")]
    shards: Vec<Box<Shard>>,
    history: History,
    cursor: Position,
}

impl World {
    fn new(count: u16, ring_bytes: u64) -> World {
        let sequencer = Arc::new(Sequencer::new(Position(1), count as usize));
        let mut rings: Vec<Ring> = Vec::new();
        let mut shards = Vec::new();
        for id in 0..count {
            let (writer, ring) = ring::create(ring_bytes).expect("there is memory for a small ring");
            rings.push(ring);
            shards.push(Box::new(Shard::new(ShardId(id), sequencer.clone(), Some(writer), 1000)));
        }
        World { shards, history: History::new(sequencer, &rings), cursor: Position(1) }
    }

    fn shards(&mut self) -> Shards<'_> {
        let total = self.shards.len() as u16;
        Shards::Several { shards: &mut self.shards, total }
    }

    /// Ends the turn and answers what it recorded: key, type, parts of the data.
    fn recorded(&mut self) -> Vec<(Text, Text, Vec<Text>)> {
        for shard in &mut self.shards {
            shard.commit();
        }
        let mut rows = Vec::new();
        loop {
            let filter = Filter::default();
            let request = Request { cursor: self.cursor, count: 10_000, bytes: u64::MAX, filter: &filter };
            let page = self.history.read(&request, |_, record| {
                let parts = match record.data() {
                    None => Vec::new(),
                    Some(ring::RecordData::One(bytes)) => vec![text(bytes)],
                    Some(ring::RecordData::Parts(parts)) => parts.map(text).collect(),
                };
                rows.push((text(record.key()), text(record.type_name()), parts));
                0
            });
            let page = page.expect("the cursor is one that the history gave");
            assert!(page.gap.is_none(), "the ring holds a whole test");
            self.cursor = page.next;
            if page.at_end {
                return rows;
            }
        }
    }

    /// The rows of what was recorded, each as one line without its key.
    fn lines(&mut self) -> Vec<String> {
        self.recorded().into_iter().map(|(_, kind, parts)| format!("{kind} {}", parts.join(" "))).collect()
    }

    /// The rows of what was recorded, each as its type and its key.
    fn kinds_and_keys(&mut self) -> Vec<String> {
        self.recorded().into_iter().map(|(key, kind, _)| format!("{kind} {key}")).collect()
    }

    fn value(&mut self, key: &str) -> Option<Rebuilt> {
        let mut shards = self.shards();
        shards.of(key.as_bytes()).value(key.as_bytes()).map(|value| match value {
            ValueRef::Str(_) => unreachable!("no test here makes a string"),
            ValueRef::Hash(hash) => {
                Rebuilt::Hash(hash.iter().map(|(field, value)| (text(field), text(value))).collect())
            }
            ValueRef::List(list) => Rebuilt::List(list.iter().map(text).collect()),
            ValueRef::Set(set) => Rebuilt::Set(set.iter().map(|member| text(&member)).collect()),
            ValueRef::Sorted(set) => {
                assert!(set.iter().zip(set.iter().skip(1)).all(|(a, b)| (a.1, a.0) < (b.1, b.0)), "they are in order");
                Rebuilt::Sorted(set.iter().map(|(member, score)| (text(member), text(&score_text(score)))).collect())
            }
            ValueRef::RedisStream(stream) => {
                let words =
                    |entry: StreamEntry<'_>| entry.fields.flat_map(|(name, value)| [text(name), text(value)]).collect();
                let entries = stream.range(EntryId::MIN, EntryId::MAX);
                Rebuilt::RedisStream(entries.map(|entry| ((entry.id.ms, entry.id.seq), words(entry))).collect())
            }
        })
    }
}

const KEYS: [&str; 15] = ["h0", "h1", "h2", "l0", "l1", "l2", "s0", "s1", "s2", "z0", "z1", "z2", "x0", "x1", "x2"];

/// One random operation; what it answers or refuses is not looked at.
fn change(world: &mut World, rng: &mut fastrand::Rng) {
    // Now and then a key of another type, which has to be refused.
    let key = |rng: &mut fastrand::Rng, family: usize| {
        let family = if rng.u8(..20) == 0 { rng.usize(..5) } else { family };
        KEYS[family * 3 + rng.usize(..3)].as_bytes()
    };
    let words: Vec<String> = (0..rng.usize(1..5)).map(|_| rng.u8(..12).to_string()).collect();
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let end = if rng.bool() { End::Head } else { End::Tail };
    let other_end = if rng.bool() { End::Head } else { End::Tail };
    let (index, count) = (rng.i64(-6..6), rng.usize(..4));
    let mut shards = world.shards();
    match rng.u8(..35) {
        0..3 => {
            let key = key(rng, 0);
            let pairs = words.iter().map(|&word| (word, word));
            let _ = shards.of(key).set_fields(key, pairs);
        }
        3..5 => {
            let key = key(rng, 0);
            let _ = shards.of(key).delete_fields(key, words.iter().copied());
        }
        5 => {
            let key = key(rng, 0);
            let _ = shards.of(key).increment_field(key, words[0], index);
            let _ = shards.of(key).set_field_if_absent(key, words[0], b"new");
        }
        6..10 => {
            let key = key(rng, 1);
            let _ = shards.of(key).push(key, end, words.iter().copied());
        }
        10 => {
            let key = key(rng, 1);
            let _ = shards.of(key).pop(key, end);
            let _ = shards.of(key).pop_many(key, other_end, count);
        }
        11 => {
            let key = key(rng, 1);
            let _ = shards.of(key).set_element(key, index, words[0]);
        }
        12 => {
            let key = key(rng, 1);
            let side = if rng.bool() { Side::Before } else { Side::After };
            let _ = shards.of(key).insert_beside(key, side, words[0], b"put");
        }
        13 => {
            let key = key(rng, 1);
            let _ = shards.of(key).remove_elements(key, index, words[0]);
        }
        14 => {
            let key = key(rng, 1);
            let keep = |length: usize| (count < length).then(|| count..length.min(count + 8));
            let _ = shards.of(key).trim(key, keep);
        }
        15..17 => {
            let (from, to) = (key(rng, 1), key(rng, 1));
            let _ = shards.move_element(from, end, to, other_end);
        }
        17..19 => {
            let key = key(rng, 2);
            let _ = shards.of(key).add_members(key, words.iter().copied());
        }
        19 => {
            let key = key(rng, 2);
            let _ = shards.of(key).remove_members(key, words.iter().copied());
        }
        20 => {
            let key = key(rng, 2);
            let _ = shards.of(key).pop_member(key);
            let _ = shards.of(key).pop_members(key, count);
        }
        21 => {
            let (from, to) = (key(rng, 2), key(rng, 2));
            let _ = shards.move_member(from, to, words[0]);
        }
        22..25 => {
            let key = key(rng, 3);
            let score = [0.0, 0.1, -1e300, f64::INFINITY, f64::NEG_INFINITY, index as f64][rng.usize(..6)];
            let rule = ScoreRule { if_greater: count == 0, if_absent: count == 1, ..ScoreRule::default() };
            let _ = shards.of(key).set_scores(key, words.iter().map(|&word| (score, word)), rule);
            let rule = ScoreRule { adds: true, if_present: count == 2, ..rule };
            let _ = shards.of(key).set_scores(key, [(score, words[0])].into_iter(), rule);
        }
        25 => {
            let key = key(rng, 3);
            let _ = shards.of(key).remove_scores(key, words.iter().copied());
        }
        26 => {
            let key = key(rng, 3);
            let _ = shards.of(key).pop_scores(key, rng.bool(), count);
        }
        30..33 => {
            let key = key(rng, 4);
            let trim = Trim { to: TrimTo::Length(count as u64 + 3), is_approximate: false, limit: None };
            let rule = AddRule { creates: true, trim: (count == 0).then_some(trim) };
            let _ = shards.of(key).add_entry(key, NewEntryId::Any, words.iter().map(|&word| (word, word)), rule);
        }
        33 => {
            let key = key(rng, 4);
            let found = shards
                .of(key)
                .redis_stream(key)
                .ok()
                .flatten()
                .and_then(|stream| stream.range(EntryId::MIN, EntryId::MAX).nth(count).map(|entry| entry.id));
            let _ = shards.of(key).delete_entries(key, &[found.unwrap_or(EntryId { ms: 1, seq: 1 }), EntryId::MAX]);
        }
        34 => {
            let key = key(rng, 4);
            let trim =
                Trim { to: TrimTo::From(EntryId { ms: 0, seq: count as u64 }), is_approximate: false, limit: None };
            let _ = shards.of(key).trim_entries(key, trim);
        }
        27 => {
            let key = key(rng, 3);
            let _ = shards.of(key).remove_ranks(key, rng.bool(), |set| count.min(set.len())..usize::MAX);
        }
        _ => {
            let (target, sources) = (key(rng, 3), [key(rng, 3), key(rng, 3), key(rng, 2)]);
            if let Ok(found) = shards.scored(sources.iter().copied()) {
                let weighted: Vec<_> = found.into_iter().map(|source| (source, 1.0)).collect();
                let pairs = match count {
                    0 => scored_intersection(&weighted, Aggregate::Min),
                    1 => scored_difference(&weighted),
                    _ => scored_union(&weighted, Aggregate::Sum),
                };
                let pairs: Vec<_> = pairs.into_iter().map(|(member, score)| (member.to_bytes(), score)).collect();
                let _ = shards.store_scores(target, &pairs);
            }
        }
    }
}

#[test]
fn the_records_alone_rebuild_every_value() {
    for shards in [1, 2, 3] {
        let mut rng = fastrand::Rng::with_seed(u64::from(shards));
        let mut world = World::new(shards, 1 << 20);
        let mut keys = BTreeMap::new();
        for round in 0..400 {
            for _ in 0..rng.usize(1..20) {
                change(&mut world, &mut rng);
            }
            for (key, kind, parts) in world.recorded() {
                apply(&mut keys, &key, &kind, &parts);
            }
            for key in KEYS {
                assert_eq!(world.value(key).as_ref(), keys.get(key), "{key} with {shards} shards, round {round}");
            }
        }
    }
}

fn words<'a>(words: &'a [&'a str]) -> impl Iterator<Item = &'a [u8]> + Clone {
    words.iter().map(|word| word.as_bytes())
}

#[test]
fn a_change_of_another_type_is_refused_without_a_record() {
    let mut world = World::new(1, 1 << 16);
    let mut shards = world.shards();
    let shard = shards.of(b"list");
    shard.push(b"list", End::Tail, words(&["a"])).unwrap();
    shard.add_members(b"set", words(&["a"])).unwrap();
    let pairs = || words(&["a"]).map(|word| (word, word));
    assert_eq!(shard.set_fields(b"list", pairs()), Err(Refusal::WrongType));
    assert_eq!(shard.delete_fields(b"set", words(&["a"])), Err(Refusal::WrongType));
    assert_eq!(shard.add_members(b"list", words(&["b"])), Err(Refusal::WrongType));
    assert_eq!(shard.push(b"set", End::Head, words(&["b"])), Err(Refusal::WrongType));
    assert_eq!(shard.pop(b"set", End::Head), Err(Refusal::WrongType));
    assert_eq!(shard.random_fields(b"set", Draw::Distinct(1)), Err(Refusal::WrongType));
    assert_eq!(shards.move_element(b"list", End::Head, b"set", End::Head), Err(Refusal::WrongType));
    assert_eq!(shards.move_member(b"set", b"list", b"a"), Err(Refusal::WrongType));
    assert_eq!(world.lines(), ["RPush a", "SAdd a"]);
}

#[test]
fn scores_that_are_refused_or_stay_record_nothing_and_all_others_are_exact() {
    let mut world = World::new(1, 1 << 16);
    let mut shards = world.shards();
    let shard = shards.of(b"z");
    let set = |shard: &mut Shard, score: f64, rule| shard.set_scores(b"z", [(score, &b"m"[..])].into_iter(), rule);
    let (plain, adds) = (ScoreRule::default(), ScoreRule { adds: true, ..ScoreRule::default() });
    let present = ScoreRule { if_present: true, ..plain };
    assert_eq!(set(shard, 1.0, present), Ok(ScoresSet::default()));
    assert!(shard.value(b"z").is_none());
    assert_eq!(set(shard, 0.1, plain), Ok(ScoresSet { added: 1, updated: 0, score: Some(0.1) }));
    assert_eq!(set(shard, 0.2, adds), Ok(ScoresSet { added: 0, updated: 1, score: Some(0.1 + 0.2) }));
    assert_eq!(set(shard, 0.0, adds), Ok(ScoresSet { score: Some(0.1 + 0.2), ..ScoresSet::default() }));
    let greater = ScoreRule { if_greater: true, ..plain };
    assert_eq!(set(shard, 0.1, greater), Ok(ScoresSet::default()));
    assert_eq!(set(shard, f64::INFINITY, greater).map(|done| done.updated), Ok(1));
    assert_eq!(set(shard, f64::NEG_INFINITY, adds), Err(Refusal::ScoreNotANumber));
    assert_eq!(shard.pop_scores(b"z", true, 5).map(|popped| popped.map(|all| all.len())), Ok(Some(1)));
    assert!(shard.value(b"z").is_none());
    let expected = ["ZAdd 0.10000000000000001 m", "ZAdd 0.30000000000000004 m", "ZAdd inf m", "ZRem m"];
    assert_eq!(world.lines(), expected);
}

#[test]
fn a_change_that_changes_nothing_records_nothing_but_a_field_set_again_does() {
    let mut world = World::new(1, 1 << 16);
    let mut shards = world.shards();
    let shard = shards.of(b"");
    shard.set_fields(b"h", words(&["f"]).map(|word| (word, word))).unwrap();
    shard.set_fields(b"h", words(&["f"]).map(|word| (word, word))).unwrap();
    shard.delete_fields(b"h", words(&["g"])).unwrap();
    shard.add_members(b"s", words(&["m", "m"])).unwrap();
    shard.add_members(b"s", words(&["m"])).unwrap();
    shard.remove_members(b"s", words(&["n"])).unwrap();
    shard.push(b"l", End::Tail, words(&["a", "b", "a", "c", "a"])).unwrap();
    shard.trim(b"l", |length| Some(0..length)).unwrap();
    shard.remove_elements(b"l", 0, b"z").unwrap();
    assert_eq!(shard.remove_elements(b"l", -2, b"a"), Ok(2));
    shard.trim(b"l", |_| None).unwrap();
    assert!(shard.value(b"l").is_none());
    let mut expected = vec!["HSet f f", "HSet f f", "SAdd m"];
    expected.extend(["RPush a", "RPush b", "RPush a", "RPush c", "RPush a", "LRem -2 a", "LTrim 1 0"]);
    assert_eq!(world.lines(), expected);
}

#[test]
fn a_move_records_its_target_first_on_one_shard_and_on_two() {
    let (a, b) = (b"a".as_slice(), b"b".as_slice());
    for shards in [1, 2] {
        let mut world = World::new(shards, 1 << 16);
        let mut lent = world.shards();
        // With two shards these two keys are not on one.
        assert_eq!(lent.of(a).id() == lent.of(b).id(), shards == 1);
        for (from, to) in [(a, b), (b, a)] {
            let (source, target) = (text(from), text(to));
            world.shards().of(from).push(from, End::Tail, words(&["x"])).unwrap();
            world.shards().move_element(from, End::Head, to, End::Tail).unwrap();
            assert_eq!(
                world.kinds_and_keys(),
                [format!("RPush {source}"), format!("RPush {target}"), format!("LPop {source}")]
            );
            world.shards().of(to).delete(to);
            world.shards().of(from).add_members(from, words(&["m", "n"])).unwrap();
            world.recorded();
            world.shards().move_member(from, to, b"m").unwrap();
            assert_eq!(world.kinds_and_keys(), [format!("SAdd {target}"), format!("SRem {source}")]);
            world.shards().rename(from, to, false).unwrap();
            assert_eq!(world.kinds_and_keys(), [format!("Rename {target}"), format!("Del {source}")]);
            world.shards().of(to).delete(to);
            world.recorded();
        }
    }
}

#[test]
fn a_move_within_one_key_turns_a_list_and_leaves_a_set() {
    let mut world = World::new(1, 1 << 16);
    let mut shards = world.shards();
    shards.of(b"l").push(b"l", End::Tail, words(&["x", "y"])).unwrap();
    shards.move_element(b"l", End::Tail, b"l", End::Head).unwrap();
    shards.move_element(b"l", End::Head, b"l", End::Head).unwrap();
    shards.of(b"s").add_members(b"s", words(&["m"])).unwrap();
    assert_eq!(shards.move_member(b"s", b"s", b"m"), Ok(true));
    assert_eq!(shards.move_member(b"s", b"s", b"n"), Ok(false));
    let expected = ["RPush x", "RPush y", "LPush y", "RPop y", "LPush y", "LPop y", "SAdd m"];
    assert_eq!(world.lines(), expected);
    assert_eq!(world.value("l"), Some(Rebuilt::List(["y".to_owned(), "x".to_owned()].into())));
}

#[test]
fn a_change_beyond_what_one_command_may_record_is_refused_before_anything_changes() {
    let mut world = World::new(1, 1 << 16);
    let members: Vec<String> = (0..1_000).map(|n| format!("member:{n}")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let mut shards = world.shards();
    let shard = shards.of(b"");
    let too_large = |refusal| matches!(refusal, Refusal::ChangeTooLarge { .. });
    assert!(shard.add_members(b"s", words(&members)).is_err_and(too_large));
    assert!(shard.push(b"l", End::Head, words(&members)).is_err_and(too_large));
    assert!(shard.set_fields(b"h", words(&members).map(|word| (word, word))).is_err_and(too_large));
    assert_eq!(shard.key_count(), 0);
    for half in members.chunks(100) {
        shard.add_members(b"s", words(half)).unwrap();
        shard.push(b"l", End::Head, words(half)).unwrap();
        shard.set_fields(b"h", words(half).map(|word| (word, word))).unwrap();
    }
    // All of these are there already, so nothing is recorded, however many they are.
    assert_eq!(shard.add_members(b"s", words(&members)), Ok(0));
    assert_eq!(shard.remove_members(b"s", (0..1_000).map(|_| b"other".as_slice())), Ok(0));
    assert!(shard.pop_members(b"s", 1_000).is_err_and(too_large));
    assert!(shard.remove_members(b"s", words(&members)).is_err_and(too_large));
    assert!(shard.pop_many(b"l", End::Tail, 1_000).is_err_and(too_large));
    assert!(shard.delete_fields(b"h", words(&members)).is_err_and(too_large));
    assert_eq!(shard.members(b"s").unwrap().map(|set| set.len()), Some(1_000));
    assert_eq!(shard.elements(b"l").unwrap().map(|list| list.len()), Some(1_000));
    assert_eq!(shard.fields(b"h").unwrap().map(|map| map.len()), Some(1_000));
}

#[test]
fn a_large_collection_is_recorded_whole_by_whatever_writes_it_or_moves_it() {
    let (aside, live) = (b"a".as_slice(), b"b".as_slice());
    for (shards, bytes) in [(1, 20_000), (1, 45_000), (2, 20_000), (2, 45_000), (3, 45_000)] {
        let mut world = World::new(shards, 1 << 16);
        let elements: Vec<String> = (0..bytes / 500).map(|n| format!("{n:0440}")).collect();
        let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
        let mut all =
            |write: &dyn Fn(&mut Shard, &[u8]), kind: &str, type_name: &str, taken: &dyn Fn(&mut Shard, &[u8])| {
                write(world.shards().of(aside), aside);
                let written = world.recorded();
                assert!(written.iter().all(|(key, found, _)| key == "a" && found == kind));
                assert_eq!(written.len(), elements.len());
                // As it is done to replace a value that is in use.
                world.shards().rename(aside, live, false).unwrap();
                let renamed = world.recorded();
                let parts: Vec<Text> = written.into_iter().flat_map(|(_, _, parts)| parts).collect();
                let parts = ["a".to_owned(), type_name.to_owned()].into_iter().chain(parts).collect();
                assert_eq!(renamed[0], ("b".to_owned(), "Rename".to_owned(), parts));
                assert_eq!(renamed[1..], [("a".to_owned(), "Del".to_owned(), vec![])]);
                taken(world.shards().of(live), live);
                assert_eq!(world.recorded().len(), elements.len());
                assert!(world.value("b").is_none());
            };
        let count = elements.len();
        let words = || words(&elements);
        all(
            &|shard, key| assert_eq!(shard.push(key, End::Tail, words()), Ok(count)),
            "RPush",
            "list",
            &|shard, key| assert!(shard.pop_many(key, End::Tail, count).is_ok()),
        );
        all(&|shard, key| assert_eq!(shard.add_members(key, words()), Ok(count)), "SAdd", "set", &|shard, key| {
            assert!(shard.pop_members(key, count).is_ok())
        });
        all(
            &|shard, key| assert_eq!(shard.set_fields(key, words().map(|field| (field, &b""[..]))), Ok(count)),
            "HSet",
            "hash",
            &|shard, key| assert_eq!(shard.delete_fields(key, words()), Ok(count)),
        );
    }
}

#[test]
fn the_last_element_takes_the_key_with_it_without_a_del() {
    let mut world = World::new(1, 1 << 16);
    let mut shards = world.shards();
    let shard = shards.of(b"");
    shard.add_members(b"s", words(&["a", "b", "c"])).unwrap();
    assert_eq!(shard.pop_members(b"s", 99).map(|popped| popped.len()), Ok(3));
    assert_eq!(shard.key_count(), 0);
    let kinds: Vec<_> = world.recorded().into_iter().map(|row| row.1).collect();
    let name = |kind: EventType| kind.name().expect("a built-in type has a name");
    let (add, remove) = (name(EventType::SAdd), name(EventType::SRem));
    assert_eq!(kinds, [add, add, add, remove, remove, remove]);
}
