//! MULTI, EXEC, DISCARD: the commands of a transaction are kept and run together.

use super::table::CommandIndex;
use super::{Command, Flag, Keys, Run};
use crate::limits::{QUEUED_ARGUMENT_BYTES, QUEUED_COMMAND_BYTES, TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX};
use crate::resp::{Args, OwnedArgs};
use keytide_engine::account::{Account, OverLimit, Share};
use thiserror::Error;

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
#[derive(Debug)]
pub struct Transaction {
    commands: Vec<(CommandIndex, OwnedArgs)>,
    /// The bytes of all arguments.
    bytes: usize,
    /// The memory that it takes.
    share: Share,
    failed: bool,
}

/// Why a command is not queued, and the transaction will not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TooLarge {
    /// It has as many commands as it may have, or their arguments are as long as a query may be.
    #[error("transaction is too large")]
    Transaction,
    /// This transaction, or those of all clients, take as much memory as they may.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
}

impl Transaction {
    /// Without a command. What it takes is counted on the account.
    pub fn new(account: &Account) -> Transaction {
        Transaction { commands: Vec::new(), bytes: 0, share: account.share(), failed: false }
    }

    /// Keeps a command; refused beyond the bounds, and then the transaction will not run.
    ///
    /// # Errors
    /// Where the transaction, or those of all clients together, would be too large. What was queued is freed.
    pub fn queue(&mut self, command: CommandIndex, args: Args<'_>) -> Result<(), TooLarge> {
        self.take(args).inspect_err(|_| {
            self.failed = true;
            self.commands = Vec::new();
            self.share.set(0);
        })?;
        // Nothing of it will run: it is not kept.
        if !self.failed {
            self.commands.push((command, OwnedArgs::from(args)));
        }
        Ok(())
    }

    /// Takes what a command needs.
    fn take(&mut self, args: Args<'_>) -> Result<(), TooLarge> {
        if self.failed {
            return Ok(());
        }
        let bytes = args.bytes_total();
        if self.commands.len() >= TRANSACTION_COMMANDS_MAX || self.bytes + bytes > TRANSACTION_BYTES_MAX {
            return Err(TooLarge::Transaction);
        }
        self.bytes += bytes;
        let taken = bytes + args.len() * QUEUED_ARGUMENT_BYTES + QUEUED_COMMAND_BYTES;
        Ok(self.share.take_own(taken as u64)?)
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
