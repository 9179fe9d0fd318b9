//! The error texts of change capture commands, and the frame in which all of them run.

use crate::command::Progress;
use crate::resp::error_text;
use crate::server::Server;
use crate::value::ValueWriter;
use keytide_engine::filter::FilterError;
use keytide_engine::group::GroupError;
use keytide_engine::history::{BeyondHead, ReadError};
use keytide_engine::subscription::hub::{NoSubscription, TooMany};

/// The text of the error that a command replies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CdcError(Vec<u8>);

impl From<&str> for CdcError {
    fn from(text: &str) -> CdcError {
        CdcError(text.into())
    }
}

impl From<Vec<u8>> for CdcError {
    fn from(text: Vec<u8>) -> CdcError {
        CdcError(text)
    }
}

impl From<BeyondHead> for CdcError {
    fn from(error: BeyondHead) -> CdcError {
        CdcError(format!("ERR {error}").into())
    }
}

impl From<ReadError> for CdcError {
    fn from(error: ReadError) -> CdcError {
        CdcError(format!("ERR {error}").into())
    }
}

impl From<FilterError> for CdcError {
    fn from(error: FilterError) -> CdcError {
        CdcError(format!("ERR {error}").into())
    }
}

impl From<TooMany> for CdcError {
    fn from(error: TooMany) -> CdcError {
        CdcError(format!("ERR {error}").into())
    }
}

impl From<NoSubscription> for CdcError {
    fn from(error: NoSubscription) -> CdcError {
        CdcError(format!("ERR {error}").into())
    }
}

impl CdcError {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn syntax() -> CdcError {
        CdcError::from(error_text::SYNTAX)
    }

    /// The error of a group with this name.
    pub(super) fn of_group(name: &[u8], error: GroupError) -> CdcError {
        match error {
            GroupError::Exists => CdcError::from("BUSYGROUP consumer group name already exists"),
            GroupError::NoGroup => CdcError([b"NOGROUP no such consumer group '", name, b"'"].concat()),
            GroupError::BeyondHead(error) => error.into(),
            GroupError::Pattern(error) => error.into(),
            GroupError::Damaged(_)
            | GroupError::NameTooLong { .. }
            | GroupError::NotesTooLong { .. }
            | GroupError::TooManySeats { .. }
            | GroupError::Attached
            | GroupError::TooManyGroups
            | GroupError::TooManyConsumers
            | GroupError::OverLimit(_) => CdcError(format!("ERR {error}").into()),
        }
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// Runs a command of the family: refuses it if recording is off, and replaces its partial reply by its error, if any.
pub(super) fn answer<W: ValueWriter>(
    server: &Server,
    reply: &mut W,
    run: impl FnOnce(&mut W) -> Result<Progress, CdcError>,
) -> Progress {
    if !server.is_recording() {
        reply.error(error_text::CDC_NOT_ENABLED);
        return Progress::Done;
    }
    let mark = reply.mark();
    run(reply).unwrap_or_else(|error| {
        reply.truncate(mark);
        reply.error(error.0);
        Progress::Done
    })
}
