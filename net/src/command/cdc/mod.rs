//! Change capture: commands that read the recorded history.

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[];
