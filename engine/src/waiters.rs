//! The waiters of one shard's keys: which command is served first when a key gets the value that it waits for.
//!
//! A waiter is a command's number on the core that runs it. It may wait for several keys of this shard, and for keys of
//! other shards under the same number. Nothing here knows commands, clients or values: the shard reports that a key got a
//! value ([`Waiters::signal`]), and the core serves the waiters of the keys that are ready.
//!
//! A waiter costs nothing until one of its keys gets a value. A key that gets a value without waiters costs one look-up,
//! and nothing while the shard has no waiters at all.

use crate::position::ShardId;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// A command that waits for keys: the core that runs it, and its number there, which that core uses once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaiterId {
    /// The core.
    pub core: ShardId,
    /// The command's number on that core.
    pub number: u64,
}

/// The type of value that a command waits for. A key has the waiters of each by themselves: a sorted set serves nobody who
/// waits for a list. What the first waiter takes of a list or a sorted set is not there for the next one; of a Redis stream
/// every waiter gets what is new to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A list.
    List,
    /// A sorted set.
    Sorted,
    /// A Redis stream, with an entry that the command has not seen.
    RedisStream,
}

/// The number of these types.
const AWAITED: usize = 3;

/// The waiters of the keys of one shard.
#[derive(Debug, Default)]
pub struct Waiters {
    by_key: HashMap<Box<[u8]>, KeyWaiters>,
    by_id: HashMap<WaiterId, Waiter>,
    next_order: u64,
    /// The keys whose waiters are to be served, oldest first, each once.
    ready: VecDeque<Box<[u8]>>,
}

/// The waiters of one key.
#[derive(Debug, Default)]
struct KeyWaiters {
    /// For each type of value, by the order in which they began to wait.
    waiters: [BTreeMap<u64, WaiterId>; AWAITED],
    /// Whether the key is in [`Waiters::ready`].
    is_ready: bool,
}

/// One waiter.
#[derive(Debug)]
struct Waiter {
    /// Its place among all waiters of the shard: it is the same for each of its keys.
    order: u64,
    awaited: Awaited,
    keys: Vec<Box<[u8]>>,
}

impl Waiters {
    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The number of waiters.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Lets a command wait for such a value of these keys, behind the present waiters of each. A command that waits already
    /// keeps its place and its keys.
    pub fn add<'k>(&mut self, id: WaiterId, awaited: Awaited, keys: impl Iterator<Item = &'k [u8]>) {
        if self.by_id.contains_key(&id) {
            return;
        }
        let order = self.next_order;
        self.next_order += 1;
        let mut own: Vec<Box<[u8]>> = Vec::new();
        for key in keys {
            let of_key = self.by_key.entry(key.into()).or_default();
            // A key that the command names twice counts once.
            if of_key.waiters[awaited as usize].insert(order, id).is_none() {
                own.push(key.into());
            }
        }
        if !own.is_empty() {
            self.by_id.insert(id, Waiter { order, awaited, keys: own });
        }
    }

    /// Ends the wait of a command for all of its keys. Keys that others wait for become ready: those may have waited
    /// behind this command.
    pub fn remove(&mut self, id: WaiterId) {
        let Some(Waiter { order, awaited, keys }) = self.by_id.remove(&id) else { return };
        for key in keys {
            let Some(of_key) = self.by_key.get_mut(&key) else { continue };
            of_key.waiters[awaited as usize].remove(&order);
            if of_key.waiters.iter().all(BTreeMap::is_empty) {
                if of_key.is_ready {
                    self.ready.retain(|ready| *ready != key);
                }
                self.by_key.remove(&key);
            } else if awaited != Awaited::RedisStream {
                // Those who wait for a stream stand in nobody's way.
                self.signal(&key);
            }
        }
    }

    /// Notes that a key has got a value. Does nothing if no command waits for it.
    #[inline]
    pub fn signal(&mut self, key: &[u8]) {
        if !self.by_id.is_empty() {
            self.signal_waiters(key);
        }
    }

    /// Notes that all keys have lost such a value.
    pub fn signal_all(&mut self, awaited: Awaited) {
        let waits = |of_key: &KeyWaiters| !of_key.waiters[awaited as usize].is_empty();
        let keys = self.by_key.iter().filter(|(_, of_key)| waits(of_key)).map(|(key, _)| key.clone());
        let keys: Vec<Box<[u8]>> = keys.collect();
        keys.iter().for_each(|key| self.signal(key));
    }

    fn signal_waiters(&mut self, key: &[u8]) {
        if let Some(of_key) = self.by_key.get_mut(key)
            && !of_key.is_ready
        {
            of_key.is_ready = true;
            self.ready.push_back(key.into());
        }
    }

    /// Whether waiters are to be served.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next key whose waiters are to be served, in the order in which the keys became ready.
    pub fn take_ready(&mut self) -> Option<Box<[u8]>> {
        let key = self.ready.pop_front()?;
        if let Some(of_key) = self.by_key.get_mut(&key) {
            of_key.is_ready = false;
        }
        Some(key)
    }

    /// The command that has waited longest for such a value of a key.
    pub fn first(&self, key: &[u8], awaited: Awaited) -> Option<WaiterId> {
        self.by_key.get(key)?.waiters[awaited as usize].values().next().copied()
    }

    /// All commands that wait for such a value of a key, the one that has waited longest first.
    pub fn all(&self, key: &[u8], awaited: Awaited) -> Vec<WaiterId> {
        self.by_key
            .get(key)
            .map_or_else(Vec::new, |of_key| of_key.waiters[awaited as usize].values().copied().collect())
    }

    /// Whether a command may take of a key's value: no other command has waited longer. `None` is a command that does not
    /// wait yet.
    pub fn is_next(&self, key: &[u8], awaited: Awaited, id: Option<WaiterId>) -> bool {
        self.by_id.is_empty() || self.first(key, awaited).is_none_or(|first| Some(first) == id)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: u64) -> WaiterId {
        WaiterId { core: ShardId((number % 3) as u16), number }
    }

    #[test]
    fn the_first_waiter_of_a_key_is_the_oldest_one_that_is_left() {
        let mut waiters = Waiters::default();
        waiters.add(id(5), Awaited::List, [&b"a"[..], b"b"].into_iter());
        waiters.add(id(1), Awaited::List, [&b"b"[..], b"b"].into_iter());
        waiters.add(id(5), Awaited::List, [&b"c"[..]].into_iter());
        let first = |waiters: &Waiters, key: &[u8]| waiters.first(key, Awaited::List);
        assert_eq!([&b"a"[..], b"b", b"c"].map(|key| first(&waiters, key)), [Some(id(5)), Some(id(5)), None]);
        let is_next = |key: &[u8], id| waiters.is_next(key, Awaited::List, id);
        assert!(!is_next(b"b", None) && is_next(b"b", Some(id(5))) && is_next(b"c", None));
        waiters.remove(id(5));
        assert_eq!((first(&waiters, b"a"), first(&waiters, b"b")), (None, Some(id(1))));
        assert_eq!((waiters.take_ready().as_deref(), waiters.take_ready()), (Some(&b"b"[..]), None));
    }

    #[test]
    fn a_key_is_ready_once_and_only_for_waiters() {
        let mut waiters = Waiters::default();
        waiters.signal(b"a");
        assert!(!waiters.has_ready());
        waiters.add(id(1), Awaited::List, [&b"a"[..], b"b"].into_iter());
        ["b", "a", "b", "other"].iter().for_each(|key| waiters.signal(key.as_bytes()));
        assert_eq!(waiters.take_ready().as_deref(), Some(&b"b"[..]));
        waiters.remove(id(1));
        assert_eq!((waiters.take_ready(), waiters.is_empty(), waiters.by_key.len()), (None, true, 0));
    }

    /// What the waiters are compared with: lists that are searched from their beginning.
    #[derive(Default)]
    struct Model {
        waiters: Vec<(WaiterId, Awaited, Vec<u8>)>,
        ready: Vec<u8>,
    }

    impl Model {
        fn signal(&mut self, key: u8) {
            if self.waiters.iter().any(|(_, _, keys)| keys.contains(&key)) && !self.ready.contains(&key) {
                self.ready.push(key);
            }
        }

        fn remove(&mut self, id: WaiterId) {
            let Some(place) = self.waiters.iter().position(|(other, ..)| *other == id) else { return };
            let (_, _, mut keys) = self.waiters.remove(place);
            let is_wanted = |key: &u8| self.waiters.iter().any(|(_, _, keys)| keys.contains(key));
            self.ready.retain(is_wanted);
            // As `add` counts a key that is named twice.
            let mut seen = Vec::new();
            keys.retain(|key| {
                !seen.contains(key) && {
                    seen.push(*key);
                    true
                }
            });
            keys.into_iter().for_each(|key| self.signal(key));
        }
    }

    proptest! {
        #[test]
        fn waiters_are_first_in_the_order_in_which_they_came(
            steps in proptest::collection::vec((0u8..4, 0u64..8, proptest::collection::vec(0u8..4, 1..4)), 0..80),
        ) {
            let (mut waiters, mut model) = (Waiters::default(), Model::default());
            for (step, number, keys) in steps {
                match step {
                    0 => {
                        let awaited = if number % 2 == 0 { Awaited::List } else { Awaited::Sorted };
                        waiters.add(id(number), awaited, keys.iter().map(std::slice::from_ref));
                        if !model.waiters.iter().any(|(other, ..)| *other == id(number)) {
                            model.waiters.push((id(number), awaited, keys));
                        }
                    }
                    1 => {
                        waiters.remove(id(number));
                        model.remove(id(number));
                    }
                    2 => {
                        waiters.signal(&keys[..1]);
                        model.signal(keys[0]);
                    }
                    _ => {
                        let wanted = (!model.ready.is_empty()).then(|| model.ready.remove(0));
                        prop_assert_eq!(waiters.take_ready().map(|key| key[0]), wanted);
                    }
                }
                prop_assert_eq!(waiters.len(), model.waiters.len());
                for (key, awaited) in (0u8..4).flat_map(|key| [(key, Awaited::List), (key, Awaited::Sorted)]) {
                    let waits = |(_, other, keys): &&(_, Awaited, Vec<u8>)| *other == awaited && keys.contains(&key);
                    let first = model.waiters.iter().find(waits).map(|(id, ..)| *id);
                    prop_assert_eq!(waiters.first(&[key], awaited), first);
                    prop_assert!(waiters.is_next(&[key], awaited, first));
                    prop_assert_eq!(waiters.is_next(&[key], awaited, Some(id(99))), first.is_none());
                }
            }
            // Nothing is left over.
            (0..8).for_each(|number| waiters.remove(id(number)));
            prop_assert!(waiters.is_empty() && waiters.by_key.is_empty() && waiters.take_ready().is_none());
        }
    }
}
