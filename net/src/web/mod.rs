//! The port for HTTP: the first bytes tell which version a client speaks. HTTP/2 carries gRPC, HTTP/1.1 a few pages for
//! operators.

mod http1;
#[cfg(test)]
mod tests;

use crate::grpc::{Calls, Surroundings};
use crate::http2::{PREFACE, Polled};
use crate::kurrent::table;

/// What a connection of this port speaks.
#[derive(Default)]
pub enum Web {
    /// Too little has come to tell.
    #[default]
    Undecided,
    /// HTTP/2.
    Http2(Box<Calls>),
    /// HTTP/1.1.
    Http1,
}

impl Web {
    /// Takes received bytes; what is to be sent is appended to `out`, which may grow to `out_max` bytes.
    pub fn receive(&mut self, received: &[u8], out: &mut Vec<u8>, out_max: usize, around: &Surroundings<'_>) -> Polled {
        if let Web::Undecided = self {
            let length = received.len().min(PREFACE.len());
            if received[..length] != PREFACE[..length] {
                *self = Web::Http1;
            } else if length < PREFACE.len() {
                return Polled { consumed: 0, is_full: false, is_over: false };
            } else {
                *self = Web::Http2(Box::new(Calls::new(table::find)));
            }
        }
        match self {
            Web::Undecided => Polled { consumed: 0, is_full: false, is_over: false },
            Web::Http2(calls) => calls.receive(received, out, out_max, around),
            Web::Http1 => {
                let http1::Answered { consumed, is_over } = http1::answer(received, out, around);
                Polled { consumed, is_full: false, is_over }
            }
        }
    }

    /// The calls of a connection of HTTP/2.
    pub fn calls(&mut self) -> Option<&mut Calls> {
        match self {
            Web::Http2(calls) => Some(calls),
            Web::Undecided | Web::Http1 => None,
        }
    }
}
