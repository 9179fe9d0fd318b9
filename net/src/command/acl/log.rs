//! ACL LOG: what was denied, the newest first.

use super::{ADMIN, acl};
use crate::access::Entry;
use crate::command::options::is;
use crate::command::{Command, SessionContext};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_i64;

pub static LOG: Command = acl("acl|log", -2, ADMIN, "Lists what was denied, so many entries; RESET removes all.", log);

/// How many entries are listed if nobody says how many.
const ENTRIES_DEFAULT: i64 = 10;

fn log(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let denials = &context.server.users.denials;
    let count = match (args.try_get(2), args.len()) {
        (None, _) => Some(ENTRIES_DEFAULT),
        (Some(word), 3) if is(word, "reset") => {
            denials.clear();
            return reply.ok();
        }
        (Some(word), 3) => parse_i64(word),
        _ => return reply.error(error_text::wrong_subcommand("acl", args.get(1))),
    };
    let Some(count) = count else { return reply.error(error_text::NOT_INTEGER) };
    let entries = denials.newest(usize::try_from(count).unwrap_or(0));
    reply.array(entries.len());
    entries.iter().for_each(|entry| encode(entry, context.now_ms, reply));
}

/// The fields of Redis, with the three that 7.2 has added.
fn encode(entry: &Entry, now_ms: u64, reply: &mut Reply<'_>) {
    reply.map(10);
    reply.text("count");
    reply.unsigned(entry.count);
    reply.text("reason");
    reply.text(entry.reason.name());
    reply.text("context");
    reply.text(entry.context.name());
    reply.text("object");
    reply.bulk(&entry.object);
    reply.text("username");
    reply.bulk(&entry.user);
    reply.text("age-seconds");
    reply.double(now_ms.saturating_sub(entry.updated_ms) as f64 / 1000.0);
    reply.text("client-info");
    reply.text(&entry.client_info);
    reply.text("entry-id");
    reply.unsigned(entry.id);
    reply.text("timestamp-created");
    reply.unsigned(entry.created_ms);
    reply.text("timestamp-last-updated");
    reply.unsigned(entry.updated_ms);
}
