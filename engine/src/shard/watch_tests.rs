//! Watched keys: what counts as a change, recorded or not.

use super::*;
use crate::event::CustomType;
use crate::limits::RING_BYTES_MIN;
use crate::ring;
use crate::shards::Shards;
use crate::turn::ClientEvent;
use proptest::prelude::*;

/// A shard that records or not, and keeps so many entries without a value.
fn shard(records: bool, absent_max: usize) -> Shard {
    let writer = records.then(|| ring::create(RING_BYTES_MIN).expect("there is memory for a small ring").0);
    let mut shard = Shard::new(ShardId(0), Arc::new(Sequencer::new(Position(1), 1)), writer, absent_max);
    shard.set_now_ms(1_000);
    shard
}

fn set(shard: &mut Shard, key: &[u8]) {
    shard.set(key, b"x").expect("it is small");
}

fn expire_at(shard: &mut Shard, key: &[u8], at_ms: i64) {
    assert_eq!(shard.expire_at(key, at_ms, ExpireCondition::default()), Ok(true));
}

#[test]
fn any_record_of_a_key_is_a_change_and_no_other_is() {
    for records in [true, false] {
        let mut shard = shard(records, 100);
        set(&mut shard, b"k");
        set(&mut shard, b"other");
        let (seen, other, none) = (shard.watch(b"k"), shard.watch(b"other"), shard.watch(b"none"));
        shard.commit();
        assert!(!shard.has_changed(b"k", seen) && !shard.has_changed(b"none", none), "{records}");
        set(&mut shard, b"k");
        assert!(shard.has_changed(b"k", seen), "{records}: the same value");
        assert!(!shard.has_changed(b"other", other) && !shard.has_changed(b"none", none), "{records}");
        shard.delete(b"none");
        assert!(!shard.has_changed(b"none", none), "{records}: there was nothing");
        set(&mut shard, b"none");
        shard.delete(b"none");
        shard.commit();
        assert!(shard.has_changed(b"none", none), "{records}: it has come and gone");
    }
}

#[test]
fn a_clients_event_is_a_change() {
    let mut shard = shard(true, 100);
    set(&mut shard, b"k");
    let seen = shard.watch(b"k");
    let event_type = CustomType::new(b"T").expect("no built-in type");
    let event = ClientEvent { event_type, data: b"d", meta: None, id: None, json: false };
    shard.append_events(b"k", &[event], Expected::Any).expect("any revision is expected");
    assert!(shard.has_changed(b"k", seen));
}

#[test]
fn a_ttl_that_ends_is_a_change_and_one_that_was_over_is_none() {
    for records in [true, false] {
        let mut shard = shard(records, 100);
        set(&mut shard, b"over");
        set(&mut shard, b"soon");
        expire_at(&mut shard, b"over", 1_500);
        expire_at(&mut shard, b"soon", 2_500);
        shard.set_now_ms(2_000);
        let (over, soon) = (shard.watch(b"over"), shard.watch(b"soon"));
        assert!(!shard.expire_due());
        assert!(!shard.has_changed(b"over", over) && !shard.has_changed(b"soon", soon), "{records}");
        shard.set_now_ms(3_000);
        assert!(shard.has_changed(b"soon", soon), "{records}: nobody has looked at it");
        shard.expire_due();
        shard.commit();
        assert!(shard.has_changed(b"soon", soon) && !shard.has_changed(b"over", over), "{records}");
    }
}

#[test]
fn a_flush_changes_what_there_was() {
    for records in [true, false] {
        let mut shard = shard(records, 100);
        set(&mut shard, b"k");
        let (seen, none, made) = (shard.watch(b"k"), shard.watch(b"none"), shard.watch(b"made"));
        set(&mut shard, b"made");
        Shards::One(&mut shard).flush();
        shard.commit();
        assert!(shard.has_changed(b"k", seen) && shard.has_changed(b"made", made), "{records}");
        assert!(!shard.has_changed(b"none", none), "{records}");
    }
}

#[test]
fn an_entry_is_kept_while_its_key_may_be_watched_and_no_longer() {
    for records in [true, false] {
        let mut shard = shard(records, 4);
        let seen = shard.watch(b"k");
        set(&mut shard, b"k");
        shard.delete(b"k");
        let churn = |shard: &mut Shard, keys: u32| {
            for key in 0..keys {
                let key = key.to_le_bytes();
                set(shard, &key);
                shard.delete(&key);
            }
            shard.commit();
        };
        churn(&mut shard, 2);
        assert!(shard.has_changed(b"k", seen), "{records}");
        let other = shard.watch(b"other");
        assert!(!shard.has_changed(b"other", other), "{records}");
        // More than are kept: then a missing key counts as changed, whatever it was.
        churn(&mut shard, 100);
        assert!(shard.has_changed(b"k", seen) && shard.has_changed(b"other", other), "{records}");
        shard.end_watches();
        let seen = shard.watch(b"k");
        assert!(!shard.has_changed(b"k", seen), "{records}");
    }
}

/// What a key is, for the model.
#[derive(Clone, Copy, Debug, Default)]
struct Model {
    /// Its expiry, of a key that has a value; `u64::MAX` is none.
    ends_at: Option<u64>,
    is_changed: bool,
    existed: bool,
}

proptest! {
    #[test]
    fn keys_have_changed_as_the_model_says(
        records in any::<bool>(),
        before in proptest::collection::vec((0u8..5, 0u8..4), 0..12),
        after in proptest::collection::vec((0u8..7, 0u8..4), 0..24),
    ) {
        let mut shard = shard(records, 1_000);
        let (mut model, mut now_ms) = ([Model::default(); 4], 1_000);
        let run = |shard: &mut Shard, model: &mut [Model; 4], now_ms: &mut u64, step: u8, key: u8| {
            let is_live = |one: &Model, now_ms: u64| one.ends_at.is_some_and(|at| at > now_ms);
            let name = [b'k', key];
            let own = &mut model[key as usize];
            match step {
                0 => {
                    set(shard, &name);
                    *own = Model { ends_at: Some(u64::MAX), is_changed: true, ..*own };
                }
                1 => {
                    prop_assert_eq!(shard.delete(&name), is_live(own, *now_ms));
                    own.is_changed |= is_live(own, *now_ms);
                    own.ends_at = None;
                }
                2 if is_live(own, *now_ms) => {
                    expire_at(shard, &name, *now_ms as i64 + 10);
                    *own = Model { ends_at: Some(*now_ms + 10), is_changed: true, ..*own };
                }
                3 => {
                    *now_ms += 7;
                    shard.set_now_ms(*now_ms);
                }
                4 => {
                    prop_assert_eq!(shard.value(&name).is_some(), is_live(own, *now_ms));
                }
                5 => {
                    Shards::One(shard).flush();
                    for one in model {
                        one.is_changed |= is_live(one, *now_ms);
                        one.ends_at = None;
                    }
                }
                6 => {
                    shard.expire_due();
                    shard.commit();
                }
                _ => {}
            }
            Ok(())
        };
        for (step, key) in before {
            run(&mut shard, &mut model, &mut now_ms, step, key)?;
        }
        let seen: Vec<Seen> = (0..4u8).map(|key| shard.watch(&[b'k', key])).collect();
        for one in &mut model {
            *one = Model { is_changed: false, existed: one.ends_at.is_some_and(|at| at > now_ms), ..*one };
        }
        for (step, key) in after {
            run(&mut shard, &mut model, &mut now_ms, step, key)?;
            for (key, (seen, one)) in seen.iter().zip(&mut model).enumerate() {
                one.is_changed |= one.existed && one.ends_at.is_none_or(|at| at <= now_ms);
                prop_assert_eq!(shard.has_changed(&[b'k', key as u8], *seen), one.is_changed, "{} {:?}", key, one);
            }
        }
    }
}
