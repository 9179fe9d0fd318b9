//! Operations: what operators of KurrentDB ask for. The server does by itself what these are for there, so all of it is
//! done at once.

use super::super::persistent;
use super::super::proto::Empty;
use super::super::proto::server::ScavengeResp;
use super::super::rights::{Use, check_command};
use crate::grpc::{CallContext, Handler, Method, Status};
use bytes::Bytes;
use prost::Message;

/// The result of a scavenge that was stopped, or has ended.
const STOPPED: i32 = 2;

const fn method(path: &'static str, begin: fn() -> Box<dyn Handler>) -> Method {
    Method { path, features: &[], is_open: false, begin }
}

pub static START_SCAVENGE: Method =
    method("/event_store.client.operations.Operations/StartScavenge", || Box::new(Scavenge));

pub static STOP_SCAVENGE: Method =
    method("/event_store.client.operations.Operations/StopScavenge", || Box::new(Scavenge));

pub static MERGE_INDEXES: Method =
    method("/event_store.client.operations.Operations/MergeIndexes", || Box::new(Nothing));

pub static RESTART_PERSISTENT_SUBSCRIPTIONS: Method =
    method("/event_store.client.operations.Operations/RestartPersistentSubscriptions", persistent::restart);

/// Removing old versions of events: there are none but those that retention removes.
struct Scavenge;

impl Handler for Scavenge {
    fn message(&mut self, context: &mut CallContext<'_>, _: Bytes) -> Result<(), Status> {
        check_command(context, Use::Operate)?;
        let answer = ScavengeResp { scavenge_id: super::super::id::random(), scavenge_result: STOPPED };
        context.send(|out| answer.encode_raw(out));
        context.finish();
        Ok(())
    }
}

/// What needs no work here.
struct Nothing;

impl Handler for Nothing {
    fn message(&mut self, context: &mut CallContext<'_>, _: Bytes) -> Result<(), Status> {
        check_command(context, Use::Operate)?;
        context.send(|out| Empty {}.encode_raw(out));
        context.finish();
        Ok(())
    }
}
