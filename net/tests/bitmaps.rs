//! Commands on strings as rows of bits beside redis-server, and their events.

mod common;

use common::beside::assert_same;
use common::{Client, Server, Value, scratch};

fn line(client: &mut Client, text: &str) -> Value {
    client.call(&text.split(' ').collect::<Vec<_>>())
}

const LINES: &[&str] = &[
    "setbit b 7 1",
    "setbit b 7 1",
    "setbit b 7 0",
    "setbit b 100 1",
    "get b",
    "strlen b",
    "getbit b 100",
    "getbit b 101",
    "getbit b 4294967295",
    "getbit b 4294967296",
    "getbit b -1",
    "getbit b x",
    "getbit none 0",
    "setbit b -1 1",
    "setbit b x 1",
    "setbit b 4294967296 1",
    "setbit b 0 2",
    "setbit b 0 -1",
    "setbit b 0 x",
    "setbit b 0 01",
    "setbit b 0",
    "setbit fresh 0 0",
    "strlen fresh",
    "rpush list a",
    "setbit list 0 1",
    "setbit list x 1",
    "getbit list 0",
    "bitcount list",
    "bitcount list 0",
    "bitpos list 1",
    "bitpos list 2",
    "bitfield list get u8 0",
    "bitfield list set u8 0 1",
    "bitfield_ro list get u8 0",
    "bitop and to list b",
    "set s foobar",
    "bitcount s",
    "bitcount s 0 0",
    "bitcount s 1 1",
    "bitcount s 1 -2",
    "bitcount s -100 100",
    "bitcount s -2 -3",
    "bitcount s -2 -3 foo",
    "bitcount s 3 1",
    "bitcount s 1 1 byte",
    "bitcount s 5 30 bit",
    "bitcount s 5 5 BIT",
    "bitcount s 0 -1 bit",
    "bitcount s -9 -3 bit",
    "bitcount s 0 1 foo",
    "bitcount s 0",
    "bitcount s 0 x",
    "bitcount s x 0",
    "bitcount s 0 1 bit more",
    "bitcount s 9223372036854775807 -9223372036854775808",
    "bitcount s -9223372036854775808 9223372036854775807 bit",
    "bitcount none",
    "bitcount none 0",
    "bitcount none x y",
    "set p \\xff\\xf0\\x00",
    "bitpos p 0",
    "bitpos p 1",
    "bitpos p 1 2",
    "bitpos p 0 1 1",
    "bitpos p 0 1",
    "bitpos p 1 1 -1",
    "bitpos p 1 -3 -2",
    "bitpos p 0 3 9 bit",
    "bitpos p 0 3 13 BIT",
    "bitpos p 1 12 -1 bit",
    "bitpos p 1 4 -1 bit",
    "bitpos p 0 0 -1 byte",
    "bitpos p 0 0 -1 foo",
    "bitpos p 0 x",
    "bitpos p 0 0 x",
    "bitpos p 0 0 x bit",
    "bitpos p 0 0 x foo",
    "bitpos p 2",
    "bitpos p x",
    "bitpos p 0 5 2",
    "bitpos p 0 0 1 bit more",
    "bitpos none 0",
    "bitpos none 1",
    "bitpos none 1 x",
    "set ones \\xff\\xff",
    "bitpos ones 0",
    "bitpos ones 0 0",
    "bitpos ones 0 0 -1",
    "bitpos ones 0 0 -1 bit",
    "bitpos ones 0 9",
    "bitpos ones 1 9",
    "bitpos ones 0 -1",
    "set empty _",
    "bitpos empty 0",
    "bitpos empty 1",
    "bitpos empty 0 0",
    "bitcount empty",
    "bitcount empty 0 -1 bit",
    "set a \\xff\\x0f\\x33\\x01",
    "set c \\x55\\xaa",
    "set d \\x01\\x02\\x03",
    "bitop and to a c",
    "get to",
    "bitop or to a c d",
    "get to",
    "bitop XOR to a c d",
    "get to",
    "bitop not to a",
    "get to",
    "bitop not to a c",
    "bitop and to a none",
    "get to",
    "bitop and to none other",
    "exists to",
    "bitop or to none a none",
    "get to",
    "bitop not to none",
    "exists to",
    "bitop foo to a",
    "bitop foo to list",
    "bitop and a a c",
    "get a",
    "expire a 1000",
    "bitop or a a c",
    "ttl a",
    "bitop or list a",
    "type list",
    "bitop and x",
    "bitfield f set u8 0 255 get u8 0 incrby u8 0 10",
    "bitfield f overflow sat incrby u8 0 300 overflow fail incrby u8 0 1 overflow wrap incrby u8 0 1",
    "get f",
    "bitfield f set i8 #1 -100 incrby i8 #1 -100",
    "bitfield f incrby i5 100 1 get u4 0",
    "bitfield f overflow fail set u4 3 -1 set u4 3 15 set u4 3 16",
    "bitfield f overflow sat set i4 3 100 set i4 3 -100 get i4 3 set u4 3 -1 get u4 3",
    "bitfield f set i64 1 -9223372036854775808 get i64 1 incrby i64 1 -1 get u63 2",
    "bitfield f overflow sat incrby i64 1 -9 incrby i64 1 9223372036854775807 incrby i64 1 9223372036854775807",
    "bitfield f set u63 7 9223372036854775807 incrby u63 7 9223372036854775807",
    "bitfield f overflow sat incrby u63 7 9223372036854775807 overflow fail incrby u63 7 -9223372036854775808",
    "bitfield f get i1 3 set i1 3 1 get i1 3 get u1 3",
    "get f",
    "strlen f",
    "bitfield f",
    "bitfield none",
    "exists none",
    "bitfield none get u8 0 get i64 4000",
    "exists none",
    "bitfield grown overflow fail incrby u8 100 300",
    "strlen grown",
    "bitfield f overflow foo",
    "bitfield f overflow",
    "bitfield f get",
    "bitfield f get u8",
    "bitfield f set u8 0",
    "bitfield f foo",
    "bitfield f get u64 0",
    "bitfield f get i65 0",
    "bitfield f get u0 0",
    "bitfield f get x8 0",
    "bitfield f get u08 0",
    "bitfield f get u8 -1",
    "bitfield f get u8 x",
    "bitfield f get u8 #-1",
    "bitfield f get u8 #x",
    "bitfield f get u8 4294967296",
    "bitfield f set u8 0 x",
    "bitfield f get u8 0 set u8 0 x",
    "bitfield_ro f get u8 0 get i9 3",
    "bitfield_ro f set u8 0 1",
    "bitfield_ro f",
    "bitfield_ro none get u8 0",
    "bitfield_ro f foo",
    "expire f 1000",
    "setbit f 3 1",
    "append f x",
    "setrange f 2 yz",
    "ttl f",
    "get f",
    "set n 12",
    "setbit n 1 1",
    "get n",
];

#[test]
fn replies_are_those_of_redis_with_any_number_of_shards() {
    assert_same(&[], LINES);
}

#[test]
fn bitop_has_the_operations_of_redis_8() {
    let server = Server::small();
    let mut client = server.client();
    for (key, bytes) in [("{b}a", [0xf0, 0xff]), ("{b}b", [0x3c, 0x0f]), ("{b}c", [0x66, 0x00])] {
        client.call(&[b"set", key.as_bytes(), &bytes]);
    }
    let mut made = |operation: &str| {
        line(&mut client, &format!("bitop {operation} {{b}}to {{b}}a {{b}}b {{b}}c"));
        line(&mut client, "get {b}to")
    };
    assert_eq!(made("diff"), Value::Bulk(vec![0x80, 0xf0]));
    assert_eq!(made("diff1"), Value::Bulk(vec![0x0e, 0x00]));
    assert_eq!(made("andor"), Value::Bulk(vec![0x70, 0x0f]));
    assert_eq!(made("one"), Value::Bulk(vec![0x8a, 0xf0]));
    for operation in ["DIFF", "DIFF1", "ANDOR"] {
        let text = format!("ERR BITOP {operation} must be called with at least two source keys.");
        assert_eq!(line(&mut client, &format!("bitop {} to a", operation.to_lowercase())).error(), text);
    }
}

#[test]
fn events_are_no_longer_than_what_has_changed() {
    let server = Server::small();
    let mut client = server.client();
    for text in [
        "setbit b 80003 1",
        "setbit b 80003 1",
        "setbit b 9 1",
        "bitfield b get u8 0",
        "bitfield b set u8 16 65 set u8 16 65 incrby u16 24 1",
        "append b xyz",
        "append fresh abc",
        "setrange fresh 1 Z",
        "setrange fresh 1 _",
    ] {
        let words: Vec<&str> = text.split(' ').map(|word| if word == "_" { "" } else { word }).collect();
        client.call(&words);
    }
    let events: Vec<String> = client.event_lines().iter().map(|line| line.escape_default().to_string()).collect();
    assert_eq!(
        events,
        [
            "SETRANGE b 10000 \\u{10}",
            "SETRANGE b 1 @",
            "SETRANGE b 2 A",
            "SETRANGE b 3 \\u{0}\\u{1}",
            "SETRANGE b 10001 xyz",
            "SET fresh abc",
            "SETRANGE fresh 1 Z",
        ]
    );
}

#[test]
fn bitmaps_last_and_their_memory_is_what_is_counted() {
    let directory = scratch("bitmaps-last");
    let dir = directory.to_str().expect("a path of this test");
    let state = |client: &mut Client| -> Vec<Value> {
        ["get {b}1", "get {b}2", "get small", "bitcount {b}1"].iter().map(|text| line(client, text)).collect()
    };
    let server = Server::start(&["--shards", "2", "--ring-bytes", "1m", "--dir", dir]);
    let mut client = server.client();
    // Longer than a ring: what is recorded of it is not.
    line(&mut client, "setbit {b}1 16000000 1");
    for at in 0..300 {
        line(&mut client, &format!("setbit {{b}}1 {} 1", at * 7919));
        line(&mut client, &format!("bitfield {{b}}2 incrby u6 {} 5", at * 11 % 64));
        line(&mut client, &format!("setbit small {} 1", at % 90));
    }
    line(&mut client, "save");
    line(&mut client, "setbit {b}1 5 1");
    line(&mut client, "append {b}2 x");
    let before = state(&mut client);
    assert_eq!(before[3], Value::Integer(302));
    let checked = line(&mut client, "memory check");
    assert!(!matches!(checked, Value::Error(_)), "{checked:?}");
    drop((client, server));
    for shards in ["2", "3"] {
        let server = Server::start(&["--shards", shards, "--ring-bytes", "1m", "--dir", dir]);
        assert_eq!(state(&mut server.client()), before, "{shards} shards");
    }
}
