//! The settings of TLS, and a configuration of rustls made of their files.

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Whether clients show certificates, as in Redis's `tls-auth-clients`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked to.
    No,
    /// They may. A certificate that is shown has to be valid.
    Optional,
    /// They must.
    Yes,
}

impl ClientCertificates {
    /// All of them, with the words of the flag.
    pub const NAMED: [(&str, ClientCertificates); 3] =
        [("no", ClientCertificates::No), ("optional", ClientCertificates::Optional), ("yes", ClientCertificates::Yes)];

    /// The word of the flag.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, each)| *each == self).map_or("", |(name, _)| name)
    }
}

/// The files that TLS is configured with. All are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and behind it those of its authorities up to one that clients trust.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The certificates of the authorities whose clients are trusted.
    pub authorities: Option<PathBuf>,
    /// Whether clients show certificates.
    pub client_certificates: ClientCertificates,
    /// Whether the common name of a client's certificate says which user it is, if there is such a user and it is on.
    pub names_users: bool,
}

/// A setting of TLS, for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsSetting {
    /// The server's certificate.
    Certificate,
    /// Its key.
    Key,
    /// The authorities of clients.
    Authorities,
    /// Whether clients show certificates.
    ClientCertificates,
    /// Whether these say which user a client is.
    User,
}

impl TlsSetting {
    /// Its name, that of Redis and of `CONFIG SET`.
    pub fn name(self) -> &'static str {
        match self {
            TlsSetting::Certificate => "tls-cert-file",
            TlsSetting::Key => "tls-key-file",
            TlsSetting::Authorities => "tls-ca-cert-file",
            TlsSetting::ClientCertificates => "tls-auth-clients",
            TlsSetting::User => "tls-auth-clients-user",
        }
    }
}

/// Why TLS cannot be configured.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("{path}: {source}")]
    Pem {
        /// The setting that names it.
        setting: TlsSetting,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// A file has no certificate.
    #[error("{path}: no certificate found; a PEM file is expected")]
    NoCertificate {
        /// The setting that names it.
        setting: TlsSetting,
        /// The file.
        path: PathBuf,
    },
    /// Certificates of clients are asked for, and there is nothing to check them against.
    #[error("certificates of clients are checked against authorities: name their file too")]
    NoAuthorities,
    /// Certificates of clients say which user a client is, and are not asked for.
    #[error("users are known by the certificates of clients: ask for these too (optional or yes)")]
    NoClientCertificates,
    /// A certificate of a file cannot be used.
    #[error("{path}: {reason}")]
    Certificate {
        /// The setting that names it.
        setting: TlsSetting,
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// Certificate and key do not belong together, or are of a kind that rustls does not know.
    #[error("{certificate} with {key}: {source}")]
    Identity {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The cause.
        source: rustls::Error,
    },
}

impl TlsError {
    /// The setting that is wrong.
    pub fn setting(&self) -> TlsSetting {
        match self {
            TlsError::Pem { setting, .. }
            | TlsError::NoCertificate { setting, .. }
            | TlsError::Certificate { setting, .. } => *setting,
            TlsError::NoAuthorities => TlsSetting::Authorities,
            TlsError::NoClientCertificates => TlsSetting::User,
            TlsError::Identity { .. } => TlsSetting::Certificate,
        }
    }
}

/// A configuration of rustls, and when its certificate expires.
pub struct Loaded {
    /// The configuration of new connections.
    pub config: Arc<ServerConfig>,
    /// The end of the certificate's validity, Unix seconds.
    pub expires_s: i64,
}

impl TlsFiles {
    /// Reads the files. `tickets` encrypts what clients resume sessions with, so that sessions outlive a reload.
    ///
    /// # Errors
    /// A file that cannot be read or used.
    pub fn load(&self, tickets: Arc<dyn ProducesTickets>) -> Result<Loaded, TlsError> {
        if self.names_users && self.client_certificates == ClientCertificates::No {
            return Err(TlsError::NoClientCertificates);
        }
        let chain = certificates(TlsSetting::Certificate, &self.certificate)?;
        let expires_s = expiry(&self.certificate, &chain[0])?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|source| TlsError::Pem {
            setting: TlsSetting::Key,
            path: self.key.clone(),
            source,
        })?;
        let refused = |source| {
            let (certificate, key) = (self.certificate.clone(), self.key.clone());
            TlsError::Identity { certificate, key, source }
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(refused)?;
        let builder = match (&self.authorities, self.client_certificates) {
            (Some(path), ClientCertificates::Optional | ClientCertificates::Yes) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider);
                let verifier = match self.client_certificates {
                    ClientCertificates::Optional => verifier.allow_unauthenticated(),
                    ClientCertificates::Yes | ClientCertificates::No => verifier,
                };
                let unusable = |error: rustls::server::VerifierBuilderError| TlsError::Certificate {
                    setting: TlsSetting::Authorities,
                    path: path.clone(),
                    reason: error.to_string(),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(unusable)?)
            }
            (None, ClientCertificates::Optional | ClientCertificates::Yes) => return Err(TlsError::NoAuthorities),
            (_, ClientCertificates::No) => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(refused)?;
        config.ticketer = tickets;
        // Clients of gRPC insist on it; those of Redis do not ask.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A reply often fits into one record, and a client waits for all of it either way.
        config.send_half_rtt_data = false;
        Ok(Loaded { config: Arc::new(config), expires_s })
    }
}

/// The certificates of a file, at least one.
fn certificates(setting: TlsSetting, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::Pem { setting, path: path.to_owned(), source };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect();
    match found.map_err(unreadable)? {
        none if none.is_empty() => Err(TlsError::NoCertificate { setting, path: path.to_owned() }),
        some => Ok(some),
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let setting = TlsSetting::Authorities;
    for certificate in certificates(setting, path)? {
        let unusable =
            |error: rustls::Error| TlsError::Certificate { setting, path: path.to_owned(), reason: error.to_string() };
        roots.add(certificate).map_err(unusable)?;
    }
    Ok(roots)
}

/// When a certificate expires, Unix seconds.
fn expiry(path: &Path, certificate: &CertificateDer<'_>) -> Result<i64, TlsError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| TlsError::Certificate {
        setting: TlsSetting::Certificate,
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(parsed.validity().not_after.timestamp())
}

/// The common name of a certificate's subject; none where it has several, since another reader may take another one.
pub(super) fn common_name(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut names = parsed.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?.as_bytes().to_vec();
    names.next().is_none().then_some(name)
}
