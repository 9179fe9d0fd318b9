//! What a user needs for what a call does: the rights of the commands of the Redis protocol that do the same.

use super::error::access_denied;
use crate::access::{Need, Object, Reason, User};
use crate::grpc::{CallContext, Status, note_denied};
use crate::server::Server;
use keytide_engine::filter::{Pattern, Target};
use keytide_engine::interest::{Interest, Source};
use keytide_engine::stream_acl::StreamUse;
use keytide_engine::stream_name::{is_read_only, is_system};

/// What is done, most of it with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Its events are read.
    Read,
    /// Events are appended.
    Append,
    /// It is deleted.
    Delete,
    /// No stream: what operators do.
    Operate,
    /// No stream: users are created, changed and deleted.
    ManageUsers,
    /// Consumer groups on it are created, changed or deleted.
    ManageGroup,
    /// One of these is read.
    ReadGroup,
    /// Their figures are read.
    InspectGroup,
}

impl Use {
    /// The command whose right it takes.
    fn command(self) -> &'static [u8] {
        match self {
            Use::Read => b"cdc.subscribe",
            Use::Append | Use::Delete => b"cdc.append",
            Use::Operate => b"bgsave",
            Use::ManageUsers => b"acl|setuser",
            Use::ManageGroup => b"cdc.group|create",
            Use::ReadGroup => b"cdc.group|read",
            Use::InspectGroup => b"cdc.group|info",
        }
    }

    fn need(self) -> Need {
        match self {
            Use::Read | Use::ManageGroup | Use::ReadGroup | Use::InspectGroup => Need::READ,
            Use::Append | Use::Delete => Need::WRITE,
            Use::Operate | Use::ManageUsers => Need::NOTHING,
        }
    }
}

/// Refuses a call whose user may not use a stream so.
///
/// # Errors
/// It may not; nobody may write to a system stream.
pub fn check_stream(context: &CallContext<'_>, what: Use, stream: &[u8]) -> Result<(), Status> {
    if matches!(what, Use::Append | Use::Delete) && is_read_only(stream) {
        return Err(access_denied());
    }
    if is_read_only(stream) {
        // No metadata speaks of them: only the defaults do, which those who may do everything are not bound by.
        check_default(context, stream)?;
    }
    // Streams of the system are for those who may use all keys.
    let object = if is_system(stream) { Object::AllKeys(what.need()) } else { Object::Key(stream, what.need()) };
    check(context, what, object)
}

/// Refuses a call whose user may not read a source.
///
/// # Errors
/// It may not.
pub fn check_source(context: &CallContext<'_>, source: &Source, is_filtered: bool) -> Result<(), Status> {
    match source {
        Source::Stream(name) if !is_filtered => check_stream(context, Use::Read, name),
        _ => {
            check_default(context, &source.name())?;
            check(context, Use::Read, Object::AllKeys(Need::READ))
        }
    }
}

/// Refuses a call whose user may not read a computed stream, as the defaults of `$settings` say.
fn check_default(context: &CallContext<'_>, stream: &[u8]) -> Result<(), Status> {
    if context.user.is_unlimited() {
        return Ok(());
    }
    let who = context.who();
    if who.defaults.permit(stream, StreamUse::Read, &who) {
        return Ok(());
    }
    note_denied(&context.server.users.denials, context.caller, context.user.name(), (Reason::Key, stream));
    Err(access_denied())
}

/// Refuses a call whose user may not read everything.
///
/// # Errors
/// It may not.
pub fn check_all(context: &CallContext<'_>) -> Result<(), Status> {
    check(context, Use::Read, Object::AllKeys(Need::READ))
}

/// Whether a user may read a group with these events.
pub fn may_read_group(server: &Server, user: &User, interest: &Interest) -> bool {
    let need = Need::READ;
    let object = match (&interest.source, interest.filter.pattern()) {
        (Source::Stream(name), Pattern::All) if !is_system(name) => Object::Key(name, need),
        (Source::All, Pattern::Glob(glob)) if interest.filter.on() == Target::Stream => match glob.exact() {
            Some(key) if !is_system(key) => Object::Key(key, need),
            _ => Object::AllKeys(need),
        },
        _ => Object::AllKeys(need),
    };
    let command = server.users.catalogue().find(Use::ReadGroup.command());
    user.is_unlimited()
        || command.is_some_and(|command| user.check(command, || None, || std::iter::once(object)).is_ok())
}

/// Refuses a call whose user may not do what is done with no stream.
///
/// # Errors
/// It may not.
pub fn check_command(context: &CallContext<'_>, what: Use) -> Result<(), Status> {
    check(context, what, None)
}

fn check<'o>(context: &CallContext<'_>, what: Use, object: impl Into<Option<Object<'o>>>) -> Result<(), Status> {
    if context.user.is_unlimited() {
        return Ok(());
    }
    let command = context.server.users.catalogue().find(what.command()).ok_or_else(access_denied)?;
    let object = object.into();
    context.user.check(command, || None, || object.into_iter()).map_err(|denial| {
        let denied = match (denial.reason, object) {
            (Reason::Key, Some(Object::Key(key, _))) => (Reason::Key, key),
            (Reason::Key, _) => (Reason::Key, keytide_engine::stream_name::ALL),
            (reason, _) => (reason, what.command()),
        };
        note_denied(&context.server.users.denials, context.caller, context.user.name(), denied);
        access_denied()
    })
}
