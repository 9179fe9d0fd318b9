//! The engine's refusals as the texts that a Redis client expects.

use crate::resp::{Reply, error_text};
use keytide_engine::error::Refusal;

/// Replies with the error of a refusal.
pub fn refuse(reply: &mut Reply<'_>, refusal: Refusal) {
    match refusal {
        Refusal::WrongType => reply.error(error_text::WRONG_TYPE),
        Refusal::NotAnInteger => reply.error(error_text::NOT_INTEGER),
        Refusal::NotAFloat => reply.error(error_text::NOT_FLOAT),
        Refusal::FieldNotAnInteger => reply.error(error_text::HASH_NOT_INTEGER),
        Refusal::FieldNotAFloat => reply.error(error_text::HASH_NOT_FLOAT),
        Refusal::Overflow => reply.error(error_text::OVERFLOW),
        Refusal::NotFinite => reply.error(error_text::NOT_FINITE),
        Refusal::StringTooLong => reply.error(error_text::STRING_TOO_LONG),
        Refusal::NoSuchKey => reply.error(error_text::NO_SUCH_KEY),
        Refusal::IndexOutOfRange => reply.error(error_text::INDEX_OUT_OF_RANGE),
        Refusal::ChangeTooLarge { bytes, max } => reply.error(format!(
            "ERR change of {bytes} bytes exceeds the {max} bytes that one command may record; raise --ring-bytes"
        )),
        Refusal::NoLogRoom { bytes } => reply.error(format!(
            "ERR the log has no room for a change of {bytes} bytes; the disk is full or slow, try again once it has space"
        )),
        // Only CDC.APPEND expects a revision; it replies by itself, because it knows the expected one.
        Refusal::WrongRevision { actual } => match actual {
            Some(revision) => reply.error(format!("WRONGREVISION stream is at {revision}")),
            None => reply.error("WRONGREVISION stream is at none"),
        },
    }
}

/// The end of a command: encodes its result, or the error of its refusal.
pub trait Answer<T> {
    /// Writes one or the other.
    fn answer(self, reply: &mut Reply<'_>, encode: impl FnOnce(&mut Reply<'_>, T));
}

impl<T> Answer<T> for Result<T, Refusal> {
    #[inline]
    fn answer(self, reply: &mut Reply<'_>, encode: impl FnOnce(&mut Reply<'_>, T)) {
        match self {
            Ok(done) => encode(reply, done),
            Err(refusal) => refuse(reply, refusal),
        }
    }
}
