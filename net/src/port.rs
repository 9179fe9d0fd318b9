//! The ports of the server. Every core listens on each of them; the port that accepts a connection
//! determines its transport and its protocol.

use std::net::SocketAddr;

/// A port that clients connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its address; the number is the one that the system chose where port 0 was asked for.
    pub address: SocketAddr,
    /// The transport of its connections.
    pub transport: TransportKind,
    /// The protocol of its connections.
    pub protocol: ProtocolKind,
}

/// How bytes travel between a client's socket and its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// TCP as it is.
    Plain,
    /// TLS over TCP.
    Tls,
}

/// What the bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolKind {
    /// The Redis protocol.
    Resp,
    /// HTTP: gRPC over HTTP/2, and pages for operators over HTTP/1.1.
    Web,
}
