//! The ring beside a bare copy of the same record, in the form that the ring uses, and beside `CdcRing` of the crate
//! `kora_cdc`, on the same data: keys of 13 bytes, values of 64, both rings full and going round. The targets:
//!
//! - `append`: `ring` at most 1.3 × `bare copy`, and at most 0.6 × `CdcRing, copies included`;
//! - `read`: `ring` at most 0.3 × `CdcRing`;
//! - `poll`, as CDCPOLL reads: by position and filtered, merged up to the frontier: at most 0.3 × `CdcRing` too.
//!
//! A turn of the ring has its positions reserved and is published, as in the server.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use keytide_bench::{NOW_MS, VALUE, key};
use keytide_engine::event::EventType;
use keytide_engine::filter::Filter;
use keytide_engine::history::{History, Request};
use keytide_engine::position::{Position, Revision, RingOffset, ShardId};
use keytide_engine::ring::{Data, Draft, Ring, RingWriter, create, record_bytes};
use keytide_engine::sequencer::Sequencer;
use kora_cdc::ring::{CdcEvent, CdcOp, CdcRing};
use std::hint::black_box;
use std::sync::Arc;

/// The server's, and kind to `CdcRing`, which takes two blocks from it for every event. Kora's server runs on the
/// system's: `--features system-allocator`.
#[cfg(not(feature = "system-allocator"))]
#[global_allocator]
static ALLOCATOR: keytide_net::allocator::Allocator = keytide_net::allocator::Allocator;

/// Records per turn, as pipelining makes them.
const TURN: usize = 64;

/// Events per read.
const READ: usize = 256;

const ONE: ShardId = ShardId(0);

type Input = (Vec<u8>, Vec<u8>);

/// Keys and values of one turn, each where it happens to lie, as in the buffers of connections.
fn turn_of_inputs() -> Vec<Input> {
    black_box((0..TURN).map(|number| (key(number).into_bytes(), VALUE.to_vec())).collect())
}

fn event_bytes() -> u64 {
    record_bytes(key(0).len(), VALUE.len())
}

/// The same bytes into a plain buffer that goes round: header, key, value, each with one copy.
struct Bare {
    bytes: Vec<u8>,
    end: usize,
}

impl Bare {
    fn append(&mut self, number: usize, (key, value): &Input) {
        let length = record_bytes(key.len(), value.len()) as usize;
        if self.end + length > self.bytes.len() {
            self.end = 0;
        }
        let out = &mut self.bytes[self.end..self.end + length];
        let lengths = (key.len() | value.len() << 32) as u64;
        let header = [length as u64, 0, NOW_MS, number as u64, number as u64 * 8, lengths];
        for (word, out) in header.iter().zip(out.chunks_exact_mut(8)) {
            out.copy_from_slice(&word.to_le_bytes());
        }
        out[48..48 + key.len()].copy_from_slice(key);
        out[48 + key.len()..][..value.len()].copy_from_slice(value);
        self.end += length;
    }

    fn turn(&mut self, inputs: &[Input]) {
        inputs.iter().enumerate().for_each(|(number, input)| self.append(number, input));
    }
}

/// Our ring, gone round once and a half, so that every append overwrites.
struct Ours {
    writer: RingWriter,
    ring: Ring,
    sequencer: Arc<Sequencer>,
}

impl Ours {
    fn full(capacity: u64, inputs: &[Input]) -> Ours {
        let (writer, ring) = create(capacity).expect("memory for a bench");
        let mut ours = Ours { writer, ring, sequencer: Arc::new(Sequencer::new(Position(1), 1)) };
        while ours.writer.end().0 < capacity + capacity / 2 {
            ours.turn(inputs);
        }
        ours
    }

    /// One turn: appended, stamped and published.
    fn turn(&mut self, inputs: &[Input]) {
        self.begin_turn(inputs);
        self.writer.publish();
        self.sequencer.clear(ONE);
    }

    fn begin_turn(&mut self, inputs: &[Input]) {
        for (number, (key, value)) in inputs.iter().enumerate() {
            self.writer.append(&Draft {
                revision: Revision(number as u64),
                timestamp_ms: NOW_MS,
                back_link: RingOffset(number as u64 * 8),
                ..Draft::new(EventType::Set, key, Data::One(value))
            });
        }
        self.writer.stamp(self.sequencer.reserve(ONE, inputs.len() as u64));
    }
}

/// A `CdcRing` for as many events as our ring has room for, gone round once and a half.
fn full_cdc(capacity: u64, inputs: &[Input]) -> CdcRing {
    let events = capacity / event_bytes();
    let mut ring = CdcRing::new(events as usize);
    while ring.write_seq() < events + events / 2 {
        cdc_turn(&mut ring, &mut inputs.to_vec());
    }
    ring
}

fn cdc_turn(ring: &mut CdcRing, inputs: &mut Vec<Input>) {
    inputs.drain(..).for_each(|(key, value)| ring.push(CdcOp::Set, key, Some(value), NOW_MS));
}

/// What a reader does with an event: looks at all that it is made of.
fn look(position: u64, timestamp_ms: u64, key: &[u8], value: &[u8]) -> u64 {
    let last = |bytes: &[u8]| bytes.last().map_or(0, |byte| u64::from(*byte));
    position ^ timestamp_ms ^ key.len() as u64 ^ last(key) ^ value.len() as u64 ^ last(value)
}

fn look_at_cdc(event: &CdcEvent) -> u64 {
    look(event.seq, event.timestamp_ms, &event.key, event.value.as_deref().unwrap_or_default())
}

fn append(c: &mut Criterion) {
    let inputs = turn_of_inputs();
    for (name, capacity) in [("64MiB", 64 << 20), ("64KiB", 64 << 10)] {
        let mut group = c.benchmark_group(format!("append/{name}"));
        group.throughput(Throughput::Elements(TURN as u64));
        let mut bare = Bare { bytes: vec![1; capacity], end: 0 };
        group.bench_function("bare copy", |b| b.iter(|| bare.turn(&inputs)));
        let mut ours = Ours::full(capacity as u64, &inputs);
        group.bench_function("ring", |b| b.iter(|| ours.turn(&inputs)));
        drop(ours);
        let mut cdc = full_cdc(capacity as u64, &inputs);
        // It keeps what it is given, so whoever still needs key and value has to make copies: part of its price.
        group.bench_function("CdcRing, copies included", |b| {
            b.iter(|| {
                inputs.iter().for_each(|(key, value)| cdc.push(CdcOp::Set, key.clone(), Some(value.clone()), NOW_MS))
            })
        });
        // The freeing of what is overwritten stays included: it happens in `push`.
        group.bench_function("CdcRing, copies made beforehand", |b| {
            let push = |mut inputs: Vec<Input>| {
                cdc_turn(&mut cdc, &mut inputs);
                inputs
            };
            b.iter_batched(|| inputs.clone(), push, BatchSize::PerIteration)
        });
        group.finish();
    }
}

/// The checksums of a turn's records, before they go into the log.
fn seal(c: &mut Criterion) {
    let mut ours = Ours::full(64 << 20, &turn_of_inputs());
    ours.begin_turn(&turn_of_inputs());
    let mut group = c.benchmark_group("seal/64MiB");
    group.throughput(Throughput::Elements(TURN as u64));
    group.bench_function("ring", |b| b.iter(|| ours.writer.seal()));
    group.finish();
}

fn read(c: &mut Criterion) {
    let batch = READ * event_bytes() as usize;
    let capacity = 64 << 20;
    let inputs = turn_of_inputs();
    let Ours { ring, writer: _writer, .. } = Ours::full(capacity, &inputs);
    let mut group = c.benchmark_group("read/64MiB");
    group.throughput(Throughput::Elements(READ as u64));
    let source = vec![1u8; capacity as usize];
    let (mut scratch, mut at) = (vec![0u8; batch], 0);
    group.bench_function("bare copy", |b| {
        b.iter(|| {
            at = if at + batch > source.len() { 0 } else { at };
            scratch.copy_from_slice(&source[at..at + batch]);
            at += batch;
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
            let batch = reader.read(from, batch).expect("nobody writes");
            from = batch.end();
            batch.fold(0, |sum, record| {
                sum ^ look(record.position().0, record.timestamp_ms(), record.key(), record.data_bytes())
            })
        })
    });
    let cdc = full_cdc(capacity, &inputs);
    let mut from = cdc.start_seq();
    group.bench_function("CdcRing", |b| {
        b.iter(|| {
            if from >= cdc.write_seq() {
                from = cdc.start_seq();
            }
            let batch = cdc.read(from, READ);
            from = batch.next_seq;
            batch.events.iter().fold(0, |sum, event| sum ^ look_at_cdc(event))
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

fn poll(c: &mut Criterion) {
    let capacity = 64 << 20;
    let inputs = turn_of_inputs();
    let Ours { ring, sequencer, writer: _writer } = Ours::full(capacity, &inputs);
    let mut history = History::new(sequencer, &[ring]);
    let filter = Filter::default();
    let cdc = full_cdc(capacity, &inputs);
    for count in [10, 100, 1000] {
        let mut group = c.benchmark_group(format!("poll/{count}"));
        group.throughput(Throughput::Elements(count as u64));
        let mut cursor = history.first_available();
        group.bench_function("ring", |b| {
            b.iter(|| {
                if cursor >= history.frontier() {
                    cursor = history.first_available();
                }
                let mut sum = 0;
                let request = Request { cursor, count, bytes: u64::MAX, filter: &filter };
                let page = history.read(&request, |_, record| {
                    sum ^= look(record.position().0, record.timestamp_ms(), record.key(), record.data_bytes());
                    1
                });
                cursor = page.expect("the cursor is no further than the frontier").next;
                sum
            })
        });
        let mut cursor = cdc.start_seq();
        group.bench_function("CdcRing", |b| {
            b.iter(|| {
                if cursor >= cdc.write_seq() {
                    cursor = cdc.start_seq();
                }
                let page = cdc.read(cursor, count);
                cursor = page.next_seq;
                page.events.iter().fold(0, |sum, event| sum ^ look_at_cdc(event))
            })
        });
        group.finish();
    }
}

criterion_group!(benches, append, seal, read, poll);
criterion_main!(benches);
