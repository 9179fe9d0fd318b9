//! The streams that are computed from others, by name: nobody writes to them.

/// Whether a name is that of a computed stream, or of the one that flushes are recorded in.
///
/// `$all`, `$streams`, `$db`; `$shard-` and anything, for what is no shard's number today may be one tomorrow;
/// `$ce-<category>`; `$et-<type>`. Other names that begin with `$` are keys like any other.
#[inline]
pub fn is_computed(name: &[u8]) -> bool {
    name.first() == Some(&b'$') && is_one(name)
}

fn is_one(name: &[u8]) -> bool {
    matches!(name, b"$all" | b"$streams" | b"$db")
        || [&b"$ce-"[..], b"$et-", b"$shard-"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_computed_names_are_taken() {
        for name in ["$all", "$streams", "$db", "$shard-0", "$shard-17", "$shard-x", "$shard-", "$ce-user", "$et-Set"] {
            assert!(is_computed(name.as_bytes()), "{name}");
        }
        for name in ["", "$", "all", "$alls", "$$all", "$shard", "$mine", "user:$all"] {
            assert!(!is_computed(name.as_bytes()), "{name}");
        }
    }
}
