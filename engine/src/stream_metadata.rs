//! The metadata of a stream: what an event of type `$metadata` in the stream `$$<stream>` says of `<stream>`, as JSON. The
//! last such event counts. The rules are KurrentDB's (its documentation, "Stream metadata").

use crate::position::Revision;
use serde_json::Value;

/// Begins the name of the stream that holds another one's metadata.
pub const METADATA_PREFIX: &[u8] = b"$$";
/// The type of an event with the metadata of a stream.
pub const METADATA_TYPE: &[u8] = b"$metadata";
/// The type of the event that ends a stream for good.
pub const DELETED_TYPE: &[u8] = b"$streamDeleted";
/// What `$tb` says of a stream that was deleted and may be begun again.
pub const DELETED: u64 = i64::MAX as u64;
/// The field with the last revision of a deleted stream. Any later event begins the stream again.
pub const DELETED_AT: &str = "$deletedAt";

/// What limits the events that can be read of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamMetadata {
    /// `$maxCount`: only so many of the latest events are read.
    pub max_count: Option<u64>,
    /// `$maxAge`, in seconds: only events younger than this are read.
    pub max_age_s: Option<u64>,
    /// `$tb`: only events from this revision on are read; [`DELETED`] for a deleted stream.
    pub truncate_before: Option<u64>,
    /// [`DELETED_AT`]: the revision of the last event that was there when the stream was deleted.
    deleted_at: Option<u64>,
}

/// The name of the stream that holds the metadata of `stream`.
pub fn metadata_stream(stream: &[u8]) -> Vec<u8> {
    [METADATA_PREFIX, stream].concat()
}

/// The stream whose metadata is in the stream of this name; none where the name is no such stream's.
pub fn described_stream(name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(METADATA_PREFIX)
}

impl StreamMetadata {
    /// Reads the JSON of an event. What is not understood limits nothing.
    pub fn parse(json: &[u8]) -> StreamMetadata {
        let Ok(Value::Object(fields)) = serde_json::from_slice(json) else { return StreamMetadata::default() };
        let number = |name: &str| fields.get(name).and_then(Value::as_u64);
        StreamMetadata {
            max_count: number("$maxCount").filter(|count| *count > 0),
            max_age_s: number("$maxAge").filter(|age| *age > 0),
            truncate_before: number("$tb"),
            deleted_at: number(DELETED_AT),
        }
    }

    /// The same for a stream whose last event is `last`: what came after it was deleted has begun it again.
    pub fn at(mut self, last: Option<Revision>) -> StreamMetadata {
        if let (true, Some(deleted_at), Some(last)) = (self.is_deleted(), self.deleted_at, last)
            && last.0 > deleted_at
        {
            self.truncate_before = Some(deleted_at + 1);
        }
        self
    }

    /// Whether the stream was deleted and not begun again.
    pub fn is_deleted(&self) -> bool {
        self.truncate_before == Some(DELETED)
    }

    /// The first revision that can be read where `last` is the stream's last.
    pub fn first_readable(&self, last: Revision) -> Revision {
        let of_count = self.max_count.map_or(0, |count| (last.0 + 1).saturating_sub(count));
        Revision(of_count.max(self.truncate_before.unwrap_or(0)))
    }

    /// Whether an event of this time is too old to be read.
    pub fn is_too_old(&self, timestamp_ms: u64, now_ms: u64) -> bool {
        self.max_age_s.is_some_and(|age| timestamp_ms.saturating_add(age.saturating_mul(1_000)) <= now_ms)
    }
}

/// The JSON of the metadata of a stream that is deleted when its last event is `last`.
pub fn deleted_after(last: Revision) -> Vec<u8> {
    format!(r#"{{"$tb":{DELETED},"{DELETED_AT}":{}}}"#, last.0).into_bytes()
}

/// The JSON of metadata with `$tb` set to a revision, and everything else as it was.
pub fn with_truncate_before(json: &[u8], before: u64) -> Vec<u8> {
    let mut fields = match serde_json::from_slice(json) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    fields.remove(DELETED_AT);
    fields.insert("$tb".to_owned(), before.into());
    Value::Object(fields).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_what_is_wrong_limits_nothing() {
        let read = |json: &str| StreamMetadata::parse(json.as_bytes());
        let all = read(r#"{"$maxCount":3,"$maxAge":60,"$tb":7,"$acl":{"$r":"$all"},"mine":1}"#);
        assert_eq!((all.max_count, all.max_age_s, all.truncate_before), (Some(3), Some(60), Some(7)));
        for wrong in ["", "[]", "{", "7", r#"{"$maxCount":-1,"$tb":"x","$maxAge":0}"#] {
            assert_eq!(read(wrong), StreamMetadata::default(), "{wrong}");
        }
        assert!(read(r#"{"$tb":9223372036854775807}"#).is_deleted());
    }

    #[test]
    fn the_first_readable_event_is_within_both_limits() {
        let first = |max_count, truncate_before, last| {
            StreamMetadata { max_count, truncate_before, ..StreamMetadata::default() }.first_readable(Revision(last)).0
        };
        assert_eq!(first(None, None, 9), 0);
        assert_eq!(first(Some(3), None, 9), 7);
        assert_eq!(first(Some(30), None, 9), 0);
        assert_eq!(first(Some(3), Some(2), 9), 7);
        assert_eq!(first(Some(3), Some(8), 9), 8);
        assert_eq!(first(None, Some(100), 9), 100);
    }

    #[test]
    fn an_event_is_too_old_once_its_age_is_reached() {
        let metadata = StreamMetadata { max_age_s: Some(10), ..StreamMetadata::default() };
        assert!(!metadata.is_too_old(1_000, 10_999) && metadata.is_too_old(1_000, 11_000));
        assert!(!StreamMetadata::default().is_too_old(0, u64::MAX));
    }

    #[test]
    fn what_comes_after_a_deletion_begins_the_stream_again() {
        let metadata = StreamMetadata::parse(&deleted_after(Revision(5)));
        let at = |last: Option<u64>| metadata.at(last.map(Revision));
        assert!(metadata.is_deleted() && at(None).is_deleted() && at(Some(5)).is_deleted());
        assert_eq!((at(Some(6)).is_deleted(), at(Some(6)).truncate_before), (false, Some(6)));
    }

    #[test]
    fn truncation_keeps_what_else_is_there() {
        let json = with_truncate_before(br#"{"mine":"x","$tb":9223372036854775807}"#, 5);
        assert_eq!(json, br#"{"$tb":5,"mine":"x"}"#);
        assert_eq!(with_truncate_before(b"no json", 0), br#"{"$tb":0}"#);
    }
}
