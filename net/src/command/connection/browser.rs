//! POST and `Host:`: the lines of a browser that a web page directs at this port. The connection is closed before a
//! line of the request's body is run as a command, as in Redis.

use crate::command::{Access, Command, Flag, Keys, Run, SessionContext};
use crate::resp::{Args, Reply};
use crate::session::Closing;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// The log warns of such connections at most once in this many milliseconds: a web page can open thousands.
const WARNING_INTERVAL_MS: u64 = 60_000;

/// When the last warning was logged, Unix milliseconds.
static WARNED_MS: AtomicU64 = AtomicU64::new(0);

fn disconnect(context: &mut SessionContext<'_>, _args: Args<'_>, _reply: &mut Reply<'_>) {
    context.session.closing = Closing::Now;
    // Relaxed: no other data depends on the number. Two cores that read it at the same time log two warnings.
    let warned_ms = WARNED_MS.load(Ordering::Relaxed);
    if context.now_ms.abs_diff(warned_ms) >= WARNING_INTERVAL_MS {
        WARNED_MS.store(context.now_ms, Ordering::Relaxed);
        let peer = context.session.peer.map(|address| address.to_string()).unwrap_or_default();
        tracing::warn!(
            peer,
            "possible attack: a client sent POST or Host:, as a browser does that a web page makes connect to this \
             port; the connection was closed"
        );
    }
}
