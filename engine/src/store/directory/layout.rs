//! The names of what stands in a directory.

/// What says which process has the directory.
pub(super) const LOCK: &str = "lock";

/// What the name of a generation's directory begins with; its number follows.
pub(super) const GENERATION: &str = "generation-";

/// What a directory says of itself.
pub(super) const META: &str = "meta.toml";

/// The same once more, written before it: for a repair.
pub(super) const META_COPY: &str = "meta-copy.toml";
