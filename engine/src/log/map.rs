//! A file that is read through a memory mapping, by a process that survives damage to the file.
//!
//! Where a mapped page cannot be read (the file was cut, the disk reports an error), the kernel sends SIGBUS to the reader,
//! which ends a process by default. So a handler is installed with the first mapping. It searches a table of all mappings
//! for the faulting address. Where the address is in a mapping, the handler
//!
//! 1. sets the `damaged` flag of the mapping;
//! 2. maps anonymous zeros over the whole mapping, in one system call, and returns: the reader continues, with zeros.
//!
//! [`MappedFile::copy`] checks `damaged` after it has copied. Where the flag is set it reads again with `pread`, which
//! reports errors instead of signals, as every later copy does: what can still be read of a damaged file is read. A fault at
//! any other address goes to the previous handler.
//!
//! # Why the handler is sound
//!
//! * It runs on the thread that copies, inside [`MappedFile::copy`], which borrows the mapping. So the slot of that mapping
//!   is in the table and does not change. Other entries may come and go meanwhile; each is one atomic word with start and
//!   length together, so the handler never sees a range that did not exist.
//! * It calls only `mmap`, `sigaction` and `raise`, plain system calls, and takes no lock.
//! * The zeros take no memory: nothing writes to them, so every page is the kernel's shared zero page. They take no
//!   additional mapping of the kernel either, since a whole mapping is replaced.
//!
//! # Why zeros are never taken for content of the file
//!
//! A copy that reads such zeros finds `damaged` set afterwards: it was set before the zeros were mapped. On the thread that
//! mapped them this is program order; on another thread it follows from the fences in `on_bus_error` and `copy` and from
//! the kernel, which changes the mapping under a lock that a reader's page fault takes too.
//!
//! No signal reports the zeros between the end of a file that was cut and the end of its last page. The checksums of the
//! records do.

use memmap2::{Advice, MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr;
// The atomics of std under loom too: they are static, and loom has no signals.
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// The most files that are mapped at once; further ones are read by `pread`. The default limit of Linux is 65,530 mappings
/// per process.
pub const MAPPINGS_MAX: usize = 4096;

/// Why bytes of a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The file was shorter when it was opened.
    #[error("bytes {at} to {end} are beyond the file's {length}", end = .at.saturating_add(*.bytes))]
    Beyond {
        /// The first byte that was requested.
        at: u64,
        /// How many bytes were requested.
        bytes: u64,
        /// The length of the file when it was opened, in bytes.
        length: u64,
    },
    /// The file was cut after it was opened.
    #[error("the file has been cut: it ends before byte {end}, and had {length}")]
    Cut {
        /// The byte behind the last requested one.
        end: u64,
        /// The length of the file when it was opened, in bytes.
        length: u64,
    },
    /// The kernel reports an error.
    #[error("bytes from {at} on cannot be read: {source}")]
    Unreadable {
        /// The first byte that was requested.
        at: u64,
        /// The error.
        source: io::Error,
    },
}

/// A file open for reading, with the length that it had when it was opened.
pub struct MappedFile {
    /// Declared before `file`, and in it the table's slot before the mapping: they are dropped in this order.
    mapping: Option<Mapping>,
    file: File,
    length: u64,
}

struct Mapping {
    slot: RegisteredSlot,
    bytes: MmapRaw,
}

impl MappedFile {
    /// Opens a file and maps it. A file that cannot be mapped is read by `pread`.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<MappedFile> {
        MappedFile::new(File::open(path)?, &MAPPINGS)
    }

    fn new(file: File, table: &'static [MappingSlot]) -> io::Result<MappedFile> {
        let length = file.metadata()?.len();
        Ok(MappedFile { mapping: map(&file, length, table), file, length })
    }

    /// The file's length when it was opened, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether the file is read through a mapping: not when [`MAPPINGS_MAX`] was reached, and not once a fault occurred.
    pub fn is_mapped(&self) -> bool {
        self.mapping.as_ref().is_some_and(|mapping| !mapping.slot.is_damaged())
    }

    /// Fills `out` with the bytes of the file from byte `at` on. After an error the content of `out` is unspecified.
    ///
    /// # Errors
    /// Where the file does not have the bytes, has them no longer, or cannot be read.
    pub fn copy(&self, at: u64, out: &mut [u8]) -> Result<(), MapError> {
        let bytes = out.len() as u64;
        if at.checked_add(bytes).is_none_or(|end| end > self.length) {
            return Err(MapError::Beyond { at, bytes, length: self.length });
        }
        if let Some(mapping) = self.mapping.as_ref().filter(|mapping| !mapping.slot.is_damaged()) {
            // SAFETY: the range was checked to be within the length of the file, which is the length of the mapping.
            let from = unsafe { mapping.bytes.as_ptr().add(at as usize) };
            // SAFETY: the mapping is borrowed, so it stays mapped, to the file or to zeros; `out` does not overlap it, since
            // `out` is borrowed mutably and nothing else has a reference into the mapping.
            unsafe { copy_out(from, out) };
            // Acquire, paired with the fence in `on_bus_error`: if the copy has read zeros that another thread's handler
            // mapped, the load below sees the flag that was set before. For this thread's own handler, which ran during the
            // copy, the fence keeps the compiler from moving the load up.
            fence(Ordering::Acquire);
            if !mapping.slot.is_damaged() {
                return Ok(());
            }
        }
        self.file.read_exact_at(out, at).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => MapError::Cut { end: at + bytes, length: self.length },
            _ => MapError::Unreadable { at, source },
        })
    }

    /// Asks the kernel to read ahead `bytes` bytes from byte `at` on. A hint: what is beyond the end is ignored, and so is any
    /// error.
    pub fn advise_will_need(&self, at: u64, bytes: u64) {
        let at = at.min(self.length);
        let bytes = bytes.min(self.length - at);
        if bytes == 0 {
            return;
        }
        // A hint that fails changes nothing.
        match self.mapping.as_ref().filter(|mapping| !mapping.slot.is_damaged()) {
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

/// Copies bytes that may change meanwhile: by volatile reads, one per byte, or one per word where `from` is aligned.
///
/// # Safety
/// `out.len()` bytes from `from` on must be readable, and must not overlap `out`.
unsafe fn copy_out(from: *const u8, out: &mut [u8]) {
    let (words, rest) = match from.cast::<u64>().is_aligned() {
        true => out.as_chunks_mut::<8>(),
        false => (Default::default(), out),
    };
    let done = words.len() * 8;
    for (index, word) in words.iter_mut().enumerate() {
        // SAFETY: promised by the caller; `from` is aligned, and the words are within `out.len()` bytes.
        *word = unsafe { from.cast::<u64>().add(index).read_volatile() }.to_ne_bytes();
    }
    for (index, byte) in rest.iter_mut().enumerate() {
        // SAFETY: promised by the caller; `done + rest.len()` is `out.len()`.
        *byte = unsafe { from.add(done + index).read_volatile() };
    }
}

fn map(file: &File, length: u64, table: &'static [MappingSlot]) -> Option<Mapping> {
    // Without the handler no file is mapped; an empty file cannot be.
    if length == 0 || !is_handler_installed() {
        return None;
    }
    let bytes = MmapOptions::new().len(usize::try_from(length).ok()?).map_raw_read_only(file).ok()?;
    let slot = RegisteredSlot::new(bytes.as_ptr() as u64, length, table)?;
    Some(Mapping { slot, bytes })
}

/// A slot of the table of mappings.
struct MappingSlot {
    /// The number of the first 4-KiB page in the upper 36 bits, the count of pages in the lower 28; 0 where the slot is free.
    range: AtomicU64,
    damaged: AtomicBool,
}

const PAGE_BITS: u32 = 12;
const COUNT_BITS: u32 = 28;

static MAPPINGS: [MappingSlot; MAPPINGS_MAX] =
    [const { MappingSlot { range: AtomicU64::new(0), damaged: AtomicBool::new(false) } }; MAPPINGS_MAX];

impl MappingSlot {
    /// The start and end address of the mapping; both 0 where the slot is free.
    fn range(&self) -> (u64, u64) {
        // Acquire, paired with the exchange in `RegisteredSlot::new`. The slot that the handler searches for was registered
        // before the read that failed, by this thread or by one that handed the mapping over.
        let range = self.range.load(Ordering::Acquire);
        let (first, count) = (range >> COUNT_BITS, range & ((1 << COUNT_BITS) - 1));
        (first << PAGE_BITS, (first + count) << PAGE_BITS)
    }
}

/// A slot that one mapping uses; free again when this is dropped.
struct RegisteredSlot(&'static MappingSlot);

impl RegisteredSlot {
    /// Takes a free slot; none where the table is full, or where the range does not fit into a slot.
    fn new(start: u64, length: u64, table: &'static [MappingSlot]) -> Option<RegisteredSlot> {
        let (first, count) = (start >> PAGE_BITS, length.div_ceil(1 << PAGE_BITS));
        if start == 0 || first >> (64 - COUNT_BITS) != 0 || count >> COUNT_BITS != 0 {
            return None;
        }
        let range = first << COUNT_BITS | count;
        // Acquire, paired with the release in `drop`: `damaged` is false, as the previous owner left it. Release, paired
        // with the load in `MappingSlot::range`. Relaxed where it fails: nothing is read then.
        let take = |slot: &&MappingSlot| {
            slot.range.load(Ordering::Relaxed) == 0
                && slot.range.compare_exchange(0, range, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        table.iter().find(take).map(RegisteredSlot)
    }

    fn is_damaged(&self) -> bool {
        // Relaxed: `copy` has the fence.
        self.0.damaged.load(Ordering::Relaxed)
    }
}

impl Drop for RegisteredSlot {
    fn drop(&mut self) {
        // Relaxed: the store below publishes it.
        self.0.damaged.store(false, Ordering::Relaxed);
        // Release, paired with the exchange in `new`. The memory is unmapped after this, so that no slot ever covers memory
        // of somebody else.
        self.0.range.store(0, Ordering::Release);
    }
}

/// The action of SIGBUS before the handler was installed.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// Whether the handler is installed; the first call installs it.
fn is_handler_installed() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the call only queries the action, and `previous` has room for it.
        if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), previous.as_mut_ptr()) } != 0 {
            return false;
        }
        // SAFETY: the call has filled `previous`, and zeros are a valid value anyway.
        let previous = unsafe { previous.assume_init() };
        // Set before the handler can run, which reads it.
        PREVIOUS.get_or_init(|| previous);
        // SAFETY: zeros are a valid `sigaction`.
        let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
        action.sa_sigaction = on_bus_error as *const () as usize;
        // On the thread's signal stack, if it has one: the fault may be an overflow of the thread's own stack.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: `action` is complete, with an empty mask; its handler has the signature that SA_SIGINFO requires and is
        // async-signal-safe.
        unsafe { libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) == 0 }
    })
}

extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `info` to a handler with SA_SIGINFO.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as u64) };
    // Codes up to 0 mean that a process sent the signal; there is no address then.
    let is_fault = code > 0;
    let contains_address = |slot: &&MappingSlot| {
        let (start, end) = slot.range();
        (start..end).contains(&address)
    };
    if is_fault && let Some(slot) = MAPPINGS.iter().find(contains_address) {
        // Relaxed, with the fence below: the flag is set before a reader can see zeros.
        slot.damaged.store(true, Ordering::Relaxed);
        // Release, paired with the fence in `copy`; the system call below comes after it.
        fence(Ordering::Release);
        let (start, end) = slot.range();
        let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: errno is thread-local and valid as long as the thread.
        let errno = unsafe { *libc::__errno_location() };
        // SAFETY: the range is a mapping that the interrupted `copy` borrows, so it belongs to this module alone; it is read
        // only through raw pointers, by volatile reads that expect changes.
        let zeros = unsafe { libc::mmap(start as *mut _, (end - start) as usize, libc::PROT_READ, flags, -1, 0) };
        // SAFETY: as above. The interrupted code may be about to read errno.
        unsafe { *libc::__errno_location() = errno };
        if zeros != libc::MAP_FAILED {
            return;
        }
    }
    pass_on(signal, info, context, is_fault);
}

/// Handles the signal as it would have been handled without this module.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void, is_fault: bool) {
    let (handler, flags) =
        PREVIOUS.get().map_or((libc::SIG_DFL, 0), |previous| (previous.sa_sigaction, previous.sa_flags));
    match handler {
        libc::SIG_IGN if !is_fault => {}
        // A fault cannot be ignored.
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: the default action has no requirements. After the return the access faults again and ends the process,
            // with the original address; a signal that was sent is sent again.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                if !is_fault {
                    libc::raise(signal);
                }
            }
        }
        handler if flags & libc::SA_SIGINFO != 0 => {
            type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
            // SAFETY: the previous handler was installed with SA_SIGINFO, so it has this signature.
            let handler = unsafe { std::mem::transmute::<usize, Handler>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: the previous handler was installed without SA_SIGINFO, so it has this signature.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests;
