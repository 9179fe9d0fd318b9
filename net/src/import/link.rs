//! A connection to a server: commands out, replies in. Over TCP or TLS, and it waits for neither too long.

use super::address::Address;
use super::reply::{Parsed, Reply, parse};
use crate::limits::{IMPORT_CONNECT_SECONDS, IMPORT_REPLY_SECONDS};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Commands are collected up to so many bytes before they are sent.
const OUTPUT_BYTES: usize = 64 << 10;
/// So many bytes are read at a time at least.
const INPUT_BYTES: usize = 64 << 10;

/// Why a connection cannot be used. It names the server, and no password.
#[derive(Debug, Error)]
pub enum LinkError {
    /// It does not come about, or breaks.
    #[error("{server}: {source}")]
    Io {
        /// The server.
        server: String,
        /// The cause.
        source: io::Error,
    },
    /// The server refuses what nothing goes without.
    #[error("{server}: {text}")]
    Refused {
        /// The server.
        server: String,
        /// What it says.
        text: String,
    },
}

trait Stream: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

/// A connection.
pub struct Link {
    /// The server, for messages.
    pub server: String,
    stream: Box<dyn Stream>,
    output: Vec<u8>,
    input: Vec<u8>,
    /// What of the input was taken.
    taken: usize,
}

impl Link {
    /// Connects and authenticates.
    pub fn open(address: &Address, ca: Option<&Path>) -> Result<Link, LinkError> {
        let server = address.to_string();
        let stream = connect(address, ca).map_err(|source| LinkError::Io { server: server.clone(), source })?;
        let mut link = Link { server, stream, output: Vec::new(), input: Vec::new(), taken: 0 };
        if let Some(password) = &address.password {
            let user = address.user.as_deref().map(str::as_bytes);
            let words: Vec<&[u8]> = [&b"AUTH"[..]].into_iter().chain(user).chain([password.as_bytes()]).collect();
            link.demand(&words)?;
        }
        // Says whether the server is ready, and wants a password.
        link.demand(&[b"PING"])?;
        Ok(link)
    }

    fn failed(&self, source: io::Error) -> LinkError {
        LinkError::Io { server: self.server.clone(), source }
    }

    /// The error of a reply that was not to be expected.
    pub fn refused(&self, text: impl Into<String>) -> LinkError {
        LinkError::Refused { server: self.server.clone(), text: text.into() }
    }

    /// Sends a command, at the latest with [`Link::reply`].
    pub fn send(&mut self, words: &[&[u8]]) -> Result<(), LinkError> {
        // Writing to a vector does not fail.
        let _ = write!(self.output, "*{}\r\n", words.len());
        for word in words {
            let _ = write!(self.output, "${}\r\n", word.len());
            if word.len() >= OUTPUT_BYTES {
                self.flush()?;
                self.stream.write_all(word).map_err(|error| self.failed(error))?;
            } else {
                self.output.extend_from_slice(word);
            }
            self.output.extend_from_slice(b"\r\n");
        }
        if self.output.len() >= OUTPUT_BYTES { self.flush() } else { Ok(()) }
    }

    /// Sends what was collected.
    pub fn flush(&mut self) -> Result<(), LinkError> {
        let sent = self.stream.write_all(&self.output).and_then(|()| self.stream.flush());
        self.output.clear();
        sent.map_err(|error| self.failed(error))
    }

    /// The next reply.
    pub fn reply(&mut self) -> Result<Reply, LinkError> {
        match self.reply_within()? {
            Some(reply) => Ok(reply),
            None => Err(self.failed(io::Error::new(ErrorKind::TimedOut, "no reply in time"))),
        }
    }

    /// The next reply; `None` if it does not come within [`Link::wait_for`].
    pub fn reply_within(&mut self) -> Result<Option<Reply>, LinkError> {
        self.flush()?;
        loop {
            let least = match parse(&self.input[self.taken..]) {
                Parsed::Whole(reply, bytes) => {
                    self.taken += bytes;
                    if self.taken == self.input.len() {
                        self.input.clear();
                        // What a large reply took goes back.
                        self.input.shrink_to(INPUT_BYTES);
                        self.taken = 0;
                    }
                    return Ok(Some(reply));
                }
                Parsed::Part(least) => least,
                Parsed::Wrong => return Err(self.refused("it does not speak the Redis protocol")),
            };
            self.input.drain(..self.taken);
            self.taken = 0;
            if !self.fill(least)? {
                return Ok(None);
            }
        }
    }

    /// Reads until the input has so many bytes; returns whether it does, or time was over.
    fn fill(&mut self, least: usize) -> Result<bool, LinkError> {
        while self.input.len() < least {
            let before = self.input.len();
            // It grows with what comes, not with what was announced.
            self.input.resize(before + INPUT_BYTES.max(before.min(least - before)), 0);
            let read = self.stream.read(&mut self.input[before..]);
            self.input.truncate(before + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(self.failed(io::Error::new(ErrorKind::UnexpectedEof, "closed by the server"))),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(false),
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(true)
    }

    /// Sets how long the next replies may take.
    pub fn wait_for(&mut self, time: Duration) -> Result<(), LinkError> {
        self.stream.tcp().set_read_timeout(Some(time)).map_err(|error| self.failed(error))
    }

    /// Runs one command.
    pub fn call(&mut self, words: &[&[u8]]) -> Result<Reply, LinkError> {
        self.send(words)?;
        self.reply()
    }

    /// Runs one command, which has to succeed.
    pub fn demand(&mut self, words: &[&[u8]]) -> Result<Reply, LinkError> {
        match self.call(words)? {
            Reply::Error(text) => Err(self.refused(text)),
            reply => Ok(reply),
        }
    }
}

fn connect(address: &Address, ca: Option<&Path>) -> io::Result<Box<dyn Stream>> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for place in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, Duration::from_secs(IMPORT_CONNECT_SECONDS)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(Duration::from_secs(IMPORT_REPLY_SECONDS)))?;
                stream.set_write_timeout(Some(Duration::from_secs(IMPORT_REPLY_SECONDS)))?;
                stream.set_nodelay(true)?;
                return if address.is_tls { over_tls(address, ca, stream) } else { Ok(Box::new(stream)) };
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn over_tls(address: &Address, ca: Option<&Path>, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
    let invalid = |text: String| io::Error::new(ErrorKind::InvalidInput, text);
    let path = ca.ok_or_else(|| invalid("rediss:// needs --tls-ca, the authorities that are trusted".to_owned()))?;
    let mut roots = RootCertStore::empty();
    let of_file = |error: &dyn std::fmt::Display| invalid(format!("{}: {error}", path.display()));
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| of_file(&error))? {
        roots.add(certificate.map_err(|error| of_file(&error))?).map_err(|error| of_file(&error))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(address.host.clone()).map_err(|error| invalid(error.to_string()))?;
    let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(session, stream)))
}
