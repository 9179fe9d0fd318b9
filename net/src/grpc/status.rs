//! How a call ends: a status code with a message, and what a client may read beside them in the trailers.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use http::{HeaderMap, HeaderName, HeaderValue};

/// The codes of gRPC that this server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "gRPC documents them")]
#[repr(u8)]
pub enum Code {
    Ok = 0,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
    Cancelled = 1,
}

/// How a call ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The code.
    pub code: Code,
    /// What a person reads.
    pub message: String,
    /// What a program reads: names, in lower case, and values.
    pub details: Vec<(&'static str, String)>,
}

impl Status {
    /// The end of a call that was answered.
    pub const OK: Status = Status { code: Code::Ok, message: String::new(), details: Vec::new() };

    /// An end without details.
    pub fn new(code: Code, message: impl Into<String>) -> Status {
        Status { code, message: message.into(), details: Vec::new() }
    }

    /// The client has asked for something that cannot be.
    pub fn invalid(message: impl Into<String>) -> Status {
        Status::new(Code::InvalidArgument, message)
    }

    /// Adds a detail.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Status {
        self.details.push((name, value.into()));
        self
    }

    /// The trailers.
    pub fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(2 + self.details.len());
        trailers.insert(STATUS, HeaderValue::from(self.code as u16));
        if !self.message.is_empty() {
            trailers.insert(MESSAGE, encoded(&self.message));
        }
        for (name, value) in &self.details {
            trailers.append(HeaderName::from_static(name), encoded(value));
        }
        trailers
    }
}

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// A text as a value of a header: bytes that may not be in one are written as `%XX`, and `%` itself.
fn encoded(text: &str) -> HeaderValue {
    let mut out = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    // Printable ASCII is always a value.
    HeaderValue::from_bytes(&out).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_cannot_hold_is_encoded() {
        let status = Status::new(Code::NotFound, "50 % of\n'ä'").with("stream-name", "a b");
        let trailers = status.trailers();
        let text = |name: &str| trailers[name].to_str().unwrap().to_owned();
        assert_eq!((text("grpc-status"), text("grpc-message")), ("5".into(), "50 %25 of%0A'%C3%A4'".into()));
        assert_eq!(text("stream-name"), "a b");
        assert_eq!(Status::OK.trailers().len(), 1);
    }
}
