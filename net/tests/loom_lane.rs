//! The model checker runs the lane, and the announcement of a parked core, through every interleaving.
//!
//! `cargo test -p keytide --features loom --test loom_lane`
#![cfg(feature = "loom")]

use keytide_net::{mesh::lane, wake::ParkFlag};
use loom::{
    sync::{Arc, Condvar, Mutex},
    thread,
};

#[test]
fn a_lane_of_two_passes_every_value_once_and_in_order_around_the_end() {
    loom::model(|| {
        let (mut sender, mut receiver) = lane::<u32>(2);
        let pusher = thread::spawn(move || {
            let mut next = 0;
            while next < 3 {
                match sender.push(next) {
                    Ok(()) => next += 1,
                    Err(back) => {
                        assert_eq!(back, next);
                        thread::yield_now();
                    }
                }
            }
        });
        let mut next = 0;
        while next < 3 {
            match receiver.pop() {
                Some(value) => {
                    assert_eq!(value, next);
                    next += 1;
                }
                None => thread::yield_now(),
            }
        }
        assert!(receiver.is_empty());
        pusher.join().unwrap();
    });
}

#[test]
fn what_is_left_is_dropped_whichever_end_goes_last() {
    loom::model(|| {
        // loom reports an `Arc` that is not dropped.
        let (mut sender, mut receiver) = lane::<Arc<u32>>(2);
        let pusher = thread::spawn(move || {
            sender.push(Arc::new(1)).unwrap();
            sender.push(Arc::new(2)).unwrap();
        });
        drop(receiver.pop());
        drop(receiver);
        pusher.join().unwrap();
    });
}

/// One core that parks in small: a look, and a sleep that ends only with a signal. The signal is what the eventfd is:
/// it stays until it is taken, and a core that waits for one that never comes is a deadlock, which loom reports.
struct Core {
    flag: ParkFlag,
    signal: Mutex<bool>,
    signalled: Condvar,
}

impl Core {
    fn new() -> Core {
        Core { flag: ParkFlag::default(), signal: Mutex::new(false), signalled: Condvar::new() }
    }

    fn wake(&self) {
        if self.flag.claim() {
            *self.signal.lock().unwrap() = true;
            self.signalled.notify_one();
        }
    }

    fn sleep(&self) {
        let mut signal = self.signal.lock().unwrap();
        while !*signal {
            signal = self.signalled.wait(signal).unwrap();
        }
        *signal = false;
    }
}

/// Two senders, one value each.
#[test]
fn a_core_that_parks_never_sleeps_on_a_full_lane() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let core = Arc::new(Core::new());
        let mut receivers = Vec::new();
        let mut senders = Vec::new();
        for n in 0..2 {
            let (mut sender, receiver) = lane::<u32>(2);
            receivers.push(receiver);
            let core = core.clone();
            senders.push(thread::spawn(move || {
                sender.push(n).unwrap();
                core.wake();
            }));
        }
        let mut taken = 0;
        while taken < 2 {
            for receiver in &mut receivers {
                taken += usize::from(receiver.pop().is_some());
            }
            if taken == 2 {
                break;
            }
            core.flag.announce();
            if receivers.iter().all(|receiver| receiver.is_empty()) {
                core.sleep();
            }
            core.flag.withdraw();
        }
        for sender in senders {
            sender.join().unwrap();
        }
    });
}
