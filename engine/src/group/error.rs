//! The errors of group commands, and the limits of names and numbers.

use super::spec::GROUP_NOTES_BYTES_MAX;
use crate::account::OverLimit;
use crate::filter::FilterError;
use crate::history::{BeyondHead, ReadError};
use crate::log::SegmentError;
use thiserror::Error;

/// How many consumers one group may have.
pub const GROUP_CONSUMERS_MAX: usize = 65_536;

/// How many groups one table may have.
pub const GROUPS_MAX: usize = 65_536;

/// The longest name of a group or of a consumer, in bytes.
pub const GROUP_NAME_BYTES_MAX: usize = 1024;

/// Why a group command was refused. It has changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// A group of this key pattern and name exists.
    #[error("consumer group name already exists")]
    Exists,
    /// There is no such group.
    #[error("no such consumer group")]
    NoGroup,
    /// The start is beyond the head of the history.
    #[error(transparent)]
    BeyondHead(#[from] BeyondHead),
    /// The history cannot be read at the group's cursor.
    #[error(transparent)]
    Damaged(#[from] SegmentError),
    /// The key pattern is invalid.
    #[error(transparent)]
    Pattern(#[from] FilterError),
    /// The name of the group or consumer is longer than [`GROUP_NAME_BYTES_MAX`].
    #[error("name of {bytes} bytes exceeds {GROUP_NAME_BYTES_MAX}")]
    NameTooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// What the maker of the group keeps with it is longer than `GROUP_NOTES_BYTES_MAX`.
    #[error("notes of {bytes} bytes exceed {GROUP_NOTES_BYTES_MAX}")]
    NotesTooLong {
        /// Their length in bytes.
        bytes: usize,
    },
    /// As many consumers are attached as the group permits.
    #[error("the group has {max} attached consumers already")]
    TooManySeats {
        /// The number.
        max: usize,
    },
    /// A consumer of this name is attached.
    #[error("a consumer of this name is attached already")]
    Attached,
    /// There are [`GROUPS_MAX`] groups.
    #[error("there are {GROUPS_MAX} consumer groups already")]
    TooManyGroups,
    /// The group has [`GROUP_CONSUMERS_MAX`] consumers.
    #[error("the group has {GROUP_CONSUMERS_MAX} consumers already")]
    TooManyConsumers,
    /// The memory of all groups is at its limit.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
}

impl From<ReadError> for GroupError {
    fn from(error: ReadError) -> GroupError {
        match error {
            ReadError::BeyondHead(error) => error.into(),
            ReadError::Damaged(error) => error.into(),
        }
    }
}

/// Refuses a name that is too long.
pub(super) fn check_name(name: &[u8]) -> Result<(), GroupError> {
    if name.len() > GROUP_NAME_BYTES_MAX { Err(GroupError::NameTooLong { bytes: name.len() }) } else { Ok(()) }
}
