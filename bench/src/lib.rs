//! What the benchmarks share: the shape of a small write. The benchmarks are in `benches/`.

/// A value as small writes have them.
pub const VALUE: [u8; 64] = [b'v'; 64];

/// The key of this number, 13 bytes long.
pub fn key(number: usize) -> String {
    format!("key:{number:09}")
}
