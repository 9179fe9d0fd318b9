//! Finds what has expired: each segment knows of each of its lines a time before which no name expires whose home it is,
//! and the table orders the segments by the earliest of these. So the TTLs of a table take a byte or two for each name,
//! and a TTL that is set again costs nothing; a line is looked at when its time has come, and has a later one then.

use super::segment::{NEVER, Spot};
use super::word::{Pointed, Word};
use super::{Table, hash_with};

impl<P: Pointed> Table<P> {
    /// Notes that the entry with this hash, if there is one, expires at this time, Unix milliseconds.
    pub(crate) fn note_expiry(&mut self, hash: u64, at_ms: u64) {
        let number = self.directory.get(hash);
        let segment = self.segment_at_mut(number);
        let before = segment.due;
        segment.note(segment.tag(hash), at_ms);
        if at_ms < before {
            segment.due = at_ms;
            self.due.remove(&(before, number));
            self.due.insert((at_ms, number));
        }
    }

    /// A time before which no entry expires, Unix milliseconds; `None` if none ever does.
    pub(crate) fn next_expiry_ms(&self) -> Option<u64> {
        self.due.first().map(|row| row.0)
    }

    /// Visits entries that have expired at `now_ms`, with their hashes, until `visit` returns false; returns whether
    /// there may be more. `visit` removes the TTL.
    pub(crate) fn expire(&mut self, now_ms: u64, mut visit: impl FnMut(u64, &mut Word<P>) -> bool) -> bool {
        let mut spots: Vec<Spot> = Vec::new();
        while let Some(&(_, number)) = self.due.first().filter(|row| row.0 <= now_ms) {
            let hasher = self.hasher.clone();
            let segment = self.segment_at_mut(number);
            let Some(line) = segment.due_line(now_ms) else {
                self.update_due(number);
                continue;
            };
            segment.prefetch_names_of(line);
            spots.clear();
            spots.extend(segment.spots_of(line));
            let mut goes_on = true;
            for &spot in &spots {
                let word = segment.word_mut(spot);
                let Some(view) = word.view() else { continue };
                let at_ms = P::expire_at_ms(view);
                if at_ms == 0 || at_ms > now_ms {
                    continue;
                }
                let hash = hash_with(&hasher, P::name(view));
                goes_on = visit(hash, word);
                if !goes_on {
                    break;
                }
            }
            segment.look_at(line);
            self.update_due(number);
            if !goes_on {
                return true;
            }
        }
        false
    }

    /// Brings the order of the segments up to date with this one.
    pub(super) fn update_due(&mut self, number: u32) {
        let segment = self.segment_at_mut(number);
        let (before, now) = (segment.due, segment.earliest());
        segment.due = now;
        if before != now {
            self.due.remove(&(before, number));
            if now != NEVER {
                self.due.insert((now, number));
            }
        }
    }
}
