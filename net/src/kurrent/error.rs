//! How calls fail, to the letter: clients read the status, the trailers, and some of them the text.

use crate::grpc::{Code, Status};
use crate::streams::JobRefused;
use keytide_engine::error::Refusal;
use keytide_engine::position::{Position, Revision};
use keytide_engine::shard::Expected;

/// The name of the trailer that says what has happened.
pub(super) const EXCEPTION: &str = "exception";
/// The name of the trailer that says of which stream.
pub(super) const STREAM: &str = "stream-name";

fn shown(stream: &[u8]) -> String {
    String::from_utf8_lossy(stream).into_owned()
}

/// A stream was ended.
pub fn stream_deleted(stream: &[u8]) -> Status {
    Status::new(Code::FailedPrecondition, format!("Event stream '{}' is deleted.", shown(stream)))
        .with(EXCEPTION, "stream-deleted")
        .with(STREAM, shown(stream))
}

/// The server stops.
pub fn shutting_down() -> Status {
    Status::new(Code::Unavailable, "Server is shutting down")
}

/// The user may not do it.
pub fn access_denied() -> Status {
    Status::new(Code::PermissionDenied, "Access Denied").with(EXCEPTION, "access-denied")
}

/// A stream that is to be deleted is not as expected.
pub fn wrong_expected_version(stream: &[u8], expected: Expected, actual: Option<Revision>) -> Status {
    let (expected, actual) = (version(expected), actual.map_or(-1, |revision| revision.0 as i64));
    let stream = shown(stream);
    let text = format!(
        "Delete failed due to WrongExpectedVersion. Stream: {stream}, Expected version: {expected}, Actual version: {actual}"
    );
    Status::new(Code::FailedPrecondition, text)
        .with(EXCEPTION, "wrong-expected-version")
        .with(STREAM, stream)
        .with("expected-version", expected.to_string())
        .with("actual-version", actual.to_string())
}

/// An expectation as a number.
fn version(expected: Expected) -> i64 {
    match expected {
        Expected::At(revision) => revision.0 as i64,
        Expected::NoStream => -1,
        Expected::Any => -2,
        Expected::Exists => -4,
    }
}

/// An event lacks its type or its content type.
pub fn missing_metadata(property: &str) -> Status {
    Status::invalid(format!("Required Metadata Property '{property}' is missing."))
        .with(EXCEPTION, "missing-required-metadata-property")
        .with("required-metadata-properties", "type,content-type")
}

/// An event is larger than it may be.
pub fn event_too_large(id: &[u8; 16], bytes: usize, max: usize) -> Status {
    let id = uuid::Uuid::from_bytes(*id).hyphenated().to_string();
    Status::invalid(format!("Event with id {id} of {bytes} bytes exceeds maximum append event size of {max} bytes."))
        .with(EXCEPTION, "maximum-append-event-size-exceeded")
        .with("event-id", id)
        .with("proposed-append-event-size", bytes.to_string())
        .with("maximum-append-event-size", max.to_string())
}

/// All events of an append are larger than they may be together.
pub fn append_too_large(max: usize) -> Status {
    Status::invalid(format!("Maximum Append Size of {max} Exceeded."))
        .with(EXCEPTION, "maximum-append-size-exceeded")
        .with("maximum-append-size", max.to_string())
}

/// Events that a reader wants first are gone.
pub fn position_evicted(first: Position) -> Status {
    Status::new(Code::FailedPrecondition, format!("Events before position {first} are no longer available."))
        .with(EXCEPTION, "position-evicted")
        .with("first-position", first.to_string())
}

/// The history has a part that cannot be read.
pub fn unreadable() -> Status {
    Status::new(Code::Aborted, "The history cannot be read here: see the server's log and `keytide check`")
}

/// Nothing is recorded.
pub fn not_recording() -> Status {
    Status::new(Code::Unimplemented, "Nothing is recorded: the server was started with --ring-bytes 0")
}

/// An operation on a stream was not done, for a reason that its client's expectations do not explain.
pub fn refused(stream: &[u8], refused: &JobRefused) -> Status {
    match refused {
        JobRefused::Shard(Refusal::StreamEnded) => stream_deleted(stream),
        JobRefused::Shard(Refusal::ChangeTooLarge { max, .. }) => append_too_large(*max as usize),
        JobRefused::Shard(refusal) => Status::new(Code::ResourceExhausted, refusal.to_string()),
        JobRefused::Type(error) => Status::invalid(error.to_string()),
        JobRefused::NoRoom(text) => Status::new(Code::ResourceExhausted, text.clone()),
        JobRefused::Denied(_) => access_denied(),
        JobRefused::Unexpected(_) => unreachable!("there is one stream"),
    }
}
