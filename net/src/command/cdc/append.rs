//! CDC.APPEND: appends a client's own event to a stream.

use super::refusal::{CdcError, answer};
use super::words::{Words, is, number};
use crate::command::{Access, Command, Flag, Keys, KeysContext, Progress, Run, Spread, refuse};
use crate::resp::{Args, Reply};
use keytide_engine::error::Refusal;
use keytide_engine::event::{CustomType, CustomTypeError};
use keytide_engine::position::Revision;
use keytide_engine::shard::Expected;
use keytide_engine::turn::ClientEvent;

pub static APPEND: Command = Command {
    name: "cdc.append",
    arity: -4,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    access: Access::INSERT,
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
    let (stream, data) = (args.get(1), args.get(3));
    let options = options(args)?;
    let event_type = custom_type(args.get(2))?;
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

fn custom_type(name: &[u8]) -> Result<CustomType<'_>, CdcError> {
    CustomType::new(name).map_err(|error| match error {
        CustomTypeError::Reserved => [b"ERR '", name, b"' is a reserved event type"].concat().into(),
        CustomTypeError::Empty | CustomTypeError::TooLong { .. } => format!("ERR {error}").into_bytes().into(),
    })
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
    fn a_type_that_is_refused_is_named_in_the_error() {
        let text = |name: &[u8]| custom_type(name).unwrap_err().text();
        assert_eq!(text(b"HSET"), "ERR 'HSET' is a reserved event type");
        assert_eq!(text(b""), "ERR event type is empty");
        assert_eq!(text(&[b'x'; 1025]), "ERR event type of 1025 bytes exceeds 1024");
        assert_eq!(custom_type(b"OrderPlaced").map(CustomType::name), Ok(&b"OrderPlaced"[..]));
    }
}
