//! Numbers of 64 bits in as many bytes as they need: seven bits in each, the lowest first, and a bit that says whether more
//! follow.

const MORE: u8 = 0x80;

/// The bytes that a number takes.
#[inline]
pub(super) fn width(value: u64) -> usize {
    // 0 has one bit.
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a number.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= u64::from(MORE) {
        out.push(value as u8 | MORE);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The number at `at`, which is moved behind it.
#[inline]
pub(super) fn get(bytes: &[u8], at: &mut usize) -> u64 {
    let first = bytes[*at];
    *at += 1;
    if first & MORE == 0 { u64::from(first) } else { get_rest(bytes, at, first) }
}

fn get_rest(bytes: &[u8], at: &mut usize, first: u8) -> u64 {
    let (mut value, mut shift) = (u64::from(first & !MORE), 7);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & !MORE) << shift;
        if byte & MORE == 0 {
            return value;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_comes_back() {
        let mut out = Vec::new();
        let numbers: Vec<u64> = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit]).chain([u64::MAX]).collect();
        let mut at = 0;
        for &number in &numbers {
            let before = out.len();
            put(&mut out, number);
            assert_eq!(out.len() - before, width(number), "{number}");
            assert_eq!(get(&out, &mut at), number);
        }
        assert_eq!(at, out.len());
    }
}
