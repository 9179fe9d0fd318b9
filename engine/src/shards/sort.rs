//! SORT: the elements of a list, set or sorted set in another order, and what other keys have for each of them.

use super::Shards;
use crate::collection::{Bytes, End};
use crate::error::Refusal;
use crate::keyspace::ValueRef;
use crate::number::parse_weight;
use crate::ring::record_bytes;
use std::cmp::Ordering;

/// What is sorted, how, and what is returned.
#[derive(Clone, Debug)]
pub struct Sort<'a> {
    /// The pattern of what the elements are sorted by. Without a `*` they stay in their order.
    pub by: Option<&'a [u8]>,
    /// How many elements are skipped; none below 0.
    pub start: i64,
    /// How many are returned; all below 0.
    pub count: i64,
    /// The patterns of what is returned for each element; without any, the element.
    pub get: Vec<&'a [u8]>,
    /// Whether the greatest comes first.
    pub is_reversed: bool,
    /// Whether bytes are compared, not numbers.
    pub is_by_bytes: bool,
    /// Whether even the members of a set, which have no order, must come in a fixed one.
    pub is_fixed: bool,
}

impl Shards<'_> {
    /// Sorts what is at a key. Keys that patterns name are looked up on the shards at hand, which have to be all if there
    /// are patterns with a `*`.
    ///
    /// # Errors
    /// The key holds neither a list nor a set nor a sorted set, or a number is none.
    pub fn sort(&mut self, key: &[u8], sort: &Sort<'_>) -> Result<Vec<Option<Bytes>>, Refusal> {
        let (mut elements, has_order): (Vec<Bytes>, bool) = match self.of(key).value(key) {
            None => (Vec::new(), true),
            Some(ValueRef::List(list)) => (list.iter().map(Bytes::from_slice).collect(), true),
            Some(ValueRef::Set(set)) => (set.iter().map(|member| member.to_bytes()).collect(), false),
            Some(ValueRef::Sorted(set)) => (set.iter().map(|(member, _)| Bytes::from_slice(member)).collect(), true),
            Some(ValueRef::Str(_) | ValueRef::Hash(_) | ValueRef::RedisStream(_)) => return Err(Refusal::WrongType),
        };
        match sort.by {
            Some(pattern) if pattern.contains(&b'*') => self.order_by(&mut elements, Some(pattern), sort)?,
            Some(_) if has_order && sort.is_reversed => elements.reverse(),
            Some(_) if has_order || !sort.is_fixed => {}
            Some(_) => self.order_by(&mut elements, None, &Sort { is_by_bytes: true, ..sort.clone() })?,
            None => self.order_by(&mut elements, None, sort)?,
        }
        let skipped = usize::try_from(sort.start).unwrap_or(0);
        let count = usize::try_from(sort.count).unwrap_or(usize::MAX);
        let wanted = elements.into_iter().skip(skipped).take(count);
        if sort.get.is_empty() {
            return Ok(wanted.map(Some).collect());
        }
        let mut results = Vec::new();
        for element in wanted {
            results.extend(sort.get.iter().map(|pattern| self.by_pattern(pattern, &element)));
        }
        Ok(results)
    }

    /// Sorts elements by themselves or by what a pattern names; of two with the same number the lesser one comes first.
    fn order_by(&mut self, elements: &mut Vec<Bytes>, pattern: Option<&[u8]>, sort: &Sort<'_>) -> Result<(), Refusal> {
        let mut weight = |element: &Bytes| match pattern {
            Some(pattern) => self.by_pattern(pattern, element),
            None => Some(element.clone()),
        };
        let direct = |order: Ordering| if sort.is_reversed { order.reverse() } else { order };
        if sort.is_by_bytes {
            let mut weighted: Vec<(Option<Bytes>, Bytes)> =
                elements.drain(..).map(|element| (weight(&element), element)).collect();
            weighted.sort_by(|(a, _), (b, _)| direct(a.cmp(b)));
            elements.extend(weighted.into_iter().map(|(_, element)| element));
            return Ok(());
        }
        let number = |element: Bytes| match weight(&element) {
            Some(text) => parse_weight(&text).map(|number| (number, element)).ok_or(Refusal::WeightNotAFloat),
            // What has no number counts as 0.
            None => Ok((0.0, element)),
        };
        let mut weighted: Vec<(f64, Bytes)> = elements.drain(..).map(number).collect::<Result<_, _>>()?;
        weighted.sort_by(|(a, one), (b, other)| {
            direct(a.partial_cmp(b).unwrap_or(Ordering::Equal).then_with(|| one.cmp(other)))
        });
        elements.extend(weighted.into_iter().map(|(_, element)| element));
        Ok(())
    }

    /// What a pattern names for an element: the element itself for `#`, else the string at the key that the pattern is with
    /// the element in the place of its first `*`, or the field behind `->` of the hash there.
    fn by_pattern(&mut self, pattern: &[u8], element: &[u8]) -> Option<Bytes> {
        if pattern == b"#" {
            return Some(Bytes::from_slice(element));
        }
        let star = pattern.iter().position(|&byte| byte == b'*')?;
        let behind = &pattern[star + 1..];
        let arrow = behind.windows(2).position(|two| two == b"->").filter(|at| at + 2 < behind.len());
        let (rest, field) = match arrow {
            Some(at) => (&behind[..at], Some(&behind[at + 2..])),
            None => (behind, None),
        };
        let key = [&pattern[..star], element, rest].concat();
        let shard = self.of(&key);
        let now_ms = shard.turn().now_ms();
        match (shard.value(&key)?, field) {
            (ValueRef::Hash(hash), Some(field)) => hash.live(now_ms).get(field).map(Bytes::from_slice),
            (ValueRef::Str(bytes), None) => Some(Bytes::from_slice(bytes)),
            _ => None,
        }
    }

    /// Replaces whatever a key holds by a list of these elements; deletes the key if there are none.
    pub fn store_elements(&mut self, target: &[u8], elements: &[Bytes]) -> Result<(), Refusal> {
        let records: u64 = elements.iter().map(|element| record_bytes(target.len(), element.len())).sum();
        self.admit(std::iter::once((target, records + record_bytes(target.len(), 0))))?;
        let shard = self.of(target);
        shard.delete(target);
        if elements.is_empty() {
            return Ok(());
        }
        let mut entry = shard.write(target);
        for element in elements {
            entry.list_push(End::Tail, element)?;
        }
        Ok(())
    }
}
