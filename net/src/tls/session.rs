//! TLS on one connection, by rustls without buffers of its own: records that were received become plaintext, plaintext
//! becomes records to send, and the records that no protocol has asked for (handshake, alerts, tickets) wait to be sent.

use super::settings::common_name;
use crate::limits::{BUFFER_KEEP_BYTES, TLS_SEAL_BYTES};
use crate::net_ring::SendBuffer;
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use std::sync::Arc;

/// The plaintext of a record in bytes, at most (RFC 8446, 5.1).
const RECORD_BYTES: usize = 16 << 10;

/// What a record takes beside its plaintext in bytes, at most: header, TLS 1.2's explicit nonce or TLS 1.3's type, and tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 16 + 1;

/// Beside the records of plaintext there may be one of a key update.
const KEY_UPDATE_BYTES: usize = 128;

/// How far a session, or another transport, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The handshake is under way: no data passes.
    Opening,
    /// Data passes both ways.
    Open,
    /// The client has ended its side in order. It may still be sent data.
    Ended,
    /// The client has broken the protocol, or was refused. Only an alert is still sent.
    Failed,
}

/// Memory that serves all sessions of a core, one after the other.
#[derive(Default)]
pub struct TlsScratch {
    records: Vec<u8>,
    plaintext: Vec<u8>,
}

/// The TLS of one connection.
pub struct TlsSession {
    connection: UnbufferedServerConnection,
    stage: Stage,
    /// Received bytes of records that are not whole yet, or have not been opened yet. rustls has noted where messages
    /// begin in them: each call has to get them as the last one has left them, or it panics.
    received: Vec<u8>,
    /// Records to send that no protocol has asked for.
    outgoing: Vec<u8>,
    /// Plaintext that is being sealed, and how much of it is.
    sealing: Option<(SendBuffer, usize)>,
    /// The memory of plaintext that was sealed, for the next records.
    spare: Vec<u8>,
    /// Whether bytes were kept since records were opened last.
    has_kept: bool,
    is_end_queued: bool,
    /// Whether the client's certificate says which user it is.
    names_user: bool,
}

impl TlsSession {
    /// The session of a connection that begins.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn new(config: Arc<ServerConfig>) -> Result<TlsSession, rustls::Error> {
        Ok(TlsSession {
            names_user: false,
            connection: UnbufferedServerConnection::new(config)?,
            stage: Stage::Opening,
            received: Vec::new(),
            outgoing: Vec::new(),
            sealing: None,
            spare: Vec::new(),
            has_kept: false,
            is_end_queued: false,
        })
    }

    /// The same session, whose client's certificate says which user it is, or does not.
    pub fn naming_user(self, names_user: bool) -> TlsSession {
        TlsSession { names_user, ..self }
    }

    /// The user that the client's certificate says it is, once the handshake is over: its common name. The certificate was
    /// checked against the authorities then.
    pub fn user_name(&self) -> Option<Vec<u8>> {
        let certificates =
            self.connection.peer_certificates().filter(|_| self.names_user && self.stage != Stage::Opening);
        common_name(certificates?.first()?)
    }

    /// How far it is.
    #[inline]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Keeps received bytes for the next [`TlsSession::open`]. Returns whether they are the first since the last one.
    pub fn keep(&mut self, received: &[u8]) -> bool {
        self.received.extend_from_slice(received);
        !std::mem::replace(&mut self.has_kept, true)
    }

    /// Whether bytes were kept that a later [`TlsSession::open`] takes.
    pub fn has_kept(&self) -> bool {
        self.has_kept
    }

    /// The bytes that were received and not been opened.
    pub fn kept_bytes(&self) -> usize {
        self.received.len()
    }

    /// The plaintext of all records that are whole, with what was kept before.
    pub fn open<'s>(&mut self, received: &[u8], scratch: &'s mut TlsScratch) -> &'s [u8] {
        let TlsScratch { records, plaintext } = scratch;
        self.has_kept = false;
        records.clear();
        plaintext.clear();
        if matches!(self.stage, Stage::Ended | Stage::Failed) {
            // Nothing is read behind an end.
            return plaintext;
        }
        records.extend_from_slice(&self.received);
        records.extend_from_slice(received);
        let opened = self.open_records(records, plaintext);
        if opened == records.len() || matches!(self.stage, Stage::Ended | Stage::Failed) {
            self.received = Vec::new();
        } else {
            self.received.clear();
            self.received.extend_from_slice(&records[opened..]);
        }
        plaintext
    }

    /// Opens records up to the first that is not whole. Returns how many bytes they were.
    fn open_records(&mut self, records: &mut [u8], plaintext: &mut Vec<u8>) -> usize {
        let mut at = 0;
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(&mut records[at..]);
            let is_last = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    // A record that cannot be decrypted is an error of the call above.
                    while let Some(Ok(record)) = traffic.next_record() {
                        discard += record.discard;
                        plaintext.extend_from_slice(record.payload);
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.outgoing, |space| data.encode(space).map_err(required));
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // The records leave with the connection's next send.
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.stage = Stage::Ended;
                    false
                }
                // Early data is not accepted, so there is none.
                Ok(_) => true,
                Err(error) => {
                    tracing::debug!(%error, "a TLS session fails");
                    self.take_alert(&mut records[at + discard..]);
                    self.fail();
                    true
                }
            };
            at += discard;
            if is_last {
                break;
            }
        }
        if self.stage == Stage::Opening && !self.connection.is_handshaking() {
            self.stage = Stage::Open;
        }
        at
    }

    /// Ends the session: but for the alert nothing is sent any more.
    fn fail(&mut self) {
        self.stage = Stage::Failed;
        self.sealing = None;
    }

    /// Queues the alert that a failed session has for the client. `records` are those that are left.
    fn take_alert(&mut self, records: &mut [u8]) {
        // The alert is what rustls hands out first; what comes next is the error once more.
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = self.connection.process_tls_records(records).state {
            append(&mut self.outgoing, |space| data.encode(space).map_err(required));
        }
    }

    /// Queues the end of the server's side. Returns whether there is something to send for it.
    pub fn end(&mut self) -> bool {
        if self.is_end_queued || !matches!(self.stage, Stage::Open | Stage::Ended) {
            return false;
        }
        self.is_end_queued = true;
        let status = self.connection.process_tls_records(&mut self.received);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
            append(&mut self.outgoing, |space| traffic.queue_close_notify(space).map_err(required_for_plaintext));
        }
        !self.outgoing.is_empty()
    }

    /// The bytes that wait to be sent here: records, and plaintext that is being sealed.
    #[inline]
    pub fn unsent_bytes(&self) -> usize {
        self.outgoing.len() + self.sealing.as_ref().map_or(0, |(plaintext, done)| plaintext.len() - done)
    }

    /// Begins to seal plaintext. Nothing may be being sealed. A session that has failed drops it.
    pub fn begin(&mut self, plaintext: SendBuffer) {
        debug_assert!(self.sealing.is_none());
        if self.stage != Stage::Failed {
            self.sealing = Some((plaintext, 0));
        }
    }

    /// The next records to send, of at most [`TLS_SEAL_BYTES`] of plaintext; none where nothing waits.
    pub fn seal(&mut self) -> Option<SendBuffer> {
        if self.sealing.is_none() && self.outgoing.is_empty() {
            return None;
        }
        let mut records = std::mem::take(&mut self.outgoing);
        if let Some((plaintext, done)) = self.sealing.take() {
            let end = plaintext.len().min(done + TLS_SEAL_BYTES);
            if records.is_empty() {
                records = std::mem::take(&mut self.spare);
                records.clear();
            }
            self.encrypt(&plaintext[done..end], &mut records);
            if self.stage == Stage::Failed {
                return None;
            }
            if end < plaintext.len() {
                self.sealing = Some((plaintext, end));
            } else if let Some(memory) = plaintext.into_vec()
                && memory.capacity() <= BUFFER_KEEP_BYTES
            {
                self.spare = memory;
            }
        }
        Some(records.into())
    }

    fn encrypt(&mut self, plaintext: &[u8], records: &mut Vec<u8>) {
        loop {
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut self.received);
            debug_assert_eq!(discard, 0, "whole records were opened when they came");
            match state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(records, |space| data.encode(space).map_err(required));
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let count = plaintext.len().div_ceil(RECORD_BYTES);
                    let expected = plaintext.len() + count * RECORD_OVERHEAD + KEY_UPDATE_BYTES;
                    let is_sealed = append_expected(records, expected, |space| {
                        traffic.encrypt(plaintext, space).map_err(required_for_plaintext)
                    });
                    if !is_sealed {
                        self.fail();
                    }
                    return;
                }
                // The session's keys are used up.
                _ => {
                    self.fail();
                    return;
                }
            }
        }
    }
}

/// The bytes that an encoding needs, where that is why it failed.
fn required(error: EncodeError) -> Option<usize> {
    match error {
        EncodeError::InsufficientSize(error) => Some(error.required_size),
        EncodeError::AlreadyEncoded => None,
    }
}

/// The same of an encryption.
fn required_for_plaintext(error: EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(error) => Some(error.required_size),
        EncryptError::EncryptExhausted => None,
    }
}

/// Appends what `write` writes into the space that it says it needs.
fn append(out: &mut Vec<u8>, write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>) {
    append_expected(out, 0, write);
}

/// The same, with a first guess of the space in bytes. Returns whether it was written.
fn append_expected(
    out: &mut Vec<u8>,
    expected: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> bool {
    let start = out.len();
    let mut space = expected;
    let written = loop {
        out.resize(start + space, 0);
        match write(&mut out[start..]) {
            Ok(written) => break Some(written),
            Err(Some(required)) if required > space => space = required,
            Err(_) => break None,
        }
    };
    out.truncate(start + written.unwrap_or(0));
    written.is_some()
}
