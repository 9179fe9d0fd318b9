//! SHUTDOWN.

use crate::command::options::is;
use crate::command::{Command, Flag, Keys, Run, SessionContext};
use crate::resp::{Args, Reply, error_text};
use crate::session::Closing;

pub static SHUTDOWN: Command = Command {
    name: "shutdown",
    arity: -1,
    flags: &[Flag::Admin, Flag::NoMulti],
    keys: Keys::None,
    summary: "Stops the server; the client sees its connection closed.",
    group: "server",
    run: Run::Session(shutdown),
};

/// What the options could mean is so anyway: nothing is saved, and no replica is waited for.
fn shutdown(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let words = args.rest(1);
    let has = |word: &str| words.iter().any(|argument| is(argument, word));
    let are_known =
        words.iter().all(|word| ["nosave", "save", "now", "force", "abort"].iter().any(|known| is(word, known)));
    if !are_known || (has("save") && has("nosave")) || (has("abort") && words.len() > 1) {
        return reply.error(error_text::SYNTAX);
    }
    if has("abort") {
        return reply.error("ERR No shutdown in progress.");
    }
    tracing::info!(client = context.session.client, "stopping on SHUTDOWN");
    context.session.closing = Closing::AfterReplies;
    context.server.stop();
}
