//! CLUSTER, READONLY, READWRITE, ASKING: refused as by a Redis without a cluster.

use crate::command::{Command, Flag, Keys, Run};

const fn cluster(name: &'static str, arity: i32, flags: &'static [Flag], summary: &'static str) -> Command {
    Command {
        name,
        arity,
        flags,
        keys: Keys::None,
        summary,
        group: "cluster",
        run: Run::Session(|_, _, reply| reply.error("ERR This instance has cluster support disabled")),
    }
}

/// A subcommand of CLUSTER.
const fn subcommand(name: &'static str, arity: i32) -> Command {
    cluster(name, arity, &[], "Refused: this server is not a cluster.")
}

pub static CLUSTER: Command = Command {
    name: "cluster",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    summary: "Cluster commands; this server is not a cluster.",
    group: "cluster",
    run: Run::Container(&[
        &subcommand("cluster|addslots", -3),
        &subcommand("cluster|addslotsrange", -4),
        &subcommand("cluster|bumpepoch", 2),
        &subcommand("cluster|count-failure-reports", 3),
        &subcommand("cluster|countkeysinslot", 3),
        &subcommand("cluster|delslots", -3),
        &subcommand("cluster|delslotsrange", -4),
        &subcommand("cluster|failover", -2),
        &subcommand("cluster|flushslots", 2),
        &subcommand("cluster|forget", 3),
        &subcommand("cluster|getkeysinslot", 4),
        &subcommand("cluster|help", 2),
        &subcommand("cluster|info", 2),
        &subcommand("cluster|keyslot", 3),
        &subcommand("cluster|links", 2),
        &subcommand("cluster|meet", -4),
        &subcommand("cluster|myid", 2),
        &subcommand("cluster|nodes", 2),
        &subcommand("cluster|replicas", 3),
        &subcommand("cluster|replicate", 3),
        &subcommand("cluster|reset", -2),
        &subcommand("cluster|saveconfig", 2),
        &subcommand("cluster|set-config-epoch", 3),
        &subcommand("cluster|setslot", -4),
        &subcommand("cluster|shards", 2),
        &subcommand("cluster|slaves", 3),
        &subcommand("cluster|slots", 2),
    ]),
};

pub static READONLY: Command = cluster("readonly", 1, &[Flag::Fast], "Refused: this server is not a cluster.");
pub static READWRITE: Command = cluster("readwrite", 1, &[Flag::Fast], "Refused: this server is not a cluster.");
pub static ASKING: Command = cluster("asking", 1, &[Flag::Fast], "Refused: this server is not a cluster.");
