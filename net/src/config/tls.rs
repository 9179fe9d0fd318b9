//! The flags of TLS, and their values.

use super::{ConfigError, values::refused};
use crate::tls::{ClientCertificates, TlsFiles};
use clap::Parser;
use serde::Deserialize;
use std::path::PathBuf;

/// The given flags of TLS.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsFlags {
    /// Port of the Redis protocol over TLS, beside --port unless that is 0; 0 = any free port [default: none]
    #[arg(long, env = "KEYTIDE_TLS_PORT", value_name = "PORT")]
    tls_port: Option<u16>,
    /// PEM file with the server's certificate, followed by those of its authorities
    #[arg(long, env = "KEYTIDE_TLS_CERT", value_name = "FILE", alias = "tls-cert-file")]
    #[serde(alias = "tls-cert-file")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long, env = "KEYTIDE_TLS_KEY", value_name = "FILE", alias = "tls-key-file")]
    #[serde(alias = "tls-key-file")]
    tls_key: Option<PathBuf>,
    /// PEM file with the certificates of the authorities whose clients are trusted
    #[arg(long, env = "KEYTIDE_TLS_CA", value_name = "FILE", alias = "tls-ca-cert-file")]
    #[serde(alias = "tls-ca-cert-file")]
    tls_ca: Option<PathBuf>,
    /// Whether clients show a certificate of --tls-ca: no, optional, yes [default: yes with --tls-ca, else no]
    #[arg(long, env = "KEYTIDE_TLS_AUTH_CLIENTS", value_name = "WHETHER")]
    tls_auth_clients: Option<String>,
    /// Whether the common name of a client's certificate (`cn`) says which user it is [default: off]
    #[arg(long, env = "KEYTIDE_TLS_AUTH_USER", value_name = "WHAT", alias = "tls-auth-clients-user")]
    #[serde(alias = "tls-auth-clients-user")]
    tls_auth_user: Option<String>,
    /// Whether --grpc-port speaks TLS too: yes, no [default: yes with --tls-port]
    #[arg(long, env = "KEYTIDE_GRPC_TLS", value_name = "WHETHER")]
    grpc_tls: Option<String>,
}

/// Where and how TLS is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The port of the Redis protocol; 0 = any free port.
    pub port: u16,
    /// Certificate, key and authorities.
    pub files: TlsFiles,
    /// Whether the port of gRPC speaks it too.
    pub grpc: bool,
}

impl TlsFlags {
    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: TlsFlags) {
        macro_rules! fill {
            ($($field:ident)*) => { $(self.$field = self.$field.take().or(file.$field);)* };
        }
        fill!(tls_port tls_cert tls_key tls_ca tls_auth_clients tls_auth_user grpc_tls);
    }

    /// The settings; none without a port.
    pub(super) fn decide(self) -> Result<Option<Tls>, ConfigError> {
        let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let Some(port) = self.tls_port else {
            let given = [
                ("tls-cert", shown(&self.tls_cert)),
                ("tls-key", shown(&self.tls_key)),
                ("tls-ca", shown(&self.tls_ca)),
                ("tls-auth-clients", self.tls_auth_clients),
                ("tls-auth-user", self.tls_auth_user),
            ];
            return match given.into_iter().find_map(|(flag, value)| Some((flag, value?))) {
                Some((flag, value)) => {
                    Err(refused(flag, &value, "TLS has no port: give --tls-port too, or leave it out"))
                }
                None => Ok(None),
            };
        };
        let needed = |flag: &str| {
            let reason = format!("TLS needs a certificate and its key: give --{flag} too");
            refused("tls-port", &port.to_string(), reason)
        };
        let certificate = self.tls_cert.ok_or_else(|| needed("tls-cert"))?;
        let key = self.tls_key.ok_or_else(|| needed("tls-key"))?;
        let client_certificates = match self.tls_auth_clients.as_deref() {
            None if self.tls_ca.is_some() => ClientCertificates::Yes,
            None => ClientCertificates::No,
            Some(text) => match ClientCertificates::NAMED.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)) {
                Some((name, ClientCertificates::Optional | ClientCertificates::Yes)) if self.tls_ca.is_none() => {
                    let reason = "certificates of clients are checked against authorities: give --tls-ca too";
                    return Err(refused("tls-auth-clients", name, reason));
                }
                Some((_, whether)) => *whether,
                None => return Err(refused("tls-auth-clients", text, "no, optional or yes is expected")),
            },
        };
        let names_users = match self.tls_auth_user.as_deref() {
            None => false,
            Some(text) if text.eq_ignore_ascii_case("off") => false,
            Some(text) if !text.eq_ignore_ascii_case("cn") => {
                return Err(refused("tls-auth-user", text, "off or cn is expected"));
            }
            Some(text) if client_certificates == ClientCertificates::No => {
                let reason =
                    "users are known by the certificates of clients: give --tls-ca too, and no --tls-auth-clients no";
                return Err(refused("tls-auth-user", text, reason));
            }
            Some(_) => true,
        };
        let files = TlsFiles { certificate, key, authorities: self.tls_ca, client_certificates, names_users };
        let grpc = match self.grpc_tls.as_deref() {
            None => true,
            Some(text) if text.eq_ignore_ascii_case("yes") => true,
            Some(text) if text.eq_ignore_ascii_case("no") => false,
            Some(text) => return Err(refused("grpc-tls", text, "yes or no is expected")),
        };
        Ok(Some(Tls { port, files, grpc }))
    }
}
