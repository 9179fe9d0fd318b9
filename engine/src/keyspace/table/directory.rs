//! Finds a segment by the first bits of a hash. It has two levels, so that it never has to be copied as a whole: the
//! parts of the second level double one at a time.
//!
//! ```text
//!   hash ── first `top_bits` ──► part ── as many further bits as the part has ──► a segment's number
//! ```

/// The most bits of the first level; until it has them, each part has one place.
const TOP_BITS_MAX: u32 = 10;

pub(super) struct Directory {
    parts: Vec<Part>,
    top_bits: u32,
}

#[derive(Clone)]
struct Part {
    /// A power of two of segments' numbers.
    places: Box<[u32]>,
    /// How many bits tell them apart.
    bits: u32,
}

/// The first bits of a number, from none to 63.
#[inline]
fn first_bits(hash: u64, bits: u32) -> usize {
    // In Rust a shift by 64 overflows.
    ((hash >> 1) >> ((63 - bits) & 63)) as usize
}

impl Directory {
    /// All hashes have this segment.
    pub(super) fn new(segment: u32) -> Directory {
        Directory { parts: vec![Part { places: Box::new([segment]), bits: 0 }], top_bits: 0 }
    }

    /// The segment of a hash.
    #[inline]
    pub(super) fn get(&self, hash: u64) -> u32 {
        let part = &self.parts[first_bits(hash, self.top_bits)];
        part.places[first_bits(hash << (self.top_bits & 63), part.bits)]
    }

    /// The number of bits that tell hashes near this one apart.
    fn bits(&self, hash: u64) -> u32 {
        self.top_bits + self.parts[first_bits(hash, self.top_bits)].bits
    }

    /// Gives a segment all hashes that have the first `depth` bits of this one.
    pub(super) fn assign(&mut self, hash: u64, depth: u32, segment: u32) {
        while self.bits(hash) < depth {
            self.deepen(hash);
        }
        match depth.checked_sub(self.top_bits) {
            None | Some(0) => {
                let each = 1 << (self.top_bits - depth);
                let first = first_bits(hash, depth) * each;
                self.parts[first..first + each].iter_mut().for_each(|part| part.places.fill(segment));
            }
            Some(further) => {
                let part = &mut self.parts[first_bits(hash, self.top_bits)];
                let each = part.places.len() >> further;
                let first = first_bits(hash << self.top_bits, further) * each;
                part.places[first..first + each].fill(segment);
            }
        }
    }

    /// One more bit for hashes near this one.
    fn deepen(&mut self, hash: u64) {
        if self.top_bits < TOP_BITS_MAX {
            self.parts = self.parts.iter().flat_map(|part| [part.clone(), part.clone()]).collect();
            self.top_bits += 1;
        } else {
            let part = &mut self.parts[first_bits(hash, self.top_bits)];
            part.places = part.places.iter().flat_map(|&segment| [segment, segment]).collect();
            part.bits += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hash_has_the_segment_that_was_assigned_last() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..20 {
            let mut directory = Directory::new(0);
            let mut assigned = vec![(0, 0, 0)];
            for segment in 1..40 {
                // Near each other, so that they overlap, at depths of one level and of both.
                let (hash, depth) = (rng.u64(..) >> rng.u32(..8), rng.u32(0..=16));
                directory.assign(hash, depth, segment);
                assigned.push((hash, depth, segment));
            }
            for _ in 0..2_000 {
                let near = assigned[rng.usize(..assigned.len())].0;
                let hash = near ^ 1 << rng.u32(..64);
                let covers = |&&(of, depth, _): &&(u64, u32, u32)| first_bits(of, depth) == first_bits(hash, depth);
                let expected = assigned.iter().rev().find(covers).expect("the first is for all");
                assert_eq!(directory.get(hash), expected.2);
            }
        }
    }
}
