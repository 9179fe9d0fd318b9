//! HyperLogLog: an estimate of how many different elements were added, in a string that has exactly the form which Redis
//! gives it.
//!
//! ```text
//! │ "HYLL" │ form │ 0 0 0 │ cached count, 8 bytes, little endian │ registers …
//! ```
//!
//! The form is 0 for dense and 1 for sparse. The highest bit of the cached count says that it is out of date. Each of the
//! 16,384 registers has the greatest rank of the elements that belong to it: [`dense`] in 6 bits each, [`sparse`] as runs.

mod dense;
mod estimate;
mod hash;
mod sparse;

use crate::error::Refusal;
use hash::hash;

/// The number of registers.
const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
/// The bits of a hash that make the rank.
const RANK_BITS: u32 = 64 - INDEX_BITS;
const HEADER_BYTES: usize = 16;
const MAGIC: &[u8] = b"HYLL";
const FORM_AT: usize = 4;
/// The byte whose highest bit says that the cached count is out of date.
const STALE_AT: usize = 15;
const STALE: u8 = 0x80;

/// What is overwritten of a dense sketch: an offset in the string, and one or two bytes.
pub type Patch = dense::Patch;

/// An element as a sketch sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Its register.
    index: usize,
    /// How rare it is.
    rank: u8,
}

impl Observation {
    /// That of an element.
    pub fn of(element: &[u8]) -> Observation {
        let hash = hash(element);
        let rest = hash >> INDEX_BITS | 1 << RANK_BITS;
        Observation { index: hash as usize % REGISTERS, rank: rest.trailing_zeros() as u8 + 1 }
    }
}

/// A sketch in a string, for reading.
#[derive(Clone, Copy, Debug)]
pub struct Sketch<'a> {
    bytes: &'a [u8],
}

impl<'a> Sketch<'a> {
    /// The sketch that these bytes are, as far as the header says.
    ///
    /// # Errors
    /// They are none.
    pub fn of(bytes: &'a [u8]) -> Result<Sketch<'a>, Refusal> {
        let is_one = bytes.len() >= HEADER_BYTES && bytes.starts_with(MAGIC) && bytes[FORM_AT] <= 1;
        let sketch = Sketch { bytes };
        if !is_one || sketch.is_dense() && bytes.len() != dense::BYTES {
            return Err(Refusal::NotASketch);
        }
        Ok(sketch)
    }

    /// Whether it is dense.
    pub fn is_dense(self) -> bool {
        self.bytes[FORM_AT] == 0
    }

    /// Where the cached count has to be marked as out of date, and the byte that does so; none where it is.
    pub fn stale_patch(self) -> Option<(usize, u8)> {
        let byte = self.bytes[STALE_AT];
        (byte & STALE == 0).then_some((STALE_AT, byte | STALE))
    }

    /// The estimate of the number of elements.
    ///
    /// # Errors
    /// The registers are damaged.
    pub fn count(self) -> Result<u64, Refusal> {
        if self.bytes[STALE_AT] & STALE == 0 {
            let cached = self.bytes[8..].first_chunk().copied();
            return Ok(u64::from_le_bytes(cached.unwrap_or_default()));
        }
        let mut registers = Registers::default();
        registers.merge(self)?;
        Ok(registers.count())
    }

    /// What has to be overwritten of a dense one for an element; none where nothing changes.
    pub fn dense_patch(self, seen: Observation) -> Option<Patch> {
        dense::patch(self.bytes, seen)
    }
}

/// The registers of several sketches together.
#[derive(Clone, Debug)]
pub struct Registers(Box<[u8; REGISTERS]>);

impl Default for Registers {
    fn default() -> Registers {
        Registers(Box::new([0; REGISTERS]))
    }
}

impl Registers {
    /// Adds all that a sketch has.
    ///
    /// # Errors
    /// Its registers are damaged. Some of them may have been added.
    pub fn merge(&mut self, sketch: Sketch<'_>) -> Result<(), Refusal> {
        let raise = |registers: &mut [u8], rank: u8| registers.iter_mut().for_each(|old| *old = rank.max(*old));
        if sketch.is_dense() {
            for (index, register) in self.0.iter_mut().enumerate() {
                *register = dense::get(sketch.bytes, index).max(*register);
            }
            return Ok(());
        }
        let mut filled = 0;
        for run in sparse::runs(&sketch.bytes[HEADER_BYTES..]) {
            let run = run.ok_or(Refusal::DamagedSketch)?;
            let range = self.0.get_mut(filled..filled + run.length).ok_or(Refusal::DamagedSketch)?;
            raise(range, run.rank);
            filled += run.length;
        }
        if filled == REGISTERS { Ok(()) } else { Err(Refusal::DamagedSketch) }
    }

    /// The estimate of the number of elements.
    pub fn count(&self) -> u64 {
        estimate::count(&self.0)
    }
}

/// A sketch that is changed as a whole: a sparse one, of which nearly every change moves bytes.
#[derive(Clone, Debug)]
pub struct Editor {
    bytes: Vec<u8>,
    /// The most bytes of a sparse one.
    sparse_max: usize,
    /// Where a search for a register that is no earlier than the last one may begin.
    near: sparse::Near,
}

impl Editor {
    /// A sketch without elements, or a copy of one.
    pub fn of(sketch: Option<Sketch<'_>>, sparse_max: usize) -> Editor {
        let bytes = match sketch {
            Some(sketch) => sketch.bytes.to_vec(),
            None => {
                let mut bytes = vec![0; HEADER_BYTES];
                bytes[..MAGIC.len()].copy_from_slice(MAGIC);
                bytes[FORM_AT] = 1;
                sparse::push_zeros(&mut bytes, REGISTERS);
                bytes
            }
        };
        Editor { bytes, sparse_max, near: sparse::Near::default() }
    }

    /// Adds an element; returns whether that changed anything.
    ///
    /// # Errors
    /// The registers are damaged.
    pub fn add(&mut self, seen: Observation) -> Result<bool, Refusal> {
        self.near = sparse::Near::default();
        self.raise(seen)
    }

    /// Adds all of these registers.
    ///
    /// # Errors
    /// The registers are damaged.
    pub fn add_all(&mut self, registers: &Registers) -> Result<(), Refusal> {
        self.near = sparse::Near::default();
        for (index, rank) in registers.0.iter().enumerate().filter(|(_, rank)| **rank > 0) {
            self.raise(Observation { index, rank: *rank })?;
        }
        Ok(())
    }

    /// As [`Editor::add`], for a register that is no earlier than the last one.
    fn raise(&mut self, seen: Observation) -> Result<bool, Refusal> {
        if self.bytes[FORM_AT] == 1 {
            match sparse::raise(&mut self.bytes, seen, self.sparse_max, &mut self.near)? {
                sparse::Raised::Is(changed) => return Ok(changed),
                sparse::Raised::TooLarge => self.make_dense()?,
            }
        }
        let patch = dense::patch(&self.bytes, seen);
        if let Some((at, bytes)) = &patch {
            self.bytes[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Ok(patch.is_some())
    }

    /// Makes it dense.
    ///
    /// # Errors
    /// The registers are damaged.
    pub fn make_dense(&mut self) -> Result<(), Refusal> {
        let sketch = Sketch { bytes: &self.bytes };
        if sketch.is_dense() {
            return Ok(());
        }
        let mut registers = Registers::default();
        registers.merge(sketch)?;
        let mut bytes = vec![0; dense::BYTES];
        bytes[..HEADER_BYTES].copy_from_slice(&self.bytes[..HEADER_BYTES]);
        bytes[FORM_AT] = 0;
        for (index, rank) in registers.0.iter().enumerate().filter(|(_, rank)| **rank > 0) {
            if let Some((at, part)) = dense::patch(&bytes, Observation { index, rank: *rank }) {
                bytes[at..at + part.len()].copy_from_slice(&part);
            }
        }
        self.bytes = bytes;
        Ok(())
    }

    /// The sketch, whose cached count is marked as out of date if it `is_changed`.
    pub fn finish(mut self, is_changed: bool) -> Vec<u8> {
        if is_changed {
            self.bytes[STALE_AT] |= STALE;
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPARSE_MAX: usize = 3000;

    fn sketch_of(elements: impl Iterator<Item = u32>) -> Vec<u8> {
        let mut editor = Editor::of(None, SPARSE_MAX);
        let mut changed = false;
        elements
            .for_each(|element| changed |= editor.add(Observation::of(&element.to_le_bytes())).expect("it is whole"));
        editor.finish(changed)
    }

    fn registers(bytes: &[u8]) -> Vec<u8> {
        let mut registers = Registers::default();
        registers.merge(Sketch::of(bytes).expect("a sketch")).expect("it is whole");
        registers.0.to_vec()
    }

    #[test]
    fn the_estimate_is_near_the_number_of_elements() {
        for count in [0, 1, 10, 1_000, 20_000, 300_000] {
            let bytes = sketch_of(0..count);
            let estimate = Sketch::of(&bytes).and_then(Sketch::count).expect("a sketch") as f64;
            assert!((estimate - f64::from(count)).abs() <= f64::from(count) * 0.03, "{estimate} for {count}");
            assert_eq!(Sketch::of(&bytes).expect("a sketch").is_dense(), count > 2_000, "{count}");
        }
    }

    #[test]
    fn both_forms_have_the_same_registers() {
        for count in [1, 50, 700, 1_500] {
            let sparse = sketch_of(0..count);
            let mut editor = Editor::of(None, 0);
            (0..count).for_each(|element| assert!(editor.add(Observation::of(&element.to_le_bytes())).is_ok()));
            let dense = editor.finish(true);
            assert!(Sketch::of(&dense).expect("a sketch").is_dense());
            assert_eq!(registers(&sparse), registers(&dense));
        }
    }

    #[test]
    fn merging_registers_in_order_is_adding_them_one_by_one() {
        for (own, other) in [(0..300, 100..900), (0..0, 0..1_200), (0..500, 400..20_000)] {
            let (target, source) = (sketch_of(own), sketch_of(other));
            let mut all = Registers::default();
            all.merge(Sketch::of(&source).expect("a sketch")).expect("it is whole");
            let mut near = Editor::of(Some(Sketch::of(&target).expect("a sketch")), SPARSE_MAX);
            let mut far = near.clone();
            near.add_all(&all).expect("it is whole");
            for (index, rank) in all.0.iter().enumerate().filter(|(_, rank)| **rank > 0) {
                far.add(Observation { index, rank: *rank }).expect("it is whole");
            }
            assert_eq!(near.finish(true), far.finish(true));
        }
    }

    proptest! {
        #[test]
        fn damaged_sketches_are_refused_without_a_panic(
            runs in proptest::collection::vec(any::<u8>(), 0..60), cut in 0usize..20, element in any::<u32>(),
        ) {
            let mut bytes = sketch_of(0..3);
            bytes.truncate(HEADER_BYTES + cut.min(bytes.len() - HEADER_BYTES));
            bytes.extend(runs);
            bytes[STALE_AT] |= STALE;
            let sketch = Sketch::of(&bytes).expect("its header is well");
            let mut editor = Editor::of(Some(sketch), SPARSE_MAX);
            let _ = editor.add(Observation::of(&element.to_le_bytes()));
            let _ = editor.make_dense();
            prop_assert!(sketch.count().is_ok() || sketch.count() == Err(Refusal::DamagedSketch));
        }
    }

    #[test]
    fn what_has_no_header_is_no_sketch() {
        let dense = Editor::of(None, 0);
        let mut editor = dense.clone();
        editor.make_dense().expect("it is whole");
        let dense = editor.finish(false);
        let mut other = dense.clone();
        other[FORM_AT] = 2;
        for bytes in [&b""[..], b"HYLL", &dense[..dense.len() - 1], &other, b"HYLX\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"] {
            assert_eq!(Sketch::of(bytes).map(|_| ()), Err(Refusal::NotASketch));
        }
        assert!(Sketch::of(&dense).is_ok());
    }
}
