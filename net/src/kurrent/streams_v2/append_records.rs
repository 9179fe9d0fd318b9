//! AppendRecords: events for any streams in one message, with conditions on these or on other streams.

use super::super::proto::streams_v2::consistency_check::Type;
use super::super::proto::streams_v2::{AppendRecordsRequest, AppendRecordsResponse, StreamRevision};
use super::super::rights::{Use, check_stream};
use super::error::{access_denied, bad_request, conflict, refused, violations};
use super::records::{Records, wanted};
use crate::grpc::{CallContext, Handler, Method, Status};
use crate::kurrent::error::not_recording;
use crate::streams::{Job, JobRefused, Outcome};
use bytes::Bytes;
use keytide_engine::shards::{Unexpected, Wanted};
use prost::Message;

pub static METHOD: Method = Method {
    path: "/kurrentdb.protocol.v2.streams.StreamsService/AppendRecords",
    features: &[],
    is_open: false,
    begin: || Box::new(AppendRecords::default()),
};

const KIND: &str = "AppendRecordsRequest";

/// What it is called to people.
const OPERATION: &str = "Append Records";

#[derive(Default)]
struct AppendRecords {
    streams: Vec<(Bytes, Wanted)>,
    /// By stream, the place of its check; none where the request has none.
    checks: Vec<Option<usize>>,
    events: usize,
}

impl AppendRecords {
    fn name(&self, index: usize) -> &str {
        // It was text.
        std::str::from_utf8(&self.streams[index].0).unwrap_or_default()
    }

    fn unexpected(&self, streams: &[Unexpected]) -> Status {
        let of = |stream: &Unexpected| {
            let check = self.checks[stream.index]?;
            Some((check, self.name(stream.index), self.streams[stream.index].1, stream.now))
        };
        let mut found: Vec<_> = streams.iter().filter_map(of).collect();
        // In the order of the checks.
        found.sort_unstable_by_key(|violation| violation.0);
        match streams.first() {
            // Nobody has checked it, and yet nothing can be appended.
            Some(stream) if found.is_empty() => {
                conflict(self.name(stream.index), self.streams[stream.index].1, stream.now)
            }
            _ => violations(found),
        }
    }
}

impl Handler for AppendRecords {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        if !self.streams.is_empty() {
            return Err(bad_request(KIND, "there is one request in a call"));
        }
        if !context.server.is_recording() {
            return Err(not_recording());
        }
        let request = AppendRecordsRequest::decode(message).map_err(|error| bad_request(KIND, &error.to_string()))?;
        if request.records.is_empty() {
            return Err(bad_request(KIND, "Records must not be empty."));
        }
        let mut records = Records::default();
        for mut record in request.records {
            let stream = std::mem::take(&mut record.stream);
            let (place, is_new) = records.place_of("AppendRecord", &stream)?;
            if is_new {
                check_stream(context, Use::Append, stream.as_bytes()).map_err(|_| access_denied(OPERATION))?;
            }
            records.add(place, &stream, record)?;
        }
        self.checks.resize(records.streams.len(), None);
        for (number, check) in request.checks.into_iter().enumerate() {
            let Some(Type::StreamState(check)) = check.r#type else {
                return Err(bad_request(KIND, "A check is of no known kind."));
            };
            let (place, is_new) = records.place_of(KIND, &check.stream)?;
            if is_new {
                self.checks.push(None);
                check_stream(context, Use::Read, check.stream.as_bytes()).map_err(|_| access_denied(OPERATION))?;
            }
            if self.checks[place].replace(number).is_some() {
                return Err(bad_request(KIND, &format!("Stream '{}' has more than one check.", check.stream)));
            }
            records.streams[place].1 = wanted(KIND, check.expected_state)?;
        }
        let Records { streams, events, .. } = records;
        (self.streams, self.events) = (streams.clone(), events.len());
        context.run(0, Job::AppendMany { streams, events });
        Ok(())
    }

    fn outcome(&mut self, context: &mut CallContext<'_>, _: u32, outcome: Outcome) -> Result<(), Status> {
        let Outcome::AppendedMany(appended) = outcome else { return Ok(()) };
        let appended = appended.map_err(|error| match error {
            JobRefused::Unexpected(streams) => self.unexpected(&streams),
            other => refused(&other, OPERATION, self.events),
        })?;
        let revisions = appended.revisions.iter().enumerate().filter_map(|(index, revision)| {
            Some(StreamRevision { stream: self.name(index).to_owned(), revision: revision.as_ref()?.0 as i64 })
        });
        let position = appended.position.map_or(-1, |position| position.0 as i64);
        let response = AppendRecordsResponse { revisions: revisions.collect(), position };
        context.send(|out| response.encode_raw(out));
        context.finish();
        Ok(())
    }
}
