//! ACL SETUSER, DELUSER: they change users. What clients may do changes at once, on all cores.

use super::{ADMIN, acl};
use crate::access::{SetUserError, shown_rule};
use crate::command::{Command, SessionContext};
use crate::resp::{Args, Reply, error_text};

pub static SETUSER: Command = acl("acl|setuser", -3, ADMIN, "Creates a user, or changes one by rules.", setuser);

fn setuser(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let name = args.get(2);
    match context.server.users.set(name, args.rest(3).iter()) {
        Ok(()) => {
            context.note_user_change("setuser", name);
            reply.ok();
        }
        Err(error) => reply.error(text(&error)),
    }
}

/// The error for a user that is not set: redis-server's, but for passwords, which it does not show.
fn text(error: &SetUserError) -> Vec<u8> {
    match error {
        SetUserError::Name => b"ERR Usernames can't contain spaces or null characters".to_vec(),
        SetUserError::Unmatched(first) => {
            [b"ERR Unmatched parenthesis in acl selector starting at '", &first.0[..], b"'."].concat()
        }
        SetUserError::Rule(rule, error) => {
            let reason = format!("': {error}");
            [b"ERR Error in ACL SETUSER modifier '", shown_rule(rule), reason.as_bytes()].concat()
        }
    }
}

pub static DELUSER: Command =
    acl("acl|deluser", -3, ADMIN, "Deletes users, and closes the connections of their clients.", deluser);

fn deluser(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    match context.server.users.delete(args.rest(2).iter()) {
        Ok(deleted) => {
            deleted.iter().for_each(|name| context.note_user_change("deluser", name));
            reply.unsigned(deleted.len() as u64);
        }
        Err(error) => reply.error(error_text::err(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{RuleError, UnmatchedParenthesis};

    #[test]
    fn errors_are_those_of_redis_without_a_password() {
        let text = |error| String::from_utf8(text(&error)).expect("text");
        assert_eq!(
            text(SetUserError::Rule(b"+nosuch".to_vec(), RuleError::Unknown)),
            "ERR Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL"
        );
        assert_eq!(
            text(SetUserError::Unmatched(UnmatchedParenthesis(b"(+get".to_vec()))),
            "ERR Unmatched parenthesis in acl selector starting at '(+get'."
        );
        assert!(!text(SetUserError::Rule(b"<secret".to_vec(), RuleError::NoSuchPassword)).contains("secret"));
    }
}
