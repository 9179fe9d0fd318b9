//! A file that is read through a mapping, and survives what happens to the file.
//!
//! Where a mapped page cannot be had — the file was cut shorter, the disk does not give it back — the kernel sends the
//! reader SIGBUS, which ends a process. So a handler is installed with the first mapping. It looks the address up in a
//! table of all mappings, and where it finds it:
//!
//! 1. it sets the mapping's `damaged`;
//! 2. it maps anonymous zeros over the whole mapping, in one system call, and returns: the reader goes on, with zeros.
//!
//! [`MappedFile::copy`] looks at `damaged` after it has copied, and where it is set reads again with `pread`, which has
//! errors where a mapping has signals. So does every later copy; what can still be read of a damaged file is read.
//! Any other address goes to the handler that was there before.
//!
//! # Why the handler may do what it does
//!
//! * It runs on the thread that copies, in the middle of [`MappedFile::copy`], which borrows the mapping. So the entry
//!   it looks for is in the table, and stays what it is. Other entries may come and go meanwhile; each is one atomic
//!   word, start and length together, so it finds no range that never was.
//! * It calls `mmap`, `sigaction` and `raise` only, plain system calls, and takes no lock.
//! * The zeros take no memory: nobody writes to them, so every page of them is the kernel's one page of zeros. Nor do
//!   they take a place in the kernel's list of mappings, for all of one is replaced.
//!
//! # Why no zeros are taken for the file
//!
//! Whoever's copy meets zeros finds `damaged` set after it: it was set before the zeros were mapped. The thread that
//! mapped them is ordered by its own program; another thread by the fences in `on_bus_error` and `copy` and by the
//! kernel, which changes the mapping under a lock that a reader's page fault takes too.
//!
//! One thing no signal tells of: between the end of a file that was cut and the end of that page there are zeros. Records
//! have checksums.

use memmap2::{Advice, MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr;
// Those of std under loom too: they are static, and loom knows no signals.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// How many files are mapped at once; what is opened beyond that is read by `pread`. A system allows 65,530 mappings
/// unless it is told otherwise.
pub const MAPPINGS_MAX: usize = 4096;

/// Why bytes of a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The file was never that long.
    #[error("bytes {at} to {end} are beyond the file's {length}", end = .at.saturating_add(*.bytes))]
    Beyond {
        /// From which byte on.
        at: u64,
        /// How many bytes.
        bytes: u64,
        /// The file's length when it was opened, in bytes.
        length: u64,
    },
    /// The file was longer when it was opened.
    #[error("the file has been cut: it ends before byte {end}, and had {length}")]
    Cut {
        /// The end of what was wanted.
        end: u64,
        /// The file's length when it was opened, in bytes.
        length: u64,
    },
    /// The system cannot read it.
    #[error("bytes from {at} on cannot be read: {source}")]
    Unreadable {
        /// From which byte on.
        at: u64,
        /// Why not.
        source: io::Error,
    },
}

/// A file for reading, of the length that it had when it was opened.
pub struct MappedFile {
    /// Before `file`, and in it the entry before the mapping: so they are dropped in this order.
    mapping: Option<Mapping>,
    file: File,
    length: u64,
}

struct Mapping {
    entry: Registered,
    bytes: MmapRaw,
}

impl MappedFile {
    /// Opens a file and maps it; where it cannot be mapped it is read by `pread`.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<MappedFile> {
        MappedFile::new(File::open(path)?, &MAPPINGS)
    }

    fn new(file: File, table: &'static [Entry]) -> io::Result<MappedFile> {
        let length = file.metadata()?.len();
        Ok(MappedFile { mapping: map(&file, length, table), file, length })
    }

    /// The file's length when it was opened, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is read through a mapping: not beyond [`MAPPINGS_MAX`], nor once a part of it could not be read.
    pub fn is_mapped(&self) -> bool {
        self.mapping.as_ref().is_some_and(|mapping| !mapping.entry.is_damaged())
    }

    /// Copies the file's bytes from `at` on into `out`. What is in `out` means nothing if the answer is an error.
    ///
    /// # Errors
    /// Where the file does not have them, or no longer, or the system cannot read them.
    pub fn copy(&self, at: u64, out: &mut [u8]) -> Result<(), MapError> {
        let bytes = out.len() as u64;
        if at.checked_add(bytes).is_none_or(|end| end > self.length) {
            return Err(MapError::Beyond { at, bytes, length: self.length });
        }
        if let Some(mapping) = self.mapping.as_ref().filter(|mapping| !mapping.entry.is_damaged()) {
            // SAFETY: the range was checked: it lies within the file's length, which is the mapping's.
            let from = unsafe { mapping.bytes.as_ptr().add(at as usize) };
            // SAFETY: the mapping is borrowed, so it stays, or is zeros; and `out` is no part of it, for it is lent
            // mutably and the mapping is lent to nobody.
            unsafe { copy_out(from, out) };
            // Acquire, paired with the fence in `on_bus_error`: if the copy met zeros that another thread's handler
            // mapped, the load below sees the flag that it set before. For this thread's own handler, which ran in the
            // middle of the copy, it keeps the compiler from asking earlier.
            fence(Ordering::Acquire);
            if !mapping.entry.is_damaged() {
                return Ok(());
            }
        }
        self.file.read_exact_at(out, at).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => MapError::Cut { end: at + bytes, length: self.length },
            _ => MapError::Unreadable { at, source },
        })
    }

    /// Says that these bytes are wanted soon, so that the system reads them ahead. A hint: what is beyond the end is
    /// left out, and nothing tells whether it helped.
    pub fn advise_will_need(&self, at: u64, bytes: u64) {
        let at = at.min(self.length);
        let bytes = bytes.min(self.length - at);
        if bytes == 0 {
            return;
        }
        // A hint that is not taken changes nothing: so no error is of interest.
        match self.mapping.as_ref().filter(|mapping| !mapping.entry.is_damaged()) {
            Some(mapping) => {
                let _ = mapping.bytes.advise_range(Advice::WillNeed, at as usize, bytes as usize);
            }
            None => {
                let wanted = std::num::NonZeroU64::new(bytes);
                let _ = rustix::fs::fadvise(&self.file, at, wanted, rustix::fs::Advice::WillNeed);
            }
        }
    }
}

/// Copies bytes that others may change: by volatile reads, each once, of words where they stand at words.
///
/// # Safety
/// `out.len()` bytes from `from` on may be read, and are no part of `out`.
unsafe fn copy_out(from: *const u8, out: &mut [u8]) {
    let (words, rest) = match from.cast::<u64>().is_aligned() {
        true => out.as_chunks_mut::<8>(),
        false => (Default::default(), out),
    };
    let done = words.len() * 8;
    for (index, word) in words.iter_mut().enumerate() {
        // SAFETY: the caller's promise; it is aligned, and the words lie within `out.len()` bytes.
        *word = unsafe { from.cast::<u64>().add(index).read_volatile() }.to_ne_bytes();
    }
    for (index, byte) in rest.iter_mut().enumerate() {
        // SAFETY: the caller's promise; `done + rest.len()` is `out.len()`.
        *byte = unsafe { from.add(done + index).read_volatile() };
    }
}

fn map(file: &File, length: u64, table: &'static [Entry]) -> Option<Mapping> {
    // Without a handler nothing is mapped; nor is an empty file, which cannot be.
    if length == 0 || !is_handler_installed() {
        return None;
    }
    let bytes = MmapOptions::new().len(usize::try_from(length).ok()?).map_raw_read_only(file).ok()?;
    let entry = Registered::new(bytes.as_ptr() as u64, length, table)?;
    Some(Mapping { entry, bytes })
}

/// A place in the table of mappings.
struct Entry {
    /// The start's 4-KiB page in the upper 36 bits, the number of pages in the lower 28; 0 where the place is free.
    range: AtomicU64,
    damaged: AtomicBool,
}

const PAGE_BITS: u32 = 12;
const COUNT_BITS: u32 = 28;

static MAPPINGS: [Entry; MAPPINGS_MAX] =
    [const { Entry { range: AtomicU64::new(0), damaged: AtomicBool::new(false) } }; MAPPINGS_MAX];

impl Entry {
    /// Start and end of what is mapped there, as addresses. Both 0 where nothing is.
    fn range(&self) -> (u64, u64) {
        // Acquire, paired with the exchange in `Registered::new`; the entry that the handler looks for was put there
        // before the reading that failed, by this thread or one that handed the mapping over.
        let range = self.range.load(Ordering::Acquire);
        let (first, count) = (range >> COUNT_BITS, range & ((1 << COUNT_BITS) - 1));
        (first << PAGE_BITS, (first + count) << PAGE_BITS)
    }
}

/// A mapping's entry in the table. It is free again once this is dropped.
struct Registered(&'static Entry);

impl Registered {
    /// Takes a free place; none where there is no more, or where the numbers don't fit an entry.
    fn new(start: u64, length: u64, table: &'static [Entry]) -> Option<Registered> {
        let (first, count) = (start >> PAGE_BITS, length.div_ceil(1 << PAGE_BITS));
        if start == 0 || first >> (64 - COUNT_BITS) != 0 || count >> COUNT_BITS != 0 {
            return None;
        }
        let range = first << COUNT_BITS | count;
        // Acquire, paired with the release in `drop`: `damaged` is as the former owner left it, false. Release, paired
        // with the load in `Entry::range`. Relaxed where it fails: nothing is read then.
        let take = |entry: &&Entry| {
            entry.range.load(Ordering::Relaxed) == 0
                && entry.range.compare_exchange(0, range, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        table.iter().find(take).map(Registered)
    }

    fn is_damaged(&self) -> bool {
        // Relaxed: `copy` has the fence.
        self.0.damaged.load(Ordering::Relaxed)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Relaxed: the store below publishes it.
        self.0.damaged.store(false, Ordering::Relaxed);
        // Release, paired with the exchange in `new`. The memory is unmapped after this, so that no entry stands for
        // memory that is someone else's.
        self.0.range.store(0, Ordering::Release);
    }
}

/// What SIGBUS did before.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// Installs the handler, once.
fn is_handler_installed() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: it only asks, and `previous` is a place for the answer.
        if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), previous.as_mut_ptr()) } != 0 {
            return false;
        }
        // SAFETY: the call has filled it, and zeros are a valid value anyway.
        let previous = unsafe { previous.assume_init() };
        // Before the handler can run, which asks for it.
        PREVIOUS.get_or_init(|| previous);
        // SAFETY: zeros are a valid `sigaction`.
        let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
        action.sa_sigaction = on_bus_error as *const () as usize;
        // On the thread's signal stack, if it has one: another part of the process may overflow its own.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: `action` is whole, with an empty mask, and its handler is of the kind that SA_SIGINFO says and does
        // only what a handler may.
        unsafe { libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) == 0 }
    })
}

extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel calls a handler with SA_SIGINFO with a valid `info`.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as u64) };
    // Codes up to 0 mean that somebody sent the signal; there is no address then.
    let is_fault = code > 0;
    let holds = |entry: &&Entry| {
        let (start, end) = entry.range();
        (start..end).contains(&address)
    };
    if is_fault && let Some(entry) = MAPPINGS.iter().find(holds) {
        // Relaxed, with the fence behind it: the flag is set before there are zeros to be met.
        entry.damaged.store(true, Ordering::Relaxed);
        // Release, paired with the fence in `copy`; the system call below comes after it.
        fence(Ordering::Release);
        let (start, end) = entry.range();
        let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: errno is this thread's, and the place is valid as long as the thread.
        let errno = unsafe { *libc::__errno_location() };
        // SAFETY: the range is that of a mapping that the interrupted `copy` borrows, so it is ours and nothing else's;
        // it is read only through raw pointers, by volatile reads that expect it to change.
        let zeros = unsafe { libc::mmap(start as *mut _, (end - start) as usize, libc::PROT_READ, flags, -1, 0) };
        // SAFETY: as above. What was interrupted may be about to look at its own error.
        unsafe { *libc::__errno_location() = errno };
        if zeros != libc::MAP_FAILED {
            return;
        }
    }
    pass_on(signal, info, context, is_fault);
}

/// Does with the signal what would have been done without this handler.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void, is_fault: bool) {
    let (handler, flags) =
        PREVIOUS.get().map_or((libc::SIG_DFL, 0), |previous| (previous.sa_sigaction, previous.sa_flags));
    match handler {
        libc::SIG_IGN if !is_fault => {}
        // A fault cannot be ignored.
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: the default action needs nothing. Back from here, the access fails once more and ends the
            // process, with the address where it was; a signal that was sent is sent again.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if !is_fault {
                    libc::raise(signal);
                }
            }
        }
        handler if flags & libc::SA_SIGINFO != 0 => {
            type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
            // SAFETY: whoever installed it said by SA_SIGINFO that it is such a function.
            let handler = unsafe { std::mem::transmute::<usize, Handler>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: whoever installed it said, without SA_SIGINFO, that it is such a function.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests;
