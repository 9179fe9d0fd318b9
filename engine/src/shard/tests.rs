//! What a shard promises beside its values: room in the ring, who is told of a publication, what is kept of keys that
//! are gone.

use super::*;
use crate::error::Refusal;
use crate::keyspace::entry::End;
use crate::limits::{RING_BYTES_MIN, change_bytes_max};
use crate::position::Revision;
use crate::ring::{self, record_bytes};
use crate::shards::Shards;
use crate::turn::ClientEvent;

/// One shard, at 1,000 ms, with the smallest ring that a server has.
fn shard(absent_max: usize) -> Shard {
    let (writer, _) = ring::create(RING_BYTES_MIN).expect("there is memory for a small ring");
    let sequencer = Arc::new(Sequencer::new(Position(1), 1));
    let mut shard = Shard::new(ShardId(0), sequencer, Some(writer), absent_max);
    shard.set_now_ms(1_000);
    shard
}

const MAX: u64 = change_bytes_max(RING_BYTES_MIN);

/// Records that many bytes in the open turn, as far as they are whole small records.
fn fill(shard: &mut Shard, bytes: u64) {
    for _ in 0..bytes / record_bytes(4, 0) {
        shard.push(b"fill", End::Tail, [&b""[..]].into_iter()).expect("a small record fits");
    }
}

#[test]
fn the_sweep_finds_room_for_long_keys_whatever_the_turn_holds() {
    let mut shard = shard(100);
    let long = vec![b'k'; MAX as usize - 200];
    shard.push(&long, End::Tail, [&b"x"[..]].into_iter()).unwrap();
    shard.make_room();
    assert!(shard.expire_at(&long, 1_001, ExpireCondition::default()).unwrap());
    shard.commit();
    shard.set_now_ms(1_001);
    fill(&mut shard, MAX - 1);
    shard.make_room();
    // Half of what one command may record, behind a turn that is as good as full: admitted, and it fits.
    shard.push(b"l", End::Tail, [&vec![b'v'; MAX as usize / 2 - 100][..]].into_iter()).unwrap();
    while shard.expire_due() {
        shard.commit();
    }
    assert!(shard.value(&long).is_none() && shard.volatile_count() == 0);
}

#[test]
fn commands_that_record_without_asking_fit_where_room_is_made_before_each() {
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
fn a_turn_that_was_published_early_for_want_of_room_is_told_of_at_its_end() {
    let mut shard = shard(100);
    fill(&mut shard, MAX + record_bytes(4, 0));
    shard.make_room();
    assert!(!shard.turn.is_dirty() && shard.commit(), "who waits for these records has to be woken");
    assert!(!shard.commit(), "once");
}

#[test]
fn counters_of_keys_that_are_gone_stay_within_their_bound_however_many_go_in_a_turn() {
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
    let event = ClientEvent { event_type: b"Paid", data: b"", meta: None, id: None, json: false };
    let refused = shard.append_event(b"k", event, Expected::At(Revision(1)));
    assert_eq!(refused, Err(Refusal::WrongRevision { actual: Some(Revision(2)) }), "`Expire` comes between");
    assert_eq!(shard.append_event(b"k", event, Expected::At(Revision(2))).map(|(_, at)| at), Ok(Revision(3)));
}

#[test]
fn a_rename_that_changes_nothing_is_never_too_large() {
    let mut shard = shard(100);
    let half = vec![b'v'; MAX as usize / 2];
    for _ in 0..3 {
        shard.push(b"large", End::Tail, [&half[..]].into_iter()).unwrap();
    }
    shard.set(b"k", b"").unwrap();
    let mut shards = Shards::One(&mut shard);
    assert_eq!(shards.rename(b"large", b"large", false), Ok(true));
    assert_eq!(shards.rename(b"large", b"k", true), Ok(false));
    assert!(matches!(shards.rename(b"large", b"k", false), Err(Refusal::ChangeTooLarge { .. })));
}
