//! Commands on sorted sets.

mod add;
mod algebra;
mod get;
mod pop;
mod random;
mod range;
mod remove;
mod reply;
mod scan;
mod wait;
mod words;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &add::ZADD,
    &add::ZINCRBY,
    &get::ZSCORE,
    &get::ZMSCORE,
    &get::ZCARD,
    &get::ZCOUNT,
    &get::ZLEXCOUNT,
    &get::ZRANK,
    &get::ZREVRANK,
    &range::ZRANGE,
    &range::ZREVRANGE,
    &range::ZRANGEBYSCORE,
    &range::ZREVRANGEBYSCORE,
    &range::ZRANGEBYLEX,
    &range::ZREVRANGEBYLEX,
    &range::ZRANGESTORE,
    &remove::ZREM,
    &remove::ZREMRANGEBYRANK,
    &remove::ZREMRANGEBYSCORE,
    &remove::ZREMRANGEBYLEX,
    &pop::ZPOPMIN,
    &pop::ZPOPMAX,
    &pop::ZMPOP,
    &wait::BZPOPMIN,
    &wait::BZPOPMAX,
    &wait::BZMPOP,
    &random::ZRANDMEMBER,
    &scan::ZSCAN,
    &algebra::ZUNION,
    &algebra::ZINTER,
    &algebra::ZDIFF,
    &algebra::ZINTERCARD,
    &algebra::ZUNIONSTORE,
    &algebra::ZINTERSTORE,
    &algebra::ZDIFFSTORE,
];
