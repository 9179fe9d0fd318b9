//! CLUSTER, READONLY, READWRITE, ASKING: refused as by a Redis without a cluster.

use crate::access::Category;
use crate::command::{Access, Command, Flag, Keys, Run};

const fn cluster(name: &'static str, arity: i32, flags: &'static [Flag], summary: &'static str) -> Command {
    Command {
        name,
        arity,
        flags,
        keys: Keys::None,
        access: Access::NONE,
        summary,
        group: "cluster",
        run: Run::Session(|_, _, reply| reply.error("ERR This instance has cluster support disabled")),
    }
}

/// A subcommand of CLUSTER.
const fn subcommand(name: &'static str, arity: i32, flags: &'static [Flag]) -> Command {
    cluster(name, arity, flags, "Refused: this server is not a cluster.")
}

const ADMIN: &[Flag] = &[Flag::Admin];

pub static CLUSTER: Command = Command {
    name: "cluster",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Cluster commands; this server is not a cluster.",
    group: "cluster",
    run: Run::Container(&[
        &subcommand("cluster|addslots", -3, ADMIN),
        &subcommand("cluster|addslotsrange", -4, ADMIN),
        &subcommand("cluster|bumpepoch", 2, ADMIN),
        &subcommand("cluster|count-failure-reports", 3, ADMIN),
        &subcommand("cluster|countkeysinslot", 3, &[]),
        &subcommand("cluster|delslots", -3, ADMIN),
        &subcommand("cluster|delslotsrange", -4, ADMIN),
        &subcommand("cluster|failover", -2, ADMIN),
        &subcommand("cluster|flushslots", 2, ADMIN),
        &subcommand("cluster|forget", 3, ADMIN),
        &subcommand("cluster|getkeysinslot", 4, &[]),
        &subcommand("cluster|help", 2, &[]),
        &subcommand("cluster|info", 2, &[]),
        &subcommand("cluster|keyslot", 3, &[]),
        &subcommand("cluster|links", 2, &[]),
        &subcommand("cluster|meet", -4, ADMIN),
        &subcommand("cluster|myid", 2, &[]),
        &subcommand("cluster|nodes", 2, &[]),
        &subcommand("cluster|replicas", 3, ADMIN),
        &subcommand("cluster|replicate", 3, ADMIN),
        &subcommand("cluster|reset", -2, ADMIN),
        &subcommand("cluster|saveconfig", 2, ADMIN),
        &subcommand("cluster|set-config-epoch", 3, ADMIN),
        &subcommand("cluster|setslot", -4, ADMIN),
        &subcommand("cluster|shards", 2, &[]),
        &subcommand("cluster|slaves", 3, ADMIN),
        &subcommand("cluster|slots", 2, &[]),
    ]),
};

/// A command about the connection to a cluster.
const fn of_connection(name: &'static str) -> Command {
    Command {
        access: Access::NONE.in_categories(&[Category::Connection]),
        ..cluster(name, 1, &[Flag::Fast], "Refused: this server is not a cluster.")
    }
}

pub static READONLY: Command = of_connection("readonly");
pub static READWRITE: Command = of_connection("readwrite");
pub static ASKING: Command = of_connection("asking");
