//! Read: events of a stream or of all, forwards or backwards, once or as they happen.

use super::super::error::not_recording;
use super::super::proto::streams::ReadReq;
use super::super::rights::check_source;
use super::all_read::AllRead;
use super::request::{Direction, Request};
use super::stream_read::StreamRead;
use super::subscription::Subscription;
use crate::grpc::{CallContext, Handler, Method, Outbox, Status};
use crate::streams::Outcome;
use bytes::Bytes;
use keytide_engine::history::History;
use keytide_engine::interest::Source;
use keytide_engine::subscription::Push;
use prost::Message;

pub static METHOD: Method = Method {
    path: "/event_store.client.streams.Streams/Read",
    features: &["position", "events"],
    is_open: false,
    begin: || Box::new(Read { inner: None, of: None }),
};

/// A call, once it is known what it is for.
struct Read {
    inner: Option<Box<dyn Handler>>,
    /// What is read, and whether with a filter.
    of: Option<(Source, bool)>,
}

impl Handler for Read {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        if self.inner.is_some() {
            return Err(Status::invalid("there is one request in a call"));
        }
        if !context.server.is_recording() {
            return Err(not_recording());
        }
        let request = ReadReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        let request = Request::read(request)?;
        let of = (request.source.clone(), request.filter.is_some());
        check_source(context, &of.0, of.1)?;
        self.of = Some(of);
        let inner: Box<dyn Handler> = match (request.direction, &request.source) {
            (Direction::Subscription, _) => Box::new(Subscription::begin(context, request)),
            (_, Source::Stream(_)) => Box::new(StreamRead::begin(context, request)),
            _ => Box::new(AllRead::begin(context, request)),
        };
        self.inner = Some(inner);
        Ok(())
    }

    fn outcome(&mut self, context: &mut CallContext<'_>, number: u32, outcome: Outcome) -> Result<(), Status> {
        self.inner.as_mut().map_or(Ok(()), |inner| inner.outcome(context, number, outcome))
    }

    fn read(&mut self, context: &mut CallContext<'_>, history: &mut History) -> Result<(), Status> {
        // The rights may have changed since.
        if let Some((source, is_filtered)) = &self.of {
            check_source(context, source, *is_filtered)?;
        }
        self.inner.as_mut().map_or(Ok(()), |inner| inner.read(context, history))
    }

    fn held_bytes(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.held_bytes())
    }

    fn waiting_bytes(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.waiting_bytes())
    }

    fn push(&mut self, outbox: &mut Outbox<'_>, push: Push<'_>) -> Result<(), Status> {
        self.inner.as_mut().map_or(Ok(()), |inner| inner.push(outbox, push))
    }
}
