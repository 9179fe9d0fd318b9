//! KurrentDB's protocol: its services, over gRPC.
//!
//! A method is one [`Method`](crate::grpc::Method) beside what handles a call of it, in a file of its own; [`table`] gathers
//! them.
//!
//! | module | what is in it |
//! |---|---|
//! | [`table`] | all methods, and how one is found |
//! | `streams` | append, read, subscribe, delete |
//! | `streams_v2` | appends to several streams together |
//! | `users` | users, their passwords and groups |
//! | `persistent` | persistent subscriptions: create, read, inspect |
//! | `server` | the server's features, its cluster, its figures, its operations |
//! | `links` | links that clients have written, and the events that they point to |
//! | `event` | what a record is to a client |
//! | `wire` | messages that are written by hand, for they are many |
//! | `proto` | all other messages |
//! | `id` | the ids of events and calls |
//! | `error` | how calls fail |
//! | `rights` | what a user needs |

mod error;
mod event;
mod id;
mod links;
mod persistent;
mod proto;
mod rights;
mod server;
mod streams;
mod streams_v2;
pub mod table;
mod users;
mod wire;

pub use error::{access_denied, shutting_down};
pub use rights::may_read_group;
pub use server::{figures, instance_id};
