//! The figures that each core publishes, and their sums.

use super::Server;
use crate::command::statistics::{CommandStatistics, Totals};
use crate::rate::Rate;
use keytide_engine::keyspace::Kind;
use keytide_engine::position::ShardId;
use keytide_engine::shard::Shard;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number for each figure.
pub(super) struct Figures([AtomicU64; STATS.len()]);

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
    ExpiredFields "fields of hashes removed because theirs was"
    Recorded "events recorded"
    KeyBytes "memory of the keys that exist, with their places in the table"
    StringBytes "memory of those that hold strings, without these places; the next ones likewise"
    HashBytes "hashes"
    ListBytes "lists"
    SetBytes "sets"
    SortedSetBytes "sorted sets"
    RedisStreamBytes "Redis streams"
    Evicted "keys removed because memory was full"
    EvictionBytes "memory of what eviction remembers"
    AbsentBytes "memory of keys that do not exist, whose streams are known"
    GarbageObjects "large collections that were removed and are not freed yet"
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
    LargestClient "memory of the buffers of the client that takes most, while all together take too much"
    EvictedClients "clients closed because of that"
    Subscriptions "subscriptions of this core's clients"
    LiveSubscriptions "those of them that are live"
    DemotedSubscriptions "those of them that never are, for what they want costs the shards too much"
    PushedEvents "events pushed to them"
    FellBehind "times one of them has fallen behind"
    DroppedSubscriptions "subscriptions dropped for another reason than that the client ended them"
    TlsHandshakes "handshakes of TLS that succeeded"
    TlsFailures "connections over TLS that failed: in the handshake, or later"
    Parks "times the core went to sleep"
    Blocked "commands that wait for something"
    TrackedKeys "keys that clients have read which cache"
    TrackedItems "readers of these keys"
    BlockedLooks "times one of them was looked at again"
    Channels "channels with subscribers, on whichever core"
    ShardChannels "sharded channels with subscribers, on whichever core"
    ChannelPatterns "patterns with subscribers, on whichever core"
    ChannelClients "clients of this core that are subscribed to channels"
    PublishedWaiting "bytes of published messages that wait for their delivery"
    PublishedDelivered "published messages given to subscribers"
    RateSecond "the second of the clock in which it last ran commands"
    RateRunning "commands run in that second"
    RateLast "commands run in the second before that one"
}

impl Server {
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
        self.users.limits.all().iter().for_each(|limit| limit.reset_refused());
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
        let (counts, footprint) = (shard.counts(), shard.footprint());
        let (tracked_keys, tracked_items) = shard.readers().sizes();
        for (stat, value) in [
            (Stat::Keys, shard.key_count() as u64),
            (Stat::Volatile, shard.volatile_count() as u64),
            (Stat::Hits, counts.hits),
            (Stat::Misses, counts.misses),
            (Stat::Expired, counts.expired),
            (Stat::ExpiredFields, counts.expired_fields),
            (Stat::Recorded, shard.turn().recorded()),
            (Stat::KeyBytes, footprint.used_bytes()),
            (Stat::StringBytes, footprint.kind_bytes(Kind::String)),
            (Stat::HashBytes, footprint.kind_bytes(Kind::Hash)),
            (Stat::ListBytes, footprint.kind_bytes(Kind::List)),
            (Stat::SetBytes, footprint.kind_bytes(Kind::Set)),
            (Stat::SortedSetBytes, footprint.kind_bytes(Kind::Sorted)),
            (Stat::RedisStreamBytes, footprint.kind_bytes(Kind::RedisStream)),
            (Stat::Evicted, counts.evicted),
            (Stat::EvictionBytes, shard.eviction_bytes() as u64),
            (Stat::AbsentBytes, footprint.absent_bytes()),
            (Stat::GarbageObjects, shard.garbage_count() as u64),
            (Stat::TrackedKeys, tracked_keys as u64),
            (Stat::TrackedItems, tracked_items as u64),
        ] {
            self.tell(shard.id(), stat, value);
        }
    }
}
