//! Every form of a collection beside a plain model of it: whatever is done, both hold the same.

use super::*;
use crate::limits::SCAN_WHOLE_MAX;
use indexmap::{IndexMap, IndexSet};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;

/// Small bounds, so that a few steps cross them; in some the whole test stays on one side.
fn thresholds() -> impl Strategy<Value = Thresholds> {
    let most = || prop_oneof![Just(0u32), 1..12u32, Just(100_000)];
    let long = || prop_oneof![Just(0u32), Just(4), Just(64), Just(100_000)];
    let list = prop_oneof![-5..1i32, 1..10i32, Just(i32::MAX)];
    (most(), long(), most(), most(), long(), list, most(), long()).prop_map(
        |(hash_entries, hash_value, set_integers, set_entries, set_value, list_size, sorted_entries, sorted_value)| {
            Thresholds {
                hash_entries,
                hash_value,
                set_integers,
                set_entries,
                set_value,
                list_size,
                sorted_entries,
                sorted_value,
                ..Thresholds::default()
            }
        },
    )
}

/// Bytes of which few differ, so that they recur; of lengths around those at which a row's length takes more bytes.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0..6usize, 1 => 250..258usize, 1 => 500..520usize];
    let long = (length, 0..3u8).prop_map(|(length, byte)| vec![byte; length]);
    prop_oneof![3 => (0..30u8).prop_map(|n| n.to_string().into_bytes()), 1 => long]
}

/// Scores of which few differ, among them those that are equal though their bits are not.
fn score() -> impl Strategy<Value = f64> {
    let some = [0.0, -0.0, 1.0, 1.5, -7.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, 1_790_000_000_123.0, 3.15];
    prop_oneof![(0..some.len()).prop_map(move |at| some[at]), (0..5i32).prop_map(f64::from)]
}

/// The members in the order of a sorted set.
fn in_order(model: &IndexMap<Vec<u8>, f64>) -> Vec<(&[u8], f64)> {
    let mut pairs: Vec<(&[u8], f64)> = model.iter().map(|(member, score)| (&member[..], *score)).collect();
    pairs.sort_by(|(a, score), (b, other)| score.partial_cmp(other).expect("no NaN").then_with(|| a.cmp(b)));
    pairs
}

proptest! {
    #[test]
    fn a_sorted_set_is_the_map_of_its_scores_in_order(
        steps in vec((0..8u8, score(), bytes(), any::<usize>(), thresholds()), 1..150),
        fixed in proptest::option::of(thresholds()),
    ) {
        let (mut set, mut model) = (SortedValue::default(), IndexMap::<Vec<u8>, f64>::new());
        for (what, score, member, random, drawn) in steps {
            let thresholds = &fixed.unwrap_or(drawn);
            match what {
                0..5 => {
                    let old = model.insert(member.clone(), score);
                    prop_assert_eq!(set.set(score, &member, thresholds), old.is_none());
                }
                5 => prop_assert_eq!(set.remove(&member, thresholds), model.shift_remove(&member).is_some()),
                6 => {
                    let start = random % (model.len() + 1);
                    let end = (start + random / 1_000 % 4).min(model.len());
                    let gone: Vec<Vec<u8>> = in_order(&model)[start..end].iter().map(|pair| pair.0.to_vec()).collect();
                    set.remove_ranks(start..end, thresholds);
                    gone.iter().for_each(|member| _ = model.shift_remove(member));
                }
                _ => {
                    let refused = set.update(&member, thresholds, |old| if old.is_some() { Err(()) } else { Ok(None) });
                    prop_assert_eq!(refused.is_err(), model.contains_key(&member));
                }
            }
            let (view, pairs) = (set.view(), in_order(&model));
            prop_assert_eq!(view.len(), model.len());
            let bits = |(member, score): (&[u8], f64)| (member.to_vec(), score.to_bits());
            let expected: Vec<_> = pairs.iter().copied().map(bits).collect();
            prop_assert_eq!(view.iter().map(bits).collect::<Vec<_>>(), expected);
            let start = random % (model.len() + 1);
            prop_assert!(view.range(start..usize::MAX, false).eq(pairs[start..].iter().copied()));
            prop_assert!(view.range(0..start, true).eq(pairs[..start].iter().rev().copied()));
            prop_assert_eq!(view.range(start..model.len(), true).len(), model.len() - start);
            for (rank, (member, score)) in pairs.iter().enumerate() {
                let found = view.rank(member).map(|(rank, score)| (rank, score.to_bits()));
                prop_assert_eq!(found, Some((rank, score.to_bits())));
                prop_assert_eq!(view.score(member).map(f64::to_bits), Some(score.to_bits()));
            }
            prop_assert!(view.score(b"none").is_none() && view.rank(b"none").is_none());
            prop_assert_eq!(view.count_before(|_, other| other < score), pairs.iter().filter(|pair| pair.1 < score).count());
            let mut places: Vec<_> = (0..model.len()).map(|place| view.at(place).expect("a member").0.to_vec()).collect();
            places.sort_unstable();
            let mut members: Vec<_> = model.keys().cloned().collect();
            members.sort_unstable();
            prop_assert_eq!(places, members);
            prop_assert!(view.at(model.len()).is_none());
        }
    }

    #[test]
    fn a_hash_is_the_ordered_map_of_its_fields(
        steps in vec((0..5u8, bytes(), bytes(), thresholds()), 1..150),
        fixed in proptest::option::of(thresholds()),
    ) {
        let (mut hash, mut model) = (HashValue::default(), IndexMap::<Vec<u8>, Vec<u8>>::new());
        for (what, field, value, drawn) in steps {
            let thresholds = &fixed.unwrap_or(drawn);
            match what {
                0..3 => prop_assert_eq!(hash.set(&field, &value, thresholds), model.insert(field, value).is_none()),
                3 => prop_assert_eq!(hash.remove(&field, thresholds), model.shift_remove(&field).is_some()),
                _ => prop_assert_eq!(hash.view().get(&field), model.get(&field).map(Vec::as_slice)),
            }
            prop_assert_eq!(hash.allocated_bytes(), hash.walked_bytes());
            let view = hash.view();
            prop_assert_eq!(view.len(), model.len());
            // Never so many that a removal changes the order.
            prop_assert!(model.len() <= SCAN_WHOLE_MAX);
            prop_assert!(view.iter().eq(model.iter().map(|(field, value)| (&field[..], &value[..]))));
            prop_assert!(model.keys().all(|field| view.contains(field)));
            prop_assert_eq!(view.at(model.len()), None);
            let last = model.last().map(|(field, value)| (&field[..], &value[..]));
            prop_assert_eq!(view.at(model.len().wrapping_sub(1)), last);
        }
    }

    #[test]
    fn a_timed_hash_is_the_ordered_map_of_its_fields_and_their_ends(
        steps in vec((0..8u8, bytes(), bytes(), 1..20u64, thresholds()), 1..150),
        fixed in proptest::option::of(thresholds()),
    ) {
        let (mut hash, mut model) = (HashValue::timed(), IndexMap::<Vec<u8>, (Vec<u8>, Option<u64>)>::new());
        for (what, field, value, end, drawn) in steps {
            let thresholds = &fixed.unwrap_or(drawn);
            match what {
                0..3 => {
                    let old = model.get(&field).map(|old| old.1);
                    prop_assert_eq!(hash.set(&field, &value, thresholds), old.is_none());
                    model.insert(field, (value, old.flatten()));
                }
                3 => prop_assert_eq!(hash.remove(&field, thresholds), model.shift_remove(&field).is_some()),
                4 => {
                    let old = model.get_mut(&field).and_then(|old| old.1.take());
                    prop_assert_eq!(hash.clear_end(&field, thresholds), old.is_some());
                }
                _ => {
                    // Of a field that is there, if there is any.
                    let field = model.get_index(end as usize % model.len().max(1)).map_or(field, |row| row.0.clone());
                    prop_assert_eq!(hash.set_end(&field, end, thresholds), model.contains_key(&field));
                    model.get_mut(&field).into_iter().for_each(|old| old.1 = Some(end));
                }
            }
            prop_assert_eq!(hash.allocated_bytes(), hash.walked_bytes());
            let view = hash.view();
            let first = model.values().filter_map(|row| row.1).min();
            prop_assert_eq!(view.first_end().map(|row| row.1), first);
            prop_assert!(model.iter().all(|(field, row)| view.end(field) == row.1));
            let triples = || model.iter().map(|(field, (value, end))| {
                [field.clone(), value.clone(), end.unwrap_or(0).to_string().into_bytes()]
            });
            prop_assert!(view.triples().map(|row| row.map(|part| part.to_vec())).eq(triples()));
            prop_assert_eq!(view.places(), model.len());
            for now_ms in [0, 1, end, 20] {
                let live = view.live(now_ms);
                let is_seen = |row: &(Vec<u8>, Option<u64>)| row.1.is_none_or(|end| end > now_ms);
                let seen = || model.iter().filter(|(_, row)| is_seen(row)).map(|(field, row)| (&field[..], &row.0[..]));
                prop_assert!(live.iter().eq(seen()));
                prop_assert_eq!(live.len(), seen().count());
                prop_assert_eq!(live.has_ended(now_ms), live.is_empty() && !model.is_empty());
                for (place, (field, row)) in model.iter().enumerate() {
                    let value = is_seen(row).then_some(&row.0[..]);
                    prop_assert_eq!(live.get(field), value);
                    prop_assert_eq!(live.at(place), value.map(|value| (&field[..], value)));
                }
            }
        }
    }

    #[test]
    fn a_set_is_the_set_of_its_members(
        steps in vec((0..5u8, bytes(), any::<usize>(), thresholds()), 1..150),
        fixed in proptest::option::of(thresholds()),
    ) {
        let (mut set, mut model) = (SetValue::default(), IndexSet::<Vec<u8>>::new());
        for (what, member, random, drawn) in steps {
            let thresholds = &fixed.unwrap_or(drawn);
            match what {
                0..3 => prop_assert_eq!(set.insert(&member, thresholds), model.insert(member)),
                3 => prop_assert_eq!(set.remove(&member, thresholds), model.shift_remove(&member)),
                _ => {
                    let removed = set.remove_at(random % (model.len() + 1), thresholds);
                    prop_assert!(removed.is_none_or(|member| model.shift_remove(&member[..])));
                }
            }
            prop_assert_eq!(set.allocated_bytes(), set.walked_bytes());
            let view = set.view();
            prop_assert_eq!(view.len(), model.len());
            let members: IndexSet<Vec<u8>> = view.iter().map(|member| member.to_vec()).collect();
            prop_assert_eq!(members.len(), view.len());
            // Without their order.
            prop_assert_eq!(&members, &model);
            prop_assert!(model.iter().all(|member| view.contains(member)));
            prop_assert!(members.iter().enumerate().all(|(place, member)| *view.at(place).unwrap() == member[..]));
            prop_assert!(view.at(model.len()).is_none() && !view.contains(b"+1"));
        }
    }

    #[test]
    fn a_list_is_the_sequence_of_its_elements(
        steps in vec((0..16u8, bytes(), any::<usize>(), any::<usize>(), thresholds()), 1..150),
        fixed in proptest::option::of(thresholds()),
    ) {
        let (mut list, mut model) = (ListValue::default(), VecDeque::<Vec<u8>>::new());
        for (what, element, random, more, drawn) in steps {
            let thresholds = &fixed.unwrap_or(drawn);
            let index = random % (model.len() + 2);
            match what {
                0..4 => {
                    list.push(End::Tail, &element, thresholds);
                    model.push_back(element);
                }
                4..7 => {
                    list.push(End::Head, &element, thresholds);
                    model.push_front(element);
                }
                7 => prop_assert_eq!(list.pop(End::Tail, thresholds).map(|e| e.to_vec()), model.pop_back()),
                8 => prop_assert_eq!(list.pop(End::Head, thresholds).map(|e| e.to_vec()), model.pop_front()),
                9..11 => {
                    prop_assert_eq!(list.set(index, &element, thresholds), index < model.len());
                    model.get_mut(index).into_iter().for_each(|old| *old = element.clone());
                }
                11..14 => {
                    prop_assert_eq!(list.insert(index, &element, thresholds), index <= model.len());
                    if index <= model.len() {
                        model.insert(index, element);
                    }
                }
                14 => {
                    let (from, most) = (if more % 2 == 0 { End::Head } else { End::Tail }, 1 + more % 3);
                    let mut places: Vec<usize> = (0..model.len()).filter(|&at| model[at] == element).collect();
                    if from == End::Tail {
                        places.reverse();
                    }
                    places.truncate(most);
                    places.sort_unstable();
                    prop_assert_eq!(list.remove(from, most, &element, thresholds), places.len());
                    places.into_iter().rev().for_each(|at| _ = model.remove(at));
                }
                _ => {
                    let start = random % (model.len() + 1);
                    let end = start + more % (model.len() - start + 1);
                    list.keep(start..end, thresholds);
                    model = model.drain(start..end).collect();
                }
            }
            prop_assert_eq!(list.allocated_bytes(), list.walked_bytes());
            let view = list.view();
            prop_assert_eq!(view.len(), model.len());
            prop_assert!(view.iter().eq(model.iter().map(Vec::as_slice)));
            prop_assert!(view.iter_from(End::Tail).eq(model.iter().rev().map(Vec::as_slice)));
            prop_assert!((0..=model.len()).all(|at| view.at(at) == model.get(at).map(Vec::as_slice)));
            prop_assert_eq!(view.at_from(End::Tail, 0), model.back().map(Vec::as_slice));
            prop_assert_eq!(view.at_from(End::Head, 0), model.front().map(Vec::as_slice));
            prop_assert_eq!(view.at_from(End::Tail, model.len()), None);
            let start = random % (model.len() + 1);
            prop_assert!(view.range(start..model.len()).eq(model.range(start..).map(Vec::as_slice)));
        }
    }
}

/// So many steps that every form is reached and left again.
#[test]
fn a_large_collection_that_shrinks_becomes_compact_again_and_its_order_stays() {
    let thresholds = &Thresholds::default();
    let (mut hash, mut set, mut list) = (HashValue::default(), SetValue::default(), ListValue::default());
    let (mut sorted, mut rng) = (SortedValue::default(), fastrand::Rng::with_seed(1));
    assert_eq!(
        (hash.view().encoding(), set.view().encoding(), list.view().encoding()),
        ("listpack", "intset", "listpack")
    );
    for n in 0..3_000 {
        let name = format!("name:{n}").into_bytes();
        assert!(hash.set(&name, b"v", thresholds) && set.insert(&name, thresholds));
        list.push(End::Tail, &name, thresholds);
        assert!(sorted.set(rng.i32(-50..50).into(), &name, thresholds));
    }
    assert_eq!(sorted.view().encoding(), "skiplist");
    let forms = (hash.view().encoding(), set.view().encoding(), list.view().encoding());
    assert_eq!(forms, ("hashtable", "hashtable", "quicklist"));
    for n in 10..3_000 {
        let name = format!("name:{n}").into_bytes();
        assert!(hash.remove(&name, thresholds) && set.remove(&name, thresholds));
        assert!(sorted.remove(&name, thresholds) && sorted.view().score(&name).is_none());
        if n % 100 == 0 {
            let scores: Vec<f64> = sorted.view().iter().map(|pair| pair.1).collect();
            assert!(scores.is_sorted() && scores.len() == sorted.view().len());
            let ranks = sorted.view().iter().enumerate();
            assert!(ranks.into_iter().all(|(rank, (member, score))| sorted.view().rank(member) == Some((rank, score))));
        }
        assert_eq!(list.pop(End::Tail, thresholds).unwrap()[..], format!("name:{}", 3_009 - n).as_bytes()[..]);
    }
    let forms = (hash.view().encoding(), set.view().encoding(), list.view().encoding());
    assert_eq!(forms, ("listpack", "listpack", "listpack"));
    assert_eq!((sorted.view().encoding(), sorted.view().len()), ("listpack", 10));
    let names: Vec<String> = (0..10).map(|n| format!("name:{n}")).collect();
    assert!(list.view().iter().eq(names.iter().map(|name| name.as_bytes())));
    let mut fields: Vec<&[u8]> = hash.view().iter().map(|(field, _)| field).collect();
    fields.sort_unstable();
    assert!(fields.into_iter().eq(names.iter().map(|name| name.as_bytes())));
}

#[test]
fn the_words_for_the_forms_are_those_of_redis_at_its_bounds() {
    let thresholds = Thresholds::default();
    let mut set = SetValue::default();
    for n in 0..thresholds.set_integers {
        assert!(set.insert(n.to_string().as_bytes(), &thresholds));
    }
    assert_eq!(set.view().encoding(), "intset");
    assert!(set.insert(b"-1", &thresholds));
    assert_eq!(set.view().encoding(), "hashtable");
    let mut set = SetValue::default();
    assert!(set.insert(b"1", &thresholds) && set.insert(b"a", &thresholds));
    assert_eq!(set.view().encoding(), "listpack");
    assert!(set.insert(&vec![b'x'; thresholds.set_value as usize + 1], &thresholds));
    assert_eq!(set.view().encoding(), "hashtable");
    let mut hash = HashValue::default();
    for n in 0..thresholds.hash_entries {
        assert!(hash.set(n.to_string().as_bytes(), b"v", &thresholds));
    }
    assert_eq!(hash.view().encoding(), "listpack");
    assert!(!hash.set(b"0", &vec![b'x'; thresholds.hash_value as usize], &thresholds));
    assert_eq!(hash.view().encoding(), "listpack");
    assert!(!hash.set(b"0", &vec![b'x'; thresholds.hash_value as usize + 1], &thresholds));
    assert_eq!(hash.view().encoding(), "hashtable");
}
