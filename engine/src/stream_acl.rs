//! Who may use a stream, as its metadata says: the field `$acl` of the event that [`stream_metadata`](crate::stream_metadata) is
//! about. A right that is not in there is everybody's.

use serde_json::Value;

/// Stands for everybody.
const EVERYBODY: &str = "$all";

/// What is done with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamUse {
    /// Its events are read.
    Read,
    /// Events are appended.
    Append,
    /// It is deleted, or ended for good.
    Delete,
}

/// Somebody who uses streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The name.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// Whether metadata permits a use of the stream that it is about, or, with `of_metadata`, of the metadata itself. What is not
/// understood permits nobody.
pub fn permits(json: &[u8], what: StreamUse, of_metadata: bool, who: &Who) -> bool {
    let Ok(Value::Object(fields)) = serde_json::from_slice(json) else { return true };
    let right = match (what, of_metadata) {
        (StreamUse::Read, false) => "$r",
        (StreamUse::Append, false) => "$w",
        (StreamUse::Delete, _) => "$d",
        (StreamUse::Read, true) => "$mr",
        (StreamUse::Append, true) => "$mw",
    };
    let is_it = |name: &str| name == EVERYBODY || name == who.name || who.groups.iter().any(|group| group == name);
    match fields.get("$acl") {
        None | Some(Value::Null) => true,
        Some(Value::Object(acl)) => match acl.get(right) {
            None | Some(Value::Null) => true,
            Some(Value::String(name)) => is_it(name),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(is_it),
            Some(_) => false,
        },
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_for_those_who_are_named() {
        let anna = Who { name: "anna".to_owned(), groups: vec!["accounting".to_owned()] };
        let may = |acl: &str, what, of_metadata| {
            permits(format!(r#"{{"$maxCount":1,"$acl":{acl}}}"#).as_bytes(), what, of_metadata, &anna)
        };
        use StreamUse::{Append, Delete, Read};
        for (right, what, of_metadata) in [
            ("$r", Read, false),
            ("$w", Append, false),
            ("$d", Delete, false),
            ("$mr", Read, true),
            ("$mw", Append, true),
        ] {
            for names in [r#""anna""#, r#"["bob","anna"]"#, r#""$all""#, r#"["accounting"]"#, "null"] {
                assert!(may(&format!(r#"{{"{right}":{names}}}"#), what, of_metadata), "{right} {names}");
            }
            for names in [r#""bob""#, "[]", r#""""#, r#"["$admins"]"#, "7", "[7]"] {
                assert!(!may(&format!(r#"{{"{right}":{names}}}"#), what, of_metadata), "{right} {names}");
            }
        }
        assert!(may(r#"{"$w":[]}"#, Read, false) && may("{}", Read, false) && may("null", Read, false));
        assert!(!may("7", Read, false));
        for none in ["", "{", "[]", "{}"] {
            assert!(permits(none.as_bytes(), Read, false, &anna), "{none}");
        }
    }
}
