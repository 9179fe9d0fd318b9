//! MULTI, EXEC, DISCARD: the commands of a transaction are queued and run together. WATCH, UNWATCH: only if keys are unchanged.

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
    /// Watches keys for the next one.
    Watch,
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

static WATCH: Command = Command {
    arity: -2,
    keys: Keys::ALL,
    access: Access::LOOK,
    ..step("watch", Step::Watch, FAST, "Watches keys: the next transaction runs only if none of them has changed.")
};

static UNWATCH: Command = Command {
    flags: &[Flag::Fast, Flag::NoScript],
    run: Run::Session(|context, _, reply| {
        context.resp.watches = None;
        reply.ok();
    }),
    ..step("unwatch", Step::Watch, FAST, "Watches no key any more.")
};

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[&MULTI, &EXEC, &DISCARD, &WATCH, &UNWATCH];
