//! Delete and Tombstone: a stream ends, so that it can begin again, or for good.

use super::super::error::access_denied;
use super::super::error::{not_recording, refused, wrong_expected_version};
use super::super::proto::AllStreamPosition;
use super::super::proto::streams::delete_resp::PositionOption;
use super::super::proto::streams::{DeleteReq, DeleteResp};
use super::super::rights::{Use, check_stream};
use super::append::target;
use crate::grpc::{CallContext, Handler, Method, Status};
use crate::streams::{Job, JobRefused, Outcome};
use bytes::Bytes;
use keytide_engine::error::Refusal;
use keytide_engine::shard::Expected;
use keytide_engine::stream_metadata::described_stream;
use prost::Message;

pub static DELETE: Method = Method {
    path: "/event_store.client.streams.Streams/Delete",
    features: &[],
    is_open: false,
    begin: || Box::new(Delete { is_for_good: false, target: None }),
};

pub static TOMBSTONE: Method = Method {
    path: "/event_store.client.streams.Streams/Tombstone",
    features: &[],
    is_open: false,
    begin: || Box::new(Delete { is_for_good: true, target: None }),
};

struct Delete {
    is_for_good: bool,
    target: Option<(Bytes, Expected)>,
}

impl Handler for Delete {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        let request = DeleteReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        if !context.server.is_recording() {
            return Err(not_recording());
        }
        let (stream, expected) = target(request.options.unwrap_or_default())?;
        // As KurrentDB has it: nobody deletes what describes a stream.
        if described_stream(&stream).is_some() {
            return Err(access_denied());
        }
        check_stream(context, Use::Delete, &stream)?;
        self.target = Some((stream.clone(), expected));
        context.run(0, if self.is_for_good { Job::End { stream, expected } } else { Job::Delete { stream, expected } });
        Ok(())
    }

    fn outcome(&mut self, context: &mut CallContext<'_>, _: u32, outcome: Outcome) -> Result<(), Status> {
        let (Some((stream, expected)), Outcome::Deleted(deleted)) = (&self.target, outcome) else { return Ok(()) };
        match deleted {
            Ok(position) => {
                let position = AllStreamPosition { commit_position: position.0, prepare_position: position.0 };
                let response = DeleteResp { position_option: Some(PositionOption::Position(position)) };
                context.send(|out| response.encode_raw(out));
                context.finish();
                Ok(())
            }
            Err(JobRefused::Shard(Refusal::WrongRevision { actual })) => {
                Err(wrong_expected_version(stream, *expected, actual))
            }
            Err(other) => Err(refused(stream, &other)),
        }
    }
}
