//! One core's journal of its groups: a frame for each turn that changed one, written before the turn's replies leave.
//!
//! When the journal has grown to [`GROWTH`] times its initial length, and by [`GROWTH_BYTES`] at least, it is rewritten. The
//! turn only encodes the groups in memory (some 20 ms for a million pending entries, microseconds for most groups). The
//! helper writes and syncs these bytes to another file, and a later turn appends the changes made meanwhile and renames it.
//! Until then the core continues the old journal, so that there is a complete one at any moment.

use super::header::{HEADER_BYTES, Header};
use super::helper::{Helper, JournalFile};
use super::sync_directory;
use keytide_engine::group::{GroupTable, Urgency, place_frames, write_end};
use keytide_engine::log::Fsync;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

/// The factor of its initial length at which a journal is rewritten.
const GROWTH: u64 = 4;

/// The minimum growth before a journal is rewritten, in bytes.
const GROWTH_BYTES: u64 = 1 << 20;

/// The memory of the buffer that is kept after a turn, in bytes.
const BUFFER_KEEP_BYTES: usize = 64 << 10;

/// The journal of one core.
#[derive(Debug)]
pub struct GroupJournal {
    path: PathBuf,
    header: Header,
    file: Arc<JournalFile>,
    /// The length of the journal in bytes.
    bytes: u64,
    /// The length at which it is rewritten.
    bytes_max: u64,
    rewrite: Option<Rewrite>,
    fsync: Fsync,
    helper: Helper,
    buffer: Vec<u8>,
    failure: Option<String>,
}

/// The next journal, while the helper writes its first part.
#[derive(Debug)]
struct Rewrite {
    path: PathBuf,
    begins_with: u64,
    written: Receiver<io::Result<File>>,
    /// The frames of later changes, which are not placed yet.
    since: Vec<u8>,
}

/// The name of a core's journal in the directory of its run.
pub(super) fn file_name(core: u16) -> String {
    format!("core-{core}.journal")
}

/// The first part of a journal: its header and the complete state of the groups.
pub(super) fn content(header: &Header, table: &GroupTable) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the name of the history is longer than 40 bytes");
    let frames = u32::try_from(table.len()).unwrap_or(u32::MAX);
    let header = Header { frames, ..header.clone() };
    let mut content = header.bytes().ok_or_else(too_long)?.to_vec();
    table.write_state(&mut content);
    place_frames(&mut content[HEADER_BYTES..], HEADER_BYTES as u64);
    Ok(content)
}

impl GroupJournal {
    /// A journal that continues a file of `bytes` bytes, which will have the name `path`.
    pub(super) fn new(
        path: PathBuf,
        header: Header,
        file: File,
        bytes: u64,
        fsync: Fsync,
        helper: Helper,
    ) -> GroupJournal {
        GroupJournal {
            path,
            header,
            file: JournalFile::new(file, None),
            bytes,
            bytes_max: bytes_max(bytes),
            rewrite: None,
            fsync,
            helper,
            buffer: Vec::new(),
            failure: None,
        }
    }

    /// The error after which nothing more is written. It is final, because the content of the file after a failed write is
    /// unknown.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref().or_else(|| self.file.failure())
    }

    /// Writes the changes since the last call. To be called in the turn, before its replies leave. False where the write has
    /// failed: then no client may get a reply that reports these changes.
    pub fn write(&mut self, table: &mut GroupTable) -> bool {
        if self.failure().is_some() {
            return false;
        }
        let Some(urgency) = table.write_changes(&mut self.buffer) else { return true };
        if let Err(error) = self.append(urgency) {
            return self.fail(&error);
        }
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEEP_BYTES);
        match self.advance_rewrite(table) {
            Ok(()) => true,
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &io::Error) -> bool {
        tracing::error!(
            "{}: {error}: commands that change consumer groups are refused until the server is restarted",
            self.path.display()
        );
        self.failure = Some(error.to_string());
        false
    }

    fn append(&mut self, urgency: Urgency) -> io::Result<()> {
        if let Some(rewrite) = &mut self.rewrite {
            rewrite.since.extend_from_slice(&self.buffer);
        }
        place_frames(&mut self.buffer, self.bytes);
        self.file.file.write_all_at(&self.buffer, self.bytes)?;
        self.bytes += self.buffer.len() as u64;
        match (self.fsync, urgency) {
            (Fsync::Os, _) => {}
            (Fsync::Always, Urgency::Now) => self.file.sync()?,
            (Fsync::EverySecond, _) | (Fsync::Always, Urgency::Soon) => self.helper.sync_soon(&self.file),
        }
        Ok(())
    }

    /// Begins a rewrite if the journal has grown enough, or completes one that the helper has written.
    ///
    /// # Errors
    /// Where it is uncertain which of the two files is on disk under the journal's name.
    fn advance_rewrite(&mut self, table: &GroupTable) -> io::Result<()> {
        let Some(mut rewrite) = self.rewrite.take() else {
            if self.bytes >= self.bytes_max {
                let content = content(&self.header, table)?;
                let path = self.path.with_extension("journal.new");
                let begins_with = content.len() as u64;
                let written = self.helper.write(path.clone(), content);
                self.rewrite = Some(Rewrite { path, begins_with, written, since: Vec::new() });
            }
            return Ok(());
        };
        match rewrite.written.try_recv() {
            Err(TryRecvError::Empty) => self.rewrite = Some(rewrite),
            Ok(Ok(file)) => match self.prepare(&mut rewrite, &file) {
                Ok(()) => return self.switch_to(&rewrite, file),
                Err(error) => self.abandon(&rewrite, &error),
            },
            Ok(Err(error)) => self.abandon(&rewrite, &error),
            Err(TryRecvError::Disconnected) => self.abandon(&rewrite, &io::Error::other("the helper has ended")),
        }
        Ok(())
    }

    fn prepare(&self, rewrite: &mut Rewrite, file: &File) -> io::Result<()> {
        place_frames(&mut rewrite.since, rewrite.begins_with);
        file.write_all_at(&rewrite.since, rewrite.begins_with)?;
        if self.fsync == Fsync::Always {
            file.sync_data()?;
        }
        fs::rename(&rewrite.path, &self.path)
    }

    fn switch_to(&mut self, rewrite: &Rewrite, file: File) -> io::Result<()> {
        let directory = self.path.parent().map(PathBuf::from);
        // The name is synced before the first change that only the new file has.
        if let (Fsync::Always, Some(directory)) = (self.fsync, &directory) {
            sync_directory(directory)?;
        }
        self.file = JournalFile::new(file, directory.filter(|_| self.fsync == Fsync::EverySecond));
        self.bytes = rewrite.begins_with + rewrite.since.len() as u64;
        self.bytes_max = bytes_max(rewrite.begins_with).max(self.bytes + GROWTH_BYTES);
        if self.fsync == Fsync::EverySecond {
            self.helper.sync_soon(&self.file);
        }
        Ok(())
    }

    /// Abandons a rewrite, and continues the old journal.
    fn abandon(&mut self, rewrite: &Rewrite, error: &io::Error) {
        tracing::warn!("{}: {error}: the journal is not rewritten and keeps growing", rewrite.path.display());
        // The file may not exist.
        let _ = fs::remove_file(&rewrite.path);
        self.bytes_max = self.bytes + self.bytes / 2 + GROWTH_BYTES;
    }

    /// Writes the last changes and the end frame, and syncs the journal: for a server that stops.
    pub fn close(&mut self, table: &mut GroupTable) {
        table.note_cursors();
        if !self.write(table) {
            return;
        }
        write_end(&mut self.buffer);
        let ended = self.append(Urgency::Soon).and_then(|()| self.file.sync());
        self.buffer.clear();
        if let Err(error) = ended {
            self.fail(&error);
        }
    }
}

fn bytes_max(begins_with: u64) -> u64 {
    (begins_with * GROWTH).max(begins_with + GROWTH_BYTES)
}
