//! The table of commands beside redis-server's: what rules of users depend on is the same for each command that both have.

mod common;

use common::redis::Redis;
use common::{Client, Server, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What COMMAND says of a command, as far as rules depend on it.
#[derive(Debug, PartialEq)]
struct Row {
    has_subcommands: bool,
    categories: BTreeSet<String>,
    /// Of each group of keys that is used alike: the uses, then where the keys are.
    keys: Vec<(BTreeSet<String>, Vec<Value>)>,
}

/// All commands and subcommands, by name.
fn table(client: &mut Client) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    add(&client.call(&["command"]), &mut rows);
    rows
}

fn add(commands: &Value, rows: &mut BTreeMap<String, Row>) {
    for command in commands.values() {
        let fields = command.values();
        let words = |value: &Value| value.values().iter().map(Value::text).collect::<BTreeSet<_>>();
        let keys = fields[8].values().iter().map(|spec| {
            let field = |name: &str| {
                let place = spec.values().iter().position(|value| *value == Value::Bulk(name.into()));
                &spec.values()[place.unwrap_or_else(|| panic!("no {name} in {spec:?}")) + 1]
            };
            let mut uses = words(field("flags"));
            // Of SET, what it does with its key depends on its arguments: here too.
            uses.remove("variable_flags");
            (uses, vec![field("begin_search").clone(), field("find_keys").clone()])
        });
        let has_subcommands = !fields[9].values().is_empty();
        // The names of sharded channels, which only a cluster routes by.
        let keys = keys.filter(|(uses, _)| !uses.contains("not_key"));
        let row = Row { has_subcommands, categories: words(&fields[6]), keys: keys.collect() };
        rows.insert(fields[0].text(), row);
        add(&fields[9], rows);
    }
}

#[test]
fn categories_and_uses_of_keys_are_those_of_redis() {
    let (redis, server) = (Redis::start(&[]), Server::small());
    let (theirs, ours) = (table(&mut redis.client()), table(&mut server.client()));
    let mut compared = 0;
    for (name, row) in &ours {
        // What is refused as a whole here has neither keys nor subcommands: scripts, functions.
        let is_refused = row.categories.contains("@scripting");
        let alike = |their: &&Row| their.has_subcommands == row.has_subcommands;
        let Some(their) = theirs.get(name).filter(alike) else { continue };
        assert_eq!(row.categories, their.categories, "categories of {name}");
        assert!(is_refused || row.keys == their.keys, "keys of {name}: {:?} instead of {:?}", row.keys, their.keys);
        compared += 1;
    }
    assert!(compared > 150, "only {compared} commands were compared");
}

#[test]
fn each_category_lists_its_commands() {
    let server = Server::small();
    let mut client = server.client();
    let rows = table(&mut client);
    let categories = client.call(&["acl", "cat"]);
    for category in categories.values() {
        let category = category.text();
        let listed = client.call(&["acl", "cat", &category]);
        let listed: BTreeSet<String> = listed.values().iter().map(Value::text).collect();
        let tagged = format!("@{category}");
        let expected = rows.iter().filter(|(_, row)| row.categories.contains(&tagged)).map(|(name, _)| name.clone());
        assert_eq!(listed, expected.collect(), "{category}");
    }
    assert_eq!(categories.values().last().map(Value::text), Some("cdc".to_owned()));
}
