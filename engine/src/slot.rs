//! Maps a key to its slot and its shard. The slot is Redis Cluster's, so that cluster-aware clients and a later cluster
//! agree with today's data.

use crate::position::ShardId;
use crate::stream_metadata::described_stream;
use memchr::memchr;

/// The number of slots, as in Redis Cluster.
pub const SLOT_COUNT: u16 = 16384;

/// The hash class of a key, below [`SLOT_COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

/// CRC16 in the XMODEM form (polynomial 0x1021, no reflection): `CRC16[n][byte]` is that of a byte followed by `n` zero
/// bytes, so that four bytes take four independent look-ups.
const CRC16: [[u16; 256]; 4] = {
    let mut tables = [[0u16; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < 4 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[n - 1][byte];
            tables[n][byte] = (crc << 8) ^ tables[0][(crc >> 8) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
};

fn crc16(bytes: &[u8]) -> u16 {
    let (fours, rest) = bytes.as_chunks::<4>();
    let crc = fours.iter().fold(0u16, |crc, &[a, b, c, d]| {
        let [high, low] = crc.to_be_bytes();
        CRC16[3][(high ^ a) as usize] ^ CRC16[2][(low ^ b) as usize] ^ CRC16[1][c as usize] ^ CRC16[0][d as usize]
    });
    rest.iter().fold(crc, |crc, &byte| (crc << 8) ^ CRC16[0][((crc >> 8) as u8 ^ byte) as usize])
}

impl Slot {
    /// The slot of a key: of its hash tag, the text between the first `{` and the next `}` if not empty, else of the
    /// whole key. A stream's metadata, `$$<stream>`, has the slot of that stream, so that one shard has both; only there it
    /// differs from Redis Cluster's.
    #[inline]
    pub fn of(key: &[u8]) -> Slot {
        Slot(crc16(hash_tag(described_stream(key).unwrap_or(key))) % SLOT_COUNT)
    }

    /// The shard that owns this slot among `shards`. Shards have contiguous runs of slots of equal length.
    pub fn shard(self, shards: u16) -> ShardId {
        ShardId((self.0 as u32 * shards as u32 / SLOT_COUNT as u32) as u16)
    }
}

/// The shard of a key among `shards`. Computes the slot only if there is a choice.
pub fn shard_of(key: &[u8], shards: u16) -> ShardId {
    if shards == 1 { ShardId(0) } else { Slot::of(key).shard(shards) }
}

fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = memchr(b'{', key) else { return key };
    match memchr(b'}', &key[open + 1..]) {
        None | Some(0) => key,
        Some(length) => &key[open + 1..open + 1 + length],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        // The check value of CRC16/XMODEM, and slots as returned by `CLUSTER KEYSLOT` of redis-server 7.0.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        let bytewise =
            |bytes: &[u8]| bytes.iter().fold(0u16, |crc, &b| (crc << 8) ^ CRC16[0][((crc >> 8) as u8 ^ b) as usize]);
        let bytes: Vec<u8> = (0..200).collect();
        (0..bytes.len()).for_each(|n| assert_eq!(crc16(&bytes[..n]), bytewise(&bytes[..n])));
        assert_eq!(Slot::of(b"foo"), Slot(12182));
        assert_eq!(Slot::of(b"{user1000}.following"), Slot::of(b"user1000"));
        assert_eq!(Slot::of(b"foo{}{bar}"), Slot(8363));
        assert_eq!(Slot::of(b"foo{{bar}}zap"), Slot::of(b"{bar"));
        assert_eq!(Slot::of(b"$foo"), Slot(crc16(b"$foo") % SLOT_COUNT));
    }

    #[test]
    fn metadata_is_where_its_stream_is() {
        for stream in ["foo", "a{b}c", "{x}", "$foo", ""] {
            assert_eq!(Slot::of(format!("$${stream}").as_bytes()), Slot::of(stream.as_bytes()), "{stream}");
        }
    }

    #[test]
    fn every_shard_gets_its_share_of_slots() {
        for shards in [1u16, 2, 3, 7, 64] {
            let mut count = vec![0u32; shards as usize];
            (0..SLOT_COUNT).for_each(|slot| count[Slot(slot).shard(shards).0 as usize] += 1);
            let even = SLOT_COUNT as u32 / shards as u32;
            assert!(count.iter().all(|&n| n == even || n == even + 1), "{count:?}");
        }
    }
}
