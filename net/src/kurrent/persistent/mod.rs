//! Persistent subscriptions: the consumer groups of CDC.GROUP, as clients of KurrentDB make and read them.
//!
//! A group on a stream has the stream's name as its key pattern, one on `$all` the pattern `*`: see [`names`].
//!
//! | module | what is in it |
//! |---|---|
//! | `names` | how a client names a group, and how the group's core does |
//! | `settings` | what a client says of a group: what the group does with it, and what is only kept |
//! | `create` | Create and Update |
//! | `manage` | Delete, ReplayParked, RestartSubsystem |
//! | `info` | GetInfo and List |
//! | `read` | Read: a reader of a group, and its acknowledgements |
//! | `in_flight` | the ids of events that a reader has got |
//! | `error` | how calls fail |

mod create;
mod error;
mod in_flight;
mod info;
mod manage;
mod names;
mod read;
mod settings;

use super::proto::Empty;
use crate::groups::ask::GroupRefused;
use crate::grpc::{CallContext, Handler, Method, Status};
use names::GroupName;
use prost::Message;

/// The methods.
pub static METHODS: &[&Method] =
    &[&CREATE, &UPDATE, &DELETE, &READ, &GET_INFO, &LIST, &REPLAY_PARKED, &RESTART_SUBSYSTEM];

const fn method(path: &'static str, begin: fn() -> Box<dyn Handler>) -> Method {
    Method { path, features: &["stream", "all"], is_open: false, begin }
}

static CREATE: Method =
    method("/event_store.client.persistent_subscriptions.PersistentSubscriptions/Create", create::Make::creates);
static UPDATE: Method =
    method("/event_store.client.persistent_subscriptions.PersistentSubscriptions/Update", create::Make::updates);
static DELETE: Method =
    method("/event_store.client.persistent_subscriptions.PersistentSubscriptions/Delete", manage::Manage::deletes);
static READ: Method =
    method("/event_store.client.persistent_subscriptions.PersistentSubscriptions/Read", read::Reader::begin);
static GET_INFO: Method =
    method("/event_store.client.persistent_subscriptions.PersistentSubscriptions/GetInfo", info::GetInfo::begin);
static LIST: Method =
    method("/event_store.client.persistent_subscriptions.PersistentSubscriptions/List", info::List::begin);
static REPLAY_PARKED: Method = method(
    "/event_store.client.persistent_subscriptions.PersistentSubscriptions/ReplayParked",
    manage::Manage::replays,
);
static RESTART_SUBSYSTEM: Method =
    method("/event_store.client.persistent_subscriptions.PersistentSubscriptions/RestartSubsystem", restart);

/// Drops the readers of all groups.
pub fn restart() -> Box<dyn Handler> {
    manage::Restart::begin()
}

/// Answers a call that changes a group.
fn reply_done(context: &mut CallContext<'_>, name: &GroupName, done: Result<(), GroupRefused>) -> Result<(), Status> {
    done.map_err(|error| error::refused(name, error))?;
    reply_empty(context);
    Ok(())
}

/// Answers a call that has nothing to tell, and ends it.
fn reply_empty(context: &mut CallContext<'_>) {
    context.send(|out| Empty {}.encode_raw(out));
    context.finish();
}
