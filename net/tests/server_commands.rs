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
