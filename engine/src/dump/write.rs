//! Writes values in plain forms, streams in that of Redis 7.0, hashes whose fields have TTLs in that of Redis 7.4.

use super::read::{HASH, HASH_TTLS, LIST, SET, SORTED, STRING};
use super::stream;
use crate::keyspace::ValueRef;

/// A type and its value.
pub fn value(value: ValueRef<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        ValueRef::Str(bytes) => {
            out.push(STRING);
            string(&mut out, bytes);
        }
        ValueRef::Hash(hash) if let Some((_, first)) = hash.first_end() => {
            out.push(HASH_TTLS);
            out.extend(first.to_le_bytes());
            length(&mut out, hash.len());
            for (field, value) in hash.iter() {
                // Behind the first one, which is 1; without a TTL 0.
                length(&mut out, hash.end(field).map_or(0, |end| (end - first + 1) as usize));
                string(&mut out, field);
                string(&mut out, value);
            }
        }
        ValueRef::Hash(hash) => {
            out.push(HASH);
            length(&mut out, hash.len());
            hash.iter().flat_map(|(field, value)| [field, value]).for_each(|part| string(&mut out, part));
        }
        ValueRef::List(list) => {
            out.push(LIST);
            length(&mut out, list.len());
            list.iter().for_each(|element| string(&mut out, element));
        }
        ValueRef::Set(set) => {
            out.push(SET);
            length(&mut out, set.len());
            set.iter().for_each(|member| string(&mut out, &member));
        }
        ValueRef::Sorted(set) => {
            out.push(SORTED);
            length(&mut out, set.len());
            for (member, score) in set.iter() {
                string(&mut out, member);
                out.extend(score.to_le_bytes());
            }
        }
        ValueRef::RedisStream(of_redis) => {
            out.push(stream::SECOND);
            stream::write(&mut out, of_redis);
        }
    }
    out
}

pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// A length in 6, 14, 32 or 64 bits.
pub fn length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..0x40 => out.push(length as u8),
        0x40..0x4000 => out.extend([0x40 | (length >> 8) as u8, length as u8]),
        0x4000..0x1_0000_0000 => {
            out.push(0x80);
            out.extend((length as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend((length as u64).to_be_bytes());
        }
    }
}
