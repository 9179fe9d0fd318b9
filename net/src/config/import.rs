//! The flags of `keytide import`.

use std::path::PathBuf;

/// What is imported, and how.
#[derive(clap::Args, Debug, Clone, PartialEq, Eq)]
pub struct ImportFlags {
    /// An RDB file, or a server as redis://[user[:password]@]host[:port][/database]; rediss:// over TLS
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// The server that gets the keys
    #[arg(long, value_name = "URL", default_value = "redis://127.0.0.1:6379")]
    pub to: String,
    /// Replace keys that exist there; without it each of them is an error
    #[arg(long)]
    pub replace: bool,
    /// Only this database of the source; else all of them
    #[arg(long, value_name = "N")]
    pub db: Option<u64>,
    /// Only keys that match this pattern
    #[arg(long = "match", value_name = "PATTERN")]
    pub pattern: Option<String>,
    /// Go on copying what changes at the source, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
    /// No progress
    #[arg(long)]
    pub quiet: bool,
    /// File with the password for the source [default: KEYTIDE_IMPORT_FROM_PASSWORD in the environment]
    #[arg(long, value_name = "FILE")]
    pub from_password_file: Option<PathBuf>,
    /// File with the password for the target [default: KEYTIDE_IMPORT_TO_PASSWORD in the environment]
    #[arg(long, value_name = "FILE")]
    pub to_password_file: Option<PathBuf>,
    /// PEM file with the certificates of the authorities that are trusted, for rediss://
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
}
