//! The load generator as its users run it: as a process, against a redis-server and a Keytide. Nothing here is timed.

use clap::Parser;
use keytide_net::config::Flags;
use keytide_net::start;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A redis-server that lives as long as the test.
struct Redis {
    child: Child,
    address: SocketAddr,
}

impl Redis {
    fn start() -> Redis {
        // Free now; if another process takes it in between, the server does not start and the test says so.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr()).unwrap();
        let child = Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (Debian: redis-server)");
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "redis-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Redis { child, address }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Keytide in this process, to its end.
fn keytide() -> SocketAddr {
    let flags =
        Flags::parse_from(["keytide", "--port", "0", "--shards", "1", "--ring-bytes", "4m", "--grpc-port", "0"]);
    let (sender, address) = mpsc::channel();
    std::thread::spawn(move || {
        let served = start::serve(flags.decide().unwrap(), |server| sender.send(server.address()).unwrap());
        panic!("it does not serve any more: {served:?}");
    });
    address.recv_timeout(PATIENCE).expect("it starts")
}

fn bench(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keytide-bench"));
    command.args(words).stdin(Stdio::null()).output().expect("it was built for this test")
}

/// Runs against a server, to its end, and reads the JSON.
fn result(task: &str, address: SocketAddr, words: &str) -> Value {
    let address = address.to_string();
    let words: Vec<&str> = [task, "--addr", &address, "--json", "-"].into_iter().chain(words.split(' ')).collect();
    let output = bench(&words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("one object of JSON")
}

/// What it says when it fails against a server: one line.
fn failure(task: &str, address: SocketAddr, words: &str) -> String {
    let address = address.to_string();
    let words: Vec<&str> = [task, "--addr", &address].into_iter().chain(words.split(' ')).collect();
    let output = bench(&words);
    assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn ask(address: SocketAddr, words: &[&str]) -> String {
    let port = address.port().to_string();
    let output = Command::new("redis-cli").args(["-p", &port]).args(words).output();
    let output = output.expect("redis-cli is installed (Debian: redis-tools)");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[test]
fn every_workload_sends_exactly_the_requested_commands() {
    let redis = Redis::start();
    let common = "--keys 100 --connections 3 --pipeline 7 --requests 1000 --seed 5";
    for (workload, calls) in [
        ("set", &[("set", 1000)][..]),
        ("get", &[("set", 100), ("get", 1000)]),
        ("incr", &[("incr", 1000)]),
        ("lpush", &[("lpush", 1000)]),
        ("hset", &[("hset", 1000)]),
        ("hget", &[("hset", 100), ("hget", 1000)]),
    ] {
        ask(redis.address, &["CONFIG", "RESETSTAT"]);
        let fill = if workload.ends_with("get") { "--fill " } else { "" };
        let run = result("load", redis.address, &format!("--workload {workload} {fill}{common}"));
        assert_eq!((&run["operations"], &run["errors"]), (&1000.into(), &0.into()), "{run}");
        assert_eq!((&run["workload"], &run["seed"]), (&workload.into(), &5.into()));
        assert!(run["load_cpu_us_per_op"].is_f64() && run["server_cpu_us_per_op"].is_null());
        let statistics = ask(redis.address, &["INFO", "commandstats"]);
        for (command, count) in calls {
            assert!(statistics.contains(&format!("cmdstat_{command}:calls={count},")), "{statistics}");
        }
    }
    for workload in ["lpop", "sadd"] {
        let run = result("load", redis.address, &format!("--workload {workload} {common}"));
        assert_eq!((&run["operations"], &run["errors"]), (&1000.into(), &0.into()), "{run}");
    }
    assert_eq!(ask(redis.address, &["STRLEN", "key:000000000099"]), "64");
    let mixed = "--workload mixed --set-share 0.5 --value-bytes 64 --distribution zipf --threads 2";
    let run = result("load", redis.address, &format!("{mixed} {common}"));
    assert_eq!((&run["operations"], &run["absent"]), (&1000.into(), &0.into()));
}

#[test]
fn an_open_loop_sends_each_command_that_was_due() {
    let redis = Redis::start();
    let pid = redis.child.id();
    for wait in ["sleep", "spin"] {
        let words = format!("--rate 5000 --requests 1000 --threads 2 --wait {wait} --server-pid {pid} --label here");
        let run = result("load", redis.address, &words);
        assert_eq!((&run["operations"], &run["unanswered"]), (&1000.into(), &0.into()), "{run}");
        assert_eq!((&run["rate_asked"], &run["label"]), (&5000.0.into(), &"here".into()));
        assert!(run["server_cpu_us_per_op"].is_f64());
    }
}

#[test]
fn commands_that_wait_for_a_stalled_server_count_from_when_they_were_due() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut bytes, mut stalls) = ([0; 64 << 10], true);
        loop {
            let count = stream.read(&mut bytes).unwrap();
            if count == 0 {
                return;
            }
            // All but the first are due during the stall and cannot be sent before it is over.
            if std::mem::take(&mut stalls) {
                std::thread::sleep(Duration::from_millis(300));
            }
            let commands = bytes[..count].iter().filter(|byte| **byte == b'*').count();
            stream.write_all(&b"+OK\r\n".repeat(commands)).unwrap();
        }
    });
    let run = result("load", address, "--rate 1000 --requests 50 --connections 1 --wait sleep");
    assert_eq!(run["operations"], 50);
    // The last one is due after 49 ms. A busy machine only makes it longer.
    assert!(run["latency_us"]["min"].as_f64().unwrap() > 250_000.0, "{run}");
    server.join().unwrap();
}

#[test]
fn a_run_of_seconds_with_a_warm_up_ends() {
    let redis = Redis::start();
    for rate in ["", " --rate 2000"] {
        let run = result("load", redis.address, &format!("--seconds 0.1 --warmup-seconds 0.1 --connections 2{rate}"));
        assert!(run["operations"].as_u64().unwrap() > 0);
        let run = result("load", redis.address, &format!("--requests 100 --warmup-seconds 0.1 --threads 2{rate}"));
        assert_eq!(run["operations"], 100, "what was sent for the warm-up does not count: {run}");
    }
}

#[test]
fn keys_can_be_those_of_some_slots() {
    let redis = Redis::start();
    result("load", redis.address, "--slots 100-200 --keys 20 --fill --requests 100");
    let keys = ask(redis.address, &["KEYS", "*"]);
    assert_eq!(keys.lines().count(), 20);
}

#[test]
fn an_error_reply_ends_the_run_with_its_text() {
    let redis = Redis::start();
    ask(redis.address, &["LPUSH", "key:000000000000", "x"]);
    let text = failure("load", redis.address, "--workload get --keys 1 --requests 10");
    assert!(text.contains("WRONGTYPE"), "{text}");
    ask(redis.address, &["SET", "key:000000000000", "short"]);
    let text = failure("load", redis.address, "--workload get --keys 1 --requests 10");
    assert!(text.contains("GET was answered with Bulk(5)"), "{text}");
    let text = failure("load", "127.0.0.1:1".parse().unwrap(), "--requests 10");
    assert!(text.contains("127.0.0.1:1"), "{text}");
}

#[test]
fn a_server_that_goes_away_ends_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let text = failure("load", address, "--requests 10 --connections 1");
    assert!(text.contains("connection"), "{text}");
    server.join().unwrap();
}

#[test]
fn every_source_reads_each_event_in_each_pass() {
    let redis = Redis::start();
    let keytide = keytide();
    let common = "--events 1000 --count 64 --passes 3 --connections 2";
    for (address, sources) in
        [(redis.address, &["xrange", "xread", "xreadgroup"][..]), (keytide, &["cdc-read", "group"])]
    {
        for source in sources {
            let run = result("read", address, &format!("--source {source} --fill --keys 10 {common}"));
            assert_eq!((&run["operations"], &run["workload"]), (&6000.into(), &(*source).into()), "{run}");
            assert_eq!(run["kind"], "read");
        }
    }
    assert_eq!(ask(redis.address, &["XPENDING", "events", "keytide-bench-0"]).lines().next(), Some("0"));
    assert_eq!(ask(keytide, &["CDC.PENDING", "*", "keytide-bench-0"]), "");
    let text = failure("read", redis.address, "--source xrange --events 1001");
    assert!(text.contains("1000 of 1001 events are there"), "{text}");
}

#[test]
fn a_keytide_takes_the_same_load() {
    let keytide = keytide();
    let run = result("load", keytide, "--workload mixed --fill --pipeline 16 --requests 20000 --keys 500");
    assert_eq!((&run["operations"], &run["absent"]), (&20_000.into(), &0.into()));
}

#[test]
fn subscribers_receive_each_write_of_the_load() {
    let redis = Redis::start();
    ask(redis.address, &["CONFIG", "SET", "notify-keyspace-events", "KEA"]);
    let pid = redis.child.id();
    let common = format!("--kind keyspace --writer load --keys 100 --clients 3 --server-pid {pid}");
    let run =
        result("subscribe", redis.address, &format!("{common} --subscriptions 2 --connections 2 --requests 1000"));
    let delivery = &run["delivery"];
    assert_eq!((&run["kind"], &run["operations"]), (&"subscribe".into(), &1000.into()), "{run}");
    assert_eq!((&delivery["accepted"], &delivery["live"]), (&2.into(), &2.into()), "{run}");
    assert!(run["server_cpu_us_per_op"].is_f64() && delivery["server_cpu_us_per_event"].is_f64(), "{run}");
    assert_eq!((&delivery["events"], &delivery["expected"]), (&2000.into(), &2000.into()), "{run}");
    let filtered = "--filter prefix --subscriptions 10 --warmup-seconds 0.1 --seconds 0.2";
    let run = result("subscribe", redis.address, &format!("{common} {filtered} --probe-rate 100 --add-rate 50"));
    let delivery = &run["delivery"];
    assert_eq!((&delivery["events"], &run["subscriptions"]), (&0.into(), &10.into()), "{run}");
    assert!(delivery["added"].as_u64().unwrap() > 0 && delivery["probes_unanswered"] == 0, "{run}");
    let run = result("subscribe", redis.address, &format!("{common} --subscriptions 0 --requests 100"));
    assert_eq!((&run["operations"], &run["delivery"]["events"]), (&100.into(), &0.into()), "{run}");
}

#[test]
fn subscribers_of_a_keytide_receive_every_position_live_and_from_the_ring() {
    let keytide = keytide();
    let common = "--kind keytide --keys 100 --clients 3 --connections 2 --subscriptions 3";
    let run = result("subscribe", keytide, &format!("{common} --writer load --requests 1000"));
    let delivery = &run["delivery"];
    for (field, count) in [("accepted", 3), ("live", 3), ("events", 3000), ("missing", 0), ("disordered", 0)] {
        assert_eq!(delivery[field], count, "{field} in {run}");
    }
    let run = result("subscribe", keytide, &format!("{common} --from start --events 1500 --fill 500 --passes 2"));
    let delivery = &run["delivery"];
    for (field, count) in [("accepted", 6), ("events", 9000), ("missing", 0), ("disordered", 0), ("gaps", 0)] {
        assert_eq!(delivery[field], count, "{field} in {run}");
    }
    let run = result("subscribe", keytide, "--writer stamps --rate 2000 --requests 200");
    assert_eq!((&run["operations"], &run["unanswered"]), (&200.into(), &0.into()), "{run}");
}

#[test]
fn filters_that_nothing_matches_let_nothing_through() {
    let keytide = keytide();
    let common = "--connections 3 --subscriptions 60 --writer load --seconds 0.2 --checkpoint 1000000";
    for filter in ["prefix", "hostile"] {
        let run = result("subscribe", keytide, &format!("{common} --filter {filter} --add-rate 50 --probe-rate 100"));
        let delivery = &run["delivery"];
        assert_eq!((&delivery["events"], &delivery["dropped"]), (&0.into(), &serde_json::json!({})), "{run}");
        assert!(delivery["added"].as_u64().unwrap() > 0 && delivery["accepted"].as_u64().unwrap() > 0, "{run}");
    }
}

#[test]
fn a_push_is_timed_from_when_its_write_was_due() {
    let redis = Redis::start();
    let run = result("subscribe", redis.address, "--kind pubsub --writer stamps --rate 2000 --requests 400");
    assert_eq!((&run["operations"], &run["unanswered"]), (&400.into(), &0.into()), "{run}");
    assert_eq!((&run["rate_asked"], &run["delivery"]["events"]), (&2000.0.into(), &400.into()), "{run}");
    assert!(run["latency_us"]["min"].as_f64().unwrap() > 0.0, "{run}");
    let run = result("subscribe", redis.address, "--kind pubsub --seconds 0.05 --writer stamps --wait sleep");
    assert_eq!(run["operations"], 500, "{run}");
    let text = failure("subscribe", redis.address, "--kind keytide");
    assert!(text.contains("unknown command 'CDC.SUBSCRIBE'"), "{text}");
}

#[test]
fn results_become_plots() {
    let redis = Redis::start();
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (json, svg) = (place.join("result.json"), place.join("plot.svg"));
    let (json, svg) = (json.to_str().unwrap(), svg.to_str().unwrap());
    let address = redis.address.to_string();
    assert!(bench(&["load", "--addr", &address, "--requests", "500", "--json", json]).status.success());
    for plot in ["percentiles", "pipelines"] {
        let output = bench(&["plot", "--out", svg, plot, json, json]);
        assert!(output.status.success(), "{output:?}");
        assert!(std::fs::read_to_string(svg).unwrap().contains(&address));
    }
}
