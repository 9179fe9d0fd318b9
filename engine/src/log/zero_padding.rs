//! Zeros behind the records: the pages of a segment are taken several at a time, whatever a turn writes.
//!
//! A file system takes memory for what is written, page by page where little is written at a time, and accounts for
//! each. A write that passes a boundary of [`AHEAD_BYTES`] goes on with zeros up to the next one, so that the system
//! takes the pages between them as one (Linux does so on ext4 since 6.16, on XFS since 6.6). What is written next meets
//! pages that are there. In the file nothing is different: behind the records it has zeros anyway.

/// As much as is written ahead, in bytes. Linux keeps free pages of this size (2³ pages) at hand for each CPU, and has
/// them for everyone: larger ones are searched for, and may have to be made.
const AHEAD_BYTES: usize = 32 << 10;

static ZEROS: [u8; AHEAD_BYTES] = [0; AHEAD_BYTES];

/// How far a segment's file has been written.
#[derive(Debug)]
pub struct ZeroPadding {
    /// The byte of the file up to which pages have been taken: a boundary, or the file's end.
    taken: u64,
    /// The file's length in bytes.
    file_bytes: u64,
}

impl ZeroPadding {
    /// Of a file of `file_bytes` that goes on at byte `at`.
    pub fn new(at: u64, file_bytes: u64) -> ZeroPadding {
        ZeroPadding { taken: boundary(at, file_bytes), file_bytes }
    }

    /// What to write behind a write that ends at byte `end` of the file.
    #[inline]
    pub fn behind(&mut self, end: u64) -> &'static [u8] {
        if end <= self.taken {
            return &[];
        }
        self.taken = boundary(end, self.file_bytes);
        &ZEROS[..(self.taken - end) as usize]
    }
}

/// The first boundary that is not before byte `at`.
fn boundary(at: u64, file_bytes: u64) -> u64 {
    at.next_multiple_of(AHEAD_BYTES as u64).min(file_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AHEAD: u64 = AHEAD_BYTES as u64;

    #[test]
    fn a_write_that_passes_a_boundary_goes_on_to_the_next() {
        let mut ahead = ZeroPadding::new(4096, 1 << 20);
        assert_eq!(ahead.behind(AHEAD - 1).len(), 0, "the pages of the file's first bytes are taken as they come");
        assert_eq!(ahead.behind(AHEAD).len(), 0);
        assert_eq!(ahead.behind(AHEAD + 1).len(), AHEAD_BYTES - 1);
        assert_eq!(ahead.behind(2 * AHEAD).len(), 0, "they are there");
        assert_eq!(ahead.behind(5 * AHEAD).len(), 0);
        assert_eq!(ahead.behind(5 * AHEAD + 100).len(), AHEAD_BYTES - 100);
    }

    #[test]
    fn nothing_is_written_behind_the_files_end() {
        let mut ahead = ZeroPadding::new(0, AHEAD + 10_000);
        assert_eq!(ahead.behind(AHEAD + 1_000).len(), 9_000);
        assert_eq!(ahead.behind(AHEAD + 10_000).len(), 0);
        assert_eq!(ZeroPadding::new(AHEAD + 500, AHEAD + 10_000).behind(AHEAD + 9_999).len(), 0);
    }
}
