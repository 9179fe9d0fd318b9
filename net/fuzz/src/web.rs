//! A whole connection of the port for HTTP, of a server with one shard: requests are answered or refused whatever comes,
//! output keeps to its bounds, and HTTP/1.1 is answered the same however it is split into packets.
//!
//! ```text
//!  flags │ two lengths of packets │ bytes of the connection; or steps of a client of HTTP/2: kind │ stream │ …
//! ```

use super::Input;
use clap::Parser;
use keytide_engine::history::{History, ShardHistory};
use keytide_engine::position::{Position, ShardId};
use keytide_engine::ring::{self, Ring};
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::Shard;
use keytide_net::access::Users;
use keytide_net::command::access::CATALOGUE;
use keytide_net::config::Flags;
use keytide_net::grpc::Surroundings;
use keytide_net::http2::PREFACE;
use keytide_net::port::{Port, ProtocolKind, TransportKind};
use keytide_net::server::{Kept, Server};
use keytide_net::web::Web;
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

/// The bytes of output that wait at the most before the client takes them.
const OUT_BYTES_MAX: usize = 64 << 10;

/// The most bytes of one frame beyond the bound: a library that has begun to write one writes all of it.
const FRAME_BYTES_MAX: usize = 32 << 10;

/// The methods that a request may name.
const METHODS: [&str; 12] = [
    "/event_store.client.streams.Streams/Read",
    "/event_store.client.streams.Streams/Append",
    "/event_store.client.streams.Streams/BatchAppend",
    "/event_store.client.streams.Streams/Delete",
    "/event_store.client.streams.Streams/Tombstone",
    "/event_store.client.server_features.ServerFeatures/GetSupportedMethods",
    "/event_store.client.monitoring.Monitoring/Stats",
    "/event_store.client.gossip.Gossip/Read",
    "/event_store.client.operations.Operations/StartScavenge",
    "/event_store.client.streams.Streams/None",
    "/",
    "*",
];

/// A server with one shard, which this thread owns, and a few events.
struct Small {
    server: Server,
    shard: Shard,
    history: History,
}

impl Small {
    fn new() -> Small {
        let words = ["keytide", "--port", "0", "--shards", "1", "--ring-bytes", "1m"];
        let config = Flags::parse_from(words).decide().expect("flags that there are");
        let sequencer = Arc::new(Sequencer::new(Position(1000), 1));
        let (writer, ring) = ring::create(config.ring_bytes).expect("memory for a small ring");
        let mut shard = Shard::new(ShardId(0), sequencer.clone(), Some(writer), 100);
        for key in ["a", "user-1", "$x"] {
            shard.set(key.as_bytes(), b"value").expect("a small value");
        }
        shard.commit();
        let rings: [Ring; 1] = [ring.clone()];
        let kept = Kept {
            sequencer: sequencer.clone(),
            histories: vec![ShardHistory::from(ring)],
            older: Vec::new(),
            log_failure: None,
            on_disk: None,
            history_id: "0123456789abcdef0123456789abcdef01234567".into(),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let port = Port { address, transport: TransportKind::Plain, protocol: ProtocolKind::Resp };
        let server = Server::new(config, Users::new(&CATALOGUE, None, 128), kept, vec![port]);
        Small { server, shard, history: History::new(sequencer, &rings) }
    }

    /// Serves a connection that receives these bytes in packets of these lengths, repeated. Returns what was sent.
    fn serve(&mut self, bytes: &[u8], pieces: &[usize]) -> Vec<u8> {
        let (table, _) = self.server.users.table();
        let user = table.default_user().clone();
        let (mut web, mut sent, mut kept) = (Web::default(), Vec::new(), Vec::new());
        let mut rest = bytes;
        for piece in pieces.iter().cycle() {
            let around = Surroundings {
                server: &self.server,
                client: 1,
                user: Some(&user),
                takes_credentials: true,
                peer: None,
                local: None,
                now_ms: 5,
                steady_ms: 5,
                unzip_left: Rc::new(Cell::new(1 << 20)),
            };
            let (packet, later) = rest.split_at(rest.len().min(*piece));
            rest = later;
            kept.extend_from_slice(packet);
            // The client takes everything that is sent at once.
            let mut out = Vec::new();
            let polled = web.receive(&kept, &mut out, OUT_BYTES_MAX, &around);
            assert!(polled.consumed <= kept.len());
            kept.drain(..polled.consumed);
            let mut is_over = polled.is_over;
            if let Some(calls) = web.calls() {
                assert!(out.len() <= OUT_BYTES_MAX + FRAME_BYTES_MAX, "{} bytes", out.len());
                let asked = calls.take_asked();
                for (call, number, job) in asked.jobs {
                    let outcome = job.run(keytide_engine::shards::Shards::One(&mut self.shard));
                    self.shard.commit();
                    calls.outcome(call, number, outcome, &around);
                }
                for call in asked.reads {
                    calls.read(call, &mut self.history, OUT_BYTES_MAX, &around);
                }
                if !is_over {
                    let before = out.len();
                    is_over = calls.flush(&mut out, before + OUT_BYTES_MAX, &around).is_over;
                    assert!(out.len() <= before + OUT_BYTES_MAX + FRAME_BYTES_MAX, "{} bytes", out.len());
                }
                calls.note_output_room();
                let _ = (calls.users(), calls.held_bytes(), calls.open());
            }
            sent.append(&mut out);
            if is_over || rest.is_empty() {
                break;
            }
        }
        if let Some(calls) = web.calls() {
            let _ = calls.take_subscribers();
        }
        sent
    }
}

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let flags = input.byte();
    let pieces = [(); 2].map(|()| usize::from(input.byte()) * 4 + 1);
    let bytes = if flags & 1 != 0 { input.0.to_vec() } else { steps(&mut input) };
    let mut small = Small::new();
    let sent = small.serve(&bytes, &[bytes.len().max(1)]);
    let split = small.serve(&bytes, &pieces);
    // When HTTP/2 makes frames of what it has to send depends on packets. The figures of `/stats` change with time.
    if !bytes.starts_with(PREFACE) && !bytes.windows(6).any(|part| part == b"/stats") {
        assert_eq!(sent.escape_ascii().to_string(), split.escape_ascii().to_string());
    }
}

/// The frames of a client of HTTP/2, in their order.
fn steps(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
    while !input.0.is_empty() {
        let (kind, stream) = (input.byte(), u32::from(input.byte()));
        match kind {
            // A request.
            0..64 => {
                bytes.extend(frame(1, 4 | kind >> 5, stream, &head(METHODS[usize::from(kind & 31) % METHODS.len()])))
            }
            // A message, whole.
            64..128 => {
                let length = usize::from(input.byte());
                let message = input.take(length);
                let message = [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat();
                bytes.extend(frame(0, kind & 1, stream, &message));
            }
            // Any frame.
            128..224 => {
                let (flags, length) = (input.byte(), usize::from(input.byte()));
                bytes.extend(frame(kind & 15, flags, stream, input.take(length)));
            }
            // Anything.
            _ => bytes.extend_from_slice(input.take(usize::from(kind - 224))),
        }
    }
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header of a request, each name and value as it is.
fn head(path: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let text = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [&[0][..], &text(name), &text(value)].concat()).collect()
}
