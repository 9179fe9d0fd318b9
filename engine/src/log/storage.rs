//! The write side of files, behind a trait, so that a test can stand between and take the power away.
//!
//! Every operation but a write to an open file is durable when it returns: contents, length, and the name in its
//! directory. What was written to an open file is durable once a [`LogFile::sync`] that began after it has returned.
//!
//! A file gets its name only when it is complete. Until then it stands beside it, under the name with [`ASIDE`]
//! behind it; a process that ends meanwhile leaves it there, and the next attempt overwrites it.

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, pwritev};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What a new file leaves of the disk, for the small ones that have to be written while it is full: marks, `meta.toml`,
/// journals of consumer groups.
const SMALL_FILES_BYTES: u64 = 1 << 20;

/// What the name of a file that is not complete yet ends with.
pub const ASIDE: &str = ".new";

/// How many zeros are written at a time.
const ZEROS_BYTES: usize = 1 << 20;

/// How many parts one write takes at the most; there are rarely more than two.
const PARTS_MAX: usize = 8;

/// How the space of a new file is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepare {
    /// Set aside, and read as zeros. Fast; but the first sync after a write to it also writes the file's layout.
    /// Where the file system can't, zeros are written.
    Allocate,
    /// Zeros written, so that a later sync writes nothing but data.
    Zero,
}

/// Files, as they are written.
pub trait Storage: Send + Sync + 'static {
    /// A new file of `bytes` zeros.
    ///
    /// # Errors
    /// `AlreadyExists`, and whatever the system says, as `StorageFull`; nothing is left of the file then.
    fn create(&self, path: &Path, bytes: u64, prepare: Prepare) -> io::Result<Box<dyn LogFile>>;

    /// An existing file, to write to.
    ///
    /// # Errors
    /// `NotFound`, and whatever the system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;

    /// Makes a small file, or gives it new contents: all of them or, on an error, none.
    ///
    /// # Errors
    /// Whatever the system says. Where the directory could not be synced, the new contents may stand there.
    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()>;

    /// Gives a file another name in the same directory. A file that had that name is gone.
    ///
    /// # Errors
    /// Whatever the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. It is not an error where there is none: who was interrupted after a removal tries again.
    ///
    /// # Errors
    /// Whatever else the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory, and those above it that are missing.
    ///
    /// # Errors
    /// Whatever the system says, unless the directory is there already.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
}

/// A file that is open for writing.
pub trait LogFile: Send + Sync {
    /// Writes the parts, one after the other, from byte `at` on: all of them unless there is an error.
    ///
    /// # Errors
    /// Whatever the system says; any part of the bytes may have been written then.
    fn write_at(&self, parts: &[&[u8]], at: u64) -> io::Result<()>;

    /// Returns once everything that was written before is on the disk (`fdatasync`).
    ///
    /// # Errors
    /// Whatever the system says. After an error nobody knows what is on the disk, and a second sync that succeeds
    /// doesn't tell: the kernel reports a page that it failed to write only once.
    fn sync(&self) -> io::Result<()>;
}

/// The files of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealStorage;

impl Storage for RealStorage {
    fn create(&self, path: &Path, bytes: u64, prepare: Prepare) -> io::Result<Box<dyn LogFile>> {
        // There is one writer, who holds the directory's lock: nobody makes the file between this look and the rename.
        if path.try_exists()? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} exists", path.display())));
        }
        leave_space(path, bytes)?;
        let file = publish(path, |file| {
            match prepare {
                Prepare::Allocate => allocate(file, bytes)?,
                Prepare::Zero => write_zeros(file, bytes)?,
            }
            file.sync_all()
        });
        // A name that is not known to be on the disk would stand in the way of the next attempt.
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
            // Takes the empty ones off the front, so that nothing left means nothing to write.
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

/// The name under which a file stands until it is complete.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ASIDE);
    PathBuf::from(name)
}

/// Refuses a file for which there is no space, before it is begun: until the system finds that out by itself, it would
/// have taken from everyone else what there is.
fn leave_space(path: &Path, bytes: u64) -> io::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    let disk = rustix::fs::statvfs(directory)?;
    // Some file systems know no bounds, and say that they have nothing.
    let is_bounded = disk.f_blocks > 0;
    match is_bounded && disk.f_bavail.saturating_mul(disk.f_frsize) < bytes.saturating_add(SMALL_FILES_BYTES) {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    }
}

/// Whether the file of this name was never completed: the remains of a process that ended.
pub fn is_aside(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(ASIDE.as_bytes())
}

/// Has `fill` make a file aside, and gives it its name. `fill` syncs it.
fn publish(path: &Path, fill: impl FnOnce(&File) -> io::Result<()>) -> io::Result<File> {
    // Opened before there is anything to sync: without a descriptor nothing happens at all.
    let directory = directory_of(path)?;
    let aside = aside(path);
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&aside)?;
    if let Err(error) = fill(&file).and_then(|()| fs::rename(&aside, path)) {
        drop(file);
        // The first error is the one to tell. What is left of the file has a name that nobody takes for a file's.
        let _ = fs::remove_file(&aside);
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

/// Makes the names in the directory that `path` stands in durable.
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

    /// A directory of a test's own, removed at its end.
    pub(crate) struct Scratch(pub PathBuf);

    impl Scratch {
        pub(crate) fn new() -> Scratch {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            // Relaxed: only its own value is used.
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
            // What is left is the next reboot's.
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
        assert_eq!(fs::read_dir(&scratch.0).expect("listed").count(), 2, "nothing is left aside");
    }

    #[test]
    fn parts_are_written_one_after_the_other_however_many() {
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
    fn a_file_that_exists_is_opened_and_another_is_not_made() {
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
        RealStorage.remove(&scratch.path("g")).expect("not there is what was wanted");
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
        // More than any file system gives one file.
        let refused = RealStorage.create(&scratch.path("f"), i64::MAX as u64, Prepare::Allocate);
        assert!(refused.is_err());
        assert_eq!(fs::read_dir(&scratch.0).expect("listed").count(), 0);
    }
}
