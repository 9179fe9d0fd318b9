//! What counts or exhausts the descriptors of the whole process: one test, so that nothing runs beside it.
#![cfg(not(loom))]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use keytide_net::net_ring::{NetEvent, NetOps, NetRing, NetRingOptions};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn echo(ops: &mut NetOps, event: NetEvent<'_>) {
    match event {
        NetEvent::Received { connection, bytes } => ops.send(connection, bytes.to_vec()).unwrap(),
        NetEvent::Ended { connection, .. } => ops.close(connection),
        NetEvent::Sent { connection, result, .. } => {
            if result.is_err() {
                ops.close(connection);
            }
        }
        NetEvent::Accepted { .. } | NetEvent::Announced(_) | NetEvent::Closed { .. } => {}
    }
}

fn turn(ring: &mut NetRing) {
    if ring.poll(&mut echo).unwrap() == 0 {
        ring.park(Some(Duration::from_millis(100)), || true).unwrap();
    }
}

#[test]
fn no_descriptor_or_place_is_left_behind_and_running_out_of_descriptors_passes() {
    // The kernel takes the limit when an accept is submitted, so it is lowered before.
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live `rlimit`.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_cur.min(512);
    // SAFETY: the pointer is to a live `rlimit`.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    let before_all = descriptors();
    let mut ring = NetRing::new(NetRingOptions { submissions: 16, ..NetRingOptions::default() }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    ring.listen(listener).unwrap();
    turn(&mut ring);
    let before = descriptors();

    // 1,000 connections, ten at a time; some say nothing, some don't wait for the answer.
    let clients = thread::spawn(move || {
        for round in 0..100 {
            let streams: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
            for (n, mut stream) in streams.into_iter().enumerate() {
                if (n + round) % 3 > 0 {
                    stream.write_all(b"hello").unwrap();
                }
                if (n + round) % 3 > 1 {
                    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                    stream.read_exact(&mut [0; 5]).unwrap();
                }
            }
        }
    });
    while ring.ops().counters().accepted < 1000 || ring.ops().connection_count() > 0 {
        turn(&mut ring);
    }
    clients.join().unwrap();
    assert_eq!(descriptors(), before);

    // No descriptor left for the accepted side: the listener pauses instead of spinning, and goes on afterwards.
    let mut peer = TcpStream::connect(address).unwrap();
    while ring.ops().connection_count() == 0 {
        turn(&mut ring);
    }
    let late_socket = TcpStream::connect(address).unwrap();
    while ring.ops().connection_count() < 2 {
        turn(&mut ring);
    }
    let mut fill = Vec::new();
    // SAFETY: no pointers are passed.
    let waiting = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(waiting >= 0);
    while let Ok(file) = std::fs::File::open("/dev/null") {
        fill.push(file);
    }
    let std::net::SocketAddr::V4(to) = address else { unreachable!() };
    let raw = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
        sin_zero: [0; 8],
    };
    // SAFETY: the pointer and length describe `raw`.
    let connected = unsafe { libc::connect(waiting, (&raw const raw).cast(), size_of_val(&raw) as libc::socklen_t) };
    assert_eq!(connected, 0);
    while ring.ops().counters().accept_errors == 0 {
        turn(&mut ring);
    }
    let enters = ring.ops().counters().enters;
    for _ in 0..3 {
        turn(&mut ring);
    }
    assert!(ring.ops().counters().enters - enters < 20);
    // Those that are connected are still served.
    peer.write_all(b"still").unwrap();
    let served = ring.ops().counters().sent_bytes + 5;
    while ring.ops().counters().sent_bytes < served {
        turn(&mut ring);
    }
    peer.read_exact(&mut [0; 5]).unwrap();
    drop(fill);
    while ring.ops().connection_count() < 3 {
        turn(&mut ring);
    }
    // SAFETY: the descriptor is ours.
    unsafe { libc::close(waiting) };
    drop((peer, late_socket));
    while ring.ops().connection_count() > 0 {
        turn(&mut ring);
    }
    assert_eq!(descriptors(), before);
    drop(ring);
    assert_eq!(descriptors(), before_all);
}
