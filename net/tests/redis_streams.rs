//! Redis streams: who waits for entries and what is told of a stream that is gone; their events; that they last.

mod common;

use common::{Client, Server, Value, eventually, scratch};

fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

fn waiting(actor: &mut Client, count: &str) {
    eventually("as many clients wait as should", || {
        line(actor, "info clients").text().contains(&format!("blocked_clients:{count}\r\n"))
    });
}

/// The ids that a reply of XREAD has for its first stream.
fn ids(reply: &Value) -> Vec<String> {
    reply.values()[0].values()[1].values().iter().map(|entry| entry.values()[0].text()).collect()
}

#[test]
fn every_reader_that_waits_gets_an_entry_and_one_of_each_group() {
    for shards in common::numbers_of_shards() {
        let server = Server::start(&["--shards", &shards, "--ring-bytes", "1m"]);
        let mut actor = server.client();
        line(&mut actor, "xadd k 1-1 a 1");
        for group in ["g", "h"] {
            line(&mut actor, &format!("xgroup create k {group} $"));
        }
        let commands = [
            "xreadgroup group g first block 0 streams k >",
            "xread block 0 streams k $",
            "xread block 0 streams other k 0 $",
            "xreadgroup group g second block 0 streams k >",
            "xreadgroup group h third block 0 streams k >",
            "xread block 0 streams k 5-5",
        ];
        let mut clients: Vec<Client> = commands.iter().map(|_| server.client()).collect();
        for (n, (client, command)) in clients.iter_mut().zip(commands).enumerate() {
            client.send(&command.split(' ').collect::<Vec<_>>());
            waiting(&mut actor, &(n + 1).to_string());
        }
        line(&mut actor, "xadd k 2-1 a 1");
        for n in [0, 1, 2, 4] {
            assert_eq!(ids(&clients[n].read()), ["2-1"], "{}", commands[n]);
        }
        waiting(&mut actor, "2");
        // A transaction's entries come together, and what a script adds comes too.
        line(&mut actor, "multi");
        line(&mut actor, "xadd k 3-1 a 1");
        line(&mut actor, "xadd k 3-2 a 1");
        line(&mut actor, "exec");
        assert_eq!(ids(&clients[3].read()), ["3-1", "3-2"]);
        actor.call(&["eval", "return redis.call('xadd', KEYS[1], '6-1', 'a', '1')", "1", "k"]);
        assert_eq!(ids(&clients[5].read()), ["6-1"]);
        // A stream that takes over the key has what is behind the id.
        clients[0].send(&["xread", "block", "0", "streams", "k", "6-1"]);
        waiting(&mut actor, "1");
        line(&mut actor, "xadd source 5-1 a 1");
        line(&mut actor, "xadd source 9-1 a 1");
        line(&mut actor, "rename source k");
        assert_eq!(ids(&clients[0].read()), ["9-1"]);
        // A key of another type is none.
        clients[0].send(&["xread", "block", "0", "streams", "k", "$"]);
        waiting(&mut actor, "1");
        line(&mut actor, "del k");
        line(&mut actor, "rpush k x");
        line(&mut actor, "del k");
        line(&mut actor, "xadd k 9-2 a 1");
        assert_eq!(ids(&clients[0].read()), ["9-2"]);
        clients[0].send(&["xread", "block", "30", "streams", "k", "other", "$", "$"]);
        assert_eq!(clients[0].read(), Value::Nil);
        clients[0].send(&["xread", "block", "0", "streams", "none", "+"]);
        waiting(&mut actor, "1");
        line(&mut actor, "xadd none 1-1 a 1");
        assert_eq!(ids(&clients[0].read()), ["1-1"]);
        line(&mut actor, "xadd none 1-2 a 1");
        assert_eq!(ids(&line(&mut actor, "xread streams none +")), ["1-2"]);
    }
}

#[test]
fn who_waits_for_a_group_is_told_that_it_is_gone() {
    for shards in common::numbers_of_shards() {
        let server = Server::start(&["--shards", &shards, "--ring-bytes", "1m"]);
        let (mut actor, mut waiter) = (server.client(), server.client());
        let gone = "UNBLOCKED the stream key no longer exists";
        for (commands, text) in [
            (&["xgroup destroy k g"][..], "NOGROUP the consumer group this client was blocked on no longer exists"),
            (&["del k"], gone),
            (&["rename k other"], gone),
            (&["flushall"], gone),
            (&["pexpire k 1"], gone),
            (&["set k x"], "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ] {
            line(&mut actor, "del k other");
            line(&mut actor, "xgroup create k g $ mkstream");
            waiter.send(&["xreadgroup", "group", "g", "c", "block", "0", "streams", "k", ">"]);
            waiting(&mut actor, "1");
            commands.iter().for_each(|command| _ = line(&mut actor, command));
            assert_eq!(waiter.read().error(), text, "{commands:?}");
        }
    }
}

/// Replies of redis-server 8.2.3.
#[test]
fn entries_are_deleted_with_regard_to_groups() {
    let server = Server::small();
    let mut client = server.client();
    let setup = |client: &mut Client| {
        line(client, "del s");
        (1..=6).for_each(|n| _ = line(client, &format!("xadd s {n}-0 f v")));
        for group in ["g", "h"] {
            line(client, &format!("xgroup create s {group} 0"));
            line(client, &format!("xreadgroup group {group} c count 3 streams s >"));
        }
    };
    let mut check = |text: &str, expected: &str| {
        if text == "setup" {
            return setup(&mut client);
        }
        let found = match line(&mut client, text) {
            Value::Array(values) => {
                let number = |value: &Value| if let Value::Integer(number) = value { *number } else { 0 };
                values.iter().map(|value| number(value).to_string()).collect::<Vec<_>>().join(" ")
            }
            Value::Integer(number) => number.to_string(),
            other => other.text_or_error(),
        };
        assert_eq!(found, expected, "{text}");
    };
    let positive = "ERR Number of IDs must be a positive integer";
    let too_few = "ERR The `numids` parameter must match the number of arguments";
    let invalid = "ERR Invalid stream ID specified as stream command argument";
    let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
    for (text, expected) in [
        ("setup", ""),
        ("xdelex s ids 1 1-0", "1"),
        ("xdelex s ids 1 1-0", "-1"),
        ("xdelex s keepref ids 2 2-0 9-9", "1 -1"),
        ("xack s g 2-0", "1"),
        ("xdelex s delref ids 2 2-0 3-0", "-1 1"),
        ("xack s h 2-0", "0"),
        ("xack s h 1-0 3-0", "1"),
        ("xdelex s acked ids 2 4-0 5-0", "2 2"),
        ("setup", ""),
        ("xdelex s acked ids 3 1-0 4-0 6-0", "2 2 2"),
        ("xack s g 1-0 2-0", "2"),
        ("xdelex s acked ids 2 1-0 4-0", "2 2"),
        ("xack s h 1-0", "1"),
        ("xdelex s acked ids 2 1-0 2-0", "1 2"),
        ("xackdel s g ids 1 2-0", "-1"),
        ("xackdel s h ids 1 2-0", "1"),
        ("xackdel s h acked ids 2 3-0 1-0", "2 -1"),
        ("xackdel s g acked ids 2 3-0 2-0", "1 -1"),
        ("xlen s", "3"),
        ("setup", ""),
        ("xackdel s g delref ids 2 1-0 5-0", "1 -1"),
        ("xack s h 1-0", "0"),
        ("xackdel s g keepref ids 1 2-0", "1"),
        ("xack s h 2-0", "1"),
        ("setup", ""),
        ("xdelex s acked ids 2 9-9 0-1", "2 -1"),
        ("xdel s 1-0 2-0 3-0", "3"),
        ("xackdel s g ids 1 1-0", "1"),
        ("xackdel s g acked ids 1 2-0", "2"),
        ("xackdel s h acked ids 1 2-0", "1"),
        ("xackdel s g delref ids 1 3-0", "1"),
        ("xackdel s h delref ids 2 3-0 1-0", "-1 1"),
        ("xackdel s g ids 2 1-0 1-0", "-1 -1"),
        ("xdelex s ids 2 6-0 6-0", "1 -1"),
        ("xdelex s ids 1 4-0 ids 1 5-0", "1"),
        ("xlen s", "1"),
        ("xackdel s none ids 1 x", "-1"),
        ("xackdel none g ids 2 x x", "-1 -1"),
        ("xdelex none ids 2 x 1-0", "-1 -1"),
        ("xdelex s ids 2 4-0 x", invalid),
        ("xdelex s ids 2 1-0 keepref", invalid),
        ("xackdel s g ids 2 3-0 -", invalid),
        ("xdelex s ids 2 1-0", too_few),
        ("xdelex s ids 3 1-0 keepref", too_few),
        ("xdelex s ids x 1-0", positive),
        ("xdelex s ids 0 1-0", positive),
        ("xackdel s g ids -1 1-0", positive),
        ("xackdel s g ids 99999999999999999999 1-0", positive),
        ("xdelex s ids 1 1-0 keepref", "-1"),
        ("xdelex s ids 1 1-0 2-0", "ERR syntax error"),
        ("xdelex s foo ids 1 1-0", "ERR syntax error"),
        ("xdelex s keepref keepref ids 1 1-0", "ERR syntax error"),
        ("xdelex none foo 1 1", "ERR syntax error"),
        ("xackdel none g foo 1 1", "ERR syntax error"),
        ("xdelex s ids 1", "ERR wrong number of arguments for 'xdelex' command"),
        ("xackdel s g ids 1", "ERR wrong number of arguments for 'xackdel' command"),
        ("set string x", "OK"),
        ("xdelex string ids 1 x", wrong_type),
        ("xackdel string g ids 1 x", wrong_type),
    ] {
        check(text, expected);
    }
}

#[test]
fn events_are_one_for_each_command_and_only_for_what_changes() {
    let server = Server::small();
    let mut client = server.client();
    for text in [
        "xadd s 1-1 a 1 b 2",
        "xadd s 1-2 a 1",
        "xadd s maxlen 2 1-3 a 1",
        "xadd s maxlen 9 1-4 a 1",
        "xdel s 1-2 9-9",
        "xdel s 1-2",
        "xtrim s minid 1-4",
        "xtrim s minid 1-4",
        "xsetid s 2-0 entriesadded 9",
        "xgroup create s g 0",
        "xgroup createconsumer s g c",
        "xgroup createconsumer s g c",
        "xreadgroup group g c streams s >",
        "xreadgroup group g c streams s >",
        "xreadgroup group g d noack streams s >",
        "xclaim s g d 0 1-4 time 5 retrycount 3",
        "xack s g 1-4 1-4 7-7",
        "xack s g 1-4",
        "xgroup setid s g 0 entriesread 1",
        "xgroup delconsumer s g c",
        "xgroup delconsumer s g c",
        "xgroup destroy s g",
        "xgroup create t g $ mkstream",
        "rename s t",
        "xadd u 1-1 f v",
        "xgroup create u g 0",
        "xgroup create u h 0",
        "xreadgroup group g c streams u >",
        "xreadgroup group h c streams u >",
        "xackdel u g delref ids 2 1-1 1-1",
        "xackdel u h delref ids 1 1-1",
        "xdelex u delref ids 1 1-1",
    ] {
        line(&mut client, text);
    }
    assert_eq!(
        client.event_lines(),
        [
            "XADD s 1-1 a 1 b 2",
            "XADD s 1-2 a 1",
            "XADD s 1-3 a 1",
            "XTRIM s 1-1",
            "XADD s 1-4 a 1",
            "XDEL s 1-2",
            "XTRIM s 1-3",
            "XSETID s 2-0 9 1-2",
            "XGROUP s g 0-0 -",
            "XCONSUMER s g c",
            "XREADGROUP s g c 1-4 9",
            "XCONSUMER s g d",
            "XCLAIM s g d 5 =3 1-4",
            "XACK s g 1-4",
            "XGROUP s g 0-0 1",
            "XCONSUMERDEL s g c",
            "XGROUPDEL s g",
            "XGROUP t g 0-0 -",
            "RENAME t s stream s 2-0 9 1-2 e 1-4 1 a 1",
            "DEL s",
            "XADD u 1-1 f v",
            "XGROUP u g 0-0 -",
            "XGROUP u h 0-0 -",
            "XCONSUMER u g c",
            "XREADGROUP u g c 1-1 1",
            "XCONSUMER u h c",
            "XREADGROUP u h c 1-1 1",
            "XACK u h 1-1",
            "XACK u g 1-1",
            "XDEL u 1-1",
        ]
    );
}

#[test]
fn redis_streams_last_and_move_to_another_number_of_shards() {
    let directory = scratch("redis-streams-last");
    let dir = directory.to_str().expect("a path of this test");
    // Everything that is known of them but for the number of blocks: what was deleted leaves no hole in a snapshot.
    let state = |client: &mut Client| -> Vec<Vec<Value>> {
        let whole = |key: &&str| {
            let described = line(client, &format!("xinfo stream {key} full count 0"));
            let values = described.values();
            assert_eq!((values[2].text().as_str(), values[4].text().as_str()), ("radix-tree-keys", "radix-tree-nodes"));
            [&values[..2], &values[6..]].concat()
        };
        ["large", "moved", "empty"].iter().map(whole).collect()
    };
    let server = Server::start(&["--shards", "2", "--ring-bytes", "4m", "--dir", dir]);
    let mut client = server.client();
    for n in 1..=1000 {
        line(&mut client, &format!("xadd large {n}-1 field value:{n} other {}", n % 7));
    }
    for key in ["large", "source", "empty"] {
        line(&mut client, &format!("xgroup create {key} g 0 mkstream"));
        line(&mut client, &format!("xgroup create {key} unused 5 entriesread 5"));
    }
    line(&mut client, "xadd source 1-1 a 1");
    line(&mut client, "xreadgroup group g c count 500 streams large source > >");
    line(&mut client, "rename source moved");
    line(&mut client, "xdel large 400-1 401-1 900-1");
    line(&mut client, "xtrim large minid 100");
    line(&mut client, "save");
    line(&mut client, "xack large g 200-1 201-1");
    line(&mut client, "xreadgroup group g d count 100 streams large >");
    line(&mut client, "xclaim large g d 0 300-1 301-1");
    line(&mut client, "xadd large maxlen 880 2000-1 a 1");
    let before = state(&mut client);
    assert_eq!(before[0][1], Value::Integer(880));
    drop((client, server));
    for shards in ["2", "3", "1", "8"] {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "4m", "--dir", dir]);
        let mut client = server.client();
        assert_eq!(state(&mut client), before, "{shards} shards");
        assert_eq!(line(&mut client, "object encoding large").text(), "stream");
        let refused = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
        assert_eq!(line(&mut client, "xadd large 2000-1 a 1").error(), refused);
        let mut claimed = line(&mut client, "xclaim large g d 100000000 300-1 justid");
        assert_eq!(claimed.values().len(), 0);
        claimed = line(&mut client, "xpending large g - + 1");
        assert_eq!(claimed.values()[0].values()[0].text(), "1-1");
    }
}
