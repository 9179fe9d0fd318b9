//! Who may use a stream, as its metadata says: the field `$acl` of the event that [`stream_metadata`](crate::stream_metadata) is
//! about. A right that is not in there is as the defaults say, which are the last event of the stream `$settings`:
//! `{"$userStreamAcl": …, "$systemStreamAcl": …}`, each like an `$acl`. A right that is not in there either is everybody's.

use crate::stream_metadata::described_stream;
use crate::stream_name::is_system;
use serde_json::Value;
use std::sync::Arc;

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
    /// What counts where metadata does not say.
    pub defaults: Arc<DefaultAcls>,
}

/// The stream with the defaults, and the type of the events in it that say so.
pub const SETTINGS: &[u8] = b"$settings";

/// The longest defaults that are read, in bytes: they are looked at for each use of a stream.
const SETTINGS_BYTES_MAX: usize = 64 << 10;

/// The rights of streams whose metadata does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultAcls {
    user: Option<Value>,
    system: Option<Value>,
}

impl DefaultAcls {
    /// Reads the JSON of an event. What is no JSON, no object, or too long says nothing.
    pub fn parse(json: &[u8]) -> DefaultAcls {
        match serde_json::from_slice(json) {
            Ok(Value::Object(mut fields)) if json.len() <= SETTINGS_BYTES_MAX => {
                DefaultAcls { user: fields.remove("$userStreamAcl"), system: fields.remove("$systemStreamAcl") }
            }
            _ => DefaultAcls::default(),
        }
    }

    /// Whether they say nothing.
    pub fn is_empty(&self) -> bool {
        self.user.is_none() && self.system.is_none()
    }

    /// Whether they permit a use of a stream of this name whose metadata says nothing.
    pub fn permit(&self, stream: &[u8], what: StreamUse, who: &Who) -> bool {
        let described = described_stream(stream);
        let acl = if is_system(described.unwrap_or(stream)) { &self.system } else { &self.user };
        says(acl.as_ref(), right(what, described.is_some()), who).unwrap_or(true)
    }
}

/// The name of a right.
fn right(what: StreamUse, of_metadata: bool) -> &'static str {
    match (what, of_metadata) {
        (StreamUse::Read, false) => "$r",
        (StreamUse::Append, false) => "$w",
        (StreamUse::Delete, _) => "$d",
        (StreamUse::Read, true) => "$mr",
        (StreamUse::Append, true) => "$mw",
    }
}

/// Whether an ACL gives somebody a right; none where it says nothing of it. What is not understood permits nobody.
fn says(acl: Option<&Value>, right: &str, who: &Who) -> Option<bool> {
    let is_it = |name: &str| name == EVERYBODY || name == who.name || who.groups.iter().any(|group| group == name);
    match acl? {
        Value::Null => None,
        Value::Object(acl) => match acl.get(right)? {
            Value::Null => None,
            Value::String(name) => Some(is_it(name)),
            Value::Array(names) => Some(names.iter().filter_map(Value::as_str).any(is_it)),
            _ => Some(false),
        },
        _ => Some(false),
    }
}

/// Whether the metadata of a stream, where there is any, and the defaults permit a use of the stream, or, if the name is that of
/// the stream with the metadata, of that.
pub fn permits(metadata: Option<&[u8]>, stream: &[u8], what: StreamUse, who: &Who) -> bool {
    let own = metadata.and_then(|json| match serde_json::from_slice(json) {
        Ok(Value::Object(fields)) => says(fields.get("$acl"), right(what, described_stream(stream).is_some()), who),
        _ => None,
    });
    own.unwrap_or_else(|| who.defaults.permit(stream, what, who))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anna(defaults: &str) -> Who {
        let defaults = Arc::new(DefaultAcls::parse(defaults.as_bytes()));
        Who { name: "anna".to_owned(), groups: vec!["accounting".to_owned()], defaults }
    }

    use StreamUse::{Append, Delete, Read};
    const RIGHTS: [(&str, StreamUse, &[u8]); 5] = [
        ("$r", Read, b"s"),
        ("$w", Append, b"s"),
        ("$d", Delete, b"s"),
        ("$mr", Read, b"$$s"),
        ("$mw", Append, b"$$s"),
    ];

    #[test]
    fn a_right_is_for_those_who_are_named() {
        let anna = anna("");
        let may = |acl: &str, what, stream: &[u8]| {
            permits(Some(format!(r#"{{"$maxCount":1,"$acl":{acl}}}"#).as_bytes()), stream, what, &anna)
        };
        for (right, what, stream) in RIGHTS {
            for names in [r#""anna""#, r#"["bob","anna"]"#, r#""$all""#, r#"["accounting"]"#, "null"] {
                assert!(may(&format!(r#"{{"{right}":{names}}}"#), what, stream), "{right} {names}");
            }
            for names in [r#""bob""#, "[]", r#""""#, r#"["$admins"]"#, "7", "[7]"] {
                assert!(!may(&format!(r#"{{"{right}":{names}}}"#), what, stream), "{right} {names}");
            }
        }
        assert!(may(r#"{"$w":[]}"#, Read, b"s") && may("{}", Read, b"s") && may("null", Read, b"s"));
        assert!(!may("7", Read, b"s"));
        for none in ["", "{", "[]", "{}"] {
            assert!(permits(Some(none.as_bytes()), b"s", Read, &anna), "{none}");
        }
        assert!(permits(None, b"s", Read, &anna));
    }

    #[test]
    fn defaults_count_where_metadata_does_not_say() {
        for (right, what, stream) in RIGHTS {
            let defaults = |kind: &str, names: &str| anna(&format!(r#"{{"{kind}":{{"{right}":{names}}}}}"#));
            let may = |metadata: Option<&str>, who: &Who| permits(metadata.map(str::as_bytes), stream, what, who);
            let (open, closed) =
                (defaults("$userStreamAcl", r#""anna""#), defaults("$userStreamAcl", r#"["$admins"]"#));
            assert!(may(None, &open) && !may(None, &closed));
            for silent in
                ["{}", "no json", r#"{"$acl":null}"#, r#"{"$acl":{}}"#, &format!(r#"{{"$acl":{{"{right}":null}}}}"#)]
            {
                assert!(may(Some(silent), &open) && !may(Some(silent), &closed), "{silent}");
            }
            assert!(may(Some(&format!(r#"{{"$acl":{{"{right}":"anna"}}}}"#)), &closed));
            assert!(!may(Some(&format!(r#"{{"$acl":{{"{right}":"bob"}}}}"#)), &open));
            // Each kind of stream has its own.
            let system = [b"$", stream].concat();
            let of_system = if stream == b"$$s" { &b"$$$s"[..] } else { &system };
            let others = defaults("$systemStreamAcl", "[]");
            assert!(may(None, &others) && permits(None, of_system, what, &closed));
            assert!(!permits(None, of_system, what, &others));
        }
    }

    #[test]
    fn malformed_defaults_say_nothing_and_malformed_rights_permit_nobody() {
        let long = format!(r#"{{"$userStreamAcl":{{"$r":"{}"}}}}"#, "x".repeat(SETTINGS_BYTES_MAX));
        for nothing in ["", "{", "[]", "7", "null", r#""$userStreamAcl""#, "{}", r#"{"$userStreamAcl":null}"#, &long] {
            assert!(permits(None, b"s", Read, &anna(nothing)), "{nothing}");
        }
        for wrong in [r#"{"$userStreamAcl":7}"#, r#"{"$userStreamAcl":[]}"#, r#"{"$userStreamAcl":{"$r":{}}}"#] {
            assert!(!permits(None, b"s", Read, &anna(wrong)), "{wrong}");
        }
        let deep = format!(r#"{{"$userStreamAcl":{}7{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(DefaultAcls::parse(deep.as_bytes()).is_empty());
    }
}
