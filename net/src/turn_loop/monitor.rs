//! MONITOR: each command that runs becomes a line, which goes to the clients that monitor as a published message does: over all
//! cores, in the order of its core, bounded like those. Nobody is shown a command of administrators, nor a password.

use super::Core;
use super::resp::Client;
use crate::channels::{Channels, Kind};
use crate::command::table::TABLE;
use crate::command::transaction::Step;
use crate::command::{Flag, RespClient, Run, secrets};
use crate::resp::{Args, CommandIndex};
use crate::session::Session;
use keytide_engine::stream_name::Database;
use std::io::Write;

/// What was told before a command ran.
pub(super) struct ToldBefore {
    /// A mark of what was published before.
    mark: usize,
    /// Whether the command is to be told of when it has run.
    is_later: bool,
}

/// The beginning of a line: time, database, who has sent the command.
fn begin(session: Option<&Session>, database: Database) -> Vec<u8> {
    let micros = keytide_engine::clock::unix_micros();
    let mut line = Vec::with_capacity(128);
    let from = match session.map(|session| session.peer) {
        None => "lua".to_owned(),
        Some(peer) => peer.map(|address| address.to_string()).unwrap_or_default(),
    };
    // Writing to a vector does not fail.
    let _ = write!(line, "{}.{:06} [{} {from}]", micros / 1_000_000, micros % 1_000_000, database.0);
    line
}

/// Appends an argument as Redis shows it.
fn show(line: &mut Vec<u8>, argument: &[u8]) {
    line.extend_from_slice(b" \"");
    for &byte in argument {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x07 => line.extend_from_slice(b"\\a"),
            0x08 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => _ = write!(line, "\\x{byte:02x}"),
        }
    }
    line.push(b'"');
}

fn publish(channels: &Channels, line: &[u8]) {
    channels.publish(Kind::Monitor, b"", line);
}

#[cold]
fn tell_of(
    channels: &Channels,
    session: Option<&Session>,
    database: Database,
    (index, args): (CommandIndex, Args<'_>),
) {
    if TABLE.get(index).is(Flag::Admin) {
        return;
    }
    let mut line = begin(session, database);
    (0..args.len()).for_each(|place| show(&mut line, &secrets::shown(index, args, place)));
    publish(channels, &line);
}

/// Tells of a command of a transaction; of one of a script where there is no client.
pub(super) fn tell(
    channels: &Channels,
    client: Option<&RespClient<'_>>,
    database: Database,
    command: (CommandIndex, Args<'_>),
) {
    tell_of(channels, client.map(|client| &*client.session), database, command);
}

/// Tells of the end of a transaction that has run over several shards.
pub(super) fn tell_exec(channels: &Channels, client: &RespClient<'_>) {
    let mut line = begin(Some(client.session), client.resp.database);
    show(&mut line, b"EXEC");
    publish(channels, &line);
}

impl Core {
    /// Tells of a script, whose commands come behind it.
    #[cold]
    pub(super) fn tell_monitors_before(
        &self,
        client: &Client<'_>,
        (index, args): (CommandIndex, Args<'_>),
    ) -> ToldBefore {
        let mark = self.channels.published_mark();
        let is_script = matches!(TABLE.get(index).run, Run::Script(_));
        if is_script {
            tell_of(&self.channels, Some(client.session), client.resp.database, (index, args));
        }
        ToldBefore { mark, is_later: !is_script }
    }

    /// Tells of a command that has run, or was sent to where it runs. What could not run yet is tried again.
    #[cold]
    pub(super) fn tell_monitors_after(
        &self,
        client: &Client<'_>,
        (index, args): (CommandIndex, Args<'_>),
        (before, is_done): (ToldBefore, bool),
    ) {
        // A transaction over several shards runs later.
        let is_exec = matches!(TABLE.get(index).run, Run::Transaction(Step::Exec));
        if !is_done {
            self.channels.unpublish(before.mark);
        } else if before.is_later && !(is_exec && client.replies.waiting() > 0) {
            tell_of(&self.channels, Some(client.session), client.resp.database, (index, args));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_shown_as_in_redis() {
        let mut line = Vec::new();
        show(&mut line, b"a\nb\"\\ \x01\x07\xff");
        assert_eq!(String::from_utf8_lossy(&line), r#" "a\nb\"\\ \x01\a\xff""#);
    }
}
