//! A net ring that parks inside a glommio executor: the executor's other tasks go on.
#![cfg(not(loom))]

use std::{
    cell::Cell,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use glommio::{Latency, LocalExecutorBuilder, Placement, Shares, io::BufferedFile, timer::Timer};
use keytide_net::net_ring::{NetEvent, NetRing, NetRingOptions, executor_rings};

/// What bounds a glommio timer's delay: the executor can't tell its net task when its next timer is due.
const PARK: Duration = Duration::from_millis(2);

#[test]
fn timers_and_files_of_the_executor_go_on_while_its_core_parks_in_the_net_ring() {
    let before = executor_rings().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for _ in 0..50 {
            stream.write_all(b"ping").unwrap();
            stream.read_exact(&mut [0; 4]).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
    });
    let executor = LocalExecutorBuilder::new(Placement::Unbound).spawn(move || async move {
        let own: Vec<_> = executor_rings().unwrap().into_iter().filter(|ring| !before.contains(ring)).collect();
        assert!(!own.is_empty(), "glommio has rings of its own");
        let done = Rc::new(Cell::new(0));
        let net = glommio::executor().create_task_queue(
            Shares::Static(1000),
            Latency::Matters(Duration::from_millis(1)),
            "net",
        );
        let net_done = done.clone();
        let net_task = glommio::spawn_local_into(
            async move {
                let mut ring = NetRing::new(NetRingOptions::default()).unwrap();
                own.into_iter().for_each(|descriptor| ring.watch(descriptor));
                ring.listen(listener).unwrap();
                let mut open = true;
                while open || net_done.get() < 2 {
                    let completions = ring
                        .poll(&mut |ops, event| match event {
                            NetEvent::Received { connection, bytes } => ops.send(connection, bytes.to_vec()).unwrap(),
                            NetEvent::Ended { connection, .. } => ops.close(connection),
                            NetEvent::Closed { .. } => open = false,
                            NetEvent::Accepted { .. } | NetEvent::Announced(_) | NetEvent::Sent { .. } => {}
                        })
                        .unwrap();
                    glommio::executor().yield_task_queue_now().await;
                    if completions == 0 {
                        ring.park(Some(PARK), || true).unwrap();
                    }
                }
                ring.ops().counters()
            },
            net,
        )
        .unwrap();
        // As the server does: glommio may go to sleep with a ready task where its thread loses the processor for long.
        let bound_sleep = async {
            loop {
                Timer::new(Duration::from_millis(5)).await;
            }
        };
        glommio::spawn_local(bound_sleep).detach();
        let timers_done = done.clone();
        let timers = glommio::spawn_local(async move {
            let start = Instant::now();
            for _ in 0..20 {
                Timer::new(Duration::from_millis(5)).await;
            }
            timers_done.set(timers_done.get() + 1);
            start.elapsed()
        });
        let files = glommio::spawn_local(async move {
            let start = Instant::now();
            let path = std::env::temp_dir().join(format!("keytide-park-{}", std::process::id()));
            let file = BufferedFile::create(&path).await.unwrap();
            for n in 0..20 {
                file.write_at(vec![1; 64], n * 64).await.unwrap();
                file.fdatasync().await.unwrap();
            }
            file.close().await.unwrap();
            std::fs::remove_file(path).unwrap();
            done.set(done.get() + 1);
            start.elapsed()
        });
        // Shown with --nocapture; not judged.
        eprintln!("20 timers of 5 ms: {:?}; 20 writes with fdatasync: {:?}", timers.await, files.await);
        eprintln!("{:?}", net_task.await);
    });
    executor.unwrap().join().unwrap();
    client.join().unwrap();
}
