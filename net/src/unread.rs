//! The output that clients have not read, and the limits at which their commands wait.
//!
//! A client has a limit of its own, and there is one for all clients together. While the latter is exceeded, each core
//! lowers a *level* for its clients, by half each turn, and raises it again when there is room. A client above the level is
//! stalled. So the clients with the most unread output are stalled first, without sorting clients.

use crate::limits::OUTPUT_BYTES_MIN;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The unread output of one core's clients, and their level.
#[derive(Debug)]
pub struct CoreOutput {
    /// The unread output of this core's clients, in bytes.
    bytes: u64,
    /// The number of bytes that was last published to the other cores.
    published: u64,
    level: u64,
}

/// How the level has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It is the same, or has fallen.
    NotRisen,
    /// It has risen: stalled clients may continue.
    Risen,
}

impl CoreOutput {
    /// The output of a core without clients. A client may leave `client_bytes` unread.
    pub fn new(client_bytes: u64) -> CoreOutput {
        CoreOutput { bytes: 0, published: 0, level: client_bytes }
    }

    /// The unread output of this core's clients, in bytes.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the number of bytes to publish to the other cores, if it has changed.
    #[inline]
    pub fn take_changed(&mut self) -> Option<u64> {
        let is_changed = self.bytes != self.published;
        self.published = self.bytes;
        is_changed.then_some(self.bytes)
    }

    /// The output that a client of this core may leave unread, in bytes.
    #[inline]
    pub fn level(&self) -> usize {
        self.level as usize
    }

    /// Whether the level is lowered because all clients together have too much unread output.
    pub fn is_short(&self, client_bytes: u64) -> bool {
        self.level < client_bytes
    }

    /// Counts a client's output, which now has `bytes` bytes.
    #[inline]
    pub fn count(&mut self, client: &mut ClientOutput, bytes: usize) {
        self.bytes = self.bytes + bytes as u64 - client.counted as u64;
        client.counted = bytes;
    }

    /// Whether the level need not be adapted: it is at its maximum, and no client of this core can be above any level.
    #[inline]
    pub fn is_small(&self, client_bytes: u64) -> bool {
        self.bytes <= OUTPUT_BYTES_MIN && self.level == client_bytes
    }

    /// Adapts the level to the unread output of all cores' clients, `all_bytes`. A client may leave `client_bytes` unread, all
    /// of them together `clients_bytes`.
    pub fn adapt(&mut self, all_bytes: u64, client_bytes: u64, clients_bytes: u64) -> Level {
        let before = self.level;
        if all_bytes > clients_bytes {
            // Starts at no more than the present output: halving a far higher level would take many turns to have an effect.
            self.level = (self.level.min(all_bytes) / 2).max(OUTPUT_BYTES_MIN);
        } else if all_bytes < clients_bytes / 4 * 3 {
            self.level = self.level.saturating_mul(2);
        }
        self.level = self.level.min(client_bytes);
        if self.level > before { Level::Risen } else { Level::NotRisen }
    }
}

/// How much a client that is subscribed to channels may leave unread before it is closed. 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberLimit {
    /// Never more than this, in bytes.
    pub hard_bytes: u64,
    /// Not more than this, in bytes, for `soft_seconds`.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u64,
}

/// That limit, as all cores see it.
#[derive(Debug)]
pub struct SharedSubscriberLimit([AtomicU64; 3]);

impl SharedSubscriberLimit {
    /// This limit at first.
    pub fn new(limit: SubscriberLimit) -> SharedSubscriberLimit {
        SharedSubscriberLimit([limit.hard_bytes, limit.soft_bytes, limit.soft_seconds].map(AtomicU64::new))
    }

    /// The limit.
    pub fn limit(&self) -> SubscriberLimit {
        // Relaxed: three numbers; a core that sees one of them a turn later than another does no harm.
        let [hard_bytes, soft_bytes, soft_seconds] = self.0.each_ref().map(|number| number.load(Ordering::Relaxed));
        SubscriberLimit { hard_bytes, soft_bytes, soft_seconds }
    }

    /// Changes the limit.
    pub fn set(&self, limit: SubscriberLimit) {
        for (number, value) in self.0.iter().zip([limit.hard_bytes, limit.soft_bytes, limit.soft_seconds]) {
            // Relaxed: as above.
            number.store(value, Ordering::Relaxed);
        }
    }
}

/// The unread output of one client, and the time since it last read any.
#[derive(Debug, Default)]
pub struct ClientOutput {
    counted: usize,
    /// Whether its core checks it from time to time, because it was stalled.
    pub is_watched: bool,
    /// Whether a send has been completed since the last check.
    pub has_taken: bool,
    /// The bytes of the send in flight that the client had read at the last check.
    part: usize,
    /// The first check since which it has read nothing.
    since: Option<Instant>,
}

impl ClientOutput {
    /// Checks whether the client has read anything since the last check, and returns how long it has read nothing. `part` is
    /// the number of bytes of the send in flight that it has read.
    pub fn idle_for(&mut self, part: usize, now: Instant) -> Duration {
        let has_taken = std::mem::take(&mut self.has_taken) || part != self.part;
        self.part = part;
        if has_taken {
            self.since = None;
        }
        now - *self.since.get_or_insert(now)
    }

    /// Ends the checks of the client.
    pub fn end_watch(&mut self) {
        self.is_watched = false;
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_level_falls_while_all_have_too_much_and_rises_when_there_is_room() {
        let mut output = CoreOutput::new(256 * MIB);
        assert_eq!(output.adapt(1025 * MIB, 256 * MIB, 1024 * MIB), Level::NotRisen);
        assert_eq!(output.level() as u64, 128 * MIB);
        assert_eq!(
            output.adapt(900 * MIB, 256 * MIB, 1024 * MIB),
            Level::NotRisen,
            "it stays where it is near the limit"
        );
        assert!(output.is_short(256 * MIB));
        assert_eq!(output.adapt(700 * MIB, 256 * MIB, 1024 * MIB), Level::Risen);
        assert_eq!(output.adapt(0, 256 * MIB, 1024 * MIB), Level::NotRisen);
        assert!(!output.is_short(256 * MIB));
        (0..60).for_each(|_| assert_eq!(output.adapt(2048 * MIB, 256 * MIB, 1024 * MIB), Level::NotRisen));
        assert_eq!(output.level() as u64, OUTPUT_BYTES_MIN);
        // A limit that is changed holds at once, and no limit is one too.
        assert_eq!(output.adapt(0, OUTPUT_BYTES_MIN, 1024 * MIB), Level::NotRisen);
        let last = (0..60).map(|_| output.adapt(0, u64::MAX, 1024 * MIB)).last();
        assert_eq!(last, Some(Level::NotRisen));
        assert_eq!(output.level() as u64, u64::MAX);
        output.adapt(1025 * MIB, u64::MAX, 1024 * MIB);
        assert!((output.level() as u64) < 1024 * MIB);
    }

    proptest! {
        #[test]
        fn a_core_counts_what_its_clients_have(changes in proptest::collection::vec((0usize..4, 0usize..1000), 0..50)) {
            let mut output = CoreOutput::new(MIB);
            let mut clients: [(ClientOutput, usize); 4] = Default::default();
            for (client, bytes) in changes {
                let (account, has) = &mut clients[client];
                *has = bytes;
                output.count(account, bytes);
                prop_assert_eq!(output.bytes, clients.iter().map(|client| client.1 as u64).sum::<u64>());
            }
        }
    }

    #[test]
    fn a_client_that_takes_a_part_of_a_send_has_taken_something() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut client = ClientOutput::default();
        assert_eq!(client.idle_for(0, start), Duration::ZERO);
        assert_eq!(client.idle_for(0, after(5)), Duration::from_secs(5));
        assert_eq!(client.idle_for(100, after(10)), Duration::ZERO);
        assert_eq!(client.idle_for(100, after(20)), Duration::from_secs(10));
        client.has_taken = true;
        assert_eq!(client.idle_for(100, after(21)), Duration::ZERO);
        client.end_watch();
        assert_eq!(client.idle_for(100, after(90)), Duration::ZERO);
    }
}
