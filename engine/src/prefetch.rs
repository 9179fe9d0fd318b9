//! Asking for a cache line before it is needed. A hint: it changes nothing that a program can see, and there is no
//! address that it could not be given.

/// Bytes of a cache line.
pub(crate) const LINE_BYTES: usize = 64;

/// Asks for the cache line at `address`.
#[inline(always)]
pub(crate) fn prefetch_line<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    // SAFETY: a prefetch reads and writes nothing that a program can see, and is allowed at any address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    let _ = address;
}

/// Asks for the first cache lines of `bytes`, at most `lines_max`.
#[inline(always)]
pub(crate) fn prefetch_bytes(bytes: &[u8], lines_max: usize) {
    let start = bytes.as_ptr();
    for offset in (0..bytes.len()).step_by(LINE_BYTES).take(lines_max) {
        prefetch_line(start.wrapping_add(offset));
    }
    if let Some(last) = bytes.last()
        && bytes.len() <= LINE_BYTES * lines_max
    {
        prefetch_line(last);
    }
}
