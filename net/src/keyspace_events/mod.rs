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

/// Makes the channels of one event, and publishes its two messages: on the key's channel, and on the event's.
pub fn publish(
    enabled: Classes,
    (event, key): (&str, &[u8]),
    channel: &mut Vec<u8>,
    mut publish: impl FnMut(&[u8], &[u8]),
) {
    if enabled.has(Classes::KEYSPACE) {
        channel.clear();
        channel.extend_from_slice(b"__keyspace@0__:");
        channel.extend_from_slice(key);
        publish(channel, event.as_bytes());
    }
    if enabled.has(Classes::KEYEVENT) {
        channel.clear();
        channel.extend_from_slice(b"__keyevent@0__:");
        channel.extend_from_slice(event.as_bytes());
        publish(channel, key);
    }
}
