//! HTTP/2 on a connection: frames in and out, by the crate `h2`. Knows no gRPC, no socket and no executor.
//!
//! The library is polled after bytes have come, and at the end of the turn; what it writes in between is nothing. Its
//! limits are set here: how much a client may have under way, and what a flood of frames may cost.
//!
//! | module | what is in it |
//! |---|---|
//! | `pipe` | the bytes between connection and library |
//! | [`stream`] | the body of a request, and its answer |
//! | `woken` | the streams for which there is something |

mod pipe;
pub mod stream;
mod woken;

pub use stream::{Body, Request, Stream};

use crate::limits::{
    HTTP2_CONNECTION_WINDOW, HTTP2_DATA_FRAME_BUDGET, HTTP2_FRAME_BYTES_MAX, HTTP2_HEADER_BYTES_MAX,
    HTTP2_RESETS_PENDING_MAX, HTTP2_SEND_BYTES_MAX, HTTP2_STREAM_WINDOW, HTTP2_STREAMS_MAX,
};
use bytes::Bytes;
use h2::server::{Builder, Connection, Handshake};
use h2::{Ping, PingPong};
use pipe::{PipeEnd, PipeHandle};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use woken::Woken;

/// The bytes with which a client of HTTP/2 begins.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a stream is remembered that this side has reset, so that frames that were under way are ignored.
const RESET_MEMORY: Duration = Duration::from_secs(10);

/// One connection.
pub struct Http2 {
    pipe: PipeHandle,
    state: State,
    /// None until the client's preface has come.
    pings: Option<PingPong>,
    woken: Woken,
}

enum State {
    /// The client's preface is awaited.
    Opening(Box<Handshake<PipeEnd, Bytes>>),
    Open(Box<Connection<PipeEnd, Bytes>>),
    Over,
}

/// How a poll has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// How many of the received bytes were read. All, unless frames to send have no room.
    pub consumed: usize,
    /// Whether there are frames that have no room.
    pub is_full: bool,
    /// Whether the connection is over: the client has said so, or broken a rule.
    pub is_over: bool,
}

impl Http2 {
    /// A connection that begins.
    pub fn new() -> Http2 {
        let pipe = PipeHandle::default();
        let handshake = Builder::new()
            .initial_window_size(HTTP2_STREAM_WINDOW)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_frame_size(HTTP2_FRAME_BYTES_MAX)
            .max_header_list_size(HTTP2_HEADER_BYTES_MAX)
            .max_send_buffer_size(HTTP2_SEND_BYTES_MAX)
            .max_pending_accept_reset_streams(HTTP2_RESETS_PENDING_MAX)
            .data_frame_budget(HTTP2_DATA_FRAME_BUDGET)
            .reset_stream_duration(RESET_MEMORY)
            .handshake(pipe.end());
        Http2 { pipe, state: State::Opening(Box::new(handshake)), pings: None, woken: Woken::default() }
    }

    /// What wakes the stream of this number.
    pub fn waker(&self, stream: u32) -> Waker {
        self.woken.waker(stream)
    }

    /// Wakes the stream of this number.
    pub fn wake(&self, stream: u32) {
        self.woken.add(stream);
    }

    /// Takes the numbers of the streams for which there is something.
    pub fn take_woken(&self) -> Vec<u32> {
        self.woken.take()
    }

    /// Gives it received bytes; appends frames to `frames`, which may grow to `frames_max` bytes. New requests go to `accept`.
    pub fn poll(
        &mut self,
        received: &[u8],
        frames: &mut Vec<u8>,
        frames_max: usize,
        mut accept: impl FnMut(Request),
    ) -> Polled {
        self.pipe.begin(received, frames, frames_max);
        // Nobody waits for the connection itself: it is polled whenever something has come.
        let mut context = Context::from_waker(Waker::noop());
        if let State::Opening(handshake) = &mut self.state {
            self.state = match Pin::new(&mut **handshake).poll(&mut context) {
                Poll::Ready(Ok(mut connection)) => {
                    self.pings = connection.ping_pong();
                    State::Open(Box::new(connection))
                }
                Poll::Ready(Err(_)) => State::Over,
                Poll::Pending => std::mem::replace(&mut self.state, State::Over),
            };
        }
        if let State::Open(connection) = &mut self.state {
            loop {
                match connection.poll_accept(&mut context) {
                    Poll::Ready(Some(Ok((request, answer)))) => {
                        let (head, body) = request.into_parts();
                        let stream = Stream::new(body, answer, Waker::noop().clone());
                        let path = head.uri.path().to_owned();
                        accept(Request { path, method: head.method, headers: head.headers, stream });
                    }
                    Poll::Ready(Some(Err(error))) => {
                        tracing::debug!("a connection of HTTP/2 ends: {error}");
                        self.state = State::Over;
                        break;
                    }
                    Poll::Ready(None) => {
                        self.state = State::Over;
                        break;
                    }
                    Poll::Pending => break,
                }
            }
        }
        let (unread, is_full) = self.pipe.end_use(frames);
        let is_over = matches!(self.state, State::Over);
        Polled { consumed: received.len() - unread.min(received.len()), is_full, is_over }
    }

    /// Sends a ping with the next poll, unless one is not answered yet.
    pub fn ping(&mut self) {
        let Some(pings) = &mut self.pings else { return };
        // The answer to the last one is taken here: that it has come is seen by its bytes.
        let _ = pings.poll_pong(&mut Context::from_waker(Waker::noop()));
        let _ = pings.send_ping(Ping::opaque());
    }

    /// Ends it in order: no new request is taken, those under way are answered.
    pub fn go_away(&mut self) {
        if let State::Open(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }
}

impl Default for Http2 {
    fn default() -> Http2 {
        Http2::new()
    }
}
