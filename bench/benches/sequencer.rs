//! What the one order over all shards costs: a block of positions reserved and cleared, as every turn does, while the
//! other cores do the same; and the frontier, which every reader asks for. Others either do nothing else, which no
//! server does and is the worst there can be, or have a turn every [`PAUSE`]. Each thread has a core of its own.

use criterion::{Criterion, criterion_group, criterion_main};
use keytide_bench::{cores, pin};
use keytide_engine::position::{Position, ShardId};
use keytide_engine::sequencer::Sequencer;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// From one turn to the next of a core that is busy with small ones.
const PAUSE: Duration = Duration::from_micros(2);

/// Positions per turn.
const TURN: u64 = 16;

/// So many threads as there are to be measured: 1, 2 and one for each core.
fn thread_counts() -> Vec<usize> {
    let cores = cores().max(1);
    let mut counts = vec![1, 2.min(cores), cores];
    counts.dedup();
    counts
}

fn turn(sequencer: &Sequencer, shard: ShardId) -> Position {
    let first = sequencer.reserve(shard, TURN);
    sequencer.clear(shard);
    first
}

/// Runs `measure` on the first core while the shards from 1 on have their turns on the others.
fn beside(sequencer: &Sequencer, threads: usize, pause: Duration, measure: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    pin(0);
    thread::scope(|scope| {
        for number in 1..threads {
            let stop = &stop;
            scope.spawn(move || {
                pin(number);
                // Relaxed: nothing is passed on with it.
                while !stop.load(Ordering::Relaxed) {
                    black_box(turn(sequencer, ShardId(number as u16)));
                    let start = Instant::now();
                    while !pause.is_zero() && start.elapsed() < pause {
                        spin_loop();
                    }
                }
            });
        }
        measure();
        // Relaxed, as above.
        stop.store(true, Ordering::Relaxed);
    });
}

/// Beside so many others, and how they are busy.
fn surroundings() -> Vec<(String, usize, Duration)> {
    let mut all = vec![("alone".to_owned(), 1, Duration::ZERO)];
    for threads in thread_counts().into_iter().filter(|threads| *threads > 1) {
        let others = threads - 1;
        all.push((format!("beside {others} with a turn every {PAUSE:?}"), threads, PAUSE));
        all.push((format!("beside {others} that do nothing else"), threads, Duration::ZERO));
    }
    all
}

fn sequencer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sequencer");
    for (name, threads, pause) in surroundings() {
        let sequencer = Sequencer::new(Position(1), threads);
        beside(&sequencer, threads, pause, || {
            group.bench_function(format!("turn, {name}"), |bencher| bencher.iter(|| turn(&sequencer, ShardId(0))));
        });
        beside(&sequencer, threads, pause, || {
            group.bench_function(format!("frontier, {name}"), |bencher| bencher.iter(|| sequencer.frontier()));
        });
    }
    for shards in [16, 64] {
        let sequencer = Sequencer::new(Position(1), shards);
        group.bench_function(format!("frontier of {shards} idle shards"), |bencher| {
            bencher.iter(|| sequencer.frontier());
        });
    }
    group.finish();
}

criterion_group!(benches, sequencer);
criterion_main!(benches);
