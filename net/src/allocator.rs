//! The process's allocator: mimalloc, asked for no alignment that it gives anyway.
//!
//! mimalloc's own `GlobalAlloc` asks for each layout's alignment, and version 3 then allocates some bytes more for whatever
//! is not a power of two: 63 bytes instead of 48. A key's block has 48 bytes, and so would take a quarter more.

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};

unsafe extern "C" {
    fn mi_malloc(size: usize) -> *mut u8;
    fn mi_zalloc(size: usize) -> *mut u8;
    fn mi_realloc(memory: *mut u8, size: usize) -> *mut u8;
}

/// mimalloc, see [the module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator;

/// The alignment that any memory of at least so many bytes has, in bytes; `MI_MAX_ALIGN_SIZE` in `mimalloc/types.h`. Less
/// memory than that is aligned to 8.
const ALIGN: usize = 16;

/// Whether memory for this layout is aligned whatever is asked for.
#[inline]
fn is_aligned_anyway(size: usize, align: usize) -> bool {
    align <= ALIGN / 2 || align == ALIGN && size >= ALIGN
}

// SAFETY: all of these are mimalloc's functions, which are one allocator: memory from one of them may be given to any other.
// They return null where there is no memory, and unwind never. What they return is aligned as the layout demands, see
// `is_aligned_anyway`.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_aligned_anyway(layout.size(), layout.align()) {
            // SAFETY: it takes any size.
            unsafe { mi_malloc(layout.size()) }
        } else {
            // SAFETY: the caller's promise is the same.
            unsafe { MiMalloc.alloc(layout) }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_aligned_anyway(layout.size(), layout.align()) {
            // SAFETY: it takes any size.
            unsafe { mi_zalloc(layout.size()) }
        } else {
            // SAFETY: the caller's promise is the same.
            unsafe { MiMalloc.alloc_zeroed(layout) }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { MiMalloc.dealloc(memory, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_aligned_anyway(size, layout.align()) {
            // SAFETY: the caller's memory is of this allocator.
            unsafe { mi_realloc(memory, size) }
        } else {
            // SAFETY: the caller's promise is the same.
            unsafe { MiMalloc.realloc(memory, layout, size) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_has_its_size_and_its_content_stays() {
        unsafe extern "C" {
            fn mi_usable_size(memory: *const u8) -> usize;
        }
        let mut held = Vec::new();
        for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
            for size in (1..300).chain([1_000, 5_000, 70_000, 3 << 20]) {
                let layout = Layout::from_size_align(size, align).expect("a power of two");
                // SAFETY: the layout has bytes; the memory is written within its size, and freed below with its layout.
                unsafe {
                    let zeroed = Allocator.alloc_zeroed(layout);
                    assert!(!zeroed.is_null() && zeroed.addr().is_multiple_of(align), "{layout:?}");
                    assert!((0..size).all(|at| *zeroed.add(at) == 0));
                    zeroed.write_bytes(7, size);
                    let grown = Allocator.realloc(zeroed, layout, size + 9);
                    assert!(
                        !grown.is_null()
                            && grown.addr().is_multiple_of(align)
                            && *grown == 7
                            && *grown.add(size - 1) == 7
                    );
                    held.push((grown, Layout::from_size_align(size + 9, align).expect("a power of two")));
                    let plain = Allocator.alloc(layout);
                    assert!(!plain.is_null() && plain.addr().is_multiple_of(align), "{layout:?}");
                    held.push((plain, layout));
                }
            }
        }
        // What keys are made of takes no more than its class.
        for size in [32, 48, 80, 96, 112, 160, 192, 320] {
            let layout = Layout::from_size_align(size, 16).expect("a power of two");
            // SAFETY: as above.
            unsafe {
                let memory = Allocator.alloc(layout);
                assert_eq!(mi_usable_size(memory), size);
                held.push((memory, layout));
            }
        }
        for (memory, layout) in held {
            // SAFETY: it was allocated with this layout, and is freed once.
            unsafe { Allocator.dealloc(memory, layout) };
        }
    }
}
