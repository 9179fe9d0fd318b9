//! Commands on sorted sets whose scores are places on the earth.

mod add;
mod get;
mod radius;
mod search;
mod words;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &add::GEOADD,
    &get::GEODIST,
    &get::GEOHASH,
    &get::GEOPOS,
    &search::GEOSEARCH,
    &search::GEOSEARCHSTORE,
    &radius::GEORADIUS,
    &radius::GEORADIUS_RO,
    &radius::GEORADIUSBYMEMBER,
    &radius::GEORADIUSBYMEMBER_RO,
];
