//! Who a call is from: what its `authorization` says.

use super::calls::Surroundings;
use super::denied::note_denied;
use super::status::{Code, Status};
use crate::access::{LoginRefused, Reason, User};
use crate::server::Server;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keytide_engine::account::Limit;
use keytide_engine::clock::steady_millis;
use std::sync::Arc;

/// The user of a call to the method of this path: the one that its credentials name, else the connection's.
///
/// # Errors
/// The credentials are wrong, or of a kind that nobody can check here.
pub fn user_of(around: &Surroundings<'_>, path: &[u8], authorization: Option<&[u8]>) -> Result<Arc<User>, Status> {
    let wrong = || Status::new(Code::Unauthenticated, "Unauthenticated");
    let Some(given) = authorization else { return around.user.cloned().ok_or_else(wrong) };
    // Where everybody may do everything it does not matter who somebody says to be.
    if let Some(user) = around.user.filter(|user| user.is_unlimited() && user.is_open()) {
        return Ok(user.clone());
    }
    if !around.takes_credentials {
        let text = "Passwords are taken over TLS only, unless the server is started with --grpc-plain-credentials";
        return Err(Status::new(Code::Unauthenticated, text));
    }
    let (scheme, value) = given.split_at(given.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?);
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Status::new(Code::Unauthenticated, "Bearer tokens are not supported: give a user and a password"));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err(wrong());
    }
    let decoded = BASE64_STANDARD.decode(value.trim_ascii()).map_err(|_| wrong())?;
    let colon = decoded.iter().position(|byte| *byte == b':').ok_or_else(wrong)?;
    let address = around.peer.map(|peer| peer.ip());
    let (name, password) = (&decoded[..colon], &decoded[colon + 1..]);
    around.server.users.log_in(address, name, password).map_err(|refused| match refused {
        LoginRefused::Wrong => {
            note_denied(&around.server.users.denials, around.caller(), name, (Reason::Auth, path));
            wrong()
        }
        LoginRefused::TooMany { .. } => Status::new(Code::ResourceExhausted, refused.to_string()),
    })
}

/// Counts a call among the commands that its user may run in a second.
///
/// # Errors
/// There are as many already.
pub fn check_pace(server: &Server, user: &User) -> Result<(), Status> {
    let limits = &server.users.limits;
    let max = limits.commands.max();
    let is_refused = max != Limit::NONE && {
        let second = (steady_millis() / 1000) as u32;
        user.usage().take_commands(second, 1, max) == 0
    };
    if is_refused { Err(Status::new(Code::ResourceExhausted, limits.refuse_command().to_string())) } else { Ok(()) }
}
