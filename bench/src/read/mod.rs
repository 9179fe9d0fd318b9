//! `read`: consumers of a history, each requesting its next events when it has handled the last ones.

mod consumer;
mod reply;

use crate::client::{self, SILENCE_NS_MAX};
use crate::commands::Commands;
use crate::cpu::{self, Sample};
use crate::error::BenchError;
use crate::fill;
use crate::keys::KeySpace;
use crate::latency::Latencies;
use crate::options::{ReadOptions, Wait, Workload, name_of};
use crate::progress::{self, Progress};
use crate::report::Report;
use crate::scan::Scanner;
use consumer::{Consumer, STREAM};
use keytide_net::net_ring::{ConnectionId, NetEvent, NetOps};
use reply::ReplyCursor;
use std::time::{Duration, Instant};

/// The approximate most bytes of a reply received at once; longer ones arrive in several pieces.
const BURST_BYTES: usize = 64 << 10;

/// A sleeping thread reads the clock at least this often.
const CLOCK_CHECK: Duration = Duration::from_millis(50);

/// What a client's next reply belongs to.
enum Step {
    /// The commands before a pass; those still to be sent, the next one last.
    Preparing(Vec<Vec<u8>>),
    /// A request for events.
    Reading,
    /// The acknowledgement of this many events.
    Acknowledging(u64),
    /// Nothing: everything is read.
    Over,
}

struct Client {
    id: ConnectionId,
    consumer: Box<dyn Consumer>,
    step: Step,
    scanner: Scanner,
    /// The received part of the reply.
    reply: Vec<u8>,
    is_whole: bool,
    /// `None` while the kernel has it.
    buffer: Option<Vec<u8>>,
    /// The start of the step.
    began_ns: u64,
    /// The number of events read in this pass.
    events: u64,
    passes_left: u64,
}

struct Reading<'a> {
    options: &'a ReadOptions,
    clients: Vec<Client>,
    origin: Instant,
    latencies: Latencies,
    events: u64,
    last_reply_ns: u64,
    open: usize,
    failure: Option<BenchError>,
}

/// Runs the consumers.
///
/// # Errors
/// Anything that ends a run early.
pub fn run(options: &ReadOptions) -> Result<Report, BenchError> {
    options.check()?;
    if let Some(core) = options.run.cores.first() {
        cpu::pin(*core)?;
    }
    let mut progress = Progress::new(options.run.progress);
    let mut begin = 0;
    if options.fill {
        progress.show("writing the events");
        begin = write_events(options)?;
    }
    let (mut ring, ids) = client::connect(&options.run.addr, options.connections, BURST_BYTES)?;
    let client = |(number, id)| Client {
        id,
        consumer: consumer::consumer(options.source, begin, number),
        step: Step::Over,
        scanner: Scanner::default(),
        reply: Vec::new(),
        is_whole: false,
        buffer: Some(Vec::new()),
        began_ns: 0,
        events: 0,
        passes_left: options.passes,
    };
    let mut reading = Reading {
        options,
        clients: ids.into_iter().enumerate().map(client).collect(),
        origin: Instant::now(),
        latencies: Latencies::default(),
        events: 0,
        last_reply_ns: 0,
        open: options.connections,
        failure: None,
    };
    let before = Sample::take(options.run.server_pid)?;
    reading.origin = Instant::now();
    (0..options.connections).for_each(|index| reading.begin_pass(ring.ops(), index));
    let (mut shown_ns, mut shown_events) = (0, 0);
    while reading.open > 0 {
        let handled = ring.poll(&mut |ops, event| reading.handle(ops, event)).map_err(BenchError::RingFailed)?;
        if let Some(failure) = reading.failure.take() {
            return Err(failure);
        }
        let now = reading.now();
        if now > reading.last_reply_ns.saturating_add(SILENCE_NS_MAX) {
            return Err(BenchError::Silent { seconds: SILENCE_NS_MAX / 1_000_000_000 });
        }
        if progress.is_shown() && now - shown_ns >= progress::EVERY.as_nanos() as u64 {
            let rate = (reading.events - shown_events) as f64 * 1e9 / (now - shown_ns) as f64;
            let total = options.events * options.passes * options.connections as u64;
            let done = Some(reading.events as f64 / total as f64);
            let p99_us = reading.latencies.quantile_us(0.99);
            progress.show(&progress::line(&name_of(options.source), done, now as f64 / 1e9, rate, p99_us));
            (shown_ns, shown_events) = (now, reading.events);
        }
        if handled == 0 && options.run.wait != Some(Wait::Spin) {
            ring.park(Some(CLOCK_CHECK), || true).map_err(BenchError::RingFailed)?;
        }
    }
    let after = Sample::take(options.run.server_pid)?;
    progress.clear();
    Ok(reading.report(&before, &after))
}

/// Writes the events; returns the position of a Keytide's first one.
fn write_events(options: &ReadOptions) -> Result<u64, BenchError> {
    let (addr, value_bytes) = (&options.run.addr, options.value_bytes);
    let keys = KeySpace::new(b"key:", options.keys, None)?.each();
    if consumer::is_of_keytide(options.source) {
        let begin = consumer::end_of_history(&client::ask(addr, &[b"CDC.READ", b"$"])?)?;
        fill::write(addr, Commands::filling(Workload::Set, value_bytes), keys, Some(options.events))?;
        return Ok(begin);
    }
    client::ask(addr, &[b"DEL", STREAM])?;
    fill::write(addr, Commands::adding(STREAM, value_bytes), keys, Some(options.events))?;
    Ok(0)
}

impl Reading<'_> {
    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn handle(&mut self, ops: &mut NetOps, event: NetEvent<'_>) {
        let index = match event {
            NetEvent::Received { connection, bytes } => {
                let index = connection.index() as usize;
                self.last_reply_ns = self.now();
                let client = &mut self.clients[index];
                client.reply.extend_from_slice(bytes);
                let mut replies = 0;
                if let Err(error) = client.scanner.feed(bytes, |_| replies += 1) {
                    self.failure.get_or_insert(error.into());
                    return;
                }
                if replies + usize::from(client.is_whole) > 1 || matches!(client.step, Step::Over) {
                    self.failure.get_or_insert(BenchError::Unasked);
                    return;
                }
                client.is_whole |= replies == 1;
                index
            }
            NetEvent::Sent { connection, buffer, result } => {
                if let Err(error) = result {
                    self.failure.get_or_insert(BenchError::Gone(error.to_string()));
                }
                let index = connection.index() as usize;
                self.clients[index].buffer = buffer.into_vec();
                index
            }
            NetEvent::Ended { reason, .. } => {
                self.failure.get_or_insert(client::gone(&reason));
                return;
            }
            // The load closes no connections and does not listen.
            NetEvent::Accepted { .. } | NetEvent::Announced(_) | NetEvent::Closed { .. } => return,
        };
        let client = &self.clients[index];
        if client.is_whole
            && client.buffer.is_some()
            && let Err(error) = self.proceed(ops, index)
        {
            self.failure.get_or_insert(error);
        }
    }

    /// Continues after a complete reply.
    fn proceed(&mut self, ops: &mut NetOps, index: usize) -> Result<(), BenchError> {
        let client = &mut self.clients[index];
        client.is_whole = false;
        let reply = std::mem::take(&mut client.reply);
        match std::mem::replace(&mut client.step, Step::Over) {
            Step::Preparing(left) => self.prepare(ops, index, left),
            Step::Reading => {
                let Some(mut acknowledgement) = client.buffer.take() else { return Ok(()) };
                acknowledgement.clear();
                let events = client.consumer.take(&reply, &mut acknowledgement)?;
                if events == 0 {
                    let (found, asked) = (client.events, self.options.events);
                    let message = format!("{found} of {asked} events are there; give --fill, or fewer --events");
                    return Err(BenchError::History(message));
                }
                if acknowledgement.is_empty() {
                    client.buffer = Some(acknowledgement);
                    self.end_step(ops, index, events);
                } else {
                    client.step = Step::Acknowledging(events);
                    self.send(ops, index, acknowledgement);
                }
            }
            Step::Acknowledging(events) => {
                let acknowledged = ReplyCursor::new(&reply).integer()?;
                if u64::try_from(acknowledged) != Ok(events) {
                    let message = format!("{acknowledged} of {events} events were acknowledged");
                    return Err(BenchError::History(message));
                }
                self.end_step(ops, index, events);
            }
            Step::Over => return Err(BenchError::Unasked),
        }
        // Its memory is reused.
        let client = &mut self.clients[index];
        client.reply = reply;
        client.reply.clear();
        Ok(())
    }

    fn begin_pass(&mut self, ops: &mut NetOps, index: usize) {
        let client = &mut self.clients[index];
        client.events = 0;
        let mut commands = client.consumer.prepare();
        commands.reverse();
        self.prepare(ops, index, commands);
    }

    /// Sends the last one of these, or starts reading.
    fn prepare(&mut self, ops: &mut NetOps, index: usize, mut commands: Vec<Vec<u8>>) {
        match commands.pop() {
            Some(command) => {
                self.clients[index].step = Step::Preparing(commands);
                self.send(ops, index, command);
            }
            None => self.begin_step(ops, index),
        }
    }

    fn begin_step(&mut self, ops: &mut NetOps, index: usize) {
        let now = self.now();
        let client = &mut self.clients[index];
        client.began_ns = now;
        client.step = Step::Reading;
        let mut buffer = client.buffer.take().unwrap_or_default();
        buffer.clear();
        client.consumer.ask(self.options.count.min(self.options.events - client.events), &mut buffer);
        self.send(ops, index, buffer);
    }

    fn end_step(&mut self, ops: &mut NetOps, index: usize, events: u64) {
        let client = &mut self.clients[index];
        self.latencies.record(self.last_reply_ns.saturating_sub(client.began_ns), 1);
        self.events += events;
        client.events += events;
        if client.events < self.options.events {
            return self.begin_step(ops, index);
        }
        client.passes_left -= 1;
        match client.passes_left {
            0 => self.open -= 1,
            _ => self.begin_pass(ops, index),
        }
    }

    fn send(&mut self, ops: &mut NetOps, index: usize, buffer: Vec<u8>) {
        self.clients[index].buffer = None;
        if ops.send(self.clients[index].id, buffer).is_err() {
            self.failure.get_or_insert(BenchError::Gone("nothing more can be sent".to_owned()));
        }
    }

    fn report(&self, before: &Sample, after: &Sample) -> Report {
        let (options, seconds) = (self.options, self.last_reply_ns as f64 / 1e9);
        Report {
            label: options.run.label.clone(),
            kind: "read".to_owned(),
            workload: name_of(options.source),
            addr: options.run.addr.clone(),
            connections: options.connections,
            threads: 1,
            wait: name_of(options.run.wait.unwrap_or(Wait::Sleep)),
            pipeline: Some(1),
            value_bytes: options.fill.then_some(options.value_bytes),
            keys: options.fill.then_some(options.keys),
            distribution: None,
            zipf_exponent: None,
            events_at_once: Some(options.count),
            rate_asked: None,
            operations: self.events,
            errors: 0,
            absent: 0,
            unanswered: 0,
            seconds,
            rate: self.events as f64 / seconds,
            latency_us: self.latencies.summary(),
            percentiles: self.latencies.percentiles(),
            cpu: after.since(before, self.events),
            seed: None,
            subscriptions: None,
            delivery: None,
        }
    }
}
