//! Random selection of a collection's elements, for HRANDFIELD, SRANDMEMBER and SPOP.

use indexmap::IndexSet;

/// How elements are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// This many different ones, or all if there are fewer.
    Distinct(usize),
    /// This many, each drawn from all.
    Repeated(usize),
}

impl Draw {
    /// The drawn indexes of a collection of `length` elements, in no order.
    pub(super) fn places(self, length: usize, rng: &mut fastrand::Rng) -> Vec<usize> {
        match self {
            Draw::Distinct(count) if count >= length => (0..length).collect(),
            // Robert Floyd's sampling: as many random numbers as indexes, however long the collection is.
            Draw::Distinct(count) => {
                let mut drawn = IndexSet::with_capacity_and_hasher(count, foldhash::fast::RandomState::default());
                for last in length - count..length {
                    if !drawn.insert(rng.usize(..=last)) {
                        drawn.insert(last);
                    }
                }
                drawn.into_iter().collect()
            }
            Draw::Repeated(_) if length == 0 => Vec::new(),
            Draw::Repeated(count) => (0..count).map(|_| rng.usize(..length)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn distinct_places_are_distinct_and_every_place_is_drawn_sooner_or_later() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut seen = HashSet::new();
        for count in 0..=20 {
            for _ in 0..50 {
                let places = Draw::Distinct(count).places(17, &mut rng);
                assert_eq!(places.len(), count.min(17));
                assert_eq!(places.iter().collect::<HashSet<_>>().len(), places.len());
                assert!(places.iter().all(|&place| place < 17));
                if count == 1 {
                    seen.extend(places);
                }
            }
        }
        assert!(seen.len() > 12, "one of 17 drawn 50 times: {seen:?}");
    }

    #[test]
    fn repeated_places_are_as_many_as_asked_for() {
        let mut rng = fastrand::Rng::with_seed(7);
        assert_eq!(Draw::Repeated(100).places(3, &mut rng).len(), 100);
        assert_eq!(Draw::Repeated(100).places(0, &mut rng).len(), 0);
    }
}
