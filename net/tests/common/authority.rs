//! An authority of a test, with the certificates that it signs, servers that show them, and clients over TLS.

// Each test that includes this uses a part of it.
#![allow(dead_code)]

use super::common::{BINARY, PATIENCE, Server, shards};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// An authority, with a directory for what it signs.
pub struct Authority {
    pub directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// An authority of its own, for a test of this name.
    pub fn new(name: &str) -> Authority {
        let directory = std::env::temp_dir().join(format!("keytide-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
        let mut params = CertificateParams::new([]).expect("no names are right");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("it signs itself");
        let authority = Authority { directory, issuer: Issuer::new(params, key) };
        authority.write("ca.crt", &certificate.pem());
        authority
    }

    /// The path of one of its files.
    pub fn path(&self, file: &str) -> String {
        self.directory.join(file).to_str().expect("its name is text").to_owned()
    }

    /// Writes one of its files.
    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).expect("the test's directory can be written");
    }

    /// Signs a certificate for `name`, and writes it and its key.
    pub fn sign(&self, name: &str) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("it is a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority signs");
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// A server with TLS, and its address there. The certificate is that of `server`.
    pub fn serve(&self, flags: &[&str]) -> (Server, SocketAddr) {
        let (certificate, key) = (self.path("server.crt"), self.path("server.key"));
        let server = Server::spawn_with_port(|| {
            let mut command = Command::new(BINARY);
            command.args(["--shards", &shards(), "--tls-port", "0", "--tls-cert", &certificate, "--tls-key", &key]);
            command.args(flags).stdin(Stdio::null()).stdout(Stdio::piped());
            command
        });
        let address = server.tls.expect("it serves TLS");
        (server, address)
    }

    /// A client that trusts this authority, and shows the certificate of `name` where there is one.
    pub fn client(&self, address: SocketAddr, name: Option<&str>) -> Tls {
        connect(address, &self.config(name))
    }

    /// The configuration of such clients, with the sessions that they may resume.
    pub fn config(&self, name: Option<&str>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let read = |file: &str| CertificateDer::from_pem_file(self.path(file)).expect("it was written");
        roots.add(read("ca.crt")).expect("it is a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the versions are known")
            .with_root_certificates(roots);
        Arc::new(match name {
            None => config.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).expect("it was written");
                config.with_client_auth_cert(vec![read(&format!("{name}.crt"))], key).expect("they belong together")
            }
        })
    }
}

/// A client with this configuration, which has not shaken hands yet.
pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Tls {
    let host = ServerName::try_from("localhost").expect("it is a name");
    let socket = TcpStream::connect(address).expect("the server listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    Tls(StreamOwned::new(ClientConnection::new(config.clone(), host).expect("a client can begin"), socket))
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A client over TLS.
pub struct Tls(pub StreamOwned<ClientConnection, TcpStream>);

impl Tls {
    /// Sends these bytes, and expects those.
    pub fn ask(&mut self, bytes: &[u8], wanted: &[u8]) {
        self.0.write_all(bytes).expect("the server takes them");
        self.expect(wanted);
    }

    /// Reads, and expects these bytes.
    pub fn expect(&mut self, wanted: &[u8]) {
        let mut got = vec![0; wanted.len()];
        self.0.read_exact(&mut got).expect("the server answers");
        assert!(got == wanted, "{} instead of {}", got.escape_ascii(), wanted.escape_ascii());
    }

    /// The certificate that the server has shown.
    pub fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().expect("the handshake is over")[0].to_vec()
    }
}

/// Whether the server serves a client.
pub fn works(mut client: Tls) -> bool {
    let mut reply = [0; 7];
    client.0.write_all(b"PING\r\n").is_ok() && client.0.read_exact(&mut reply).is_ok() && reply == *b"+PONG\r\n"
}
