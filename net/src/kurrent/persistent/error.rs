//! How calls on persistent subscriptions fail, to the letter.

use super::super::error::{EXCEPTION, STREAM, position_evicted};
use super::names::GroupName;
use crate::groups::ask::{Dropped, GroupRefused};
use crate::grpc::{Code, Status};
use keytide_engine::group::GroupError;

/// The name of the trailer that says of which group.
const GROUP: &str = "group-name";

fn of(name: &GroupName, code: Code, exception: &str, text: String) -> Status {
    Status::new(code, text).with(EXCEPTION, exception).with(STREAM, name.stream()).with(GROUP, name.group.clone())
}

/// It cannot be done, for this reason.
pub fn failed(name: &GroupName, reason: &str) -> Status {
    let text = format!("Subscription group {} on stream {} failed: '{reason}'", name.group, name.stream());
    of(name, Code::Internal, "persistent-subscription-failed", text).with("reason", reason)
}

/// There is no such group.
pub fn does_not_exist(name: &GroupName) -> Status {
    let text = format!("Subscription group {} on stream {} does not exist.", name.group, name.stream());
    of(name, Code::NotFound, "persistent-subscription-does-not-exist", text)
}

/// Why a group has not done something.
pub fn refused(name: &GroupName, refused: GroupRefused) -> Status {
    let (group, stream) = (&name.group, name.stream());
    let error = match refused {
        GroupRefused::Group(error) => error,
        GroupRefused::Journal(text) => return Status::new(Code::Aborted, text),
    };
    match error {
        GroupError::NoGroup => does_not_exist(name),
        GroupError::Exists => {
            let text = format!("Subscription group {group} on stream {stream} exists.");
            of(name, Code::AlreadyExists, "persistent-subscription-exists", text)
        }
        GroupError::TooManySeats { .. } => {
            let text = format!("Maximum subscriptions reached for subscription group {group} on stream {stream}.");
            of(name, Code::FailedPrecondition, "maximum-subscribers-reached", text)
        }
        GroupError::BeyondHead(error) => failed(name, &error.to_string()),
        GroupError::Pattern(_) | GroupError::NameTooLong { .. } | GroupError::NotesTooLong { .. } => {
            Status::invalid(error.to_string())
        }
        GroupError::TooManyGroups | GroupError::TooManyConsumers | GroupError::OverLimit(_) | GroupError::Attached => {
            Status::new(Code::ResourceExhausted, error.to_string())
        }
        GroupError::Damaged(_) => Status::new(Code::Aborted, error.to_string()),
    }
}

/// Why a reader was dropped.
pub fn dropped(name: &GroupName, why: &Dropped) -> Status {
    match why {
        Dropped::Ended => {
            let text = format!("Subscription group {} on stream {} was dropped.", name.group, name.stream());
            of(name, Code::Cancelled, "persistent-subscription-dropped", text)
        }
        Dropped::Lost(first) => position_evicted(*first),
        Dropped::Failed(text) => Status::new(Code::Aborted, text.clone()),
    }
}
