//! The bounds of publish/subscribe.

use std::time::Duration;

/// The memory of one subscription to a channel, without three times its name, in bytes: on the client's core, and a part of
/// what every core keeps of the name.
pub const CHANNEL_BYTES: u64 = 384;

/// The bytes of published messages that wait to be given to their subscribers, on all cores, after which clients that
/// publish wait.
pub const PUBLISHED_BYTES_MAX: u64 = 4 << 20;

/// The time in which a turn gives published messages to subscribers; what is left comes in the next.
pub const TURN_PUBLISHED: Duration = Duration::from_micros(500);

/// The bytes of unread output at which a client that is subscribed to channels is closed, `--pubsub-output-bytes`.
pub const PUBSUB_OUTPUT_BYTES_DEFAULT: u64 = 32 << 20;

/// The bytes of unread output beyond which such a client may be for [`PUBSUB_OUTPUT_SOFT_SECONDS_DEFAULT`],
/// `--pubsub-output-soft-bytes`.
pub const PUBSUB_OUTPUT_SOFT_BYTES_DEFAULT: u64 = 8 << 20;

/// See [`PUBSUB_OUTPUT_SOFT_BYTES_DEFAULT`], `--pubsub-output-soft-seconds`.
pub const PUBSUB_OUTPUT_SOFT_SECONDS_DEFAULT: u64 = 60;
