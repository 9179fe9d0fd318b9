//! The hit ratio of a server as a cache: each key of a trace is read, and set if it is not there.

pub mod trace;

use crate::error::BenchError;
use crate::report;
use clap::Args;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use trace::{Kind, Trace};

/// Options of `hits`.
#[derive(Clone, Debug, Args)]
pub struct HitsOptions {
    /// Address of the server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379")]
    pub addr: String,
    /// The kind of trace
    #[arg(long, value_enum, default_value_t = Kind::Zipf)]
    pub trace: Kind,
    /// Number of different keys, besides those of scans
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: u64,
    /// Number of requests; the first fifth fills the cache and does not count
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    pub requests: u64,
    /// Skew: the key of rank r has the weight r to the minus this
    #[arg(long, value_name = "S", default_value_t = 0.9)]
    pub exponent: f64,
    /// Seed of the trace
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Bytes of each value
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub value_bytes: usize,
    /// Seconds until a key expires, for policies that evict such keys only
    #[arg(long, value_name = "SECONDS")]
    pub ttl: Option<u64>,
    /// Requests that are sent together
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub pipeline: u64,
}

/// What has come of a trace.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    requests: u64,
    hits: u64,
    refused: u64,
}

/// A connection that sends a batch and reads its replies.
struct Connection {
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
    line: Vec<u8>,
}

impl Connection {
    fn push(&mut self, words: &[&[u8]]) {
        // Writing to a vector does not fail.
        let _ = write!(self.out, "*{}\r\n", words.len());
        for word in words {
            let _ = write!(self.out, "${}\r\n", word.len());
            self.out.extend_from_slice(word);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    fn send(&mut self) -> io::Result<()> {
        self.stream.get_mut().write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Reads a reply, a string or less; its first two bytes.
    fn reply(&mut self) -> io::Result<[u8; 2]> {
        self.line.clear();
        self.stream.read_until(b'\n', &mut self.line)?;
        let [kind, first, ..] = self.line[..] else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        if kind == b'$' && first != b'-' {
            let length = std::str::from_utf8(&self.line[1..]).ok().and_then(|text| text.trim_end().parse::<u64>().ok());
            let length = length.ok_or_else(|| io::Error::other("a length is no number"))?;
            io::copy(&mut self.stream.by_ref().take(length + 2), &mut io::sink())?;
        }
        Ok([kind, first])
    }
}

/// Runs a trace and prints the hit ratio.
///
/// # Errors
/// If the server cannot be reached, or answers something else.
pub fn run(options: &HitsOptions) -> Result<(), BenchError> {
    let failed = |source| BenchError::Connect { addr: options.addr.clone(), source };
    let counted = replay(options).map_err(failed)?;
    let ratio = counted.hits as f64 * 100.0 / counted.requests.max(1) as f64;
    report::print(&format!("hits {ratio:.2} % of {} requests, {} sets refused\n", counted.requests, counted.refused))
}

fn replay(options: &HitsOptions) -> io::Result<Counted> {
    let stream = TcpStream::connect(&options.addr)?;
    stream.set_nodelay(true)?;
    let mut connection =
        Connection { stream: BufReader::with_capacity(1 << 16, stream), out: Vec::new(), line: Vec::new() };
    let HitsOptions { trace: kind, keys, requests, exponent, seed, .. } = *options;
    let exponent = if exponent > 0.0 { exponent } else { 1e-9 };
    let trace = Trace { kind, keys, requests, exponent, seed };
    let mut trace = trace.requests();
    let (value, ttl) = (vec![b'x'; options.value_bytes], options.ttl.map(|seconds| seconds.to_string()));
    let (mut counted, mut done) = (Counted::default(), 0);
    loop {
        let batch: Vec<String> =
            trace.by_ref().take(options.pipeline as usize).map(|number| format!("key:{number:012}")).collect();
        if batch.is_empty() {
            return Ok(counted);
        }
        batch.iter().for_each(|key| connection.push(&[b"GET", key.as_bytes()]));
        connection.send()?;
        let is_counted = done >= requests / 5;
        let mut missing = Vec::new();
        for key in &batch {
            match connection.reply()? {
                [b'$', b'-'] | [b'_', _] => missing.push(key),
                [b'$', _] => counted.hits += u64::from(is_counted),
                _ => return Err(io::Error::other(String::from_utf8_lossy(&connection.line).into_owned())),
            }
        }
        for key in &missing {
            match &ttl {
                Some(ttl) => connection.push(&[b"SET", key.as_bytes(), &value, b"EX", ttl.as_bytes()]),
                None => connection.push(&[b"SET", key.as_bytes(), &value]),
            }
        }
        connection.send()?;
        for _ in &missing {
            let [kind, _] = connection.reply()?;
            counted.refused += u64::from(kind == b'-');
        }
        counted.requests += if is_counted { batch.len() as u64 } else { 0 };
        done += batch.len() as u64;
    }
}
