//! The service Streams.
//!
//! | module | what is in it |
//! |---|---|
//! | `append` | Append |
//! | `batch_append` | BatchAppend |
//! | `proposed` | the events that a client proposes |
//! | `delete` | Delete and Tombstone |
//! | `read` | Read: which of the others a request is for |
//! | `request` | what a read or a subscription wants |
//! | `filter` | filters on events |
//! | `stream_read` | a read of one stream |
//! | `all_read` | a read of all events, or of a stream of links |
//! | `backwards` | reading backwards in the order of all events |
//! | `subscription` | a subscription |

mod all_read;
mod append;
mod backwards;
mod batch_append;
mod delete;
mod filter;
mod proposed;
mod read;
mod request;
mod stream_read;
mod subscription;

use crate::grpc::Method;
pub use filter::FilterRequest;

/// The methods.
pub static METHODS: &[&Method] =
    &[&append::METHOD, &batch_append::METHOD, &delete::DELETE, &delete::TOMBSTONE, &read::METHOD];
