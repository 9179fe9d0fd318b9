//! The transport of a connection: what its socket's bytes are to its protocol, and its protocol's to the socket. It knows
//! no protocol, and no protocol sees the socket's bytes.
//!
//! ```text
//!   net ring ──► open ──► protocol ──► output ──► seal ──► net ring
//! ```
//!
//! All bytes that are received pass [`Transport::open`], in their order, at one place (`turn_loop/net_events.rs`). All that
//! are sent pass [`Transport::seal`], in their order and right before the net ring gets them, at
//! one place ([`Connection::send`](super::Connection::send)). So a transport may answer bytes that no protocol has asked
//! for, number what it sends, and send long buffers in parts.

use crate::net_ring::SendBuffer;
use crate::tls::{Stage, TlsScratch, TlsSession};

/// The transport of one connection.
pub enum Transport {
    /// The socket's bytes are the protocol's. Nothing is copied.
    Plain,
    /// The socket's bytes are TLS records.
    Tls(Box<TlsSession>),
}

impl Transport {
    /// How far it is. Plain TCP is open from the start.
    #[inline]
    pub fn stage(&self) -> Stage {
        match self {
            Transport::Plain => Stage::Open,
            Transport::Tls(session) => session.stage(),
        }
    }

    /// The protocol's bytes of those that the socket has received; none where they are not whole yet.
    #[inline]
    pub fn open<'a>(&mut self, received: &'a [u8], scratch: &'a mut TlsScratch) -> &'a [u8] {
        match self {
            Transport::Plain => received,
            Transport::Tls(session) => session.open(received, scratch),
        }
    }

    /// Takes a buffer of the protocol to be sent. The buffer before it must be sealed.
    #[inline]
    fn begin(&mut self, buffer: SendBuffer) -> Option<SendBuffer> {
        match self {
            Transport::Plain => Some(buffer),
            Transport::Tls(session) => {
                session.begin(buffer);
                session.seal()
            }
        }
    }

    /// What the socket is to send next: the rest of a buffer, or bytes of the transport's own, else the next buffer of the
    /// protocol; none where there is nothing.
    #[inline]
    pub fn seal(&mut self, next: impl FnOnce() -> Option<SendBuffer>) -> Option<SendBuffer> {
        match self {
            Transport::Tls(session) if session.unsent_bytes() > 0 || session.stage() == Stage::Failed => session.seal(),
            Transport::Plain | Transport::Tls(_) => next().and_then(|buffer| self.begin(buffer)),
        }
    }

    /// The bytes that it has of the protocol's or its own and that wait to be sent.
    #[inline]
    pub fn unsent_bytes(&self) -> usize {
        match self {
            Transport::Plain => 0,
            Transport::Tls(session) => session.unsent_bytes(),
        }
    }

    /// Whether it has received bytes that it will open in a later turn.
    pub fn is_late(&self) -> bool {
        match self {
            Transport::Plain => false,
            Transport::Tls(session) => session.has_kept(),
        }
    }

    /// Ends the server's side in order. Returns whether there is something to send for it; the second time there is not.
    pub fn end(&mut self) -> bool {
        match self {
            Transport::Plain => false,
            Transport::Tls(session) => session.end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_bytes_are_passed_on_where_they_are() {
        let mut transport = Transport::Plain;
        let received = b"*1\r\n$4\r\nPING\r\n".to_vec();
        let opened = transport.open(&received, &mut TlsScratch::default()).as_ptr_range();
        let range = received.as_ptr_range();
        assert_eq!(opened, range);
        let Some(SendBuffer::Own(sent)) = transport.seal(|| Some(received.into())) else {
            panic!("a buffer of its own stays one")
        };
        assert_eq!(sent.as_ptr_range(), range);
        assert!(transport.seal(|| None).is_none() && !transport.end());
    }
}
