//! Hostile bytes for the port of gRPC: whatever comes, the connection ends or is answered, memory stays bounded, and others
//! are served.

mod common;

use common::{PATIENCE, Server};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const READ: &str = "/event_store.client.streams.Streams/Read";

fn server() -> (Server, SocketAddr) {
    let server = Server::start(&["--grpc-port", "any", "--ring-bytes", "16m"]);
    let address = server.grpc.expect("it serves gRPC");
    (server, address)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a call, each as a literal that is not kept.
fn headers(path: &str) -> Vec<u8> {
    headers_with(path, &[])
}

/// The same with more of them.
fn headers_with(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let all = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let literal = |(name, value): (&str, &str)| {
        [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    all.into_iter().chain(more.iter().copied()).flat_map(literal).collect()
}

/// A message with what precedes it.
fn message(bytes: &[u8]) -> Vec<u8> {
    [&[0][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout above 0");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout above 0");
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).expect("it is connected");
    stream
}

/// The first byte of a frame of this kind, among what comes until then.
fn has_frame(stream: &mut TcpStream, mut wanted: impl FnMut(u8, u32) -> bool) -> bool {
    let (mut received, mut at, end) = (Vec::new(), 0, Instant::now() + PATIENCE);
    let mut buffer = [0; 1 << 14];
    while Instant::now() < end {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return false,
        }
        while let Some(head) = received.get(at..at + 9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if received.len() < at + 9 + length {
                break;
            }
            if wanted(head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]])) {
                return true;
            }
            at += 9 + length;
        }
    }
    false
}

fn is_alive(server: &Server, address: SocketAddr) {
    assert_eq!(server.client().call(&["ping"]).text(), "PONG");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above 0");
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is connected");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"HTTP/1.1 204");
}

/// A subscription to everything: options { all { start }, subscription, no_filter, uuid_option { string } }
fn subscription() -> Vec<u8> {
    let options = [0x12, 2, 0x12, 0, 0x32, 0, 0x42, 0, 0x4a, 2, 0x12, 0];
    message(&[&[0x0a, options.len() as u8][..], &options].concat())
}

/// Whether the server ends the connection, whatever comes before.
fn is_closed(stream: &mut TcpStream) -> bool {
    !has_frame(stream, |_, _| false) && matches!(stream.read(&mut [0]), Ok(0) | Err(_))
}

/// Whatever a call waits for: the rest of its request, or events.
#[test]
fn a_call_ends_at_its_deadline() {
    let (_server, address) = server();
    let append = "/event_store.client.streams.Streams/Append";
    let mut stream = connect(address);
    let late = headers_with(append, &[("grpc-timeout", "100m")]);
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &late)).expect("it is connected");
    let live = headers_with(READ, &[("grpc-timeout", "200000u")]);
    let call = [frame(HEADERS, END_HEADERS, 3, &live), frame(DATA, END_STREAM, 3, &subscription())];
    stream.write_all(&call.concat()).expect("it is connected");
    let mut ended = [false; 2];
    // The head of the second comes before, the first one has nothing but an end.
    assert!(has_frame(&mut stream, |kind, stream| {
        ended[0] |= (kind, stream) == (HEADERS, 1);
        ended[0] && (kind, stream) == (HEADERS, 3)
    }));
    for wrong in ["1", "0n", "123456789S", "x"] {
        let mut stream = connect(address);
        let begun = headers_with(append, &[("grpc-timeout", wrong)]);
        stream.write_all(&frame(HEADERS, END_HEADERS, 1, &begun)).expect("it is connected");
        assert!(has_frame(&mut stream, |kind, stream| (kind, stream) == (HEADERS, 1)), "{wrong}");
    }
}

#[test]
fn a_client_that_gives_no_sign_of_life_is_closed() {
    let server = Server::start(&["--grpc-port", "any", "--grpc-keepalive", "1s"]);
    let address = server.grpc.expect("it serves gRPC");
    let (mut silent, mut alive) = (connect(address), connect(address));
    assert!(has_frame(&mut silent, |kind, _| kind == PING), "it is asked");
    let end = Instant::now() + PATIENCE;
    let (mut received, mut at, mut answered, mut is_over) = (Vec::new(), 0, 0, false);
    while !is_over && Instant::now() < end {
        let mut buffer = [0; 1 << 12];
        if let Ok(count) = alive.read(&mut buffer) {
            assert!(count > 0, "the one that answers stays");
            received.extend_from_slice(&buffer[..count]);
        }
        while let Some(head) = received.get(at..at + 9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let Some(payload) = received.get(at + 9..at + 9 + length) else { break };
            if head[3] == PING && head[4] == 0 {
                alive.write_all(&frame(PING, 1, 0, payload)).expect("it is connected");
                answered += 1;
            }
            at += 9 + length;
        }
        is_over = matches!(silent.read(&mut buffer), Ok(0));
    }
    assert!(is_over && answered > 0, "{answered}");
    assert_eq!(alive.read(&mut [0; 1 << 12]).ok().filter(|count| *count == 0), None);
}

#[test]
fn a_server_that_stops_says_so_and_ends_calls() {
    let (server, address) = server();
    let (mut stream, mut quiet) = (connect(address), connect(address));
    let call = [frame(HEADERS, END_HEADERS, 1, &headers(READ)), frame(DATA, END_STREAM, 1, &subscription())];
    stream.write_all(&call.concat()).expect("it is connected");
    assert!(has_frame(&mut stream, |kind, stream| (kind, stream) == (DATA, 1)), "it is live");
    // An append that is begun and not ended.
    let begun = frame(HEADERS, END_HEADERS, 3, &headers("/event_store.client.streams.Streams/BatchAppend"));
    stream.write_all(&begun).expect("it is connected");
    is_alive(&server, address);
    server.signal(15);
    let mut seen = [false; 3];
    let found = has_frame(&mut stream, |kind, stream| {
        for (is_seen, wanted) in seen.iter_mut().zip([(GOAWAY, 0), (HEADERS, 1), (HEADERS, 3)]) {
            *is_seen |= (kind, stream) == wanted;
        }
        seen == [true; 3]
    });
    assert!(found, "{seen:?}");
    assert!(has_frame(&mut quiet, |kind, _| kind == GOAWAY));
    assert!(is_closed(&mut quiet));
    assert!(server.wait().success());
}

/// What a client has not read it loses where the server resets a stream, though the answer is whole.
#[test]
fn a_call_that_is_answered_ends_when_its_request_does() {
    let (_server, address) = server();
    let mut stream = connect(address);
    let features = "/event_store.client.server_features.ServerFeatures/GetSupportedMethods";
    let begun = [frame(HEADERS, END_HEADERS, 1, &headers(features)), frame(DATA, 0, 1, &message(&[]))];
    stream.write_all(&begun.concat()).expect("it is connected");
    let mut seen = Vec::new();
    let mut until = |stream: &mut TcpStream, wanted: u8| {
        has_frame(stream, |kind, id| {
            seen.extend((id == 1).then_some(kind));
            (kind, id) == (wanted, 1) && seen.len() > 1 || kind == RST_STREAM
        })
    };
    assert!(until(&mut stream, DATA), "it is answered at once");
    // What else came on the stream would come before the answer to this.
    stream.write_all(&frame(PING, 0, 0, &[7; 8])).expect("it is connected");
    assert!(has_frame(&mut stream, |kind, id| kind == PING || (kind, id) == (RST_STREAM, 1) && panic!("it is reset")));
    stream.write_all(&frame(DATA, END_STREAM, 1, &[])).expect("it is connected");
    assert!(until(&mut stream, HEADERS), "it ends");
    assert_eq!(seen, [HEADERS, DATA, HEADERS]);
}

/// Frames and messages of any kind, most of them nearly right.
#[test]
fn random_frames_harm_nobody_else() {
    let (server, address) = server();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let methods = ["Read", "Append", "BatchAppend", "Delete", "Tombstone", "Nothing"];
    for _ in 0..400 {
        let mut stream = connect(address);
        let mut sent = Vec::new();
        for n in 0..random.u32(1..30) {
            let id = if random.u8(..) < 200 { 2 * n + 1 } else { random.u32(0..20) };
            let mut bytes: Vec<u8> = (0..random.usize(0..60)).map(|_| random.u8(..)).collect();
            match random.u8(0..10) {
                0..=4 => {
                    let path =
                        format!("/event_store.client.streams.Streams/{}", methods[random.usize(0..methods.len())]);
                    sent.extend(frame(HEADERS, END_HEADERS, id, &headers(&path)));
                    for _ in 0..random.usize(0..4) {
                        // Fields whose kinds and numbers fit more often than not.
                        bytes.iter_mut().step_by(3).for_each(|byte| *byte = ((*byte % 10) << 3) | 2);
                        let mut whole = message(&bytes);
                        if random.u8(..) < 20 {
                            whole[random.usize(0..5)] = random.u8(..);
                        }
                        sent.extend(frame(DATA, random.u8(0..2), id, &whole));
                    }
                }
                5 => sent.extend(frame(RST_STREAM, 0, id, &8u32.to_be_bytes())),
                6 => sent.extend(frame(WINDOW_UPDATE, 0, random.u32(0..2) * id, &random.u32(..).to_be_bytes())),
                7 => {
                    let setting = [&random.u16(0..8).to_be_bytes()[..], &random.u32(..).to_be_bytes()].concat();
                    sent.extend(frame(SETTINGS, 0, 0, &setting));
                }
                _ => sent.extend(frame(random.u8(0..12), random.u8(..), id, &bytes)),
            }
        }
        // The server may have ended it meanwhile.
        let _ = stream.write_all(&sent);
        let _ = stream.read(&mut [0; 4096]);
    }
    is_alive(&server, address);
}

#[test]
fn calls_that_are_given_up_at_once_take_no_memory() {
    let (server, address) = server();
    let before = server.resident_bytes();
    for _ in 0..5 {
        let mut stream = connect(address);
        for n in 0..20_000u32 {
            let id = 2 * n + 1;
            let begun = frame(HEADERS, END_HEADERS, id, &headers(READ));
            if stream.write_all(&[begun, frame(RST_STREAM, 0, id, &8u32.to_be_bytes())].concat()).is_err() {
                break;
            }
        }
    }
    is_alive(&server, address);
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "{grown} bytes");
}

/// As a program does that gives up what it waits for, all at once.
#[test]
fn a_client_that_gives_up_a_thousand_calls_goes_on() {
    let (_server, address) = server();
    let mut stream = connect(address);
    let mut sent = Vec::new();
    for n in 0..1_000u32 {
        sent.extend(frame(HEADERS, END_HEADERS, 2 * n + 1, &headers(READ)));
        sent.extend(frame(RST_STREAM, 0, 2 * n + 1, &8u32.to_be_bytes()));
    }
    sent.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2_001, &headers(READ)));
    stream.write_all(&sent).expect("it is connected");
    assert!(has_frame(&mut stream, |kind, stream| (kind, stream) == (HEADERS, 2_001)));
}

/// Whatever the method: a call whose request is over is answered.
#[test]
fn a_request_without_a_message_is_answered() {
    let (_server, address) = server();
    let methods = ["Read", "Append", "BatchAppend", "Delete", "Tombstone"];
    let streams = methods.map(|method| format!("/event_store.client.streams.Streams/{method}"));
    let others = ["monitoring.Monitoring/Stats", "gossip.Gossip/Read", "operations.Operations/StartScavenge"];
    let others = others.map(|method| format!("/event_store.client.{method}"));
    for path in streams.iter().chain(&others) {
        let mut stream = connect(address);
        stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers(path))).expect("it is connected");
        assert!(has_frame(&mut stream, |kind, stream| (kind, stream) == (HEADERS, 1)), "{path}");
    }
}

#[test]
fn a_message_that_is_too_large_is_refused_by_its_head() {
    let (server, address) = server();
    let before = server.resident_bytes();
    let mut stream = connect(address);
    let begun = frame(HEADERS, END_HEADERS, 1, &headers(READ));
    stream.write_all(&[begun, frame(DATA, 0, 1, &[0, 0xff, 0xff, 0xff, 0xff])].concat()).expect("it is connected");
    assert!(has_frame(&mut stream, |kind, stream| (kind, stream) == (HEADERS, 1)), "it is answered");
    is_alive(&server, address);
    assert!(server.resident_bytes() < before + 16 * MIB);
}

/// A client that subscribes to everything on many calls, has room for all of it as far as HTTP/2 knows, and reads nothing.
#[test]
fn who_never_reads_its_subscriptions_costs_a_bounded_amount() {
    let (server, address) = server();
    let mut client = server.client();
    let value = "x".repeat(10_000);
    for n in 0..1_000 {
        client.call(&["set", &format!("key:{n}"), &value]);
    }
    let before = server.resident_bytes();
    let mut stream = connect(address);
    let window = |id| frame(WINDOW_UPDATE, 0, id, &0x7fff_0000u32.to_be_bytes());
    let request = subscription();
    stream.write_all(&window(0)).expect("it is connected");
    for n in 0..200u32 {
        let id = 2 * n + 1;
        let call = [frame(HEADERS, END_HEADERS, id, &headers(READ)), window(id), frame(DATA, END_STREAM, id, &request)];
        stream.write_all(&call.concat()).expect("it is connected");
    }
    // They are answered, and more is written than anybody reads.
    assert!(has_frame(&mut stream, |kind, stream| kind == DATA && stream == 1), "they are live");
    for n in 0..1_000 {
        client.call(&["set", &format!("key:{n}"), &value]);
    }
    std::thread::sleep(Duration::from_millis(500));
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 96 * MIB, "{grown} bytes");
    is_alive(&server, address);
}
