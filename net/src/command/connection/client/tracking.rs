//! CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO: client-side caching. What it does is in the room [`tracking`](crate::tracking).

use super::client;
use crate::command::options::is;
use crate::command::{Command, Flag, Run, SessionContext};
use crate::resp::{Args, Reply, error_text};
use crate::tracking::{Mode, Redirect, Tracking};
use keytide_engine::number::parse_i64;
use std::borrow::Cow;

pub static TRACKING: Command = client(
    "client|tracking",
    -3,
    &[Flag::NoScript],
    "ON tells the client, or the one of REDIRECT, once of each key that it has read and that changes, with BCAST of all changes; OFF ends that.",
    Run::Session(|context, args, reply| match track(context, args) {
        Ok(()) => reply.ok(),
        Err(text) => reply.error(text),
    }),
);

pub static CACHING: Command = client(
    "client|caching",
    3,
    &[Flag::NoScript],
    "Says whether the client caches what the next command reads, where it tracks keys with OPTIN (YES) or OPTOUT (NO).",
    Run::Session(|context, args, reply| match cache(context, args.get(2)) {
        Ok(()) => reply.ok(),
        Err(text) => reply.error(text),
    }),
);

pub static GETREDIR: Command = client(
    "client|getredir",
    2,
    &[Flag::NoScript],
    "Returns the client that gets the messages of this one, which tracks keys; 0 is itself, -1 if it does not.",
    Run::Session(|context, _, reply| reply.integer(redirection(context.resp.tracking.as_deref()))),
);

pub static TRACKINGINFO: Command = client(
    "client|trackinginfo",
    2,
    &[Flag::NoScript],
    "Describes how the client tracks keys.",
    Run::Session(|context, _, reply| describe(context.resp.tracking.as_deref(), reply)),
);

/// The number of the client that gets the messages of one, as Redis shows it.
pub fn redirection(tracking: Option<&Tracking>) -> i64 {
    tracking.map_or(-1, |tracking| tracking.redirect.map_or(0, |redirect| redirect.client as i64))
}

/// The options of CLIENT TRACKING.
#[derive(Default)]
struct Options<'a> {
    redirect: Option<Redirect>,
    broadcasts: bool,
    opts_in: bool,
    opts_out: bool,
    is_silent: bool,
    prefixes: Vec<&'a [u8]>,
}

type Refused = Cow<'static, [u8]>;

fn refused<T>(text: &'static str) -> Result<T, Refused> {
    Err(text.as_bytes().into())
}

impl<'a> Options<'a> {
    /// Reads them, in the order in which Redis does; `find` finds a client by its number.
    fn parse(words: Args<'a>, find: impl Fn(u64) -> Option<Redirect>) -> Result<Options<'a>, Refused> {
        let mut options = Options::default();
        let mut at = 0;
        while let Some(word) = words.try_get(at) {
            at += 1;
            match words.try_get(at) {
                Some(value) if is(word, "redirect") => {
                    at += 1;
                    if options.redirect.is_some() {
                        return refused("ERR A client can only redirect to a single other client");
                    }
                    let Some(number) = parse_i64(value) else { return refused(error_text::NOT_INTEGER) };
                    options.redirect = u64::try_from(number).ok().and_then(&find);
                    if options.redirect.is_none() {
                        return refused("ERR The client ID you want redirect to does not exist");
                    }
                }
                Some(prefix) if is(word, "prefix") => {
                    at += 1;
                    options.prefixes.push(prefix);
                }
                _ if is(word, "bcast") => options.broadcasts = true,
                _ if is(word, "optin") => options.opts_in = true,
                _ if is(word, "optout") => options.opts_out = true,
                _ if is(word, "noloop") => options.is_silent = true,
                _ => return refused(error_text::SYNTAX),
            }
        }
        Ok(options)
    }

    /// Checks them against each other, and against what the client has asked for before, in Redis's order.
    fn check(&self, before: Option<&Tracking>) -> Result<(), Refused> {
        let mode = before.map(|tracking| tracking.mode);
        if !self.broadcasts && !self.prefixes.is_empty() {
            return refused("ERR PREFIX option requires BCAST mode to be enabled");
        }
        if mode.is_some_and(|mode| (mode == Mode::Broadcast) != self.broadcasts) {
            return refused(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.",
            );
        }
        if self.broadcasts && (self.opts_in || self.opts_out) {
            return refused("ERR OPTIN and OPTOUT are not compatible with BCAST");
        }
        if self.opts_in && self.opts_out {
            return refused("ERR You can't specify both OPTIN mode and OPTOUT mode");
        }
        if self.opts_in && mode == Some(Mode::OptOut) || self.opts_out && mode == Some(Mode::OptIn) {
            return refused(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.",
            );
        }
        self.check_overlaps(before)
    }

    /// No prefix may begin with another one of the same client.
    fn check_overlaps(&self, before: Option<&Tracking>) -> Result<(), Refused> {
        let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
        let refused = |prefix: &[u8], which: &str, other: &[u8]| {
            let which = which.as_bytes();
            let end = b"'. Prefixes for a single client must not overlap.";
            Err([b"ERR Prefix '", prefix, b"' overlaps with ", which, b" prefix '", other, end].concat().into())
        };
        for (index, prefix) in self.prefixes.iter().enumerate() {
            let existing = before.and_then(|tracking| tracking.prefixes().find(|other| overlap(prefix, other)));
            if let Some(other) = existing {
                return refused(prefix, "an existing", other);
            }
            if let Some(other) = self.prefixes[index + 1..].iter().find(|other| overlap(prefix, other)) {
                return refused(prefix, "another provided", other);
            }
        }
        Ok(())
    }

    fn mode(&self) -> Mode {
        match (self.broadcasts, self.opts_in, self.opts_out) {
            (true, ..) => Mode::Broadcast,
            (_, true, _) => Mode::OptIn,
            (_, _, true) => Mode::OptOut,
            _ => Mode::Reads,
        }
    }
}

fn track(context: &mut SessionContext<'_>, args: Args<'_>) -> Result<(), Refused> {
    let server = context.server;
    let options = Options::parse(args.rest(3), |number| {
        server.find_client(number).map(|(core, connection)| Redirect { client: number, core, connection })
    })?;
    let tracking = &mut context.resp.tracking;
    if is(args.get(2), "on") {
        options.check(tracking.as_deref())?;
        let Some((core, connection)) = server.find_client(context.session.client) else {
            unreachable!("the client is connected")
        };
        let id = Redirect { client: context.session.client, core, connection }.reader();
        let was_on = tracking.is_some();
        let new = tracking.get_or_insert_with(|| {
            Box::new(Tracking::new(server.tracking.clone(), id, server.accounts.subscriptions.share()))
        });
        let added = if options.broadcasts { new.add_prefixes(&options.prefixes) } else { Ok(()) };
        match added {
            Ok(()) => new.set(options.mode(), options.is_silent, options.redirect),
            Err(_) if was_on => {}
            Err(_) => *tracking = None,
        }
        added.map_err(|error| error_text::err(&error).into_bytes().into())
    } else if is(args.get(2), "off") {
        *tracking = None;
        Ok(())
    } else {
        refused(error_text::SYNTAX)
    }
}

fn cache(context: &mut SessionContext<'_>, word: &[u8]) -> Result<(), Refused> {
    let Some(tracking) = &mut context.resp.tracking else {
        return refused(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        );
    };
    let wanted = match (is(word, "yes"), is(word, "no")) {
        (true, _) => Mode::OptIn,
        (_, true) => Mode::OptOut,
        _ => return refused(error_text::SYNTAX),
    };
    match wanted {
        _ if tracking.mode == wanted => {
            tracking.is_given = true;
            Ok(())
        }
        Mode::OptIn => refused("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."),
        _ => refused("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."),
    }
}

fn describe(tracking: Option<&Tracking>, reply: &mut Reply<'_>) {
    reply.map(3);
    reply.text("flags");
    let flags: Vec<&str> = match tracking {
        None => vec!["off"],
        Some(tracking) => {
            let mode: &[&str] = match (tracking.mode, tracking.has_given()) {
                (Mode::Reads, _) => &[],
                (Mode::Broadcast, _) => &["bcast"],
                (Mode::OptIn, false) => &["optin"],
                (Mode::OptIn, true) => &["optin", "caching-yes"],
                (Mode::OptOut, false) => &["optout"],
                (Mode::OptOut, true) => &["optout", "caching-no"],
            };
            let others = [("noloop", tracking.is_silent), ("broken_redirect", tracking.is_broken)];
            let others = others.iter().filter(|(_, is_so)| *is_so).map(|(flag, _)| *flag);
            std::iter::once("on").chain(mode.iter().copied()).chain(others).collect()
        }
    };
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.text(flag));
    reply.text("redirect");
    reply.integer(redirection(tracking));
    reply.text("prefixes");
    reply.array(tracking.map_or(0, |tracking| tracking.prefixes().len()));
    tracking.iter().flat_map(|tracking| tracking.prefixes()).for_each(|prefix| reply.bulk(prefix));
}
