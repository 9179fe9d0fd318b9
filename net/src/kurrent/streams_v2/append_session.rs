//! AppendSession: one message for each stream, with its events; they are appended together when the client has sent all.

use super::super::proto::streams_v2::{AppendRequest, AppendResponse, AppendSessionResponse};
use super::super::rights::{Use, check_stream};
use super::error::{access_denied, already_in_session, bad_request, conflict, no_requests, refused};
use super::records::{Records, wanted};
use crate::grpc::{CallContext, Handler, Method, Status};
use crate::kurrent::error::not_recording;
use crate::streams::{Job, JobRefused, Outcome};
use bytes::Bytes;
use prost::Message;

pub static METHOD: Method = Method {
    path: "/kurrentdb.protocol.v2.streams.StreamsService/AppendSession",
    features: &[],
    is_open: false,
    begin: || Box::new(AppendSession::default()),
};

/// What it is called to people.
const OPERATION: &str = "Append Session";

#[derive(Default)]
struct AppendSession {
    records: Records,
}

impl Handler for AppendSession {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        if !context.server.is_recording() {
            return Err(not_recording());
        }
        let kind = "AppendRequest";
        let request = AppendRequest::decode(message).map_err(|error| bad_request(kind, &error.to_string()))?;
        let (place, is_new) = self.records.place_of(kind, &request.stream)?;
        if !is_new {
            return Err(already_in_session(&request.stream));
        }
        check_stream(context, Use::Append, request.stream.as_bytes()).map_err(|_| access_denied(OPERATION))?;
        if let Some(expected) = request.expected_revision {
            self.records.streams[place].1 = wanted(kind, expected)?;
        }
        request.records.into_iter().try_for_each(|record| self.records.add(place, &request.stream, record))
    }

    fn held_bytes(&self) -> usize {
        self.records.bytes()
    }

    fn end(&mut self, context: &mut CallContext<'_>) -> Result<(), Status> {
        if self.records.streams.is_empty() {
            return Err(no_requests());
        }
        // The rights may have changed since.
        for (stream, _) in &self.records.streams {
            check_stream(context, Use::Append, stream).map_err(|_| access_denied(OPERATION))?;
        }
        let events = std::mem::take(&mut self.records.events);
        context.run(0, Job::AppendMany { streams: self.records.streams.clone(), events });
        Ok(())
    }

    fn outcome(&mut self, context: &mut CallContext<'_>, _: u32, outcome: Outcome) -> Result<(), Status> {
        let Outcome::AppendedMany(appended) = outcome else { return Ok(()) };
        let name = |index: usize| String::from_utf8_lossy(&self.records.streams[index].0).into_owned();
        let appended = appended.map_err(|error| match error {
            JobRefused::Unexpected(streams) if !streams.is_empty() => {
                let first = streams[0];
                conflict(&name(first.index), self.records.streams[first.index].1, first.now)
            }
            other => refused(&other, OPERATION, self.records.streams.len()),
        })?;
        let output = appended.revisions.iter().enumerate().map(|(index, revision)| AppendResponse {
            stream: name(index),
            stream_revision: revision.map_or(-1, |revision| revision.0 as i64),
            position: None,
        });
        let position = appended.position.map_or(-1, |position| position.0 as i64);
        let response = AppendSessionResponse { output: output.collect(), position };
        context.send(|out| response.encode_raw(out));
        context.finish();
        Ok(())
    }
}
