//! ACL LOAD, SAVE: users from and to the file of `--acl-file`.

use super::{ADMIN, acl};
use crate::command::{Command, SessionContext};
use crate::resp::{Args, Reply, error_text};

/// The error where there is no such file.
const NO_FILE: &str = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via \
                       the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration \
                       file set) in order to store users in the Redis configuration.";

pub static LOAD: Command = acl("acl|load", 2, ADMIN, "Replaces all users by those of the file.", load);

fn load(context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    match context.server.users.load() {
        Some(Ok(())) => {
            context.note_user_change("load", b"");
            reply.ok();
        }
        Some(Err(error)) => reply.error(error_text::err(&error)),
        None => reply.error(NO_FILE),
    }
}

pub static SAVE: Command = acl("acl|save", 2, ADMIN, "Writes all users to the file.", save);

fn save(context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    match context.server.users.save() {
        Some(Ok(())) => reply.ok(),
        Some(Err(error)) => {
            tracing::warn!("ACL SAVE: {error}");
            reply.error(
                "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
            );
        }
        None => reply.error(NO_FILE),
    }
}
