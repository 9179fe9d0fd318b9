//! ServerFeatures: which methods there are. Clients ask it first, without credentials, and choose by the answer how they
//! do what they are asked for.

use super::super::proto::server::{SupportedMethod, SupportedMethods};
use super::super::table;
use crate::grpc::{CallContext, Handler, Method, Status};
use bytes::Bytes;
use prost::Message;

pub static METHOD: Method = Method {
    path: "/event_store.client.server_features.ServerFeatures/GetSupportedMethods",
    features: &[],
    is_open: true,
    begin: || Box::new(Features),
};

/// The version of KurrentDB whose protocol this is. Clients compare numbers, and end where they find anything else.
const VERSION: &str = "25.1.0";

struct Features;

impl Handler for Features {
    fn message(&mut self, context: &mut CallContext<'_>, _: Bytes) -> Result<(), Status> {
        let methods = table::all().filter_map(|method| {
            let (service, name) = method.path.strip_prefix('/')?.split_once('/')?;
            Some(SupportedMethod {
                method_name: name.to_lowercase(),
                service_name: service.to_lowercase(),
                features: method.features.iter().map(|feature| (*feature).to_owned()).collect(),
            })
        });
        let answer = SupportedMethods { methods: methods.collect(), event_store_server_version: VERSION.to_owned() };
        context.send(|out| answer.encode_raw(out));
        context.finish();
        Ok(())
    }
}
