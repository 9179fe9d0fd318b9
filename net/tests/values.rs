//! COPY, SORT, LCS, OBJECT and what sets are stored of, beside redis-server; their events.

mod common;

use common::beside::assert_same;
use common::{Client, Server, Value};

fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

#[test]
fn what_is_made_of_sets_is_stored_as_in_redis() {
    assert_same(
        &[],
        &[
            "sadd a 1 2 3 4",
            "sadd b 3 4 5",
            "sadd c 4 x",
            "set s v",
            "sinterstore to a b",
            "sort to",
            "sunionstore to a b c",
            "sort to alpha",
            "sdiffstore to a b",
            "sort to",
            "sinterstore to a b none",
            "exists to",
            "sdiffstore to none a",
            "sunionstore to none other",
            "sunionstore to none a",
            "type to",
            "object encoding to",
            "expire to 1000",
            "sunionstore to a",
            "ttl to",
            "sinterstore a a b",
            "sort a",
            "sdiffstore s b a",
            "type s",
            "set s v",
            "sunionstore to a s",
            "sinterstore to s",
            "sinterstore to none s",
            "sdiffstore to none s",
            "sort to",
            "sunionstore to",
            "sinterstore",
        ],
    );
}

#[test]
fn keys_are_copied_as_in_redis() {
    assert_same(
        &[],
        &[
            "set s text",
            "copy s t",
            "get t",
            "copy s t",
            "copy s t replace",
            "set n 12",
            "copy n t REPLACE",
            "get t",
            "object encoding t",
            "rpush l a b c",
            "copy l t replace",
            "lrange t 0 -1",
            "rpush t d",
            "lrange l 0 -1",
            "hset h f 1 g 2",
            "copy h t replace",
            "hmget t f g",
            "zadd z 1 a 2.5 b",
            "copy z t replace",
            "zrange t 0 -1 withscores",
            "sadd m 1 2 3",
            "copy m t replace",
            "sort t",
            "expire s 1000",
            "copy s t replace",
            "ttl t",
            "copy n t replace",
            "ttl t",
            "copy none t",
            "copy none t replace",
            "exists t",
            "copy s s",
            "copy none none",
            "copy s t db 0 replace",
            "copy s s db 0",
            "copy s t db",
            "copy s t db x",
            "copy s t db 9999999999",
            "copy s t db 99",
            "copy s t foo",
            "copy s",
            "copy s t replace db x",
        ],
    );
}

#[test]
fn elements_are_sorted_as_by_redis() {
    assert_same(
        &[],
        &[
            "rpush l 3 10 2 1 33 -4 2.5",
            "sort l",
            "sort l desc",
            "sort l ASC",
            "sort l alpha",
            "sort l alpha desc",
            "sort l limit 1 3",
            "sort l limit -5 2",
            "sort l limit 2 -1",
            "sort l limit 100 1",
            "sort l limit 0 0",
            "sort l limit 0 9223372036854775807 desc",
            "sort l limit x 1",
            "sort l limit 1",
            "sort l limit 1 x",
            "sort l foo",
            "sort l by",
            "sort l get",
            "sort l store",
            "sort_ro l",
            "sort_ro l store to",
            "sort none",
            "sort none limit 0 1 get #",
            "sadd s 5 3 9 1",
            "sort s",
            "sort s desc limit 1 2",
            "zadd z 9 1 8 2 7 3",
            "sort z",
            "sort z desc",
            "sort z by nosort",
            "sort z by nosort desc",
            "sort z by nosort limit 1 1",
            "sort z by nosort desc limit 1 1",
            "sort l by nosort",
            "sort l by nosort desc",
            "sort l by nosort limit 1 2",
            "sort l by nosort desc limit 1 2",
            "sort s by nosort store to",
            "lrange to 0 -1",
            "mset w_1 50 w_2 40 w_3 30 w_5 1 w_9 -1 w_10 7",
            "hset h_1 f one w 3",
            "hset h_2 f two w 2",
            "hset h_3 f three w 1",
            "rpush ids 1 2 3",
            "sort ids by w_*",
            "sort ids by w_* desc",
            "sort ids by w_* get # get w_* get h_*->f",
            "sort ids by h_*->w get h_*->f",
            "sort ids by h_*->none",
            "sort ids get h_*->",
            "sort ids get h_*",
            "sort ids get w_*->f",
            "sort ids get constant",
            "sort ids get #*",
            "sort ids get none_*",
            "sort ids by w_* alpha",
            "sort ids by h_*->f alpha desc",
            "rpush ids 4 5",
            "sort ids by w_*",
            "sort ids by w_* alpha desc",
            "sort ids by w_* limit 1 2 get # get w_*",
            "sort ids get w_* get # store to",
            "lrange to 0 -1",
            "sort_ro ids by w_* get w_*",
            "sort ids desc store ids",
            "lrange ids 0 -1",
            "sort none store to",
            "exists to",
            "expire ids 1000",
            "sort ids store ids",
            "ttl ids",
            "rpush words banana apple \\xc3\\xa9 Cherry apple2 _",
            "sort words",
            "sort words alpha",
            "sort words by nosort",
            "set w_bad x",
            "rpush bad bad 1",
            "sort bad by w_*",
            "sort bad by w_* store to",
            "rpush odd _ 1 -1 inf -inf",
            "sort odd",
            "rpush odd nan",
            "sort odd",
            "rpush hex 0x10 9 1e1",
            "sort hex",
            "rpush same 1 1.0 01 1",
            "sort same",
            "sort same desc",
            "set str v",
            "sort str",
            "sort str foo",
            "hset hash f v",
            "sort hash",
            "sort str store to",
            "multi",
            "sort ids by w_* get w_*",
            "sort ids by w_* get w_* store to",
            "exec",
            "eval return{redis.call('sort',KEYS[1],'by','w_*','get','w_*')} 1 ids",
            "sort",
            // redis-server refuses all that follows it too.
            "rpush big 1e400",
            "sort big",
        ],
    );
}

#[test]
fn common_subsequences_are_those_of_redis() {
    assert_same(
        &[],
        &[
            "mset a ohmytext b mynewtext c _ d xxxxx e abcabcabd f abdabcab",
            "lcs a b",
            "lcs a b len",
            "lcs a b idx",
            "lcs a b idx withmatchlen",
            "lcs a b idx minmatchlen 4",
            "lcs a b idx minmatchlen 4 withmatchlen",
            "lcs a b idx minmatchlen -1",
            "lcs a b idx minmatchlen x",
            "lcs a b idx minmatchlen",
            "lcs a b idx len",
            "lcs a b foo",
            "lcs a b minmatchlen 4",
            "lcs a none",
            "lcs none other idx",
            "lcs none other len",
            "lcs a c",
            "lcs a d idx",
            "lcs a a idx withmatchlen",
            "lcs e f",
            "lcs f e",
            "lcs e f idx withmatchlen",
            "lcs f e idx withmatchlen",
            "rpush l x",
            "lcs a l",
            "lcs l a foo",
            "lcs a",
        ],
    );
}

#[test]
fn objects_are_described_as_by_redis() {
    let lru = "config set maxmemory 1gb maxmemory-policy allkeys-lru";
    assert_same(
        &[lru, "set s v"],
        &[
            "object freq s",
            "object freq none",
            "object idletime none",
            "object refcount s",
            "object freq",
            "object foo s",
        ],
    );
    let lfu = "config set maxmemory 1gb maxmemory-policy allkeys-lfu";
    assert_same(&[lfu, "set s v"], &["object idletime s", "object idletime none", "object freq none"]);
    let server = Server::small();
    let mut client = server.client();
    line(&mut client, lfu);
    line(&mut client, "set s v");
    (0..50).for_each(|_| _ = line(&mut client, "get s"));
    assert!((2..8).contains(&line(&mut client, "object freq s").integer()));
    line(&mut client, "config set maxmemory-policy noeviction");
    assert_eq!(line(&mut client, "object idletime s").error(), "ERR idle time not tracked");
}

#[test]
fn hscan_leaves_values_out_if_it_is_asked_to() {
    let server = Server::small();
    let mut client = server.client();
    line(&mut client, "hset h a 1 b 2");
    let names = |value: &Value| value.values()[1].values().iter().map(Value::text).collect::<Vec<_>>();
    assert_eq!(names(&line(&mut client, "hscan h 0 novalues")), ["a", "b"]);
    assert_eq!(names(&line(&mut client, "hscan h 0 NOVALUES match b count 10")), ["b"]);
    line(&mut client, "zadd z 1 a");
    assert_eq!(line(&mut client, "zscan z 0 novalues").error(), "ERR syntax error");
}

#[test]
fn a_copy_is_one_event_and_long_strings_are_not_compared() {
    let server = Server::small();
    let mut client = server.client();
    line(&mut client, "hset h f 1");
    line(&mut client, "expire h 1000");
    line(&mut client, "copy h c");
    line(&mut client, "rpush l 2 1");
    line(&mut client, "sort l store l");
    let rows = line(&mut client, "cdcpoll 0 100");
    let ops: Vec<String> = rows.values().iter().map(|row| row.values()[2].text()).collect();
    assert_eq!(ops, ["HSET", "TTLSET", "COPY", "TTLSET", "RPUSH", "RPUSH", "DEL", "RPUSH", "RPUSH"]);
    let parts: Vec<String> = rows.values()[2].values()[3].values().iter().map(Value::text).collect();
    assert_eq!(parts, ["h", "hash", "f", "1"]);
    let long = "x".repeat(10_000);
    client.call(&["mset", "{s}a", &long, "{s}b", &long]);
    let text = "ERR Insufficient memory, failed allocating transient memory for LCS";
    assert_eq!(line(&mut client, "lcs {s}a {s}b").error(), text);
}
