//! When what has been received is acknowledged at once: bytes of a client go in as packets would bring them.

use super::Web;
use crate::access::{Catalogue, Users};
use crate::config::Flags;
use crate::grpc::Surroundings;
use crate::http2::PREFACE;
use crate::server::{Kept, Server};
use crate::streams::JobRefused;
use clap::Parser;
use keytide_engine::history::ShardHistory;
use keytide_engine::position::Position;
use keytide_engine::sequencer::Sequencer;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

const FEATURES: &str = "/event_store.client.server_features.ServerFeatures/GetSupportedMethods";
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn server() -> Server {
    server_with(Vec::new())
}

fn server_with(histories: Vec<ShardHistory>) -> Server {
    let config = Flags::parse_from(["keytide", "--shards", "1"]).decide().unwrap();
    let users = Users::new(Box::leak(Box::new(Catalogue::new(Vec::new()))), None, 0);
    let kept = Kept {
        sequencer: Arc::new(Sequencer::new(Position(1), 1)),
        histories,
        older: Vec::new(),
        log_failure: None,
        history_id: "0".repeat(40),
        on_disk: None,
    };
    Server::new(config, users, kept, Vec::new())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = &(payload.len() as u32).to_be_bytes()[1..];
    [length, &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of a request of gRPC.
fn head(stream: u32, path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    let fields = [(":method", "POST"), (":scheme", "http"), (":path", path), ("content-type", "application/grpc")];
    for (name, value) in fields {
        // A literal that is not indexed, with a new name.
        block.extend_from_slice(&[0, name.len() as u8]);
        block.extend_from_slice(name.as_bytes());
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
    frame(HEADERS, END_HEADERS, stream, &block)
}

struct Client<'a> {
    web: Web,
    around: Surroundings<'a>,
}

impl<'a> Client<'a> {
    fn new(server: &'a Server, user: &'a Arc<crate::access::User>) -> Client<'a> {
        let around = Surroundings {
            server,
            client: 1,
            user: Some(user),
            takes_credentials: true,
            peer: None,
            local: None,
            now_ms: 0,
            steady_ms: 0,
            unzip_left: Rc::new(Cell::new(0)),
        };
        let mut client = Client { web: Web::default(), around };
        assert!(!client.sends(&[PREFACE, &frame(4, 0, 0, &[])].concat()));
        client
    }

    /// Sends a packet; says whether the rest of a request is waited for.
    fn sends(&mut self, packet: &[u8]) -> bool {
        let mut out = Vec::new();
        assert_eq!(self.web.receive(packet, &mut out, 1 << 20, &self.around).consumed, packet.len());
        let calls = self.web.calls().unwrap();
        let waits = calls.wait_for_rest();
        assert!(!calls.flush(&mut out, 1 << 20, &self.around).is_over);
        waits
    }
}

#[test]
fn the_rest_of_a_request_is_waited_for_wherever_it_is_cut() {
    let server = server();
    let user = server.users.table().0.default_user().clone();
    let mut client = Client::new(&server, &user);
    assert!(client.sends(&head(1, FEATURES)));
    assert!(!client.sends(&frame(DATA, END_STREAM, 1, &[0; 5])));
    // A message in two frames. It is answered without the end of the request.
    assert!(client.sends(&head(3, FEATURES)));
    assert!(client.sends(&frame(DATA, 0, 3, &[0; 2])));
    assert!(!client.sends(&frame(DATA, 0, 3, &[0; 3])));
    assert!(!client.sends(&frame(DATA, END_STREAM, 3, &[])));
    // A frame in two packets.
    let [head, data] = [head(5, FEATURES), frame(DATA, END_STREAM, 5, &[0; 5])];
    assert!(client.sends(&[&head[..], &data[..10]].concat()));
    assert!(!client.sends(&data[10..]));
}

/// Whatever a shard waits for: its work is counted with what its client has sent.
#[test]
fn what_shards_have_to_work_on_is_held_until_they_have() {
    let (_writer, ring) = keytide_engine::ring::create(1 << 16).unwrap();
    let server = server_with(vec![ring.into()]);
    let user = server.users.table().0.default_user().clone();
    let mut client = Client::new(&server, &user);
    let append = "/event_store.client.streams.Streams/Append";
    let bytes = |field: u8, bytes: &[u8]| {
        [&[field << 3 | 2][..], &[bytes.len() as u8 | 0x80, (bytes.len() >> 7) as u8], bytes].concat()
    };
    let message = |content: Vec<u8>| [&[0][..], &(content.len() as u32).to_be_bytes(), &content].concat();
    let stream = bytes(1, &bytes(3, b"s"));
    let options = bytes(1, &[stream, bytes(4, b"")].concat());
    let property = |name: &[u8], value: &[u8]| bytes(2, &[bytes(1, name), bytes(2, value)].concat());
    let id = bytes(1, &bytes(2, b"01020304-0506-0708-090a-0b0c0d0e0f10"));
    let properties = [property(b"type", b"T"), property(b"content-type", b"x")].concat();
    let event = bytes(2, &[id, properties, bytes(4, &[7; 10_000])].concat());
    assert!(client.sends(&head(1, append)));
    assert!(client.sends(&frame(DATA, 0, 1, &message(options))));
    assert!(!client.sends(&frame(DATA, END_STREAM, 1, &message(event))));
    let calls = client.web.calls().unwrap();
    let (call, number, job) = calls.take_asked().jobs.pop().expect("an append");
    assert!(calls.held_bytes() >= 10_000, "{}", calls.held_bytes());
    let refused = job.refused(JobRefused::NoRoom("no room".to_owned()));
    calls.outcome(call, number, refused, &client.around);
    assert_eq!(calls.held_bytes(), 0);
}

#[test]
fn nothing_is_waited_for_once_a_call_is_over() {
    let server = server();
    let user = server.users.table().0.default_user().clone();
    let mut client = Client::new(&server, &user);
    let whole = |stream| [head(stream, FEATURES), frame(DATA, END_STREAM, stream, &[0; 5])].concat();
    assert!(!client.sends(&whole(1)));
    assert!(client.sends(&head(3, FEATURES)));
    // Others are answered meanwhile.
    assert!(client.sends(&whole(5)));
    assert!(!client.sends(&frame(RST_STREAM, 0, 3, &[0, 0, 0, 8])));
    // Refused by its head, which is the whole answer.
    assert!(!client.sends(&head(7, "/no/such")));
}
