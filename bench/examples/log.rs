//! What recording to a log costs a SET, beside recording in memory. Both take turns in one process, some milliseconds
//! each, so that it hardly matters what else the machine does: what is printed are medians over all slices. For trying
//! variants of the log: each is a line in `main`.
//!
//! `cargo run --release -p keytide-bench --example log -- DIR [SECONDS]`: DIR is made, and removed
//! afterwards.

use keytide_bench::{NOW_MS, Order, VALUE, empty_shard, key, pin};
use keytide_engine::limits::{COMMANDS_AHEAD, RING_BYTES_DEFAULT, turn_bytes_max};
use keytide_engine::log::storage::{RealStorage, Storage};
use keytide_engine::log::{Fsync, LogFailure, LogIdentity, LogOptions};
use keytide_engine::position::{Position, ShardId};
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::{LentShard, Shard};
use keytide_engine::store::recovery::{RecoveryOptions, Trust};
use keytide_engine::store::restore::restore;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: keytide_net::allocator::Allocator = keytide_net::allocator::Allocator;

const KEYS: usize = 100_000;

/// As with 50 connections at pipeline 16.
const TURN: usize = 800;

/// How many turns a variant has before the next one's.
const TURNS: usize = 10;

/// What a turn's commands and replies take on their way, beside the shard's work.
const TURN_INPUT_BYTES: usize = TURN * 120;

struct Variant {
    name: &'static str,
    shard: Shard,
    ns: Vec<f64>,
}

fn logged(name: &'static str, directory: PathBuf) -> Variant {
    std::fs::create_dir_all(&directory).expect("a directory for a log");
    let identity = LogIdentity { directory, generation: 1, shard: ShardId(0), shards: 1 };
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let opening = RecoveryOptions { trust: Trust::All, note_cut: &|_| Ok(()) };
    let restored = restore(identity, &*storage, opening, 0, |_| {}).expect("an empty directory");
    let sequencer = Arc::new(Sequencer::new(Position(1), 1));
    let options = LogOptions {
        fsync: Fsync::Os,
        segment_bytes: 64 << 20,
        turn_bytes: turn_bytes_max(RING_BYTES_DEFAULT),
        retain_bytes: 256 << 20,
        retain_ms: None,
    };
    let (LentShard(mut shard), _) = restored
        .start(&storage, options, (&sequencer, &LogFailure::default()), RING_BYTES_DEFAULT)
        .expect("room for a log");
    shard.set_now_ms(NOW_MS);
    Variant { name, shard: *shard, ns: Vec::new() }
}

impl Variant {
    /// The nanoseconds of a SET.
    fn slice(&mut self, order: &mut Order<'_>, buffers: &mut [Vec<u8>; 2]) -> f64 {
        let begin = Instant::now();
        for _ in 0..TURNS {
            let [from, to] = &mut *buffers;
            to.copy_from_slice(from);
            std::hint::black_box(&to);
            for _ in 0..TURN / COMMANDS_AHEAD {
                let keys: [&[u8]; COMMANDS_AHEAD] = std::array::from_fn(|_| order.next_key());
                self.shard.prefetch(keys.into_iter());
                for key in keys {
                    self.shard.begin_command();
                    self.shard.set(key, &VALUE).expect("it is small");
                }
            }
            self.shard.commit();
        }
        let ns = begin.elapsed().as_nanos() as f64 / (TURNS * TURN) as f64;
        if let Some(log) = self.shard.turn().log() {
            // No snapshot is to be kept.
            let status = log.keeper().status();
            status.raise_floor(status.written());
            while self.shard.check_log().is_err() {
                std::thread::sleep(Duration::from_millis(10));
                self.shard.set_now_ms(self.shard.turn().now_ms() + 1_000);
            }
        }
        ns
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("a directory is expected");
    let seconds = arguments.next().map_or(20, |text| text.parse().expect("a number of seconds is expected"));
    // All of it is removed in the end.
    std::fs::create_dir(&directory).expect("a directory is expected that is not there yet");
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    let memory = Variant { name: "memory", shard: empty_shard(RING_BYTES_DEFAULT), ns: Vec::new() };
    let mut variants = vec![memory, logged("log, os", Path::new(&directory).join("os"))];
    variants.iter().for_each(|variant| variant.shard.prefault().expect("memory for a ring"));
    // After the logs' threads were made: those may go where they like.
    pin(0);
    let (mut order, mut rng) = (Order::new(&keys), fastrand::Rng::with_seed(1));
    let mut buffers = [vec![1; TURN_INPUT_BYTES], vec![0; TURN_INPUT_BYTES]];
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let mut turns: Vec<&mut Variant> = variants.iter_mut().collect();
        rng.shuffle(&mut turns);
        for variant in turns {
            // The first slice brings its own memory into the cache.
            variant.slice(&mut order, &mut buffers);
            let ns = variant.slice(&mut order, &mut buffers);
            variant.ns.push(ns);
        }
    }
    let memory = variants[0].ns.clone();
    for variant in &mut variants {
        let mut more: Vec<f64> = variant.ns.iter().zip(&memory).map(|(ns, memory)| ns - memory).collect();
        println!("{:16} {:6.1} ns a SET, {:+6.1}", variant.name, median(&mut variant.ns), median(&mut more));
    }
    drop(variants);
    std::fs::remove_dir_all(&directory).expect("it was made above");
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
