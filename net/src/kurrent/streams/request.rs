//! What a read or a subscription wants.

use super::super::id::IdForm;
use super::super::proto::AllStreamPosition;
use super::super::proto::streams::ReadReq;
use super::super::proto::streams::read_req::all_options::AllOption;
use super::super::proto::streams::read_req::options::{CountOption, FilterOption, StreamOption};
use super::super::proto::streams::read_req::stream_options::RevisionOption;
use super::super::proto::streams::read_req::uuid_option;
use super::filter::FilterRequest;
use super::proposed::stream_name;
use crate::grpc::Status;
use keytide_engine::interest::Source;
use keytide_engine::position::Position;

/// Where a read or a subscription starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At the first event.
    Start,
    /// At the end.
    End,
    /// At this revision, in a stream.
    Revision(u64),
    /// At this position, in all events.
    Position(Position),
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// So many events are read from there on.
    Forwards(u64),
    /// So many events are read from there back.
    Backwards(u64),
    /// All events behind it are sent, as they happen.
    Subscription,
}

/// A read or a subscription.
pub struct Request {
    /// Of which events.
    pub source: Source,
    /// Where it starts.
    pub from: From,
    /// What is done.
    pub direction: Direction,
    /// Which of them.
    pub filter: Option<FilterRequest>,
    /// Whether the events behind links are sent.
    pub resolve_links: bool,
    /// How ids are written.
    pub id_form: IdForm,
    /// Whether the client knows the messages with the first and the last revision of a stream.
    pub knows_positions: bool,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// It lacks something, or its options do not go together.
    pub fn read(request: ReadReq) -> Result<Request, Status> {
        let options = request.options.ok_or_else(|| Status::invalid("options are missing"))?;
        let id_form = match options.uuid_option.and_then(|option| option.content) {
            Some(uuid_option::Content::String(_)) => IdForm::Text,
            Some(uuid_option::Content::Structured(_)) => IdForm::Structured,
            None if options.uuid_option.is_some() => IdForm::Structured,
            None => return Err(Status::invalid("uuid_option is missing")),
        };
        let direction = match (options.count_option, options.read_direction) {
            (Some(CountOption::Subscription(_)), 0) => Direction::Subscription,
            (Some(CountOption::Count(0)), _) => return Err(Status::invalid("count must be positive")),
            (Some(CountOption::Count(count)), 0) => Direction::Forwards(count),
            (Some(CountOption::Count(count)), 1) => Direction::Backwards(count),
            _ => return Err(combination("count_option and read_direction")),
        };
        let filter = match options.filter_option {
            Some(FilterOption::Filter(filter)) => Some(FilterRequest::read(filter)?),
            Some(FilterOption::NoFilter(_)) | None => None,
        };
        let (source, from) = match options.stream_option {
            Some(StreamOption::Stream(stream)) => {
                let from = match stream.revision_option {
                    Some(RevisionOption::Revision(u64::MAX) | RevisionOption::End(_)) => From::End,
                    Some(RevisionOption::Revision(revision)) if i64::try_from(revision).is_ok() => {
                        From::Revision(revision)
                    }
                    Some(RevisionOption::Revision(_)) => return Err(Status::invalid("the revision is out of range")),
                    Some(RevisionOption::Start(_)) => From::Start,
                    None => return Err(Status::invalid("revision_option is missing")),
                };
                if filter.is_some() {
                    return Err(combination("a stream and a filter"));
                }
                (Source::of(&stream_name(stream.stream_identifier)?), from)
            }
            Some(StreamOption::All(all)) => {
                let from = match all.all_option {
                    Some(AllOption::Position(position)) => position_of(&position)?,
                    Some(AllOption::Start(_)) => From::Start,
                    Some(AllOption::End(_)) => From::End,
                    None => return Err(Status::invalid("all_option is missing")),
                };
                (Source::All, from)
            }
            None => return Err(Status::invalid("stream_option is missing")),
        };
        // Streams of links have positions as revisions.
        let from = match (&source, from) {
            (Source::Stream(_), from) => from,
            (_, From::Revision(0)) => From::Start,
            (_, From::Revision(revision)) => From::Position(Position(revision).min(Position::END)),
            (_, from) => from,
        };
        let knows_positions = options.control_option.is_some_and(|control| control.compatibility >= 1);
        let resolve_links = options.resolve_links;
        Ok(Request { source, from, direction, filter, resolve_links, id_form, knows_positions })
    }
}

/// A position as a client gives it: two numbers that are equal for every event.
fn position_of(position: &AllStreamPosition) -> Result<From, Status> {
    let (commit, prepare) = (position.commit_position, position.prepare_position);
    match (i64::try_from(commit), i64::try_from(prepare)) {
        _ if commit == u64::MAX && prepare == u64::MAX => Ok(From::End),
        (Ok(0), _) => Ok(From::Start),
        (Ok(_), Ok(_)) if prepare <= commit => Ok(From::Position(Position(commit).min(Position::END))),
        _ => {
            Err(Status::invalid("the position is out of range, or its prepare position is behind its commit position"))
        }
    }
}

fn combination(what: &str) -> Status {
    Status::invalid(format!("The combination of ({what}) is invalid."))
}
