//! The ring beside a bare copy of the same bytes: appending, and reading in sequence. Records as small writes make
//! them: a key of 13 bytes, a value of 64.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keytide_engine::event::EventType;
use keytide_engine::position::{Position, Revision, RingOffset};
use keytide_engine::ring::{Data, Draft, RingWriter, create};
use std::hint::black_box;

const KEY: &[u8] = b"key:000012345";
const VALUE: [u8; 64] = [7; 64];
/// Records per turn, as pipelining makes them.
const TURN: u64 = 64;

fn draft(number: u64) -> Draft<'static> {
    Draft {
        revision: Revision(number),
        timestamp_ms: 1_790_000_000_000,
        back_link: RingOffset(number * 8),
        ..Draft::new(EventType::Set, black_box(KEY), Data::One(black_box(&VALUE)))
    }
}

/// The same bytes into a plain buffer that goes round: header, key, value, each with one copy.
struct Bare {
    bytes: Vec<u8>,
    end: usize,
}

impl Bare {
    fn append(&mut self, number: u64) {
        let draft = draft(number);
        let length = draft.record_bytes() as usize;
        if self.end + length > self.bytes.len() {
            self.end = 0;
        }
        let out = &mut self.bytes[self.end..self.end + length];
        let header = [length as u64, 0, draft.timestamp_ms, draft.revision.0, draft.back_link.0, 13 | 64 << 32];
        for (word, out) in header.iter().zip(out.chunks_exact_mut(8)) {
            out.copy_from_slice(&word.to_le_bytes());
        }
        out[48..48 + 13].copy_from_slice(black_box(KEY));
        out[61..61 + 64].copy_from_slice(black_box(&VALUE));
        self.end += length;
    }
}

fn turn(writer: &mut RingWriter, position: &mut u64) {
    for number in 0..TURN {
        writer.append(&draft(number));
    }
    writer.stamp(Position(*position));
    *position += TURN;
    writer.publish();
}

fn append(c: &mut Criterion) {
    for (name, capacity) in [("64MiB", 64 << 20), ("64KiB", 64 << 10)] {
        let mut group = c.benchmark_group(format!("append/{name}"));
        group.throughput(Throughput::Elements(TURN));
        let mut bare = Bare { bytes: vec![1; capacity], end: 0 };
        group.bench_function("bare copy", |b| b.iter(|| (0..TURN).for_each(|number| bare.append(number))));
        let (mut writer, _ring) = create(capacity as u64).unwrap();
        let mut position = 1;
        while writer.end().0 < capacity as u64 {
            turn(&mut writer, &mut position);
        }
        group.bench_function("ring", |b| b.iter(|| turn(&mut writer, &mut position)));
        group.finish();
    }
}

fn read(c: &mut Criterion) {
    let capacity = 64 << 20;
    let (mut writer, ring) = create(capacity).unwrap();
    let mut position = 1;
    while writer.end().0 < capacity + capacity / 2 {
        turn(&mut writer, &mut position);
    }
    const BATCH: usize = 32 << 10;
    let records = (BATCH as u64) / draft(0).record_bytes();
    let mut group = c.benchmark_group("read/64MiB");
    group.throughput(Throughput::Elements(records));
    let source = vec![1u8; capacity as usize];
    let (mut scratch, mut at) = (vec![0u8; BATCH], 0);
    group.bench_function("bare copy", |b| {
        b.iter(|| {
            at = if at + BATCH > source.len() { 0 } else { at };
            scratch.copy_from_slice(&source[at..at + BATCH]);
            at += BATCH;
            black_box(&mut scratch);
        })
    });
    let mut reader = ring.reader();
    let mut from = ring.head();
    group.bench_function("ring", |b| {
        b.iter(|| {
            if from >= ring.tail() {
                from = ring.head();
            }
            let batch = reader.read(from, BATCH).unwrap();
            from = batch.end();
            batch.fold(0, |sum, record| sum ^ record.position().0 ^ record.key().len() as u64)
        })
    });
    let (first, last) = (reader.record_at(ring.head()).unwrap().unwrap().position().0, position);
    for (name, sought) in [("head", first + 5), ("middle", (first + last) / 2), ("tail", last - 50)] {
        group.throughput(Throughput::Elements(10));
        group.bench_function(format!("seek and read ten near the {name}"), |b| {
            b.iter(|| {
                let from = reader.seek(Position(black_box(sought)));
                reader.read(from, 1280).unwrap().map(|record| record.position().0).sum::<u64>()
            })
        });
    }
    group.finish();
}

criterion_group!(benches, append, read);
criterion_main!(benches);
