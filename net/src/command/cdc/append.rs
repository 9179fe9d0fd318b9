//! CDC.APPEND: an event of the client's own, put into a stream.

use super::refusal::{CdcError, answer};
use super::words::{Words, is, number};
use crate::command::{Command, Flag, Keys, KeysContext, Progress, Run, Spread, refuse};
use crate::resp::{Args, Reply};
use keytide_engine::error::Refusal;
use keytide_engine::event::EventType;
use keytide_engine::limits::EVENT_TYPE_BYTES_MAX;
use keytide_engine::position::Revision;
use keytide_engine::shard::Expected;
use keytide_engine::turn::ClientEvent;

pub static APPEND: Command = Command {
    name: "cdc.append",
    arity: -4,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    summary: "Appends an event to the stream of a key.",
    group: "cdc",
    run: Run::Keys { run, spread: Spread::Hold },
};

fn run(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    answer(context.server, reply, |reply| append(context, args, reply));
}

struct Options<'a> {
    meta: Option<&'a [u8]>,
    id: Option<[u8; 16]>,
    expected: Expected,
}

fn options(args: Args<'_>) -> Result<Options<'_>, CdcError> {
    let mut options = Options { meta: None, id: None, expected: Expected::Any };
    let mut words = Words::new(args, 4);
    while let Some(word) = words.next() {
        if is(word, "META") {
            options.meta = Some(words.value()?);
        } else if is(word, "ID") {
            options.id = Some(uuid(words.value()?).ok_or_else(|| CdcError::from("ERR ID is not a UUID"))?);
        } else if is(word, "EXPECT") {
            options.expected = match words.value()? {
                word if is(word, "any") => Expected::Any,
                word if is(word, "none") => Expected::NoStream,
                word if is(word, "exists") => Expected::Exists,
                revision => Expected::At(Revision(number(revision)?)),
            };
        } else {
            return Err(CdcError::syntax());
        }
    }
    Ok(options)
}

fn append(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<Progress, CdcError> {
    let (stream, event_type, data) = (args.get(1), args.get(2), args.get(3));
    let options = options(args)?;
    check_stream(stream)?;
    check_type(event_type)?;
    let event = ClientEvent { event_type, data, meta: options.meta, id: options.id, json: false };
    match context.shards.of(stream).append_event(stream, event, options.expected) {
        Ok((position, revision)) => {
            reply.array(2);
            reply.unsigned(position.0);
            reply.unsigned(revision.0);
        }
        Err(Refusal::WrongRevision { actual }) => {
            let actual = actual.map_or_else(|| "none".to_owned(), |revision| revision.to_string());
            let expected = match options.expected {
                Expected::Any => "any".to_owned(),
                Expected::NoStream => "none".to_owned(),
                Expected::Exists => "exists".to_owned(),
                Expected::At(revision) => revision.to_string(),
            };
            reply.error(format!("WRONGREVISION expected {expected}, stream is at {actual}"));
        }
        Err(refusal) => refuse(reply, refusal),
    }
    Ok(Progress::Done)
}

/// Refuses the streams that are computed from others.
fn check_stream(stream: &[u8]) -> Result<(), CdcError> {
    let names: [&[u8]; 3] = [b"$all", b"$streams", b"$db"];
    let families: [&[u8]; 3] = [b"$shard-", b"$ce-", b"$et-"];
    if names.contains(&stream) || families.iter().any(|family| stream.starts_with(family)) {
        return Err([b"ERR '", stream, b"' is a system stream"].concat().into());
    }
    Ok(())
}

fn check_type(name: &[u8]) -> Result<(), CdcError> {
    if name.is_empty() {
        return Err("ERR event type is empty".into());
    }
    if name.len() > EVENT_TYPE_BYTES_MAX {
        let text = format!("ERR event type of {} bytes exceeds {EVENT_TYPE_BYTES_MAX}", name.len());
        return Err(text.into_bytes().into());
    }
    if EventType::is_reserved(name) {
        return Err([b"ERR '", name, b"' is a reserved event type"].concat().into());
    }
    Ok(())
}

/// The bytes of a UUID: 32 hexadecimal digits, with the four usual hyphens or without any.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    let hyphenated = match text.len() {
        32 => false,
        36 => true,
        _ => return None,
    };
    let mut id = 0_u128;
    for (index, &byte) in text.iter().enumerate() {
        if hyphenated && HYPHENS.contains(&index) {
            if byte != b'-' {
                return None;
            }
        } else {
            id = id << 4 | u128::from(char::from(byte).to_digit(16)?);
        }
    }
    Some(id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    #[test]
    fn options_are_understood_in_any_order() {
        let words =
            ["cdc.append", "s", "T", "d", "EXPECT", "7", "META", "m", "id", "01020304-0506-0708-090a-0b0c0d0e0f10"];
        let args: OwnedArgs = words.iter().collect();
        let options = options(args.as_args()).unwrap();
        assert_eq!((options.meta, options.expected), (Some(&b"m"[..]), Expected::At(Revision(7))));
        assert_eq!(options.id, Some([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]));
    }

    #[test]
    fn a_uuid_is_32_digits_with_its_hyphens_or_without() {
        assert_eq!(uuid(b"0102030405060708090A0B0C0D0E0F10").map(|id| id[15]), Some(16));
        for wrong in [
            "",
            "0102030405060708090a0b0c0d0e0f1",
            "010203040506-0708-090a-0b0c0d0e0f10-",
            "g102030405060708090a0b0c0d0e0f10",
        ] {
            assert_eq!(uuid(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn computed_streams_and_built_in_types_are_refused_and_streams_metadata_is_not() {
        for stream in ["$all", "$shard-0", "$ce-user", "$et-Set", "$streams", "$db"] {
            let expected = format!("ERR '{stream}' is a system stream");
            assert_eq!(check_stream(stream.as_bytes()).unwrap_err().text(), expected);
        }
        for stream in ["$$user:1", "$mine", "", "user:1", "$allday"] {
            assert_eq!(check_stream(stream.as_bytes()), Ok(()));
        }
        assert_eq!(check_type(b"HSET").unwrap_err().text(), "ERR 'HSET' is a reserved event type");
        assert!(check_type(b"gap").is_err() && check_type(b"").is_err() && check_type(&[b'x'; 1025]).is_err());
        assert_eq!(check_type(b"OrderPlaced"), Ok(()));
    }
}
