//! The commands of Redis 7 and 8, and of the modules of Redis 8, that this server does not have: names and categories, so
//! that rules may name them. A file of users that was written for Redis is then taken as a whole. A command that the server
//! gets is no matter here: its own row counts.

use crate::access::Category::{
    self, Admin, Bitmap, Blocking, Connection, Dangerous, Fast, Geo, Hash, HyperLogLog, Keyspace, List, Read,
    Scripting, Set, Slow, SortedSet, Stream, String, Transaction, Write,
};

/// Each set of categories, and the names of its commands.
pub const ABSENT: &[(&[Category], &str)] = &[
    (&[Keyspace, Read, Slow], "dump object|encoding object|freq object|idletime object|refcount"),
    (&[Keyspace, Write, Fast], "move"),
    (&[Keyspace, Write, Fast, Dangerous], "swapdb"),
    (&[Keyspace, Write, Slow], "copy"),
    (&[Keyspace, Write, Slow, Dangerous], "migrate restore restore-asking"),
    (&[Keyspace, Slow], "object|help"),
    (&[Read, Set, SortedSet, List, Slow, Dangerous], "sort_ro"),
    (&[Read, SortedSet, Fast], "zcard zcount zlexcount zmscore zrank zrevrank zscore"),
    (
        &[Read, SortedSet, Slow],
        "zdiff zinter zintercard zrandmember zrange zrangebylex zrangebyscore zrevrange zrevrangebylex \
         zrevrangebyscore zscan zunion",
    ),
    (&[Read, Hash, Fast], "hexpiretime hpexpiretime hpttl httl"),
    (&[Read, String, Fast], "digest"),
    (&[Read, String, Slow], "lcs"),
    (&[Read, Bitmap, Fast], "bitfield_ro getbit"),
    (&[Read, Bitmap, Slow], "bitcount bitpos"),
    (&[Read, HyperLogLog, Slow], "pfcount"),
    (&[Read, Geo, Slow], "geodist geohash geopos georadius_ro georadiusbymember_ro geosearch"),
    (&[Read, Stream, Fast], "xlen"),
    (&[Read, Stream, Slow], "xinfo|consumers xinfo|groups xinfo|stream xpending xrange xrevrange"),
    (&[Read, Stream, Slow, Blocking], "xread"),
    (
        &[Read, Fast],
        "bf.card bf.exists bf.info bf.mexists cf.count cf.exists cf.info cf.mexists cms.info lolwut \
         tdigest.byrank tdigest.byrevrank tdigest.cdf tdigest.info tdigest.max tdigest.min tdigest.quantile \
         tdigest.rank tdigest.revrank tdigest.trimmed_mean topk.info topk.query ts.get ts.info vcard vdim vemb \
         vgetattr vinfo vismember vlinks vrandmember",
    ),
    (
        &[Read, Slow],
        "bf.scandump cf.compact cf.scandump cms.query ft._list ft.aggregate ft.cursor ft.dictdump ft.explain \
         ft.explaincli ft.hybrid ft.info ft.profile ft.search ft.spellcheck ft.sugget ft.suglen ft.syndump \
         ft.tagvals json.arrindex json.arrlen json.debug json.get json.mget json.objkeys json.objlen json.resp \
         json.strlen json.type memory|usage topk.count topk.list ts.mget ts.mrange ts.mrevrange ts.queryindex \
         ts.range ts.revrange vrange vsim",
    ),
    (&[Write, Set, SortedSet, List, Slow, Dangerous], "sort"),
    (&[Write, Set, Slow], "sdiffstore sinterstore sunionstore"),
    (&[Write, SortedSet, Fast], "zadd zincrby zpopmax zpopmin zrem"),
    (&[Write, SortedSet, Fast, Blocking], "bzpopmax bzpopmin"),
    (
        &[Write, SortedSet, Slow],
        "zdiffstore zinterstore zmpop zrangestore zremrangebylex zremrangebyrank zremrangebyscore zunionstore",
    ),
    (&[Write, SortedSet, Slow, Blocking], "bzmpop"),
    (&[Write, List, Slow], "lmpop"),
    (&[Write, List, Slow, Blocking], "blmove blmpop blpop brpop brpoplpush"),
    (&[Write, Hash, Fast], "hexpire hexpireat hgetdel hgetex hpersist hpexpire hpexpireat hsetex"),
    (&[Write, String, Slow], "delex msetex"),
    (&[Write, Bitmap, Slow], "bitfield bitop setbit"),
    (&[Write, HyperLogLog, Admin, Slow, Dangerous], "pfdebug"),
    (&[Write, HyperLogLog, Fast], "pfadd"),
    (&[Write, HyperLogLog, Slow], "pfmerge"),
    (&[Write, Geo, Slow], "geoadd georadius georadiusbymember geosearchstore"),
    (&[Write, Stream, Fast], "xack xackdel xadd xautoclaim xclaim xdel xdelex xsetid"),
    (
        &[Write, Stream, Slow],
        "xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy xgroup|setid xtrim",
    ),
    (&[Write, Stream, Slow, Blocking], "xreadgroup"),
    (
        &[Write, Fast],
        "bf.add bf.insert bf.madd bf.reserve cf.add cf.addnx cf.del cf.insert cf.insertnx cf.reserve \
         cms.initbydim cms.initbyprob tdigest.create tdigest.reset topk.reserve ts.add ts.alter ts.create \
         ts.createrule ts.decrby ts.deleterule ts.incrby ts.madd",
    ),
    (
        &[Write, Slow],
        "bf.loadchunk cf.loadchunk cms.incrby cms.merge ft.aliasadd ft.aliasdel ft.aliasupdate ft.alter ft.create \
         ft.dictadd ft.dictdel ft.dropindex ft.sugadd ft.sugdel ft.synupdate json.arrappend json.arrinsert \
         json.arrpop json.arrtrim json.clear json.del json.forget json.merge json.mset json.numincrby \
         json.nummultby json.set json.strappend json.toggle tdigest.add tdigest.merge topk.add topk.incrby ts.del \
         vadd vrem vsetattr",
    ),
    (&[Write, Slow, Scripting], "function|delete function|flush function|load function|restore"),
    (&[HyperLogLog, Admin, Slow, Dangerous], "pfselftest"),
    (&[Stream, Slow], "xgroup|help xinfo|help"),
    (&[Admin, Fast, Dangerous], "role"),
    (
        &[Admin, Slow, Dangerous],
        "bgrewriteaof failover ft.config latency|doctor latency|graph latency|histogram latency|history \
         latency|latest latency|reset module|load module|loadex module|unload psync replconf replicaof \
         slaveof sync",
    ),
    (&[Admin, Slow, Dangerous, Connection], "client|unblock"),
    (&[Fast, Transaction], "unwatch watch"),
    (
        &[Slow],
        "cluster|myshardid cluster|slot-stats latency latency|help memory memory|doctor memory|help \
         memory|malloc-stats memory|purge memory|stats object xgroup \
         xinfo",
    ),
    (&[Slow, Blocking, Connection], "wait waitaof"),
    (&[Slow, Connection], "command|getkeysandflags"),
    (
        &[Slow, Scripting],
        "function|dump function|help function|kill function|list function|stats script|debug script|exists \
         script|flush script|help script|kill script|load",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_name_is_there_once_in_lower_case_and_each_subcommand_has_a_container() {
        let mut names = HashSet::new();
        for name in ABSENT.iter().flat_map(|(_, names)| names.split_ascii_whitespace()) {
            assert!(names.insert(name) && name == name.to_ascii_lowercase(), "{name}");
        }
        let is_known =
            |name: &str| names.contains(name) || super::super::table::TABLE.by_full_name(name.as_bytes()).is_some();
        for (outer, _) in names.iter().filter_map(|name| name.split_once('|')) {
            assert!(is_known(outer), "{outer}");
        }
    }
}
