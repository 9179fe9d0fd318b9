//! ACL DRYRUN: whether a user may run a command.

use super::{ADMIN, acl};
use crate::command::access::check;
use crate::command::table::TABLE;
use crate::command::{Command, SessionContext};
use crate::resp::{Args, Reply};

pub static DRYRUN: Command =
    acl("acl|dryrun", -4, ADMIN, "Returns whether a user may run a command, and does not run it.", dryrun);

fn dryrun(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (name, asked) = (args.get(2), args.rest(3));
    let (users, _) = context.server.users.table();
    let Some(user) = users.get(name) else { return reply.error([b"ERR User '", name, b"' not found"].concat()) };
    // A container without a word is known, and lacks an argument.
    let is_known = TABLE.begun(asked).is_some() || asked.len() == 1 && TABLE.index_of(asked.get(0)).is_some();
    match TABLE.resolve(asked) {
        _ if !is_known => reply.error([b"ERR Command '", asked.get(0), b"' not found"].concat()),
        Err(text) => reply.error(text),
        Ok(index) => match check(user, index, asked) {
            Ok(()) => reply.ok(),
            Err(refused) => reply.bulk(&refused.dry_text()),
        },
    }
}
