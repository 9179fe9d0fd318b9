//! A shard's records alone rebuild it, including the order in which its counters are forgotten.

use super::random::{Commands, settled, shard_with_ring, shard_without_ring, written};
use super::*;
use crate::event::EventType;
use crate::eviction::Pool;
use crate::keyspace::entry::Precondition;
use crate::limits::RING_BYTES_MIN;
use crate::position::Revision;
use crate::ring::{Data, Draft, Record, encode};
use std::collections::HashSet;

const RING_BYTES: u64 = 16 << 20;

/// Replays everything that the shard has recorded.
fn replayed(live: &mut Shard, mut shard: Shard) -> Shard {
    assert_eq!(live.turn.history_head(), RingOffset(0), "the ring holds a whole test");
    for record in live.published_from(RingOffset(0)).expect("it records") {
        shard.replay(&record).unwrap_or_else(|error| panic!("{error}"));
    }
    shard
}

#[test]
fn a_shard_that_replays_anothers_records_equals_it() {
    let mut types = HashSet::new();
    for seed in 0..400 {
        let mut live = shard_with_ring(RING_BYTES, usize::MAX);
        if seed % 3 == 0 {
            live.set_pool(Arc::new(Pool::new(1)));
        }
        let mut commands = Commands::new(seed, 12);
        for _ in 0..300 {
            commands.run(&mut live);
        }
        live.commit();
        types.extend(live.published_from(RingOffset(0)).expect("it records").map(|record| record.event_type()));
        let empty = if seed % 2 == 0 { shard_without_ring(usize::MAX) } else { shard_with_ring(1 << 16, usize::MAX) };
        let mut shard = replayed(&mut live, empty);
        assert_eq!(written(&shard), written(settled(&mut live)), "seed {seed}");
        assert!(shard.turn.recorded() == 0 && shard.turn.ring_end() == RingOffset(0), "nothing was recorded");
        shard = replayed(&mut live, shard);
        // Every record is included in its entry already.
        assert_eq!(written(&shard), written(settled(&mut live)), "seed {seed}, replayed once more");
    }
    for (event_type, name, _) in crate::event::BUILT_IN {
        assert!(types.contains(event_type), "{name}");
    }
    assert!(types.contains(&EventType::Custom));
}

#[test]
fn large_changes_are_replayed_too() {
    for seed in 0..40 {
        let (writer, ring) = crate::ring::create(RING_BYTES_MIN).expect("there is memory for a small ring");
        let mut live = Shard::new(ShardId(0), Arc::new(Sequencer::new(Position(1), 1)), Some(writer), usize::MAX);
        live.set_now_ms(1_000);
        let mut commands = Commands::new(seed, 12);
        commands.large = 50_000;
        let (mut shard, mut reader, mut at) = (shard_without_ring(usize::MAX), ring.reader(), RingOffset(0));
        for _ in 0..300 {
            commands.run(&mut live);
            // Such a small ring has room for one large change beside this.
            if live.history_end().0 - at.0 < 10_000 {
                continue;
            }
            live.commit();
            let batch = reader.read(at, usize::MAX).expect("it is still there");
            at = batch.end();
            batch.for_each(|record| shard.replay(&record).unwrap_or_else(|error| panic!("{error}")));
            assert!(live.turn.history_head() <= at);
        }
        live.commit();
        let batch = reader.read(at, usize::MAX).expect("it is still there");
        batch.for_each(|record| shard.replay(&record).unwrap_or_else(|error| panic!("{error}")));
        // The ring has lost more absent keys.
        let values = |shard: &Shard| {
            let mut rows = written(shard).rows;
            rows.retain(|_, row| row.value.is_some());
            rows.into_iter().map(|(key, row)| (key, row.value, row.expire_at_ms, row.revision)).collect::<Vec<_>>()
        };
        assert_eq!(values(&shard), values(settled(&mut live)), "seed {seed}");
    }
}

#[test]
fn a_replayed_shard_continues_as_the_original_does() {
    for seed in 1_000..1_050 {
        let mut live = shard_with_ring(RING_BYTES, usize::MAX);
        let mut commands = Commands::new(seed, 12);
        for _ in 0..300 {
            commands.run(&mut live);
        }
        live.commit();
        let mut shard = replayed(&mut live, shard_with_ring(RING_BYTES, usize::MAX));
        // Both have the same TTLs, in the same order.
        shard.set_now_ms(live.turn.now_ms() + 50);
        live.set_now_ms(live.turn.now_ms() + 50);
        while shard.expire_due() | live.expire_due() {}
        let values = |shard: &Shard| {
            let rows = written(shard).rows.into_iter();
            rows.map(|(key, row)| (key, row.value, row.expire_at_ms, row.revision)).collect::<Vec<_>>()
        };
        assert_eq!(values(&shard), values(settled(&mut live)), "seed {seed}");
    }
}

#[test]
fn counters_stay_within_their_bound_while_records_are_replayed() {
    for seed in 2_000..2_050 {
        let mut live = shard_with_ring(RING_BYTES, 5);
        let mut commands = Commands::new(seed, 40);
        for _ in 0..1_000 {
            commands.run(&mut live);
        }
        live.commit();
        let shard = replayed(&mut live, shard_without_ring(5));
        let (shard, live) = (written(&shard), written(settled(&mut live)));
        assert!(shard.absent.len() <= 5, "seed {seed}");
        let values = |written: &random::Written| {
            let present = written.rows.iter().filter(|(_, row)| row.value.is_some());
            present.map(|(key, row)| (key.clone(), random::Row { queued: false, ..row.clone() })).collect::<Vec<_>>()
        };
        assert_eq!(values(&shard), values(&live), "seed {seed}");
    }
}

/// One record at an offset, as in a ring.
fn record(draft: &Draft<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::Encoder::default().encode(draft, false, &mut bytes);
    bytes
}

#[test]
fn an_inapplicable_record_is_refused_and_leaves_no_entry() {
    let one = |event_type| Draft::new(event_type, b"k", Data::One(b"1"));
    let pair = |event_type, parts| Draft::new(event_type, b"k", Data::Parts(parts));
    let cases = [
        (Draft::new(EventType::Del, b"k", Data::None), Precondition::Key),
        (Draft::new(EventType::Set, b"k", Data::None), Precondition::Data),
        (one(EventType::LPop), Precondition::Kind(Kind::List)),
        (one(EventType::HDel), Precondition::Element),
        (one(EventType::HSet), Precondition::Data),
        (one(EventType::SRem), Precondition::Element),
        (one(EventType::TtlSet), Precondition::Key),
        (Draft::new(EventType::TtlCleared, b"k", Data::None), Precondition::Ttl),
        (pair(EventType::LSet, &[b"0", b"x"]), Precondition::Kind(Kind::List)),
        (pair(EventType::LTrim, &[b"0", b"18446744073709551615"]), Precondition::Kind(Kind::List)),
        (pair(EventType::LRem, &[b"0", b"x"]), Precondition::Data),
        (pair(EventType::Rename, &[b"s", b"set"]), Precondition::Data),
        (pair(EventType::Rename, &[b"s", b"hash", b"f"]), Precondition::Data),
        (pair(EventType::Rename, &[b"s", b"string", b"a", b"b"]), Precondition::Data),
        (pair(EventType::ZAdd, &[b"nan", b"m"]), Precondition::Data),
        (one(EventType::ZAdd), Precondition::Data),
        (one(EventType::ZRem), Precondition::Element),
        (pair(EventType::Rename, &[b"s", b"zset", b"1"]), Precondition::Data),
        (pair(EventType::Rename, &[b"s", b"stream", b"e", b"1-0", b"0"]), Precondition::Data),
        (pair(EventType::Rename, &[b"s", b"stream", b"s", b"1-0", b"1"]), Precondition::Data),
        (pair(EventType::XAdd, &[b"1-0", b"f"]), Precondition::Data),
        (pair(EventType::XAdd, &[b"1", b"f", b"v"]), Precondition::Data),
        (pair(EventType::XAdd, &[b"0-0", b"f", b"v"]), Precondition::Element),
        (pair(EventType::XDel, &[b"1-0"]), Precondition::Kind(Kind::RedisStream)),
        (one(EventType::XTrim), Precondition::Kind(Kind::RedisStream)),
        (pair(EventType::XGroup, &[b"g", b"1-0"]), Precondition::Data),
        (pair(EventType::XAck, &[b"g", b"1-0"]), Precondition::Kind(Kind::RedisStream)),
    ];
    for (draft, violated) in cases {
        let mut shard = shard_without_ring(10);
        let bytes = record(&draft);
        let error = shard.replay(&Record::parse(&bytes, RingOffset(0)).unwrap()).unwrap_err();
        assert_eq!((error.violated, error.key.as_slice()), (violated, &b"k"[..]), "{error}");
        assert!(shard.table.iter().next().is_none() && shard.turn.absent.len() == 0, "{error}");
    }
}

#[test]
fn a_record_whose_predecessor_is_missing_is_refused() {
    let mut shard = shard_without_ring(10);
    let set = |back_link, revision| Draft {
        back_link,
        revision: Revision(revision),
        ..Draft::new(EventType::Set, b"k", Data::One(b"v"))
    };
    let mut replay = |offset, draft| shard.replay(&Record::parse(&record(&draft), RingOffset(offset)).unwrap());
    replay(64, set(RingOffset::NONE, 0)).unwrap();
    let refused = replay(256, set(RingOffset(128), 2)).map_err(|error| error.to_string());
    let text =
        "Set at position 0 of the key \"k\" cannot be applied: expected the record to follow the one at offset 64";
    assert_eq!(refused, Err(text.to_owned()));
    replay(256, set(RingOffset(64), 1)).unwrap();
    assert_eq!(shard.stream_revision(b"k"), Some(Revision(1)));
}
