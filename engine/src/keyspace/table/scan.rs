//! Visits the names of a table in the order of their hashes, so that SCAN's guarantee holds with a plain number as
//! cursor: a hash never changes, so a name that is present throughout is visited whatever is split or merged meanwhile.

use super::segment::HOME_BITS;
use super::word::{Pointed, Word};
use super::{Table, hash_with};

/// A scan's rank is the hash without its lowest bits, so that a cursor has room for a shard's number.
const ORDER_BITS: u32 = 48;
const ORDER_SHIFT: u32 = 64 - ORDER_BITS;

impl<P: Pointed> Table<P> {
    /// The rank of a hash in the order of [`Table::scan`]: a scan with a greater cursor has visited it.
    pub(crate) fn order(hash: u64) -> u64 {
        hash >> ORDER_SHIFT
    }

    /// Visits entries from `from` on in the order of their hashes, until `visit` returns false: entries with the same
    /// rank as the last one are visited too. Returns where to continue, `None` at the end. The ranks have 48 bits.
    pub(crate) fn scan<'a>(&'a self, from: u64, mut visit: impl FnMut(P::View<'a>) -> bool) -> Option<u64> {
        let mut from = from;
        let mut goes_on = true;
        let mut found: Vec<(u64, P::View<'a>)> = Vec::new();
        loop {
            let segment = self.segment(from << ORDER_SHIFT);
            let prefix_shift = ORDER_BITS - segment.depth();
            let prefix = from >> prefix_shift << prefix_shift;
            let first_line = segment.home(segment.tag(from << ORDER_SHIFT));
            for line in first_line..segment.line_count() {
                segment.prefetch_names_of(line + 1);
                let views = segment.spots_of(line).filter_map(|spot| segment.word(spot).view());
                found.clear();
                found.extend(views.map(|view| (Self::order(hash_with(&self.hasher, P::name(view))), view)));
                found.retain(|row| row.0 >= from);
                found.sort_unstable_by_key(|row| row.0);
                let mut last = None;
                for &(order, view) in &found {
                    if !goes_on && last != Some(order) {
                        return Some(order);
                    }
                    goes_on = visit(view) && goes_on;
                    last = Some(order);
                }
                if !goes_on && line + 1 < segment.line_count() {
                    // Two lines of a rank each would have to be narrower than a rank.
                    return Some(prefix | segment.first_home_bits(line + 1) << (prefix_shift - HOME_BITS));
                }
            }
            // The segment is done: continue with the first rank behind its prefix.
            from = prefix + (1 << prefix_shift);
            if from >= 1 << ORDER_BITS {
                return None;
            }
            if !goes_on {
                return Some(from);
            }
        }
    }

    /// The entries of a segment chosen by a random number, or of the one `step` places after it: for a random entry.
    pub(crate) fn segment_from(&self, random: u64, step: u64) -> Option<impl Iterator<Item = P::View<'_>>> {
        if step >> self.deepest != 0 {
            return None;
        }
        // At depth 0 there is one place, and a shift by 64 would overflow.
        let place = random.wrapping_add(step) & ((1 << self.deepest) - 1);
        let hash = (place << 1) << (63 - self.deepest);
        Some(self.segment(hash).words().filter_map(Word::view))
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = P::View<'_>> {
        self.segments().flat_map(|segment| segment.words()).filter_map(Word::view)
    }
}
