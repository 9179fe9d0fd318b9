//! CDC.READ: the events from a cursor on that pass a filter, with the next cursor and any loss before them.

use super::REPLY_BYTES_MAX;
use super::filter_options::FilterOptions;
use super::refusal::{CdcError, answer};
use super::row::{Columns, Rows};
use super::words::{Words, count, cursor, is, positive};
use crate::command::{Access, Command, Flag, HistoryContext, Keys, Progress, Run, WaitFor};
use crate::resp::{Args, Reply};
use keytide_engine::history::{Page, Request};
use keytide_engine::interest::{Interest, Source};
use std::sync::Arc;

/// The number of events requested without COUNT.
const COUNT_DEFAULT: usize = 100;

pub static READ: Command = Command {
    name: "cdc.read",
    arity: -2,
    flags: &[Flag::Readonly, Flag::Blocking, Flag::NoMulti],
    keys: Keys::None,
    access: Access::ALL_STREAMS,
    summary: "Returns the recorded events from a position on that pass a filter, or waits for some.",
    group: "cdc",
    run: Run::History(run),
};

struct ReadOptions<'a> {
    count: usize,
    bytes: u64,
    filter: FilterOptions<'a>,
    block_ms: Option<u64>,
}

fn options(args: Args<'_>) -> Result<ReadOptions<'_>, CdcError> {
    let (mut events, mut bytes, mut block_ms) = (COUNT_DEFAULT, REPLY_BYTES_MAX, None);
    let mut filter = FilterOptions::default();
    let mut words = Words::new(args, 2);
    while let Some(word) = words.next() {
        if filter.take(word, &mut words)? {
            continue;
        }
        if is(word, "COUNT") {
            events = positive(count(words.value()?)? as u64)? as usize;
        } else if is(word, "BYTES") {
            bytes = positive(words.number()?)?.min(REPLY_BYTES_MAX);
        } else if is(word, "BLOCK") {
            block_ms = Some(words.number()?);
        } else {
            return Err(CdcError::syntax());
        }
    }
    Ok(ReadOptions { count: events, bytes, filter, block_ms })
}

fn run(context: &mut HistoryContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    answer(context.server, reply, |reply| read(context, args, reply))
}

fn read(context: &mut HistoryContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<Progress, CdcError> {
    let options = options(args)?;
    let HistoryContext { history, state, now_ms, server } = context;
    let cursor = match state.cursor {
        Some(cursor) => cursor,
        None => cursor(args.get(1))?.cursor(history)?,
    };
    // Compiled once, however often the command runs again.
    let interest = match state.interest.take() {
        Some(interest) => interest,
        None => match options.filter.filter_in(state, server)? {
            Some(filter) => Arc::new(Interest { source: Source::All, filter }),
            None => {
                state.cursor = Some(cursor);
                return Ok(Progress::More);
            }
        },
    };
    let mut rows = Rows::new(reply.protocol(), Columns::Seven, *now_ms);
    let request = Request { cursor, count: options.count, bytes: options.bytes, filter: &interest.filter };
    let page = history.read(&request, |_, record| rows.event(record))?;
    if rows.is_empty() && page.is_too_long {
        let (event, next) = (page.next, page.next.next());
        let text = format!("ERR the name of event {event} is too long for this regex; read on from {next}");
        return Err(CdcError::from(text.into_bytes()));
    }
    if rows.is_empty() && page.gap.is_none() && !state.is_over(options.block_ms) {
        state.cursor = Some(page.next);
        state.interest = Some(interest);
        return Ok(if page.at_end { Progress::Wait(WaitFor::Events(page.next)) } else { Progress::More });
    }
    page_map(&page, &rows, reply);
    Ok(Progress::Done)
}

fn page_map(page: &Page, rows: &Rows, reply: &mut Reply<'_>) {
    reply.map(5);
    reply.text("next_seq");
    reply.unsigned(page.next.0);
    reply.text("gap");
    reply.boolean(page.gap.is_some());
    reply.text("lost");
    match page.gap.map(|gap| gap.lost) {
        None => reply.integer(0),
        Some(Some(count)) => reply.unsigned(count),
        Some(None) => reply.null(),
    }
    reply.text("first_seq");
    reply.unsigned(page.first.0);
    reply.text("events");
    rows.reply(reply);
}

#[cfg(test)]
mod tests {
    use super::super::REPLY_EVENTS_MAX;
    use super::*;
    use crate::resp::OwnedArgs;
    use keytide_engine::filter::Filter;

    fn parse(line: &str) -> Result<(usize, u64, Option<u64>, Filter), String> {
        let args: OwnedArgs = line.split_whitespace().collect();
        let options = options(args.as_args()).map_err(|error| error.text())?;
        let filter = options.filter.filter().map_err(|error| error.text())?;
        Ok((options.count, options.bytes, options.block_ms, filter))
    }

    #[test]
    fn options_come_in_any_order_and_have_bounds() {
        let (count, bytes, block_ms, filter) = parse("cdc.read 0 BLOCK 5 MATCH user:* count 99999 BYTES 10").unwrap();
        assert_eq!((count, bytes, block_ms), (REPLY_EVENTS_MAX, 10, Some(5)));
        assert!(!filter.is_all());
        let (count, bytes, block_ms, _) = parse("cdc.read 0").unwrap();
        assert_eq!((count, bytes, block_ms), (COUNT_DEFAULT, REPLY_BYTES_MAX, None));
        for line in ["cdc.read 0 COUNT 0", "cdc.read 0 BYTES 0"] {
            assert!(parse(line).is_err_and(|text| text.contains("must be positive")), "{line}");
        }
        assert_eq!(parse("cdc.read 0 COUNT x").err().unwrap(), "ERR value is not an integer or out of range");
        assert_eq!(parse("cdc.read 0 WAIT 1").err().unwrap(), "ERR syntax error");
    }
}
