//! Which arguments of a command nobody is shown: passwords, and rules of users, which have some. As Redis hides them.

use super::table::TABLE;
use super::{Command, acl, connection, server};
use crate::resp::{Args, CommandIndex};
use keytide_engine::stream_name::Database;
use std::borrow::Cow;

/// Whether the argument at a place is secret.
pub type IsSecret = fn(Args<'_>, usize) -> bool;

/// The commands of a family with secret arguments.
pub type Secrets = &'static [(&'static Command, IsSecret)];

/// Those of all families.
const FAMILIES: &[Secrets] = &[connection::SECRETS, acl::SECRETS, server::SECRETS];

/// What is shown instead.
const REDACTED: &[u8] = b"(redacted)";

/// The argument at a place of a command as it may be shown: keys by their names in their database.
pub fn shown(index: CommandIndex, args: Args<'_>, place: usize) -> Cow<'_, [u8]> {
    let command = TABLE.get(index);
    let of_command = || FAMILIES.iter().copied().flatten().find(|(one, _)| std::ptr::eq(*one, command));
    if place > 0 && of_command().is_some_and(|(_, is_secret)| is_secret(args, place)) {
        return REDACTED.into();
    }
    let argument = args.get(place);
    let is_key = command.keys.places(args).any(|key| key == place) && command.group != "cdc";
    if is_key { Database::key_of(argument).into() } else { argument.into() }
}
