//! How calls of the second version fail: what a program reads is a `google.rpc.Status` with its own details, in a trailer.

use super::super::proto::streams_v2::consistency_violation::{StreamStateViolation, Type};
use super::super::proto::streams_v2::{
    AccessDeniedErrorDetails, AppendConsistencyViolationErrorDetails, AppendRecordSizeExceededErrorDetails,
    AppendTransactionSizeExceededErrorDetails, ConsistencyViolation, Detail, ErrorInfo, RichStatus, StreamErrorDetails,
    StreamRevisionConflictErrorDetails,
};
use crate::grpc::{Code, Status};
use crate::limits::{APPEND_BYTES_MAX, APPEND_EVENT_BYTES_MAX};
use crate::streams::JobRefused;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use keytide_engine::error::Refusal;
use keytide_engine::shard::Expected;
use keytide_engine::shards::{StreamNow, Wanted};
use prost::Message;

/// What begins the names of details of errors with streams.
const STREAMS: &str = "kurrentdb.protocol.v2.streams.errors.";

fn detail(name: &str, message: &impl Message) -> Detail {
    Detail { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec().into() }
}

/// A failure with the reason that programs read, and its details.
fn rich(code: Code, message: String, (domain, reason): (&str, &str), more: Option<Detail>) -> Status {
    let info = ErrorInfo { reason: reason.to_owned(), domain: domain.to_owned() };
    let details = [detail("google.rpc.ErrorInfo", &info)].into_iter().chain(more).collect();
    let status = RichStatus { code: code as i32, message: message.clone(), details };
    Status::new(code, message).with("grpc-status-details-bin", BASE64_STANDARD_NO_PAD.encode(status.encode_to_vec()))
}

fn of_stream(name: &str, stream: &str) -> Option<Detail> {
    Some(detail(&format!("{STREAMS}{name}"), &StreamErrorDetails { stream: stream.to_owned() }))
}

/// The request is wrong.
pub fn bad_request(kind: &str, what: &str) -> Status {
    rich(Code::InvalidArgument, format!("The '{kind}' is invalid: {what}"), ("server", "BAD_REQUEST"), None)
}

/// The user may not do it.
pub fn access_denied(operation: &str) -> Status {
    let details = AccessDeniedErrorDetails { operation: operation.to_owned() };
    let message = format!("Access denied. Insufficient permissions to perform {operation}");
    let more = detail("kurrent.rpc.AccessDeniedErrorDetails", &details);
    rich(Code::PermissionDenied, message, ("server", "ACCESS_DENIED"), Some(more))
}

/// A session comes to a stream for the second time.
pub fn already_in_session(stream: &str) -> Status {
    let message = format!(
        "Stream '{stream}' is already part of this append session. Appending to the same stream multiple times is currently \
         not supported."
    );
    let more = of_stream("StreamAlreadyInAppendSessionErrorDetails", stream);
    rich(Code::Aborted, message, ("streams", "STREAM_ALREADY_IN_APPEND_SESSION"), more)
}

/// A session has no requests.
pub fn no_requests() -> Status {
    let message = "Append session started, but no append requests were sent before ending the session.".to_owned();
    rich(Code::FailedPrecondition, message, ("streams", "APPEND_SESSION_NO_REQUESTS"), None)
}

/// An event is larger than it may be.
pub fn record_too_large(stream: &str, record_id: &str, bytes: usize) -> Status {
    let max = APPEND_EVENT_BYTES_MAX;
    let message = format!(
        "The size of record {record_id} ({}) exceeds the maximum allowed size of {} bytes by {}",
        size(bytes),
        size(max),
        size(bytes - max)
    );
    let details = AppendRecordSizeExceededErrorDetails {
        stream: stream.to_owned(),
        record_id: record_id.to_owned(),
        size: bytes as i32,
        max_size: max as i32,
    };
    let more = detail(&format!("{STREAMS}AppendRecordSizeExceededErrorDetails"), &details);
    rich(Code::InvalidArgument, message, ("streams", "APPEND_RECORD_SIZE_EXCEEDED"), Some(more))
}

/// All events are larger than they may be together.
pub fn transaction_too_large(records: usize, bytes: usize) -> Status {
    transaction_above(records, bytes, APPEND_BYTES_MAX)
}

fn transaction_above(records: usize, bytes: usize, max: usize) -> Status {
    let message = format!(
        "Transaction size ({}) exceeded the maximum allowed size of {} by {}, after {records} record(s).",
        size(bytes),
        size(max),
        size(bytes.saturating_sub(max))
    );
    let details = AppendTransactionSizeExceededErrorDetails { size: bytes as i32, max_size: max as i32 };
    let more = detail(&format!("{STREAMS}AppendTransactionSizeExceededErrorDetails"), &details);
    rich(Code::Aborted, message, ("streams", "APPEND_TRANSACTION_SIZE_EXCEEDED"), Some(more))
}

/// A number of bytes as people write it.
fn size(bytes: usize) -> String {
    let units = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.3} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

/// What a client wants a stream to be, as a number.
pub fn wanted_number(wanted: Wanted) -> i64 {
    match wanted {
        Wanted::State(Expected::At(revision)) => revision.0 as i64,
        Wanted::State(Expected::NoStream) => -1,
        Wanted::State(Expected::Any) => -2,
        Wanted::State(Expected::Exists) => -4,
        Wanted::Deleted => -5,
        Wanted::Ended => -6,
    }
}

fn now_number(now: StreamNow) -> i64 {
    match now {
        StreamNow::At(revision) => revision.0 as i64,
        StreamNow::Missing => -1,
        StreamNow::Deleted => -5,
        StreamNow::Ended => -6,
    }
}

fn shown_state(state: i64) -> String {
    match state {
        0.. => format!("Revision {state}"),
        -1 => "NoStream".to_owned(),
        -2 => "Any".to_owned(),
        -4 => "StreamExists".to_owned(),
        -5 => "Deleted".to_owned(),
        -6 => "Tombstoned".to_owned(),
        _ => format!("Unknown ({state})"),
    }
}

/// A stream to which events were to be appended is not as expected.
pub fn conflict(stream: &str, wanted: Wanted, now: StreamNow) -> Status {
    if now == StreamNow::Ended {
        let message = format!(
            "Stream '{stream}' has been tombstoned. It has been permanently removed from the system and cannot be restored."
        );
        let more = of_stream("StreamTombstonedErrorDetails", stream);
        return rich(Code::FailedPrecondition, message, ("streams", "STREAM_TOMBSTONED"), more);
    }
    let (expected_revision, actual_revision) = (wanted_number(wanted), now_number(now));
    let message = format!(
        "Append failed due to a revision conflict on stream '{stream}'. Expected revision: {expected_revision}. Actual \
         revision: {actual_revision}."
    );
    let details = StreamRevisionConflictErrorDetails { stream: stream.to_owned(), expected_revision, actual_revision };
    let more = detail(&format!("{STREAMS}StreamRevisionConflictErrorDetails"), &details);
    rich(Code::FailedPrecondition, message, ("streams", "STREAM_REVISION_CONFLICT"), Some(more))
}

/// Streams are not as the checks of a request want them: each by the place of its check.
pub fn violations(found: Vec<(usize, &str, Wanted, StreamNow)>) -> Status {
    let mut message = "Failed to append transaction due to consistency violations.".to_owned();
    message += "\n\nConsistency check failed on stream(s):";
    let mut violations = Vec::with_capacity(found.len());
    for (check, stream, wanted, now) in found {
        let (expected_state, actual_state) = (wanted_number(wanted), now_number(now));
        let (expected, actual) = (shown_state(expected_state), shown_state(actual_state));
        message += &format!("\n - {stream}: Expected State: {expected}. Actual State: {actual}.");
        let violation = StreamStateViolation { stream: stream.to_owned(), expected_state, actual_state };
        violations.push(ConsistencyViolation { check_index: check as i32, r#type: Some(Type::StreamState(violation)) });
    }
    let details = AppendConsistencyViolationErrorDetails { violations };
    let more = detail(&format!("{STREAMS}AppendConsistencyViolationErrorDetails"), &details);
    rich(Code::FailedPrecondition, message, ("streams", "APPEND_CONSISTENCY_VIOLATION"), Some(more))
}

/// Nothing was appended, for a reason that is no stream's.
pub fn refused(refused: &JobRefused, operation: &str, records: usize) -> Status {
    match refused {
        JobRefused::Denied(_) => access_denied(operation),
        JobRefused::Shard(Refusal::ChangeTooLarge { bytes, max }) => {
            transaction_above(records, *bytes as usize, *max as usize)
        }
        JobRefused::Shard(refusal) => Status::new(Code::ResourceExhausted, refusal.to_string()),
        JobRefused::Type(error) => bad_request("AppendRecord", &error.to_string()),
        JobRefused::NoRoom(text) => Status::new(Code::ResourceExhausted, text.clone()),
        JobRefused::Unexpected(_) => unreachable!("the caller names the streams"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keytide_engine::position::Revision;

    #[test]
    fn details_are_those_of_the_message() {
        let status = conflict("a", Wanted::State(Expected::NoStream), StreamNow::At(Revision(7)));
        assert_eq!(
            status.message,
            "Append failed due to a revision conflict on stream 'a'. Expected revision: -1. Actual revision: 7."
        );
        let (name, value) = &status.details[0];
        let bytes = BASE64_STANDARD_NO_PAD.decode(value).expect("base64");
        let rich = RichStatus::decode(&bytes[..]).expect("a status");
        assert_eq!((*name, rich.code, &rich.message), ("grpc-status-details-bin", 9, &status.message));
        let names: Vec<&str> = rich.details.iter().map(|detail| &detail.type_url[20..]).collect();
        assert_eq!(
            names,
            ["google.rpc.ErrorInfo", "kurrentdb.protocol.v2.streams.errors.StreamRevisionConflictErrorDetails"]
        );
        let info = ErrorInfo::decode(rich.details[0].value.clone()).expect("an info");
        assert_eq!((&info.reason[..], &info.domain[..]), ("STREAM_REVISION_CONFLICT", "streams"));
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!([size(7), size(1 << 10), size((16 << 20) + 5_000)], ["7 B", "1.000 KB", "16.005 MB"]);
    }
}
