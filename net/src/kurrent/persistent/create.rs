//! Create and Update: a group is made as a client says, or is from now on.

use super::super::error::refused as stream_refused;
use super::super::proto::AllStreamPosition;
use super::super::proto::persistent_subscriptions::CreateReq;
use super::super::proto::persistent_subscriptions::create_req::all_options::{AllOption, FilterOption};
use super::super::proto::persistent_subscriptions::create_req::options::StreamOption;
use super::super::proto::persistent_subscriptions::create_req::stream_options::RevisionOption;
use super::super::rights::Use;
use super::super::streams::FilterRequest;
use super::error::failed;
use super::names::{GroupName, Named};
use super::reply_done;
use super::settings::{Settings, Wrong};
use crate::groups::ask::{GroupAnswer, GroupAsk, Made};
use crate::grpc::{CallContext, Handler, Status};
use crate::streams::{Job, Outcome};
use bytes::Bytes;
use keytide_engine::filter::Filter;
use keytide_engine::group::{Selection, Start};
use keytide_engine::history::History;
use keytide_engine::interest::{Interest, Source};
use keytide_engine::position::{Position, Revision};
use prost::Message;

/// Where a group starts, as a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Start,
    End,
    /// A revision of its stream.
    Revision(u64),
    /// A position, of `$all` or of a stream of links.
    Position(u64),
}

/// A call of Create or Update.
pub struct Make {
    is_update: bool,
    wanted: Option<Wanted>,
}

struct Wanted {
    name: GroupName,
    source: Source,
    from: From,
    settings: Settings,
    filter: Option<FilterRequest>,
    first_revision: Revision,
}

impl Make {
    pub fn creates() -> Box<dyn Handler> {
        Box::new(Make { is_update: false, wanted: None })
    }

    pub fn updates() -> Box<dyn Handler> {
        Box::new(Make { is_update: true, wanted: None })
    }

    /// Asks the group's core, once the filter is ready.
    fn ask(&mut self, context: &mut CallContext<'_>) -> Result<(), Status> {
        let Some(wanted) = &mut self.wanted else { return Ok(()) };
        let compiled = match &mut wanted.filter {
            None => Filter::default(),
            Some(request) => match request.poll(context.server)? {
                Some(filter) => filter,
                None => {
                    context.read_history_later();
                    return Ok(());
                }
            },
        };
        let Wanted { name, source, from, settings, filter, first_revision } = wanted;
        // The rights may have changed since.
        name.check(context, Use::ManageGroup)?;
        let selection = Selection {
            source: name.source[..].into(),
            filter: filter.as_ref().map(FilterRequest::text),
            first_revision: *first_revision,
        };
        let start = match *from {
            From::End => Start::Head,
            From::Start | From::Revision(_) => Start::At(Position(0)),
            From::Position(position) => Start::At(Position(position).min(Position::END)),
        };
        let names = name.names();
        let core = names.core(context.server.shards());
        let creator = Some(context.user.usage().clone());
        let made = Made { names, start, options: settings.options(), spec: settings.spec(selection), creator };
        let ask = match self.is_update {
            true => GroupAsk::Update(Box::new(made)),
            false => {
                let interest = Interest { source: source.clone(), filter: compiled };
                GroupAsk::Create(Box::new(made), Box::new(interest))
            }
        };
        context.ask_group(core, 0, ask);
        Ok(())
    }
}

impl Wanted {
    fn read(request: CreateReq) -> Result<Wanted, Status> {
        let options = request.options.ok_or_else(|| Status::invalid("options are missing"))?;
        let message = options.settings.ok_or_else(|| Status::invalid("settings are missing"))?;
        let (named, from, filter) = match options.stream_option {
            Some(StreamOption::Stream(stream)) => {
                let from = match stream.revision_option {
                    Some(RevisionOption::Revision(u64::MAX) | RevisionOption::End(_)) => From::End,
                    Some(RevisionOption::Revision(revision)) => From::Revision(revision),
                    Some(RevisionOption::Start(_)) | None => From::Start,
                };
                (stream.stream_identifier.map(Named::Stream), from, None)
            }
            Some(StreamOption::All(all)) => {
                let from = match all.all_option {
                    Some(AllOption::Position(AllStreamPosition { commit_position: u64::MAX, .. })) => From::End,
                    Some(AllOption::Position(position)) => all_position(&position, &options.group_name)?,
                    Some(AllOption::End(_)) => From::End,
                    Some(AllOption::Start(_)) | None => From::Start,
                };
                let filter = match all.filter_option {
                    Some(FilterOption::Filter(filter)) => Some(FilterRequest::read(filter)?),
                    Some(FilterOption::NoFilter(_)) | None => None,
                };
                (Some(Named::All), from, filter)
            }
            // Clients of before these options.
            None => {
                let from = if message.revision == u64::MAX { From::End } else { From::Revision(message.revision) };
                (options.stream_identifier.map(Named::Stream), from, None)
            }
        };
        let name = GroupName::read(named, options.group_name)?;
        let source = Source::of(&name.source);
        // Streams of links have positions as revisions.
        let from = match (&source, from) {
            (_, From::Revision(revision)) if i64::try_from(revision).is_err() => {
                return Err(Status::invalid("the revision is out of range"));
            }
            (_, From::Revision(0)) => From::Start,
            (Source::Stream(_), from) => from,
            (_, From::Revision(revision)) => From::Position(revision),
            (_, from) => from,
        };
        let settings = Settings::read(message, shown(&source, from)).map_err(|wrong| match wrong {
            Wrong::Invalid(status) => status,
            Wrong::Reason(reason) => failed(&name, &reason),
        })?;
        let first_revision = Revision(if let From::Revision(revision) = from { revision } else { 0 });
        Ok(Wanted { name, source, from, settings, filter, first_revision })
    }
}

/// A position as a client gives it: two numbers, which are equal for every event.
fn all_position(position: &AllStreamPosition, group: &str) -> Result<From, Status> {
    let (commit, prepare) = (position.commit_position, position.prepare_position);
    if i64::try_from(commit).is_err() || prepare > commit {
        let name = GroupName::read(Some(Named::All), group.to_owned())?;
        return Err(failed(
            &name,
            "The position is out of range, or its prepare position is behind its commit position.",
        ));
    }
    Ok(if commit == 0 { From::Start } else { From::Position(commit) })
}

/// A start as clients read it.
fn shown(source: &Source, from: From) -> String {
    let number = match from {
        From::Start => 0,
        From::End => -1,
        From::Revision(number) | From::Position(number) => number as i64,
    };
    if *source == Source::All { format!("C:{number}/P:{number}") } else { number.to_string() }
}

impl Handler for Make {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        let request = CreateReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        let wanted = Wanted::read(request)?;
        wanted.name.check(context, Use::ManageGroup)?;
        let describe = matches!(wanted.source, Source::Stream(_)) && wanted.from != From::End;
        let stream = wanted.name.source.clone();
        self.wanted = Some(wanted);
        if describe {
            // What the stream's metadata hides is not wanted.
            context.run(0, Job::Describe { stream });
            return Ok(());
        }
        self.ask(context)
    }

    fn outcome(&mut self, context: &mut CallContext<'_>, _: u32, outcome: Outcome) -> Result<(), Status> {
        if let (Outcome::Described(stream), Some(wanted)) = (outcome, &mut self.wanted) {
            let stream = stream.map_err(|error| stream_refused(&wanted.name.source, &error))?;
            if let Some(last) = stream.last {
                let first = match stream.metadata.is_deleted() {
                    true => Revision(last.0.saturating_add(1)),
                    false => stream.metadata.first_readable(last),
                };
                wanted.first_revision = wanted.first_revision.max(first);
            }
        }
        self.ask(context)
    }

    fn read(&mut self, context: &mut CallContext<'_>, _: &mut History) -> Result<(), Status> {
        self.ask(context)
    }

    fn group(
        &mut self,
        context: &mut CallContext<'_>,
        _: u32,
        answer: GroupAnswer,
        _: &mut History,
    ) -> Result<(), Status> {
        let (GroupAnswer::Done(done), Some(wanted)) = (answer, &self.wanted) else { return Ok(()) };
        reply_done(context, &wanted.name, done)
    }
}
