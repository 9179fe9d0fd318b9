//! Commands about the server.

mod flush;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[&flush::FLUSHDB, &flush::FLUSHALL];
