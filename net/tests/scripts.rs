//! Scripts over sockets: beside redis-server, over any number of shards, within their limits.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value, numbers_of_shards};

fn bulk(text: &str) -> Value {
    Value::Bulk(text.into())
}

/// Scripts with their keys and arguments, each whose reply is determined.
const SCRIPTS: &[(&str, &[&str], &[&str])] = &[
    ("return {KEYS[1], KEYS[2], ARGV[1], #ARGV}", &["{a}1", "{a}2"], &["x", "y"]),
    ("return redis.call('set', KEYS[1], ARGV[1])", &["k"], &["v"]),
    ("return redis.call('get', KEYS[1])", &["k"], &[]),
    ("return redis.call('get', 'nosuch')", &[], &[]),
    ("return tostring(redis.call('get', 'nosuch'))", &[], &[]),
    ("return {1, 2.9, 'a', false, true, {1, {2}}, nil, 4}", &[], &[]),
    ("return 3.99", &[], &[]),
    ("return -3.99", &[], &[]),
    ("return {}", &[], &[]),
    ("return nil", &[], &[]),
    ("return true", &[], &[]),
    ("return {err = 'MY error'}", &[], &[]),
    ("return {ok = 'FINE'}", &[], &[]),
    ("return redis.error_reply('oops')", &[], &[]),
    ("return redis.error_reply('-CODE oops')", &[], &[]),
    ("return redis.status_reply('fine')", &[], &[]),
    ("return foo", &[], &[]),
    ("x = 1", &[], &[]),
    ("error('boo')", &[], &[]),
    ("error({err = 'My Err'})", &[], &[]),
    ("local t = nil\nreturn t.x", &[], &[]),
    ("retur", &[], &[]),
    ("return redis.call('incr', KEYS[1])", &["k"], &[]),
    ("return redis.pcall('incr', KEYS[1])", &["k"], &[]),
    ("local r = redis.pcall('incr', KEYS[1])\nreturn r.err", &["k"], &[]),
    ("local ok, e = pcall(redis.call, 'incr', KEYS[1])\nreturn {tostring(ok), type(e)}", &["k"], &[]),
    ("return redis.call('nosuch')", &[], &[]),
    ("return redis.call('get')", &[], &[]),
    ("return redis.call()", &[], &[]),
    ("return redis.call({})", &[], &[]),
    ("return redis.call('multi')", &[], &[]),
    ("return redis.call('subscribe', 'x')", &[], &[]),
    ("return redis.call('ping')", &[], &[]),
    ("return redis.call('echo', 'x')", &[], &[]),
    ("string.foo = 1", &[], &[]),
    ("redis.call = 1", &[], &[]),
    ("return redis.sha1hex('')", &[], &[]),
    ("return type(redis.call('time'))", &[], &[]),
    ("return loadstring('return 1 + 1')()", &[], &[]),
    ("return {tostring(1/0), tostring(0/0 ~= 0/0), 10 / 3 .. ''}", &[], &[]),
    ("return {string.format('%d %s %.2f', 3, 'x', 1.5), #('abc'):rep(3), ('x'):upper()}", &[], &[]),
    ("local t = {3, 1, 2}\ntable.sort(t)\nreturn {table.concat(t, ','), table.getn(t), unpack(t)}", &[], &[]),
    ("return {math.floor(1.5), math.max(1, 2), tonumber('0x10'), tonumber('z', 36)}", &[], &[]),
    ("math.randomseed(7)\nreturn tostring(math.random())", &[], &[]),
    ("math.randomseed(7)\nreturn {math.random(100), math.random(5, 10), math.random(1)}", &[], &[]),
    ("return cjson.encode({1, 2, {a = 1.5}, 'x/y\\n', true})", &[], &[]),
    ("return cjson.encode({})", &[], &[]),
    ("return cjson.encode({[1] = 1, [2] = 2, [4] = 4})", &[], &[]),
    ("return cjson.encode({[1000] = 1})", &[], &[]),
    ("return cjson.encode(1/0)", &[], &[]),
    ("return cjson.encode(0.1 + 0.2)", &[], &[]),
    ("return cjson.encode({a = cjson.null})", &[], &[]),
    ("return cjson.encode(print)", &[], &[]),
    ("return cjson.encode(function() end)", &[], &[]),
    (
        "local t = cjson.decode(ARGV[1])\nreturn {t.a[1], t.a[2].b, tostring(t.c == cjson.null), t.d, tostring(t.e)}",
        &[],
        &[r#"{"a":[1,{"b":"x\u00e9\ud83d\ude00\n"}],"c":null,"d":-1.5e3,"e":true}"#],
    ),
    ("return cjson.decode('[1,')", &[], &[]),
    ("return cjson.decode('nul')", &[], &[]),
    ("return cjson.decode('{\"a\" 1}')", &[], &[]),
    ("return cmsgpack.pack({1, -1, 300, 70000, 1.5, 'x', true, {a = 1}})", &[], &[]),
    ("return cmsgpack.pack(1, 'two', 3)", &[], &[]),
    ("return cmsgpack.unpack(cmsgpack.pack({1, 'two', {3}}))", &[], &[]),
    ("return {cmsgpack.unpack(cmsgpack.pack(1, 2, 3))}", &[], &[]),
    (
        "return {bit.band(12, 10), bit.bor(12, 10), bit.bxor(12, 10), bit.lshift(1, 31), bit.tohex(255), bit.bnot(0)}",
        &[],
        &[],
    ),
    ("return {bit.rshift(-1, 28), bit.arshift(-16, 2), bit.rol(1, 33), bit.bswap(1), bit.tobit(2^32 + 5)}", &[], &[]),
    ("return struct.pack('>I2hsc3', 1, -2, 'ab', 'xyz')", &[], &[]),
    ("return {struct.unpack('>I2hs', struct.pack('>I2hs', 65535, -2, 'ab'))}", &[], &[]),
    ("return {struct.size('bhild'), struct.unpack('<I4', 'abcd')}", &[], &[]),
    ("return redis.setresp(3)", &[], &[]),
    ("redis.setresp(4)", &[], &[]),
    ("redis.setresp(3)\nredis.call('hset', KEYS[1], 'f', 'v')\nreturn redis.call('hgetall', KEYS[1])", &["h"], &[]),
    ("redis.setresp(3)\nreturn redis.call('hgetall', KEYS[1])['map'].f", &["h"], &[]),
    ("redis.call('rpush', KEYS[1], 1, 2, 3)\nreturn redis.call('lrange', KEYS[1], 0, -1)", &["l"], &[]),
    ("return redis.call('incrbyfloat', KEYS[1], 1.5)", &["f"], &[]),
    ("return {redis.call('del', KEYS[1], KEYS[2]), redis.call('exists', KEYS[1])}", &["{l}", "l{l}"], &[]),
    ("return redis.call('set', KEYS[1], 3.5)", &["n"], &[]),
    ("return redis.call('get', KEYS[1])", &["n"], &[]),
    ("local function f(n) return n == 0 and 0 or 1 + f(n - 1) end\nreturn f(100)", &[], &[]),
    ("local function f() return 1 + f() end\nreturn f()", &[], &[]),
    ("for i = 1, 3 do redis.call('rpush', KEYS[1], i) end\nreturn redis.call('llen', KEYS[1])", &["r"], &[]),
    ("return select('#', unpack(ARGV))", &[], &["a", "b", "c"]),
    ("return coroutine.wrap(function() coroutine.yield(7) end)()", &[], &[]),
    ("return redis.log(redis.LOG_DEBUG, 'x')", &[], &[]),
    ("return tostring(redis.replicate_commands())", &[], &[]),
    ("return cmsgpack.pack({})", &[], &[]),
    ("KEYS = 1", &[], &[]),
    ("_G = 1", &[], &[]),
    ("return redis.call('set', KEYS[1], 1e17)", &["n"], &[]),
    ("return {redis.call('get', KEYS[1]), cjson.encode(1e15), tostring(1e15)}", &["n"], &[]),
    ("return redis.call('blpop', KEYS[1], 0)", &["b"], &[]),
    ("return {big_number = '123'}", &[], &[]),
    ("return {xpcall(function() error('x') end, function(e) return 'handled' end)}", &[], &[]),
    ("return {type(collectgarbage('count')), collectgarbage()}", &[], &[]),
    ("#!lua flags=no-writes\nreturn redis.call('set', KEYS[1], 'x')", &["k"], &[]),
    ("#!lua flags=nosuch\nreturn 1", &[], &[]),
    ("#!js\nreturn 1", &[], &[]),
];

fn eval(client: &mut Client, command: &str, script: &str, keys: &[&str], args: &[&str]) -> Value {
    let count = keys.len().to_string();
    let words = [&[command, script, &count], keys, args].concat();
    client.call(&words)
}

/// What differs between the two by design: how far the stack reaches, and where a failed tail call was.
fn normal(value: Value) -> Value {
    match value {
        Value::Error(text) if text.contains("stack overflow") => Value::Error("stack overflow".into()),
        Value::Array(values) => Value::Array(values.into_iter().map(normal).collect()),
        other => other,
    }
}

#[test]
fn scripts_reply_as_those_of_redis() {
    for shards in numbers_of_shards() {
        for version in ["2", "3"] {
            let (keytide, redis) = (Server::start(&["--shards", &shards]), Redis::start(&[]));
            let (mut ours, mut theirs) = (keytide.client(), redis.client());
            ours.call(&["HELLO", version]);
            theirs.call(&["HELLO", version]);
            let mut differ = Vec::new();
            for (script, keys, args) in SCRIPTS {
                let [one, other] =
                    [&mut ours, &mut theirs].map(|client| normal(eval(client, "EVAL", script, keys, args)));
                if one != other {
                    differ.push(format!("{script}\n  ours: {one:?}\n  theirs: {other:?}"));
                }
            }
            assert!(differ.is_empty(), "{shards} shards, version {version}:\n{}", differ.join("\n"));
        }
    }
}

#[test]
fn the_commands_on_scripts_are_those_of_redis() {
    let (keytide, redis) = (Server::start(&[]), Redis::start(&[]));
    let (mut ours, mut theirs) = (keytide.client(), redis.client());
    let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    let lines: &[&[&str]] = &[
        &["EVALSHA", sha, "0"],
        &["SCRIPT", "EXISTS", sha, "x"],
        &["SCRIPT", "LOAD", "return 1"],
        &["SCRIPT", "LOAD", "retur"],
        &["SCRIPT", "EXISTS", sha, "x"],
        &["EVALSHA", sha, "0"],
        &["EVALSHA", &sha.to_uppercase(), "0"],
        &["EVALSHA_RO", sha, "0"],
        &["EVAL", "return 1", "x"],
        &["EVAL", "return 1", "3", "a"],
        &["EVAL", "return 1", "-1"],
        &["EVAL", "return 1"],
        &["EVAL_RO", "return redis.call('get', 'k')", "1", "k"],
        &["EVAL_RO", "return redis.call('set', 'k', 'v')", "1", "k"],
        &["SCRIPT", "FLUSH", "x"],
        &["SCRIPT", "FLUSH"],
        &["SCRIPT", "EXISTS", sha],
        &["SCRIPT", "KILL"],
        &["EVALSHA", sha, "0"],
        &["MULTI"],
        &["EVAL", "return redis.call('incr', KEYS[1])", "1", "n"],
        &["EVAL", "return redis.call('incr', 'n')", "0"],
        &["EXEC"],
    ];
    for line in lines {
        assert_eq!(ours.call(line), theirs.call(line), "{line:?}");
    }
}

#[test]
fn a_script_reaches_any_shard_and_its_writes_are_one_step() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards]);
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        // Keys that are not given, of all shards, written one after the other.
        let script =
            "for i = 0, 15 do redis.call('incr', 'key:' .. i) end\nreturn redis.call('mget', 'key:0', 'key:15')";
        for (n, client) in clients.iter_mut().enumerate() {
            let count = (n + 1).to_string();
            assert_eq!(eval(client, "EVAL", script, &[], &[]), Value::Array(vec![bulk(&count), bulk(&count)]));
        }
        // The same where some are given: what has used others once, may do so again.
        let moved =
            "local v = redis.call('get', KEYS[1])\nredis.call('set', ARGV[1], v)\nreturn redis.call('get', ARGV[1])";
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(eval(client, "EVAL", moved, &["key:3"], &[&format!("copy:{n}")]), bulk("8"), "{n}");
        }
        // Nobody sees half of it.
        let both = "redis.call('set', KEYS[1], ARGV[1])\nredis.call('set', KEYS[2], ARGV[1])";
        let read = "return redis.call('mget', KEYS[1], KEYS[2])";
        std::thread::scope(|scope| {
            for (n, mut client) in clients.drain(..).enumerate() {
                scope.spawn(move || {
                    for round in 0..200 {
                        if n % 2 == 0 {
                            eval(&mut client, "EVAL", both, &["a", "b"], &[&format!("{n}:{round}")]);
                        } else {
                            let seen = eval(&mut client, "EVAL", read, &["a", "b"], &[]);
                            assert_eq!(seen.values()[0], seen.values()[1]);
                        }
                    }
                });
            }
        });
    }
}

#[test]
fn scripts_have_limits_and_others_are_served_after_them() {
    let server = Server::start(&["--script-time-limit-ms", "200", "--script-memory-bytes", "4m", "--shards", "1"]);
    let (mut client, mut other) = (server.client(), server.client());
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local f = function() while true do end end\nwhile true do coroutine.wrap(f)() end",
    ] {
        let error = eval(&mut client, "EVAL", script, &[], &[]);
        assert!(error.error().contains("script-time-limit-ms"), "{script}: {error:?}");
        assert_eq!(other.call(&["PING"]), Value::Simple("PONG".into()));
    }
    for script in
        ["return string.rep('x', 100000000)", "local t = {}\nwhile true do t[#t + 1] = ('x'):rep(1000) .. #t end"]
    {
        let error = eval(&mut client, "EVAL", script, &[], &[]);
        assert!(error.error().contains("not enough memory"), "{script}: {error:?}");
    }
    // And the interpreter works on.
    assert_eq!(eval(&mut client, "EVAL", "return #('x'):rep(1000)", &[], &[]), Value::Integer(1000));
}

#[test]
fn nothing_of_a_script_reaches_the_next_one() {
    let server = Server::start(&["--shards", "1"]);
    let mut client = server.client();
    for script in [
        "rawset(_G, 'leak', 1)",
        "table.insert(_G, 'leak')",
        "string.leak = 1",
        "getmetatable('').__index.leak = 1",
        "rawset(string, 'leak', 1)",
        "table.insert(table, 'leak')",
        "setmetatable(_G, {__index = {leak = 1}})",
        "loadstring('leak = 1')()",
        "load(function() return nil end)",
        "setfenv(1, {})",
        "redis.call('set', 'k', 'v')\nleak = 1",
        "cjson.null = 1",
        "return string.dump(function() end)",
        "return loadstring('\\27Lua')",
    ] {
        let _ = eval(&mut client, "EVAL", script, &[], &[]);
        for probe in [
            "return tostring(rawget(_G, 'leak'))",
            "return tostring(rawget(_G, 1))",
            "return tostring(string.leak)",
            "return tostring(('').leak)",
            "return tostring(table[1])",
        ] {
            assert_eq!(eval(&mut client, "EVAL", probe, &[], &[]), bulk("nil"), "{script}: {probe}");
        }
    }
}

/// Client libraries load a script once more than needed, and run others in between.
#[test]
fn a_script_is_itself_however_often_it_is_loaded_and_whatever_runs_between() {
    let server = Server::start(&["--shards", "1"]);
    let mut client = server.client();
    let scripts: Vec<String> = (0..40).map(|n| format!("return {n}")).collect();
    let mut names = Vec::new();
    for script in &scripts {
        names.push(client.call(&["SCRIPT", "LOAD", script]).text());
        // Those from before, by their names and by their texts, loaded again and not.
        for (n, (name, text)) in names.iter().zip(&scripts).enumerate() {
            match n % 3 {
                0 => _ = client.call(&["SCRIPT", "LOAD", text]),
                1 => _ = client.call(&["EVAL", text, "0"]),
                _ => {}
            }
            assert_eq!(client.call(&["EVALSHA", name, "0"]), Value::Integer(n as i64));
        }
    }
}

#[test]
fn a_script_has_the_rights_of_its_user() {
    let server = Server::start(&[]);
    let mut admin = server.client();
    let ok = Value::Simple("OK".into());
    assert_eq!(admin.call(&["ACL", "SETUSER", "eve", "on", "nopass", "~app:*", "+@scripting", "+get", "+set"]), ok);
    let mut eve = server.client();
    assert_eq!(eve.call(&["AUTH", "eve", "x"]), ok);
    assert_eq!(eval(&mut eve, "EVAL", "return redis.call('set', KEYS[1], 'v')", &["app:1"], &[]), ok);
    let refused = |value: Value| assert!(value.error().contains("NOPERM"), "{value:?}");
    refused(eval(&mut eve, "EVAL", "return 1", &["other"], &[]));
    refused(eval(&mut eve, "EVAL", "return redis.call('get', 'other')", &[], &[]));
    refused(eval(&mut eve, "EVAL", "return redis.call('del', KEYS[1])", &["app:1"], &[]));
}

#[test]
fn what_a_script_writes_is_recorded_in_order() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let script = "redis.call('set', KEYS[1], 1)\nredis.call('incr', KEYS[1])\nredis.call('rpush', KEYS[2], 'a', 'b')\nreturn redis.pcall('incr', KEYS[2])";
    eval(&mut client, "EVAL", script, &["{t}n", "{t}l"], &[]);
    let reply = client.call(&["CDCPOLL", "0", "100"]);
    let rows = reply.values();
    let ops: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row.values()[1].text(), row.values()[2].text())).collect();
    assert_eq!(ops, ["{t}n SET", "{t}n SET", "{t}l RPUSH", "{t}l RPUSH"]);
}

#[test]
fn many_scripts_and_large_values_have_room() {
    let server = Server::start(&["--shards", "1"]);
    let mut client = server.client();
    for number in 0..10_500 {
        client.send(&["EVAL", &format!("return {number}"), "0"]);
        if number % 100 == 99 {
            (0..100).for_each(|_| assert!(matches!(client.read(), Value::Integer(_))));
        }
    }
    assert_eq!(eval(&mut client, "EVAL", "return 1", &[], &[]), Value::Integer(1));
    let many = "for i = 1, 20000 do redis.call('rpush', KEYS[1], i) end\nreturn #redis.call('lrange', KEYS[1], 0, -1)";
    assert_eq!(eval(&mut client, "EVAL", many, &["l"], &[]), Value::Integer(20_000));
    for (script, count) in [
        ("return redis.call('lrange', KEYS[1], 0, -1)", 20_000),
        ("local t = {} for i = 1, 15000 do t[i] = {'x' .. i} end return t", 15_000),
        ("local t = {} for i = 1, 15000 do t[i] = 'x' .. i end return {#cmsgpack.pack(t) > 15000 and 1}", 1),
    ] {
        assert_eq!(eval(&mut client, "EVAL", script, &["l"], &[]).values().len(), count, "{script}");
    }
    let args: Vec<String> = (0..12_000).map(|n| n.to_string()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert_eq!(eval(&mut client, "EVAL", "return ARGV", &[], &args).values().len(), args.len());
}

#[test]
fn what_would_not_end_or_fill_memory_is_an_error() {
    let server = Server::start(&["--script-time-limit-ms", "200", "--shards", "1"]);
    let mut client = server.client();
    for (script, text) in [
        (
            "local h = function(e) while true do end end\nxpcall(function() while true do end end, h)\nwhile true do end",
            "script-time-limit-ms",
        ),
        (
            "while true do xpcall(function() error('x') end, function(e) while true do end end) end",
            "script-time-limit-ms",
        ),
        ("while true do redis.call('ping') end", "script-time-limit-ms"),
        ("local a = {('x'):rep(50)}\nfor d = 1, 60 do a = {a, a} end\nreturn cjson.encode(a)", "too long"),
        ("local a = {('x'):rep(50)}\nfor d = 1, 60 do a = {a, a} end\nreturn a", "too large"),
        (
            "local a = {}\nfor i = 1, 100 do a[i] = ('x'):rep(50) end\nfor d = 1, 12 do a = {a, a, a, a, a, a} end\nreturn cmsgpack.pack(a)",
            "too large",
        ),
        ("return string.find(('a'):rep(300000), ('a?'):rep(300000))", "pattern too long"),
    ] {
        let error = eval(&mut client, "EVAL", script, &[], &[]);
        assert!(error.error().contains(text), "{script}: {error:?}");
    }
    // With time enough to publish what is too much.
    let server = Server::start(&["--shards", "1"]);
    let (mut client, mut subscriber) = (server.client(), server.client());
    subscriber.call(&["SUBSCRIBE", "c"]);
    let publish = "local p = ('x'):rep(100000)\nfor i = 1, 1e9 do redis.call('publish', 'c', p) end";
    assert!(eval(&mut client, "EVAL", publish, &[], &[]).error().contains("too many messages"));
    assert_eq!(eval(&mut client, "EVAL", "return 1", &[], &[]), Value::Integer(1));
}

#[test]
fn a_script_that_begins_anew_publishes_once() {
    let server = Server::start(&["--shards", "3"]);
    let (mut client, mut subscriber) = (server.client(), server.client());
    subscriber.call(&["SUBSCRIBE", "c"]);
    let script = "redis.call('publish', 'c', ARGV[1])\nif ARGV[2] then redis.call('get', ARGV[2]) end";
    for round in 0..12 {
        // Given keys only at first; then another one, of whichever shard.
        eval(&mut client, "EVAL", script, &["k"], &[&format!("a{round}")]);
        eval(&mut client, "EVAL", script, &["k"], &[&format!("b{round}"), &format!("other{round}")]);
        for letter in ["a", "b"] {
            let message = subscriber.read();
            assert_eq!(message.values()[2], bulk(&format!("{letter}{round}")));
        }
        client.call(&["SCRIPT", "FLUSH"]);
    }
}

#[test]
fn a_script_that_builds_names_is_not_caught_between_shards_after_a_write() {
    for shards in numbers_of_shards() {
        let server = Server::start(&["--shards", &shards]);
        let mut client = server.client();
        for n in 0..30 {
            // Each is new to the server. Some find their first name on the shard of their key, and the next one elsewhere.
            let script = format!("redis.call('set', KEYS[1], {n}) return redis.call('incr', KEYS[1] .. ARGV[1])");
            for suffix in 0..10 {
                let key = format!("key:{n}");
                let reply = client.call(&["eval", &script, "1", &key, &format!(":{suffix}")]);
                assert_eq!(reply, Value::Integer(1), "{shards} shards");
            }
        }
    }
}
