//! What many connections send, over real sockets: handed on in pages where that is cheaper, and nobody sees a difference.
#![cfg(not(loom))]

use std::{
    collections::{HashMap, VecDeque},
    io::Read,
    net::{Shutdown, SocketAddr, TcpStream},
    rc::Rc,
    thread::{self, JoinHandle},
    time::Duration,
};

use keytide_net::net_ring::{ConnectionId, NetEvent, NetOps, NetRing, Parked, SendBuffer, SharedBytes};
use ring::{STUCK, listening, small, step};

#[path = "common/ring.rs"]
mod ring;

/// What differs everywhere, so that a piece at the wrong place is seen.
fn content(seed: u32, length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n ^ seed).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// Reads everything, `piece` bytes at a time, and rests after each of the first few.
fn reader(address: SocketAddr, piece: usize) -> JoinHandle<Vec<u8>> {
    let stream = TcpStream::connect(address).unwrap();
    thread::spawn(move || read_all(stream, piece))
}

fn read_all(mut stream: TcpStream, piece: usize) -> Vec<u8> {
    stream.set_read_timeout(STUCK).unwrap();
    let (mut got, mut buffer, mut rests) = (Vec::new(), vec![0; piece], 10);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return got,
            Ok(length) => got.extend_from_slice(&buffer[..length]),
            Err(error) => panic!("{error}"),
        }
        if rests > 0 {
            thread::sleep(Duration::from_millis(5));
            rests -= 1;
        }
    }
}

/// Connections with what each still has to send.
#[derive(Default)]
struct Senders {
    queues: HashMap<ConnectionId, VecDeque<SendBuffer>>,
    /// Sends that have failed.
    failed: Vec<ConnectionId>,
    closed: Vec<ConnectionId>,
    /// How many peers send no more.
    ended: usize,
}

impl Senders {
    fn handle(&mut self, ops: &mut NetOps, event: NetEvent<'_>) {
        match event {
            NetEvent::Accepted { connection, .. } => drop(self.queues.insert(connection, VecDeque::new())),
            NetEvent::Sent { connection, result, .. } => match result {
                Ok(()) => self.next(ops, connection),
                Err(_) => {
                    self.failed.push(connection);
                    self.queues.remove(&connection);
                    ops.close(connection);
                }
            },
            NetEvent::Closed { connection } => self.closed.push(connection),
            NetEvent::Ended { .. } => self.ended += 1,
            NetEvent::Announced(_) | NetEvent::Received { .. } => {}
        }
    }

    /// Sends what comes next; closes where nothing does.
    fn next(&mut self, ops: &mut NetOps, connection: ConnectionId) {
        let Some(queue) = self.queues.get_mut(&connection) else { return };
        match queue.pop_front() {
            Some(buffer) => ops.send(connection, buffer).unwrap(),
            None => ops.close(connection),
        }
    }

    fn accepted(ring: &mut NetRing, count: usize) -> Senders {
        let mut senders = Senders::default();
        while senders.queues.len() < count {
            step(ring, &mut |ops, event| senders.handle(ops, event));
        }
        senders
    }

    /// The same to all.
    fn send(&mut self, ring: &mut NetRing, bytes: &Rc<SharedBytes>) {
        self.queues.values_mut().for_each(|queue| queue.push_back(bytes.clone().into()));
        self.start(ring);
    }

    fn start(&mut self, ring: &mut NetRing) {
        let all: Vec<ConnectionId> = self.queues.keys().copied().collect();
        all.into_iter().for_each(|connection| self.next(ring.ops(), connection));
    }

    fn run_until(&mut self, ring: &mut NetRing, is_done: impl Fn(&Senders) -> bool) {
        while !is_done(self) {
            step(ring, &mut |ops, event| self.handle(ops, event));
        }
    }
}

#[test]
fn each_gets_all_of_what_many_are_sent_and_its_own_in_between() {
    const READERS: usize = 12;
    let mut ring = NetRing::new(small()).unwrap();
    let address = listening(&mut ring);
    let readers: Vec<_> = (0..READERS).map(|n| reader(address, if n % 3 == 0 { 3_000 } else { 200_000 })).collect();
    let mut senders = Senders::accepted(&mut ring, READERS);
    // Short ones, one that fills the pipe to the byte, and one that no socket takes at once.
    let lengths = [100, 16 << 10, 20_001, 256 << 10, 300_007, 9_000_000, 65_536];
    let mut expected = Vec::new();
    let shared = lengths.iter().enumerate().map(|(n, length)| Rc::new(SharedBytes::from(content(n as u32, *length))));
    for bytes in shared {
        for queue in senders.queues.values_mut() {
            queue.push_back(bytes.clone().into());
            queue.push_back(b"own".to_vec().into());
        }
        expected.extend_from_slice(&bytes);
        expected.extend_from_slice(b"own");
    }
    senders.start(&mut ring);
    senders.run_until(&mut ring, |senders| senders.closed.len() == READERS);
    assert!(senders.failed.is_empty());
    for reader in readers {
        // Not compared with assert_eq: nobody wants to see ten million bytes.
        assert!(reader.join().unwrap() == expected);
    }
    let counters = ring.ops().counters();
    assert_eq!(counters.sent_bytes, (expected.len() * READERS) as u64);
    let long: usize = lengths.iter().filter(|length| **length >= 16 << 10).sum();
    // The last ones to send a buffer may find it worth no pages, but here all begin together.
    assert_eq!(counters.handed_on_bytes, (long * READERS) as u64);
}

#[test]
fn who_never_reads_holds_up_nobody_and_can_be_closed() {
    const READERS: usize = 5;
    let mut ring = NetRing::new(small()).unwrap();
    let address = listening(&mut ring);
    let silent = TcpStream::connect(address).unwrap();
    let readers: Vec<_> = (0..READERS).map(|_| reader(address, 100_000)).collect();
    let mut senders = Senders::accepted(&mut ring, READERS + 1);
    let bytes = Rc::new(SharedBytes::from(content(1, 20 << 20)));
    senders.send(&mut ring, &bytes);
    senders.run_until(&mut ring, |senders| senders.closed.len() == READERS);
    for reader in readers {
        assert!(reader.join().unwrap() == **bytes);
    }
    let (&stuck, _) = senders.queues.iter().find(|(id, _)| !senders.closed.contains(id)).unwrap();
    for _ in 0..10 {
        ring.poll(&mut |_, event| panic!("{event:?}")).unwrap();
        ring.park(Some(Duration::from_millis(5)), || true).unwrap();
    }
    assert!(ring.ops().is_sending(stuck));
    ring.ops().close(stuck);
    senders.run_until(&mut ring, |senders| senders.closed.contains(&stuck));
    assert_eq!(senders.failed, [stuck]);
    assert_eq!(Rc::strong_count(&bytes), 1, "the buffer came back");
    drop(silent);
}

#[test]
fn who_sends_no_more_and_does_not_read_costs_nothing_and_gets_everything_when_it_does() {
    const READERS: usize = 4;
    let mut ring = NetRing::new(small()).unwrap();
    let address = listening(&mut ring);
    let peers: Vec<_> = (0..READERS).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut senders = Senders::accepted(&mut ring, READERS);
    peers.iter().for_each(|peer| peer.shutdown(Shutdown::Write).unwrap());
    let bytes = Rc::new(SharedBytes::from(content(3, 20 << 20)));
    senders.send(&mut ring, &bytes);
    senders.run_until(&mut ring, |senders| senders.ended == READERS);
    // Until their sockets are full and the last completions have come.
    let rest = |ring: &mut NetRing, senders: &mut Senders| {
        for _ in 0..20 {
            ring.poll(&mut |ops, event| senders.handle(ops, event)).unwrap();
            ring.park(Some(Duration::from_millis(5)), || true).unwrap();
        }
        ring.ops().counters().completions
    };
    let before = rest(&mut ring, &mut senders);
    assert_eq!(rest(&mut ring, &mut senders), before);
    assert!(senders.closed.is_empty());
    let readers: Vec<_> = peers.into_iter().map(|peer| thread::spawn(move || read_all(peer, 100_000))).collect();
    senders.run_until(&mut ring, |senders| senders.closed.len() == READERS);
    for reader in readers {
        assert!(reader.join().unwrap() == **bytes);
    }
}

/// A caller that sleeps after each poll, as a core does that does not spin, is woken for what it waits for.
#[test]
fn the_end_of_a_send_that_waited_for_room_is_told_with_what_woke_for_it() {
    const READERS: usize = 4;
    let mut ring = NetRing::new(small()).unwrap();
    let address = listening(&mut ring);
    let readers: Vec<_> = (0..READERS).map(|_| reader(address, 100_000)).collect();
    let mut senders = Senders::accepted(&mut ring, READERS);
    let bytes = Rc::new(SharedBytes::from(content(4, 20 << 20)));
    senders.send(&mut ring, &bytes);
    while senders.closed.len() < READERS {
        ring.poll(&mut |ops, event| senders.handle(ops, event)).unwrap();
        if senders.closed.len() < READERS {
            assert_ne!(ring.park(STUCK, || true).unwrap(), Parked::TimedOut);
        }
    }
    readers.into_iter().for_each(|reader| assert!(reader.join().unwrap() == **bytes));
}

#[test]
fn a_peer_that_goes_away_in_the_middle_is_an_error_of_its_send_alone() {
    const READERS: usize = 4;
    let mut ring = NetRing::new(small()).unwrap();
    let address = listening(&mut ring);
    let goes = TcpStream::connect(address).unwrap();
    let readers: Vec<_> = (0..READERS).map(|_| reader(address, 100_000)).collect();
    let mut senders = Senders::accepted(&mut ring, READERS + 1);
    let bytes = Rc::new(SharedBytes::from(content(2, 20 << 20)));
    senders.send(&mut ring, &bytes);
    // It is full by now, and unread bytes make its end a reset.
    drop(goes);
    senders.run_until(&mut ring, |senders| senders.closed.len() == READERS + 1);
    assert_eq!(senders.failed.len(), 1);
    for reader in readers {
        assert!(reader.join().unwrap() == **bytes);
    }
}
