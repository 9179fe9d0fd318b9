//! ACL: the users and their permissions, and what was denied to them.

mod change;
mod dryrun;
mod files;
mod help;
mod log;
mod show;
mod words;

use crate::command::secrets::Secrets;
use crate::command::{Access, Command, Flag, Keys, Run, SessionContext};
use crate::resp::{Args, Reply};

static ACL: Command = Command {
    name: "acl",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Commands on users and their permissions.",
    group: "server",
    run: Run::Container(&[
        &words::CAT,
        &change::DELUSER,
        &dryrun::DRYRUN,
        &words::GENPASS,
        &show::GETUSER,
        &show::LIST,
        &files::LOAD,
        &log::LOG,
        &files::SAVE,
        &change::SETUSER,
        &show::USERS,
        &show::WHOAMI,
        &help::HELP,
    ]),
};

/// For administrators.
const ADMIN: &[Flag] = &[Flag::Admin];

/// A subcommand of ACL.
const fn acl(
    name: &'static str,
    arity: i32,
    flags: &'static [Flag],
    summary: &'static str,
    run: fn(&mut SessionContext<'_>, Args<'_>, &mut Reply<'_>),
) -> Command {
    Command {
        name,
        arity,
        flags,
        keys: Keys::None,
        access: Access::NONE,
        summary,
        group: "server",
        run: Run::Session(run),
    }
}

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[&ACL];

/// Those with secret arguments: rules have passwords.
pub const SECRETS: Secrets = &[(&change::SETUSER, |_, place| place > 1)];
