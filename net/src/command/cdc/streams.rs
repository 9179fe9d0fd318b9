//! The streams that arguments name: what a user has to be allowed to read.

use crate::command::StreamsRead;
use crate::resp::Args;
use keytide_engine::filter::Pattern;
use keytide_engine::stream_name::is_read_only;

/// Whether reading a stream needs the right to read all keys: it has events of many keys, or metadata of streams.
pub(super) fn is_for_admins(name: &[u8]) -> bool {
    is_read_only(name) || name.starts_with(b"$$")
}

/// The streams that the name in an argument stands for: a key's, or one that is computed from all.
pub(super) fn streams_of_name(args: Args<'_>, place: usize) -> StreamsRead {
    if is_for_admins(args.get(place)) { StreamsRead::All } else { StreamsRead::Of(place) }
}

/// The streams that match the pattern in an argument. One that stands for a single key is that key's, if it is written
/// without an escape: then it is also what ACL LOG shows.
pub(super) fn streams_of_pattern(args: Args<'_>, place: usize) -> StreamsRead {
    match Pattern::keys(args.get(place)) {
        Ok(Pattern::Glob(glob)) if glob.exact() == Some(args.get(place)) => streams_of_name(args, place),
        _ => StreamsRead::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    #[test]
    fn one_key_is_a_stream_and_everything_else_is_for_those_who_read_all() {
        let of = |name: &str, read: fn(Args<'_>, usize) -> StreamsRead| {
            let args: OwnedArgs = ["cdc", name].into_iter().collect();
            read(args.as_args(), 1) == StreamsRead::Of(1)
        };
        for name in ["user:1", "a b", "", "$mine", "shard:x:y", "shard:07:y"] {
            assert!(of(name, streams_of_name) && of(name, streams_of_pattern), "{name}");
        }
        for name in ["$all", "$streams", "$db", "$shard-0", "$ce-user", "$et-Set", "$$user:1"] {
            assert!(!of(name, streams_of_name) && !of(name, streams_of_pattern), "{name}");
        }
        for pattern in ["*", "user:*", "a?", "[ab]", r"a\*", "stream:mutations", "shard:0:user:1"] {
            assert!(!of(pattern, streams_of_pattern), "{pattern}");
        }
    }
}
