//! Intersection, union and difference of sets at several keys.

use super::Shards;
use crate::collection::{Bytes, Member, SetRef};
use crate::error::Refusal;
use crate::ring::record_bytes;
use indexmap::IndexSet;

impl Shards<'_> {
    /// The sets at several keys, `None` for a missing key; refused if one holds another type.
    pub fn sets<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<Vec<Option<SetRef<'_>>>, Refusal> {
        for key in keys.clone() {
            self.of(key).members(key)?;
        }
        Ok(keys.map(|key| self.peek(key).peek_members(key)).collect())
    }

    /// Replaces whatever a key holds by a set of these members, which differ; deletes the key if there are none.
    pub fn store_members(&mut self, target: &[u8], members: &[Bytes]) -> Result<(), Refusal> {
        let records: u64 = members.iter().map(|member| record_bytes(target.len(), member.len())).sum();
        self.admit(std::iter::once((target, records + record_bytes(target.len(), 0))))?;
        let shard = self.of(target);
        shard.delete(target);
        if members.is_empty() {
            return Ok(());
        }
        let mut entry = shard.write(target);
        for member in members {
            entry.set_add(member)?;
        }
        Ok(())
    }
}

/// The members of all these sets, at most `limit`. At least one set.
pub fn intersection<'s>(sets: &[Option<SetRef<'s>>], limit: usize) -> Vec<Member<'s>> {
    let length = |set: &Option<SetRef<'_>>| set.map_or(0, SetRef::len);
    let smallest = sets.iter().enumerate().min_by_key(|(_, set)| length(set));
    let Some((at, Some(smallest))) = smallest else { return Vec::new() };
    let others = || sets.iter().enumerate().filter(|(other, _)| *other != at).filter_map(|(_, set)| *set);
    smallest.iter().filter(|member| others().all(|set| set.contains(member))).take(limit).collect()
}

/// The members that at least one of these sets has, each once.
pub fn union<'s>(sets: &[Option<SetRef<'s>>]) -> Vec<Member<'s>> {
    let mut seen: IndexSet<Member<'s>, foldhash::fast::RandomState> = IndexSet::default();
    seen.extend(sets.iter().flatten().flat_map(|set| set.iter()));
    seen.into_iter().collect()
}

/// The members of the first of these sets that are in no other.
pub fn difference<'s>(sets: &[Option<SetRef<'s>>]) -> Vec<Member<'s>> {
    let Some((Some(first), others)) = sets.split_first() else { return Vec::new() };
    first.iter().filter(|member| !others.iter().flatten().any(|set| set.contains(member))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::{SetValue, Thresholds};

    fn set(members: &[&str]) -> SetValue {
        let mut set = SetValue::default();
        members.iter().for_each(|member| assert!(set.insert(member.as_bytes(), &Thresholds::default())));
        set
    }

    fn texts<'s>(members: Vec<Member<'s>>) -> Vec<String> {
        members.iter().map(|member| String::from_utf8_lossy(member).into_owned()).collect()
    }

    #[test]
    fn a_key_that_does_not_exist_is_an_empty_set() {
        let (abc, bcd) = (set(&["a", "b", "c"]), set(&["b", "c", "d"]));
        let both = [Some(abc.view()), Some(bcd.view())];
        assert_eq!(texts(intersection(&both, usize::MAX)), ["b", "c"]);
        assert_eq!(texts(intersection(&both, 1)), ["b"]);
        assert_eq!(texts(union(&both)), ["a", "b", "c", "d"]);
        assert_eq!(texts(difference(&both)), ["a"]);
        let with_none = [Some(abc.view()), None, Some(bcd.view())];
        assert!(intersection(&with_none, usize::MAX).is_empty());
        assert_eq!(texts(union(&with_none)), ["a", "b", "c", "d"]);
        assert_eq!(texts(difference(&with_none)), ["a"]);
        assert!(difference(&[None, Some(abc.view())]).is_empty());
        assert_eq!(intersection(&[Some(abc.view()), Some(abc.view())], usize::MAX).len(), 3);
        assert!(difference(&[Some(abc.view()), Some(abc.view())]).is_empty());
    }
}
