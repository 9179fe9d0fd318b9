//! Size classes of memory: a block has all bytes of its class, so that no block needs a field for its capacity.
//!
//! The classes are those of the binary's allocator, mimalloc: multiples of 16 bytes up to 64, then four to each doubling.
//! With another allocator they are as good as any.

/// The size of the smallest class that has this many bytes.
#[inline]
pub(crate) const fn size_class(bytes: usize) -> usize {
    let words = bytes.div_ceil(8);
    if words <= 8 {
        let even = if words == 0 { 2 } else { (words + 1) & !1 };
        even * 8
    } else {
        let step = 1 << ((words - 1).ilog2() - 2);
        words.next_multiple_of(step) * 8
    }
}

/// What an allocation of this many bytes takes, 0 for none. Of memory that is aligned to no more than 8 bytes the smallest
/// class has 8.
#[inline]
pub(crate) const fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        _ => size_class(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_the_allocators() {
        let classes: Vec<usize> = (0..=1024).map(size_class).collect();
        let mut distinct = classes.clone();
        distinct.dedup();
        let expected = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024];
        assert_eq!(distinct, expected);
        for (bytes, class) in classes.into_iter().enumerate() {
            assert!(class >= bytes && class % 16 == 0 && size_class(class) == class, "{bytes}");
        }
    }
}
