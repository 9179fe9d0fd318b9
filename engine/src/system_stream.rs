//! The streams that are computed from others, by name: nobody writes to them.

/// Whether a name is that of a computed stream, or of the one that flushes are recorded in.
///
/// `$all`, `$streams`, `$db`; `$shard-<n>`; `$ce-<category>`; `$et-<type>`. Other names that begin with `$` are keys
/// like any other.
#[inline]
pub fn is_computed(name: &[u8]) -> bool {
    name.first() == Some(&b'$') && is_one(name)
}

fn is_one(name: &[u8]) -> bool {
    let is_shard = |number: &[u8]| !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    matches!(name, b"$all" | b"$streams" | b"$db")
        || name.starts_with(b"$ce-")
        || name.starts_with(b"$et-")
        || name.strip_prefix(b"$shard-").is_some_and(is_shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_computed_names_are_taken() {
        for name in ["$all", "$streams", "$db", "$shard-0", "$shard-17", "$ce-user", "$et-Set"] {
            assert!(is_computed(name.as_bytes()), "{name}");
        }
        for name in ["", "$", "all", "$alls", "$$all", "$shard-", "$shard-x", "$mine", "user:$all"] {
            assert!(!is_computed(name.as_bytes()), "{name}");
        }
    }
}
