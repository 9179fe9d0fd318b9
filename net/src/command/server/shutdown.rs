//! SHUTDOWN.

use super::save::{NO_DIRECTORY, Saving, save};
use crate::command::options::is;
use crate::command::{Access, Command, Flag, HistoryContext, Keys, Progress, Run, WaitFor};
use crate::resp::{Args, Reply, error_text};

pub static SHUTDOWN: Command = Command {
    name: "shutdown",
    arity: -1,
    flags: &[Flag::Admin, Flag::NoMulti],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Stops the server; the client sees its connection closed.",
    group: "server",
    // After the commit, and when earlier commands of the connection are answered.
    run: Run::History(shutdown),
};

/// The log has everything, so nothing is saved unless requested; there are no replicas to wait for. If the server stops
/// there is no reply.
fn shutdown(context: &mut HistoryContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    let words = args.rest(1);
    let has = |word: &str| words.iter().any(|argument| is(argument, word));
    let are_known =
        words.iter().all(|word| ["nosave", "save", "now", "force", "abort"].iter().any(|known| is(word, known)));
    if !are_known || (has("save") && has("nosave")) || (has("abort") && words.len() > 1) {
        reply.error(error_text::SYNTAX);
        return Progress::Done;
    }
    if has("abort") {
        reply.error("ERR No shutdown in progress.");
        return Progress::Done;
    }
    if has("save") && !context.server.is_stopping() {
        let failure = match save(context) {
            Saving::Saved => None,
            Saving::Running => return Progress::Wait(WaitFor::Deadline),
            Saving::Failed(reason) => Some(format!("ERR Errors trying to SHUTDOWN: {reason}")),
            Saving::NoDirectory => Some(NO_DIRECTORY.to_owned()),
        };
        if let Some(failure) = failure.filter(|_| !has("force")) {
            reply.error(failure);
            return Progress::Done;
        }
    }
    if !context.server.is_stopping() {
        tracing::info!("stopping on SHUTDOWN");
        context.server.stop();
    }
    // Until the process ends.
    context.state.deadline_ms = None;
    Progress::Wait(WaitFor::Deadline)
}
