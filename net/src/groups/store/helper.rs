//! The thread that does for all cores what takes longer than a turn may: it syncs what they have written, at most once a
//! second, and writes journals anew.

use super::sync_directory;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long after the first write that is not synced they all are.
const SYNC_AFTER: Duration = Duration::from_secs(1);

/// A journal that one core writes and the thread syncs.
#[derive(Debug)]
pub(super) struct JournalFile {
    pub(super) file: File,
    /// Its directory, where its name there is not synced yet.
    directory: Option<PathBuf>,
    /// Whether the thread knows that there is something to sync.
    is_dirty: AtomicBool,
    /// Why it could not be synced.
    failure: OnceLock<String>,
}

impl JournalFile {
    pub(super) fn new(file: File, directory: Option<PathBuf>) -> Arc<JournalFile> {
        Arc::new(JournalFile { file, directory, is_dirty: AtomicBool::new(false), failure: OnceLock::new() })
    }

    /// Syncs it now.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        self.directory.as_deref().map_or(Ok(()), sync_directory)
    }

    /// Why the thread could not sync it.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }
}

enum Job {
    Sync(Arc<JournalFile>),
    Write { path: PathBuf, content: Vec<u8>, done: Sender<io::Result<File>> },
}

/// A core's way to the thread, which ends with the last of them.
#[derive(Clone, Debug)]
pub(super) struct Helper(Sender<Job>);

impl Helper {
    /// Starts the thread. Not from a core: it would be bound to the same processor.
    pub(super) fn start() -> io::Result<Helper> {
        let (sender, jobs) = channel();
        std::thread::Builder::new().name("keytide-groups".to_owned()).spawn(move || work(&jobs))?;
        Ok(Helper(sender))
    }

    /// Lets a journal be synced within a second. To be called after what was written.
    pub(super) fn sync_soon(&self, file: &Arc<JournalFile>) {
        // Acquire and release, paired with the swap in `sync_all`: either the thread has not looked yet, and then sees
        // this write as done before it syncs, or it is asked once more.
        if !file.is_dirty.swap(true, Ordering::AcqRel) {
            // It ends only after this sender is dropped.
            let _ = self.0.send(Job::Sync(file.clone()));
        }
    }

    /// Lets a file be written and synced. The answer comes when it is.
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
                // A core that has gone does not want it any more.
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
        // Paired with the swap in `sync_soon`: what is written after this is told anew.
        file.is_dirty.swap(false, Ordering::AcqRel);
        if let Err(error) = file.sync() {
            // A second sync would not tell of what the first could not write.
            let _ = file.failure.set(error.to_string());
        }
    }
}

/// Writes a new file, synced; its name is not.
pub(super) fn write_file(path: &Path, content: &[u8]) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all_at(content, 0)?;
    file.sync_all()?;
    Ok(file)
}
