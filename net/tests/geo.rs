//! Places beside redis-server: the same replies, to the digit.

mod common;

use common::Server;
use common::beside::{Raw, assert_same, words};
use common::redis::Redis;

const LINES: &[&str] = &[
    "geoadd s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    "geoadd s 13.361389 38.115556 Palermo",
    "geoadd s ch 13.361389 38.2 Palermo",
    "geoadd s nx 1 1 Palermo 12.758489 38.788135 edge1 17.241510 38.788135 edge2",
    "geoadd s xx ch 13.361389 38.115556 Palermo 1 1 none",
    "geoadd s nx xx 1 1 a",
    "geoadd s 1 1",
    "geoadd s 1 1 a 1",
    "geoadd s 181 1 a",
    "geoadd s 1 86 a",
    "geoadd s x 1 a",
    "geoadd s 1 x a",
    "geoadd s nan 1 a",
    "geoadd s ch nx xx ch",
    "geoadd s 1 1 a 200 1 b",
    "zscore s a",
    "zrange s 0 -1 withscores",
    "geopos s Palermo Catania none",
    "geopos s",
    "geopos none a b",
    "geohash s Palermo Catania none",
    "geohash none a",
    "geodist s Palermo Catania",
    "geodist s Palermo Catania km",
    "geodist s Palermo Catania mi",
    "geodist s Palermo Catania FT",
    "geodist s Palermo Catania x",
    "geodist s Palermo Catania km more",
    "geodist s Palermo none",
    "geodist none a b",
    "geodist none a b x",
    "geodist s Palermo Palermo",
    "georadius s 15 37 200 km",
    "georadius s 15 37 200 km withdist",
    "georadius s 15 37 200 km withcoord",
    "georadius s 15 37 200 km withdist withcoord withhash desc",
    "georadius s 15 37 200 km asc count 1",
    "georadius s 15 37 200 km count 1 any",
    "georadius s 15 37 200 km any",
    "georadius s 15 37 200 km count 0",
    "georadius s 15 37 200 km count x",
    "georadius s 15 37 200 km count",
    "georadius s 15 37 200 km foo",
    "georadius s 15 37 -1 km",
    "georadius s 15 37 x km",
    "georadius s 15 37 1 x",
    "georadius s 200 37 1 km",
    "georadius none 15 37 200 km",
    "georadius none 15 37 x km",
    "georadius s 15 37 200 km store {s}to",
    "zrange {s}to 0 -1 withscores",
    "georadius s 15 37 200 km storedist {s}to",
    "zrange {s}to 0 -1 withscores",
    "georadius s 15 37 200 km storedist {s}to count 1",
    "zrange {s}to 0 -1 withscores",
    "georadius s 15 37 1 m store {s}to",
    "exists {s}to",
    "georadius s 15 37 200 km store {s}to withdist",
    "georadius s 15 37 200 km store",
    "georadius none 15 37 200 km store {s}to",
    "georadius_ro s 15 37 200 km",
    "georadius_ro s 15 37 200 km store {s}to",
    "georadiusbymember s Palermo 100 km",
    "georadiusbymember s none 100 km",
    "georadiusbymember none a 100 km",
    "georadiusbymember none a x y",
    "georadiusbymember none a x y foo",
    "georadiusbymember s Palermo 100 km withdist desc",
    "georadiusbymember s Palermo 300 km store {s}to",
    "zrange {s}to 0 -1",
    "georadiusbymember_ro s Palermo 300 km asc",
    "georadiusbymember_ro s Palermo 300 km store {s}to",
    "geosearch s fromlonlat 15 37 byradius 200 km asc",
    "geosearch s fromlonlat 15 37 bybox 400 400 km asc withcoord withdist",
    "geosearch s frommember Palermo byradius 300 km withhash",
    "geosearch s frommember Palermo bybox 300 100 mi desc",
    "geosearch s frommember none byradius 1 km",
    "geosearch none frommember none byradius 1 km",
    "geosearch none frommember none byradius x km",
    "geosearch s fromlonlat 15 37 frommember Palermo byradius 1 km",
    "geosearch s frommember Palermo fromlonlat 15 37 byradius 1 km",
    "geosearch s fromlonlat 15 37 fromlonlat 13 38 byradius 100 km",
    "geosearch s fromlonlat 15 37 byradius 1 km bybox 1 1 km",
    "geosearch s fromlonlat 15 37 bybox 1 1 km byradius 1 km",
    "geosearch s fromlonlat 15 37 asc desc asc",
    "GEOSEARCH s byradius 1 km asc count 1 any",
    "geosearch s fromlonlat 15 37 bybox 1 x km",
    "geosearch s fromlonlat 15 37 bybox x 1 km",
    "geosearch s fromlonlat 15 37 bybox -1 1 km",
    "geosearch s fromlonlat 15 37 bybox 1 1 x",
    "geosearch s fromlonlat 15 37 byradius 1 km store to",
    "geosearch s fromlonlat 15 37 byradius 1 km storedist",
    "geosearch s fromlonlat 15 37 byradius 200 km any",
    "geosearch s fromlonlat x 37 byradius 200 km any",
    "geosearch s fromlonlat 15 37 byradius 0 m",
    "geosearch s fromlonlat 15 37 byradius 200 km count 2 any withdist",
    "geosearchstore {s}to s fromlonlat 15 37 byradius 200 km",
    "zrange {s}to 0 -1 withscores",
    "geosearchstore {s}to s fromlonlat 15 37 byradius 200 km storedist",
    "zrange {s}to 0 -1 withscores",
    "geosearchstore {s}to s fromlonlat 15 37 bybox 400 400 km storedist count 1 desc",
    "zrange {s}to 0 -1 withscores",
    "geosearchstore {s}to s fromlonlat 15 37 byradius 200 km withdist",
    "geosearchstore {s}to s fromlonlat 15 37 byradius 1 m",
    "exists {s}to",
    "geosearchstore {s}to none fromlonlat 15 37 byradius 1 m",
    "geosearchstore s s fromlonlat 15 37 byradius 200 km",
    "zcard s",
    "zadd odd -5 negative 1e300 huge 4503599627370496 edge 0 zero inf inf",
    "geopos odd negative edge zero",
    "geohash odd edge zero",
    "geosearch odd fromlonlat 0 0 byradius 30000 km asc",
    "set str v",
    "geoadd str 1 1 a",
    "geopos str a",
    "geodist str a b",
    "geohash str a",
    "georadius str 1 1 1 km",
    "georadius str x 1 1 km",
    "geosearch str fromlonlat 1 1 byradius 1 km",
    "geosearchstore {s}to str fromlonlat 1 1 byradius 1 km",
    "geosearchstore str s fromlonlat 15 37 byradius 200 km",
    "type str",
    "geoadd s 180 85.05112878 ne -180 -85.05112878 sw 0 0 zero",
    "geopos s ne sw zero",
    "geohash s ne sw zero",
    "zrange s 0 -1 withscores",
];

#[test]
fn replies_are_those_of_redis_with_any_number_of_shards() {
    assert_same(&[], LINES);
}

#[test]
fn whatever_is_looked_for_is_found_in_the_same_order() {
    let (redis, server) = (Redis::start(&[]), Server::start(&["--shards", "2", "--ring-bytes", "4m"]));
    let (theirs, ours) = (redis.client(), server.client());
    let (mut theirs, mut ours) = (Raw::of(&theirs), Raw::of(&ours));
    let mut both = |text: &str| {
        let (expected, found) = (theirs.call(&words(text)), ours.call(&words(text)));
        assert!(expected == found, "{text}\n  {}\n  {}", expected.escape_ascii(), found.escape_ascii());
    };
    let mut rng = fastrand::Rng::with_seed(7);
    let mut place = |scale: f64| ((rng.f64() - 0.5) * 360.0 * scale, (rng.f64() - 0.5) * 170.0 * scale);
    for n in 0..600 {
        let (longitude, latitude) = place([1.0, 0.1, 0.001][n % 3]);
        both(&format!("geoadd places {longitude} {latitude} m{n}"));
    }
    for n in 0..400 {
        let (longitude, latitude) = place([1.0, 0.1, 0.01][n % 3]);
        let size = [1.0, 20.0, 700.0, 4_000.0][n % 4] * (1.0 + n as f64 / 100.0);
        let form = match n % 5 {
            0..3 => format!("byradius {size} km"),
            _ => format!("bybox {size} {} km", size / 3.0),
        };
        let order = ["", "asc withdist", "desc withdist withcoord", "count 5", "count 3 any"][n % 5];
        both(&format!("geosearch places fromlonlat {longitude} {latitude} {form} {order}"));
        both(&format!("geosearch places frommember m{n} {form} {order}"));
        both(&format!("geodist places m{n} m{}", n + 100));
        both(&format!("geohash places m{n}"));
        both(&format!("geopos places m{n}"));
    }
}
