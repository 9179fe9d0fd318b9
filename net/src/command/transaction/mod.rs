//! MULTI, EXEC, DISCARD: the commands of a transaction are kept and run together.

use super::table::CommandIndex;
use super::{Command, Flag, Keys, Run};
use crate::limits::{TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX};
use crate::resp::{Args, OwnedArgs};

/// What a transaction's own command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Opens one.
    Multi,
    /// Runs it.
    Exec,
    /// Drops it.
    Discard,
}

/// The commands that a connection has queued since MULTI.
#[derive(Debug, Default)]
pub struct Transaction {
    commands: Vec<(CommandIndex, OwnedArgs)>,
    bytes: usize,
    failed: bool,
}

impl Transaction {
    /// Keeps a command; refused beyond the bounds, and then the transaction will not run.
    pub fn queue(&mut self, command: CommandIndex, args: Args<'_>) -> Result<(), &'static str> {
        self.bytes += args.bytes_total();
        if self.commands.len() >= TRANSACTION_COMMANDS_MAX || self.bytes > TRANSACTION_BYTES_MAX {
            self.failed = true;
            self.commands = Vec::new();
            return Err("ERR transaction is too large");
        }
        self.commands.push((command, OwnedArgs::from(args)));
        Ok(())
    }

    /// Marks it as one that will not run.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether it will not run.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// The bytes of the queued commands' arguments.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many commands are queued.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether none is queued.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The commands in order.
    pub fn commands(&self) -> impl Iterator<Item = (CommandIndex, Args<'_>)> {
        self.commands.iter().map(|(index, args)| (*index, args.as_args()))
    }
}

const fn step(name: &'static str, step: Step, summary: &'static str) -> Command {
    Command {
        name,
        arity: 1,
        flags: &[Flag::Fast, Flag::Immediate],
        keys: Keys::None,
        summary,
        group: "transactions",
        run: Run::Transaction(step),
    }
}

static MULTI: Command = step("multi", Step::Multi, "Starts a transaction.");
static EXEC: Command = step("exec", Step::Exec, "Runs the commands of the transaction.");
static DISCARD: Command = step("discard", Step::Discard, "Drops the transaction.");

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[&MULTI, &EXEC, &DISCARD];
