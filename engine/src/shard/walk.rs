//! The steps of HSCAN and SSCAN: which places of a collection a call visits.
//!
//! A large collection is walked from its highest place downward. A removal never moves an element to a higher place
//! and an insertion takes a new highest one, so an element that is there all the time never gets from the part that is
//! still to be walked into the part that was: it is seen.

use crate::limits::SCAN_WHOLE_MAX;
use std::ops::Range;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The places to visit.
    pub places: Range<usize>,
    /// The cursor of the next step; 0 = this was the last.
    pub next: u64,
}

/// The step at a cursor over a collection of `length` elements: about `count` of them (1 at the least), or all where
/// the collection is small. Cursor 0 is the start, any other the number of places that are left.
pub fn walk(cursor: u64, count: usize, length: usize) -> Walk {
    if length <= SCAN_WHOLE_MAX {
        return Walk { places: 0..length, next: 0 };
    }
    let end = if cursor == 0 { length } else { usize::try_from(cursor).unwrap_or(length).min(length) };
    let start = end.saturating_sub(count.max(1));
    Walk { places: start..end, next: start as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indexmap::IndexSet;
    use std::collections::HashSet;

    #[test]
    fn a_small_collection_is_one_step_whatever_the_cursor() {
        assert_eq!(walk(0, 1, SCAN_WHOLE_MAX), Walk { places: 0..SCAN_WHOLE_MAX, next: 0 });
        assert_eq!(walk(77, 10, 3), Walk { places: 0..3, next: 0 });
        assert_eq!(walk(0, 10, 0), Walk { places: 0..0, next: 0 });
    }

    #[test]
    fn steps_go_down_and_end_at_0() {
        assert_eq!(walk(0, 10, 1000), Walk { places: 990..1000, next: 990 });
        assert_eq!(walk(990, 10, 1000), Walk { places: 980..990, next: 980 });
        assert_eq!(walk(4, 10, 1000), Walk { places: 0..4, next: 0 });
        assert_eq!(walk(u64::MAX, usize::MAX, 1000), Walk { places: 0..1000, next: 0 });
    }

    #[test]
    fn what_is_there_all_the_time_is_seen_whatever_else_comes_and_goes() {
        let mut rng = fastrand::Rng::with_seed(3);
        for round in 0..50 {
            let mut set: IndexSet<usize> = (0..600).collect();
            let (mut seen, mut cursor) = (HashSet::new(), 0);
            let mut fresh = 10_000;
            loop {
                let step = walk(cursor, 7, set.len());
                seen.extend(step.places.map(|place| set[place]));
                if step.next == 0 {
                    break;
                }
                cursor = step.next;
                for _ in 0..rng.usize(..20) {
                    // Multiples of three stay; everything else may go, in the ways in which members are removed.
                    let victim = set[rng.usize(..set.len())];
                    if !victim.is_multiple_of(3) || victim >= 10_000 {
                        if set.len() <= SCAN_WHOLE_MAX {
                            set.shift_remove(&victim)
                        } else {
                            set.swap_remove(&victim)
                        };
                    }
                    if rng.bool() {
                        set.insert(fresh);
                        fresh += 1;
                    }
                }
            }
            assert!((0..600).step_by(3).all(|member| seen.contains(&member)), "round {round}");
        }
    }
}
