//! What finding a command's arguments costs: one SET or GET alone, and 16 of them in one buffer.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keytide_bench::{VALUE, key};
use keytide_net::resp::{Parsed, Parser, ParserLimits, Protocol, Reply};
use std::hint::black_box;

fn encode(command: &[&[u8]], count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, Protocol::Resp2);
    for _ in 0..count {
        reply.array(command.len());
        command.iter().for_each(|argument| reply.bulk(argument));
    }
    out
}

/// Parses all commands of `input` and touches each argument's bounds, as a command table does.
fn parse_all(parser: &mut Parser, mut input: &[u8]) -> usize {
    let mut bytes = 0;
    while let Parsed::Command { consumed } = parser.parse(input) {
        bytes += parser.args(input).iter().map(<[u8]>::len).sum::<usize>();
        input = &input[consumed..];
    }
    bytes
}

fn parse(criterion: &mut Criterion) {
    let key = key(42);
    let commands: [(&str, &[&[u8]]); 2] =
        [("set", &[b"SET", key.as_bytes(), &VALUE]), ("get", &[b"GET", key.as_bytes()])];
    let mut group = criterion.benchmark_group("parse");
    for (name, command) in commands {
        for count in [1, 16] {
            let input = encode(command, count);
            let mut parser = Parser::new(ParserLimits::default());
            group.throughput(Throughput::Elements((command.len() * count) as u64));
            group.bench_function(format!("{name} × {count}"), |bencher| {
                bencher.iter(|| parse_all(&mut parser, black_box(&input)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
