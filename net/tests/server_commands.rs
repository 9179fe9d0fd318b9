//! Commands about the server whose replies are those of an idle redis-server.

mod common;

use common::Server;
use common::redis::Redis;

#[test]
fn an_idle_server_answers_as_redis_does() {
    let redis = Redis::start(&[]);
    let server = Server::start(&["--ring-bytes", "1m"]);
    let commands = [
        "role",
        "role x",
        "replicaof no one",
        "REPLICAOF NO ONE",
        "slaveof no one",
        "replicaof no",
        "latency latest",
        "latency history command",
        "latency reset",
        "latency reset command fork",
        "latency doctor",
        "latency histogram nosuch",
        "wait 0 0",
        "wait 3 10",
        "wait a 1",
        "wait 1 x",
        "wait 1 -1",
        "wait 1",
        "command getkeysandflags set a b",
        "command getkeysandflags set a b get",
        "command getkeysandflags get a",
        "command getkeysandflags del a b",
        "command getkeysandflags zunionstore d 2 a b",
        "command getkeysandflags lmove a b left right",
        "command getkeysandflags nosuch a",
        "command getkeysandflags ping",
        "command list filterby pattern xinfo|s*",
        "command list filterby pattern host:",
        "command info host: post",
        "latency graph command",
        "latency",
        "latency nosuch",
        "config get latency-monitor-threshold",
        "config set latency-monitor-threshold 0",
    ];
    for version in ["2", "3"] {
        let mut clients = [server.client(), redis.client()];
        for command in commands {
            let [own, wanted] = clients.each_mut().map(|client| {
                client.call(&["hello", version]);
                client.call(&command.split(' ').collect::<Vec<_>>())
            });
            assert_eq!(own, wanted, "{command}");
        }
    }
    let mut client = server.client();
    assert!(client.call(&["lolwut"]).text().starts_with("Redis ver. "));
    assert_eq!(
        client.call(&["replicaof", "127.0.0.1", "1"]).error(),
        "ERR this server cannot be a replica of another one"
    );
}
