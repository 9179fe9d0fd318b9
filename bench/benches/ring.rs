//! The ring beside a bare copy of the same bytes: appending, and reading in sequence.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keytide_bench::{VALUE, key};
use keytide_engine::event::EventType;
use keytide_engine::position::{Position, Revision, RingOffset};
use keytide_engine::ring::{Data, Draft, Ring, RingWriter, create, record_bytes};
use std::hint::black_box;

/// Records per turn, as pipelining makes them.
const TURN: usize = 64;

/// Keys and values of one turn, each where it happens to lie, as in the buffers of connections.
fn turn_of_inputs() -> Vec<(Vec<u8>, Vec<u8>)> {
    black_box((0..TURN).map(|number| (key(number).into_bytes(), VALUE.to_vec())).collect())
}

fn draft<'a>(number: usize, (key, value): &'a (Vec<u8>, Vec<u8>)) -> Draft<'a> {
    Draft {
        event_type: EventType::Set,
        custom_type: b"",
        key,
        data: Data::One(value),
        meta: None,
        id: None,
        json: false,
        revision: Revision(number as u64),
        timestamp_ms: 1_790_000_000_000,
        back_link: RingOffset(number as u64 * 8),
    }
}

/// The same bytes into a plain buffer that goes round: header, key, value, each with one copy.
struct Bare {
    bytes: Vec<u8>,
    end: usize,
}

impl Bare {
    fn append(&mut self, number: usize, (key, value): &(Vec<u8>, Vec<u8>)) {
        let length = record_bytes(key.len(), value.len()) as usize;
        if self.end + length > self.bytes.len() {
            self.end = 0;
        }
        let out = &mut self.bytes[self.end..self.end + length];
        let lengths = (key.len() | value.len() << 32) as u64;
        let header = [length as u64, 0, 1_790_000_000_000, number as u64, number as u64 * 8, lengths];
        for (word, out) in header.iter().zip(out.chunks_exact_mut(8)) {
            out.copy_from_slice(&word.to_le_bytes());
        }
        out[48..48 + key.len()].copy_from_slice(key);
        out[48 + key.len()..][..value.len()].copy_from_slice(value);
        self.end += length;
    }

    fn turn(&mut self, inputs: &[(Vec<u8>, Vec<u8>)]) {
        inputs.iter().enumerate().for_each(|(number, input)| self.append(number, input));
    }
}

/// One turn: appended, stamped and published.
fn turn(writer: &mut RingWriter, inputs: &[(Vec<u8>, Vec<u8>)]) {
    for (number, input) in inputs.iter().enumerate() {
        writer.append(&draft(number, input));
    }
    // Any position will do that is beyond the last one.
    writer.stamp(Position(writer.tail().0 + 1));
    writer.publish();
}

/// A ring gone round once and a half, so that every append overwrites.
fn full(capacity: u64, inputs: &[(Vec<u8>, Vec<u8>)]) -> (RingWriter, Ring) {
    let (mut writer, ring) = create(capacity).expect("memory for a bench");
    while writer.end().0 < capacity + capacity / 2 {
        turn(&mut writer, inputs);
    }
    (writer, ring)
}

fn append(c: &mut Criterion) {
    let inputs = turn_of_inputs();
    for (name, capacity) in [("64MiB", 64 << 20), ("64KiB", 64 << 10)] {
        let mut group = c.benchmark_group(format!("append/{name}"));
        group.throughput(Throughput::Elements(TURN as u64));
        let mut bare = Bare { bytes: vec![1; capacity], end: 0 };
        group.bench_function("bare copy", |b| b.iter(|| bare.turn(&inputs)));
        let (mut writer, _ring) = full(capacity as u64, &inputs);
        group.bench_function("ring", |b| b.iter(|| turn(&mut writer, &inputs)));
        group.finish();
    }
}

fn read(c: &mut Criterion) {
    const BATCH: usize = 32 << 10;
    let capacity = 64 << 20;
    let inputs = turn_of_inputs();
    let (_writer, ring) = full(capacity, &inputs);
    let mut group = c.benchmark_group("read/64MiB");
    group.throughput(Throughput::Elements(BATCH as u64 / record_bytes(key(0).len(), VALUE.len())));
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
            let batch = reader.read(from, BATCH).expect("nobody writes");
            from = batch.end();
            batch.fold(0, |sum, record| sum ^ record.position().0 ^ record.key().len() as u64)
        })
    });
    let mut position_near = |offset: RingOffset| {
        let batch = reader.read(offset, 1280).expect("nobody writes");
        batch.last().map_or(0, |record| record.position().0)
    };
    let (head, tail) = (ring.head().0, ring.tail().0);
    let near = [("head", head), ("middle", head + (tail - head) / 256 * 128), ("tail", tail - 1280)];
    let near = near.map(|(name, offset)| (name, position_near(RingOffset(offset))));
    for (name, sought) in near {
        group.throughput(Throughput::Elements(10));
        group.bench_function(format!("seek and read ten near the {name}"), |b| {
            b.iter(|| {
                let from = reader.seek(Position(black_box(sought)));
                reader.read(from, 1280).expect("nobody writes").map(|record| record.position().0).sum::<u64>()
            })
        });
    }
    group.finish();
}

criterion_group!(benches, append, read);
criterion_main!(benches);
