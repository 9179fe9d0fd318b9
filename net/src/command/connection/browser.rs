//! POST and `Host:`: the lines of a browser that a web page directs at this port. The connection is closed before a
//! line of the request's body is run as a command, as in Redis.

use crate::command::{Access, Command, Flag, Keys, Run, SessionContext};
use crate::paced::Paced;
use crate::resp::{Args, Reply};
use crate::session::Closing;

const fn browser(name: &'static str, summary: &'static str) -> Command {
    Command {
        name,
        arity: -1,
        // Before AUTH and within MULTI too. A connection that only has subscriptions runs no line of a body anyway.
        flags: &[Flag::Readonly, Flag::NoAuth, Flag::Immediate],
        keys: Keys::None,
        access: Access::NONE,
        summary,
        group: "server",
        run: Run::Session(disconnect),
    }
}

pub static POST: Command = browser("post", "The start of a browser's request: closes the connection.");
pub static HOST: Command = browser("host:", "A header line of every HTTP request: closes the connection.");

/// Whether a command is such a line.
pub fn is_of_browsers(command: &Command) -> bool {
    [&POST, &HOST].into_iter().any(|line| std::ptr::eq(line, command))
}

/// One pace for all cores: a web page can open thousands of connections.
static WARNING: Paced = Paced::new();

fn disconnect(context: &mut SessionContext<'_>, _args: Args<'_>, _reply: &mut Reply<'_>) {
    context.session.closing = Closing::Now;
    if WARNING.is_due() {
        let peer = context.session.peer.map(|address| address.to_string()).unwrap_or_default();
        tracing::warn!(
            peer,
            "possible attack: a client sent POST or Host:, as a browser does that a web page makes connect to this \
             port; the connection was closed"
        );
    }
}
