//! How far the files of a log are trusted, and what was cut off it.

/// What of a log is surely in its files, by how the run before ended; the first is the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Everything: the run ended in order.
    All,
    /// Everything that was written: the process ended, and the system went on. The last write may be there in part.
    Written,
    /// What was synced: the system ended too, or this is a copy. What came later may be there in any part.
    Synced,
    /// Nothing: it is to be repaired. What is damaged is cut off, with everything behind it.
    Nothing,
}

/// What was cut off the end of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Bytes that were no whole record.
    pub bytes: u64,
    /// Whole records: of a command whose last one is missing, or behind what is missing.
    pub records: u64,
    /// Whether anybody can have seen it.
    pub seen: Seen,
}

/// Whether what was cut off a log can have been published. If so its positions must not come again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// It cannot.
    #[default]
    Never,
    /// It looks like a write that was under way when the process was killed. Its positions are passed over, without a
    /// word to readers.
    Hardly,
    /// It can. Readers are told of a gap.
    Maybe,
}
