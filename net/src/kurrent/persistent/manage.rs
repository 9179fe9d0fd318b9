//! Delete, ReplayParked and RestartSubsystem.

use super::super::proto::persistent_subscriptions::{DeleteReq, ReplayParkedReq, replay_parked_req};
use super::super::rights::{Use, check_command};
use super::error::failed;
use super::names::GroupName;
use super::{reply_done, reply_empty};
use crate::groups::ask::{GroupAnswer, GroupAsk};
use crate::grpc::{CallContext, Handler, Status};
use bytes::Bytes;
use keytide_engine::history::History;
use keytide_engine::position::ShardId;
use prost::Message;

/// A call of Delete or ReplayParked.
pub struct Manage {
    read: fn(Bytes) -> Result<(GroupName, GroupAsk), Status>,
    name: Option<GroupName>,
}

impl Manage {
    pub fn deletes() -> Box<dyn Handler> {
        Box::new(Manage { read: delete, name: None })
    }

    pub fn replays() -> Box<dyn Handler> {
        Box::new(Manage { read: replay, name: None })
    }
}

fn missing() -> Status {
    Status::invalid("options are missing")
}

fn delete(message: Bytes) -> Result<(GroupName, GroupAsk), Status> {
    let request = DeleteReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
    let options = request.options.ok_or_else(missing)?;
    let name = GroupName::read(options.stream_option, options.group_name)?;
    let names = name.names();
    Ok((name, GroupAsk::Destroy(names)))
}

fn replay(message: Bytes) -> Result<(GroupName, GroupAsk), Status> {
    let request = ReplayParkedReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
    let options = request.options.ok_or_else(missing)?;
    let name = GroupName::read(options.stream_option, options.group_name)?;
    let before = match options.stop_at_option {
        Some(replay_parked_req::options::StopAtOption::StopAt(at)) => {
            let at = u64::try_from(at)
                .map_err(|_| failed(&name, "Cannot stop replaying parked message at a negative version."))?;
            Some(at)
        }
        Some(replay_parked_req::options::StopAtOption::NoLimit(_)) | None => None,
    };
    let names = name.names();
    Ok((name, GroupAsk::Replay(names, before)))
}

impl Handler for Manage {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        let (name, ask) = (self.read)(message)?;
        name.check(context, Use::ManageGroup)?;
        let core = name.names().core(context.server.shards());
        context.ask_group(core, 0, ask);
        self.name = Some(name);
        Ok(())
    }

    fn group(
        &mut self,
        context: &mut CallContext<'_>,
        _: u32,
        answer: GroupAnswer,
        _: &mut History,
    ) -> Result<(), Status> {
        let (GroupAnswer::Done(done), Some(name)) = (answer, &self.name) else { return Ok(()) };
        reply_done(context, name, done)
    }
}

/// A call of RestartSubsystem: all readers are dropped, and read again if they want.
pub struct Restart {
    /// The cores that have not answered.
    waits_for: u16,
}

impl Restart {
    pub fn begin() -> Box<dyn Handler> {
        Box::new(Restart { waits_for: 0 })
    }
}

impl Handler for Restart {
    fn message(&mut self, context: &mut CallContext<'_>, _: Bytes) -> Result<(), Status> {
        check_command(context, Use::Operate)?;
        self.waits_for = context.server.shards();
        (0..self.waits_for).for_each(|core| context.ask_group(ShardId(core), 0, GroupAsk::DropReaders));
        Ok(())
    }

    fn group(&mut self, context: &mut CallContext<'_>, _: u32, _: GroupAnswer, _: &mut History) -> Result<(), Status> {
        self.waits_for = self.waits_for.saturating_sub(1);
        if self.waits_for == 0 {
            reply_empty(context);
        }
        Ok(())
    }
}
