//! What it costs to go to another core and back: through two lanes between two threads that poll, each on a core of
//! its own. Half of a round trip is a hop. `lane` carries bare numbers: the travel itself. `batch` carries GETs and
//! their replies of 64 bytes as the server does, a batch for each direction and turn, with the look whether the other
//! core has to be woken; the key is not looked up.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keytide_bench::{ASKER, VALUE, cores, key, pin};
use keytide_net::command::table::TABLE;
use keytide_net::mesh::message::{Batch, Message, ReplyForm, ReplyTo};
use keytide_net::mesh::{LaneReceiver, LaneSender, Outbound, lane};
use keytide_net::net_ring::ConnectionId;
use keytide_net::resp::{CommandIndex, OwnedArgs, Reply};
use keytide_net::wake::Waker;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[global_allocator]
static ALLOCATOR: keytide_net::allocator::Allocator = keytide_net::allocator::Allocator;

/// Messages that go together.
const COUNTS: [usize; 3] = [1, 16, 64];

/// Runs `echo` again and again on the second core while `measure` runs on the first.
fn between_two_cores(echo: impl FnMut() + Send, measure: impl FnOnce()) {
    assert!(cores() >= 2, "a hop takes two cores");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        pin(0);
        let (stop, mut echo) = (&stop, echo);
        scope.spawn(move || {
            pin(1);
            // Relaxed: nothing is passed on with it.
            while !stop.load(Ordering::Relaxed) {
                echo();
                spin_loop();
            }
        });
        measure();
        // Relaxed, as above.
        stop.store(true, Ordering::Relaxed);
    });
}

fn wait<T: Send>(receiver: &mut LaneReceiver<T>) -> T {
    loop {
        match receiver.pop() {
            Some(value) => return value,
            None => spin_loop(),
        }
    }
}

fn push<T: Send>(sender: &mut LaneSender<T>, value: T) {
    assert!(sender.push(value).is_ok(), "a lane has room for more than one round");
}

fn bare(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lane");
    let ((mut there, mut inbound), (mut outbound, mut back)) = (lane::<u64>(1024), lane::<u64>(1024));
    let echo = move || {
        while let Some(value) = inbound.pop() {
            push(&mut outbound, value);
        }
    };
    between_two_cores(echo, || {
        for count in COUNTS {
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(format!("round trip of {count}"), |bencher| {
                bencher.iter(|| {
                    (0..count as u64).for_each(|number| push(&mut there, number));
                    (0..count).map(|_| wait(&mut back)).sum::<u64>()
                })
            });
        }
    });
    group.finish();
}

/// One core's side: what it sends by, what it gets by, and how the other one is woken.
struct Side {
    outbound: Outbound,
    inbound: LaneReceiver<Batch>,
    other: Waker,
}

impl Side {
    fn send(&mut self) {
        if self.outbound.flush() {
            self.other.wake();
        }
    }

    /// Handles a batch that has come, message by message, with the batch that is about to be sent.
    fn take(&mut self, mut batch: Batch, mut handle: impl FnMut(&Batch, Message, &mut Outbound)) {
        let mut messages = batch.take_messages();
        for message in messages.drain(..) {
            handle(&batch, message, &mut self.outbound);
        }
        self.outbound.keep(batch.recycle(messages));
    }

    /// Answers the commands that have come.
    fn answer(&mut self) {
        while let Some(batch) = self.inbound.pop() {
            self.take(batch, |batch, message, outbound| {
                let Message::Run { form: form @ ReplyForm::Whole(version), to, args, .. } = message else { return };
                assert_eq!(batch.arena().args(&args).len(), 2);
                outbound.batch().reply(to, form, |out| Reply::new(out, version).bulk(&VALUE));
            });
        }
        self.send();
    }

    /// Asks `count` times and waits for the replies; answers how many bytes they took.
    fn ask(&mut self, get: CommandIndex, args: &OwnedArgs, count: usize) -> usize {
        for number in 0..count as u64 {
            let to = ReplyTo { connection: ConnectionId::from_u64(1), number, part: 0 };
            self.outbound.batch().run(get, ASKER, to, args.as_args().iter());
        }
        self.send();
        let (mut replies, mut bytes) = (0, 0);
        while replies < count {
            let batch = wait(&mut self.inbound);
            self.take(batch, |batch, message, _| {
                let Message::Reply { bytes: range, .. } = message else { return };
                bytes += batch.arena().bytes(&range).len();
                replies += 1;
            });
        }
        bytes
    }
}

fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    let args: OwnedArgs = ["GET", &key(42)].iter().collect();
    let get = TABLE.resolve(args.as_args()).unwrap_or_else(|_| unreachable!("GET is a command of one key"));
    let waker = || Waker::new().expect("a descriptor for a bench");
    let ((there, inbound), (outbound, back)) = (lane(1024), lane(1024));
    let mut near = Side { outbound: Outbound::new(there), inbound: back, other: waker() };
    let mut far = Side { outbound: Outbound::new(outbound), inbound, other: waker() };
    between_two_cores(
        move || far.answer(),
        || {
            for count in COUNTS {
                group.throughput(Throughput::Elements(count as u64));
                group.bench_function(format!("round trip of {count}"), |bencher| {
                    bencher.iter(|| near.ask(get, &args, count));
                });
            }
        },
    );
    group.finish();
}

criterion_group!(benches, bare, batch);
criterion_main!(benches);
