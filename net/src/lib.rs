//! Keytide: executors, sockets and protocols over the engine.
//!
//! | module | what is in it |
//! |---|---|
//! | [`config`] | flags, file, environment |
//! | [`start`] | from a configuration to a serving process |
//! | [`server`] | what all cores share |
//! | [`turn_loop`] | one core's turn: its steps in order |
//! | [`task_queues`] | the executor's queues |
//! | [`net_ring`] | io_uring for sockets, and sleeping in it |
//! | [`wake`] | how a sleeping core is woken |
//! | [`mesh`] | lanes and batches between cores |
//! | [`port`] | what each port speaks |
//! | [`tls`] | TLS: the server's identity, sessions between records and plaintext |
//! | [`connection`], [`session`] | one client: its transport, its protocol, its output; what it is to the server |
//! | [`unread`], [`weight`] | how much output clients may leave unread; which clients go first |
//! | [`protocol`] | the protocols of connections, for rooms that know none of them |
//! | [`resp`] | the Redis protocol on bytes |
//! | [`command`] | the commands, a table of them |
//! | [`web`] | the port for HTTP: gRPC over HTTP/2, pages over HTTP/1.1 |
//! | [`http2`], [`grpc`] | frames; calls and their messages |
//! | [`kurrent`] | KurrentDB's services, a table of their methods |
//! | [`streams`] | operations on streams, for the shards that do them |
//! | [`scripting`] | scripts in Lua, and what they see of this server |
//! | [`value`], [`gather`] | the values of a reply, whatever its protocol; one reply made of several cores' parts |
//! | [`access`] | who may do what: users, their passwords and permissions |
//! | [`groups`] | the consumer groups that a core keeps, and those on disk |
//! | [`check`] | `keytide check`: examines a directory without serving it |
//! | [`import`] | `keytide import`: copies the keys of an RDB file or of a server |
//! | [`hash_password`] | `keytide hash-password`: the hash of a password |
//! | [`snapshots`] | snapshots of the shards, taken while the server runs |
//! | [`channels`] | publish/subscribe: who is subscribed to which channel |
//! | [`tracking`] | client-side caching: which clients are told of which keys |
//! | [`keyspace_events`] | keyspace notifications: what is published of a change of a key |
//! | [`delivery`] | messages of subscriptions, put into the output of their subscribers |
//! | [`slow_log`] | the commands that took long |
//! | [`rate`] | commands per second |
//! | [`reading_time`] | how much of a turn goes to subscriptions that read the history |
//! | `descriptors` | open files: for clients, and for everything else |
//! | `strangers` | clients that have not given the password |
//! | [`allocator`], `heap` | the process's allocator; heap memory prefaulted at the start |
//! | [`memory`], `process` | how much memory there is, and whether writes are still taken; the process as the system sees it |
//! | `paced` | log lines that clients can cause |
//! | [`limits`] | every bound that is no flag |

pub mod access;
pub mod accounts;
pub mod allocator;
pub mod changes;
pub mod channels;
pub mod check;
pub mod command;
pub mod config;
pub mod connection;
pub mod delivery;
mod descriptors;
pub mod gather;
pub mod groups;
pub mod grpc;
pub mod hash_password;
mod heap;
pub mod http2;
pub mod import;
pub mod keyspace_events;
pub mod kurrent;
pub mod limits;
pub mod memory;
pub mod mesh;
pub mod net_ring;
mod paced;
pub mod port;
mod process;
pub mod protocol;
pub mod rate;
pub mod reading_time;
pub mod resp;
pub mod scripting;
pub mod server;
pub mod session;
pub mod slow_log;
pub mod snapshots;
pub mod start;
mod strangers;
pub mod streams;
mod sync;
pub mod task_queues;
pub mod tls;
pub mod tracking;
pub mod turn_loop;
pub mod unread;
pub mod value;
pub mod wake;
pub mod web;
pub mod weight;
