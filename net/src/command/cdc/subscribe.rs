//! CDC.SUBSCRIBE: the events of a stream, of all streams, or of a system stream, from any position on, as they happen.

use super::filter_options::FilterOptions;
use super::refusal::{CdcError, answer};
use super::streams::{is_for_admins, streams_of_name};
use super::words::{Words, is};
use crate::access::{Need, Object, User};
use crate::command::table::TABLE;
use crate::command::{Access, Command, DeferredState, Flag, Keys, Progress, Run, StreamsRead, SubscriptionContext};
use crate::resp::{Args, Reply, error_text};
use crate::server::Server;
use keytide_engine::filter::{Filter, Pattern};
use keytide_engine::interest::{Interest, Source, SourceError};
use keytide_engine::limits::CHECKPOINT_EVENTS;
use keytide_engine::number::parse_u64;
use keytide_engine::subscription::{OnGap, OnSlow, Start, Subscribe};

pub static SUBSCRIBE: Command = Command {
    name: "cdc.subscribe",
    arity: -2,
    flags: &[Flag::Readonly, Flag::NoMulti, Flag::WhileSubscribed],
    keys: Keys::None,
    access: Access::streams(streams),
    summary: "Pushes the events of a stream, or of all streams, from a position on, then live.",
    group: "cdc",
    run: Run::Subscription(run),
};

/// A filter needs the right to read all streams, even on one stream.
fn streams(args: Args<'_>) -> StreamsRead {
    let is_filtered = options(args).is_ok_and(|options| options.filter.has_pattern());
    if is_filtered { StreamsRead::All } else { streams_of_name(args, 1) }
}

/// Whether a user may have a subscription to this.
pub fn may_subscribe(user: &User, interest: &Interest) -> bool {
    let object = match &interest.source {
        Source::Stream(name) if matches!(interest.filter.pattern(), Pattern::All) && !is_for_admins(name) => {
            Object::Key(name, Need::READ)
        }
        _ => Object::AllKeys(Need::READ),
    };
    let Some(command) = TABLE.index_of(SUBSCRIBE.name.as_bytes()) else { return false };
    user.check(command.place(), || None, || std::iter::once(object)).is_ok()
}

fn run(context: &mut SubscriptionContext<'_, '_>, args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    answer(context.server, reply, |reply| {
        let SubscriptionContext { state, server, .. } = context;
        let filter = |options: FilterOptions<'_>| options.filter_in(state, server);
        let Some(wanted) = wanted(args, server.shards(), filter)? else { return Ok(Progress::More) };
        let owner = context.outlet.owner_of(context.client).unwrap_or_default();
        let id = context.hub.subscribe_for(context.client, &owner, wanted, context.history)?;
        context.outlet.count_in(context.client);
        reply.unsigned(id);
        Ok(Progress::Done)
    })
}

/// Why the words of CDC.SUBSCRIBE that a channel of changes stands for are refused, as far as that is known before its regex
/// is compiled: the error reply.
pub fn refusal_of_channel(args: Args<'_>, server: &Server) -> Option<Vec<u8>> {
    if !server.is_recording() {
        return Some(error_text::CDC_NOT_ENABLED.into());
    }
    let wanted = wanted(args, server.shards(), |options| options.filter_but_regex().map(Some));
    wanted.err().map(CdcError::into_bytes)
}

/// The subscription for a channel of changes; `None` while its regex is compiled.
///
/// # Errors
/// The text of the error.
pub fn of_channel(args: Args<'_>, state: &mut DeferredState, server: &Server) -> Result<Option<Subscribe>, Vec<u8>> {
    wanted(args, server.shards(), |options| options.filter_in(state, server)).map_err(CdcError::into_bytes)
}

/// The subscription that the arguments request; `None` while its regex is compiled.
fn wanted<'a>(
    args: Args<'a>,
    shards: u16,
    filter: impl FnOnce(FilterOptions<'a>) -> Result<Option<Filter>, CdcError>,
) -> Result<Option<Subscribe>, CdcError> {
    let options = options(args)?;
    let source = source(args.get(1), shards, options.filter.has_pattern())?;
    if options.checkpoint.is_some() && !source.has_checkpoints() {
        return Err("ERR CHECKPOINT is for $all and system streams".into());
    }
    let Some(filter) = filter(options.filter)? else { return Ok(None) };
    let start = options.from.map(|from| from.start(&source));
    let defaults = Subscribe::to(Interest { source, filter });
    let checkpoint = options.checkpoint.map(|count| count.saturating_mul(CHECKPOINT_EVENTS));
    Ok(Some(Subscribe {
        start: start.unwrap_or(defaults.start),
        checkpoint_events: checkpoint.or(defaults.checkpoint_events),
        resolve_links: options.resolve_links.is_some(),
        window: options.window,
        on_slow: options.on_slow.unwrap_or(defaults.on_slow),
        on_gap: options.on_gap.unwrap_or(defaults.on_gap),
        interest: defaults.interest,
    }))
}

/// The source with this name. For a mistyped name the error says what may have been meant.
fn source(name: &[u8], shards: u16, has_pattern: bool) -> Result<Source, CdcError> {
    Source::to_subscribe(name, shards, has_pattern).map_err(|error| {
        let (before, after) = match error {
            SourceError::NoSuchShard { shards } => ("ERR no such shard '", format!("', there are {shards}")),
            SourceError::NoSuchSystemStream => (
                "ERR no such system stream '",
                "', there are $all, $streams, $db, $shard-<n>, $ce-<category> and $et-<type>; \
                 for a key of that name use $all MATCH"
                    .to_owned(),
            ),
            SourceError::Pattern => (
                "ERR '",
                "' is the name of one stream; for all streams that match it use $all MATCH, \
                 for the one key of that name add MATCH *"
                    .to_owned(),
            ),
        };
        [before.as_bytes(), name, after.as_bytes()].concat().into()
    })
}

/// The requested start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartOption {
    Start,
    End,
    /// A revision of a stream, else a position.
    Number(u64),
    Position(u64),
}

impl StartOption {
    fn start(self, source: &Source) -> Start {
        match self {
            StartOption::Start => Start::Start,
            StartOption::End => Start::End,
            StartOption::Number(number) => Start::behind(number, source),
            StartOption::Position(number) => Start::behind_position(number),
        }
    }
}

#[derive(Default)]
struct SubscribeOptions<'a> {
    from: Option<StartOption>,
    filter: FilterOptions<'a>,
    checkpoint: Option<u64>,
    resolve_links: Option<()>,
    window: Option<u64>,
    on_slow: Option<OnSlow>,
    on_gap: Option<OnGap>,
}

fn options(args: Args<'_>) -> Result<SubscribeOptions<'_>, CdcError> {
    let mut options = SubscribeOptions::default();
    let mut words = Words::new(args, 2);
    while let Some(word) = words.next() {
        if options.filter.take(word, &mut words)? {
            continue;
        }
        if is(word, "FROM") {
            once("FROM", &mut options.from, from(&mut words)?)?;
        } else if is(word, "CHECKPOINT") {
            once("CHECKPOINT", &mut options.checkpoint, count("CHECKPOINT", &mut words)?)?;
        } else if is(word, "RESOLVELINKS") {
            once("RESOLVELINKS", &mut options.resolve_links, ())?;
        } else if is(word, "WINDOW") {
            once("WINDOW", &mut options.window, count("WINDOW", &mut words)?)?;
        } else if is(word, "ONSLOW") {
            let choices = [("FALLBACK", OnSlow::Fallback), ("DROP", OnSlow::Drop)];
            once("ONSLOW", &mut options.on_slow, one_of("ONSLOW", choices, &mut words)?)?;
        } else if is(word, "ONGAP") {
            let choices = [("DROP", OnGap::Drop), ("SKIP", OnGap::Skip)];
            once("ONGAP", &mut options.on_gap, one_of("ONGAP", choices, &mut words)?)?;
        } else {
            return Err(CdcError::syntax());
        }
    }
    Ok(options)
}

/// Sets an option's value, which may be given only once.
fn once<T>(name: &str, kept: &mut Option<T>, value: T) -> Result<(), CdcError> {
    match kept.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("ERR {name} is given twice").into_bytes().into()),
    }
}

fn from(words: &mut Words<'_>) -> Result<StartOption, CdcError> {
    let wrong = || CdcError::from("ERR FROM takes START, END, a number, or POSITION and a number");
    match words.next().ok_or_else(wrong)? {
        word if is(word, "START") => Ok(StartOption::Start),
        word if is(word, "END") => Ok(StartOption::End),
        word if is(word, "POSITION") => {
            let position = words.next().and_then(parse_u64);
            position.map(StartOption::Position).ok_or_else(wrong)
        }
        number => parse_u64(number).map(StartOption::Number).ok_or_else(wrong),
    }
}

/// A number from 1.
fn count(name: &str, words: &mut Words<'_>) -> Result<u64, CdcError> {
    let number = words.next().and_then(parse_u64).filter(|number| *number > 0);
    number.ok_or_else(|| format!("ERR {name} takes a number from 1").into_bytes().into())
}

fn one_of<T: Copy>(name: &str, choices: [(&str, T); 2], words: &mut Words<'_>) -> Result<T, CdcError> {
    let given = words.next();
    let chosen = choices.iter().find(|(word, _)| given.is_some_and(|given| is(given, word)));
    let wrong = || format!("ERR {name} takes {} or {}", choices[0].0, choices[1].0).into_bytes().into();
    chosen.map(|(_, choice)| *choice).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;
    use keytide_engine::position::{Position, Revision};

    fn parse(line: &str) -> Result<Subscribe, String> {
        let args: OwnedArgs = line.split_whitespace().collect();
        let wanted = wanted(args.as_args(), 2, |options| options.filter().map(Some));
        wanted.map(|wanted| wanted.expect("nothing is waited for")).map_err(|error| error.text())
    }

    fn start(line: &str) -> Start {
        parse(line).unwrap().start
    }

    #[test]
    fn a_number_is_a_revision_of_a_stream_and_a_position_elsewhere() {
        assert_eq!(start("cdc.subscribe s"), Start::Start);
        assert_eq!(start("cdc.subscribe s FROM start"), Start::Start);
        assert_eq!(start("cdc.subscribe s from END"), Start::End);
        assert_eq!(start("cdc.subscribe s FROM 0"), Start::Revision(Revision(0)));
        assert_eq!(start("cdc.subscribe s FROM POSITION 7"), Start::Position(Position(7)));
        assert_eq!(start("cdc.subscribe s FROM POSITION 18446744073709551615"), Start::Position(Position::END));
        for name in ["$all", "$shard-1", "$ce-user", "$et-Set", "$streams"] {
            assert_eq!(start(&format!("cdc.subscribe {name} FROM 7")), Start::Position(Position(7)), "{name}");
            assert_eq!(start(&format!("cdc.subscribe {name} FROM 0")), Start::Start, "{name}");
        }
    }

    #[test]
    fn options_come_in_any_order() {
        let all = "cdc.subscribe $all WINDOW 10 ONGAP skip ON TYPE PREFIX 2 H S CHECKPOINT 3 NOSYSTEM ONSLOW drop \
                   RESOLVELINKS FROM END";
        let wanted = parse(all).unwrap();
        assert_eq!((wanted.window, wanted.checkpoint_events, wanted.start), (Some(10), Some(96), Start::End));
        assert_eq!((wanted.on_slow, wanted.on_gap, wanted.resolve_links), (OnSlow::Drop, OnGap::Skip, true));
        assert!(!wanted.interest.filter.is_all());
        let wanted = parse("cdc.subscribe s").unwrap();
        assert_eq!((wanted.window, wanted.checkpoint_events, wanted.resolve_links), (None, None, false));
        assert_eq!((wanted.on_slow, wanted.on_gap), (OnSlow::Fallback, OnGap::Drop));
    }

    #[test]
    fn checkpoints_are_refused_for_a_single_stream() {
        for name in ["$all", "$shard-0", "$ce-user", "$et-Set", "$streams"] {
            assert_eq!(parse(&format!("cdc.subscribe {name}")).unwrap().checkpoint_events, Some(32), "{name}");
        }
        let text = "ERR CHECKPOINT is for $all and system streams";
        assert_eq!(parse("cdc.subscribe s CHECKPOINT 1").unwrap_err(), text);
        let most = parse("cdc.subscribe $all CHECKPOINT 18446744073709551615").unwrap();
        assert_eq!(most.checkpoint_events, Some(u64::MAX));
    }

    #[test]
    fn errors_name_the_option() {
        let from = "ERR FROM takes START, END, a number, or POSITION and a number";
        for (options, text) in [
            ("FROM", from),
            ("FROM -1", from),
            ("FROM x", from),
            ("FROM POSITION", from),
            ("FROM POSITION END", from),
            ("FROM 99999999999999999999", from),
            ("FROM START FROM END", "ERR FROM is given twice"),
            ("CHECKPOINT 0", "ERR CHECKPOINT takes a number from 1"),
            ("CHECKPOINT", "ERR CHECKPOINT takes a number from 1"),
            ("CHECKPOINT 1 CHECKPOINT 1", "ERR CHECKPOINT is given twice"),
            ("WINDOW 0", "ERR WINDOW takes a number from 1"),
            ("WINDOW x", "ERR WINDOW takes a number from 1"),
            ("ONSLOW", "ERR ONSLOW takes FALLBACK or DROP"),
            ("ONSLOW SKIP", "ERR ONSLOW takes FALLBACK or DROP"),
            ("ONGAP FALLBACK", "ERR ONGAP takes DROP or SKIP"),
            ("RESOLVELINKS RESOLVELINKS", "ERR RESOLVELINKS is given twice"),
            ("REGEX (", "ERR invalid regex: unclosed group"),
            ("BLOCK 5", "ERR syntax error"),
        ] {
            assert_eq!(parse(&format!("cdc.subscribe $all {options}")).unwrap_err(), text, "{options}");
        }
        for name in ["$shard-2", "$shard-99999", "$shard-x", "$shard-01", "$shard-"] {
            let text = format!("ERR no such shard '{name}', there are 2");
            assert_eq!(parse(&format!("cdc.subscribe {name}")).unwrap_err(), text);
        }
    }

    #[test]
    fn a_name_that_would_be_silent_for_ever_is_refused_with_the_remedy() {
        for name in ["$ALL", "$nosuch", "$", "$ce", "$et"] {
            let text = parse(&format!("cdc.subscribe {name} MATCH *")).unwrap_err();
            assert!(text.starts_with(&format!("ERR no such system stream '{name}', there are $all")), "{text}");
            assert!(text.ends_with("for a key of that name use $all MATCH"), "{text}");
        }
        for name in ["*", "user:*", "user:?", "a[0]"] {
            let text = parse(&format!("cdc.subscribe {name} FROM END")).unwrap_err();
            assert!(text.starts_with(&format!("ERR '{name}' is the name of one stream; ")), "{text}");
            // The remedy for a key with such a name.
            let stream = Source::Stream(name.as_bytes().into());
            assert_eq!(parse(&format!("cdc.subscribe {name} MATCH *")).unwrap().interest.source, stream);
        }
        for name in ["$$order", "user:$", "$db"] {
            assert!(parse(&format!("cdc.subscribe {name}")).is_ok(), "{name}");
        }
    }
}
