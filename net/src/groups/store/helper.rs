//! The thread that does slow work for the journals of all cores: it syncs them, at most once a second, and writes the first
//! part of a rewritten journal.

use super::sync_directory;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The time after the first unsynced write at which all journals are synced.
const SYNC_AFTER: Duration = Duration::from_secs(1);

/// A journal that one core writes and the thread syncs.
#[derive(Debug)]
pub(super) struct JournalFile {
    pub(super) file: File,
    /// Its directory, if its name there is not synced yet.
    directory: Option<PathBuf>,
    /// Whether the thread was asked to sync the file and has not begun to.
    is_dirty: AtomicBool,
    /// The error of a failed sync.
    failure: OnceLock<String>,
}

impl JournalFile {
    pub(super) fn new(file: File, directory: Option<PathBuf>) -> Arc<JournalFile> {
        Arc::new(JournalFile { file, directory, is_dirty: AtomicBool::new(false), failure: OnceLock::new() })
    }

    /// Syncs the file, and its name if needed.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        self.directory.as_deref().map_or(Ok(()), sync_directory)
    }

    /// The error of a failed sync by the thread.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }
}

enum Job {
    Sync(Arc<JournalFile>),
    Write { path: PathBuf, content: Vec<u8>, done: Sender<io::Result<File>> },
}

/// A core's handle to the thread, which ends with the last handle.
#[derive(Clone, Debug)]
pub(super) struct Helper(Sender<Job>);

impl Helper {
    /// Starts the thread. Must not be called on a core's thread, to whose processor the new thread would be pinned.
    pub(super) fn start() -> io::Result<Helper> {
        let (sender, jobs) = channel();
        std::thread::Builder::new().name("keytide-groups".to_owned()).spawn(move || work(&jobs))?;
        Ok(Helper(sender))
    }

    /// Requests a sync of a journal within a second. To be called after the write.
    pub(super) fn sync_soon(&self, file: &Arc<JournalFile>) {
        // Acquire and release, paired with the swap in `sync_all`: either the thread has not cleared the flag yet, and its
        // sync includes this write, or this swap finds the flag cleared and sends another request.
        if !file.is_dirty.swap(true, Ordering::AcqRel) {
            // The thread ends only after this sender is dropped.
            let _ = self.0.send(Job::Sync(file.clone()));
        }
    }

    /// Requests that a file be written and synced. The receiver gets the result.
    pub(super) fn write(&self, path: PathBuf, content: Vec<u8>) -> Receiver<io::Result<File>> {
        let (done, answer) = channel();
        // As above.
        let _ = self.0.send(Job::Write { path, content, done });
        answer
    }
}

fn work(jobs: &Receiver<Job>) {
    let mut dirty = Vec::new();
    let mut sync_at: Option<Instant> = None;
    loop {
        let job = match sync_at {
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => jobs.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match job {
            Ok(Job::Sync(file)) => {
                dirty.push(file);
                sync_at.get_or_insert_with(|| Instant::now() + SYNC_AFTER);
            }
            Ok(Job::Write { path, content, done }) => {
                // A core that has stopped has dropped its receiver.
                let _ = done.send(write_file(&path, &content));
            }
            Err(RecvTimeoutError::Timeout) => {
                sync_all(&mut dirty);
                sync_at = None;
            }
            Err(RecvTimeoutError::Disconnected) => return sync_all(&mut dirty),
        }
    }
}

fn sync_all(dirty: &mut Vec<Arc<JournalFile>>) {
    for file in dirty.drain(..) {
        // Paired with the swap in `sync_soon`: a write after this requests another sync.
        file.is_dirty.swap(false, Ordering::AcqRel);
        if let Err(error) = file.sync() {
            // The error is kept, because a later sync would not report these pages again.
            let _ = file.failure.set(error.to_string());
        }
    }
}

/// Writes a new file and syncs it, but not its name in the directory.
pub(super) fn write_file(path: &Path, content: &[u8]) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all_at(content, 0)?;
    file.sync_all()?;
    Ok(file)
}
