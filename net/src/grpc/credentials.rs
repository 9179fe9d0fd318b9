//! Who a call is from: what its `authorization` says.

use super::status::{Code, Status};
use crate::access::User;
use crate::server::Server;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::sync::Arc;

/// The user of a call: the one that its credentials name, else the connection's.
///
/// # Errors
/// The credentials are wrong, or of a kind that nobody can check here.
pub fn user_of(
    server: &Server,
    authorization: Option<&[u8]>,
    otherwise: Option<&Arc<User>>,
) -> Result<Arc<User>, Status> {
    let wrong = || Status::new(Code::Unauthenticated, "Unauthenticated");
    let Some(given) = authorization else { return otherwise.cloned().ok_or_else(wrong) };
    // Where everybody may do everything it does not matter who somebody says to be.
    if let Some(user) = otherwise.filter(|user| user.is_unlimited() && user.is_open()) {
        return Ok(user.clone());
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
    server.users.authenticate(&decoded[..colon], &decoded[colon + 1..]).ok_or_else(wrong)
}
