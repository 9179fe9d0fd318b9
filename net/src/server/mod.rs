//! What all cores share: the configuration, the order of events, the rings, and a few counters. Everything here is
//! either never changed after the start or an atomic that is documented beside it.

mod clients;
mod databases;
mod default_acls;
mod figures;
mod memory;
mod pause;
mod thresholds;

pub use default_acls::SharedDefaultAcls;
pub use figures::{STATS, Stat};
pub use memory::MemoryUse;
pub use pause::{Pause, SharedPause};
pub use thresholds::SharedThresholds;

use crate::access::Users;
use crate::accounts::Accounts;
use crate::command::statistics::{CommandStatistics, Totals};
use crate::config::Config;
use crate::descriptors::Descriptors;
use crate::keyspace_events::SharedClasses;
use crate::limits::TRANSACTION_REPLY_BYTES_MIN;
use crate::memory::{MemoryWatch, SharedClientsLimit};
use crate::port::{Port, ProtocolKind, TransportKind};
use crate::scripting::ScriptTexts;
use crate::slow_log::SlowLog;
use crate::snapshots::{Board, Order};
use crate::tls::TlsIdentity;
use crate::tracking::SharedTracking;
use crate::unread::SharedSubscriberLimit;
use crate::wake::Waker;
use crossbeam_utils::CachePadded;
use figures::Figures;
use keytide_engine::eviction::Pool;
use keytide_engine::history::{OlderHistory, ShardHistory};
use keytide_engine::keyspace::DatabaseKeys;
use keytide_engine::log::LogFailure;
use keytide_engine::log::keeper::LogStatus;
use keytide_engine::matcher::BuilderThread;
use keytide_engine::position::ShardId;
use keytide_engine::ring::Ring;
use keytide_engine::sequencer::Sequencer;
use keytide_engine::stream_name::Database;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock};

/// The server, as every core sees it.
pub struct Server {
    /// What was configured.
    pub config: Config,
    /// Who may do what.
    pub users: Users,
    /// Memory that clients have the server keep.
    pub accounts: Accounts,
    /// The order of all events.
    pub sequencer: Arc<Sequencer>,
    /// The history of each shard; none where recording is off.
    pub histories: Vec<ShardHistory>,
    /// What shards of other numbers have recorded before, the oldest first.
    pub older: Vec<OlderHistory>,
    /// Whether a log has failed; nothing where everything is kept in memory.
    pub log_failure: Option<LogFailure>,
    /// Where clients connect, Redis clients first. Every core has a listener for each port, in this order.
    pub ports: Vec<Port>,
    /// The thread that compiles regexes, so that no core has to; none where the system had none left.
    pub builder: Option<BuilderThread>,
    /// When the server started, Unix milliseconds.
    pub started_ms: u64,
    /// The identity for TLS; none where it is not served.
    pub tls: Option<Arc<TlsIdentity>>,
    /// Names this history: a cursor from another one means nothing here. 40 hexadecimal digits.
    pub history_id: String,
    /// What is on disk; none where all is in memory.
    pub on_disk: Option<OnDisk>,
    /// Whether there is memory for commands that may use more.
    pub memory: Arc<MemoryWatch>,
    /// The rights of streams whose metadata does not say.
    pub default_acls: SharedDefaultAcls,
    /// The limit of memory, of which the shards claim parts.
    pub pool: Arc<Pool>,
    /// How much the buffers of all clients may take.
    pub clients_limit: SharedClientsLimit,
    /// Up to which size collections are stored compactly.
    pub thresholds: SharedThresholds,
    /// The figures that each core publishes, on cache lines of its own.
    pub cores: Vec<CachePadded<CoreShared>>,
    /// The number that the next client gets.
    next_client: AtomicU64,
    /// How many clients are connected to all cores.
    clients: AtomicU64,
    /// How many may be.
    maxclients: AtomicU64,
    /// How many bytes of output a client may leave unread.
    client_output_bytes: AtomicU64,
    /// How long, in seconds, a client may take nothing of more.
    output_stall_seconds: AtomicU64,
    /// The texts of all scripts.
    pub scripts: ScriptTexts,
    /// How much subscribers to channels may leave unread.
    pub pubsub_output: SharedSubscriberLimit,
    /// The classes of keyspace notifications that are published.
    pub keyspace_events: SharedClasses,
    /// Until when no commands run.
    pub pause: SharedPause,
    /// The commands that took long.
    pub slow_log: SlowLog,
    /// Client-side caching.
    pub tracking: Arc<SharedTracking>,
    /// How many of them have not given the password.
    pub(crate) strangers: AtomicU64,
    /// How open files are divided; none where nobody has divided them.
    pub(crate) descriptors: Option<Descriptors>,
    /// What the figures were when CONFIG RESETSTAT was last asked for.
    stats_base: Figures,
    /// What the cores had counted of commands when CONFIG RESETSTAT was last asked for.
    commands_base: Mutex<Totals>,
    /// The most memory that was in use whenever it was looked at, in bytes.
    memory_peak: AtomicU64,
    longest_turn_us: AtomicU64,
    stopping: AtomicBool,
    /// How many cores have nothing left to do before they stop.
    through: AtomicU64,
}

/// What a server keeps, in memory or in a directory.
pub struct Kept {
    /// The order of all events.
    pub sequencer: Arc<Sequencer>,
    /// The history of each shard; none where recording is off.
    pub histories: Vec<ShardHistory>,
    /// What shards of other numbers have recorded before, the oldest first.
    pub older: Vec<OlderHistory>,
    /// Whether a log has failed; nothing where everything is kept in memory.
    pub log_failure: Option<LogFailure>,
    /// Names the history. 40 hexadecimal digits.
    pub history_id: String,
    /// What is on disk; none where all is in memory.
    pub on_disk: Option<OnDisk>,
}

/// What a server that keeps its history on disk knows of it.
pub struct OnDisk {
    /// The log of each shard.
    pub logs: Vec<LogStatus>,
    /// How many records the start has replayed.
    pub replayed: u64,
    /// What is asked of all shards, and what they have come to.
    pub board: Board,
    /// Takes what is to be written of snapshots.
    pub orders: Sender<Order>,
    /// How many shards there are.
    pub shards: u16,
    /// How many bytes a shard logs from one snapshot to the next.
    pub snapshot_bytes: u64,
    /// How many snapshots of each shard are kept.
    pub snapshots: usize,
}

/// The figures that one core publishes.
#[derive(Default)]
pub struct CoreShared {
    waker: OnceLock<Waker>,
    /// Whether the core has readers that wait for something to be published.
    waits: AtomicBool,
    stats: Figures,
    /// What the core has counted of each command.
    commands: CommandStatistics,
    /// Its clients.
    clients: clients::Clients,
    /// The databases beside the first that have keys here.
    databases: Mutex<Vec<(Database, DatabaseKeys)>>,
}

impl Server {
    /// A server about to start.
    pub fn new(config: Config, users: Users, kept: Kept, ports: Vec<Port>) -> Server {
        let Kept { sequencer, histories, older, log_failure, history_id, on_disk } = kept;
        let accounts = Accounts::new(&config.memory);
        let pool = Pool::new(config.shards);
        pool.set_policy(config.maxmemory.policy);
        pool.set_limit(config.maxmemory.bytes);
        let clients_limit = SharedClientsLimit::default();
        clients_limit.set(config.maxmemory.clients);
        Server {
            default_acls: SharedDefaultAcls::default(),
            maxclients: AtomicU64::new(config.maxclients),
            client_output_bytes: AtomicU64::new(config.client_output_bytes),
            pubsub_output: SharedSubscriberLimit::new(config.pubsub_output),
            keyspace_events: SharedClasses::new(config.keyspace_events),
            pause: SharedPause::default(),
            slow_log: SlowLog::new(config.slow_log.0, config.slow_log.1),
            tracking: Arc::new(SharedTracking::new(config.tracking_table_max_keys)),
            output_stall_seconds: AtomicU64::new(config.output_stall_seconds),
            stats_base: Default::default(),
            commands_base: Mutex::default(),
            memory_peak: AtomicU64::new(0),
            longest_turn_us: AtomicU64::new(0),
            memory: Arc::default(),
            pool: Arc::new(pool),
            clients_limit,
            thresholds: SharedThresholds::default(),
            users,
            scripts: ScriptTexts::new(accounts.scripts.clone()),
            accounts,
            cores: (0..config.shards).map(|_| CachePadded::default()).collect(),
            config,
            sequencer,
            histories,
            older,
            log_failure,
            ports,
            builder: BuilderThread::start(),
            started_ms: keytide_engine::clock::steady_millis(),
            tls: None,
            history_id,
            on_disk,
            next_client: AtomicU64::new(1),
            clients: AtomicU64::new(0),
            strangers: AtomicU64::new(0),
            descriptors: None,
            stopping: AtomicBool::new(false),
            through: AtomicU64::new(0),
        }
    }

    /// Serves TLS with this identity.
    pub fn with_tls(self, tls: Option<Arc<TlsIdentity>>) -> Server {
        Server { tls, ..self }
    }

    /// Where Redis clients connect over TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        let is_tls = |port: &&Port| (port.transport, port.protocol) == (TransportKind::Tls, ProtocolKind::Resp);
        self.ports.iter().find(is_tls).map(|port| port.address)
    }

    /// Where Redis clients connect without TLS.
    pub fn plain_address(&self) -> Option<SocketAddr> {
        let is_plain = |port: &&Port| (port.transport, port.protocol) == (TransportKind::Plain, ProtocolKind::Resp);
        self.ports.iter().find(is_plain).map(|port| port.address)
    }

    /// Where clients of KurrentDB connect, and those of HTTP.
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.ports.iter().find(|port| port.protocol == ProtocolKind::Web).map(|port| port.address)
    }

    /// Where Redis clients connect; over TLS where they can only do so.
    pub fn address(&self) -> SocketAddr {
        self.ports[0].address
    }

    /// How many shards, and cores, there are.
    #[inline]
    pub fn shards(&self) -> u16 {
        self.cores.len() as u16
    }

    /// The ring of each shard; none where recording is off.
    pub fn rings(&self) -> Vec<Ring> {
        self.histories.iter().map(|history| history.ring().clone()).collect()
    }

    /// Whether changes are recorded.
    pub fn is_recording(&self) -> bool {
        !self.histories.is_empty()
    }

    /// Counts a client in and numbers it, unless there are as many as may be.
    pub fn admit_client(&self) -> Option<u64> {
        // Relaxed, all three: they count, and order nothing.
        if self.clients.fetch_add(1, Ordering::Relaxed) >= self.maxclients() {
            self.clients.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(self.next_client.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts a client out.
    pub fn dismiss_client(&self) {
        // Relaxed: as above.
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many clients are connected.
    pub fn client_count(&self) -> u64 {
        // Relaxed: as above.
        self.clients.load(Ordering::Relaxed)
    }

    /// How many clients may be connected.
    pub fn maxclients(&self) -> u64 {
        // Relaxed: a number by itself; a client that connects at the same moment may see either.
        self.maxclients.load(Ordering::Relaxed)
    }

    /// The same, with no more clients than there are descriptors for.
    pub(crate) fn with_descriptors(mut self, descriptors: Descriptors) -> Server {
        self.set_maxclients(descriptors.maxclients);
        self.descriptors = Some(descriptors);
        self
    }

    /// The most clients that there are descriptors for.
    pub fn clients_max(&self) -> u64 {
        self.descriptors.map_or(u64::MAX, |descriptors| descriptors.clients_max)
    }

    /// How open files are divided; none where nobody has divided them.
    pub(crate) fn descriptors(&self) -> Option<Descriptors> {
        self.descriptors
    }

    /// Changes how many clients may be connected. Those that are stay.
    pub fn set_maxclients(&self, count: u64) {
        // Relaxed: as above.
        self.maxclients.store(count, Ordering::Relaxed);
    }

    /// How many bytes of output a client may leave unread; `u64::MAX` where only all clients' together are bounded.
    pub fn client_output_bytes(&self) -> u64 {
        // Relaxed: a number by itself; a core that sees the old one for a turn more does no harm.
        self.client_output_bytes.load(Ordering::Relaxed)
    }

    /// How long, in seconds, a stalled client may take nothing before it is closed; 0 = for ever.
    pub fn output_stall_seconds(&self) -> u64 {
        // Relaxed: as above.
        self.output_stall_seconds.load(Ordering::Relaxed)
    }

    /// How many bytes the reply of a transaction may have: as many as a client may leave unread, and fewer where all
    /// clients' output is near its limit.
    pub fn reply_bytes_max(&self) -> usize {
        let room = self.config.clients_output_bytes.saturating_sub(self.total(Stat::OutputBytes));
        room.max(TRANSACTION_REPLY_BYTES_MIN).min(self.client_output_bytes()) as usize
    }

    /// Changes both.
    pub fn set_client_output(&self, bytes: u64, seconds: u64) {
        // Relaxed, both: as above.
        self.client_output_bytes.store(bytes, Ordering::Relaxed);
        // Relaxed: as above.
        self.output_stall_seconds.store(seconds, Ordering::Relaxed);
    }

    /// Lets the others wake this core.
    pub fn set_waker(&self, core: ShardId, waker: Waker) {
        // A core sets its own waker, once, when it starts: a second one would be ignored.
        let _ = self.cores[core.0 as usize].waker.set(waker);
    }

    /// Wakes a core, after something for it was published.
    #[inline]
    pub fn wake(&self, core: ShardId) {
        if let Some(waker) = self.cores[core.0 as usize].waker.get() {
            waker.wake();
        }
    }

    /// Sets whether a core has readers that wait for publications. Set before the core parks: the full fence of
    /// parking orders it before the core reads the frontier for the last time.
    pub fn set_waits(&self, core: ShardId, waits: bool) {
        let told = &self.cores[core.0 as usize].waits;
        // Relaxed: ordered by the fence in `ParkFlag::announce`, paired with the one in `wake_waiting`. Only this core
        // stores to it, and only what is new: the others read it at every publication.
        if told.load(Ordering::Relaxed) != waits {
            told.store(waits, Ordering::Relaxed);
        }
    }

    /// Wakes the other cores whose readers wait, after this one has published.
    #[inline]
    pub fn wake_waiting(&self, publisher: ShardId) {
        if self.cores.len() == 1 {
            return;
        }
        // Pairs with the fence of parking: either that core's last read of the frontier sees what was published, or this sees that it
        // waits.
        std::sync::atomic::fence(Ordering::SeqCst);
        for (index, core) in self.cores.iter().enumerate() {
            // Relaxed: see above.
            if index != publisher.0 as usize && core.waits.load(Ordering::Relaxed) {
                self.wake(ShardId(index as u16));
            }
        }
    }

    /// Asks every shard for a snapshot; answers the request's number. None where a request is under way, or nothing is
    /// on disk.
    pub fn request_snapshots(&self) -> Option<u64> {
        let request = self.on_disk.as_ref()?.board.request()?;
        (0..self.shards()).for_each(|core| self.wake(ShardId(core)));
        Some(request)
    }

    /// Asks all cores to stop.
    pub fn stop(&self) {
        // Relaxed: it says only that they shall stop; waking orders it before their next look.
        self.stopping.store(true, Ordering::Relaxed);
        (0..self.shards()).for_each(|core| self.wake(ShardId(core)));
    }

    /// Whether the server is stopping.
    #[inline]
    pub fn is_stopping(&self) -> bool {
        // Relaxed: see above.
        self.stopping.load(Ordering::Relaxed)
    }

    /// Says, once, that a stopping core has nothing left to do. The last one wakes the others, which may go then: until
    /// then they answer what is asked of their shards.
    pub fn note_through(&self) {
        // Relaxed: a number; waking orders it before the others' next look.
        if self.through.fetch_add(1, Ordering::Relaxed) + 1 == self.cores.len() as u64 {
            (0..self.shards()).for_each(|core| self.wake(ShardId(core)));
        }
    }

    /// Whether all cores have nothing left to do.
    pub fn all_are_through(&self) -> bool {
        // Relaxed: as above.
        self.through.load(Ordering::Relaxed) == self.cores.len() as u64
    }
}
