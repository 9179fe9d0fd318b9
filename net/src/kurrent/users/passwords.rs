//! ChangePassword, by who knows the present one; ResetPassword, by who manages users.

use super::super::error::access_denied;
use super::super::proto::Empty;
use super::super::proto::users::{ChangePasswordReq, ResetPasswordReq};
use super::{check_manager, is_own, not_found, save, tell, wrong};
use crate::access::{LoginRefused, User};
use crate::grpc::{CallContext, Code, Handler, Method, Status};
use bytes::Bytes;
use keytide_engine::clock::steady_millis;
use prost::Message;

pub static CHANGE: Method = Method {
    path: "/event_store.client.users.Users/ChangePassword",
    features: &[],
    is_open: false,
    begin: || Box::new(ChangePassword),
};

pub static RESET: Method = Method {
    path: "/event_store.client.users.Users/ResetPassword",
    features: &[],
    is_open: false,
    begin: || Box::new(ResetPassword),
};

struct ChangePassword;

impl Handler for ChangePassword {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        let request = ChangePasswordReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        let options = request.options.unwrap_or_default();
        let name = &options.login_name;
        if !is_own(context, name) {
            check_manager(context)?;
        }
        // Attempts count as logins do: nobody guesses passwords here.
        let (address, current) = (context.caller.peer.map(|peer| peer.ip()), options.current_password.as_bytes());
        let users = &context.server.users;
        users.table().0.get(name.as_bytes()).ok_or_else(|| not_found(name))?;
        users.log_in(address, name.as_bytes(), current).map_err(|refused| match refused {
            LoginRefused::Wrong => access_denied(),
            LoginRefused::TooMany { .. } => Status::new(Code::ResourceExhausted, refused.to_string()),
        })?;
        if !context.user.usage().note_password_change(steady_millis()) {
            return Err(Status::new(
                Code::ResourceExhausted,
                "The password was changed a moment ago: try again in a second",
            ));
        }
        set(context, name, &options.new_password, |user| user.accepts(current))
    }
}

struct ResetPassword;

impl Handler for ResetPassword {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        check_manager(context)?;
        let request = ResetPasswordReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        let options = request.options.unwrap_or_default();
        set(context, &options.login_name, &options.new_password, |_| true)
    }
}

/// Gives a user one password in place of all that it has.
fn set(
    context: &mut CallContext<'_>,
    name: &str,
    password: &str,
    may: impl FnOnce(&User) -> bool,
) -> Result<(), Status> {
    let rule = [b">", password.as_bytes()].concat();
    let words = [&b"resetpass"[..], &rule];
    let is_set = context.server.users.set_where(name.as_bytes(), words, |user| user.is_some_and(may)).map_err(wrong)?;
    if !is_set {
        return Err(not_found(name));
    }
    tell(context, "password", name);
    save(context)?;
    context.send(|out| Empty {}.encode_raw(out));
    context.finish();
    Ok(())
}
