//! The net ring over real sockets: nothing is lost, nothing reaches the wrong connection, nothing is left behind.
#![cfg(not(loom))]

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use keytide_net::net_ring::{ConnectionId, EndReason, NetEvent, NetOps, NetRing, NetRingOptions};

use ring::{STUCK, listening, small, step};

#[path = "common/ring.rs"]
mod ring;

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
            NetEvent::Announced(_) => {}
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

#[test]
fn short_receives_that_came_together_are_announced_before_the_first_is_handed_out() {
    let mut ring = NetRing::new(NetRingOptions::default()).unwrap();
    let address = listening(&mut ring);
    let mut clients: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut accepted = 0;
    while accepted < clients.len() {
        step(&mut ring, &mut |_, event| accepted += usize::from(matches!(event, NetEvent::Accepted { .. })));
    }
    for (n, client) in clients.iter_mut().enumerate() {
        // Over the loopback, bytes are there when the call returns; the second connection's are too many to announce.
        client.write_all(&vec![n as u8; if n == 1 { 5_000 } else { 10 }]).unwrap();
    }
    let (mut announced, mut received) = (Vec::new(), Vec::new());
    while received.len() < clients.len() {
        step(&mut ring, &mut |_, event| match event {
            NetEvent::Announced(together) => {
                assert!(received.is_empty());
                announced.extend(together.iter().map(|(_, bytes)| bytes.to_vec()));
            }
            NetEvent::Received { bytes, .. } => received.push(bytes.to_vec()),
            other => panic!("{other:?}"),
        });
    }
    received.retain(|bytes| bytes.len() < 5_000);
    assert_eq!(announced, received);
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

#[test]
fn a_peer_that_never_reads_keeps_one_send_in_flight_and_close_gives_the_buffer_back() {
    let mut ring = NetRing::new(small()).unwrap();
    let address = listening(&mut ring);
    let peer = TcpStream::connect(address).unwrap();
    let (mut connection, mut sent, mut closed) = (None, None, 0);
    while connection.is_none() {
        step(&mut ring, &mut |_, event| match event {
            NetEvent::Accepted { connection: id, listener } => connection = (listener == 0).then_some(id),
            other => panic!("{other:?}"),
        });
    }
    let id = connection.unwrap();
    let large = vec![7; 64 << 20];
    let memory = large.as_ptr();
    ring.ops().send(id, large).unwrap();
    assert_eq!(*ring.ops().send(id, vec![1, 2]).unwrap_err(), [1, 2]);
    for _ in 0..10 {
        ring.poll(&mut |_, event| panic!("{event:?}")).unwrap();
        ring.park(Some(Duration::from_millis(5)), || true).unwrap();
    }
    assert!(ring.ops().is_sending(id));
    ring.ops().close(id);
    ring.ops().close(id);
    assert_eq!(*ring.ops().send(id, vec![3]).unwrap_err(), [3]);
    while closed == 0 {
        step(&mut ring, &mut |_, event| match event {
            NetEvent::Sent { connection, buffer, result } => {
                assert!(sent.is_none() && closed == 0 && connection == id && result.is_err());
                sent = Some(buffer);
            }
            NetEvent::Closed { connection } => closed += usize::from(connection == id),
            other => panic!("{other:?}"),
        });
    }
    let buffer = sent.unwrap();
    assert_eq!((buffer.as_ptr(), buffer.len()), (memory, 64 << 20));
    assert_eq!(ring.ops().connection_count(), 0);
    drop(peer);
}

#[test]
fn a_large_reply_arrives_whole_at_a_slow_reader() {
    let mut ring = NetRing::new(small()).unwrap();
    let address = listening(&mut ring);
    let reader = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(STUCK).unwrap();
        thread::sleep(Duration::from_millis(30));
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got
    });
    let large: Vec<u8> = (0..30_000_000_u32).map(|n| (n / 7) as u8).collect();
    let mut open = true;
    while open {
        step(&mut ring, &mut |ops, event| match event {
            NetEvent::Accepted { connection, .. } => ops.send(connection, large.clone()).unwrap(),
            NetEvent::Sent { connection, buffer, result } => {
                result.unwrap();
                assert_eq!(buffer.len(), large.len());
                ops.close(connection);
            }
            NetEvent::Closed { .. } => open = false,
            NetEvent::Announced(_) | NetEvent::Received { .. } | NetEvent::Ended { .. } => {
                panic!("the reader doesn't write")
            }
        });
    }
    assert!(reader.join().unwrap() == large);
}

#[test]
fn a_paused_connection_loses_no_bytes() {
    let mut ring = NetRing::new(small()).unwrap();
    let address = listening(&mut ring);
    const BYTES: usize = 3_000_000;
    let writer = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let bytes: Vec<u8> = (0..BYTES).map(|n| (n % 251) as u8).collect();
        stream.write_all(&bytes).unwrap();
    });
    let (mut received, mut connection, mut ended, mut turns) = (0_usize, None, false, 0);
    while !ended {
        step(&mut ring, &mut |_, event| match event {
            NetEvent::Accepted { connection: id, .. } => connection = Some(id),
            NetEvent::Received { bytes, .. } => {
                for (n, byte) in bytes.iter().enumerate() {
                    assert_eq!(*byte, ((received + n) % 251) as u8);
                }
                received += bytes.len();
            }
            NetEvent::Ended { .. } => ended = true,
            NetEvent::Announced(_) => {}
            NetEvent::Sent { .. } | NetEvent::Closed { .. } => panic!("nothing was sent or closed"),
        });
        turns += 1;
        let Some(id) = connection else { continue };
        match turns % 7 {
            0 => ring.ops().pause_receive(id),
            // Both in one turn: the cancellation is then older than the wish to go on.
            1 | 3 => ring.ops().resume_receive(id),
            2 => {
                ring.ops().pause_receive(id);
                ring.ops().resume_receive(id);
                ring.ops().pause_receive(id);
            }
            _ => {}
        }
    }
    assert_eq!(received, BYTES);
    writer.join().unwrap();
}

#[test]
fn a_paused_connection_stays_silent_until_it_is_resumed() {
    let mut ring = NetRing::new(small()).unwrap();
    let address = listening(&mut ring);
    let mut peer = TcpStream::connect(address).unwrap();
    let (mut connection, mut received) = (None, Vec::new());
    let mut handler = |_: &mut NetOps, event: NetEvent<'_>| match event {
        NetEvent::Accepted { connection: id, .. } => connection = Some(id),
        NetEvent::Received { bytes, .. } => received.extend_from_slice(bytes),
        other => panic!("{other:?}"),
    };
    for _ in 0..5 {
        step(&mut ring, &mut handler);
    }
    let id = connection.unwrap();
    ring.ops().pause_receive(id);
    for _ in 0..5 {
        step(&mut ring, &mut |_, event| panic!("{event:?}"));
    }
    peer.write_all(b"while paused").unwrap();
    for _ in 0..5 {
        step(&mut ring, &mut |_, event| panic!("{event:?}"));
    }
    ring.ops().resume_receive(id);
    let mut rounds = 0;
    while received.is_empty() {
        step(&mut ring, &mut |_, event| match event {
            NetEvent::Received { bytes, .. } => received.extend_from_slice(bytes),
            other => panic!("{other:?}"),
        });
        rounds += 1;
        assert!(rounds < 100);
    }
    assert_eq!(received, b"while paused");
}

#[test]
fn bytes_of_a_closed_connection_never_reach_the_next_one() {
    // The peer has written before we close in the handler of its first bytes; what was completed by then must not show.
    let mut ring = NetRing::new(NetRingOptions { receive_buffer_bytes: 64, ..small() }).unwrap();
    let address = listening(&mut ring);
    let (mut seen, mut closed) = (HashMap::new(), Vec::new());
    for round in 0..50_u8 {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(&[round; 600]).unwrap();
        while closed.len() <= usize::from(round) {
            step(&mut ring, &mut |ops, event| match event {
                NetEvent::Accepted { connection, .. } => {
                    assert_eq!(connection.index(), 0);
                    assert!(seen.insert(connection, 0).is_none(), "an id was used again");
                }
                NetEvent::Received { connection, bytes } => {
                    assert!(bytes.iter().all(|byte| *byte == round));
                    *seen.get_mut(&connection).unwrap() += 1;
                    ops.close(connection);
                    assert!(ops.send(connection, Vec::new()).is_err());
                }
                NetEvent::Closed { connection } => closed.push(connection),
                NetEvent::Announced(_) => {}
                NetEvent::Ended { .. } | NetEvent::Sent { .. } => panic!("after close"),
            });
        }
    }
    assert!(seen.values().all(|received| *received == 1));
    for id in closed {
        assert!(ring.ops().peer(id).is_err());
        ring.ops().pause_receive(id);
        ring.ops().resume_receive(id);
        ring.ops().close(id);
    }
    assert_eq!(ring.ops().connection_count(), 0);
}

#[test]
fn accepted_sockets_have_no_delay_and_know_their_peer() {
    let mut ring = NetRing::new(NetRingOptions::default()).unwrap();
    let address = listening(&mut ring);
    let peer = TcpStream::connect(address).unwrap();
    let mut connection = None;
    while connection.is_none() {
        step(&mut ring, &mut |_, event| {
            if let NetEvent::Accepted { connection: id, .. } = event {
                connection = Some(id);
            }
        });
    }
    let id = connection.unwrap();
    assert_eq!(ring.ops().peer(id).unwrap(), peer.local_addr().unwrap());
    assert_eq!(ring.ops().local(id).unwrap(), address);
    // Handing over shows the socket itself.
    assert_eq!(ring.ops().release(id).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    ring.ops().pause_receive(id);
    let mut given = None;
    for _ in 0..100 {
        step(&mut ring, &mut |_, event| panic!("{event:?}"));
        given = ring.ops().release(id).ok();
        if given.is_some() {
            break;
        }
    }
    let stream = given.expect("the receive ends");
    assert!(stream.nodelay().unwrap());
    assert_eq!(ring.ops().connection_count(), 0);
    let again = ring.ops().adopt(stream).unwrap();
    (&peer).write_all(b"moved").unwrap();
    let mut received = Vec::new();
    while received.is_empty() {
        step(&mut ring, &mut |_, event| match event {
            NetEvent::Received { connection, bytes } if connection == again => received.extend_from_slice(bytes),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(received, b"moved");
}

#[test]
fn what_was_received_is_acknowledged_at_once_where_that_is_asked_for() {
    let mut ring = NetRing::new(NetRingOptions::default()).unwrap();
    let mut peer = TcpStream::connect(listening(&mut ring)).unwrap();
    let mut last = None;
    // Once both sides have sent a few times the kernel waits for something to send along.
    let mut waits = false;
    for _ in 0..100 {
        peer.write_all(b"x").unwrap();
        let (mut received, mut sent) = (false, false);
        while !(received && sent) {
            step(&mut ring, &mut |ops, event| match event {
                NetEvent::Received { connection, .. } => {
                    (last, received) = (Some(connection), true);
                    ops.send(connection, b"y".to_vec()).unwrap();
                }
                NetEvent::Sent { .. } => sent = true,
                _ => {}
            });
        }
        peer.read_exact(&mut [0]).unwrap();
        let id = last.unwrap();
        waits = !ring.ops().acknowledges_at_once(id).unwrap();
        if waits {
            ring.ops().acknowledge(id).unwrap();
            assert!(ring.ops().acknowledges_at_once(id).unwrap());
            break;
        }
    }
    assert!(waits, "the kernel never waits");
    ring.ops().close(last.unwrap());
    while ring.ops().connection_count() > 0 {
        step(&mut ring, &mut |_, _| {});
    }
    assert_eq!(ring.ops().acknowledge(last.unwrap()).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn connections_above_the_maximum_are_closed_at_once() {
    let mut ring = NetRing::new(NetRingOptions { connections_max: 2, ..small() }).unwrap();
    let address = listening(&mut ring);
    let peers: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
    while ring.ops().counters().accept_refused < 3 {
        step(&mut ring, &mut |_, _| {});
    }
    assert_eq!((ring.ops().counters().accepted, ring.ops().connection_count()), (2, 2));
    let mut byte = [0];
    peers[4].set_read_timeout(STUCK).unwrap();
    assert_eq!((&peers[4]).read(&mut byte).unwrap_or(0), 0);
}

#[test]
fn a_ring_that_stops_listening_refuses_and_one_that_is_dropped_lets_go_of_everything() {
    let mut ring = NetRing::new(small()).unwrap();
    let address = listening(&mut ring);
    let mut peer = TcpStream::connect(address).unwrap();
    peer.set_read_timeout(STUCK).unwrap();
    let mut connection = None;
    while connection.is_none() {
        step(&mut ring, &mut |_, event| {
            if let NetEvent::Accepted { connection: id, .. } = event {
                connection = Some(id);
            }
        });
    }
    ring.stop_listening();
    for _ in 0..5 {
        step(&mut ring, &mut |_, _| {});
    }
    assert!(TcpStream::connect(address).is_err());
    ring.ops().send(connection.unwrap(), vec![1; 64 << 20]).unwrap();
    ring.poll(&mut |_, _| {}).unwrap();
    drop(ring);
    // The socket is closed by the drop, not by the end of the process: the stream ends instead of timing out.
    let mut rest = Vec::new();
    let _ = peer.read_to_end(&mut rest).map_err(|error| assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock));
    assert!(rest.len() < 64 << 20);
}

#[test]
fn an_option_outside_its_bounds_is_named() {
    let error = NetRing::new(NetRingOptions { receive_buffers: 3, ..NetRingOptions::default() }).unwrap_err();
    assert!(error.to_string().contains("receive_buffers = 3"), "{error}");
}
