//! The bounds of consumer groups that calls read.

use std::time::Duration;

/// How long a core does what calls ask of its consumer groups in a turn; the readers of groups may take as long again.
pub const GROUP_ASKS_TURN: Duration = Duration::from_micros(500);

/// How many bytes of events a consumer group gives to its readers at once.
pub const GROUP_ROUND_BYTES: u64 = 256 << 10;

/// After so long a group looks again whether there is memory for new events, in milliseconds.
pub const GROUP_HELD_BACK_MS: u64 = 1_000;

/// How many groups a core lists in a turn.
pub const GROUPS_LISTED_TURN: usize = 256;

/// The longest message of a reader of a persistent subscription, in bytes: more ids than may be in flight to it.
pub const GROUP_ACK_BYTES_MAX: usize = 1 << 20;

/// For how many events is kept how long a reader has taken, where that is measured.
pub const GROUP_TIMES_MAX: usize = 1_000;

/// How many events are in flight to one reader of a persistent subscription, whatever it asks for, `--group-reader-events`.
pub const GROUP_WINDOW_DEFAULT: usize = 10_000;
