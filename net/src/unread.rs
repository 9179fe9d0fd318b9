//! How much output clients have not taken, and how much each may leave so before its commands wait.
//!
//! A client has a limit of its own. All clients together have one too; while that is passed each core lowers a *level*
//! for its clients, by half each turn, and raises it again when there is room. A client above the level is stalled. So
//! those with the most are stalled first, and nobody has to sort them.

use crate::limits::OUTPUT_BYTES_MIN;
use std::time::{Duration, Instant};

/// One core's account.
#[derive(Debug)]
pub struct CoreOutput {
    /// The unread output of this core's clients, bytes.
    bytes: u64,
    /// What of it the other cores were told.
    told: u64,
    level: u64,
}

/// What a look at all clients' output has changed for this core's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing, or it has fallen.
    Same,
    /// Stalled clients may go on.
    Risen,
}

impl CoreOutput {
    /// The account of a core without clients. A client may leave `client_bytes` unread.
    pub fn new(client_bytes: u64) -> CoreOutput {
        CoreOutput { bytes: 0, told: 0, level: client_bytes }
    }

    /// The unread output of this core's clients, bytes.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The unread output of this core's clients, bytes, where the other cores do not know it yet.
    #[inline]
    pub fn news(&mut self) -> Option<u64> {
        let is_news = self.bytes != self.told;
        self.told = self.bytes;
        is_news.then_some(self.bytes)
    }

    /// How much a client of this core may leave unread, bytes.
    #[inline]
    pub fn level(&self) -> usize {
        self.level as usize
    }

    /// Whether others need what some clients hold.
    pub fn is_short(&self, client_bytes: u64) -> bool {
        self.level < client_bytes
    }

    /// Counts a client's output, which now has so many bytes.
    #[inline]
    pub fn count(&mut self, client: &mut ClientOutput, bytes: usize) {
        self.bytes = self.bytes + bytes as u64 - client.counted as u64;
        client.counted = bytes;
    }

    /// Whether the level need not be looked at: no client of this core can be above any.
    #[inline]
    pub fn is_small(&self, client_bytes: u64) -> bool {
        self.bytes <= OUTPUT_BYTES_MIN && self.level == client_bytes
    }

    /// Fits the level to what the clients of all cores have not taken. A client may leave `client_bytes` unread, all of
    /// them `clients_bytes`.
    pub fn look(&mut self, all_bytes: u64, client_bytes: u64, clients_bytes: u64) -> Level {
        let before = self.level;
        if all_bytes > clients_bytes {
            // From what there is: a limit that no client comes near would take many turns to be felt.
            self.level = (self.level.min(all_bytes) / 2).max(OUTPUT_BYTES_MIN);
        } else if all_bytes < clients_bytes / 4 * 3 {
            self.level = self.level.saturating_mul(2);
        }
        self.level = self.level.min(client_bytes);
        if self.level > before { Level::Risen } else { Level::Same }
    }
}

/// What one client has not taken, and since when it takes nothing.
#[derive(Debug, Default)]
pub struct ClientOutput {
    counted: usize,
    /// Whether its core looks at it from time to time: it was stalled.
    pub is_watched: bool,
    /// Whether a send was over since the last look.
    pub has_taken: bool,
    /// How much of the send under way was taken at the last look, bytes.
    part: usize,
    /// Since when it has taken nothing.
    since: Option<Instant>,
}

impl ClientOutput {
    /// Looks whether the client has taken anything since the last look; `part` is how much of the send under way it has,
    /// in bytes. Answers how long it has taken nothing.
    pub fn idle_for(&mut self, part: usize, now: Instant) -> Duration {
        let has_taken = std::mem::take(&mut self.has_taken) || part != self.part;
        self.part = part;
        if has_taken {
            self.since = None;
        }
        now - *self.since.get_or_insert(now)
    }

    /// It is watched no more.
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
        assert_eq!(output.look(1025 * MIB, 256 * MIB, 1024 * MIB), Level::Same);
        assert_eq!(output.level() as u64, 128 * MIB);
        assert_eq!(output.look(900 * MIB, 256 * MIB, 1024 * MIB), Level::Same, "it stays where it is near the limit");
        assert!(output.is_short(256 * MIB));
        assert_eq!(output.look(700 * MIB, 256 * MIB, 1024 * MIB), Level::Risen);
        assert_eq!(output.look(0, 256 * MIB, 1024 * MIB), Level::Same);
        assert!(!output.is_short(256 * MIB));
        (0..60).for_each(|_| assert_eq!(output.look(2048 * MIB, 256 * MIB, 1024 * MIB), Level::Same));
        assert_eq!(output.level() as u64, OUTPUT_BYTES_MIN);
        // A limit that is changed holds at once, and no limit is one too.
        assert_eq!(output.look(0, OUTPUT_BYTES_MIN, 1024 * MIB), Level::Same);
        let last = (0..60).map(|_| output.look(0, u64::MAX, 1024 * MIB)).last();
        assert_eq!(last, Some(Level::Same));
        assert_eq!(output.level() as u64, u64::MAX);
        output.look(1025 * MIB, u64::MAX, 1024 * MIB);
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
