//! Wake-ups aimed at the moment between a core's last look and its sleep: none is lost.
#![cfg(not(loom))]

use std::{thread, time::Duration};

use keytide_net::{
    mesh::lane,
    net_ring::{NetRing, NetRingOptions, Parked},
};

/// A lost wake-up shows as this much silence.
const LOST: Duration = Duration::from_secs(5);

/// Two cores hand a value to and fro, each parking as soon as it has nothing. The looking core delays its sleep by a few
/// spins that differ from round to round, so that the other one's push falls everywhere in the window.
fn race(rounds: u32) -> u64 {
    let (mut there, mut inbox) = lane::<u32>(4);
    let (mut back, mut outbox) = lane::<u32>(4);
    let options = NetRingOptions { receive_buffers: 2, receive_buffer_bytes: 64, ..NetRingOptions::default() };
    let mut ring = NetRing::new(options.clone()).unwrap();
    let waker = ring.waker();
    let (sender, receiver) = std::sync::mpsc::channel();
    let peer = thread::spawn(move || {
        let mut ring = NetRing::new(options).unwrap();
        sender.send(ring.waker()).unwrap();
        let mut slept = 0;
        for round in 0..rounds {
            let value = take(&mut ring, &mut inbox, &mut slept, round);
            assert_eq!(value, round);
            spin(round.wrapping_mul(2_654_435_761) >> 24);
            back.push(value).unwrap();
            waker.wake();
        }
        slept
    });
    let other = receiver.recv().unwrap();
    let mut slept = 0;
    for round in 0..rounds {
        there.push(round).unwrap();
        other.wake();
        assert_eq!(take(&mut ring, &mut outbox, &mut slept, round), round);
    }
    slept + peer.join().unwrap()
}

fn take(ring: &mut NetRing, lane: &mut keytide_net::mesh::LaneReceiver<u32>, slept: &mut u64, round: u32) -> u32 {
    loop {
        if let Some(value) = lane.pop() {
            return value;
        }
        spin(round.wrapping_mul(40_503) >> 8 & 63);
        match ring.park(Some(LOST), || lane.is_empty()).unwrap() {
            Parked::Busy => {}
            Parked::Woken => *slept += 1,
            Parked::TimedOut => panic!("a wake-up was lost in round {round}"),
        }
        ring.poll(&mut |_, event| panic!("{event:?}")).unwrap();
    }
}

fn spin(times: u32) {
    for _ in 0..times {
        std::hint::spin_loop();
    }
}

#[test]
fn no_wake_up_is_lost_between_looking_and_sleeping() {
    let slept = race(50_000);
    assert!(slept > 0, "nobody ever slept, so nothing was tested");
}

/// The long run: `cargo test -p keytide --release --test park_races -- --ignored`.
#[test]
#[ignore = "a million races; scripts/races runs it"]
fn no_wake_up_is_lost_in_a_million_races() {
    assert!(race(500_000) > 0);
}
