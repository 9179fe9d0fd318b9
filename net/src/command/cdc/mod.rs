//! Change capture: reading the recorded history, consuming it in groups, and appending to it.
//!
//! | module | what is in it |
//! |---|---|
//! | `poll` | CDCPOLL |
//! | `read` | CDC.READ |
//! | `append` | CDC.APPEND |
//! | `info` | CDC.INFO |
//! | `group` | CDC.GROUP: CREATE, DESTROY, SETID, DELCONSUMER, REPLAY |
//! | `group_read` | CDC.GROUP READ, CDC.CLAIM |
//! | `group_list` | CDC.GROUP INFO, LIST, PARKED; CDC.PENDING |
//! | `ack` | CDC.ACK, CDC.NACK |
//! | `subscribe`, `unsubscribe`, `credit` | CDC.SUBSCRIBE, CDC.UNSUBSCRIBE, CDC.CREDIT |
//! | `streams` | the streams that arguments name, for the rights of users |
//! | `row` | the encoding of an event |
//! | `filter_options` | the filter's options |
//! | `words` | numbers, cursors and options among the arguments |
//! | `refusal` | the error texts |

mod ack;
mod append;
mod credit;
mod filter_options;
mod group;
mod group_list;
mod group_read;
mod info;
mod poll;
mod read;
mod refusal;
mod row;
mod streams;
mod subscribe;
mod unsubscribe;
mod words;

use super::Command;
pub use subscribe::{may_subscribe, of_channel, refusal_of_channel};

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &poll::CDCPOLL,
    &read::READ,
    &append::APPEND,
    &info::INFO,
    &group::GROUP,
    &ack::ACK,
    &ack::NACK,
    &group_list::PENDING,
    &group_read::CLAIM,
    &subscribe::SUBSCRIBE,
    &unsubscribe::UNSUBSCRIBE,
    &credit::CREDIT,
];

/// The most events in one reply, whatever the client requests.
pub const REPLY_EVENTS_MAX: usize = 10_000;

/// The bytes of events after which a reply ends, whatever the client requests.
pub const REPLY_BYTES_MAX: u64 = 8 << 20;
