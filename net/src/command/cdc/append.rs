//! CDC.APPEND: appends a client's own event to a stream.

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

struct AppendOptions<'a> {
    meta: Option<&'a [u8]>,
    id: Option<[u8; 16]>,
    expected: Expected,
}

fn options(args: Args<'_>) -> Result<AppendOptions<'_>, CdcError> {
    let mut options = AppendOptions { meta: None, id: None, expected: Expected::Any };
    let mut words = Words::new(args, 4);
    while let Some(word) = words.next() {
        if is(word, "META") {
            options.meta = Some(words.value()?);
        } else if is(word, "ID") {
            let id = uuid::Uuid::try_parse_ascii(words.value()?);
            options.id = Some(id.map_err(|_| CdcError::from("ERR ID is not a UUID"))?.into_bytes());
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
    fn an_id_is_a_uuid() {
        for wrong in ["", "0102030405060708090a0b0c0d0e0f1", "g102030405060708090a0b0c0d0e0f10"] {
            let args: OwnedArgs = ["cdc.append", "s", "T", "d", "ID", wrong].iter().collect();
            assert_eq!(super::options(args.as_args()).err().unwrap().text(), "ERR ID is not a UUID", "{wrong}");
        }
    }

    #[test]
    fn built_in_types_are_refused() {
        assert_eq!(check_type(b"HSET").unwrap_err().text(), "ERR 'HSET' is a reserved event type");
        assert!(check_type(b"gap").is_err() && check_type(b"").is_err() && check_type(&[b'x'; 1025]).is_err());
        assert_eq!(check_type(b"OrderPlaced"), Ok(()));
    }
}
