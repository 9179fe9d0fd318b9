//! The ring's shared words, in every order of memory accesses that loom can tell apart: two laps of one producer, two
//! readers. Run by `scripts/loom`.
#![cfg(loom)]

use keytide_engine::position::{Position, RingOffset};
use keytide_engine::ring::words::Words;
use loom::sync::Arc;
use loom::thread;

/// Records here are two words: which one it is, then a word that follows from it.
const RECORD_BYTES: u64 = 16;

fn second_word(number: u64) -> u64 {
    !number << 8
}

/// Appends and publishes `records` records one by one, each with its number from 1 as its position.
fn produce(words: &Words, records: u64) {
    for number in 1..=records {
        let start = (number - 1) * RECORD_BYTES;
        let end = start + RECORD_BYTES;
        if end > words.capacity() {
            let head = end - words.capacity();
            words.evict(RingOffset(head), Position(head / RECORD_BYTES));
        }
        words.store(RingOffset(start), &[number, second_word(number)]);
        words.publish(RingOffset(end));
    }
}

/// Reads all that is published from `from` on; every record is whole and the right one. Answers where to go on.
fn consume(words: &Words, from: RingOffset) -> RingOffset {
    let tail = words.tail();
    if tail <= from {
        return from;
    }
    let mut bytes = vec![0; (tail.0 - from.0) as usize];
    match words.copy(from, &mut bytes) {
        Ok(()) => {
            for (index, record) in bytes.chunks_exact(RECORD_BYTES as usize).enumerate() {
                let number = from.0 / RECORD_BYTES + index as u64 + 1;
                let word = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap());
                assert_eq!((word(0), word(8)), (number, second_word(number)));
            }
            tail
        }
        Err(lapped) => {
            assert!(lapped.head > from);
            assert!(lapped.evicted_through.0 >= lapped.head.0 / RECORD_BYTES, "{lapped:?}");
            lapped.head
        }
    }
}

/// Two laps round a ring of `ring_records` records, beside so many readers that read so many times each.
fn two_laps(ring_records: u64, readers: usize, reads: usize) {
    loom::model(move || {
        let words = Arc::new(Words::new(ring_records * RECORD_BYTES).unwrap());
        let readers: Vec<_> = (0..readers)
            .map(|_| {
                let words = words.clone();
                thread::spawn(move || {
                    (0..reads).fold(RingOffset(0), |from, _| consume(&words, from));
                })
            })
            .collect();
        produce(&words, 2 * ring_records);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn two_readers_never_take_a_torn_or_overwritten_record_over_two_laps() {
    two_laps(1, 2, 1);
}

#[test]
fn a_reader_that_reads_on_never_takes_a_torn_or_overwritten_record() {
    two_laps(2, 1, 3);
}

#[test]
fn the_bounds_fit_each_other_while_the_writer_goes_on() {
    loom::model(|| {
        let words = Arc::new(Words::new(2 * RECORD_BYTES).unwrap());
        let reader = {
            let words = words.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    let bounds = words.bounds();
                    assert!(bounds.head <= bounds.tail);
                    let through = bounds.evicted_through.map_or(0, |position| position.0);
                    assert!(through >= bounds.head.0 / RECORD_BYTES);
                }
            })
        };
        produce(&words, 5);
        reader.join().unwrap();
    });
}
