//! The engine's refusals as the texts that a Redis client expects.

use crate::resp::error_text;
use crate::value::ValueWriter;
use keytide_engine::error::{Refusal, StreamConflict};
use std::borrow::Cow;

/// Replies with the error of a refusal.
pub fn refuse(reply: &mut impl ValueWriter, refusal: Refusal) {
    reply.error(refusal_text(refusal).as_bytes());
}

/// The text of that error.
pub fn refusal_text(refusal: Refusal) -> Cow<'static, str> {
    match refusal {
        Refusal::WrongType => error_text::WRONG_TYPE.into(),
        Refusal::NotAnInteger => error_text::NOT_INTEGER.into(),
        Refusal::NotAFloat => error_text::NOT_FLOAT.into(),
        Refusal::FieldNotAnInteger => error_text::HASH_NOT_INTEGER.into(),
        Refusal::FieldNotAFloat => error_text::HASH_NOT_FLOAT.into(),
        Refusal::Overflow => error_text::OVERFLOW.into(),
        Refusal::NotFinite => error_text::NOT_FINITE.into(),
        Refusal::ScoreNotANumber => error_text::SCORE_NOT_A_NUMBER.into(),
        Refusal::StringTooLong => error_text::STRING_TOO_LONG.into(),
        Refusal::NotASketch => "WRONGTYPE Key is not a valid HyperLogLog string value.".into(),
        Refusal::DamagedSketch => "INVALIDOBJ Corrupted HLL object detected".into(),
        Refusal::WeightNotAFloat => "ERR One or more scores can't be converted into double".into(),
        Refusal::SubsequenceTooLarge => {
            "ERR Insufficient memory, failed allocating transient memory for LCS".into()
        }
        Refusal::NoSuchKey => error_text::NO_SUCH_KEY.into(),
        Refusal::IndexOutOfRange => error_text::INDEX_OUT_OF_RANGE.into(),
        Refusal::EntryIdNotGreater => error_text::ENTRY_ID_NOT_GREATER.into(),
        Refusal::EntryIdsUsedUp => error_text::ENTRY_IDS_USED_UP.into(),
        Refusal::StreamState(StreamConflict::LastId) => error_text::LAST_ID_TOO_SMALL.into(),
        Refusal::StreamState(StreamConflict::Added) => error_text::ENTRIES_ADDED_TOO_FEW.into(),
        // The commands name the key and the group.
        Refusal::NoSuchGroup => "NOGROUP No such consumer group".into(),
        Refusal::GroupExists => "BUSYGROUP Consumer Group name already exists".into(),
        Refusal::ChangeTooLarge { bytes, max } => format!(
            "ERR change of {bytes} bytes exceeds the {max} bytes that one command may record; raise --ring-bytes"
        ).into(),
        Refusal::NoLogRoom { bytes } => format!(
            "ERR the log has no room for a change of {bytes} bytes; the disk is full or slow, try again once it has space"
        ).into(),
        Refusal::StreamEnded => "ERR the stream is deleted".into(),
        // Only CDC.APPEND expects a revision; it replies by itself, because it knows the expected one.
        Refusal::WrongRevision { actual } => match actual {
            Some(revision) => format!("WRONGREVISION stream is at {revision}").into(),
            None => "WRONGREVISION stream is at none".into(),
        },
    }
}

/// The end of a command: encodes its result, or the error of its refusal.
pub trait Answer<T> {
    /// Writes one or the other.
    fn answer<W: ValueWriter>(self, reply: &mut W, encode: impl FnOnce(&mut W, T));
}

impl<T> Answer<T> for Result<T, Refusal> {
    #[inline]
    fn answer<W: ValueWriter>(self, reply: &mut W, encode: impl FnOnce(&mut W, T)) {
        match self {
            Ok(done) => encode(reply, done),
            Err(refusal) => refuse(reply, refusal),
        }
    }
}
