//! Errors after which a connection's input cannot be parsed any further.

use thiserror::Error;

/// Why a connection must end: the rest of its input cannot be parsed. [`ProtocolError::wire_text`] is the text that
/// Redis sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// `*` was not followed by a valid number.
    #[error("Protocol error: invalid multibulk length")]
    ArgCount,
    /// More than [`UNAUTHENTICATED_ARGS_MAX`](super::parse::UNAUTHENTICATED_ARGS_MAX) arguments before authentication.
    #[error("Protocol error: unauthenticated multibulk length")]
    ArgCountUnauthenticated,
    /// `$` was not followed by a valid number.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// An argument above [`UNAUTHENTICATED_BULK_BYTES_MAX`](super::parse::UNAUTHENTICATED_BULK_BYTES_MAX) before authentication.
    #[error("Protocol error: unauthenticated bulk length")]
    BulkLengthUnauthenticated,
    /// An argument did not begin with `$` but with this byte.
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    ExpectedBulk(u8),
    /// No line end after `*` within [`LINE_BYTES_MAX`](super::parse::LINE_BYTES_MAX).
    #[error("Protocol error: too big mbulk count string")]
    ArgCountLine,
    /// No line end after `$` within [`LINE_BYTES_MAX`](super::parse::LINE_BYTES_MAX).
    #[error("Protocol error: too big bulk count string")]
    BulkLengthLine,
    /// No line end of an inline command within [`LINE_BYTES_MAX`](super::parse::LINE_BYTES_MAX).
    #[error("Protocol error: too big inline request")]
    InlineLine,
    /// The quotes of an inline command are unbalanced.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
    /// The command is longer than [`ParserLimits::query_bytes_max`](super::parse::ParserLimits::query_bytes_max). Redis
    /// closes such a connection without an error: see [`ProtocolError::is_silent`].
    #[error("Protocol error: query exceeds the query buffer limit")]
    QueryLength,
}

impl ProtocolError {
    /// The error as it is sent, code first. Not the `Display` text: its byte need not be UTF-8.
    pub fn wire_text(self) -> Vec<u8> {
        match self {
            ProtocolError::ExpectedBulk(b'\r' | b'\n') => b"ERR Protocol error: expected '$', got ' '".to_vec(),
            ProtocolError::ExpectedBulk(byte) => {
                [b"ERR Protocol error: expected '$', got '", &[byte][..], b"'"].concat()
            }
            other => format!("ERR {other}").into_bytes(),
        }
    }

    /// Whether Redis closes the connection without sending the error.
    pub fn is_silent(self) -> bool {
        self == ProtocolError::QueryLength
    }
}
