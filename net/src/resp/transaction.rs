//! The queue of a transaction: the commands that a connection has sent since MULTI.

use super::{Args, CommandIndex, OwnedArgs, Watches};
use crate::limits::{QUEUED_ARGUMENT_BYTES, QUEUED_COMMAND_BYTES, TRANSACTION_BYTES_MAX, TRANSACTION_COMMANDS_MAX};
use keytide_engine::account::{Account, OverLimit, Share};
use keytide_engine::shards::Shards;
use keytide_engine::stream_name::Database;
use thiserror::Error;

/// The commands that a connection has queued since MULTI.
#[derive(Debug)]
pub struct Transaction {
    /// Each with the database that is selected then.
    commands: Vec<(CommandIndex, Database, OwnedArgs)>,
    /// The database in which it was begun.
    begun_in: Database,
    /// The bytes of all arguments.
    bytes: usize,
    /// The memory that it takes.
    share: Share,
    failed: bool,
    /// The keys that must not have changed.
    watches: Option<Box<Watches>>,
}

/// Why a command is not queued, and the transaction will not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TooLarge {
    /// It has the most commands allowed, or their arguments have the length limit of a query.
    #[error("transaction is too large")]
    Transaction,
    /// This transaction, or those of all clients, reach the memory limit.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
}

impl Transaction {
    /// An empty transaction, begun in this database. Its memory is counted on the account.
    pub fn new(account: &Account, begun_in: Database) -> Transaction {
        Transaction { begun_in, commands: Vec::new(), bytes: 0, share: account.share(), failed: false, watches: None }
    }

    /// Queues a command; beyond the limits it is refused, and then the transaction will not run.
    ///
    /// # Errors
    /// If the transaction, or those of all clients together, would be too large. The queued commands are freed.
    pub fn queue(&mut self, command: CommandIndex, database: Database, args: Args<'_>) -> Result<(), TooLarge> {
        self.take(args).inspect_err(|_| {
            self.failed = true;
            self.commands = Vec::new();
            self.share.set(0);
        })?;
        // A failed transaction will not run: its commands are not stored.
        if !self.failed {
            self.commands.push((command, database, OwnedArgs::from(args)));
        }
        Ok(())
    }

    /// Reserves the memory of a command.
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

    /// Marks the transaction as failed: it will not run.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether it will not run.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Lets it run only if none of these keys has changed. It keeps those that it has.
    pub fn watch(&mut self, watches: Option<Box<Watches>>) {
        self.watches = self.watches.take().or(watches);
    }

    /// The keys that must not have changed.
    pub fn watched_keys(&self) -> impl Iterator<Item = &[u8]> {
        self.watches.iter().flat_map(|watches| watches.keys())
    }

    /// Whether a key has changed that must not have. The shards of these keys have to be at hand.
    pub fn has_met_change(&self, shards: &mut Shards<'_>) -> bool {
        self.watches.as_ref().is_some_and(|watches| watches.have_changed(shards))
    }

    /// The bytes of the queued commands' arguments.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of queued commands.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether none is queued.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The commands in order.
    pub fn commands(&self) -> impl Iterator<Item = (CommandIndex, Args<'_>)> {
        self.queued().map(|(index, _, args)| (index, args))
    }

    /// The commands in order, each with the database that is selected then.
    pub fn queued(&self) -> impl Iterator<Item = (CommandIndex, Database, Args<'_>)> {
        self.commands.iter().map(|(index, database, args)| (*index, *database, args.as_args()))
    }

    /// The database in which it was begun.
    pub fn begun_in(&self) -> Database {
        self.begun_in
    }
}
