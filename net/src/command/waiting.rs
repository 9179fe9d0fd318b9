//! Shared by commands that wait for an element: what they reply where there is one, where there is none, and where they wait.

use super::{Keys, Progress, WaitContext, WaitFor, refuse};
use crate::resp::Reply;
use keytide_engine::error::Refusal;

/// Every argument between the name and the timeout is a key.
pub const ALL_BUT_LAST: Keys = Keys::At { first: 1, last: -2, step: 1 };

/// Replies with what was taken, or with the error. If there was nothing to take, the command waits, or replies `nothing`
/// where it must not wait.
pub fn reply_or_wait<T>(
    context: &mut WaitContext<'_>,
    timeout_ms: u64,
    taken: Result<Option<T>, Refusal>,
    reply: &mut Reply<'_>,
    nothing: impl FnOnce(&mut Reply<'_>),
    encode: impl FnOnce(&mut Reply<'_>, T),
) -> Progress {
    match taken {
        Ok(Some(taken)) => encode(reply, taken),
        Err(refusal) => refuse(reply, refusal),
        Ok(None) => {
            let may_wait = context.state.as_mut().is_some_and(|state| !state.is_over(Some(timeout_ms)));
            if may_wait {
                return Progress::Wait(WaitFor::Keys);
            }
            nothing(reply);
        }
    }
    Progress::Done
}

/// Replies with an error.
pub fn refuse_text(reply: &mut Reply<'_>, text: &str) -> Progress {
    reply.error(text);
    Progress::Done
}
