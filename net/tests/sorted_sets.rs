//! Commands on sorted sets beside redis-server: the same replies, in both versions of the protocol and with any number of
//! shards; their events; that they last.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value, eventually, scratch};

fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

/// Commands of every kind, errors among them, `_` for an empty argument.
const LINES: &[&str] = &[
    "zadd z 1 a 2 b 3 c 2.5 d -inf e +inf f -0 g",
    "zadd z nx 9 a 9 new",
    "zadd z xx ch 7 a 7 none",
    "zadd z gt ch 1 a 8 b",
    "zadd z lt ch 1 a 9 b 4 fresh",
    "zadd z xx gt ch 2 a 1 b",
    "zadd z incr 0.1 a",
    "zadd z nx incr 1 a",
    "zadd z xx incr 1 missing",
    "zadd z gt incr -1 a",
    "zadd z incr -inf f",
    "zincrby z inf e",
    "zincrby z 1e308 huge",
    "zincrby z 1e308 huge",
    "zincrby z 0 a",
    "zadd z nx xx 1 a",
    "zadd z gt lt 1 a",
    "zadd z nx gt 1 a",
    "zadd z incr 1 a 2 b",
    "zadd z 1",
    "zadd z 1 a 2",
    "zadd z nan a",
    "zadd z x a",
    "zadd z 1 a x b",
    "zadd z ch",
    "zadd z foo 1 a",
    "zincrby z nx a",
    "zincrby z nan a",
    "zadd nothing xx 1 a",
    "exists nothing",
    "type z",
    "zscore z a",
    "zscore z g",
    "zscore z none",
    "zscore none a",
    "zmscore z a none b",
    "zmscore none a b",
    "zcard z",
    "zcard none",
    "zcount z -inf +inf",
    "zcount z (1 3",
    "zcount z (3 (3",
    "zcount z 5 1",
    "zcount z _ _",
    "zcount z nan 1",
    "zcount z 1 x",
    "zcount none 0 1",
    "zcount none x 1",
    "zrank z a",
    "zrevrank z a",
    "zrank z none",
    "zrank none a",
    "zrange z 0 -1",
    "zrange z 0 -1 withscores",
    "zrange z 1 2 rev withscores",
    "zrange z -2 -1",
    "zrange z -100 100",
    "zrange z 5 1",
    "zrange z 100 200",
    "zrange z 0 -100",
    "zrange z 9223372036854775807 -9223372036854775808",
    "zrange z (1 3 byscore",
    "zrange z 3 (1 byscore rev withscores",
    "zrange z -inf +inf byscore limit 1 2",
    "zrange z -inf +inf byscore limit -1 2",
    "zrange z -inf +inf byscore limit 2 -1",
    "zrange z -inf +inf byscore limit 2 -5 withscores",
    "zrange z -inf +inf byscore limit 2 0",
    "zrange z -inf +inf byscore limit 200 1",
    "zrange z +inf -inf byscore rev limit 1 2 withscores",
    "zrange z 0 -1 limit 0 -1",
    "zrange z 0 -1 limit 0 1",
    "zrange z 0 -1 bylex withscores",
    "zrange z 0 -1 byscore bylex",
    "zrange z a b",
    "zrange z 0 -1 foo",
    "zrange z - + bylex limit 0",
    "zrange z 0 1 byscore limit x 1",
    "zrange none 0 -1",
    "zrange z a b byscore",
    "zrange z a b bylex",
    "zrevrange z 0 1 withscores",
    "zrevrange z 0 1 rev",
    "zrangebyscore z -inf (7 withscores limit 1 3",
    "zrangebyscore z -inf 7 byscore",
    "zrangebyscore z 7 -inf",
    "zrangebyscore z 1 2 limit 0",
    "zrevrangebyscore z 7 -inf limit 0 2 withscores",
    "zrevrangebyscore z (3 1",
    "zadd lex 0 _ 0 a 0 aa 0 b 0 ba 0 c 0 \u{e9}",
    "zrangebylex lex - +",
    "zrangebylex lex [a (b",
    "zrangebylex lex (a [b limit 1 1",
    "zrangebylex lex [b -",
    "zrangebylex lex - [",
    "zrangebylex lex (_ +",
    "zrangebylex lex + -",
    "zrevrangebylex lex + - limit 1 2",
    "zrevrangebylex lex (b [a",
    "zrangebylex lex a b",
    "zrangebylex lex _ +",
    "zlexcount lex - +",
    "zlexcount lex [a [b",
    "zlexcount lex (a (a",
    "zlexcount lex +x -",
    "zlexcount none - +",
    "zrange lex [a + bylex rev",
    "zrange lex + [a bylex rev limit 0 -1",
    "zrangestore to lex - (b bylex",
    "zrange to 0 -1 withscores",
    "zrangestore to z 0 1 rev",
    "zrange to 0 -1 withscores",
    "zrangestore z z 0 2",
    "zrange z 0 -1 withscores",
    "zrangestore to z 5 6",
    "exists to",
    "zrangestore to none 0 -1",
    "zrangestore to z 0 -1 withscores",
    "zrangestore to z 0 -1 limit 0 1",
    "zadd r 1 a 2 b 3 c 4 d 5 e 6 f 7 g",
    "zremrangebyrank r 0 0",
    "zremrangebyrank r -1 -1",
    "zremrangebyrank r 9 10",
    "zremrangebyrank r x 1",
    "zremrangebyscore r (2 3",
    "zremrangebyscore r x 3",
    "zremrangebyscore r 5 1",
    "zremrangebyscore none 1 5",
    "zrange r 0 -1 withscores",
    "zremrangebylex lex [a (b",
    "zremrangebylex lex a b",
    "zremrangebylex lex - +",
    "exists lex",
    "zrem r e e none",
    "zrem none a",
    "zrem r",
    "zadd p 1 a 2 b 3 c 4 d 5 e 6 f",
    "zpopmin p",
    "zpopmax p",
    "zpopmin p 2",
    "zpopmax p 0",
    "zpopmin p -1",
    "zpopmin p x",
    "zpopmin p 1 2",
    "zpopmax p 100",
    "zpopmin p",
    "zpopmin p 1",
    "exists p",
    "zadd {m}1 1 a 2 b 3 c",
    "zmpop 2 {m}0 {m}1 min",
    "zmpop 2 {m}0 {m}1 max count 9",
    "zmpop 2 {m}0 {m}1 max",
    "zmpop 0 {m}0 min",
    "zmpop x {m}0 min",
    "zmpop 1 {m}0 foo",
    "zmpop 2 {m}0 min",
    "zmpop 1 {m}0 min count 0",
    "zmpop 1 {m}0 min count",
    "zmpop 1 {m}0 min count 1 count 1",
    "zadd x 1 a 2 b 3 c",
    "zadd y 10 b 20 c 30 d",
    "sadd s c d",
    "zunion 2 x y",
    "zunion 2 x y withscores",
    "zunion 3 x y s weights 2 1 0.5 withscores",
    "zunion 2 x y aggregate min withscores",
    "zunion 2 x y weights 1 -1 aggregate max withscores",
    "zinter 2 x y withscores",
    "zinter 3 x y s withscores weights 1 2 3",
    "zinter 2 x none",
    "zinter 2 x x withscores",
    "zdiff 2 x y withscores",
    "zdiff 2 s x",
    "zdiff 2 x x",
    "zdiff 1 none",
    "zdiff 2 x y weights 1 2",
    "zintercard 2 x y",
    "zintercard 2 x y limit 1",
    "zintercard 2 x y limit 0",
    "zintercard 2 x y limit -1",
    "zintercard 2 x y limit",
    "zintercard 0 x",
    "zintercard 9 x",
    "zunion 0 x",
    "zunion x x",
    "zunion -1 x",
    "zunion 3 x y",
    "zunion 2 x y weights 1",
    "zunion 2 x y weights 1 x",
    "zunion 2 x y aggregate avg",
    "zunion 2 x y aggregate",
    "zunion 2 x y foo",
    "zunionstore u 2 x y weights 1 0",
    "zrange u 0 -1 withscores",
    "zunionstore x 2 x y",
    "zrange x 0 -1 withscores",
    "zinterstore u 2 x y aggregate max",
    "zrange u 0 -1 withscores",
    "zinterstore u 2 x none",
    "exists u",
    "zdiffstore u 2 x y",
    "zrange u 0 -1 withscores",
    "zdiffstore u 2 y y",
    "zdiffstore u 2 x y withscores",
    "zunionstore u 0 x",
    "zunionstore u 2 x y withscores",
    "zunionstore u 1 none",
    "zadd inf1 inf m",
    "zadd inf2 -inf m",
    "zunion 2 inf1 inf2 withscores",
    "zinter 2 inf1 inf2 withscores",
    "zunion 1 inf1 weights 0 withscores",
    "zinter 1 inf1 weights 0 withscores",
    "set str v",
    "zunionstore str 1 x",
    "type str",
    "set str v",
    "zadd str 1 a",
    "zscore str a",
    "zrange str 0 -1",
    "zunion 2 x str",
    "zunion 2 x str foo",
    "zpopmin str",
    "zmpop 1 str min",
    "bzpopmin str 1",
    "zrem str a",
    "zremrangebyrank str 0 1",
    "zrangestore u str 0 1",
    "zrandmember str",
    "zscan str 0",
    "lpush x a",
    "zadd one 5 only",
    "zrandmember one",
    "zrandmember one 3",
    "zrandmember one 3 withscores",
    "zrandmember one -2 withscores",
    "zrandmember one 0",
    "zrandmember one x",
    "zrandmember one 1 foo",
    "zrandmember one 1 withscores more",
    "zrandmember one -9223372036854775808",
    "zrandmember one 9223372036854775807 withscores",
    "zrandmember none",
    "zrandmember none 2",
    "zscan one 0",
    "zscan one 0 match o* count 5",
    "zscan one 0 match x*",
    "zscan one x",
    "zscan none 0",
    "zscan one 0 foo",
    "bzpopmin none one 1",
    "bzpopmin one 0.01",
    "bzpopmin one x",
    "bzpopmax one -1",
    "zadd one 5.5 only",
    "bzmpop 1 1 one max count 5",
    "bzmpop 0.01 1 one max",
    "bzmpop x 1 one max",
    "bzmpop 1 0 one max",
    "expire x 1000",
    "zadd x 1 more",
    "ttl x",
    "zunionstore x 1 y",
    "ttl x",
    "rename x moved",
    "zrange moved 0 -1 withscores",
    "object encoding moved",
    "multi",
    "zadd t 1 a 2 b",
    "bzpopmin t 0",
    "bzpopmin nothing 0",
    "zincrby t 1.5 b",
    "exec",
    "eval return{redis.call('zadd',KEYS[1],1.5,'s'),redis.call('zrange',KEYS[1],0,-1,'withscores')} 1 scripted",
    "zadd scripted 3.14 pi 1e22 big 1e-7 small 100000000000000000 long",
    "zrange scripted 0 -1 withscores",
];

#[test]
fn replies_are_those_of_redis_with_any_number_of_shards() {
    for version in ["2", "3"] {
        let redis = Redis::start(&[]);
        let split = |text: &&'static str| -> Vec<&'static str> {
            text.split(' ').map(|word| if word == "_" { "" } else { word }).collect()
        };
        for packed in ["128", "0"] {
            let mut theirs = redis.client();
            line(&mut theirs, &format!("hello {version}"));
            line(&mut theirs, "flushall");
            line(&mut theirs, &format!("config set zset-max-ziplist-entries {packed}"));
            let expected: Vec<Value> = LINES.iter().map(|text| theirs.call(&split(text))).collect();
            for shards in ["1", "2", "3", "8"] {
                let server = Server::start(&["--shards", shards, "--ring-bytes", "1m"]);
                let mut ours = server.client();
                line(&mut ours, &format!("hello {version}"));
                line(&mut ours, &format!("config set zset-max-ziplist-entries {packed}"));
                let replies: Vec<Value> = LINES.iter().map(|text| ours.call(&split(text))).collect();
                let both = LINES.iter().zip(expected.iter().zip(&replies));
                let others: Vec<_> = both.filter(|(_, (expected, reply))| expected != reply).collect();
                assert!(others.is_empty(), "RESP{version}, {shards} shards, {packed} packed: {others:#?}");
            }
        }
    }
}

#[test]
fn what_newer_versions_of_redis_have_is_there_too() {
    let server = Server::small();
    let mut client = server.client();
    line(&mut client, "zadd z 1.5 a 2 b");
    let reply = |client: &mut Client, text: &str| format!("{:?}", line(client, text));
    assert_eq!(reply(&mut client, "zrank z b withscore"), r#"Array([Integer(1), Bulk([50])])"#);
    assert_eq!(reply(&mut client, "zrevrank z a withscore"), r#"Array([Integer(1), Bulk([49, 46, 53])])"#);
    assert_eq!(line(&mut client, "zrank z none withscore"), Value::Nil);
    assert_eq!(line(&mut client, "zrank z a foo").error(), "ERR syntax error");
    let wrong = "ERR wrong number of arguments for 'zrank' command";
    assert_eq!(line(&mut client, "zrank z a withscore x").error(), wrong);
}

#[test]
fn events_are_one_for_each_member_and_only_for_what_changes() {
    let server = Server::small();
    let mut client = server.client();
    for text in [
        "zadd z 1 a 0.1 b",
        "zadd z 1 a 2 b",
        "zadd z gt 1 b",
        "zincrby z 1.5 a",
        "zpopmin z",
        "zunionstore u 1 z weights 2",
        "zunionstore u 1 none",
        "zremrangebyrank z 0 -1",
    ] {
        line(&mut client, text);
    }
    assert_eq!(
        client.event_lines(),
        [
            "ZADD z 1 a",
            "ZADD z 0.10000000000000001 b",
            "ZADD z 2 b",
            "ZADD z 2.5 a",
            "ZREM z b",
            "ZADD u 5 a",
            "DEL u",
            "ZREM z a",
        ]
    );
}

#[test]
fn a_sorted_set_serves_those_who_wait_for_one_and_nobody_who_waits_for_a_list() {
    for shards in common::numbers_of_shards() {
        let server = Server::start(&["--shards", &shards, "--ring-bytes", "1m"]);
        let mut actor = server.client();
        let waiting = |actor: &mut Client, count: &str| {
            eventually("as many clients wait as should", || {
                line(actor, "info clients").text().contains(&format!("blocked_clients:{count}\r\n"))
            });
        };
        let (mut list, mut first, mut second) = (server.client(), server.client(), server.client());
        list.send(&["blpop", "k", "other", "0"]);
        waiting(&mut actor, "1");
        first.send(&["bzpopmax", "other", "k", "0"]);
        waiting(&mut actor, "2");
        second.send(&["bzmpop", "0", "2", "k", "other", "min", "count", "5"]);
        waiting(&mut actor, "3");
        assert_eq!(line(&mut actor, "zadd k 1 a 2 b 3 c"), Value::Integer(3));
        let text = |value: &Value| value.values().iter().map(Value::text).collect::<Vec<_>>();
        assert_eq!(text(&first.read()), ["k", "c", "3"]);
        let reply = second.read();
        assert_eq!(reply.values()[0].text(), "k");
        let popped: Vec<Vec<String>> = reply.values()[1].values().iter().map(text).collect();
        assert_eq!(popped, [["a", "1"], ["b", "2"]]);
        assert_eq!(line(&mut actor, "exists k"), Value::Integer(0));
        // A stored and a renamed one serve as well.
        first.send(&["bzpopmin", "k", "0"]);
        waiting(&mut actor, "2");
        line(&mut actor, "sadd members x");
        line(&mut actor, "zunionstore k 1 members");
        assert_eq!(text(&first.read()), ["k", "x", "1"]);
        first.send(&["bzpopmin", "k", "0"]);
        waiting(&mut actor, "2");
        line(&mut actor, "zadd source 7 y");
        line(&mut actor, "rename source k");
        assert_eq!(text(&first.read()), ["k", "y", "7"]);
        line(&mut actor, "rpush k element");
        assert_eq!(text(&list.read()), ["k", "element"]);
        first.send(&["bzpopmin", "k", "other", "0.05"]);
        assert_eq!(first.read(), Value::Nil);
    }
}

#[test]
fn sorted_sets_last_and_move_to_another_number_of_shards() {
    let directory = scratch("sorted-sets-last");
    let dir = directory.to_str().expect("a path of this test");
    let state = |client: &mut Client| -> Vec<Value> {
        let keys = ["small", "large", "odd", "moved"].iter();
        keys.map(|key| line(client, &format!("zrange {key} 0 -1 withscores"))).collect()
    };
    let server = Server::start(&["--shards", "2", "--ring-bytes", "4m", "--dir", dir]);
    let mut client = server.client();
    // A compact set has no -0, as in Redis.
    line(&mut client, "config set zset-max-listpack-entries 4");
    line(&mut client, "zadd small 1 a 2 b 3 c");
    for n in 0..1000 {
        line(&mut client, &format!("zadd large {} member:{n}", n * 7919 % 1000));
    }
    line(&mut client, "zadd odd inf up -inf down 0.1 tenth 5e-324 tiny 1.7976931348623157e308 huge");
    line(&mut client, "zadd odd -0 zero");
    line(&mut client, "zadd source 1.25 x");
    line(&mut client, "rename source moved");
    line(&mut client, "save");
    line(&mut client, "zremrangebyrank large 100 199");
    line(&mut client, "zincrby small 0.1 a");
    let before = state(&mut client);
    assert_eq!(before[1].values().len(), 1800);
    drop((client, server));
    for shards in ["2", "3", "1", "8"] {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "4m", "--dir", dir]);
        let mut client = server.client();
        assert_eq!(state(&mut client), before, "{shards} shards");
        assert_eq!(line(&mut client, "zscore odd zero").text(), "-0");
        assert_eq!(line(&mut client, "object encoding large").text(), "skiplist");
        assert_eq!(line(&mut client, "object encoding small").text(), "listpack");
        line(&mut client, "zadd small 1 a");
        line(&mut client, "zincrby small 0.1 a");
    }
}
