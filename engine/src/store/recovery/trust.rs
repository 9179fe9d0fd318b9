//! How far the files of a log are trusted, and what was cut off a log.

/// Which records are guaranteed to be in the files of a log, by how the previous run ended. Ordered: the first variant
/// guarantees the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// All records: the run ended in order.
    All,
    /// All written records: the process ended, the system kept running. The last write may be incomplete.
    Written,
    /// All synced records: the system ended too, or the directory is a copy. Any part of later writes may be missing.
    Synced,
    /// None: the log is being repaired. The log ends before the first invalid record.
    Nothing,
}

/// What was cut off the end of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The number of nonzero bytes outside valid records.
    pub bytes: u64,
    /// The number of valid records: of a command whose last record is missing, or behind a hole of the log.
    pub records: u64,
    /// Whether readers can have seen the records.
    pub visibility: Visibility,
}

/// Whether records that were cut off a log can have been published. Positions of published records must not be reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Visibility {
    /// They cannot have been published.
    #[default]
    None,
    /// They look like a write that the end of the process interrupted. Their positions are skipped, without a gap for
    /// readers.
    Unlikely,
    /// They may have been published. Readers get a gap.
    Possible,
}
