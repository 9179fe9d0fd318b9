//! The matcher of a shard: what one record costs with so many live filters, on records that were just written, 64 in a
//! turn. The keys are `key:000000012345`, 100,000 of them, at random; the resembling ones look like what `regexes.txt`
//! is about. The targets:
//!
//! - `prefixes`: at 10,000 at most 3 × of 10, and at most 40 ns;
//! - `regexes`: well below the 340 ns that a SET takes at pipeline 16;
//! - `change`: microseconds, with 10,000 present.
//!
//! Regexes that are too expensive are demoted while the shard warms up, as in the server; how many is printed, and the
//! longest pauses in processor time while 1,000 are added one after another under load.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keytide_bench::{NOW_MS, VALUE};
use keytide_engine::clock::thread_cpu_ns;
use keytide_engine::event::EventType;
use keytide_engine::filter::{Filter, Pattern, Target};
use keytide_engine::interest::{Interest, Source};
use keytide_engine::matcher::Matcher;
use keytide_engine::position::{Position, Revision, RingOffset, ShardId};
use keytide_engine::ring::{Data, Draft, Record, create};
use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: keytide_net::allocator::Allocator = keytide_net::allocator::Allocator;

const KEYS: usize = 100_000;

/// Records per turn.
const TURN: usize = 64;

/// What executing one record's command takes beside the matching.
const COMMAND: Duration = Duration::from_nanos(340);

/// Turns that the shard warms up for, each key coming some twenty times.
const WARM_UP: usize = 20 * KEYS / TURN;

fn interest(pattern: Pattern) -> Arc<Interest> {
    Arc::new(Interest { source: Source::All, filter: Filter::new(Target::Stream, pattern, false) })
}

fn prefix(text: &str) -> Arc<Interest> {
    interest(Pattern::prefixes([text.as_bytes()]).expect("a prefix"))
}

fn regexes(list: impl IntoIterator<Item = String>) -> Vec<Arc<Interest>> {
    list.into_iter().map(|regex| interest(Pattern::regex(regex.as_bytes()).expect("a regex"))).collect()
}

fn the_list() -> Vec<Arc<Interest>> {
    regexes(include_str!("../regexes.txt").lines().filter(|line| !line.starts_with('#')).map(String::from))
}

fn anchored() -> Vec<Arc<Interest>> {
    regexes((0..1000).map(|n| format!("^user:[0-9]+:{n:03x}$")))
}

/// Without any literal text that would tell names apart, and with counts that multiply states.
fn hostile() -> Vec<Arc<Interest>> {
    let one = |n: usize| {
        let (from, to) = (n % 7 + 1, n % 23 + 8);
        format!("(a|b|ab)*[0-9]{{{from},{to}}}[x0]y?.*[0-9]{{{}}}", n % 11)
    };
    regexes((0..1000).map(one))
}

fn key(number: usize) -> String {
    format!("key:{number:012}")
}

fn resembling(number: usize) -> String {
    match number % 4 {
        0 => format!("user:{number:08}:{:03x}", number * 7 % 4096),
        1 => format!("session:{number:06}:paid:{:03}", number % 1000),
        2 => format!("order:{number}:open:7{:02x}", number % 256),
        _ => key(number),
    }
}

/// Records as they lie in a ring, asked for at random, a turn at a time.
struct Load {
    records: Vec<Box<[u8]>>,
    turn: Vec<Vec<u8>>,
    random: fastrand::Rng,
}

impl Load {
    fn new(name: impl Fn(usize) -> String) -> Load {
        let (mut writer, _ring) = create(64 << 20).expect("memory for a bench");
        let record = |number: usize| {
            let key = name(number);
            let draft = Draft {
                revision: Revision(1),
                timestamp_ms: NOW_MS,
                ..Draft::new(EventType::Set, key.as_bytes(), Data::One(&VALUE))
            };
            let offset = writer.append(&draft);
            writer.stamp(Position(number as u64 + 1));
            writer.publish();
            writer.record_at(offset).expect("just appended").bytes().into()
        };
        Load {
            records: (0..KEYS).map(record).collect(),
            turn: vec![Vec::new(); TURN],
            random: fastrand::Rng::with_seed(7),
        }
    }

    /// Has the next turn's records in the nearest cache, as those are that were just written.
    fn next(&mut self) {
        for record in &mut self.turn {
            record.clear();
            record.extend_from_slice(&self.records[self.random.usize(..KEYS)]);
        }
    }

    fn record(&self, index: usize) -> Option<Record<'_>> {
        self.turn.get(index).map(|bytes| Record::parse(bytes, RingOffset(0)).expect("a record"))
    }
}

/// A turn; answers how many were demoted.
fn turn(matcher: &mut Matcher, load: &Load, found: &mut Vec<u32>, demoted: &mut Vec<u32>) -> usize {
    /// So many records before it is needed the memory is asked for.
    const AHEAD: usize = 4;
    for index in 0..TURN {
        if let Some(later) = load.record(index + AHEAD) {
            matcher.prefetch(&later);
        }
        if let Some(record) = load.record(index) {
            matcher.find(&record, found);
            black_box(&found);
        }
    }
    matcher.end_turn(demoted);
    demoted.len()
}

/// Waits as long as the commands of a turn take.
fn execute() {
    let start = Instant::now();
    while start.elapsed() < COMMAND * TURN as u32 {
        spin_loop();
    }
}

/// A matcher with these, added one in `every` turns, and warm. Prints what happened meanwhile.
fn warm(name: &str, interests: &[Arc<Interest>], load: &mut Load, every: usize) -> Matcher {
    let mut matcher = Matcher::new(ShardId(0));
    let (mut found, mut demoted) = (Vec::new(), Vec::new());
    let (mut gone, mut add_max, mut turn_max, mut long) = (0, 0, 0, 0);
    let mut waiting = interests.iter().enumerate();
    for number in 0..interests.len() * every + WARM_UP {
        load.next();
        let start = thread_cpu_ns();
        if number.is_multiple_of(every)
            && let Some((number, interest)) = waiting.next()
        {
            matcher.add(number as u32, interest.clone());
            add_max = add_max.max(thread_cpu_ns() - start);
        }
        let start = thread_cpu_ns();
        gone += turn(&mut matcher, load, &mut found, &mut demoted);
        let took = thread_cpu_ns() - start;
        (turn_max, long) = (turn_max.max(took), long + usize::from(took > 500_000));
        execute();
    }
    println!(
        "{name}: {gone} demoted of {}; longest add {} µs, longest turn {} µs, {long} turns above 500 µs",
        interests.len(),
        add_max / 1000,
        turn_max / 1000
    );
    matcher
}

/// Measures turns, with the time of the commands between them left out.
fn measure(c: &mut Criterion, group: &str, name: &str, matcher: &mut Matcher, load: &mut Load) {
    let (mut found, mut demoted) = (Vec::new(), Vec::new());
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Elements(TURN as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|turns| {
            let mut took = Duration::ZERO;
            for _ in 0..turns {
                load.next();
                let start = Instant::now();
                turn(matcher, load, &mut found, &mut demoted);
                took += start.elapsed();
                execute();
            }
            took
        });
    });
}

fn prefixes(c: &mut Criterion) {
    let mut load = Load::new(key);
    for count in [0, 10, 10_000] {
        let mut matcher = Matcher::new(ShardId(0));
        (0..count).for_each(|n| matcher.add(n, prefix(&format!("key:0000000999{n:05}"))));
        measure(c, "matcher/prefixes", &count.to_string(), &mut matcher, &mut load);
        if count == 10_000 {
            let one = prefix("key:000000099900000x");
            c.bench_function("matcher/change/a prefix added and removed", |bencher| {
                bencher.iter(|| {
                    matcher.add(count, one.clone());
                    matcher.remove(count);
                });
            });
        }
    }
    // All over the keys that are written, each a byte longer than a key.
    let mut matcher = Matcher::new(ShardId(0));
    (0..10_000).for_each(|n| matcher.add(n, prefix(&format!("{}x", key(n as usize * 7919 % KEYS)))));
    measure(c, "matcher/prefixes", "10000 among the keys", &mut matcher, &mut load);
}

fn regex_sets(c: &mut Criterion) {
    let (mut plain, mut like) = (Load::new(key), Load::new(resembling));
    let sets = [
        ("1000 anchored", anchored(), false),
        ("the list", the_list(), false),
        ("1000 anchored, resembling keys", anchored(), true),
        ("the list, resembling keys", the_list(), true),
        ("1000 hostile", hostile(), false),
    ];
    for (name, interests, resembles) in sets {
        let load = if resembles { &mut like } else { &mut plain };
        let mut matcher = warm(name, &interests, load, 40);
        measure(c, "matcher/regexes", name, &mut matcher, load);
    }
    let one = regexes(["^order:[0-9]+:paid$".to_owned()]).remove(0);
    let mut matcher = Matcher::new(ShardId(0));
    the_list().into_iter().enumerate().for_each(|(number, interest)| matcher.add(number as u32, interest));
    c.bench_function("matcher/change/a regex added and removed", |bencher| {
        bencher.iter(|| {
            matcher.add(5_000, one.clone());
            matcher.remove(5_000);
        });
    });
}

criterion_group!(benches, prefixes, regex_sets);
criterion_main!(benches);
