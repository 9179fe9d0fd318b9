//! The protocol of a connection, with its state. The port that accepted the connection has chosen it; the bytes reach it
//! at one `match` (`turn_loop/net_events.rs`).

use crate::grpc::Calls;
use crate::port::ProtocolKind;
use crate::protocol::Encoding;
use crate::resp::{self, Parser, ParserLimits, Reply, Transaction, Watches, error_text};
use crate::session::Session;
use crate::tracking::{Caching, Caller, Tracking};
use crate::web::Web;
use keytide_engine::account::OverLimit;
use keytide_engine::position::ShardId;
use keytide_engine::readers::ReaderId;
use keytide_engine::stream_name::Database;

/// The protocol of one connection.
pub enum ProtocolState {
    /// The Redis protocol.
    Resp(RespState),
    /// HTTP, of either version.
    Web(Web),
}

/// The state of a connection of the Redis protocol.
#[derive(Debug)]
pub struct RespState {
    /// Where its parsing stands.
    pub parser: Parser,
    /// What its commands may change.
    pub session: RespSession,
}

/// Which replies a client wants to be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// None.
    #[default]
    No,
    /// That of the next command.
    Next,
    /// That of the command that runs.
    Present,
    /// All.
    All,
}

/// What only this protocol has of a session.
#[derive(Debug, Default)]
pub struct RespSession {
    /// What replies are encoded for.
    pub version: resp::Protocol,
    /// The transaction, from MULTI to EXEC or DISCARD.
    pub transaction: Option<Box<Transaction>>,
    /// The keys that it watches.
    pub watches: Option<Box<Watches>>,
    /// How it tracks keys, if it does.
    pub tracking: Option<Box<Tracking>>,
    /// Which replies are left out.
    pub silence: Silence,
    /// Whether its commands do not tell eviction that keys are used.
    pub leaves_use: bool,
    /// The database that is selected, while a transaction is queued that of its next command.
    pub database: Database,
}

impl RespSession {
    /// Ends the transaction, if there is one, without running it.
    pub fn end_transaction(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            self.database = transaction.begun_in();
        }
        self.watches = None;
    }

    /// Ends a command: what CLIENT CACHING has said was for it, unless it is another subcommand of CLIENT or within a transaction.
    #[inline]
    pub fn end_command(&mut self, is_about_client: impl FnOnce() -> bool) {
        if let Some(tracking) = &mut self.tracking
            && self.transaction.is_none()
            && !is_about_client()
        {
            tracking.end_command();
        }
    }

    /// The client, where tracking has to do with its command.
    #[inline]
    pub fn caller(&self) -> Option<Caller> {
        if self.tracking.is_none() && !self.leaves_use {
            return None;
        }
        // Without tracking nobody asks which client it is.
        let nobody = ReaderId { core: ShardId(0), number: 0 };
        let id = self.tracking.as_ref().map_or(nobody, |tracking| tracking.id);
        Some(Caller { id, caching: self.caching() }).filter(|caller| caller.caching != Caching::default())
    }

    /// What its command has to do with tracking.
    #[inline]
    pub fn caching(&self) -> Caching {
        let caching = self.tracking.as_deref().map_or(Caching::default(), Tracking::caching);
        Caching { leaves_use: self.leaves_use, ..caching }
    }

    /// Whether the protocol leaves it only commands that have to do with its subscriptions: in RESP2, where a push
    /// cannot be told from a reply.
    #[inline]
    pub fn is_only_subscriber(&self, session: &Session) -> bool {
        session.is_subscriber() && self.version == resp::Protocol::Resp2
    }
}

/// Why the server ends a connection, whatever its protocol.
#[derive(Clone, Copy, Debug)]
pub enum Problem {
    /// There are as many clients as may be.
    TooManyClients,
    /// Its user has as many connections as it may.
    UserOverLimit(OverLimit),
    /// There is no memory for its input.
    OutOfMemory,
    /// All clients' input takes as much memory as it may.
    InputOverLimit(OverLimit),
}

impl ProtocolState {
    /// The protocol of a connection that begins.
    pub fn new(kind: ProtocolKind) -> ProtocolState {
        match kind {
            ProtocolKind::Resp => ProtocolState::Resp(RespState {
                parser: Parser::new(ParserLimits::default()),
                session: RespSession::default(),
            }),
            ProtocolKind::Web => ProtocolState::Web(Web::default()),
        }
    }

    /// The key that bytes which are about to be received will probably need first. A guess, for prefetching.
    #[inline]
    pub fn guess_key<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            ProtocolState::Resp(_) => resp::first_argument(bytes),
            ProtocolState::Web(_) => None,
        }
    }

    /// What messages of subscriptions are encoded as; none where each call encodes its own.
    #[inline]
    pub fn encoding(&self) -> Option<Encoding> {
        match self {
            ProtocolState::Resp(resp) => Some(Encoding::Resp(resp.session.version)),
            ProtocolState::Web(_) => None,
        }
    }

    /// Its calls, where it has some.
    #[inline]
    pub fn calls(&mut self) -> Option<&mut Calls> {
        match self {
            ProtocolState::Web(web) => web.calls(),
            ProtocolState::Resp(_) => None,
        }
    }

    /// The bytes that it holds of what has come and is not whole, beside the connection's input.
    pub fn held_bytes(&self) -> usize {
        match self {
            ProtocolState::Resp(_) | ProtocolState::Web(Web::Undecided | Web::Http1) => 0,
            ProtocolState::Web(Web::Http2(calls)) => calls.held_bytes(),
        }
    }

    /// Appends the error that the client gets before its connection is ended.
    #[cold]
    pub fn encode_problem(&self, out: &mut Vec<u8>, problem: Problem) {
        match self {
            ProtocolState::Resp(resp) => {
                let mut reply = Reply::new(out, resp.session.version);
                match problem {
                    Problem::TooManyClients => reply.error(error_text::MAX_CLIENTS),
                    Problem::OutOfMemory => reply.error(error_text::OUT_OF_MEMORY),
                    Problem::InputOverLimit(error) | Problem::UserOverLimit(error) => {
                        reply.error(error_text::err(&error))
                    }
                }
            }
            // Text between frames would break HTTP/2. The server only closes the connection.
            ProtocolState::Web(_) => {}
        }
    }
}
