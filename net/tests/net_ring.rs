//! The net ring over real sockets: nothing is lost, nothing reaches the wrong connection, nothing is left behind.
#![cfg(not(loom))]

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use keytide_net::net_ring::{ConnectionId, EndReason, NetEvent, NetOps, NetRing, NetRingOptions};

/// Long enough to be an error; no test waits for it if all is well.
const STUCK: Option<Duration> = Some(Duration::from_secs(10));

fn small() -> NetRingOptions {
    // Small, so that queues and buffers run out in the tests.
    NetRingOptions {
        submissions: 8,
        completions: 16,
        receive_buffers: 4,
        receive_buffer_bytes: 512,
        ..NetRingOptions::default()
    }
}

fn listening(ring: &mut NetRing) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    ring.listen(listener).unwrap();
    address
}

fn step(ring: &mut NetRing, handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>)) {
    if ring.poll(handler).unwrap() == 0 {
        ring.park(Some(Duration::from_millis(100)), || true).unwrap();
    }
}

/// Runs turns until `done`; fails if nothing happens any more.
fn run_until(ring: &mut NetRing, handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>), mut done: impl FnMut() -> bool) {
    let mut idle = 0;
    while !done() {
        if ring.poll(handler).unwrap() == 0 {
            ring.park(Some(Duration::from_millis(50)), || true).unwrap();
            idle += 1;
        } else {
            idle = 0;
        }
        assert!(idle < 400, "the ring waits for something that doesn't come");
    }
}

/// Sends back what comes in, one send at a time for each connection; closes when the peer has ended and all is sent.
#[derive(Default)]
struct Echo {
    waiting: HashMap<ConnectionId, (Vec<u8>, bool)>,
    accepted: usize,
    closed: usize,
}

impl Echo {
    fn handle(&mut self, ops: &mut NetOps, event: NetEvent<'_>) {
        match event {
            NetEvent::Accepted { connection, .. } => {
                self.accepted += 1;
                assert!(self.waiting.insert(connection, (Vec::new(), false)).is_none());
            }
            NetEvent::Received { connection, bytes } => {
                self.waiting.get_mut(&connection).expect("bytes of a closed connection").0.extend_from_slice(bytes);
                self.flush(ops, connection);
            }
            NetEvent::Sent { connection, result, .. } => {
                if result.is_err() {
                    ops.close(connection);
                } else {
                    self.flush(ops, connection);
                }
            }
            NetEvent::Ended { connection, reason } => {
                self.waiting.get_mut(&connection).unwrap().1 = true;
                match reason {
                    EndReason::EndOfStream => self.flush(ops, connection),
                    EndReason::Error(_) => ops.close(connection),
                }
            }
            NetEvent::Closed { connection } => {
                self.closed += 1;
                assert!(self.waiting.remove(&connection).is_some(), "closed twice");
            }
        }
    }

    fn flush(&mut self, ops: &mut NetOps, connection: ConnectionId) {
        let (bytes, ended) = self.waiting.get_mut(&connection).unwrap();
        if ops.is_sending(connection) {
            return;
        }
        if !bytes.is_empty() {
            ops.send(connection, std::mem::take(bytes)).unwrap();
        } else if *ended {
            ops.close(connection);
        }
    }
}

/// A client that writes `bytes` pseudo-random bytes in odd pieces and checks what comes back.
fn echo_client(address: SocketAddr, seed: u64, bytes: usize) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(STUCK).unwrap();
        let mut state = seed * 2 + 1;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let sent: Vec<u8> = (0..bytes).map(|_| random() as u8).collect();
        let mut reader = stream.try_clone().unwrap();
        let expected = sent.clone();
        let check = thread::spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).unwrap();
            assert!(got == expected, "{} of {} bytes, or others", got.len(), expected.len());
        });
        let mut rest = &sent[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 + random() % 3000));
            stream.write_all(piece).unwrap();
            rest = after;
        }
        stream.shutdown(Shutdown::Write).unwrap();
        check.join().unwrap();
    })
}

fn open_sockets() -> usize {
    let count = |entry: std::io::Result<std::fs::DirEntry>| {
        let target = std::fs::read_link(entry.ok()?.path()).ok()?;
        target.to_str()?.starts_with("socket:").then_some(())
    };
    std::fs::read_dir("/proc/self/fd").unwrap().filter_map(count).count()
}

#[test]
fn fifty_clients_with_fragmented_writes_get_their_own_bytes_back() {
    for options in [NetRingOptions::default(), small()] {
        let mut ring = NetRing::new(options).unwrap();
        let address = listening(&mut ring);
        let clients: Vec<_> = (0..50).map(|seed| echo_client(address, seed, 40_000)).collect();
        let mut echo = Echo::default();
        while echo.closed < 50 {
            step(&mut ring, &mut |ops, event| echo.handle(ops, event));
        }
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert_eq!(echo.accepted, 50);
        assert!(echo.waiting.is_empty());
        let counters = ring.ops().counters();
        assert_eq!((counters.accepted, counters.received_bytes, counters.sent_bytes), (50, 2_000_000, 2_000_000));
        assert_eq!(ring.ops().connection_count(), 0);
    }
}
