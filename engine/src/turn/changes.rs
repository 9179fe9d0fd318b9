//! What has happened to keys, in order, for whoever is to be told of it by name: noted beside the records, and only while that is
//! asked for. Where the changes of one command end, its caller says so, with a word of its own that means nothing here. And that a
//! key has changed, for those who cache it.

use super::Turn;
use crate::event::EventType;
use crate::readers::{ReaderId, Readers, Wanted};

/// What has happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has got a value, and had none.
    Began,
    /// It has lost its value. Where that has an event of its own, that one follows.
    Ended,
    /// This event was recorded, or would be if recording were on.
    Event(EventType),
    /// It was looked up for reading and does not exist.
    Missed,
}

/// One change.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// `None` ends the changes of a command.
    change: Option<Change>,
    /// The caller's word, at the end of the changes of a command.
    word: Option<&'static str>,
    /// Where the key ends in [`Changes::keys`].
    key_end: usize,
    key_bytes: usize,
}

/// The changes that were noted.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Whether they are noted for either of the two.
    is_on: bool,
    /// Whether they are noted by name.
    are_named: bool,
    /// Who caches what.
    pub readers: Readers,
    rows: Vec<Row>,
    /// The keys, one behind the other; one for all changes that follow each other.
    keys: Vec<u8>,
}

/// The room that is kept for the next changes.
const ROWS_KEPT: usize = 1 << 10;
const BYTES_KEPT: usize = 64 << 10;

/// The changes of one command, or of one key that nobody has asked to change.
#[derive(Clone, Copy, Debug)]
pub struct CommandChanges<'a> {
    /// The caller's word.
    pub word: Option<&'static str>,
    rows: &'a [Row],
    keys: &'a [u8],
}

impl<'a> CommandChanges<'a> {
    /// The keys and what has happened to each, in order.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Change)> + Clone {
        self.rows.iter().filter_map(move |row| {
            let key = &self.keys[row.key_end - row.key_bytes..row.key_end];
            row.change.map(|change| (key, change))
        })
    }
}

impl Changes {
    /// Whether changes are noted.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Notes a change.
    #[cold]
    pub fn note(&mut self, key: &[u8], change: Change) {
        if self.readers.is_on() {
            match change {
                Change::Missed => {}
                Change::Event(EventType::FlushDb) => self.readers.note_flush(),
                Change::Began | Change::Ended | Change::Event(_) => self.readers.note_change(key),
            }
        }
        if !self.are_named {
            return;
        }
        let last = self.rows.last().map_or(0..0, |row| row.key_end - row.key_bytes..row.key_end);
        if self.rows.is_empty() || self.keys[last] != *key {
            self.keys.extend_from_slice(key);
        }
        let (key_end, key_bytes) = (self.keys.len(), key.len());
        self.rows.push(Row { change: Some(change), word: None, key_end, key_bytes });
    }
}

impl Turn {
    /// Has changes noted from now on, or not: by name, and for those who cache keys, who may have read so many of them.
    #[inline]
    pub(crate) fn note_changes(&mut self, are_named: bool, (wanted, keys_max): (Wanted, usize)) {
        let changes = &mut self.changes;
        changes.readers.want(wanted, keys_max);
        changes.are_named = are_named;
        changes.is_on = are_named || changes.readers.is_on();
    }

    /// Notes that a key was read by somebody who caches it.
    pub(crate) fn add_reader(&mut self, key: &[u8], reader: ReaderId) {
        self.changes.readers.add(key, reader);
        self.changes.is_on = true;
    }

    /// Whether any was noted.
    #[inline]
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.rows.is_empty()
    }

    /// Ends the changes of a command.
    #[cold]
    pub(crate) fn end_changes(&mut self, word: Option<&'static str>) {
        let Changes { rows, keys, .. } = &mut self.changes;
        if rows.last().is_some_and(|row| row.change.is_some()) {
            rows.push(Row { change: None, word, key_end: keys.len(), key_bytes: 0 });
        }
    }

    /// Hands on what was noted, command by command.
    pub(crate) fn take_changes(&mut self, each: impl FnMut(CommandChanges<'_>)) {
        let Changes { rows, keys, .. } = &mut self.changes;
        let commands = rows.split_inclusive(|row| row.change.is_none());
        commands.map(|rows| CommandChanges { word: rows.last().and_then(|row| row.word), rows, keys }).for_each(each);
        rows.clear();
        rows.shrink_to(ROWS_KEPT);
        keys.clear();
        keys.shrink_to(BYTES_KEPT);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::position::{Position, ShardId};
    use crate::sequencer::Sequencer;
    use std::sync::Arc;

    #[test]
    fn changes_are_handed_on_command_by_command_with_their_keys() {
        let mut turn = Turn::new(ShardId(0), Arc::new(Sequencer::new(Position(1), 1)), None);
        turn.end_changes(Some("nothing"));
        assert!(!turn.has_changes());
        turn.note_changes(true, Default::default());
        let set = Change::Event(EventType::Set);
        turn.changes.note(b"a", Change::Began);
        turn.changes.note(b"a", set);
        turn.changes.note(b"", set);
        turn.changes.note(b"ab", set);
        turn.end_changes(Some("mset"));
        turn.end_changes(Some("nothing"));
        turn.changes.note(b"ab", Change::Ended);
        let mut found = Vec::new();
        turn.take_changes(|command| {
            let changes: Vec<_> = command.iter().map(|(key, change)| (key.to_vec(), change)).collect();
            found.push((command.word, changes));
        });
        let row = |key: &[u8], change| (key.to_vec(), change);
        let first = vec![row(b"a", Change::Began), row(b"a", set), row(b"", set), row(b"ab", set)];
        assert_eq!(found, [(Some("mset"), first), (None, vec![row(b"ab", Change::Ended)])]);
        assert!(!turn.has_changes() && turn.changes.keys.is_empty());
    }
}
