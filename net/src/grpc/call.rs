//! One call: its stream, its handler, and what it has to send.

use super::handler::Handler;
use super::message::Messages;
use super::status::{Code, Status};
use crate::access::User;
use crate::http2::{Body, Stream};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use keytide_engine::interest::Interest;
use keytide_engine::position::ShardId;
use keytide_engine::subscription::ClientId;
use std::sync::Arc;

/// Whether the end of a call may be sent.
pub(super) enum MayEnd {
    Now,
    /// Once the client has sent all.
    Later,
    /// The client has given the call up.
    Reset,
}

/// A call.
pub(super) struct Call {
    pub stream: Stream,
    pub messages: Messages,
    pub handler: Box<dyn Handler>,
    pub user: Arc<User>,
    pub out: Vec<u8>,
    /// How much was handed to HTTP/2 together last, in bytes: about as much comes next.
    pub out_last: usize,
    /// What of it is being handed to HTTP/2, piece by piece; before `out`.
    pub sending: Bytes,
    pub has_head: bool,
    /// How it ends, once everything is sent.
    pub status: Option<Status>,
    /// Whether the client may still send messages.
    pub is_receiving: bool,
    /// Whether the client has said that it sends no more.
    pub has_all: bool,
    /// Whether it has sent any.
    pub has_message: bool,
    /// Jobs whose outcome has not come.
    pub jobs: usize,
    /// Their numbers, with the memory that each takes, in bytes.
    pub job_bytes: Vec<(u32, usize)>,
    /// Its subscriber, since it has subscribed.
    pub subscriber: Option<ClientId>,
    /// The core that keeps the group that it reads, since it has asked for that; and which events it reads, once it does.
    pub reads_group: Option<(ShardId, Option<Arc<Interest>>)>,
    /// Whether that group waits to be told that it has room for more events.
    pub owes_room: bool,
    /// What its client calls the connection.
    pub connection_name: Box<str>,
    /// Whether it reads the history.
    pub is_reading: bool,
    /// Whether its subscription, or its reading, waits for room.
    pub wants_room: bool,
    /// When it ends if it has not ended before, steady milliseconds.
    pub deadline_ms: Option<u64>,
    /// Its parts of what is counted for all calls.
    pub counted_out: usize,
    pub counted_held: usize,
    pub counted_partial: bool,
}

impl Call {
    /// A call that begins.
    pub fn new((stream, messages): (Stream, Messages), handler: Box<dyn Handler>, user: Arc<User>) -> Call {
        Call {
            stream,
            messages,
            handler,
            user,
            out: Vec::new(),
            out_last: 0,
            sending: Bytes::new(),
            has_head: false,
            status: None,
            is_receiving: true,
            has_all: false,
            has_message: false,
            jobs: 0,
            job_bytes: Vec::new(),
            subscriber: None,
            reads_group: None,
            owes_room: false,
            connection_name: "".into(),
            is_reading: false,
            wants_room: false,
            deadline_ms: None,
            counted_out: 0,
            counted_held: 0,
            counted_partial: false,
        }
    }

    /// Whether its end may be sent: an end in order waits until the client has sent all. What is sent before that makes HTTP/2
    /// reset the stream, and some clients lose then what they have not read of the answer.
    pub fn may_end(&mut self) -> MayEnd {
        while !self.has_all && self.status.as_ref().is_some_and(|status| status.code == Code::Ok) {
            match self.stream.read() {
                // It was not asked for.
                Body::Data(_) => {}
                Body::Wait => return MayEnd::Later,
                Body::End => self.has_all = true,
                Body::Reset => return MayEnd::Reset,
            }
        }
        MayEnd::Now
    }

    /// Ends it behind what it has sent; the first end counts.
    pub fn refuse(&mut self, status: Status) {
        self.status.get_or_insert(status);
        self.is_receiving = false;
    }

    /// Whether its client has to send more before it can be answered. One that has got answers may send more, and waits
    /// for nothing.
    pub fn is_partial(&self) -> bool {
        self.is_receiving && (!self.has_head || self.messages.is_cut())
    }

    /// The bytes of its messages that HTTP/2 has not taken.
    pub fn unsent_bytes(&self) -> usize {
        self.sending.len() + self.out.len()
    }

    /// Whether it has anything to send, or to end with.
    pub fn has_to_send(&self) -> bool {
        self.unsent_bytes() > 0 || self.status.is_some()
    }
}

/// The head of an answer.
pub(super) fn head() -> HeaderMap {
    let mut head = HeaderMap::new();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head
}

/// The head of an answer that is nothing but an end.
pub(super) fn head_and(status: &Status) -> HeaderMap {
    let mut all = status.trailers();
    all.extend(head());
    all
}
