//! The events of a command, by the names that Redis has for them, from what the command has changed.

use super::Classes;
use keytide_engine::event::EventType;
use keytide_engine::turn::{Change, CommandChanges};
use smallvec::SmallVec;

/// The word of a command that gives a key's value another key: the one is `rename_to`, the other `rename_from`.
pub const RENAME: &str = "rename";

/// The word of a command that gives it a key of another database: `move_to` and `move_from`.
pub const MOVE: &str = "move";

/// The word of a command that deletes all keys: Redis tells of none of them.
pub const FLUSH: &str = "flush";

/// The word of a command that removes TTLs. Others do that beside what they are for, and no event tells of it.
pub const PERSIST: &str = "persist";

/// The word of a command that removes TTLs of fields. Others do that beside what they are for, too.
pub const HPERSIST: &str = "hpersist";

/// The word of a command that moves a member from one set to another.
pub const SMOVE: &str = "smove";

/// Calls `tell` with each event: its class, its name, its key.
///
/// A command's word names the events of values, unless it is one of the words above.
pub fn events_of<'a>(command: CommandChanges<'a>, mut tell: impl FnMut(Classes, &'static str, &'a [u8])) {
    if command.word == Some(FLUSH) {
        return;
    }
    let mut runs: SmallVec<[Run<'a>; 2]> = SmallVec::new();
    for (key, change) in command.iter() {
        if runs.last().is_none_or(|run| run.key != key) {
            runs.push(Run { key, events: SmallVec::new(), is_renamed: false, is_gone: false, deletion: None });
        }
        if let Some(run) = runs.last_mut() {
            run.add(command.word, change);
        }
    }
    runs.iter_mut().for_each(Run::end);
    // These change the target first, and Redis tells of it last, but that it is new.
    let is_move = matches!(command.word, Some(RENAME | MOVE | SMOVE));
    let is_rename = matches!(command.word, Some(RENAME | MOVE));
    if is_move {
        runs.reverse();
    }
    for is_first in [true, false] {
        for run in &runs {
            let events = run.events.iter().filter(|(class, _)| (is_rename && *class == Classes::NEW) == is_first);
            events.for_each(|(class, event)| tell(*class, event, run.key));
        }
    }
}

/// What has happened to one key, in a row.
struct Run<'a> {
    key: &'a [u8],
    events: SmallVec<[(Classes, &'static str); 2]>,
    is_renamed: bool,
    /// Whether the key has lost its value, and no event has told so.
    is_gone: bool,
    /// The event of its deletion, which is none if the key gets another value.
    deletion: Option<&'static str>,
}

impl Run<'_> {
    fn add(&mut self, word: Option<&'static str>, change: Change) {
        match change {
            // Commands that have a word of their own look for a key to change it.
            Change::Missed if word.is_some_and(|word| word != PERSIST) => {}
            Change::Missed => self.events.push((Classes::MISS, "keymiss")),
            Change::Began if self.is_renamed => {}
            Change::Began if self.deletion.take().is_some() => {}
            Change::Began => {
                self.end();
                self.events.push((Classes::NEW, "new"));
            }
            Change::Ended => self.is_gone = true,
            Change::Event(event_type) => self.add_event(word, event_type),
        }
    }

    fn add_event(&mut self, word: Option<&'static str>, event_type: EventType) {
        let own = word.filter(|word| !matches!(*word, RENAME | MOVE | PERSIST | HPERSIST | SMOVE));
        let (class, event) = match event_type {
            EventType::Del => {
                self.is_gone = false;
                self.deletion = Some(match word {
                    Some(RENAME) => "rename_from",
                    Some(MOVE) => "move_from",
                    _ => "del",
                });
                return;
            }
            EventType::Expire => {
                self.is_gone = false;
                (Classes::EXPIRED, "expired")
            }
            EventType::Evict => {
                self.is_gone = false;
                (Classes::EVICTED, "evicted")
            }
            EventType::Set => {
                self.events.push((Classes::STRING, own.unwrap_or("set")));
                return;
            }
            EventType::TtlSet => {
                // A TTL that comes along with its value.
                if !self.is_renamed {
                    self.events.push((Classes::GENERIC, "expire"));
                }
                return;
            }
            EventType::TtlCleared if word == Some(PERSIST) => (Classes::GENERIC, "persist"),
            EventType::Rename => {
                // As in Redis, also where it was there.
                self.is_renamed = true;
                self.events.push((Classes::NEW, "new"));
                (Classes::GENERIC, if word == Some(MOVE) { "move_to" } else { "rename_to" })
            }
            EventType::Copy | EventType::Restore => {
                self.is_renamed = true;
                self.events.push((Classes::NEW, "new"));
                (Classes::GENERIC, if event_type == EventType::Copy { "copy_to" } else { "restore" })
            }
            EventType::SetRange => (Classes::STRING, own.unwrap_or("setrange")),
            EventType::HSet => (Classes::HASH, own.unwrap_or("hset")),
            EventType::HDel => (Classes::HASH, own.unwrap_or("hdel")),
            EventType::HTtlSet => (Classes::HASH, "hexpire"),
            EventType::HTtlCleared if word == Some(HPERSIST) => (Classes::HASH, "hpersist"),
            EventType::HExpire => (Classes::HASH, "hexpired"),
            EventType::LPush => (Classes::LIST, own.unwrap_or("lpush")),
            EventType::RPush => (Classes::LIST, own.unwrap_or("rpush")),
            EventType::LPop => (Classes::LIST, own.unwrap_or("lpop")),
            EventType::RPop => (Classes::LIST, own.unwrap_or("rpop")),
            EventType::LSet => (Classes::LIST, own.unwrap_or("lset")),
            EventType::LInsert => (Classes::LIST, own.unwrap_or("linsert")),
            EventType::LRem => (Classes::LIST, own.unwrap_or("lrem")),
            EventType::LTrim => (Classes::LIST, own.unwrap_or("ltrim")),
            EventType::SAdd => (Classes::SET, own.unwrap_or("sadd")),
            EventType::SRem => (Classes::SET, own.unwrap_or("srem")),
            EventType::ZAdd => (Classes::SORTED, own.unwrap_or("zadd")),
            EventType::ZRem => (Classes::SORTED, own.unwrap_or("zrem")),
            EventType::XAdd => (Classes::STREAM, "xadd"),
            EventType::XDel => (Classes::STREAM, "xdel"),
            EventType::XTrim => (Classes::STREAM, "xtrim"),
            EventType::XSetId => (Classes::STREAM, "xsetid"),
            EventType::XGroup => (Classes::STREAM, own.unwrap_or("xgroup-setid")),
            EventType::XGroupDel => (Classes::STREAM, "xgroup-destroy"),
            EventType::XConsumer => (Classes::STREAM, "xgroup-createconsumer"),
            EventType::XConsumerDel => (Classes::STREAM, "xgroup-delconsumer"),
            // A TTL that a SET has ended, a flush, what clients append; and what Redis has no event for.
            _ => return,
        };
        // One event for all elements.
        if self.events.last() != Some(&(class, event)) {
            self.events.push((class, event));
        }
    }

    /// Tells of a value that is gone at last.
    fn end(&mut self) {
        let emptied = std::mem::take(&mut self.is_gone).then_some("del");
        if let Some(event) = self.deletion.take().or(emptied) {
            self.events.push((Classes::GENERIC, event));
        }
    }
}
