//! The same commands to redis-server and to this server: their replies must be the same bytes.

use super::redis::Redis;
use super::{Client, Server, encode};
use std::io::{BufRead, BufReader, Read, Write};

/// The words of a command: `_` is an empty one, and `\xHH` a byte.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').filter(|word| !word.is_empty()).map(word).collect()
}

fn word(text: &str) -> Vec<u8> {
    if text == "_" {
        return Vec::new();
    }
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

/// A connection whose replies are read as they were sent.
pub struct Raw<'c> {
    stream: BufReader<&'c std::net::TcpStream>,
}

impl<'c> Raw<'c> {
    /// The replies of a client that reads none itself.
    pub fn of(client: &'c Client) -> Raw<'c> {
        Raw { stream: BufReader::new(client.stream()) }
    }

    /// The bytes of a command's reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, words: &[A]) -> Vec<u8> {
        self.stream.get_mut().write_all(&encode(words)).expect("the server reads");
        let mut reply = Vec::new();
        self.read(&mut reply);
        reply
    }

    fn read(&mut self, reply: &mut Vec<u8>) {
        let start = reply.len();
        self.stream.read_until(b'\n', reply).expect("a reply comes in time");
        let line = String::from_utf8_lossy(&reply[start..]).into_owned();
        let count = || line[1..].trim_end().parse::<i64>().expect("a number").max(0) as usize;
        match &line[..1] {
            "$" if line.starts_with("$-") => {}
            "$" | "=" => {
                let mut bytes = vec![0; count() + 2];
                self.stream.read_exact(&mut bytes).expect("the rest of it comes");
                reply.extend(bytes);
            }
            "*" | "~" | ">" => (0..count()).for_each(|_| self.read(reply)),
            "%" => (0..2 * count()).for_each(|_| self.read(reply)),
            _ => {}
        }
    }
}

/// Sends these lines to redis-server and to servers of one and of three shards, in both versions of the protocol, after
/// `setup` on each, whose replies may differ.
pub fn assert_same(setup: &[&str], lines: &[&str]) {
    let redis = Redis::start(&[]);
    for version in ["2", "3"] {
        let client = redis.client();
        let expected = replies(&client, version, setup, lines);
        for shards in ["1", "3"] {
            let server = Server::start(&["--shards", shards, "--ring-bytes", "4m"]);
            let client = server.client();
            let found = replies(&client, version, setup, lines);
            let both = lines.iter().zip(expected.iter().zip(&found));
            let others = both.filter(|(_, (expected, found))| expected != found);
            let others: Vec<String> = others
                .map(|(line, (theirs, ours))| format!("{line}\n  {}\n  {}", theirs.escape_ascii(), ours.escape_ascii()))
                .collect();
            assert!(others.is_empty(), "RESP{version}, {shards} shards:\n{}", others.join("\n"));
        }
    }
}

fn replies(client: &Client, version: &str, setup: &[&str], lines: &[&str]) -> Vec<Vec<u8>> {
    let mut raw = Raw::of(client);
    raw.call(&["hello", version]);
    raw.call(&["flushall"]);
    setup.iter().for_each(|line| _ = raw.call(&words(line)));
    lines.iter().map(|line| raw.call(&words(line))).collect()
}
