//! A shard's guarantees besides its values: room in the ring, reports of publications, state of absent keys.

use super::random::{settled, shard_without_ring};
use super::*;
use crate::error::Refusal;
use crate::event::CustomType;
use crate::keyspace::entry::End;
use crate::limits::{RING_BYTES_MIN, change_bytes_max, turn_bytes_due};
use crate::position::Revision;
use crate::ring::{self, record_bytes};
use crate::shards::Shards;
use crate::turn::ClientEvent;

/// A shard at 1,000 ms with the smallest ring of a server.
fn shard(absent_max: usize) -> Shard {
    let (writer, _) = ring::create(RING_BYTES_MIN).expect("there is memory for a small ring");
    let sequencer = Arc::new(Sequencer::new(Position(1), 1));
    let mut shard = Shard::new(ShardId(0), sequencer, Some(writer), absent_max);
    shard.set_now_ms(1_000);
    shard
}

/// The unpublished bytes at which a turn commits early.
const DUE: u64 = turn_bytes_due(RING_BYTES_MIN);

/// The most bytes of one command's records.
const MAX: u64 = change_bytes_max(RING_BYTES_MIN);

/// Records about this many bytes in the open turn, in whole small records.
fn fill(shard: &mut Shard, bytes: u64) {
    for _ in 0..bytes / record_bytes(4, 0) {
        shard.push(b"fill", End::Tail, [&b""[..]].into_iter()).expect("a small record fits");
    }
}

#[test]
fn the_sweep_finds_room_for_long_keys_whatever_the_turn_holds() {
    let mut shard = shard(100);
    let long = vec![b'k'; DUE as usize - 200];
    shard.push(&long, End::Tail, [&b"x"[..]].into_iter()).unwrap();
    shard.make_room();
    assert!(shard.expire_at(&long, 1_001, ExpireCondition::default()).unwrap());
    shard.commit();
    shard.set_now_ms(1_001);
    fill(&mut shard, DUE - 1);
    shard.make_room();
    // Half of a turn's limit, after a turn that is almost full: admitted, and it fits.
    shard.push(b"l", End::Tail, [&vec![b'v'; DUE as usize / 2 - 100][..]].into_iter()).unwrap();
    while shard.expire_due() {
        shard.commit();
    }
    assert!(shard.value(&long).is_none() && shard.volatile_count() == 0);
}

#[test]
fn records_without_admission_fit_if_room_is_made_before_each_command() {
    let mut shard = shard(10_000);
    let keys: Vec<String> = (0..2_000).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        shard.make_room();
        shard.set(key.as_bytes(), b"").unwrap();
        shard.expire_at(key.as_bytes(), 2_000, ExpireCondition::default()).unwrap();
    }
    let (deleted, ended) = keys.split_at(1_000);
    for key in deleted {
        shard.make_room();
        assert!(shard.get_and_delete(key.as_bytes()).unwrap().is_some());
    }
    shard.set_now_ms(2_000);
    for key in ended {
        shard.make_room();
        assert_eq!(shard.pop(key.as_bytes(), End::Head), Ok(None));
    }
    assert_eq!(shard.key_count(), 0);
}

#[test]
fn an_early_publication_is_reported_at_the_turns_end() {
    let mut shard = shard(100);
    fill(&mut shard, DUE + record_bytes(4, 0));
    shard.make_room();
    assert!(!shard.turn.is_dirty() && shard.commit(), "who waits for these records has to be woken");
    assert!(!shard.commit(), "once");
}

#[test]
fn absent_keys_counters_stay_within_their_bound_however_many_are_deleted_in_a_turn() {
    const BOUND: usize = 100;
    let mut shard = shard(BOUND);
    for turn in 0..20 {
        for n in 0..1_000 {
            shard.make_room();
            let key = format!("key:{turn}:{n}");
            shard.push(key.as_bytes(), End::Tail, [&b""[..]].into_iter()).unwrap();
            shard.make_room();
            shard.pop(key.as_bytes(), End::Tail).unwrap();
        }
        shard.commit();
        assert!(shard.turn.absent.len() <= BOUND && shard.table.iter().count() <= BOUND, "turn {turn}");
    }
}

#[test]
fn after_a_flush_too_the_oldest_counters_are_forgotten_first() {
    let mut shard = shard(5);
    let keys: Vec<String> = (0..10).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        shard.set(key.as_bytes(), b"").unwrap();
    }
    Shards::One(&mut shard).flush();
    shard.set(b"other", b"").unwrap();
    settled(&mut shard);
    shard.commit();
    let known: Vec<&String> = keys.iter().filter(|key| shard.stream_revision(key.as_bytes()).is_some()).collect();
    assert_eq!(known, keys[5..].iter().collect::<Vec<_>>());
}

#[test]
fn an_append_expects_the_end_of_a_key_whose_ttl_is_over() {
    let mut shard = shard(100);
    shard.set(b"k", b"").unwrap();
    shard.expire_at(b"k", 2_000, ExpireCondition::default()).unwrap();
    shard.set_now_ms(2_000);
    let event = ClientEvent {
        event_type: CustomType::new(b"Paid").expect("no built-in name"),
        data: b"",
        meta: None,
        id: None,
        json: false,
    };
    let refused = shard.append_event(b"k", event, Expected::At(Revision(1)));
    assert_eq!(refused, Err(Refusal::WrongRevision { actual: Some(Revision(2)) }), "`Expire` comes between");
    assert_eq!(shard.append_event(b"k", event, Expected::At(Revision(2))).map(|(_, at)| at), Ok(Revision(3)));
}

/// Builds a hash of this many fields, each with a value of 1,000 bytes, by commands of a few fields.
fn build(shard: &mut Shard, key: &[u8], fields: usize) {
    for n in 0..fields {
        shard.begin_command();
        shard.set_fields(key, [(format!("field:{n:02}").as_bytes(), &[b'v'; 1000][..])].into_iter()).unwrap();
    }
    shard.commit();
}

/// The event types of the records that are published now, and their size in bytes.
fn publish(shard: &mut Shard) -> (Vec<EventType>, u64) {
    let from = shard.published().expect("it records").tail;
    shard.commit();
    let tail = shard.published().expect("it records").tail;
    (shard.published_from(from).expect("it records").map(|record| record.event_type()).collect(), tail.0 - from.0)
}

#[test]
fn after_many_removals_what_is_left_is_moved_and_stays_as_it_is() {
    let mut shard = shard_without_ring(10);
    let key = |n: usize| format!("key:{n}").into_bytes();
    for n in 0..40_000 {
        shard.set(&key(n), format!("value:{n:060}").as_bytes()).unwrap();
        if n % 100 == 0 {
            shard.add_members(format!("set:{n}").as_bytes(), [&b"a"[..], b"b"].into_iter()).unwrap();
        }
    }
    shard.commit();
    assert!(!shard.free_some() && shard.take_freed_bytes() == 0);
    for n in (0..40_000).filter(|n| n % 10 != 0) {
        assert!(shard.delete(&key(n)));
        shard.commit();
    }
    assert!(shard.take_freed_bytes() >= 36_000 * 16 && shard.take_freed_bytes() == 0);
    let mut slices = 0;
    while shard.free_some() {
        slices += 1;
    }
    assert!(slices > 5, "{slices}");
    for n in (0..40_000).step_by(10) {
        assert_eq!(shard.get(&key(n)), Ok(Some(format!("value:{n:060}").as_bytes())));
    }
    for n in (0..40_000).step_by(100) {
        assert_eq!(shard.members(format!("set:{n}").as_bytes()).unwrap().map(|set| set.len()), Some(2));
    }
    assert!(!shard.free_some(), "once is enough");
}

#[test]
fn a_large_collection_is_gone_at_once_and_freed_by_and_by() {
    let mut shard = shard(100);
    let members: Vec<String> = (0..30_000).map(|n| format!("member:{n}")).collect();
    let fill = |shard: &mut Shard| {
        shard.begin_command();
        for some in members.chunks(500) {
            shard.begin_command();
            shard.add_members(b"s", some.iter().map(|member| member.as_bytes())).unwrap();
        }
    };
    fill(&mut shard);
    assert!(shard.delete(b"s") && shard.value(b"s").is_none());
    fill(&mut shard);
    assert_eq!(shard.members(b"s").unwrap().map(|set| set.len()), Some(30_000));
    shard.set(b"s", b"a string").unwrap();
    fill_other_and_expire(&mut shard);
    assert_eq!(shard.garbage_count(), 3);
    let mut slices = 1;
    while shard.free_some() {
        slices += 1;
    }
    assert!(slices > 15, "{slices}");
    assert_eq!(shard.garbage_count(), 0);
    assert!(!shard.free_some());

    fn fill_other_and_expire(shard: &mut Shard) {
        build(shard, b"h", 1);
        for n in 0..30_000 {
            shard.begin_command();
            shard.set_fields(b"h", [(n.to_string().as_bytes(), &b""[..])].into_iter()).unwrap();
        }
        shard.expire_at(b"h", 2_000, ExpireCondition::default()).unwrap();
        shard.set_now_ms(2_000);
        assert!(!shard.expire_due());
        assert!(shard.value(b"h").is_none());
    }
}

#[test]
fn a_large_value_is_renamed_in_one_turn_whatever_the_turn_holds() {
    let expected = [EventType::Expire, EventType::Rename, EventType::TtlSet, EventType::Del];
    for filled in [0, DUE / 2, DUE - record_bytes(4, 0)] {
        let mut shard = shard(100);
        build(&mut shard, b"aside", 45);
        shard.expire_at(b"aside", 9_000, ExpireCondition::default()).unwrap();
        shard.set(b"live", b"").unwrap();
        shard.expire_at(b"live", 2_000, ExpireCondition::default()).unwrap();
        shard.commit();
        shard.set_now_ms(2_000);
        shard.begin_command();
        fill(&mut shard, filled);
        shard.begin_command();
        let (from, before) = (shard.published().unwrap().tail, shard.history_end());
        assert_eq!(Shards::One(&mut shard).rename(b"aside", b"live", false), Ok(true));
        let published = shard.published().unwrap().tail;
        assert!(published == from || published == before, "what was before, or nothing");
        let (mut types, _) = publish(&mut shard);
        types.retain(|event_type| *event_type != EventType::RPush);
        assert_eq!(types, expected, "behind {filled} bytes");
        assert_eq!(shard.fields(b"live").unwrap().map(|map| map.len()), Some(45));
        assert!(shard.value(b"aside").is_none());
    }
}

#[test]
fn the_limit_of_one_commands_records_is_exact_to_the_byte() {
    let mut shard = shard(100);
    // The key's expiry may be recorded as well.
    let most = MAX - record_bytes(1, 0) - record_bytes(1, 0) + 7;
    let value = vec![b'v'; most as usize + 1];
    let refused = shard.push(b"l", End::Tail, [&value[..]].into_iter());
    assert_eq!(refused, Err(Refusal::ChangeTooLarge { bytes: MAX + 8, max: MAX }));
    assert!(shard.value(b"l").is_none() && !shard.turn.is_dirty());
    assert_eq!(shard.push(b"l", End::Tail, [&value[1..]].into_iter()), Ok(1));
    assert_eq!(publish(&mut shard), (vec![EventType::RPush], MAX - record_bytes(1, 0)));
    // A key longer than a turn could not have its expiry recorded.
    let key = vec![b'k'; DUE as usize - 47];
    let refused = shard.push(&key, End::Tail, [&b""[..]].into_iter());
    assert_eq!(refused, Err(Refusal::ChangeTooLarge { bytes: DUE + 8, max: DUE }));
    assert_eq!(shard.push(&key[1..], End::Tail, [&b""[..]].into_iter()), Ok(1));
}

#[test]
fn the_parts_of_an_admitted_change_stay_in_one_turn() {
    let mut shard = shard(100);
    let keys: Vec<String> = (0..30).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        shard.begin_command();
        shard.set(key.as_bytes(), b"").unwrap();
        shard.expire_at(key.as_bytes(), 2_000, ExpireCondition::default()).unwrap();
    }
    shard.commit();
    shard.set_now_ms(2_000);
    shard.begin_command();
    fill(&mut shard, DUE - record_bytes(4, 0));
    shard.begin_command();
    let value = [b'v'; 1_300];
    let records = keys.iter().map(|key| (key.as_bytes(), Shard::set_record_bytes(key.as_bytes(), &value)));
    Shards::One(&mut shard).admit(records).unwrap();
    let from = shard.published().unwrap().tail;
    // All of these keys expire first, and have no TTL to be cleared.
    keys.iter().for_each(|key| shard.set(key.as_bytes(), &value).unwrap());
    assert_eq!(shard.published().unwrap().tail, from, "nothing is published on the way");
    let (mut types, bytes) = publish(&mut shard);
    types.retain(|event_type| *event_type != EventType::RPush);
    assert_eq!(types, [EventType::Expire, EventType::Set].repeat(30));
    assert!(bytes > MAX, "what was before is there too");
}

#[test]
fn a_transaction_keeps_what_it_has_recorded_beside_a_large_change_that_fits() {
    let mut shard = shard(100);
    build(&mut shard, b"aside", 20);
    shard.begin_command();
    fill(&mut shard, DUE - record_bytes(4, 0));
    shard.make_room();
    let from = shard.published().unwrap().tail;
    Shards::One(&mut shard).rename(b"aside", b"live", false).unwrap();
    assert_eq!(shard.published().unwrap().tail, from);
    assert!(shard.turn.is_due(), "what comes next gets a turn of its own");
}

#[test]
fn expired_keys_are_deleted_within_the_limit_of_one_command() {
    let mut shard = shard(10_000);
    let keys: Vec<String> = (0..3_000).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        shard.begin_command();
        shard.set(key.as_bytes(), b"").unwrap();
        shard.expire_at(key.as_bytes(), 2_000, ExpireCondition::default()).unwrap();
    }
    shard.commit();
    shard.set_now_ms(2_000);
    let keys = || keys.iter().map(|key| key.as_bytes());
    shard.begin_command();
    let refused = Shards::One(&mut shard).delete(keys());
    assert!(matches!(refused, Err(Refusal::ChangeTooLarge { .. })), "their ends take as much as their deletion");
    shard.begin_command();
    assert_eq!(Shards::One(&mut shard).delete(keys().take(500)), Ok(0));
    while shard.expire_due() {
        shard.commit();
    }
    assert_eq!(Shards::One(&mut shard).delete(keys()), Ok(0), "those that are not there leave no record");
}

#[test]
fn a_rename_that_changes_nothing_is_never_too_large() {
    let mut shard = shard(100);
    let half = vec![b'v'; DUE as usize / 2];
    for _ in 0..7 {
        shard.begin_command();
        shard.push(b"large", End::Tail, [&half[..]].into_iter()).unwrap();
    }
    shard.set(b"k", b"").unwrap();
    let mut shards = Shards::One(&mut shard);
    assert_eq!(shards.rename(b"large", b"large", false), Ok(true));
    assert_eq!(shards.rename(b"large", b"k", true), Ok(false));
    assert!(matches!(shards.rename(b"large", b"k", false), Err(Refusal::ChangeTooLarge { .. })));
}
