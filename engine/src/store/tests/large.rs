//! A command that records more than a turn that commits early: in the log it is whole, or it is not there.

use super::power::wait_for_room;
use super::{
    Scratch, events, eventually, found, found_with, identity, options, start, start_with, state_at, trusting, unsynced,
    written_lines,
};
use crate::error::Refusal;
use crate::keyspace::entry::End;
use crate::log::Fsync;
use crate::log::recording::{Fault, RecordingStorage};
use crate::log::segment::{HEADER_BYTES, segment_path};
use crate::log::storage::Storage;
use crate::position::RingOffset;
use crate::shard::{ExpireCondition, Shard};
use crate::shards::Shards;
use crate::store::recovery::Trust;
use crate::store::restore::restore;
use std::path::PathBuf;
use std::sync::Arc;

#[test]
fn of_a_large_change_a_killed_process_leaves_all_or_nothing() {
    let scratch = Scratch::new("log-large");
    let (mut shard, _, _) = start(found(&scratch.0).unwrap(), Fsync::Os);
    let mut states = vec![(RingOffset(0), written_lines(&shard))];
    let element = vec![b'e'; 1_000];
    // A small change, many records that take most of what one command may, and go into the second segment, and one record
    // that does, with two that belong to it.
    for n in 0..6u8 {
        shard.begin_command();
        match n {
            0 => shard.set(b"before", &[1; 20_000]).unwrap(),
            1 => drop(shard.push(b"list", End::Tail, std::iter::repeat_n(&element[..], 44)).unwrap()),
            2 => drop(shard.expire_at(b"list", 9_000, ExpireCondition::default()).unwrap()),
            3 => drop(Shards::One(&mut shard).rename(b"list", b"live", false).unwrap()),
            4 => drop(shard.pop_many(b"live", End::Head, 44).unwrap()),
            _ => shard.set(b"after", b"").unwrap(),
        }
        shard.commit();
        states.push((shard.published().unwrap().tail, written_lines(&shard)));
    }
    let segments = shard.turn().log().unwrap().segments().list().1;
    let bases: Vec<u64> = segments.iter().map(|segment| segment.base.0).collect();
    assert!(states[1].0.0 < bases[1] && bases[1] < states[2].0.0, "{bases:?}: a command goes over two segments");
    let paths: Vec<PathBuf> = segments.iter().map(|segment| segment.path.clone()).collect();
    drop((shard, segments));
    let whole: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let end = states.last().unwrap().0.0;
    let near = |at: u64| at.saturating_sub(9)..(at + 10).min(end);
    let ends = states.iter().map(|(at, _)| at.0).chain(bases.iter().copied()).flat_map(near);
    // The system takes a write page by page.
    let pages = (0..end).filter(|at| segment_of(&bases, *at).1.is_multiple_of(4096)).map(|at| (at, Trust::Written));
    let any = (0..end).step_by(997).chain(ends).map(|at| (at, Trust::Synced));
    for (at, trust) in pages.chain(any) {
        let into = Scratch::new("log-large-cut");
        for ((path, bytes), base) in paths.iter().zip(&whole).zip(&bases) {
            // What is behind it was never written, the header of a segment that begins there neither.
            let written = at.checked_sub(*base).map_or(0, |used| (HEADER_BYTES + used) as usize).min(bytes.len());
            let mut left = bytes[..written].to_vec();
            left.resize(bytes.len(), 0);
            std::fs::write(into.0.join(path.file_name().unwrap()), left).unwrap();
        }
        let restored = restore(identity(&into.0), &*unsynced(), trusting(trust), usize::MAX, |_| {});
        let restored = restored.unwrap_or_else(|error| panic!("cut at {at}: {error}"));
        // Zeros that were not written are there all the same.
        let byte_at = |at: u64| {
            let (segment, place) = segment_of(&bases, at);
            whole[segment][(HEADER_BYTES + place) as usize]
        };
        let at = (at..end).find(|at| byte_at(*at) != 0).unwrap_or(end);
        let expected = state_at(&states, RingOffset(at));
        assert_eq!(&written_lines(restored.shard()), expected, "cut at {at}");
        // What was cut off does not come back.
        let (shard, history, sequencer) = start(restored, Fsync::Os);
        assert_eq!(&written_lines(&shard), expected, "cut at {at}");
        let whole_end = states[states.partition_point(|(end, _)| end.0 <= at) - 1].0;
        assert_eq!(shard.history_end(), whole_end, "cut at {at}");
        drop(events(&history, &sequencer, 0));
    }
}

/// The segment in which an offset lies, and where behind its header.
fn segment_of(bases: &[u64], at: u64) -> (usize, u64) {
    let segment = bases.partition_point(|base| *base <= at) - 1;
    (segment, at - bases[segment])
}

#[test]
fn on_a_full_disk_a_change_that_records_much_is_refused_and_a_small_one_is_not() {
    let scratch = Scratch::new("log-full-large");
    let recording = Arc::new(RecordingStorage::new(&scratch.0).unwrap());
    let storage: Arc<dyn Storage> = recording.clone();
    let (mut shard, _, _) = start_with(found_with(&scratch.0, &*storage).unwrap(), &storage, options(Fsync::Os));
    // The second segment is made beforehand, and the third cannot be.
    eventually("the second segment", || segment_path(&scratch.0, 2).exists());
    recording.set_fault(Fault::Full);
    shard.set_now_ms(1_000);
    // Until the second one has room for any turn but not for this change.
    let large = vec![b'v'; 45_000];
    let has_less_room = |shard: &Shard| {
        let segments = shard.turn().log().unwrap().segments().list().1;
        segments.len() == 2 && segments[1].limit().0 - shard.history_end().0 <= 44_000
    };
    while !has_less_room(&shard) {
        wait_for_room(&mut shard);
        shard.begin_command();
        shard.set(b"key", &[1; 1000]).unwrap();
        shard.commit();
    }
    let lines = written_lines(&shard);
    wait_for_room(&mut shard);
    shard.begin_command();
    let refused = shard.push(b"large", End::Tail, [&large[..]].into_iter());
    assert!(matches!(refused, Err(Refusal::NoLogRoom { .. })), "{refused:?}");
    assert!(!shard.turn().is_dirty() && written_lines(&shard) == lines);
    wait_for_room(&mut shard);
    shard.set(b"key", &[2; 1000]).unwrap();
    assert!(shard.commit() && !shard.turn().has_failed());
    recording.set_fault(Fault::None);
    shard.set_now_ms(11_000);
    shard.begin_command();
    assert_eq!(shard.push(b"large", End::Tail, [&large[..]].into_iter()), Ok(1));
    assert!(shard.commit());
    let lines = written_lines(&shard);
    drop(shard);
    assert_eq!(written_lines(found(&scratch.0).unwrap().shard()), lines);
}
