//! The transport of a connection: what its socket's bytes are to its protocol, and its protocol's to the socket. It knows
//! no protocol, and no protocol sees the socket's bytes.
//!
//! ```text
//!   net ring ──► open ──► protocol ──► output ──► seal ──► net ring
//! ```
//!
//! All bytes that are received pass [`Transport::open`], in their order, at one place (`turn_loop/net_events.rs`). All that
//! are sent pass [`Transport::seal`], in their order and right before the net ring gets them, at one place
//! ([`Output::send`](super::Output::send)). So a transport can hold received bytes until they are whole, seal records in the
//! order in which they leave, and send bytes of its own between them, without a protocol's help.

use crate::net_ring::SendBuffer;
use crate::port::TransportKind;

/// The transport of one connection.
#[derive(Debug)]
pub enum Transport {
    /// The socket's bytes are the protocol's. Nothing is copied.
    Plain,
}

impl Transport {
    /// The transport of a connection that begins.
    pub fn new(kind: TransportKind) -> Transport {
        match kind {
            TransportKind::Plain => Transport::Plain,
        }
    }

    /// The protocol's bytes of those that the socket has received; none where they are not whole yet.
    #[inline]
    pub fn open<'a>(&mut self, received: &'a [u8]) -> &'a [u8] {
        match self {
            Transport::Plain => received,
        }
    }

    /// What the socket is to send for these bytes of the protocol.
    #[inline]
    pub fn seal(&mut self, buffer: SendBuffer) -> SendBuffer {
        match self {
            Transport::Plain => buffer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_bytes_are_passed_on_where_they_are() {
        let mut transport = Transport::new(TransportKind::Plain);
        let received = b"*1\r\n$4\r\nPING\r\n".to_vec();
        assert_eq!(transport.open(&received).as_ptr_range(), received.as_ptr_range());
        let range = received.as_ptr_range();
        let SendBuffer::Own(sent) = transport.seal(received.into()) else { panic!("a buffer of its own stays one") };
        assert_eq!(sent.as_ptr_range(), range);
    }
}
