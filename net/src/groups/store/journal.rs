//! One core's journal of its groups: a frame for each turn that changed one, written before the turn's replies leave.
//!
//! When the journal has grown to four times what it began with, and a mebibyte more, the groups are written anew: the
//! turn only puts their state into memory (some 20 ms for a million pending entries, microseconds for most), the helper
//! writes and syncs it beside the journal, and a later turn appends what has changed meanwhile and renames it. Until then
//! the journal goes on, so that there is a whole one at any moment.

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

/// A journal is written anew when it has so many times the bytes that it began with.
const GROWTH: u64 = 4;

/// And is so many bytes longer.
const GROWTH_BYTES: u64 = 1 << 20;

/// More memory than this is given back after a turn.
const BUFFER_KEEP_BYTES: usize = 64 << 10;

/// The journal of one core.
#[derive(Debug)]
pub struct GroupJournal {
    path: PathBuf,
    header: Header,
    file: Arc<JournalFile>,
    /// How many bytes are written.
    bytes: u64,
    /// From how many on it is written anew.
    bytes_max: u64,
    anew: Option<Anew>,
    fsync: Fsync,
    helper: Helper,
    buffer: Vec<u8>,
    failure: Option<String>,
}

/// The next journal, while the helper writes what it begins with.
#[derive(Debug)]
struct Anew {
    path: PathBuf,
    begins_with: u64,
    written: Receiver<io::Result<File>>,
    /// The frames that the state has not, which are not placed yet.
    since: Vec<u8>,
}

/// The name of a core's journal in the directory of its run.
pub(super) fn file_name(core: u16) -> String {
    format!("core-{core}.journal")
}

/// What a journal begins with.
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
    /// A journal that goes on in a file of `bytes`, which will be found at `path`.
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
            anew: None,
            fsync,
            helper,
            buffer: Vec::new(),
            failure: None,
        }
    }

    /// Why nothing can be written any more. It stays so: what the file has of the failed write is not known.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref().or_else(|| self.file.failure())
    }

    /// Writes what has changed since this was called last. To be called in the turn, before its replies leave: false
    /// where the changes are not written, and no client may be told of them.
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
        match self.grow_anew(table) {
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
        if let Some(anew) = &mut self.anew {
            anew.since.extend_from_slice(&self.buffer);
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

    /// Begins a new journal, or goes on in one that was begun. Errors where that leaves it open what is on disk.
    fn grow_anew(&mut self, table: &GroupTable) -> io::Result<()> {
        let Some(mut anew) = self.anew.take() else {
            if self.bytes >= self.bytes_max {
                let content = content(&self.header, table)?;
                let path = self.path.with_extension("journal.new");
                let begins_with = content.len() as u64;
                let written = self.helper.write(path.clone(), content);
                self.anew = Some(Anew { path, begins_with, written, since: Vec::new() });
            }
            return Ok(());
        };
        match anew.written.try_recv() {
            Err(TryRecvError::Empty) => self.anew = Some(anew),
            Ok(Ok(file)) => match self.prepare(&mut anew, &file) {
                Ok(()) => return self.go_on_in(&anew, file),
                Err(error) => self.give_up(&anew, &error),
            },
            Ok(Err(error)) => self.give_up(&anew, &error),
            Err(TryRecvError::Disconnected) => self.give_up(&anew, &io::Error::other("the helper has ended")),
        }
        Ok(())
    }

    fn prepare(&self, anew: &mut Anew, file: &File) -> io::Result<()> {
        place_frames(&mut anew.since, anew.begins_with);
        file.write_all_at(&anew.since, anew.begins_with)?;
        if self.fsync == Fsync::Always {
            file.sync_data()?;
        }
        fs::rename(&anew.path, &self.path)
    }

    fn go_on_in(&mut self, anew: &Anew, file: File) -> io::Result<()> {
        let directory = self.path.parent().map(PathBuf::from);
        // Its name is made to last before the first change that only it has is.
        if let (Fsync::Always, Some(directory)) = (self.fsync, &directory) {
            sync_directory(directory)?;
        }
        self.file = JournalFile::new(file, directory.filter(|_| self.fsync == Fsync::EverySecond));
        self.bytes = anew.begins_with + anew.since.len() as u64;
        self.bytes_max = bytes_max(anew.begins_with).max(self.bytes + GROWTH_BYTES);
        if self.fsync == Fsync::EverySecond {
            self.helper.sync_soon(&self.file);
        }
        Ok(())
    }

    /// Goes on in the journal that there is.
    fn give_up(&mut self, anew: &Anew, error: &io::Error) {
        tracing::warn!("{}: {error}: the journal goes on growing", anew.path.display());
        // It may not be there at all.
        let _ = fs::remove_file(&anew.path);
        self.bytes_max = self.bytes + self.bytes / 2 + GROWTH_BYTES;
    }

    /// Writes what there is to write, and that this is the end, and syncs it: for a server that stops.
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
