//! The messages of the protocol, made of `proto/*.proto`.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/event_store.client.rs"));

pub mod streams {
    include!(concat!(env!("OUT_DIR"), "/event_store.client.streams.rs"));
}

pub mod server {
    include!(concat!(env!("OUT_DIR"), "/event_store.client.server.rs"));
}

pub mod streams_v2 {
    include!(concat!(env!("OUT_DIR"), "/kurrentdb.protocol.v2.streams.rs"));
}

pub mod users {
    include!(concat!(env!("OUT_DIR"), "/event_store.client.users.rs"));
}

pub mod persistent_subscriptions {
    include!(concat!(env!("OUT_DIR"), "/event_store.client.persistent_subscriptions.rs"));
}
