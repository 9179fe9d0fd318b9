//! TLS: what is between the sockets' bytes and a protocol's where a port asks for it. Knows no protocol and no socket.
//!
//! | module | what is in it |
//! |---|---|
//! | [`settings`] | certificate, key and trusted authorities: from files to a configuration of rustls |
//! | [`identity`] | the configuration in use, replaced while connections go on; when its certificate expires |
//! | [`session`] | one connection: records in, plaintext out, and the other way round |

pub mod identity;
pub mod session;
pub mod settings;
#[cfg(test)]
mod tests;

pub use identity::TlsIdentity;
pub use session::{Stage, TlsScratch, TlsSession};
pub use settings::{ClientCertificates, TlsError, TlsFiles};
