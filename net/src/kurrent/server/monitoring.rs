//! Monitoring: the figures of the server, once or again and again.

use super::super::proto::server::{StatsReq, StatsResp};
use super::super::rights::check_all;
use crate::grpc::{CallContext, Handler, Method, Status};
use crate::server::{STATS, Server, Stat};
use bytes::Bytes;
use prost::Message;
use std::collections::HashMap;

pub static METHOD: Method = Method {
    path: "/event_store.client.monitoring.Monitoring/Stats",
    features: &[],
    is_open: false,
    begin: || Box::new(Monitoring),
};

struct Monitoring;

/// The figures, by their names.
pub fn figures(server: &Server) -> HashMap<String, String> {
    let name = |stat: Stat| format!("keytide-{}", format!("{stat:?}").to_lowercase());
    let all = STATS.iter().map(|(stat, _)| (name(*stat), server.total(*stat).to_string()));
    let of_process = [
        ("proc-id".to_owned(), std::process::id().to_string()),
        ("es-version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("keytide-clients".to_owned(), server.client_count().to_string()),
    ];
    all.chain(of_process).collect()
}

impl Handler for Monitoring {
    fn message(&mut self, context: &mut CallContext<'_>, message: Bytes) -> Result<(), Status> {
        StatsReq::decode(message).map_err(|error| Status::invalid(error.to_string()))?;
        check_all(context)?;
        let stats = figures(context.server);
        context.send(|out| StatsResp { stats }.encode_raw(out));
        context.finish();
        Ok(())
    }
}
