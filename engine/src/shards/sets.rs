//! Intersection, union and difference of sets at several keys.

use super::Shards;
use crate::error::Refusal;
use crate::keyspace::SetValue;
use indexmap::IndexSet;

impl Shards<'_> {
    /// The sets at several keys, `None` for a missing key; refused if one holds another type.
    pub fn sets<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<Vec<Option<&SetValue>>, Refusal> {
        for key in keys.clone() {
            self.of(key).members(key)?;
        }
        Ok(keys.map(|key| self.peek(key).peek_members(key)).collect())
    }
}

/// The members of all these sets, at most `limit`. At least one set.
pub fn intersection<'s>(sets: &[Option<&'s SetValue>], limit: usize) -> Vec<&'s [u8]> {
    let smallest = sets.iter().min_by_key(|set| set.map_or(0, |set| set.len())).copied().flatten();
    let Some(smallest) = smallest else { return Vec::new() };
    let others = || sets.iter().flatten().filter(|set| !std::ptr::eq(**set, smallest));
    let common = smallest.iter().filter(|member| others().all(|set| set.contains(*member)));
    common.map(|member| member.as_slice()).take(limit).collect()
}

/// The members that at least one of these sets has, each once.
pub fn union<'s>(sets: &[Option<&'s SetValue>]) -> Vec<&'s [u8]> {
    let mut seen: IndexSet<&'s [u8], foldhash::fast::RandomState> = IndexSet::default();
    seen.extend(sets.iter().flatten().flat_map(|set| set.iter()).map(|member| member.as_slice()));
    seen.into_iter().collect()
}

/// The members of the first of these sets that are in no other.
pub fn difference<'s>(sets: &[Option<&'s SetValue>]) -> Vec<&'s [u8]> {
    let Some((Some(first), others)) = sets.split_first() else { return Vec::new() };
    let alone = first.iter().filter(|member| !others.iter().flatten().any(|set| set.contains(*member)));
    alone.map(|member| member.as_slice()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Bytes;

    fn set(members: &[&str]) -> SetValue {
        members.iter().map(|member| Bytes::from_slice(member.as_bytes())).collect()
    }

    #[test]
    fn a_key_that_does_not_exist_is_an_empty_set() {
        let (abc, bcd) = (set(&["a", "b", "c"]), set(&["b", "c", "d"]));
        let both = [Some(&abc), Some(&bcd)];
        assert_eq!(intersection(&both, usize::MAX), [b"b", b"c"]);
        assert_eq!(intersection(&both, 1), [b"b"]);
        assert_eq!(union(&both), [b"a", b"b", b"c", b"d"]);
        assert_eq!(difference(&both), [b"a"]);
        let with_none = [Some(&abc), None, Some(&bcd)];
        assert!(intersection(&with_none, usize::MAX).is_empty());
        assert_eq!(union(&with_none), [b"a", b"b", b"c", b"d"]);
        assert_eq!(difference(&with_none), [b"a"]);
        assert!(difference(&[None, Some(&abc)]).is_empty());
        assert_eq!(intersection(&[Some(&abc), Some(&abc)], usize::MAX).len(), 3);
        assert!(difference(&[Some(&abc), Some(&abc)]).is_empty());
    }
}
