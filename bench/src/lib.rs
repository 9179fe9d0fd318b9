//! Shared by the benchmarks: the shape of a small write, shards to run commands on, an order of keys, and cores for
//! threads. The benchmarks are in `benches/`.

use keytide_engine::limits::ABSENT_STREAMS_DEFAULT;
use keytide_engine::position::{Position, ShardId};
use keytide_engine::ring;
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::Shard;
use keytide_engine::stream_name::Database;
use keytide_net::mesh::message::{Asker, ReplyForm};
use keytide_net::resp::Protocol;
use keytide_net::tracking::Caching;
use keytide_net::weight::Weight;
use std::sync::{Arc, LazyLock};

/// A small value.
pub const VALUE: [u8; 64] = [b'v'; 64];

/// The time of all benchmarks' writes, Unix milliseconds.
pub const NOW_MS: u64 = 1_790_000_000_000;

/// For whom commands run on another core.
pub const ASKER: Asker = Asker {
    form: ReplyForm::Whole(Protocol::Resp2),
    client: 1,
    database: Database::FIRST,
    caching: Caching::NONE,
    weight: Weight::Light,
};

/// The key with this number, 13 bytes long.
pub fn key(number: usize) -> String {
    format!("key:{number:09}")
}

/// An empty shard, the only one of its server, with a ring of this many bytes; 0 for none.
pub fn empty_shard(ring_bytes: u64) -> Shard {
    let sequencer = Arc::new(Sequencer::new(Position(1), 1));
    // No readers: the benchmarks with this shard do not measure any.
    let writer = (ring_bytes > 0).then(|| ring::create(ring_bytes).expect("memory for a bench").0);
    let mut shard = Shard::new(ShardId(0), sequencer, writer, ABSENT_STREAMS_DEFAULT);
    shard.set_now_ms(NOW_MS);
    shard
}

/// A shard after `fill` was called on it once for each of `keys`.
pub fn shard_of(keys: &[String], ring_bytes: u64, fill: impl Fn(&mut Shard, &[u8])) -> Shard {
    let mut shard = empty_shard(ring_bytes);
    for key in keys {
        fill(&mut shard, key.as_bytes());
        shard.commit();
    }
    shard
}

/// A shard in which all `keys` hold the string `value`.
pub fn shard_of_strings(keys: &[String], value: &[u8], ring_bytes: u64) -> Shard {
    shard_of(keys, ring_bytes, |shard, key| shard.set(key, value).expect("a short value"))
}

/// Keys in an order that is neither that of their creation nor short enough to stay in the cache.
pub struct Order<'a> {
    keys: &'a [String],
    at: usize,
}

impl<'a> Order<'a> {
    /// The order of these keys. All are visited before the first recurs if their number is a power of ten.
    pub fn new(keys: &'a [String]) -> Order<'a> {
        Order { keys, at: 0 }
    }

    /// The next key.
    #[inline]
    pub fn next_key(&mut self) -> &'a [u8] {
        // Odd and not a multiple of 5.
        self.at = (self.at + 61_803) % self.keys.len();
        self.keys[self.at].as_bytes()
    }
}

/// Read once, before any thread is pinned: for a pinned thread the system only lists its own core.
static CORES: LazyLock<Vec<core_affinity::CoreId>> =
    LazyLock::new(|| core_affinity::get_core_ids().unwrap_or_default());

/// The number of cores that this process may use; 0 if unknown.
pub fn cores() -> usize {
    CORES.len()
}

/// Pins the calling thread to one of the [`cores`]. Panics if there is no such core, or the system refuses: the figures
/// would mean something else.
pub fn pin(core: usize) {
    assert!(core < cores(), "needs {} cores, this process may use {}", core + 1, cores());
    assert!(core_affinity::set_for_current(CORES[core]), "the system refuses core {core}");
}
