//! Append: events for one stream, in as many messages as the client likes; answered once.

use super::super::error::{not_recording, refused};
use super::super::proto::streams::append_req::options::ExpectedStreamRevision;
use super::super::proto::streams::append_req::{Content, Options};
use super::super::proto::streams::append_resp::success::{CurrentRevisionOption, PositionOption};
use super::super::proto::streams::append_resp::wrong_expected_version as wrong;
use super::super::proto::streams::append_resp::{Result as Answer, Success, WrongExpectedVersion};
use super::super::proto::streams::{AppendReq, AppendResp};
use super::super::proto::{AllStreamPosition, Empty};
use super::super::rights::{Use, check_stream};
use super::proposed::{Proposed, expected_revision, stream_name};
use crate::grpc::{CallContext, Handler, Method, Status};
use crate::streams::{Job, JobRefused, Outcome};
use bytes::Bytes;
use keytide_engine::error::Refusal;
use keytide_engine::position::Revision;
use keytide_engine::shard::{Appended, Expected};
use prost::Message;

pub static METHOD: Method = Method {
    path: "/event_store.client.streams.Streams/Append",
    features: &[],
    is_open: false,
    begin: || Box::new(Append::default()),
};

#[derive(Default)]
struct Append {
    target: Option<(Bytes, Expected)>,
    proposed: Proposed,
}

impl Handler for Append {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        let request = AppendReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        match (request.content, &self.target) {
            (Some(Content::Options(options)), None) => {
                if !context.server.is_recording() {
                    return Err(not_recording());
                }
                let target = target(options)?;
                check_stream(context, Use::Append, &target.0)?;
                self.target = Some(target);
                Ok(())
            }
            (Some(Content::ProposedMessage(message)), Some(_)) => self.proposed.add(message),
            _ => Err(Status::invalid("options come first and once, and events behind them")),
        }
    }

    fn held_bytes(&self) -> usize {
        self.proposed.bytes()
    }

    fn end(&mut self, context: &mut CallContext<'_>) -> Result<(), Status> {
        let (stream, expected) = self.target.clone().ok_or_else(|| Status::invalid("options are missing"))?;
        // The rights may have changed since.
        check_stream(context, Use::Append, &stream)?;
        context.run(0, Job::Append { stream, expected, events: self.proposed.take() });
        Ok(())
    }

    fn outcome(&mut self, context: &mut CallContext<'_>, _: u32, outcome: Outcome) -> Result<(), Status> {
        let (Some((stream, expected)), Outcome::Appended(appended)) = (&self.target, outcome) else { return Ok(()) };
        let answer = match appended {
            Ok(appended) => Answer::Success(success(appended)),
            Err(JobRefused::Shard(Refusal::WrongRevision { actual })) => {
                Answer::WrongExpectedVersion(wrong_version(*expected, actual))
            }
            Err(other) => return Err(refused(stream, &other)),
        };
        context.send(|out| AppendResp { result: Some(answer) }.encode_raw(out));
        context.finish();
        Ok(())
    }
}

/// The stream that a request is for, and what its client expects of it.
pub(super) fn target(options: Options) -> Result<(Bytes, Expected), Status> {
    let expected = match options.expected_stream_revision {
        Some(ExpectedStreamRevision::Revision(revision)) => expected_revision(revision)?,
        Some(ExpectedStreamRevision::NoStream(_)) => Expected::NoStream,
        Some(ExpectedStreamRevision::StreamExists(_)) => Expected::Exists,
        Some(ExpectedStreamRevision::Any(_)) => Expected::Any,
        None => return Err(Status::invalid("the expected revision is missing")),
    };
    Ok((stream_name(options.stream_identifier)?, expected))
}

/// The answer to an append that was done.
pub(super) fn success(appended: Appended) -> Success {
    Success {
        current_revision_option: Some(match appended.revision {
            Some(revision) => CurrentRevisionOption::CurrentRevision(revision.0),
            None => CurrentRevisionOption::NoStream(Empty {}),
        }),
        position_option: Some(match appended.position {
            Some(position) => PositionOption::Position(AllStreamPosition {
                commit_position: position.0,
                prepare_position: position.0,
            }),
            None => PositionOption::NoPosition(Empty {}),
        }),
    }
}

/// The stream is not as expected: an answer and not an error, with the fields that older clients read too.
fn wrong_version(expected: Expected, actual: Option<Revision>) -> WrongExpectedVersion {
    use wrong::{
        CurrentRevisionOption as Current, CurrentRevisionOption2060 as OldCurrent, ExpectedRevisionOption as New,
        ExpectedRevisionOption2060 as Old,
    };
    let (old, new) = match expected {
        Expected::At(revision) => (Old::ExpectedRevision2060(revision.0), New::ExpectedRevision(revision.0)),
        Expected::Any => (Old::Any2060(Empty {}), New::ExpectedAny(Empty {})),
        Expected::Exists => (Old::StreamExists2060(Empty {}), New::ExpectedStreamExists(Empty {})),
        Expected::NoStream => (Old::ExpectedRevision2060(u64::MAX), New::ExpectedNoStream(Empty {})),
    };
    let (old_current, current) = match actual {
        Some(revision) => (OldCurrent::CurrentRevision2060(revision.0), Current::CurrentRevision(revision.0)),
        None => (OldCurrent::NoStream2060(Empty {}), Current::CurrentNoStream(Empty {})),
    };
    WrongExpectedVersion {
        current_revision_option_20_6_0: Some(old_current),
        expected_revision_option_20_6_0: Some(old),
        current_revision_option: Some(current),
        expected_revision_option: Some(new),
    }
}
