//! Channels and patterns by name: how many subscribers each core has, and which clients of this core are among them.

use super::messages::Cores;
use crate::net_ring::ConnectionId;
use indexmap::IndexSet;
use keytide_engine::filter::Pattern;
use keytide_engine::matcher::NamePatterns;
use keytide_engine::position::ShardId;
use smallvec::SmallVec;
use std::collections::HashMap;

/// The subscribers of one channel or pattern.
#[derive(Default)]
struct Subscribed {
    /// How many each core has; cores without any are left out.
    cores: SmallVec<[(ShardId, u32); 2]>,
    /// The clients of this core.
    here: IndexSet<ConnectionId>,
}

impl Subscribed {
    fn note(&mut self, core: ShardId, is_more: bool) {
        let place = self.cores.iter().position(|(known, _)| *known == core);
        match (place, is_more) {
            (Some(place), true) => self.cores[place].1 += 1,
            (None, true) => self.cores.push((core, 1)),
            (Some(place), false) if self.cores[place].1 == 1 => _ = self.cores.swap_remove(place),
            (Some(place), false) => self.cores[place].1 -= 1,
            (None, false) => debug_assert!(false, "a core has less than no subscribers"),
        }
    }

    fn add_cores(&self, cores: &mut Cores) -> u64 {
        let mut receivers = 0;
        for &(core, count) in &self.cores {
            receivers += u64::from(count);
            if !cores.contains(&core) {
                cores.push(core);
            }
        }
        receivers
    }
}

/// Channels by name.
#[derive(Default)]
pub struct Names {
    by_name: HashMap<Box<[u8]>, Subscribed, foldhash::fast::RandomState>,
}

impl Names {
    /// Adds the cores with subscribers of a channel, and returns how many there are.
    #[inline]
    pub fn add_cores(&self, name: &[u8], cores: &mut Cores) -> u64 {
        if self.by_name.is_empty() {
            return 0;
        }
        self.by_name.get(name).map_or(0, |subscribed| subscribed.add_cores(cores))
    }

    /// Notes one subscriber more or less of a core.
    pub fn note(&mut self, core: ShardId, is_more: bool, name: &[u8]) {
        if is_more {
            self.by_name.entry(name.into()).or_default().note(core, true);
        } else if let Some(subscribed) = self.by_name.get_mut(name) {
            subscribed.note(core, false);
            if subscribed.cores.is_empty() && subscribed.here.is_empty() {
                self.by_name.remove(name);
            }
        }
    }

    /// Adds a client of this core, which was noted.
    pub fn insert(&mut self, name: &[u8], connection: ConnectionId) {
        if let Some(subscribed) = self.by_name.get_mut(name) {
            subscribed.here.insert(connection);
        }
    }

    /// Removes a client of this core.
    pub fn remove(&mut self, name: &[u8], connection: ConnectionId) {
        let Some(subscribed) = self.by_name.get_mut(name) else { return };
        subscribed.here.swap_remove(&connection);
        if subscribed.cores.is_empty() && subscribed.here.is_empty() {
            self.by_name.remove(name);
        }
    }

    /// The clients of this core that are subscribed to a channel.
    pub fn here(&self, name: &[u8]) -> impl Iterator<Item = ConnectionId> {
        self.by_name.get(name).into_iter().flat_map(|subscribed| subscribed.here.iter().copied())
    }

    /// The names of channels with subscribers.
    pub fn active(&self) -> impl Iterator<Item = &[u8]> {
        self.by_name.iter().filter(|(_, subscribed)| !subscribed.cores.is_empty()).map(|(name, _)| &**name)
    }

    /// How many channels have subscribers.
    pub fn count(&self) -> usize {
        self.by_name.len()
    }
}

/// Patterns by their text, matched together.
#[derive(Default)]
pub struct Patterns {
    numbers: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    matcher: NamePatterns,
    found: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    text: Box<[u8]>,
    subscribed: Subscribed,
}

impl Patterns {
    /// Adds the cores with subscribers of patterns that match, and returns how many there are.
    #[inline]
    pub fn add_cores(&mut self, channel: &[u8], cores: &mut Cores) -> u64 {
        if self.numbers.is_empty() {
            return 0;
        }
        self.find(channel);
        self.found.iter().map(|number| self.slots[*number as usize].subscribed.add_cores(cores)).sum()
    }

    fn find(&mut self, channel: &[u8]) {
        self.found.clear();
        self.matcher.find(channel, &mut self.found);
    }

    /// Calls `each` with each pattern that matches and each client of this core that is subscribed to it.
    pub fn each_here(&mut self, channel: &[u8], mut each: impl FnMut(&[u8], ConnectionId)) {
        if self.numbers.is_empty() {
            return;
        }
        self.find(channel);
        for &number in &self.found {
            let Slot { text, subscribed } = &self.slots[number as usize];
            subscribed.here.iter().for_each(|connection| each(text, *connection));
        }
    }

    /// Notes one subscriber more or less of a core. A pattern that cannot be compiled is refused before it is noted anywhere.
    pub fn note(&mut self, core: ShardId, is_more: bool, text: &[u8]) {
        if let Some(&number) = self.numbers.get(text) {
            self.slots[number as usize].subscribed.note(core, is_more);
            self.forget_unused(number);
            return;
        }
        let Ok(pattern) = Pattern::glob(text) else { return };
        if !is_more {
            return;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        self.numbers.insert(text.into(), number);
        self.matcher.add(number, pattern);
        let slot = &mut self.slots[number as usize];
        slot.text = text.into();
        slot.subscribed.note(core, true);
    }

    fn forget_unused(&mut self, number: u32) {
        let Slot { text, subscribed } = &mut self.slots[number as usize];
        if subscribed.cores.is_empty() && subscribed.here.is_empty() {
            self.numbers.remove(&**text);
            self.slots[number as usize] = Slot::default();
            self.matcher.remove(number);
            self.free.push(number);
        }
    }

    /// Adds a client of this core, which was noted.
    pub fn insert(&mut self, text: &[u8], connection: ConnectionId) {
        if let Some(&number) = self.numbers.get(text) {
            self.slots[number as usize].subscribed.here.insert(connection);
        }
    }

    /// Removes a client of this core.
    pub fn remove(&mut self, text: &[u8], connection: ConnectionId) {
        if let Some(&number) = self.numbers.get(text) {
            self.slots[number as usize].subscribed.here.swap_remove(&connection);
            self.forget_unused(number);
        }
    }

    /// How many patterns have subscribers.
    pub fn count(&self) -> usize {
        self.numbers.len()
    }
}
