//! What the memory of the process is used for, as far as it is counted.

use super::{Server, Stat};
use crate::memory::ClientsLimit;
use keytide_engine::eviction::Pool;
use keytide_engine::limits::SLOT_BYTES;
use keytide_engine::position::ShardId;
use std::sync::atomic::Ordering;

/// The memory of the process by use, in bytes. `keys` and `clients` together are the memory in use that `INFO` shows; the
/// rest is counted apart: it has limits of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// The keys that exist: names, values, the heads of their streams, their places in the table.
    pub keys: u64,
    /// Of these, the places in the table.
    pub table: u64,
    /// What clients have sent, and what they have not read yet; their queued and waiting commands; scripts,
    /// subscriptions, consumer groups.
    pub clients: u64,
    /// Of these, input, output, queued and waiting commands.
    pub buffers: u64,
    /// The rings.
    pub rings: u64,
    /// The keys that do not exist, whose streams are known.
    pub absent: u64,
    /// What eviction remembers.
    pub eviction: u64,
}

impl MemoryUse {
    /// The memory in use, in bytes.
    pub fn used(&self) -> u64 {
        self.keys + self.clients
    }

    /// What of it is neither keys nor values.
    pub fn overhead(&self) -> u64 {
        self.table + self.clients
    }

    /// What is counted apart.
    pub fn apart(&self) -> u64 {
        self.rings + self.absent + self.eviction
    }
}

impl Server {
    /// What the memory is used for, as of the last turns.
    pub fn memory_use(&self) -> MemoryUse {
        let accounts = &self.accounts;
        let buffers = self.total(Stat::OutputBytes)
            + [&accounts.input, &accounts.transactions, &accounts.waits].iter().map(|a| a.used()).sum::<u64>();
        let held = [&accounts.scripts, &accounts.subscriptions, &accounts.groups].iter().map(|a| a.used()).sum::<u64>();
        MemoryUse {
            keys: self.total(Stat::KeyBytes),
            table: self.total(Stat::Keys) * SLOT_BYTES as u64,
            clients: buffers + held,
            buffers,
            rings: self.config.ring_bytes * u64::from(self.shards()),
            absent: self.total(Stat::AbsentBytes),
            eviction: self.total(Stat::EvictionBytes),
        }
    }
}

impl Server {
    /// Tells the limit what clients take, and wakes cores whose shards have to give memory up for that.
    pub fn share_memory(&self, core: ShardId) {
        self.pool.set_clients(self.memory_use().clients);
        if self.pool.has_debt() {
            (0..self.shards()).map(ShardId).filter(|other| *other != core).for_each(|other| self.wake(other));
        }
    }

    /// How much the buffers of all clients take above `maxmemory-clients`, in bytes.
    pub fn excess_of_clients(&self) -> u64 {
        match self.clients_limit.get().bytes(self.pool.limit()) {
            0 => 0,
            limit => self.memory_use().buffers.saturating_sub(limit),
        }
    }

    /// Changes how much the buffers of all clients may take.
    pub fn set_clients_limit(&self, limit: ClientsLimit) {
        self.clients_limit.set(limit);
        (0..self.shards()).for_each(|core| self.wake(ShardId(core)));
    }

    /// Changes the limit of memory, or its policy.
    pub fn set_maxmemory(&self, change: impl FnOnce(&Pool)) {
        change(&self.pool);
        (0..self.shards()).for_each(|core| self.wake(ShardId(core)));
    }

    /// The most memory that was in use whenever it was looked at, now included, in bytes.
    pub fn note_memory_peak(&self, used_bytes: u64) -> u64 {
        // Relaxed: a figure by itself.
        self.memory_peak.fetch_max(used_bytes, Ordering::Relaxed).max(used_bytes)
    }
}
