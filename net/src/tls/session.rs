//! TLS on one connection, by rustls without buffers of its own: records that were received become plaintext, plaintext
//! becomes records to send, and the records that no protocol has asked for (handshake, alerts, tickets) wait to be sent.

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

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsStage {
    /// The handshake is under way.
    Handshake,
    /// Data is exchanged.
    Open,
    /// The client has ended its side in order. It may still be sent data.
    Ended,
    /// The client has broken the protocol, or was refused. What waits to be sent is an alert.
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
    stage: TlsStage,
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
}

impl TlsSession {
    /// The session of a connection that begins.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn new(config: Arc<ServerConfig>) -> Result<TlsSession, rustls::Error> {
        Ok(TlsSession {
            connection: UnbufferedServerConnection::new(config)?,
            stage: TlsStage::Handshake,
            received: Vec::new(),
            outgoing: Vec::new(),
            sealing: None,
            spare: Vec::new(),
            has_kept: false,
            is_end_queued: false,
        })
    }

    /// How far it is.
    #[inline]
    pub fn stage(&self) -> TlsStage {
        self.stage
    }

    /// The name of the cipher suite and the version, once they are agreed on.
    pub fn parameters(&self) -> Option<(&'static str, &'static str)> {
        let suite = self.connection.negotiated_cipher_suite()?.suite().as_str()?;
        let version = self.connection.protocol_version()?.as_str()?;
        Some((suite, version))
    }

    /// Keeps received bytes for the next [`TlsSession::open`]. Returns whether they are the first since the last one.
    pub fn keep(&mut self, received: &[u8]) -> bool {
        self.received.extend_from_slice(received);
        !std::mem::replace(&mut self.has_kept, true)
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
        if self.received.is_empty() {
            records.extend_from_slice(received);
        } else {
            std::mem::swap(records, &mut self.received);
            records.extend_from_slice(received);
        }
        let opened = self.open_records(records, plaintext);
        self.received.clear();
        self.received.extend_from_slice(&records[opened..]);
        plaintext
    }

    /// Opens records up to the first that is not whole. Returns how many bytes they were.
    fn open_records(&mut self, records: &mut [u8], plaintext: &mut Vec<u8>) -> usize {
        let mut at = 0;
        if self.stage == TlsStage::Failed {
            return records.len();
        }
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
                    self.stage = TlsStage::Ended;
                    false
                }
                // Early data is not accepted, so there is none.
                Ok(_) => true,
                Err(error) => {
                    tracing::debug!(%error, "a TLS session fails");
                    self.stage = TlsStage::Failed;
                    self.take_alert(&mut records[at + discard..]);
                    true
                }
            };
            at += discard;
            if is_last {
                break;
            }
        }
        if self.stage == TlsStage::Handshake && !self.connection.is_handshaking() {
            self.stage = TlsStage::Open;
        }
        at
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
        if self.is_end_queued || !matches!(self.stage, TlsStage::Open | TlsStage::Ended) {
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

    /// Begins to seal plaintext. Nothing may be being sealed.
    pub fn begin(&mut self, plaintext: SendBuffer) {
        debug_assert!(self.sealing.is_none());
        self.sealing = Some((plaintext, 0));
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
                        self.stage = TlsStage::Failed;
                    }
                    return;
                }
                // Nothing can be sent any more: the session has failed, or its keys are used up.
                _ => {
                    self.stage = TlsStage::Failed;
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

/// Appends what `write` writes into the space that it says it needs. Returns whether it was written.
fn append(out: &mut Vec<u8>, write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>) -> bool {
    append_expected(out, 0, write)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{ClientCertificates, TlsFiles, TlsIdentity};
    use proptest::prelude::*;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::io::{Read, Write};

    /// A client and the server's session with it, without sockets between them.
    struct Pair {
        client: ClientConnection,
        server: TlsSession,
        scratch: TlsScratch,
        /// What the server has opened.
        received: Vec<u8>,
    }

    impl Pair {
        fn new(versions: &[&'static rustls::SupportedProtocolVersion]) -> Pair {
            let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key can be made");
            let number = fastrand::u64(..);
            let path = |what: &str| std::env::temp_dir().join(format!("keytide-tls-{number}-{what}.pem"));
            let files = TlsFiles {
                certificate: path("cert"),
                key: path("key"),
                authorities: None,
                client_certificates: ClientCertificates::No,
            };
            std::fs::write(&files.certificate, key.cert.pem()).expect("a file can be written");
            std::fs::write(&files.key, key.signing_key.serialize_pem()).expect("a file can be written");
            let identity = TlsIdentity::load(files.clone()).expect("the files are right");
            [files.certificate, files.key].iter().for_each(|path| std::fs::remove_file(path).expect("it is there"));
            let mut roots = RootCertStore::empty();
            roots.add(key.cert.der().clone()).expect("it is a certificate");
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(versions)
                .expect("the versions are known")
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = ServerName::try_from("localhost").expect("it is a name");
            Pair {
                client: ClientConnection::new(Arc::new(config), name).expect("a client can begin"),
                server: TlsSession::new(identity.config()).expect("a server can begin"),
                scratch: TlsScratch::default(),
                received: Vec::new(),
            }
        }

        /// Carries records both ways, `step` bytes at a time, until nothing is left. Returns what the client has read.
        fn carry(&mut self, step: usize) -> Vec<u8> {
            let mut read = Vec::new();
            loop {
                let mut records = Vec::new();
                while self.client.wants_write() {
                    self.client.write_tls(&mut records).expect("a vector takes it");
                }
                for part in records.chunks(step) {
                    self.received.extend_from_slice(self.server.open(part, &mut self.scratch));
                }
                let sent = self.server.seal();
                if let Some(sent) = &sent {
                    let mut rest: &[u8] = sent;
                    while !rest.is_empty() {
                        self.client.read_tls(&mut rest).expect("a slice can be read");
                        self.client.process_new_packets().expect("the server speaks TLS");
                        let mut plain = Vec::new();
                        // An error says that there is no more for now.
                        let _ = self.client.reader().read_to_end(&mut plain);
                        read.extend(plain);
                    }
                }
                if records.is_empty() && sent.is_none() {
                    return read;
                }
            }
        }
    }

    const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

    #[test]
    fn bytes_pass_both_ways_however_the_records_are_cut() {
        for version in VERSIONS {
            for step in [1, 7, 1000, 1 << 20] {
                let mut pair = Pair::new(&[version]);
                pair.carry(step);
                assert_eq!(pair.server.stage(), TlsStage::Open, "{version:?}, {step}");
                let sent: Vec<u8> = (0..40_000u32).map(|n| n as u8).collect();
                pair.client.writer().write_all(&sent).expect("a client takes it");
                pair.server.begin(sent.clone().into());
                assert_eq!(pair.server.unsent_bytes(), sent.len());
                assert_eq!(pair.carry(step), sent);
                assert_eq!(pair.received, sent);
                assert_eq!(pair.server.unsent_bytes(), 0);
            }
        }
    }

    #[test]
    fn a_long_buffer_is_sealed_in_parts() {
        let mut pair = Pair::new(&VERSIONS);
        pair.carry(1 << 20);
        let sent = vec![b'x'; 3 * TLS_SEAL_BYTES + 1];
        pair.server.begin(sent.clone().into());
        let part = pair.server.seal().expect("there is something to seal");
        assert!(part.len() < TLS_SEAL_BYTES + TLS_SEAL_BYTES / 8);
        assert_eq!(pair.server.unsent_bytes(), sent.len() - TLS_SEAL_BYTES);
    }

    #[test]
    fn an_end_is_told_and_known() {
        for version in VERSIONS {
            let mut pair = Pair::new(&[version]);
            pair.carry(1 << 20);
            pair.client.send_close_notify();
            pair.carry(1 << 20);
            assert_eq!(pair.server.stage(), TlsStage::Ended);
            // A client that has ended its side is still sent what it asked for.
            pair.server.begin(b"reply".to_vec().into());
            assert_eq!(pair.carry(1 << 20), b"reply");
            assert!(pair.server.end() && !pair.server.end());
            pair.carry(1 << 20);
            assert!(pair.client.reader().read(&mut [0]).is_ok_and(|read| read == 0));
        }
    }

    #[test]
    fn what_is_no_tls_is_answered_with_an_alert() {
        let mut scratch = TlsScratch::default();
        for bytes in [&b"*1\r\n$4\r\nPING\r\n"[..], &[22, 3, 1, 0xff, 0xff, 1], &[0; 100], b"GET / HTTP/1.1\r\n\r\n"] {
            let mut pair = Pair::new(&VERSIONS);
            assert_eq!(pair.server.open(bytes, &mut scratch), b"");
            assert_eq!(pair.server.stage(), TlsStage::Failed);
            let alert = pair.server.seal().expect("an alert is sent");
            assert_eq!(alert[0], 21, "the type of a record with an alert");
            assert!(!pair.server.end());
        }
    }

    #[test]
    fn a_record_that_was_changed_ends_the_session() {
        for version in VERSIONS {
            let mut pair = Pair::new(&[version]);
            pair.carry(1 << 20);
            pair.client.writer().write_all(b"SET k v").expect("a client takes it");
            let mut records = Vec::new();
            pair.client.write_tls(&mut records).expect("a vector takes it");
            *records.last_mut().expect("there is a record") ^= 1;
            assert_eq!(pair.server.open(&records, &mut pair.scratch), b"");
            assert_eq!(pair.server.stage(), TlsStage::Failed);
        }
    }

    proptest! {
        /// Records that are flipped, cut, repeated or made up, at any time of a session: no panic, and what is opened is
        /// a part of what was sent.
        #[test]
        fn whatever_is_received_no_session_panics(
            is_new in any::<bool>(),
            steps in proptest::collection::vec((0u8..6, any::<u16>(), proptest::collection::vec(any::<u8>(), 0..40)), 1..30),
        ) {
            let mut pair = Pair::new(&[VERSIONS[usize::from(is_new)]]);
            let mut records = Vec::new();
            for (what, place, bytes) in steps {
                while pair.client.wants_write() {
                    pair.client.write_tls(&mut records).expect("a vector takes it");
                }
                let place = usize::from(place) % (records.len() + 1);
                match what {
                    0 => drop(pair.client.writer().write_all(&bytes)),
                    1 => records.truncate(place),
                    2 => records[place..].iter_mut().zip(&bytes).for_each(|(record, byte)| *record ^= byte),
                    3 => records.extend_from_slice(&[&[22 + (place % 2) as u8, 3, 3, 0, bytes.len() as u8], &bytes[..]].concat()),
                    4 => {
                        let part: Vec<u8> = records.drain(..place).collect();
                        pair.received.extend_from_slice(pair.server.open(&part, &mut pair.scratch));
                    }
                    _ => {
                        pair.received.extend_from_slice(pair.server.open(&std::mem::take(&mut records), &mut pair.scratch));
                    }
                }
                if matches!(pair.server.stage(), TlsStage::Open | TlsStage::Ended) && pair.server.unsent_bytes() == 0 {
                    pair.server.begin(bytes.into());
                }
                while let Some(sent) = pair.server.seal() {
                    let mut rest: &[u8] = &sent;
                    while !rest.is_empty() && pair.client.read_tls(&mut rest).is_ok_and(|read| read > 0) {
                        // The server's alert is an error here.
                        let _ = pair.client.process_new_packets();
                    }
                }
            }
            pair.server.end();
            pair.server.seal();
        }
    }
}
