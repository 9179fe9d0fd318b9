//! Keyspace notifications: which messages Redis publishes for what has happened to a key. Knows neither commands nor channels'
//! subscribers.
//!
//! | module | what is in it |
//! |---|---|
//! | [`classes`] | the classes of events, as `notify-keyspace-events` names them |
//! | [`names`] | the events of a command, from what it has changed |
//!
//! The engine notes what happens to keys while any class is enabled (`engine/src/turn/changes.rs`). A command that Redis has an
//! event of its own for says its name; all others follow from the types of the records.

pub mod classes;
pub mod names;

pub use classes::{Classes, SharedClasses};
pub use names::events_of;

use keytide_engine::stream_name::Database;

/// Makes the channels of one event, and publishes its two messages: on the key's channel, and on the event's.
pub fn publish(
    enabled: Classes,
    (event, name): (&str, &[u8]),
    channel: &mut Vec<u8>,
    mut publish: impl FnMut(&[u8], &[u8]),
) {
    let (database, key) = Database::of(name);
    if enabled.has(Classes::KEYSPACE) {
        write_channel(channel, b"__keyspace@", database, key);
        publish(channel, event.as_bytes());
    }
    if enabled.has(Classes::KEYEVENT) {
        write_channel(channel, b"__keyevent@", database, event.as_bytes());
        publish(channel, key);
    }
}

fn write_channel(channel: &mut Vec<u8>, kind: &[u8], database: Database, rest: &[u8]) {
    let mut digits = itoa::Buffer::new();
    channel.clear();
    for part in [kind, digits.format(database.0).as_bytes(), b"__:", rest] {
        channel.extend_from_slice(part);
    }
}
