//! The number of a command in the table of this protocol's commands.

/// A command's place in the table of commands. It names the command in a transaction's queue and to other cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandIndex(u16);

impl CommandIndex {
    /// The index of the command at `place` of the table, below 65,536. Only the table makes indexes, so each has its command.
    #[inline]
    pub(crate) fn at(place: usize) -> CommandIndex {
        debug_assert!(place <= usize::from(u16::MAX));
        CommandIndex(place as u16)
    }

    /// The place in the table.
    #[inline]
    pub fn place(self) -> usize {
        self.0.into()
    }
}
