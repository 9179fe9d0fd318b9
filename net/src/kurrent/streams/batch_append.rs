//! BatchAppend: many appends over one call. Each has a correlation id, and may come in several chunks; each is answered by
//! itself, and one that fails ends no other.

use super::super::error;
use super::super::id;
use super::super::proto::streams::batch_append_req::Options;
use super::super::proto::streams::batch_append_req::options::{DeadlineOption, ExpectedStreamPosition};
use super::super::proto::streams::batch_append_resp::Result as Answer;
use super::super::proto::streams::{BatchAppendReq, BatchAppendResp};
use super::super::proto::{self, Any, BatchStatus, Empty, StreamIdentifier, Uuid, wrong_expected_version as wrong};
use super::super::rights::{Use, check_stream};
use super::append::success;
use super::proposed::{Proposed, expected_revision, stream_name};
use crate::grpc::{CallContext, Code, Handler, Method, Status};
use crate::limits::{APPEND_BYTES_MAX, BATCH_APPENDS_OPEN_MAX};
use crate::streams::{Job, JobRefused, Outcome};
use bytes::Bytes;
use keytide_engine::error::Refusal;
use keytide_engine::position::Revision;
use keytide_engine::shard::Expected;
use prost::Message;
use std::collections::HashMap;

pub static METHOD: Method = Method {
    path: "/event_store.client.streams.Streams/BatchAppend",
    features: &["deadline_duration"],
    is_open: false,
    begin: || Box::new(BatchAppend::default()),
};

#[derive(Default)]
struct BatchAppend {
    /// Appends whose last chunk has not come, by their correlation ids.
    open: HashMap<[u8; 16], OpenAppend>,
    /// Appends that a shard works on, by the numbers of their jobs.
    running: HashMap<u32, Running>,
    next_number: u32,
    has_ended: bool,
}

struct OpenAppend {
    stream: Bytes,
    expected: Expected,
    proposed: Proposed,
    /// Whether the time that the client gave is over from the start.
    is_late: bool,
    /// Why it will fail.
    error: Option<BatchStatus>,
}

struct Running {
    correlation: Option<Uuid>,
    stream: Bytes,
    expected: Expected,
}

impl Handler for BatchAppend {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        let request = BatchAppendReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        let correlation = id::read(request.correlation_id.as_ref())?;
        if !self.open.contains_key(&correlation) {
            // Chunks of an append that has not begun, or has failed, are of no interest.
            let Some(options) = request.options else { return Ok(()) };
            if self.open.len() >= BATCH_APPENDS_OPEN_MAX {
                let text = format!("more than {BATCH_APPENDS_OPEN_MAX} appends are begun and not ended");
                return Err(Status::new(Code::ResourceExhausted, text));
            }
            self.open.insert(correlation, begin(context, options));
        }
        let Some(append) = self.open.get_mut(&correlation) else { return Ok(()) };
        for proposed in request.proposed_messages {
            if append.error.is_none()
                && let Err(status) = append.proposed.add(proposed)
            {
                append.error = Some(failed(&status));
            }
        }
        if !request.is_final {
            if self.held_bytes() > APPEND_BYTES_MAX {
                let text = format!("appends that are begun and not ended have more than {APPEND_BYTES_MAX} bytes");
                return Err(Status::new(Code::ResourceExhausted, text));
            }
            return Ok(());
        }
        let Some(mut append) = self.open.remove(&correlation) else { return Ok(()) };
        if append.is_late {
            append.error.get_or_insert(detailed(Code::DeadlineExceeded, "Timeout", &proto::Timeout {}));
        }
        // The rights may have changed since. Each append counts, and not the call alone.
        if append.error.is_none()
            && let Err(status) = check_stream(context, Use::Append, &append.stream).and_then(|()| context.check_pace())
        {
            append.error = Some(failed(&status));
        }
        match append.error {
            Some(error) => answer(context, request.correlation_id, append.stream, Answer::Error(error)),
            None => {
                let number = self.next_number;
                self.next_number = number.wrapping_add(1);
                let (stream, expected) = (append.stream.clone(), append.expected);
                let running = Running { correlation: request.correlation_id, stream: append.stream, expected };
                self.running.insert(number, running);
                context.run(number, Job::Append { stream, expected, events: append.proposed.take() });
            }
        }
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        self.open.values().map(|append| append.proposed.bytes()).sum()
    }

    fn end(&mut self, context: &mut CallContext<'_>) -> Result<(), Status> {
        self.has_ended = true;
        if self.running.is_empty() {
            context.finish();
        }
        Ok(())
    }

    fn outcome(&mut self, context: &mut CallContext<'_>, number: u32, outcome: Outcome) -> Result<(), Status> {
        let (Some(running), Outcome::Appended(appended)) = (self.running.remove(&number), outcome) else {
            return Ok(());
        };
        let Running { correlation, stream, expected } = running;
        let result = match appended {
            Ok(appended) => Answer::Success(success(appended)),
            Err(JobRefused::Shard(Refusal::WrongRevision { actual })) => {
                Answer::Error(detailed(Code::AlreadyExists, "WrongExpectedVersion", &wrong_version(expected, actual)))
            }
            Err(JobRefused::Shard(Refusal::StreamEnded)) => {
                let stream_identifier = Some(StreamIdentifier { stream_name: stream.clone() });
                Answer::Error(detailed(Code::NotFound, "StreamDeleted", &proto::StreamDeleted { stream_identifier }))
            }
            Err(other) => Answer::Error(failed(&error::refused(&stream, &other))),
        };
        answer(context, correlation, stream, result);
        if self.has_ended && self.running.is_empty() {
            context.finish();
        }
        Ok(())
    }
}

fn begin(context: &CallContext<'_>, options: Options) -> OpenAppend {
    let stream = stream_name(options.stream_identifier);
    let expected = match options.expected_stream_position {
        Some(ExpectedStreamPosition::StreamPosition(revision)) => expected_revision(revision),
        Some(ExpectedStreamPosition::NoStream(_)) => Ok(Expected::NoStream),
        Some(ExpectedStreamPosition::StreamExists(_)) => Ok(Expected::Exists),
        Some(ExpectedStreamPosition::Any(_)) | None => Ok(Expected::Any),
    };
    let may_append = match &stream {
        _ if !context.server.is_recording() => Err(error::not_recording()),
        Ok(stream) => check_stream(context, Use::Append, stream),
        Err(_) => Ok(()),
    };
    // Some clients send the seconds since 1970 as a duration, others centuries: only what is over already counts.
    let is_late = match options.deadline_option {
        Some(DeadlineOption::Deadline(duration)) => {
            duration.seconds < 0 || duration.seconds == 0 && duration.nanos <= 0
        }
        Some(DeadlineOption::Deadline21100(at)) => at.seconds.saturating_mul(1_000) <= context.now_ms as i64,
        None => false,
    };
    let error =
        [stream.as_ref().err(), expected.as_ref().err(), may_append.as_ref().err()].into_iter().flatten().next();
    OpenAppend {
        error: error.map(failed),
        stream: stream.unwrap_or_default(),
        expected: expected.unwrap_or(Expected::Any),
        proposed: Proposed::default(),
        is_late,
    }
}

fn answer(context: &mut CallContext<'_>, correlation_id: Option<Uuid>, stream: Bytes, result: Answer) {
    let stream_identifier = Some(StreamIdentifier { stream_name: stream });
    let response = BatchAppendResp { correlation_id, result: Some(result), stream_identifier };
    context.send(|out| response.encode_raw(out));
}

fn wrong_version(expected: Expected, actual: Option<Revision>) -> proto::WrongExpectedVersion {
    proto::WrongExpectedVersion {
        current: Some(match actual {
            Some(revision) => wrong::Current::CurrentStreamRevision(revision.0),
            None => wrong::Current::CurrentNoStream(Empty {}),
        }),
        expected: Some(match expected {
            Expected::At(revision) => wrong::Expected::ExpectedStreamPosition(revision.0),
            Expected::Any => wrong::Expected::ExpectedAny(Empty {}),
            Expected::Exists => wrong::Expected::ExpectedStreamExists(Empty {}),
            Expected::NoStream => wrong::Expected::ExpectedNoStream(Empty {}),
        }),
    }
}

/// A failure with the detail of this name.
fn detailed(code: Code, name: &str, detail: &impl Message) -> BatchStatus {
    let details = Any {
        type_url: format!("type.googleapis.com/event_store.client.{name}"),
        value: detail.encode_to_vec().into(),
    };
    BatchStatus { code: code as i32, message: name.to_owned(), details: Some(details) }
}

/// What ends a call elsewhere ends an append of a batch.
fn failed(status: &Status) -> BatchStatus {
    let detail = |name: &str| {
        let found = status.details.iter().find(|detail| detail.0 == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    match (status.code, &detail("exception")[..]) {
        (Code::PermissionDenied, _) => detailed(status.code, "AccessDenied", &proto::AccessDenied {}),
        (_, "maximum-append-size-exceeded") => {
            let max_append_size = detail("maximum-append-size").parse().unwrap_or_default();
            let exceeded = proto::MaximumAppendSizeExceeded { max_append_size };
            detailed(status.code, "MaximumAppendSizeExceeded", &exceeded)
        }
        (_, "maximum-append-event-size-exceeded") => {
            let exceeded = proto::MaximumAppendEventSizeExceeded {
                event_id: detail("event-id"),
                proposed_event_size: detail("proposed-append-event-size").parse().unwrap_or_default(),
                max_append_event_size: detail("maximum-append-event-size").parse().unwrap_or_default(),
            };
            detailed(status.code, "MaximumAppendEventSizeExceeded", &exceeded)
        }
        (Code::InvalidArgument, _) => {
            let bad = proto::BadRequest { message: status.message.clone() };
            BatchStatus { message: status.message.clone(), ..detailed(status.code, "BadRequest", &bad) }
        }
        (code, _) => BatchStatus { message: status.message.clone(), ..detailed(code, "Unknown", &proto::Unknown {}) },
    }
}
