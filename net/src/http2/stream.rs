//! One stream of an HTTP/2 connection: the body of its request, and its answer.

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Response};
use std::task::{Context, Poll, Waker};

/// A request whose head has come.
pub struct Request {
    /// Its path.
    pub path: String,
    /// Its method, such as `POST`.
    pub method: http::Method,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body and its answer.
    pub stream: Stream,
}

/// A stream.
pub struct Stream {
    body: RecvStream,
    answer: Answer,
    /// Its number in the connection's list of those that are woken.
    waker: Waker,
}

/// How far the answer is.
enum Answer {
    /// Nothing was sent.
    Begun(SendResponse<Bytes>),
    /// Its head was sent.
    Open(SendStream<Bytes>),
    /// All of it was sent, or nothing more can be.
    Over,
}

/// What there is of a request's body.
pub enum Body {
    /// The next bytes.
    Data(Bytes),
    /// Nothing now.
    Wait,
    /// It is whole.
    End,
    /// The client has given it up, or broken a rule.
    Reset,
}

impl Stream {
    /// A stream that wakes through `waker`.
    pub(super) fn new(body: RecvStream, answer: SendResponse<Bytes>, waker: Waker) -> Stream {
        Stream { body, answer: Answer::Begun(answer), waker }
    }

    /// Sets what wakes it.
    pub fn set_waker(&mut self, waker: Waker) {
        self.waker = waker;
    }

    /// The next bytes of the body. The client may send as many more at once.
    pub fn read(&mut self) -> Body {
        let mut context = Context::from_waker(&self.waker);
        match self.body.poll_data(&mut context) {
            Poll::Ready(Some(Ok(bytes))) => {
                // Fails only for more than was received.
                let _ = self.body.flow_control().release_capacity(bytes.len());
                Body::Data(bytes)
            }
            Poll::Ready(Some(Err(_))) => Body::Reset,
            Poll::Ready(None) => Body::End,
            Poll::Pending => Body::Wait,
        }
    }

    /// Whether the client wants no answer any more.
    pub fn is_reset(&mut self) -> bool {
        let mut context = Context::from_waker(&self.waker);
        match &mut self.answer {
            Answer::Begun(answer) => answer.poll_reset(&mut context).is_ready(),
            Answer::Open(answer) => answer.poll_reset(&mut context).is_ready(),
            Answer::Over => false,
        }
    }

    /// Sends the answer's head; with `is_all` it is the whole answer.
    pub fn send_head(&mut self, headers: HeaderMap, is_all: bool) {
        let Answer::Begun(answer) = &mut self.answer else { return };
        let mut head = Response::new(());
        *head.headers_mut() = headers;
        self.answer = match answer.send_response(head, is_all) {
            Ok(open) if !is_all => Answer::Open(open),
            _ => Answer::Over,
        };
    }

    /// How many bytes of data the client takes now, of `wanted`. Where it takes fewer the stream is woken once it takes more.
    pub fn room(&mut self, wanted: usize) -> usize {
        let Answer::Open(answer) = &mut self.answer else { return 0 };
        answer.reserve_capacity(wanted);
        let room = answer.capacity().min(wanted);
        if room < wanted {
            let mut context = Context::from_waker(&self.waker);
            // What is there already is reported first: asked until there is nothing, it wakes with the next.
            while let Poll::Ready(Some(Ok(_))) = answer.poll_capacity(&mut context) {
                if answer.capacity() >= wanted {
                    break;
                }
            }
            return answer.capacity().min(wanted);
        }
        room
    }

    /// Sends data, for which there has to be [room](Stream::room).
    pub fn send_data(&mut self, data: Bytes) {
        if let Answer::Open(answer) = &mut self.answer
            && answer.send_data(data, false).is_err()
        {
            self.answer = Answer::Over;
        }
    }

    /// Ends the answer.
    pub fn send_trailers(&mut self, trailers: HeaderMap) {
        if let Answer::Open(answer) = &mut self.answer {
            // Fails only where the client has given it up.
            let _ = answer.send_trailers(trailers);
        }
        self.answer = Answer::Over;
    }

    /// Answers an error of HTTP, and nothing else.
    pub fn send_error(&mut self, status: u16, headers: HeaderMap) {
        let Answer::Begun(answer) = &mut self.answer else { return };
        let mut head = Response::new(());
        *head.headers_mut() = headers;
        *head.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_REQUEST);
        // Fails only where the client has given it up.
        let _ = answer.send_response(head, true);
        self.answer = Answer::Over;
    }
}
