//! Filters on events: by stream or by type, by prefixes or by a regular expression.

use super::super::proto::streams::read_req::FilterOptions;
use super::super::proto::streams::read_req::filter_options::{Filter as Wanted, Window};
use crate::grpc::{Code, Status};
use crate::server::Server;
use keytide_engine::filter::{Filter, FilterError, Pattern, Target};
use keytide_engine::group::{FilterText, PatternText};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

/// How many events the window `count` has.
const WINDOW_EVENTS: u64 = 32;

/// What begins the name of an index, of types and of categories.
const TYPE_INDEX: &str = "$idx-et-";
const CATEGORY_INDEX: &str = "$idx-ce-";

/// A filter as a client asks for it.
pub struct FilterRequest {
    target: Target,
    expression: Expression,
    /// After how many events looked at a subscription gets a checkpoint.
    pub checkpoint_events: u64,
    compiling: Option<Receiver<Result<Pattern, FilterError>>>,
}

enum Expression {
    Regex(String),
    Prefixes(Vec<String>),
    /// Events of one type.
    Type(String),
}

impl FilterRequest {
    /// Reads the options.
    ///
    /// # Errors
    /// They lack something.
    pub fn read(options: FilterOptions) -> Result<FilterRequest, Status> {
        let (mut target, wanted) = match options.filter {
            Some(Wanted::StreamIdentifier(expression)) => (Target::Stream, expression),
            Some(Wanted::EventType(expression)) => (Target::Type, expression),
            None => return Err(Status::invalid("the filter is missing")),
        };
        let window = match options.window {
            Some(Window::Max(max)) => u64::from(max.max(1)),
            Some(Window::Count(_)) => WINDOW_EVENTS,
            None => return Err(Status::invalid("the filter's window is missing")),
        };
        let expression = match &wanted.prefix[..] {
            _ if !wanted.regex.is_empty() => Expression::Regex(wanted.regex),
            [index] if target == Target::Stream && index.starts_with(TYPE_INDEX) => {
                target = Target::Type;
                Expression::Type(index[TYPE_INDEX.len()..].to_owned())
            }
            [index] if target == Target::Stream && index.starts_with(CATEGORY_INDEX) => {
                let category = &index[CATEGORY_INDEX.len()..];
                Expression::Prefixes(["-", ":"].map(|end| format!("{category}{end}")).to_vec())
            }
            _ => Expression::Prefixes(wanted.prefix),
        };
        let multiplier = u64::from(options.checkpoint_interval_multiplier.max(1));
        Ok(FilterRequest { target, expression, checkpoint_events: window.saturating_mul(multiplier), compiling: None })
    }

    /// The filter, once it is ready: a regular expression is compiled by another thread, so that no turn waits.
    ///
    /// # Errors
    /// The expression is not valid, or too large.
    pub fn poll(&mut self, server: &Server) -> Result<Option<Filter>, Status> {
        let compiled = match (&self.expression, self.compiling.take(), &server.builder) {
            (_, Some(compiling), _) => match compiling.try_recv() {
                Ok(pattern) => pattern,
                Err(TryRecvError::Empty) => {
                    self.compiling = Some(compiling);
                    return Ok(None);
                }
                // The thread has ended.
                Err(TryRecvError::Disconnected) => self.expression.pattern(),
            },
            (Expression::Regex(regex), None, Some(builder)) => {
                let (done, compiling) = channel();
                let text = regex.clone();
                // If the receiver is gone, the result is dropped.
                if builder.run(move || _ = done.send(Pattern::regex_with_lookaround(text.as_bytes()))) {
                    self.compiling = Some(compiling);
                    return Ok(None);
                }
                self.expression.pattern()
            }
            _ => self.expression.pattern(),
        };
        let pattern = compiled.map_err(|error| Status::new(Code::InvalidArgument, format!("the filter: {error}")))?;
        Ok(Some(Filter::new(self.target, pattern, false)))
    }
}

impl FilterRequest {
    /// The filter as it is kept, to be compiled again after a start.
    pub fn text(&self) -> FilterText {
        let pattern = match &self.expression {
            Expression::Regex(regex) => PatternText::Regex(regex.as_bytes().into()),
            Expression::Prefixes(prefixes) => {
                PatternText::Prefixes(prefixes.iter().map(|prefix| prefix.as_bytes().into()).collect())
            }
            Expression::Type(name) => PatternText::Glob(escaped(name.as_bytes()).into()),
        };
        FilterText { on: self.target, pattern }
    }
}

impl Expression {
    fn pattern(&self) -> Result<Pattern, FilterError> {
        match self {
            Expression::Regex(regex) => Pattern::regex_with_lookaround(regex.as_bytes()),
            Expression::Prefixes(prefixes) => Pattern::prefixes(prefixes.iter().map(|prefix| prefix.as_bytes())),
            Expression::Type(name) => Pattern::glob(&escaped(name.as_bytes())),
        }
    }
}

/// A glob that only this name matches.
fn escaped(name: &[u8]) -> Vec<u8> {
    name.iter().flat_map(|byte| [b'\\', *byte]).collect()
}
