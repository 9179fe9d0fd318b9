//! How files are written, behind a trait, so that a test can simulate a power loss.
//!
//! Every operation but a write to an open file is durable when it returns: content, length, and the name in its directory.
//! A write to an open file is durable once a [`LogFile::sync`] that began after it has returned.
//!
//! A file gets its name only when it is complete. Until then its name has the suffix [`UNFINISHED`]; a process that ends
//! meanwhile leaves such a file behind, and the next attempt overwrites it.

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, pwritev};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many bytes of the disk a new file leaves free, for the small files that are written even when the disk is full:
/// marks, `meta.toml`, journals of consumer groups.
const RESERVED_BYTES: u64 = 1 << 20;

/// The suffix of the name of a file that is not complete yet.
pub const UNFINISHED: &str = ".new";

/// How many zeros one write has, in bytes.
const ZEROS_BYTES: usize = 1 << 20;

/// The most parts of one system call; there are rarely more than three.
const PARTS_MAX: usize = 8;

/// How the space of a new file is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepare {
    /// The space is allocated and reads as zeros. Fast; but the first sync after a write into it also writes metadata of the
    /// file. Where the file system cannot allocate, zeros are written.
    Allocate,
    /// Zeros are written, so that a later sync writes nothing but data.
    Zero,
}

/// The operations that change files.
pub trait Storage: Send + Sync + 'static {
    /// Creates a file of `bytes` zeros and opens it for writing.
    ///
    /// # Errors
    /// `AlreadyExists`, `StorageFull`, or any other error of the file system; no file is left then.
    fn create(&self, path: &Path, bytes: u64, prepare: Prepare) -> io::Result<Box<dyn LogFile>>;

    /// Opens an existing file for writing.
    ///
    /// # Errors
    /// `NotFound`, or any other error of the file system.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;

    /// Creates a small file or replaces its content: completely or, on an error, not at all.
    ///
    /// # Errors
    /// Any error of the file system. Where only the sync of the directory fails, the file may have the new content.
    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()>;

    /// Renames a file within its directory, replacing a file that has the new name.
    ///
    /// # Errors
    /// Any error of the file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. A missing file is no error: an interrupted removal is repeated.
    ///
    /// # Errors
    /// Any other error of the file system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and its missing parents. An existing directory is no error.
    ///
    /// # Errors
    /// Any other error of the file system.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
}

/// A file that is open for writing.
pub trait LogFile: Send + Sync {
    /// Writes all bytes of the parts, one part after the other, from byte `at` of the file on.
    ///
    /// # Errors
    /// Any error of the file system; some of the bytes may have been written then.
    fn write_at(&self, parts: &[&[u8]], at: u64) -> io::Result<()>;

    /// Returns once everything that was written before is on the disk (`fdatasync`).
    ///
    /// # Errors
    /// Any error of the file system. The content of the disk is unknown then, and a later sync that succeeds proves nothing:
    /// the kernel reports a page that it failed to write only once.
    fn sync(&self) -> io::Result<()>;
}

/// The files of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealStorage;

impl Storage for RealStorage {
    fn create(&self, path: &Path, bytes: u64, prepare: Prepare) -> io::Result<Box<dyn LogFile>> {
        // The holder of the directory's lock is the only writer: the file cannot appear between this check and the rename.
        if path.try_exists()? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} exists", path.display())));
        }
        check_space(path, bytes)?;
        let file = publish(path, |file| {
            match prepare {
                Prepare::Allocate => allocate(file, bytes)?,
                Prepare::Zero => write_zeros(file, bytes)?,
            }
            file.sync_all()
        });
        // A file whose name may not be durable would make the next attempt fail.
        let file = file.inspect_err(|_| drop(fs::remove_file(path)))?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().write(true).open(path)?)))
    }

    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        publish(path, |mut file| {
            file.write_all(contents)?;
            file.sync_all()
        })?;
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let directory = directory_of(to)?;
        fs::rename(from, to)?;
        directory.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| sync_directory_of(path)),
        }
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Ok(()) => sync_directory_of(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
                Some(parent) if parent != path && !parent.as_os_str().is_empty() => {
                    self.create_directory(parent)?;
                    fs::create_dir(path)?;
                    sync_directory_of(path)
                }
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }
}

struct RealFile(File);

impl LogFile for RealFile {
    fn write_at(&self, parts: &[&[u8]], mut at: u64) -> io::Result<()> {
        for parts in parts.chunks(PARTS_MAX) {
            let mut slices = [IoSlice::new(&[]); PARTS_MAX];
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
            }
            let mut left = &mut slices[..parts.len()];
            // Drops empty slices from the front, so that no slice left means no byte left.
            IoSlice::advance_slices(&mut left, 0);
            while !left.is_empty() {
                match pwritev(&self.0, left, at) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        at += written as u64;
                        IoSlice::advance_slices(&mut left, written);
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// The name of a file until it is complete.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
}

/// Refuses a file for which the disk has no space before anything is allocated: a failing allocation would take all space
/// from everybody else until it fails.
fn check_space(path: &Path, bytes: u64) -> io::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    let disk = rustix::fs::statvfs(directory)?;
    // File systems without bounds report no blocks at all.
    let is_bounded = disk.f_blocks > 0;
    match is_bounded && disk.f_bavail.saturating_mul(disk.f_frsize) < bytes.saturating_add(RESERVED_BYTES) {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    }
}

/// Whether a file of this name was never completed: it is left by a process that ended meanwhile.
pub fn is_unfinished(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(UNFINISHED.as_bytes())
}

/// Creates a file under its unfinished name, lets `fill` write and sync it, and renames it to `path`.
fn publish(path: &Path, fill: impl FnOnce(&File) -> io::Result<()>) -> io::Result<File> {
    // Opened first: without a descriptor left, nothing is changed.
    let directory = directory_of(path)?;
    let unfinished = unfinished(path);
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished)?;
    if let Err(error) = fill(&file).and_then(|()| fs::rename(&unfinished, path)) {
        drop(file);
        // The first error is the one to report. A file that stays has an unfinished name, which no reader uses.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    directory.sync_all()?;
    Ok(file)
}

fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return write_zeros(file, bytes),
            Err(error) => return Err(error.into()),
        }
    }
}

fn write_zeros(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(ZEROS_BYTES as u64);
        file.write_all(&zeros[..part as usize])?;
        left -= part;
    }
    Ok(())
}

/// Makes the names in the directory of `path` durable.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    directory_of(path)?.sync_all()
}

fn directory_of(path: &Path) -> io::Result<File> {
    File::open(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory for one test, removed at its end.
    pub(crate) struct Scratch(pub PathBuf);

    impl Scratch {
        pub(crate) fn new() -> Scratch {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            // Relaxed: only the number itself is used.
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("keytide-log-{}-{number}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory for the test");
            Scratch(path)
        }

        pub(crate) fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            // A directory that cannot be removed stays in the temporary directory.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_new_file_is_zeros_of_the_size_that_was_asked() {
        let scratch = Scratch::new();
        for (name, prepare) in [("a", Prepare::Allocate), ("z", Prepare::Zero)] {
            let bytes = ZEROS_BYTES as u64 + 10;
            RealStorage.create(&scratch.path(name), bytes, prepare).expect("created");
            let found = fs::read(scratch.path(name)).expect("read");
            assert!(found.len() as u64 == bytes && found.iter().all(|byte| *byte == 0));
        }
        let again = RealStorage.create(&scratch.path("a"), 8, Prepare::Zero).err().map(|error| error.kind());
        assert_eq!(again, Some(io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read_dir(&scratch.0).expect("listed").count(), 2, "no unfinished file is left");
    }

    #[test]
    fn any_number_of_parts_is_written_one_after_the_other() {
        let scratch = Scratch::new();
        let file = RealStorage.create(&scratch.path("f"), 64, Prepare::Allocate).expect("created");
        file.write_at(&[b"", b"ab", b"", b"cd"], 3).expect("written");
        file.write_at(&[], 0).expect("nothing to write");
        file.write_at(&[b"", b""], 0).expect("nothing to write");
        let letters: Vec<[u8; 1]> = (b'a'..=b'z').map(|letter| [letter]).collect();
        let parts: Vec<&[u8]> = letters.iter().map(|letter| letter.as_slice()).collect();
        file.write_at(&parts, 20).expect("written");
        file.sync().expect("synced");
        let found = fs::read(scratch.path("f")).expect("read");
        assert_eq!(&found[..8], b"\0\0\0abcd\0");
        assert_eq!(&found[20..47], b"abcdefghijklmnopqrstuvwxyz\0");
    }

    #[test]
    fn an_existing_file_is_opened_and_a_missing_one_is_an_error() {
        let scratch = Scratch::new();
        RealStorage.replace(&scratch.path("f"), b"12345").expect("written");
        RealStorage.open(&scratch.path("f")).expect("opened").write_at(&[b"x"], 2).expect("written");
        assert_eq!(fs::read(scratch.path("f")).expect("read"), b"12x45");
        let absent = RealStorage.open(&scratch.path("g")).err().map(|error| error.kind());
        assert_eq!(absent, Some(io::ErrorKind::NotFound));
    }

    #[test]
    fn a_file_is_replaced_renamed_and_removed() {
        let scratch = Scratch::new();
        RealStorage.replace(&scratch.path("f"), b"first").expect("written");
        fs::write(scratch.path("f.new"), b"the remains of an earlier attempt").expect("written");
        RealStorage.replace(&scratch.path("f"), b"2nd").expect("written");
        RealStorage.rename(&scratch.path("f"), &scratch.path("g")).expect("renamed");
        assert_eq!(fs::read(scratch.path("g")).expect("read"), b"2nd");
        RealStorage.remove(&scratch.path("g")).expect("removed");
        RealStorage.remove(&scratch.path("g")).expect("a missing file is no error");
        assert_eq!(fs::read_dir(&scratch.0).expect("listed").count(), 0);
    }

    #[test]
    fn directories_are_made_with_those_above_them() {
        let scratch = Scratch::new();
        let inner = scratch.path("a/b/c");
        RealStorage.create_directory(&inner).expect("made");
        RealStorage.create_directory(&inner).expect("there already");
        assert!(inner.is_dir());
        fs::write(scratch.path("file"), b"").expect("written");
        assert!(RealStorage.create_directory(&scratch.path("file")).is_err());
    }

    #[test]
    fn a_file_that_finds_no_space_leaves_nothing() {
        let scratch = Scratch::new();
        // More than any file system supports.
        let refused = RealStorage.create(&scratch.path("f"), i64::MAX as u64, Prepare::Allocate);
        assert!(refused.is_err());
        assert_eq!(fs::read_dir(&scratch.0).expect("listed").count(), 0);
    }
}
