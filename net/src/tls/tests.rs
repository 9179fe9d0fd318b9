//! Sessions beside rustls's own client, without sockets between them.

use super::{ClientCertificates, Stage, TlsFiles, TlsIdentity, TlsScratch, TlsSession};
use crate::limits::TLS_SEAL_BYTES;
use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read, Write};
use std::sync::Arc;

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
            names_users: false,
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
            server: TlsSession::new(identity.config().0).expect("a server can begin"),
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
            assert_eq!(pair.server.stage(), Stage::Open, "{version:?}, {step}");
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
        assert_eq!(pair.server.stage(), Stage::Ended);
        assert_eq!(pair.server.open(&[23; 100_000], &mut pair.scratch), b"");
        assert_eq!(pair.server.kept_bytes(), 0, "what comes behind an end is dropped");
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
        assert_eq!(pair.server.stage(), Stage::Failed);
        let alert = pair.server.seal().expect("an alert is sent");
        assert_eq!(alert[0], 21, "the type of a record with an alert");
        assert!(!pair.server.end());
        // Nothing follows the alert, and nothing is kept.
        pair.server.begin(b"reply".to_vec().into());
        assert!(pair.server.seal().is_none());
        assert_eq!(pair.server.open(bytes, &mut scratch), b"");
        assert_eq!((pair.server.kept_bytes(), pair.server.unsent_bytes()), (0, 0));
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
        // A long reply is on its way, of which a part is sealed.
        pair.server.begin(vec![b'x'; 2 * TLS_SEAL_BYTES].into());
        assert!(pair.server.seal().is_some());
        assert_eq!(pair.server.open(&records, &mut pair.scratch), b"");
        assert_eq!(pair.server.stage(), Stage::Failed);
        assert!(pair.server.seal().is_some_and(|alert| alert.len() < 100), "only an alert follows");
        assert!(pair.server.seal().is_none());
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
            if matches!(pair.server.stage(), Stage::Open | Stage::Ended) && pair.server.unsent_bytes() == 0 {
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
