//! The hot functions one by one, so many times each, for `scripts/instructions` to count what they execute:
//! `instructions CASE COUNT`. Without arguments it lists the cases.
//!
//! Every case is the same on every run: the shards hold one key, for with several it is the hash's random seed that
//! says how many are looked at, and the rings are so small that a multiple of [`LAP`] operations goes round them a
//! whole number of times.

use keytide_bench::{ASKER, NOW_MS, VALUE, key, shard_of_strings};
use keytide_engine::event::EventType;
use keytide_engine::filter::{Filter, Pattern, Target};
use keytide_engine::history::{History, Request};
use keytide_engine::position::{Position, Revision, RingOffset, ShardId};
use keytide_engine::ring::{self, Data, Draft, Ring, RingWriter, record_bytes};
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::Shard;
use keytide_engine::slot::Slot;
use keytide_net::command::table::TABLE;
use keytide_net::mesh::message::{Message, ReplyForm, ReplyTo};
use keytide_net::mesh::{Outbound, lane};
use keytide_net::net_ring::ConnectionId;
use keytide_net::resp::{OwnedArgs, Parsed, Parser, ParserLimits, Protocol, Reply};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

/// The server's.
#[global_allocator]
static ALLOCATOR: keytide_net::allocator::Allocator = keytide_net::allocator::Allocator;

const RING_BYTES: u64 = 64 << 10;

/// Counts of operations are multiples of this: at 128 bytes a record, eight laps of a ring.
const LAP: u64 = 8 * RING_BYTES / 128;

/// Operations per turn and per read.
const TURN: u64 = 16;

const ONE: ShardId = ShardId(0);

/// A name, and what does it so many times.
type Case = (&'static str, fn(u64));

const CASES: &[Case] = &[
    ("parse_set", |count| parse(&[b"SET", key(42).as_bytes(), &VALUE], count)),
    ("parse_get", |count| parse(&[b"GET", key(42).as_bytes()], count)),
    ("command_lookup", command_lookup),
    ("slot_hash", slot_hash),
    ("execute_set", |count| {
        execute(count, &VALUE, |shard, key| shard.set(key, black_box(&VALUE)).expect("a short value"))
    }),
    ("execute_get", |count| {
        execute(count, &VALUE, |shard, key| {
            black_box(shard.get(key).expect("a string"));
        })
    }),
    // Each key of a pipeline of so many.
    ("prefetch", |count| {
        let (key, shard) = (key(42), shard_of_strings(&[key(42)], &VALUE, RING_BYTES));
        repeat(count / TURN, || shard.prefetch((0..TURN).map(|_| black_box(key.as_bytes()))));
    }),
    // Of 7 digits from the first to the last.
    ("execute_incr", |count| {
        execute(count, b"1000000", |shard, key| {
            black_box(shard.increment(key, 1).expect("an integer"));
        })
    }),
    ("reply_ok", |count| reply(count, |reply| reply.ok())),
    ("reply_integer", |count| reply(count, |reply| reply.integer(black_box(1_234_567)))),
    ("reply_bulk", |count| reply(count, |reply| reply.bulk(black_box(&VALUE)))),
    ("ring_append", ring_append),
    ("ring_read", ring_read),
    ("history_read", history_read),
    ("sequencer_turn", sequencer_turn),
    ("frontier", |count| {
        let sequencer = Sequencer::new(Position(1), 4);
        repeat(count, || black_box(sequencer.frontier()));
    }),
    ("empty_commit", |count| {
        let mut shard = shard_of_strings(&[key(42)], &VALUE, RING_BYTES);
        repeat(count, || black_box(shard.commit()));
    }),
    ("filter_prefix", |count| filter(count, Pattern::prefixes([&b"user:"[..], b"order:", b"key:"]).ok())),
    ("filter_glob", |count| filter(count, Pattern::glob(b"key:*42").ok())),
    ("filter_regex", |count| filter(count, Pattern::regex(br"^key:\d+2$").ok())),
    ("hop", hop),
];

fn repeat<T>(count: u64, mut operation: impl FnMut() -> T) {
    for _ in 0..count {
        black_box(operation());
    }
}

fn args(words: &[&[u8]]) -> OwnedArgs {
    words.iter().collect()
}

fn parse(words: &[&[u8]], count: u64) {
    let mut input = Vec::new();
    let mut reply = Reply::new(&mut input, Protocol::Resp2);
    reply.array(words.len());
    words.iter().for_each(|word| reply.bulk(word));
    let mut parser = Parser::new(ParserLimits::default());
    repeat(count, || {
        let input = black_box(&input[..]);
        let Parsed::Command { consumed } = parser.parse(input) else { unreachable!("a whole command") };
        consumed + parser.args(input).iter().map(<[u8]>::len).sum::<usize>()
    });
}

fn command_lookup(count: u64) {
    let args = args(&[b"SET", key(42).as_bytes(), &VALUE]);
    repeat(count, || TABLE.resolve(black_box(args.as_args())).is_ok());
}

fn slot_hash(count: u64) {
    let key = key(42);
    repeat(count, || Slot::of(black_box(key.as_bytes())));
}

/// A command on a shard with a ring, committed every [`TURN`].
fn execute(count: u64, value: &[u8], command: impl Fn(&mut Shard, &[u8])) {
    let key = key(42);
    let mut shard = shard_of_strings(std::slice::from_ref(&key), value, RING_BYTES);
    repeat(count / TURN, || {
        (0..TURN).for_each(|_| command(&mut shard, black_box(key.as_bytes())));
        shard.commit()
    });
}

fn reply(count: u64, encode: impl Fn(&mut Reply<'_>)) {
    let mut out = Vec::with_capacity(4096);
    repeat(count / TURN, || {
        out.clear();
        (0..TURN).for_each(|_| encode(&mut Reply::new(&mut out, Protocol::Resp2)));
        out.len()
    });
}

/// Appends so many records in turns, which are published.
fn append(writer: &mut RingWriter, sequencer: &Sequencer, count: u64) {
    let key = key(42);
    for _ in 0..count / TURN {
        for number in 0..TURN {
            writer.append(&Draft {
                revision: Revision(number),
                timestamp_ms: NOW_MS,
                back_link: RingOffset(number * 8),
                ..Draft::new(EventType::Set, black_box(key.as_bytes()), Data::One(black_box(&VALUE)))
            });
        }
        writer.stamp(sequencer.reserve(ONE, TURN));
        writer.publish();
        sequencer.clear(ONE);
    }
}

/// A ring that has gone round, so that every append overwrites.
fn full_ring() -> (RingWriter, Ring, Arc<Sequencer>) {
    let (mut writer, ring) = ring::create(RING_BYTES).expect("64 KiB");
    let sequencer = Arc::new(Sequencer::new(Position(1), 1));
    append(&mut writer, &sequencer, LAP);
    (writer, ring, sequencer)
}

fn ring_append(count: u64) {
    let (mut writer, _ring, sequencer) = full_ring();
    append(&mut writer, &sequencer, count);
}

fn ring_read(count: u64) {
    let (_writer, ring, _) = full_ring();
    let mut reader = ring.reader();
    let (head, batch) = (ring.head(), (TURN * record_bytes(13, VALUE.len())) as usize);
    repeat(count / TURN, || {
        let batch = reader.read(black_box(head), batch).expect("nobody writes");
        batch.fold(0, |sum, record| {
            sum ^ record.position().0 ^ record.key().len() as u64 ^ record.data_bytes().len() as u64
        })
    });
}

/// By position, filtered and merged, as CDCPOLL reads.
fn history_read(count: u64) {
    let (_writer, ring, sequencer) = full_ring();
    let mut history = History::new(sequencer, &[ring]);
    let filter = Filter::default();
    let cursor = Position(history.frontier().0 - 256);
    repeat(count / TURN, || {
        let request = Request { cursor: black_box(cursor), count: TURN as usize, bytes: u64::MAX, filter: &filter };
        let page = history.read(&request, |_, record| black_box(record.position().0));
        page.is_ok_and(|page| page.next == Position(cursor.0 + TURN))
    });
}

fn sequencer_turn(count: u64) {
    let sequencer = Sequencer::new(Position(1), 4);
    repeat(count, || {
        black_box(sequencer.reserve(black_box(ONE), TURN));
        sequencer.clear(black_box(ONE));
    });
}

fn filter(count: u64, pattern: Option<Pattern>) {
    let filter = Filter::new(Target::Stream, pattern.expect("a pattern of a few bytes"), false);
    let key = key(42);
    repeat(count, || filter.passes(EventType::Set, b"", black_box(key.as_bytes()), ONE));
}

/// A GET to another core and its reply back, [`TURN`] of them in a batch; here both cores are this thread.
fn hop(count: u64) {
    let ((there, mut inbound), (back, mut returned)) = (lane(8), lane(8));
    let (mut near, mut far) = (Outbound::new(there), Outbound::new(back));
    let args = args(&[b"GET", key(42).as_bytes()]);
    let get = TABLE.resolve(args.as_args()).unwrap_or_else(|_| unreachable!("GET is a command of one key"));
    repeat(count / TURN, || {
        for number in 0..TURN {
            let to = ReplyTo { connection: ConnectionId::from_u64(1), number, part: 0 };
            near.batch().run(get, ASKER, to, black_box(args.as_args()).iter());
        }
        near.flush();
        let mut batch = inbound.pop().expect("just sent");
        let mut messages = batch.take_messages();
        for message in messages.drain(..) {
            if let Message::Run { form: form @ ReplyForm::Whole(version), to, args, .. } = message {
                black_box(batch.arena().args(&args).len());
                far.batch().reply(to, form, |out| Reply::new(out, version).bulk(black_box(&VALUE)));
            }
        }
        far.keep(batch.recycle(messages));
        far.flush();
        let mut batch = returned.pop().expect("just sent");
        let mut messages = batch.take_messages();
        for message in messages.drain(..) {
            if let Message::Reply { bytes, .. } = message {
                black_box(batch.arena().bytes(&bytes).len());
            }
        }
        near.keep(batch.recycle(messages));
    });
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = &words[..] else {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let case = CASES.iter().find(|(known, _)| known == name);
    match (case, count.parse::<u64>()) {
        (Some((_, run)), Ok(count)) if count % LAP == 0 => {
            run(count);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("instructions [CASE COUNT]: a case, and a multiple of {LAP}");
            ExitCode::FAILURE
        }
    }
}
