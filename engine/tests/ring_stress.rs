//! The ring with real threads: a writer that laps its readers all the time, and readers that check every byte.
#![cfg(not(loom))]

use keytide_engine::event::EventType;
use keytide_engine::limits::unpublished_bytes_max;
use keytide_engine::position::{Position, Revision, RingOffset, ShardId};
use keytide_engine::ring::{Data, Draft, Record, Ring, RingWriter, create};
use keytide_engine::sequencer::Sequencer;
use std::thread;

const RECORDS: u64 = 1_000_000;

/// Bytes that follow from the number: their count too.
fn content(number: u64) -> Vec<u8> {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..mixed % 150).map(|i| (mixed >> (i % 57)) as u8).collect()
}

fn append(writer: &mut RingWriter, number: u64) {
    let (key, data) = (number.to_le_bytes(), content(number));
    let draft = Draft::new(EventType::Set, &key, Data::One(&data));
    writer.append(&Draft { revision: Revision(number), timestamp_ms: !number, ..draft });
}

/// Numbers from 0, in turns of one record to `most`, as far as they fit, at positions from 1.
fn write(mut writer: RingWriter, most: u64) {
    /// No record is longer.
    const RECORD_BYTES_MAX: u64 = 208;
    let mut number = 0;
    while number < RECORDS {
        let first = number;
        for _ in 0..first % most + 1 {
            if writer.unpublished_bytes() + RECORD_BYTES_MAX > unpublished_bytes_max(writer.capacity()) {
                break;
            }
            append(&mut writer, number);
            number += 1;
        }
        writer.stamp(Position(first + 1));
        writer.publish();
    }
}

/// The record's number, once every byte of it is as it should be.
fn number(record: &Record<'_>) -> u64 {
    let number = u64::from_le_bytes(record.key().try_into().unwrap());
    assert_eq!((record.position().0, record.revision().0, record.timestamp_ms()), (number + 1, number, !number));
    assert_eq!(record.data_bytes(), content(number));
    number
}

/// Reads to the end; what it does not see, it was told about. Answers how often it was lapped and what it read.
fn follow(ring: Ring, budget: usize) -> (u64, u64) {
    let mut reader = ring.reader();
    let (mut from, mut lapped, mut read) = (RingOffset(0), 0, 0);
    // The next record's number; after a lap, the least that it can be.
    let (mut next, mut exactly) = (0, true);
    while next < RECORDS {
        match reader.read(from, budget) {
            Ok(batch) => {
                from = batch.end();
                for record in batch {
                    let number = number(&record);
                    // What was evicted is told before the head moves: a reader may still find some of what it was told is
                    // lost.
                    if !exactly && number < next {
                        continue;
                    }
                    // After a lap some may be missing, but only if they are gone for good.
                    let gone = || !exactly && ring.evicted_through().is_some_and(|through| through.0 > next);
                    assert!(number == next || number > next && gone(), "{number} after {next}, and no word of a lap");
                    (next, exactly, read) = (number + 1, true, read + 1);
                }
            }
            Err(gap) => {
                // Positions are numbers and one: the first record that may be left has this number.
                let left = gap.evicted_through.0;
                assert!(left > next || !exactly, "lapped, but nothing was lost");
                (next, exactly, lapped) = (left.max(next), false, lapped + 1);
                // The search runs while the ring goes on: it must not end too late either.
                from = if lapped % 2 == 0 { reader.seek(Position(left + 1)) } else { gap.head };
            }
        }
    }
    (lapped, read)
}

#[test]
fn readers_that_are_lapped_all_the_time_never_see_a_wrong_byte() {
    // Small turns, and turns that take nearly all of the ring.
    for most in [8, 64] {
        let (writer, ring) = create(4096).unwrap();
        let readers = [100, 1500].map(|budget| {
            let ring = ring.clone();
            thread::spawn(move || follow(ring, budget))
        });
        write(writer, most);
        for reader in readers {
            let (lapped, read) = reader.join().unwrap();
            println!("lapped {lapped} times, read {read} of {RECORDS}");
        }
    }
}

#[test]
fn two_shards_hold_everything_below_the_frontier() {
    const TURNS: u64 = 20_000;
    let sequencer = Sequencer::new(Position(1), 2);
    // Large enough to be lapped by nobody.
    let (writers, rings): (Vec<_>, Vec<_>) = (0..2).map(|_| create(8 << 20).unwrap()).unzip();
    thread::scope(|scope| {
        for (shard, mut writer) in writers.into_iter().enumerate() {
            let (shard, sequencer) = (ShardId(shard as u16), &sequencer);
            scope.spawn(move || {
                for turn in 0..TURNS {
                    (0..turn % 3 + 1).for_each(|_| _ = writer.append(&Draft::new(EventType::Del, b"k", Data::None)));
                    writer.stamp(sequencer.reserve(shard, writer.unstamped_records()));
                    writer.publish();
                    sequencer.clear(shard);
                }
            });
        }
        let mut readers: Vec<_> = rings.iter().map(Ring::reader).collect();
        let mut cursors = [RingOffset(0); 2];
        let (mut ahead, mut next) = (Vec::new(), 1);
        let end = 2 * (0..TURNS).map(|turn| turn % 3 + 1).sum::<u64>() + 1;
        while next < end {
            let frontier = sequencer.frontier();
            for (reader, cursor) in readers.iter_mut().zip(&mut cursors) {
                let batch = reader.read(*cursor, 16 << 20).unwrap();
                *cursor = batch.end();
                ahead.extend(batch.map(|record| record.position().0));
            }
            ahead.sort_unstable();
            let below = ahead.partition_point(|position| *position < frontier.0);
            for position in ahead.drain(..below) {
                assert_eq!(position, next, "a hole below the frontier {frontier}");
                next += 1;
            }
            assert!(next >= frontier.0, "{next} is below the frontier {frontier} and not there");
        }
    });
}
