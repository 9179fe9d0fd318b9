//! Databases at the edge: the keys of a command become the names of their streams, `db<n>/k` in database n, before the command is
//! run, queued or sent to another core, and a reply that names keys takes that off again. Nothing between knows databases, but for
//! commands on all keys of one. Commands of change capture take names of streams, which are the same in every database.

use crate::command::{Command, Flag, Keys};
use crate::resp::{Args, OwnedArgs};
use keytide_engine::stream_name::{Database, is_read_only};

/// Whether a command may have keys of another database than the first; nearly none has.
#[inline]
pub(super) fn may_name(command: &Command, database: Database) -> bool {
    database != Database::FIRST || command.keys == Keys::Copied
}

/// The arguments of a command with keys of another database than the first; `None` if they stay as they are.
#[cold]
pub(super) fn named(command: &Command, args: Args<'_>, database: Database) -> Option<OwnedArgs> {
    let other = command.keys.other_database(args).unwrap_or(database);
    let mut places = command.keys.places(args).filter(|_| takes_keys(command)).peekable();
    places.peek()?;
    let mut named = OwnedArgs::new();
    for (place, argument) in args.iter().enumerate() {
        match places.next_if_eq(&place) {
            Some(1) => named.push(&database.name_of(argument)),
            Some(_) => named.push(&other.name_of(argument)),
            None => named.push(argument),
        }
    }
    Some(named)
}

/// Whether a command takes keys of the selected database, and not names of streams.
fn takes_keys(command: &Command) -> bool {
    command.group != "cdc"
}

/// Whether a key may be one that is refused: nearly none is.
#[inline]
pub(super) fn may_be_refused(key: &[u8]) -> bool {
    matches!(key, [b'$', ..] | [b'd', b'b', b'1'..=b'9', ..])
}

/// The error for a command with a key of the selected database that may not be one: the name of a system stream, where it writes,
/// and in the first database that of a key of another.
#[cold]
pub(super) fn refusal(command: &Command, args: Args<'_>, database: Database) -> Option<Vec<u8>> {
    let other = command.keys.other_database(args).unwrap_or(database);
    command.keys.places(args).find_map(|place| {
        let (name, database) = (args.get(place), if place == 1 { database } else { other });
        let (of, key) = Database::of(name);
        if database == Database::FIRST && of != Database::FIRST && takes_keys(command) {
            let of = format!("' of database {}: SELECT it first", of.0).into_bytes();
            Some([b"ERR '", name, b"' is key '", key, &of].concat())
        } else if is_read_only(name) && command.is(Flag::Write) && (database == Database::FIRST || !takes_keys(command))
        {
            Some([b"ERR '", name, b"' is a system stream"].concat())
        } else {
            None
        }
    })
}
