//! Gossip: the members of the cluster. There is one, which leads.

use super::super::proto::server::{ClusterInfo, EndPoint, MemberInfo};
use super::super::proto::{Uuid, uuid};
use crate::grpc::{CallContext, Handler, Method, Status};
use bytes::Bytes;
use prost::Message;

pub static METHOD: Method =
    Method { path: "/event_store.client.gossip.Gossip/Read", features: &[], is_open: true, begin: || Box::new(Gossip) };

/// The number of the state of a leader.
const LEADER: i32 = 8;

/// How many 100-nanosecond ticks a millisecond has.
const TICKS_PER_MS: i64 = 10_000;

struct Gossip;

impl Handler for Gossip {
    fn message(&mut self, context: &mut CallContext<'_>, _: Bytes) -> Result<(), Status> {
        // The address at which this client has reached the server is one that it can reach.
        let local = context.local.ok_or_else(|| Status::invalid("the address of the connection is not known"))?;
        let id = uuid::Value::String(instance_id(&context.server.history_id));
        let member = MemberInfo {
            instance_id: Some(Uuid { value: Some(id) }),
            time_stamp: context.now_ms as i64 * TICKS_PER_MS,
            state: LEADER,
            is_alive: true,
            http_end_point: Some(EndPoint {
                address: local.ip().to_canonical().to_string(),
                port: local.port().into(),
            }),
        };
        context.send(|out| ClusterInfo { members: vec![member] }.encode_raw(out));
        context.finish();
        Ok(())
    }
}

/// The history's id as a UUID.
pub fn instance_id(history_id: &str) -> String {
    let digits = history_id.get(..32).and_then(|digits| u128::from_str_radix(digits, 16).ok()).unwrap_or_default();
    ::uuid::Builder::from_random_bytes(digits.to_be_bytes()).into_uuid().hyphenated().to_string()
}
