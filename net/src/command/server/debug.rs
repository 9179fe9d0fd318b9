//! DEBUG SLEEP: a delayed reply, for tests of clients.

use crate::command::help;
use crate::command::options::is;
use crate::command::{Access, Command, Flag, HistoryContext, Keys, Progress, Run, WaitFor};
use crate::resp::{Args, Reply, error_text};

pub static DEBUG: Command = Command {
    name: "debug",
    arity: -2,
    flags: &[Flag::Admin, Flag::NoMulti],
    keys: Keys::None,
    access: Access::NONE,
    summary: "SLEEP delays the reply to this client by some seconds. HELP.",
    group: "server",
    run: Run::History(debug),
};

/// The longest delay of a reply, in seconds.
const SLEEP_MAX_SECONDS: f64 = 86_400.0;

fn debug(context: &mut HistoryContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    let word = args.get(1);
    if is(word, "help") && args.len() == 2 {
        let lines = [("sleep", "Delays the reply by some seconds."), ("help", "Lists the subcommands.")];
        help::write(reply, "debug", lines.into_iter());
        return Progress::Done;
    }
    if !is(word, "sleep") || args.len() != 3 {
        reply.error(error_text::wrong_subcommand("debug", word));
        return Progress::Done;
    }
    // An invalid number is 0, as in Redis.
    let seconds = std::str::from_utf8(args.get(2)).ok().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let millis = (seconds.clamp(0.0, SLEEP_MAX_SECONDS) * 1000.0) as u64;
    if millis > 0 && !context.state.is_over(Some(millis)) {
        return Progress::Wait(WaitFor::Deadline);
    }
    reply.ok();
    Progress::Done
}
