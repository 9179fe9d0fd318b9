//! gRPC on a connection of HTTP/2: calls, their messages and how they end. Knows no service.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>
//!
//! | module | what is in it |
//! |---|---|
//! | [`asked`] | what calls want of their core |
//! | `call` | one call |
//! | [`calls`] | the calls of one connection |
//! | [`handler`] | what a method is to them |
//! | [`message`] | messages within the data of a call |
//! | [`status`] | how a call ends |
//! | `credentials` | who a call is from |
//! | `deadline` | until when a call may take |
//! | `denied` | what calls are denied, for ACL LOG |

pub mod asked;
mod call;
pub mod calls;
mod credentials;
mod deadline;
mod denied;
pub mod handler;
pub mod message;
pub mod status;

pub use asked::CallId;
pub use calls::{Calls, Life, Surroundings};
pub use denied::note_denied;
pub use handler::{CallContext, Encoded, Handler, Method, Outbox};
pub use status::{Code, Status};
