//! Heap memory prefaulted at the start, `--heap-bytes`: the first write to a large page of it waits until the system has
//! cleared the page, 0.1 ms for two megabytes, and 8 ms where the host of a virtual machine has to find the memory first.

// Its C functions are linked with it.
use mimalloc as _;
use rustix::mm::{Advice, madvise};
use std::io;
use std::ops::Range;

/// What the system gives at once where it can, in bytes.
const LARGE_PAGE_BYTES: usize = 2 << 20;

/// Has the system give `bytes` of the memory that the allocator will hand out next, or as much as it has mapped there.
///
/// # Errors
/// There is not so much memory, the kernel is older than 5.14, or `/proc` cannot be read.
pub fn populate(bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    // Allocators hand memory out from one end to the other, so what comes next lies behind what was just had.
    let probe = Box::new([0u8; 64]);
    populate_from(std::hint::black_box(&*probe).as_ptr().expose_provenance(), bytes)
}

/// The same from the large page of this address on.
fn populate_from(address: usize, bytes: u64) -> io::Result<()> {
    let mapping = mapping_of(address)?;
    let start = (address & !(LARGE_PAGE_BYTES - 1)).max(mapping.start);
    let bytes = bytes.min((mapping.end - start) as u64) as usize;
    let start = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: what is mapped there keeps its content, whose ever it is, and others may use it meanwhile: populating does
    // what the first write would. Where it is not mapped any more, or may not be written, the system refuses.
    unsafe { madvise(start, bytes, Advice::LinuxPopulateWrite) }.map_err(io::Error::from)
}

unsafe extern "C" {
    /// Collects what the calling thread can give back, as far as its time has come; all of it with `force`. Declared as
    /// in `mimalloc.h`. It may be called at any time on any thread, and takes no pointer.
    safe fn mi_collect(force: bool);
}

/// Lets the allocator give memory back to the system that this thread has freed, or others have of what was its own. What
/// was freed only now it gives back when this is called again, a second later. Takes some ten nanoseconds for each 64 KiB
/// of this thread's small objects.
pub fn give_back() {
    mi_collect(false);
}

/// The addresses of the mapping that this one is in.
fn mapping_of(address: usize) -> io::Result<Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let range = |line: &str| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
    };
    maps.lines().filter_map(range).find(|range| range.contains(&address)).ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Usage;

    #[test]
    fn the_memory_is_there_and_what_is_in_it_stays() {
        const BYTES: usize = 64 << 20;
        // So much that it is mapped by itself, and zeroed, so that nothing has written to it yet.
        let mut memory = vec![0u8; BYTES];
        memory[BYTES / 2] = 7;
        let before = Usage::now().resident_bytes;
        populate_from(memory.as_ptr().expose_provenance(), BYTES as u64).expect("there is so much memory");
        let more = Usage::now().resident_bytes.saturating_sub(before);
        assert!(more > BYTES as u64 / 2, "{more} bytes more");
        assert_eq!((memory[0], memory[BYTES / 2], memory[BYTES - 1]), (0, 7, 0));
    }

    #[test]
    fn nothing_is_done_where_nothing_is_asked_for_or_mapped() {
        assert!(populate(0).is_ok());
        assert_eq!(populate_from(8, 1).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
    }
}
