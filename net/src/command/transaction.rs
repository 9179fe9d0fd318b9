//! MULTI, EXEC, DISCARD: the commands of a transaction are queued and run together.

use super::{Access, Command, Flag, Keys, Run};

/// The effect of a transaction's own command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Opens one.
    Multi,
    /// Runs it.
    Exec,
    /// Drops it.
    Discard,
}

const fn step(name: &'static str, step: Step, flags: &'static [Flag], summary: &'static str) -> Command {
    Command {
        name,
        arity: 1,
        flags,
        keys: Keys::None,
        access: Access::NONE,
        summary,
        group: "transactions",
        run: Run::Transaction(step),
    }
}

const FAST: &[Flag] = &[Flag::Fast, Flag::Immediate];

static MULTI: Command = step("multi", Step::Multi, FAST, "Starts a transaction.");
static EXEC: Command = step("exec", Step::Exec, &[Flag::Immediate], "Runs the commands of the transaction.");
static DISCARD: Command = step("discard", Step::Discard, FAST, "Discards the transaction.");

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[&MULTI, &EXEC, &DISCARD];
