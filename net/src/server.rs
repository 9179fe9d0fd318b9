//! What all cores share: the configuration, the order of events, the rings, and a few counters. Everything here is
//! either never changed after the start or an atomic that is documented beside it.

use crate::access::Users;
use crate::accounts::Accounts;
use crate::command::statistics::{CommandStatistics, Totals};
use crate::config::Config;
use crate::descriptors::Descriptors;
use crate::limits::TRANSACTION_REPLY_BYTES_MIN;
use crate::memory::MemoryWatch;
use crate::port::Port;
use crate::rate::Rate;
use crate::snapshots::{Board, Order};
use crate::wake::Waker;
use crossbeam_utils::CachePadded;
use keytide_engine::history::{OlderHistory, ShardHistory};
use keytide_engine::log::LogFailure;
use keytide_engine::log::keeper::LogStatus;
use keytide_engine::matcher::BuilderThread;
use keytide_engine::position::ShardId;
use keytide_engine::ring::Ring;
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::Shard;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

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
    /// Names this history: a cursor from another one means nothing here. 40 hexadecimal digits.
    pub history_id: String,
    /// What is on disk; none where all is in memory.
    pub on_disk: Option<OnDisk>,
    /// Whether there is memory for commands that may use more.
    pub memory: Arc<MemoryWatch>,
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
    /// How many of them have not given the password.
    pub(crate) strangers: AtomicU64,
    /// How open files are divided; none where nobody has divided them.
    pub(crate) descriptors: Option<Descriptors>,
    /// What the figures were when CONFIG RESETSTAT was last asked for.
    stats_base: Figures,
    /// What the cores had counted of commands when CONFIG RESETSTAT was last asked for.
    commands_base: Mutex<Totals>,
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
}

/// A number for each figure.
struct Figures([AtomicU64; STATS.len()]);

impl Default for Figures {
    fn default() -> Figures {
        Figures(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

macro_rules! stats {
    ($($name:ident $meaning:literal)*) => {
        /// A figure of one core, published once per turn.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Stat {
            $($name),*
        }

        /// Every figure with its meaning.
        pub const STATS: &[(Stat, &str)] = &[$((Stat::$name, $meaning)),*];
    };
}

stats! {
    Keys "keys of the shard"
    Volatile "keys with a TTL"
    Hits "look-ups for reading that found the key"
    Misses "look-ups for reading that did not"
    Expired "keys removed because their TTL was over"
    Recorded "events recorded"
    Commands "commands run for this core's clients"
    Connections "connections accepted"
    Rejected "connections refused because there were too many"
    AcceptErrors "times no connection could be accepted, for want of descriptors for example"
    StrangersTooMany "of the refused, and of those closed: those without the password, of whom there were too many"
    StrangersTooSlow "clients closed that did not give the password in time"
    StrangersTooMuch "clients closed that sent, or left unread, too much without the password"
    Clients "clients connected"
    ReceivedBytes "bytes received"
    SentBytes "bytes sent"
    Forwarded "commands sent to other cores"
    Turns "turns that had something to do"
    CutTurns "those of them that have left something for the next"
    LongCommands "commands that took long by themselves"
    OutputBytes "bytes of output that clients have not taken"
    StalledClients "clients whose commands wait because of that"
    OutputClosed "clients closed because of it"
    Subscriptions "subscriptions of this core's clients"
    LiveSubscriptions "those of them that are live"
    DemotedSubscriptions "those of them that never are, for what they want costs the shards too much"
    PushedEvents "events pushed to them"
    FellBehind "times one of them has fallen behind"
    DroppedSubscriptions "subscriptions dropped for another reason than that the client ended them"
    Parks "times the core went to sleep"
    Blocked "commands that wait for something"
    BlockedLooks "times one of them was looked at again"
    RateSecond "the second of the clock in which it last ran commands"
    RateRunning "commands run in that second"
    RateLast "commands run in the second before that one"
}

impl Server {
    /// A server about to start.
    pub fn new(config: Config, users: Users, kept: Kept, ports: Vec<Port>) -> Server {
        let Kept { sequencer, histories, older, log_failure, history_id, on_disk } = kept;
        Server {
            maxclients: AtomicU64::new(config.maxclients),
            client_output_bytes: AtomicU64::new(config.client_output_bytes),
            output_stall_seconds: AtomicU64::new(config.output_stall_seconds),
            stats_base: Default::default(),
            commands_base: Mutex::default(),
            longest_turn_us: AtomicU64::new(0),
            memory: Arc::default(),
            users,
            accounts: Accounts::new(&config.memory),
            cores: (0..config.shards).map(|_| CachePadded::default()).collect(),
            config,
            sequencer,
            histories,
            older,
            log_failure,
            ports,
            builder: BuilderThread::start(),
            started_ms: keytide_engine::clock::steady_millis(),
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

    /// Where Redis clients connect.
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

    /// Publishes a figure of a core.
    #[inline]
    pub fn tell(&self, core: ShardId, stat: Stat, value: u64) {
        // Relaxed: a figure that is read a moment later, by itself.
        self.cores[core.0 as usize].stats.0[stat as usize].store(value, Ordering::Relaxed);
    }

    /// A figure of a core.
    pub fn stat(&self, core: ShardId, stat: Stat) -> u64 {
        // Relaxed: see above.
        self.cores[core.0 as usize].stats.0[stat as usize].load(Ordering::Relaxed)
    }

    /// A figure, summed over the cores.
    pub fn total(&self, stat: Stat) -> u64 {
        // Relaxed: see above.
        self.cores.iter().map(|core| core.stats.0[stat as usize].load(Ordering::Relaxed)).sum()
    }

    /// Notes how long a turn took.
    #[inline]
    pub fn note_turn(&self, took: Duration) {
        let micros = took.as_micros() as u64;
        // Relaxed, both: a figure by itself. Hardly any turn is longer than all before it.
        if micros > self.longest_turn_us.load(Ordering::Relaxed) {
            self.longest_turn_us.fetch_max(micros, Ordering::Relaxed);
        }
    }

    /// The longest turn of any core since the counters were last reset, microseconds.
    pub fn longest_turn_us(&self) -> u64 {
        // Relaxed: as above.
        self.longest_turn_us.load(Ordering::Relaxed)
    }

    /// How much a figure has grown since the counters were last reset.
    pub fn since_reset(&self, stat: Stat) -> u64 {
        // Relaxed: as above.
        self.total(stat).saturating_sub(self.stats_base.0[stat as usize].load(Ordering::Relaxed))
    }

    /// Lets the counters begin at 0 again.
    pub fn reset_stats(&self) {
        self.users.denials.reset_counts();
        // Relaxed: as above.
        self.longest_turn_us.store(0, Ordering::Relaxed);
        for (stat, _) in STATS {
            // Relaxed: as above.
            self.stats_base.0[*stat as usize].store(self.total(*stat), Ordering::Relaxed);
        }
        *self.commands_base.lock().unwrap_or_else(PoisonError::into_inner) = self.all_command_totals();
    }

    /// What a core counts of commands. Only that core writes to it.
    #[inline]
    pub fn statistics(&self, core: ShardId) -> &CommandStatistics {
        &self.cores[core.0 as usize].commands
    }

    fn all_command_totals(&self) -> Totals {
        Totals::of(self.cores.iter().map(|core| &core.commands))
    }

    /// What the cores have counted of commands since the counters were last reset.
    pub fn command_totals(&self) -> Totals {
        let totals = self.all_command_totals();
        totals.since(&self.commands_base.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The commands that clients have sent in the last whole second.
    pub fn commands_per_second(&self, now_ms: u64) -> u64 {
        let [second, running, last] = [Stat::RateSecond, Stat::RateRunning, Stat::RateLast];
        let cores = (0..self.shards()).map(ShardId);
        let rate =
            |core| Rate::per_second(self.stat(core, second), self.stat(core, running), self.stat(core, last), now_ms);
        cores.map(rate).sum()
    }

    /// Publishes the figures of a core's shard.
    pub fn tell_shard(&self, shard: &Shard) {
        let counts = shard.counts();
        for (stat, value) in [
            (Stat::Keys, shard.key_count() as u64),
            (Stat::Volatile, shard.volatile_count() as u64),
            (Stat::Hits, counts.hits),
            (Stat::Misses, counts.misses),
            (Stat::Expired, counts.expired),
            (Stat::Recorded, shard.turn().recorded()),
        ] {
            self.tell(shard.id(), stat, value);
        }
    }
}
