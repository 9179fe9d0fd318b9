//! The model checker runs the lane, and the announcement of a parked core, through every interleaving.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p keytide --release --test loom_lane`
#![cfg(loom)]

use keytide_net::{mesh::lane, wake::ParkFlag};
use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

#[test]
fn a_lane_of_two_passes_every_value_once_and_in_order_around_the_end() {
    loom::model(|| {
        let (mut sender, mut receiver) = lane::<u32>(2);
        let pusher = thread::spawn(move || {
            let mut next = 0;
            while next < 4 {
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
        while next < 4 {
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
/// it stays until it is taken.
struct Core {
    flag: ParkFlag,
    signal: AtomicBool,
}

impl Core {
    fn wake(&self) {
        if self.flag.claim() {
            // Release pairs with the swap in `sleep`, as a write to an eventfd does with the read that it ends.
            self.signal.store(true, Ordering::Release);
        }
    }

    fn sleep(&self) {
        while !self.signal.swap(false, Ordering::AcqRel) {
            thread::yield_now();
        }
    }
}

/// Two senders, one value each. A wake-up that is lost leaves the core asleep for ever, which loom reports.
#[test]
fn a_core_that_parks_never_sleeps_on_a_full_lane() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let core = Arc::new(Core { flag: ParkFlag::default(), signal: AtomicBool::new(false) });
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
