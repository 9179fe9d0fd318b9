//! The steps of SCAN, HSCAN, SSCAN and ZSCAN: the work of a call, and the places of a collection that it visits.
//!
//! A large collection is walked from its highest place downward. A removal never moves an element to a higher place and
//! an insertion takes a new highest one, so an element that is present throughout never moves from the part that is
//! still to be walked to the part that was: it is visited.

use crate::collection::{HashRef, Member, SetRef, SortedRef};
use crate::filter::Glob;
use crate::limits::{SCAN_CALL_BYTES, SCAN_ELEMENT_BYTES, SCAN_SEARCHED_TIMES, SCAN_WHOLE_MAX};
use std::ops::Range;

/// The remaining budget of a scan's call, which ends after a number of elements, or sooner if they are large, see
/// [`SCAN_CALL_BYTES`].
#[derive(Clone, Debug)]
pub struct ScanBudget {
    elements: usize,
    bytes: usize,
    times: usize,
}

impl ScanBudget {
    /// The budget of a call that should examine about `count` elements, whose names are matched against `glob`.
    pub fn new(count: usize, glob: Option<&Glob>) -> ScanBudget {
        let times = if glob.is_some_and(Glob::is_searched) { SCAN_SEARCHED_TIMES } else { 1 };
        ScanBudget { elements: count, bytes: SCAN_CALL_BYTES, times }
    }

    /// Charges an element with a name of `name_bytes` and a value of `value_bytes`. Returns whether anything is left.
    pub fn charge(&mut self, name_bytes: usize, value_bytes: usize) -> bool {
        let bytes = name_bytes.saturating_mul(self.times).saturating_add(value_bytes);
        self.elements = self.elements.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes.saturating_add(SCAN_ELEMENT_BYTES));
        self.elements > 0 && self.bytes > 0
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The places to visit.
    pub places: Range<usize>,
    /// The cursor of the next step; 0 = this was the last.
    pub next: u64,
    /// Whether the collection is small: then all of it is one indivisible step.
    pub is_whole: bool,
}

/// The step at a cursor over a collection of `length` elements: about `count` of them (at least 1), or all if the
/// collection is small, or stored compactly. Cursor 0 is the start, any other is the number of places that are left. The places of a large
/// collection may be visited from the last one down, and a call may end before the first: the cursor of the next step
/// is then the place at which it ended.
pub fn walk(cursor: u64, count: usize, length: usize, is_compact: bool) -> Walk {
    if is_compact || length <= SCAN_WHOLE_MAX {
        return Walk { places: 0..length, next: 0, is_whole: true };
    }
    let end = if cursor == 0 { length } else { usize::try_from(cursor).unwrap_or(length).min(length) };
    let start = end.saturating_sub(count.max(1));
    Walk { places: start..end, next: start as u64, is_whole: false }
}

/// A collection that HSCAN, SSCAN or ZSCAN walks over.
pub trait Walked: Copy {
    /// The words of an element, its name first.
    type Words;

    /// The number of places.
    fn length(self) -> usize;

    /// Whether it is stored compactly.
    fn is_compact(self) -> bool;

    /// All elements.
    fn all(self) -> impl Iterator<Item = Self::Words>;

    /// The element at a place, if one is to be seen there.
    fn element(self, place: usize) -> Option<Self::Words>;
}

impl<'a> Walked for HashRef<'a> {
    type Words = [&'a [u8]; 2];

    fn length(self) -> usize {
        self.places()
    }

    fn is_compact(self) -> bool {
        HashRef::is_compact(self)
    }

    fn all(self) -> impl Iterator<Item = [&'a [u8]; 2]> {
        self.iter().map(|(field, value)| [field, value])
    }

    fn element(self, place: usize) -> Option<[&'a [u8]; 2]> {
        self.at(place).map(|(field, value)| [field, value])
    }
}

impl<'a> Walked for SetRef<'a> {
    type Words = [Member<'a>; 1];

    fn length(self) -> usize {
        self.len()
    }

    fn is_compact(self) -> bool {
        SetRef::is_compact(self)
    }

    fn all(self) -> impl Iterator<Item = [Member<'a>; 1]> {
        self.iter().map(|member| [member])
    }

    fn element(self, place: usize) -> Option<[Member<'a>; 1]> {
        self.at(place).map(|member| [member])
    }
}

impl<'a> Walked for SortedRef<'a> {
    type Words = [Member<'a>; 2];

    fn length(self) -> usize {
        self.len()
    }

    fn is_compact(self) -> bool {
        SortedRef::is_compact(self)
    }

    fn all(self) -> impl Iterator<Item = [Member<'a>; 2]> {
        let score = if SortedRef::is_compact(self) { compact_score } else { Member::of_score };
        self.iter().map(move |(member, of)| [Member::of(member), score(of)])
    }

    fn element(self, place: usize) -> Option<[Member<'a>; 2]> {
        self.at(place).map(|(member, score)| [Member::of(member), Member::of_score(score)])
    }
}

/// The text of a score of a compact set: Redis has whole numbers up to 2^62 as such there, and shows all of their digits.
fn compact_score<'a>(score: f64) -> Member<'a> {
    let is_whole = score.abs() <= (1u64 << 62) as f64 && score == score.trunc();
    if is_whole { Member::of_integer(score as i64) } else { Member::of_score(score) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::{SetValue, Thresholds};
    use std::collections::HashSet;

    #[test]
    fn a_small_collection_is_one_step_whatever_the_cursor() {
        let whole = |places| Walk { places, next: 0, is_whole: true };
        assert_eq!(walk(0, 1, SCAN_WHOLE_MAX, false), whole(0..SCAN_WHOLE_MAX));
        assert_eq!(walk(77, 10, 3, false), whole(0..3));
        assert_eq!(walk(0, 10, 0, false), whole(0..0));
        assert_eq!(walk(0, 10, 9_999, true), whole(0..9_999));
    }

    #[test]
    fn steps_go_down_and_end_at_0() {
        let part = |places: Range<usize>| Walk { next: places.start as u64, places, is_whole: false };
        assert_eq!(walk(0, 10, 1000, false), part(990..1000));
        assert_eq!(walk(990, 10, 1000, false), part(980..990));
        assert_eq!(walk(4, 10, 1000, false), part(0..4));
        assert_eq!(walk(u64::MAX, usize::MAX, 1000, false), part(0..1000));
    }

    #[test]
    fn a_call_ends_after_so_many_elements_or_so_much_work() {
        let taken = |budget: &mut ScanBudget, name, value| {
            1 + std::iter::from_fn(|| budget.charge(name, value).then_some(())).count()
        };
        assert_eq!(taken(&mut ScanBudget::new(10, None), 30, 0), 10);
        assert_eq!(taken(&mut ScanBudget::new(usize::MAX, None), 0, 0), SCAN_CALL_BYTES / SCAN_ELEMENT_BYTES);
        assert_eq!(taken(&mut ScanBudget::new(100, None), usize::MAX, usize::MAX), 1);
        let (literal, searched) = (Glob::new(b"a*").unwrap(), Glob::new(b"*a*").unwrap());
        let of = |glob| taken(&mut ScanBudget::new(usize::MAX, Some(glob)), 8192, 0);
        let bytes = |times| 8192 * times + SCAN_ELEMENT_BYTES;
        assert_eq!(of(&literal), SCAN_CALL_BYTES.div_ceil(bytes(1)));
        assert_eq!(of(&searched), SCAN_CALL_BYTES.div_ceil(bytes(SCAN_SEARCHED_TIMES)));
    }

    #[test]
    fn an_element_that_stays_is_visited_whatever_else_is_added_or_removed() {
        let mut rng = fastrand::Rng::with_seed(3);
        for round in 0..200 {
            // Some sets become compact on the way, and large again; in some rounds all that stay are integers.
            let (most, kept) = ([0, 32, 400][round % 3], [20, 600][rng.usize(..2)]);
            let thresholds = Thresholds { set_integers: most, set_entries: most, ..Thresholds::default() };
            let name = |n: usize| if round % 2 == 0 { format!("{n}") } else { format!("m{n}") };
            let mut set = SetValue::default();
            (0..600).for_each(|n| assert!(set.insert(name(n).as_bytes(), &thresholds)));
            let (mut seen, mut cursor) = (HashSet::new(), 0);
            let mut fresh = 10_000;
            loop {
                let view = set.view();
                let step = walk(cursor, 7, view.len(), view.is_compact());
                seen.extend(step.places.filter_map(|place| view.at(place)).map(|member| member.to_vec()));
                if step.next == 0 {
                    break;
                }
                cursor = step.next;
                // Grows by a few, or a lot; or shrinks.
                for _ in 0..[20, 800][rng.usize(..2)] {
                    // Those below `kept` stay if they are multiples of three; all others may be removed.
                    let victim = set.view().at(rng.usize(..set.view().len())).expect("it is one of them").to_bytes();
                    let number: usize = name(0)
                        .len()
                        .checked_sub(1)
                        .map_or(0, |prefix| String::from_utf8_lossy(&victim[prefix..]).parse().expect("a number"));
                    if !number.is_multiple_of(3) || number >= kept {
                        assert!(set.remove(&victim, &thresholds));
                    }
                    if rng.u8(..4) == 0 {
                        assert!(set.insert(name(fresh).as_bytes(), &thresholds));
                        fresh += 1;
                    }
                }
            }
            assert!((0..kept).step_by(3).all(|n| seen.contains(name(n).as_bytes())), "round {round}");
        }
    }
}
