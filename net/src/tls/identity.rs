//! The server's identity for TLS: the configuration that new connections get. It can be replaced while the connections
//! that there are go on with theirs.

use super::settings::{ClientCertificates, TlsError, TlsFiles};
use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::ProducesTickets;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const DAY_S: i64 = 24 * 3600;

/// From so long before the certificate expires on, the log warns once a day.
const EXPIRY_WARNING_S: i64 = 30 * DAY_S;

/// The identity in use.
pub struct TlsIdentity {
    current: Mutex<Current>,
    /// Held during a change from its look at the files in use to their replacement, so that no change undoes another one.
    changing: Mutex<()>,
    /// When the certificate expires, Unix seconds.
    expires_s: AtomicI64,
    /// When the log warns of that next, Unix seconds.
    warns_s: AtomicI64,
}

struct Current {
    files: TlsFiles,
    /// The keys of session tickets.
    tickets: Arc<dyn ProducesTickets>,
    config: Arc<ServerConfig>,
}

impl TlsIdentity {
    /// The identity of these files.
    ///
    /// # Errors
    /// A file that cannot be read or used.
    pub fn load(files: TlsFiles) -> Result<TlsIdentity, TlsError> {
        let tickets = new_tickets(&files)?;
        let loaded = files.load(tickets.clone())?;
        let identity = TlsIdentity {
            current: Mutex::new(Current { files, tickets, config: loaded.config }),
            changing: Mutex::default(),
            expires_s: AtomicI64::new(loaded.expires_s),
            warns_s: AtomicI64::new(loaded.expires_s - EXPIRY_WARNING_S),
        };
        identity.warn_of_expiry();
        Ok(identity)
    }

    /// The configuration for a connection that begins, and whether its client's certificate says which user it is.
    pub fn config(&self) -> (Arc<ServerConfig>, bool) {
        self.warn_of_expiry();
        let current = self.lock();
        (current.config.clone(), current.files.names_users)
    }

    /// The files in use.
    pub fn files(&self) -> TlsFiles {
        self.lock().files.clone()
    }

    /// Reads the files again, as they are now, for connections that begin from now on.
    ///
    /// # Errors
    /// A file that cannot be read or used: the identity stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.change(|_| {})
    }

    /// Uses other files, or the same as they are now, for connections that begin from now on. Waits for a change that is
    /// under way.
    ///
    /// # Errors
    /// A file that cannot be read or used: the identity stays as it was.
    pub fn change(&self, apply: impl FnOnce(&mut TlsFiles)) -> Result<(), TlsError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = self.files();
        apply(&mut files);
        self.replace(files)
    }

    fn replace(&self, files: TlsFiles) -> Result<(), TlsError> {
        // Who resumes a session shows no certificate anew. So tickets stay valid only where none is asked for.
        let asks = |files: &TlsFiles| files.client_certificates != ClientCertificates::No;
        let valid = {
            let current = self.lock();
            (!asks(&files) && !asks(&current.files)).then(|| current.tickets.clone())
        };
        let tickets = valid.map_or_else(|| new_tickets(&files), Ok)?;
        let loaded = files.load(tickets.clone())?;
        // Relaxed, both: figures that order nothing.
        self.expires_s.store(loaded.expires_s, Ordering::Relaxed);
        self.warns_s.store(loaded.expires_s - EXPIRY_WARNING_S, Ordering::Relaxed);
        *self.lock() = Current { files, tickets, config: loaded.config };
        self.warn_of_expiry();
        Ok(())
    }

    /// When the certificate expires, Unix seconds.
    pub fn expires_s(&self) -> i64 {
        // Relaxed: as above.
        self.expires_s.load(Ordering::Relaxed)
    }

    /// Warns of a certificate that expires soon, once a day.
    fn warn_of_expiry(&self) {
        let now_s = (keytide_engine::clock::unix_millis() / 1000) as i64;
        // Relaxed, both: a second core that warns in the same moment does no harm.
        if now_s < self.warns_s.load(Ordering::Relaxed) {
            return;
        }
        self.warns_s.store(now_s + DAY_S, Ordering::Relaxed);
        let certificate = self.files().certificate;
        let (certificate, left_s) = (certificate.display(), self.expires_s() - now_s);
        if left_s <= 0 {
            tracing::warn!(%certificate, "the TLS certificate has expired: clients refuse it; renew it, then send SIGHUP");
        } else {
            let days = left_s / DAY_S;
            tracing::warn!(%certificate, days, "the TLS certificate expires soon; renew it, then send SIGHUP");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        // All fields are replaced by one assignment, so a panic elsewhere leaves them whole.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_tickets(files: &TlsFiles) -> Result<Arc<dyn ProducesTickets>, TlsError> {
    let unusable =
        |source| TlsError::Identity { certificate: files.certificate.clone(), key: files.key.clone(), source };
    Ticketer::new().map_err(unusable)
}
