//! Values as a reader of the records rebuilds them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Text = String;

/// A value as a reader of the records rebuilds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Rebuilt {
    Hash(BTreeMap<Text, Text>),
    List(VecDeque<Text>),
    Set(BTreeSet<Text>),
    /// The texts of the scores, by member.
    Sorted(BTreeMap<Text, Text>),
    /// The entries of a Redis stream, by id; each with its words.
    RedisStream(BTreeMap<(u64, u64), Vec<Text>>),
}

impl Rebuilt {
    fn is_empty(&self) -> bool {
        match self {
            Rebuilt::Hash(map) => map.is_empty(),
            Rebuilt::List(list) => list.is_empty(),
            Rebuilt::Set(set) => set.is_empty(),
            Rebuilt::Sorted(set) => set.is_empty(),
            Rebuilt::RedisStream(_) => false,
        }
    }
}

/// The numbers of an id.
pub fn id(text: &str) -> (u64, u64) {
    let (ms, seq) = text.split_once('-').expect("an id has two numbers");
    (ms.parse().expect("a number"), seq.parse().expect("a number"))
}

/// Does to a copy of the keys what one record says.
pub fn apply(keys: &mut BTreeMap<Text, Rebuilt>, key: &str, kind: &str, parts: &[Text]) {
    if kind == "Del" {
        assert!(keys.remove(key).is_some(), "only what is there is deleted");
        return;
    }
    let fresh = match &kind[..1] {
        "H" => Rebuilt::Hash(BTreeMap::new()),
        "S" => Rebuilt::Set(BTreeSet::new()),
        "Z" => Rebuilt::Sorted(BTreeMap::new()),
        "X" => Rebuilt::RedisStream(BTreeMap::new()),
        _ => Rebuilt::List(VecDeque::new()),
    };
    let value = keys.entry(key.to_owned()).or_insert(fresh);
    let number = |at: usize| parts[at].parse::<i64>().expect("an index or a count is an integer");
    match (value, kind) {
        (Rebuilt::Hash(map), "HSet") => drop(map.insert(parts[0].clone(), parts[1].clone())),
        (Rebuilt::Hash(map), "HDel") => drop(map.remove(&parts[0]).expect("only what is there is deleted")),
        (Rebuilt::Set(set), "SAdd") => assert!(set.insert(parts[0].clone()), "only a new member is added"),
        (Rebuilt::Set(set), "SRem") => assert!(set.remove(&parts[0]), "only what is there is removed"),
        (Rebuilt::Sorted(set), "ZAdd") => {
            let before = set.insert(parts[1].clone(), parts[0].clone());
            assert_ne!(before.as_ref(), Some(&parts[0]), "only another score is set");
        }
        (Rebuilt::Sorted(set), "ZRem") => drop(set.remove(&parts[0]).expect("only what is there is removed")),
        (Rebuilt::List(list), "LPush") => list.push_front(parts[0].clone()),
        (Rebuilt::List(list), "RPush") => list.push_back(parts[0].clone()),
        (Rebuilt::List(list), "LPop") => assert_eq!(list.pop_front().as_ref(), Some(&parts[0])),
        (Rebuilt::List(list), "RPop") => assert_eq!(list.pop_back().as_ref(), Some(&parts[0])),
        (Rebuilt::List(list), "LSet") => list[number(0) as usize] = parts[1].clone(),
        (Rebuilt::List(list), "LInsert") => list.insert(number(0) as usize, parts[1].clone()),
        (Rebuilt::List(list), "LTrim") => {
            let (first, last) = (number(0), number(1));
            let kept = list.iter().enumerate().filter(|(at, _)| (first..=last).contains(&(*at as i64)));
            *list = kept.map(|(_, element)| element.clone()).collect();
        }
        (Rebuilt::List(list), "LRem") => {
            let count = number(0);
            for _ in 0..count.abs() {
                let is_it = |element: &Text| *element == parts[1];
                let found = if count > 0 { list.iter().position(is_it) } else { list.iter().rposition(is_it) };
                list.remove(found.expect("so many were removed"));
            }
        }
        (Rebuilt::RedisStream(entries), "XAdd") => {
            assert!(entries.insert(id(&parts[0]), parts[1..].to_vec()).is_none(), "only a new entry is added");
        }
        (Rebuilt::RedisStream(entries), "XDel") => parts.iter().for_each(|part| {
            entries.remove(&id(part)).expect("only what is there is deleted");
        }),
        (Rebuilt::RedisStream(entries), "XTrim") => {
            let before = entries.len();
            assert!(entries.contains_key(&id(&parts[0])), "the last one that was removed");
            entries.retain(|entry, _| *entry > id(&parts[0]));
            assert!(entries.len() < before);
        }
        (value, kind) => panic!("{kind} on {value:?}"),
    }
    if keys[key].is_empty() {
        keys.remove(key);
    }
}
