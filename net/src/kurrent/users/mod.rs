//! The service Users: the users of the server, as KurrentDB's clients ask for them. They are the users of Redis's ACLs, and
//! live as long as those. What a user may do is made of its groups here, see [`groups`]; rules that it was given otherwise
//! stay until its groups are changed.
//!
//! | module | what is in it |
//! |---|---|
//! | `groups` | what the groups of a user permit |
//! | `change` | Create, Update, Delete, Enable, Disable |
//! | `passwords` | ChangePassword, ResetPassword |
//! | `details` | Details |

mod change;
mod details;
mod groups;
mod passwords;

use super::error::access_denied;
use super::rights::{Use, check_command};
use crate::access::{RuleError, SetUserError};
use crate::grpc::{CallContext, Code, Method, Status};

/// The methods.
pub static METHODS: &[&Method] = &[
    &change::CREATE,
    &change::UPDATE,
    &change::DELETE,
    &change::ENABLE,
    &change::DISABLE,
    &passwords::CHANGE,
    &passwords::RESET,
    &details::METHOD,
];

/// Refuses a call of who may not manage users.
fn check_manager(context: &CallContext<'_>) -> Result<(), Status> {
    check_command(context, Use::ManageUsers)
}

fn with_user(status: Status, exception: &'static str, name: &str) -> Status {
    status.with("exception", exception).with("login-name", name)
}

/// There is no such user.
fn not_found(name: &str) -> Status {
    with_user(Status::new(Code::NotFound, format!("User '{name}' is not found.")), "user-not-found", name)
}

/// There is such a user already.
fn conflict(name: &str) -> Status {
    with_user(Status::new(Code::FailedPrecondition, "Conflict."), "user-conflict", name)
}

/// A request is wrong.
fn wrong(error: SetUserError) -> Status {
    match error {
        SetUserError::Name => Status::invalid("a login name has no spaces"),
        SetUserError::Rule(_, RuleError::PasswordTooLong) => Status::invalid(RuleError::PasswordTooLong.to_string()),
        SetUserError::Rule(_, error) => Status::invalid(error.to_string()),
        SetUserError::Unmatched(_) => Status::invalid("a rule is wrong"),
    }
}

/// Writes the users to their file, where there is one, as KurrentDB keeps its users too.
///
/// # Errors
/// The change is made and not saved.
fn save(context: &CallContext<'_>) -> Result<(), Status> {
    match context.server.users.save() {
        None | Some(Ok(())) => Ok(()),
        Some(Err(error)) => {
            tracing::warn!("users were changed and not saved: {error}");
            Err(Status::new(Code::Aborted, "The change is made, and could not be saved: see the server's log"))
        }
    }
}

/// Whether a call is of this user.
fn is_own(context: &CallContext<'_>, name: &str) -> bool {
    context.user.name() == name.as_bytes()
}

/// Logs a change.
fn tell(context: &CallContext<'_>, change: &str, name: &str) {
    let by = context.user.name().escape_ascii();
    tracing::info!(%by, change, user = %name.as_bytes().escape_ascii(), "users were changed");
}

/// The user may not be deleted or turned off.
fn is_needed(name: &str) -> Result<(), Status> {
    if name.as_bytes() == crate::access::DEFAULT_USER { Err(access_denied()) } else { Ok(()) }
}
