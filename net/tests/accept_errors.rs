//! An accept that finds no descriptor: the listener pauses, the ring sleeps meanwhile, and the connection is accepted
//! later. Alone in its process, whose limit it changes.
#![cfg(not(loom))]

use keytide_net::net_ring::{NetRing, NetRingOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn step(ring: &mut NetRing) {
    if ring.poll(&mut |_, _| {}).expect("the ring can be used") == 0 {
        ring.park(Some(Duration::from_millis(100)), || true).expect("the ring can be used");
    }
}

#[test]
fn without_a_descriptor_a_listener_pauses_and_goes_on() {
    let mut ring = NetRing::new(NetRingOptions::default()).expect("the system allows it");
    let limit = getrlimit(Resource::Nofile);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let _peer = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    ring.listen(listener).expect("it is a TCP socket");
    // An accept has the limit of when it was submitted, which is at the first step.
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..limit }).expect("a limit may be lowered");
    while ring.ops().counters().accept_errors < 3 {
        step(&mut ring);
    }
    let counters = ring.ops().counters();
    assert!(counters.accepted == 0 && counters.completions < 50, "{counters:?}");
    setrlimit(Resource::Nofile, limit).expect("the hard limit has not changed");
    while ring.ops().counters().accepted == 0 {
        step(&mut ring);
    }
}
