//! Why the engine refuses a command. No wire texts: those are made at the edge.

use crate::position::Revision;
use thiserror::Error;

/// What a Redis stream knows better than who sets its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StreamConflict {
    /// An entry has a greater id than the last one.
    #[error("an entry has a greater id")]
    LastId,
    /// It has more entries than were ever added.
    #[error("there are more entries")]
    Added,
}

/// A command that was refused; nothing was changed and nothing recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The key holds a value of another type than the command works on.
    #[error("the key holds a value of another type")]
    WrongType,
    /// The value or argument is no integer of 64 bits.
    #[error("the value is not an integer or out of range")]
    NotAnInteger,
    /// The value or argument is no number.
    #[error("the value is not a valid float")]
    NotAFloat,
    /// The field of a hash is no integer of 64 bits.
    #[error("the hash value is not an integer")]
    FieldNotAnInteger,
    /// The field of a hash is no number.
    #[error("the hash value is not a float")]
    FieldNotAFloat,
    /// The sum does not fit 64 bits.
    #[error("the increment would overflow")]
    Overflow,
    /// The sum is not a finite number.
    #[error("the increment would produce NaN or Infinity")]
    NotFinite,
    /// The sum of a score and an increment is not a number.
    #[error("the resulting score is not a number")]
    ScoreNotANumber,
    /// The string would be longer than [`crate::limits::STRING_BYTES_MAX`].
    #[error("the string exceeds the maximum allowed size")]
    StringTooLong,
    /// The string is no HyperLogLog.
    #[error("the string is no HyperLogLog")]
    NotASketch,
    /// The registers of a HyperLogLog are damaged.
    #[error("the HyperLogLog is damaged")]
    DamagedSketch,
    /// What SORT should sort by is no number.
    #[error("a weight is not a number")]
    WeightNotAFloat,
    /// Two strings are too long to find what they have in common: see [`crate::limits::SUBSEQUENCE_CELLS_MAX`].
    #[error("the strings are too long to be compared")]
    SubsequenceTooLarge,
    /// The key does not exist.
    #[error("no such key")]
    NoSuchKey,
    /// The index is outside the list.
    #[error("index out of range")]
    IndexOutOfRange,
    /// The id of a new entry of a Redis stream is not greater than the last one.
    #[error("the id is not greater than that of the last entry")]
    EntryIdNotGreater,
    /// The last id of a Redis stream is the greatest one.
    #[error("there is no greater id")]
    EntryIdsUsedUp,
    /// A Redis stream would know less of its past than its entries tell.
    #[error("the stream contradicts: {0}")]
    StreamState(StreamConflict),
    /// A Redis stream has no such consumer group, or the key does not exist.
    #[error("no such group")]
    NoSuchGroup,
    /// A Redis stream has this consumer group already.
    #[error("the group exists")]
    GroupExists,
    /// The events of the command would take more of the ring than one command may.
    #[error("a change of {bytes} bytes exceeds the {max} bytes that one command may record")]
    ChangeTooLarge {
        /// What the command's records would take, in bytes.
        bytes: u64,
        /// What one command's records may take, in bytes: see [`crate::limits::change_bytes_max`].
        max: u64,
    },
    /// The log has no room for the events of a command that records much, for the disk is full or slow.
    #[error("the log has no room for a change of {bytes} bytes")]
    NoLogRoom {
        /// What the command's records would take, in bytes.
        bytes: u64,
    },
    /// The stream was ended for good, or deleted where the writer expected it.
    #[error("the stream is deleted")]
    StreamEnded,
    /// The stream is not where the writer expected it.
    #[error("the stream is at another revision")]
    WrongRevision {
        /// The revision of the stream's last event; none where the stream has no counter.
        actual: Option<Revision>,
    },
}
