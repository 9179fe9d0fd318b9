//! What tests of the net ring share.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use keytide_net::net_ring::{NetEvent, NetOps, NetRing, NetRingOptions};

/// Long enough to be an error; no test waits for it if all is well.
pub const STUCK: Option<Duration> = Some(Duration::from_secs(10));

/// Small, so that queues and buffers run out in the tests.
pub fn small() -> NetRingOptions {
    NetRingOptions {
        submissions: 8,
        completions: 16,
        receive_buffers: 4,
        receive_buffer_bytes: 512,
        ..NetRingOptions::default()
    }
}

pub fn listening(ring: &mut NetRing) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    ring.listen(listener).unwrap();
    address
}

pub fn step(ring: &mut NetRing, handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>)) {
    if ring.poll(handler).unwrap() == 0 {
        let unreported = ring.ops().has_unreported_sends();
        ring.park(Some(Duration::from_millis(100)), || !unreported).unwrap();
    }
}
