//! A value composed of its parts, as contained in `Rename` events and rows of snapshots.

use super::{Kind, Value, ValueRef};
use crate::collection::{End, HashValue, ListValue, Member, RedisStreamValue, SetValue, SortedValue, Thresholds};
use crate::limits::FIELD_END_MAX_MS;
use crate::number::{parse_f64, parse_u64};

impl Kind {
    /// The kind with this name; see [`Kind::name`].
    pub fn from_name(name: &[u8]) -> Option<Kind> {
        let kinds = [Kind::String, Kind::Hash, Kind::List, Kind::Set, Kind::Sorted, Kind::RedisStream];
        kinds.into_iter().find(|kind| kind.name().as_bytes() == name)
    }
}

/// The form of the parts of a hash whose fields have TTLs, or have had.
const TIMED_HASH: &str = "hashttl";

impl ValueRef<'_> {
    /// The word of a `Rename` event for the parts that follow: the kind's name, or `hashttl`.
    pub(crate) fn form(self) -> &'static str {
        match self {
            ValueRef::Hash(hash) if hash.is_timed() => TIMED_HASH,
            other => other.kind().name(),
        }
    }
}

impl Value {
    /// A value without parts, for those of this form.
    pub(crate) fn of_form(form: &[u8]) -> Option<Value> {
        if form == TIMED_HASH.as_bytes() {
            return Some(Value::Hash(HashValue::timed()));
        }
        Kind::from_name(form).map(Value::empty)
    }

    /// A value without parts, for those of another value.
    pub(crate) fn empty_as(other: ValueRef<'_>) -> Value {
        match other {
            ValueRef::Hash(hash) if hash.is_timed() => Value::Hash(HashValue::timed()),
            other => Value::empty(other.kind()),
        }
    }

    /// Whether it is a hash whose parts are field, value, end of TTL, ….
    pub(crate) fn is_timed(&self) -> bool {
        matches!(self, Value::Hash(hash) if hash.view().is_timed())
    }

    /// A value of this kind without parts. No key holds an empty collection: parts have to follow.
    pub(crate) fn empty(kind: Kind) -> Value {
        match kind {
            Kind::String => Value::Str(Vec::new()),
            Kind::Hash => Value::Hash(HashValue::default()),
            Kind::List => Value::List(ListValue::default()),
            Kind::Set => Value::Set(SetValue::default()),
            Kind::Sorted => Value::Sorted(SortedValue::default()),
            Kind::RedisStream => Value::RedisStream(RedisStreamValue::default()),
        }
    }

    /// Appends parts: bytes; field, value, … (of a timed hash: field, value, end of the TTL or 0, …); elements; members; score, member, …; items of a Redis stream. Returns whether
    /// they were valid: no field without a value, no duplicate field or member, no score that is no number, no item that does
    /// not fit the stream.
    pub(crate) fn add_parts<'p>(&mut self, parts: impl Iterator<Item = &'p [u8]>) -> bool {
        self.add_parts_within(parts, &Thresholds::default())
    }

    /// The same; the thresholds say what is stored compactly.
    pub(crate) fn add_parts_within<'p>(
        &mut self,
        mut parts: impl Iterator<Item = &'p [u8]>,
        thresholds: &Thresholds,
    ) -> bool {
        match self {
            Value::Str(bytes) => parts.for_each(|part| bytes.extend_from_slice(part)),
            Value::Hash(hash) => {
                while let Some(field) = parts.next() {
                    let Some(value) = parts.next() else { return false };
                    let end = if hash.view().is_timed() { parts.next().and_then(parse_u64) } else { Some(0) };
                    let Some(end) = end.filter(|&end| end <= FIELD_END_MAX_MS) else { return false };
                    if !hash.set(field, value, thresholds) {
                        return false;
                    }
                    if end != 0 {
                        hash.set_end(field, end, thresholds);
                    }
                }
            }
            Value::List(list) => parts.for_each(|element| list.push(End::Tail, element, thresholds)),
            Value::Set(set) => return parts.all(|member| set.insert(member, thresholds)),
            Value::Sorted(set) => {
                while let Some(score) = parts.next() {
                    let (Some(score), Some(member)) = (parse_f64(score), parts.next()) else { return false };
                    if !set.set(score, member, thresholds) {
                        return false;
                    }
                }
            }
            Value::RedisStream(stream) => return stream.add_parts(parts, thresholds),
        }
        true
    }

    /// Whether it is a collection without elements, which no key may hold.
    pub(crate) fn is_empty_collection(&self) -> bool {
        self.view().is_empty_collection()
    }
}

impl<'a> ValueRef<'a> {
    /// The parts that a `Rename` event contains after the key and the kind.
    pub fn parts(self) -> Vec<Member<'a>> {
        match self {
            ValueRef::Str(bytes) => vec![Member::of(bytes)],
            ValueRef::Hash(hash) if hash.is_timed() => hash.triples().flatten().collect(),
            ValueRef::Hash(hash) => hash.iter().flat_map(|(field, value)| [field, value]).map(Member::of).collect(),
            ValueRef::List(list) => list.iter().map(Member::of).collect(),
            ValueRef::Set(set) => set.iter().collect(),
            ValueRef::Sorted(set) => {
                set.iter().flat_map(|(member, score)| [Member::of_score(score), Member::of(member)]).collect()
            }
            ValueRef::RedisStream(stream) => stream.items().flatten().collect(),
        }
    }

    /// What these parts take in a record, in bytes.
    pub(crate) fn parts_bytes(self) -> u64 {
        match self {
            // It has more parts than its entries are long.
            ValueRef::RedisStream(stream) => stream.parts_bytes(),
            other => other.parts().iter().map(|part| part.len() as u64 + 4).sum(),
        }
    }

    /// Whether it is a collection without elements, which no key may hold.
    pub(crate) fn is_empty_collection(self) -> bool {
        match self {
            ValueRef::Str(_) => false,
            ValueRef::Hash(hash) => hash.is_empty(),
            ValueRef::List(list) => list.is_empty(),
            ValueRef::Set(set) => set.is_empty(),
            ValueRef::Sorted(set) => set.is_empty(),
            // A key may hold a stream without entries.
            ValueRef::RedisStream(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_rebuilt_from_its_parts() {
        for kind in [Kind::String, Kind::Hash, Kind::List, Kind::Set] {
            assert_eq!(Kind::from_name(kind.name().as_bytes()), Some(kind));
            let mut value = Value::empty(kind);
            assert!(value.add_parts([&b"b"[..], b"a"].into_iter()) && value.add_parts([&b"d"[..], b"c"].into_iter()));
            let mut again = Value::empty(kind);
            assert!(again.add_parts(value.view().parts().iter().map(|part| part.as_ref())));
            assert_eq!(again.view().parts().iter().map(|part| part.as_ref()).collect::<Vec<_>>().concat(), b"badc");
        }
        assert_eq!(Kind::from_name(b"other"), None);
        let mut value = Value::empty(Kind::from_name(b"zset").expect("sorted sets"));
        assert!(value.add_parts([&b"2.5"[..], b"b", b"-0", b"a"].into_iter()));
        let parts = value.view().parts();
        assert_eq!(parts.iter().map(|part| part.as_ref()).collect::<Vec<_>>(), [&b"-0"[..], b"a", b"2.5", b"b"]);
    }

    #[test]
    fn invalid_parts_are_refused() {
        assert!(!Value::empty(Kind::Hash).add_parts([&b"field"[..]].into_iter()));
        assert!(!Value::empty(Kind::Hash).add_parts([&b"f"[..], b"1", b"f", b"2"].into_iter()));
        assert!(!Value::empty(Kind::Set).add_parts([&b"m"[..], b"m"].into_iter()));
        for parts in [&[&b"1"[..]][..], &[b"1", b"m", b"2", b"m"], &[b"nan", b"m"], &[b"", b"m"]] {
            assert!(!Value::empty(Kind::Sorted).add_parts(parts.iter().copied()));
        }
    }
}
