//! How a client names a group: by a stream or `$all`, and a name. The group's core names it by a key pattern and a name, as
//! CDC.GROUP does. The pattern of `$all` is `*`; that of a stream is its name, as it is. So what a client of one protocol has
//! made is found by those of the other.

use super::super::error::not_recording;
use super::super::proto::StreamIdentifier;
use super::super::proto::persistent_subscriptions as proto;
use super::super::rights::{Use, check_stream};
use crate::groups::ask::Names;
use crate::grpc::{CallContext, Status};
use bytes::Bytes;
use keytide_engine::stream_name::ALL;

/// The key pattern of groups on `$all`.
const ALL_KEYS: &[u8] = b"*";

/// The key pattern of groups on a stream of that name.
const STAR: &[u8] = b"\\*";

/// What a client says of the source of a group.
pub enum Named {
    /// It is this stream.
    Stream(StreamIdentifier),
    /// It is `$all`.
    All,
}

/// Each request has a type of its own for that, made of the same two fields.
macro_rules! named {
    ($($option:path { $stream:ident }),* $(,)?) => {
        $(impl From<$option> for Named {
            fn from(option: $option) -> Named {
                use $option as Option;
                match option {
                    Option::$stream(stream) => Named::Stream(stream),
                    Option::All(_) => Named::All,
                }
            }
        })*
    };
}

named! {
    proto::delete_req::options::StreamOption { StreamIdentifier },
    proto::replay_parked_req::options::StreamOption { StreamIdentifier },
    proto::read_req::options::StreamOption { StreamIdentifier },
    proto::get_info_req::options::StreamOption { StreamIdentifier },
    proto::list_req::stream_option::StreamOption { Stream },
}

/// A group as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName {
    /// The stream, or `$all`.
    pub source: Bytes,
    /// Its name.
    pub group: String,
}

impl GroupName {
    /// Reads the names of a group.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn read(named: Option<impl Into<Named>>, group: String) -> Result<GroupName, Status> {
        if group.is_empty() {
            return Err(Status::invalid("group_name must not be empty"));
        }
        Ok(GroupName { source: source(named)?, group })
    }

    /// Its names on its core.
    pub fn names(&self) -> Names {
        Names { key: key_of(&self.source), group: Bytes::copy_from_slice(self.group.as_bytes()) }
    }

    /// The stream as text.
    pub fn stream(&self) -> String {
        String::from_utf8_lossy(&self.source).into_owned()
    }

    /// Refuses a call whose user may not do this with the group.
    ///
    /// # Errors
    /// It may not, or nothing is recorded.
    pub fn check(&self, context: &CallContext<'_>, what: Use) -> Result<(), Status> {
        if !context.server.is_recording() {
            return Err(not_recording());
        }
        check_stream(context, what, &self.source)
    }
}

/// The source of a group.
///
/// # Errors
/// It is missing, or empty.
pub fn source(named: Option<impl Into<Named>>) -> Result<Bytes, Status> {
    let name = match named.map(Into::into) {
        Some(Named::All) => Bytes::from_static(ALL),
        Some(Named::Stream(stream)) => stream.stream_name,
        None => return Err(Status::invalid("stream_option is missing")),
    };
    if name.is_empty() {
        return Err(Status::invalid("Stream must be non-empty."));
    }
    Ok(name)
}

/// The key pattern of groups on a source.
pub fn key_of(source: &[u8]) -> Bytes {
    Bytes::copy_from_slice(match source {
        source if source == ALL => ALL_KEYS,
        ALL_KEYS => STAR,
        name => name,
    })
}

/// The source of groups of a key pattern.
pub fn source_of(key: &[u8]) -> String {
    String::from_utf8_lossy(match key {
        ALL_KEYS => ALL,
        STAR => ALL_KEYS,
        name => name,
    })
    .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_key_patterns_are_each_others() {
        for (source, key) in
            [("$all", "*"), ("*", "\\*"), ("orders", "orders"), ("user:*", "user:*"), ("$ce-a", "$ce-a")]
        {
            assert_eq!(key_of(source.as_bytes()), key.as_bytes());
            assert_eq!(source_of(key.as_bytes()), source);
        }
        assert!(GroupName::read(Some(Named::All), String::new()).is_err());
        assert!(GroupName::read(None::<Named>, "g".into()).is_err());
        assert_eq!(GroupName::read(Some(Named::All), "g".into()).map(|name| name.stream()), Ok("$all".into()));
    }
}
