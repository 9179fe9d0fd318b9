//! The filter's options: `[ON STREAM|TYPE] PREFIX n p… | REGEX re | MATCH glob`, and `NOSYSTEM`.

use super::refusal::CdcError;
use super::words::{Words, is, positive};
use crate::command::DeferredState;
use crate::server::Server;
use keytide_engine::filter::{Filter, Pattern, Target};
use std::sync::mpsc::{TryRecvError, channel};

/// The filter's options, collected among a command's others.
#[derive(Default)]
pub(super) struct FilterOptions<'a> {
    on: Option<Target>,
    pattern: Option<RequestedPattern<'a>>,
    no_system: bool,
}

enum RequestedPattern<'a> {
    Prefixes(Vec<&'a [u8]>),
    Regex(&'a [u8]),
    Glob(&'a [u8]),
}

impl<'a> FilterOptions<'a> {
    /// Parses an option with its values if it is one of the filter's; returns whether it was.
    pub(super) fn take(&mut self, option: &[u8], words: &mut Words<'a>) -> Result<bool, CdcError> {
        if is(option, "NOSYSTEM") {
            self.no_system = true;
        } else if is(option, "ON") {
            let target = match words.value()? {
                word if is(word, "STREAM") => Target::Stream,
                word if is(word, "TYPE") => Target::Type,
                _ => return Err(CdcError::syntax()),
            };
            if self.on.replace(target).is_some() {
                return Err(CdcError::syntax());
            }
        } else if is(option, "PREFIX") {
            let count = positive(words.number()?)?;
            let prefixes = (0..count).map(|_| words.value()).collect::<Result<_, _>>()?;
            self.want(RequestedPattern::Prefixes(prefixes))?;
        } else if is(option, "REGEX") {
            self.want(RequestedPattern::Regex(words.value()?))?;
        } else if is(option, "MATCH") {
            self.want(RequestedPattern::Glob(words.value()?))?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether there is a pattern on names or types.
    pub(super) fn has_pattern(&self) -> bool {
        self.pattern.is_some()
    }

    fn want(&mut self, wanted: RequestedPattern<'a>) -> Result<(), CdcError> {
        if self.pattern.replace(wanted).is_some() { Err(CdcError::syntax()) } else { Ok(()) }
    }

    /// The resulting filter, when it is ready: `None` while a regex is compiled. That may take longer than a turn
    /// should, so another thread does it; the command's state has the pending or finished result.
    pub(super) fn filter_in(self, state: &mut DeferredState, server: &Server) -> Result<Option<Filter>, CdcError> {
        let (on, no_system) = (self.on.unwrap_or_default(), self.no_system);
        match (&self.pattern, state.compiling.take(), &server.builder) {
            (_, Some(compiling), _) => match compiling.try_recv() {
                Ok(pattern) => Ok(Some(Filter::new(on, pattern?, no_system))),
                Err(TryRecvError::Empty) => {
                    state.compiling = Some(compiling);
                    Ok(None)
                }
                // The thread has ended.
                Err(TryRecvError::Disconnected) => self.filter().map(Some),
            },
            (&Some(RequestedPattern::Regex(regex)), None, Some(builder)) => {
                let (done, compiling) = channel();
                let text = regex.to_vec();
                // If the receiver is gone, the result is dropped.
                let compile = move || _ = done.send(Pattern::regex(&text));
                if !builder.run(compile) {
                    return self.filter().map(Some);
                }
                state.compiling = Some(compiling);
                Ok(None)
            }
            _ => self.filter().map(Some),
        }
    }

    /// The resulting filter, as far as its errors are known at once: in place of one by regex, which has to be compiled, another.
    pub(super) fn filter_but_regex(self) -> Result<Filter, CdcError> {
        if let Some(RequestedPattern::Regex(_)) = self.pattern { Ok(Filter::default()) } else { self.filter() }
    }

    /// The resulting filter; `ON` alone has no effect.
    pub(super) fn filter(self) -> Result<Filter, CdcError> {
        let on = self.on.unwrap_or_default();
        let pattern = match (self.pattern, on) {
            (None, _) if self.on.is_some() => return Err(CdcError::syntax()),
            (None, _) => Pattern::All,
            (Some(RequestedPattern::Prefixes(prefixes)), _) => Pattern::prefixes(prefixes)?,
            (Some(RequestedPattern::Regex(regex)), _) => Pattern::regex(regex)?,
            // Only streams belong to shards.
            (Some(RequestedPattern::Glob(glob)), Target::Stream) => Pattern::keys(glob)?,
            (Some(RequestedPattern::Glob(glob)), Target::Type) => Pattern::glob(glob)?,
        };
        Ok(Filter::new(on, pattern, self.no_system))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;
    use keytide_engine::position::ShardId;

    fn filter(line: &str) -> Result<Filter, String> {
        let args: OwnedArgs = line.split_whitespace().collect();
        let mut words = Words::new(args.as_args(), 0);
        let mut options = FilterOptions::default();
        while let Some(word) = words.next() {
            match options.take(word, &mut words) {
                Ok(true) => {}
                Ok(false) => return Err(format!("not the filter's: {}", word.escape_ascii())),
                Err(error) => return Err(error.text()),
            }
        }
        options.filter().map_err(|error| error.text())
    }

    fn passes(line: &str, stream: &str, event_type: &str) -> bool {
        filter(line).unwrap().matches(stream.as_bytes(), event_type.as_bytes(), ShardId(1))
    }

    #[test]
    fn each_kind_of_pattern_is_understood_on_streams_and_on_types() {
        assert!(passes("", "a", "Set"));
        assert!(passes("PREFIX 2 user: order:", "order:1", "Set") && !passes("PREFIX 1 user:", "order:1", "Set"));
        assert!(passes("regex ^o.*1$", "order:1", "Set") && !passes("REGEX ^1", "order:1", "Set"));
        assert!(passes("MATCH shard:1:o*", "order:1", "Set") && !passes("MATCH shard:0:o*", "order:1", "Set"));
        assert!(passes("ON TYPE MATCH H*", "k", "HSet") && !passes("MATCH H* ON TYPE", "Hk", "Set"));
        assert!(passes("NOSYSTEM", "a", "Set") && !passes("NOSYSTEM PREFIX 1 $", "$a", "Set"));
    }

    #[test]
    fn an_invalid_filter_is_refused() {
        for line in
            ["ON", "ON KEY MATCH a", "ON TYPE", "PREFIX 2 a", "MATCH a REGEX b", "ON TYPE ON TYPE MATCH a", "REGEX"]
        {
            assert_eq!(filter(line).unwrap_err(), "ERR syntax error", "{line}");
        }
        assert_eq!(filter("PREFIX 0").unwrap_err(), "ERR value is out of range, must be positive");
        assert_eq!(filter("REGEX (a").unwrap_err(), "ERR invalid regex: unclosed group");
        assert_eq!(filter("COUNT 5").unwrap_err(), "not the filter's: COUNT");
    }
}
