//! Why a group command is refused, and the bounds of names and numbers that it may not pass.

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

/// Why a group command is refused; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// There is a group of that key pattern and name.
    #[error("consumer group name already exists")]
    Exists,
    /// There is none.
    #[error("no such consumer group")]
    NoGroup,
    /// The start is beyond the head.
    #[error(transparent)]
    BeyondHead(#[from] BeyondHead),
    /// The history cannot be read where the group is.
    #[error(transparent)]
    Damaged(#[from] SegmentError),
    /// The key pattern is invalid.
    #[error(transparent)]
    Pattern(#[from] FilterError),
    /// The name of the group or consumer is longer than [`GROUP_NAME_BYTES_MAX`].
    #[error("name of {bytes} bytes exceeds {GROUP_NAME_BYTES_MAX}")]
    NameTooLong {
        /// How long it is.
        bytes: usize,
    },
    /// There are [`GROUPS_MAX`] groups.
    #[error("there are {GROUPS_MAX} consumer groups already")]
    TooManyGroups,
    /// The group has [`GROUP_CONSUMERS_MAX`] consumers.
    #[error("the group has {GROUP_CONSUMERS_MAX} consumers already")]
    TooManyConsumers,
    /// All groups take as much memory as they may.
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
