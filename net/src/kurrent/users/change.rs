//! Create, Update, Delete, Enable and Disable.

use super::super::proto::Empty;
use super::super::proto::users::{NameReq, UserReq, user_req};
use super::{check_manager, conflict, groups, is_needed, not_found, save, tell, wrong};
use crate::access::User;
use crate::grpc::{CallContext, Handler, Method, Status};
use bytes::Bytes;
use prost::Message;

const fn method(path: &'static str, begin: fn() -> Box<dyn Handler>) -> Method {
    Method { path, features: &[], is_open: false, begin }
}

pub static CREATE: Method = method("/event_store.client.users.Users/Create", || Box::new(Change::Create));
pub static UPDATE: Method = method("/event_store.client.users.Users/Update", || Box::new(Change::Update));
pub static DELETE: Method = method("/event_store.client.users.Users/Delete", || Box::new(Change::Delete));
pub static ENABLE: Method = method("/event_store.client.users.Users/Enable", || Box::new(Change::Enable));
pub static DISABLE: Method = method("/event_store.client.users.Users/Disable", || Box::new(Change::Disable));

#[derive(Clone, Copy)]
enum Change {
    Create,
    Update,
    Delete,
    Enable,
    Disable,
}

impl Handler for Change {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        check_manager(context)?;
        let invalid = |error: prost::DecodeError| Status::invalid(error.to_string());
        match self {
            Change::Create => create(context, UserReq::decode(message).map_err(invalid)?.options.unwrap_or_default())?,
            Change::Update => update(context, UserReq::decode(message).map_err(invalid)?.options.unwrap_or_default())?,
            Change::Delete | Change::Enable | Change::Disable => {
                let name = NameReq::decode(message).map_err(invalid)?.options.unwrap_or_default().login_name;
                self.of_name(context, &name)?;
            }
        }
        save(context)?;
        context.send(|out| Empty {}.encode_raw(out));
        context.finish();
        Ok(())
    }
}

impl Change {
    fn of_name(self, context: &CallContext<'_>, name: &str) -> Result<(), Status> {
        let users = &context.server.users;
        let is_there = |user: Option<&User>| user.is_some();
        let (was_there, change) = match self {
            Change::Enable => (users.set_where(name.as_bytes(), [&b"on"[..]], is_there).map_err(wrong)?, "enable"),
            Change::Disable => {
                is_needed(name)?;
                (users.set_where(name.as_bytes(), [&b"off"[..]], is_there).map_err(wrong)?, "disable")
            }
            Change::Create | Change::Update | Change::Delete => {
                is_needed(name)?;
                // Fails only for the default user.
                (users.delete([name.as_bytes()].into_iter()).is_ok_and(|deleted| !deleted.is_empty()), "delete")
            }
        };
        if !was_there {
            return Err(not_found(name));
        }
        tell(context, change, name);
        Ok(())
    }
}

fn create(context: &CallContext<'_>, options: user_req::Options) -> Result<(), Status> {
    let name = &options.login_name;
    if name.is_empty() {
        return Err(Status::invalid("the login name is missing"));
    }
    let mut words: Vec<Vec<u8>> = vec![b"on".to_vec(), [b">", options.password.as_bytes()].concat()];
    words.extend(about(&options));
    words.extend(groups::rules(&options.groups).into_iter().map(|rule| rule.as_bytes().to_vec()));
    let words = words.iter().map(Vec::as_slice);
    if !context.server.users.set_where(name.as_bytes(), words, |user| user.is_none()).map_err(wrong)? {
        return Err(conflict(name));
    }
    tell(context, "create", name);
    Ok(())
}

fn update(context: &CallContext<'_>, options: user_req::Options) -> Result<(), Status> {
    let name = &options.login_name;
    let (users, _) = context.server.users.table();
    let user = users.get(name.as_bytes()).ok_or_else(|| not_found(name))?;
    let mut words = about(&options);
    if groups::of(user) != options.groups {
        is_needed(name)?;
        words.extend(groups::rules(&options.groups).into_iter().map(|rule| rule.as_bytes().to_vec()));
    }
    let words = words.iter().map(Vec::as_slice);
    // Another change of the user meanwhile would be of rules that were not looked at.
    let is_same = |now: Option<&User>| now.is_some_and(|now| now.describe() == user.describe());
    if !context.server.users.set_where(name.as_bytes(), words, is_same).map_err(wrong)? {
        return Err(conflict(name));
    }
    tell(context, "update", name);
    Ok(())
}

/// The rules that say what a request says of a user.
fn about(options: &user_req::Options) -> Vec<Vec<u8>> {
    crate::access::about_rules(&options.full_name, &options.groups)
}
