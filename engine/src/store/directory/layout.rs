//! The names of files and directories in a directory.

/// The file that is locked, with the process id of the server.
pub(super) const LOCK: &str = "lock";

/// The prefix of the name of a generation's directory; the number follows.
pub(super) const GENERATION: &str = "generation-";

/// The metadata.
pub(super) const META: &str = "meta.toml";

/// A copy of the metadata, written before it; for a repair.
pub(super) const META_COPY: &str = "meta-copy.toml";
