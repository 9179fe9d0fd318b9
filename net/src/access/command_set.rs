//! A set of commands, one bit for each by its index in the catalogue.

use crate::limits::COMMANDS_MAX;

const WORDS: usize = COMMANDS_MAX / u64::BITS as usize;

/// A set of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommandSet([u64; WORDS]);

impl CommandSet {
    /// Without any.
    pub const NONE: CommandSet = CommandSet([0; WORDS]);

    /// With all that there can be.
    pub const ALL: CommandSet = CommandSet([u64::MAX; WORDS]);

    /// Whether a command is in it.
    #[inline]
    pub fn has(&self, command: usize) -> bool {
        self.0[command / 64] & 1 << (command % 64) != 0
    }

    /// Puts a command in, or takes it out.
    pub fn set(&mut self, command: usize, is_in: bool) {
        let (word, bit) = (&mut self.0[command / 64], 1 << (command % 64));
        if is_in {
            *word |= bit;
        } else {
            *word &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_bit_of_its_own() {
        for command in [0, 63, 64, COMMANDS_MAX - 1] {
            let mut set = CommandSet::NONE;
            set.set(command, true);
            let members: Vec<usize> = (0..COMMANDS_MAX).filter(|other| set.has(*other)).collect();
            assert_eq!(members, [command]);
            set.set(command, false);
            assert_eq!(set, CommandSet::NONE);
        }
    }
}
