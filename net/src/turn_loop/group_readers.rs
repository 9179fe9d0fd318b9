//! The consumer groups of this core, as calls use them: what calls ask is done behind the commit, and readers are given
//! events as long as they have room. A reader is a call, of this core or of another.
//!
//! ```text
//!   calls ─ask─► group's core ─► group ─► journal ─► answers, events ─► call's core: reads the records, encodes
//! ```

use super::Core;
use super::waits::Watcher;
use crate::groups::ask::{
    Dropped, GroupAnswer, GroupAsk, GroupRefused, GroupState, Made, Names, ReaderInfo, ReaderState, Reading,
};
use crate::grpc::CallId;
use crate::limits::{GROUP_ASKS_TURN, GROUP_HELD_BACK_MS, GROUP_ROUND_BYTES, GROUP_TIMES_MAX, GROUPS_LISTED_TURN};
use crate::mesh::message::{JobFor, Message};
use crate::net_ring::ConnectionId;
use bytes::Bytes;
use keytide_engine::group::{ConsumerId, Given, Group, GroupError};
use keytide_engine::position::{Position, ShardId};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

/// A reader: the core of its call, the connection and the call.
type ReaderId = (ShardId, ConnectionId, CallId);

/// What calls ask of the groups of this core, and the readers of these.
#[derive(Default)]
pub(super) struct GroupReaders {
    /// What was asked, and the position that has to be published before it is done; none before that is known.
    asks: VecDeque<(ShardId, JobFor, GroupAsk, Option<Position>)>,
    readers: HashMap<ReaderId, Reader>,
    /// The readers of each group, by its number.
    of_group: HashMap<u64, BTreeMap<ConsumerId, ReaderId>>,
    /// The groups that may have something for their readers.
    ready: BTreeSet<u64>,
    /// The groups with an entry that is due, by that time, steady milliseconds.
    dues: BTreeSet<(u64, u64)>,
    due_of: HashMap<u64, u64>,
    /// The number of the next reader.
    next: u64,
}

struct Reader {
    group: u64,
    consumer: ConsumerId,
    info: ReaderInfo,
    rate: Rate,
    /// How long it has taken for each of the events that it has processed last, in milliseconds.
    times: VecDeque<u32>,
}

/// How many events were given, in all and in a second.
#[derive(Clone, Copy, Default)]
struct Rate {
    total: u64,
    second: u64,
    before: u64,
    since: u64,
}

impl Rate {
    fn count(&mut self, events: u64, now_ms: u64) {
        self.turn(now_ms);
        self.total += events;
        self.since += events;
    }

    /// Begins a new second where one is over.
    fn turn(&mut self, now_ms: u64) {
        let second = now_ms / 1_000;
        if second != self.second {
            self.before = if second == self.second + 1 { self.since } else { 0 };
            (self.second, self.since) = (second, 0);
        }
    }
}

/// An answer, where it goes, and whether it reveals a change.
type Sent = (ShardId, JobFor, GroupAnswer, bool);

impl GroupReaders {
    /// Adds what a call asks.
    pub fn ask(&mut self, from: ShardId, to: JobFor, ask: GroupAsk) {
        self.asks.push_back((from, to, ask, None));
    }

    /// Notes that a group may have something for its readers.
    pub fn wake(&mut self, group: u64) {
        if self.of_group.contains_key(&group) {
            self.ready.insert(group);
        }
    }

    /// Whether a group has readers.
    pub fn has_readers(&self, group: u64) -> bool {
        self.of_group.contains_key(&group)
    }

    /// The time at which an entry is due, steady milliseconds.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.dues.first().map(|(due_ms, _)| *due_ms)
    }

    fn set_due(&mut self, group: u64, due_ms: Option<u64>) {
        let before = match due_ms {
            Some(due_ms) => self.due_of.insert(group, due_ms),
            None => self.due_of.remove(&group),
        };
        if let Some(before) = before {
            self.dues.remove(&(before, group));
        }
        self.dues.extend(due_ms.map(|due_ms| (due_ms, group)));
    }

    fn take_due(&mut self, now_ms: u64) {
        while let Some(&(_, group)) = self.dues.first().filter(|(due_ms, _)| *due_ms <= now_ms) {
            self.set_due(group, None);
            self.ready.insert(group);
        }
    }

    /// Removes a reader.
    fn remove(&mut self, id: &ReaderId) -> Option<Reader> {
        let reader = self.readers.remove(id)?;
        if let Some(readers) = self.of_group.get_mut(&reader.group) {
            readers.remove(&reader.consumer);
            if readers.is_empty() {
                self.of_group.remove(&reader.group);
                self.set_due(reader.group, None);
            }
        }
        Some(reader)
    }
}

/// The destination of what a reader gets without having asked.
fn to_reader((core, connection, call): ReaderId, answer: GroupAnswer) -> Sent {
    (core, JobFor { connection, call, number: 0 }, answer, true)
}

impl Core {
    /// Does what calls ask of this core's groups, and gives their readers events. Returns whether there is more to do at once.
    pub(super) fn serve_groups(&mut self) -> bool {
        self.group_readers.take_due(self.steady_ms);
        if self.group_readers.asks.is_empty() && self.group_readers.ready.is_empty() {
            return false;
        }
        let began = Instant::now();
        let (frontier, next) = (self.history.frontier(), self.server.sequencer.next());
        let mut sent = Vec::new();
        while let Some((from, to, ask, after)) = self.group_readers.asks.pop_front() {
            let after = after.unwrap_or(next);
            if ask.waits_for_frontier() && frontier < after {
                // Another core is about to publish. What comes behind waits with it, so that a call's asks keep their order.
                self.group_readers.asks.push_front((from, to, ask, Some(after)));
                break;
            }
            self.do_group_ask((from, to), ask, &mut sent);
            if began.elapsed() >= GROUP_ASKS_TURN {
                break;
            }
        }
        for group in self.groups.take_changed() {
            self.wake_group(group);
        }
        let mut ready = std::mem::take(&mut self.group_readers.ready);
        while let Some(group) = ready.pop_first() {
            self.give_to_readers(group, &mut sent);
            if began.elapsed() >= 2 * GROUP_ASKS_TURN {
                break;
            }
        }
        self.group_readers.ready.append(&mut ready);
        self.publish_groups(sent);
        !self.group_readers.asks.is_empty() || !self.group_readers.ready.is_empty()
    }

    /// Writes the changes of groups, and then sends the answers, which reveal them.
    fn publish_groups(&mut self, mut sent: Vec<Sent>) {
        if let Some(refusal) = self.groups.write() {
            for (_, _, answer, reveals) in &mut sent {
                if *reveals {
                    refuse(answer, &refusal);
                }
            }
            let groups: Vec<u64> = self.group_readers.of_group.keys().copied().collect();
            groups.into_iter().for_each(|group| self.drop_readers(group, &Dropped::Failed(refusal.clone()), &mut sent));
        }
        for (core, to, answer, _) in sent {
            if core == self.id {
                self.take_group_answer(to, answer);
            } else {
                self.lanes.to(core).push(Message::GroupAnswer(to, Box::new(answer)));
            }
        }
    }

    fn do_group_ask(&mut self, (from, to): (ShardId, JobFor), ask: GroupAsk, sent: &mut Vec<Sent>) {
        let writes = ask.writes();
        let refusal = self.groups.refusal().filter(|_| writes).map(GroupRefused::Journal);
        let reader = (from, to.connection, to.call);
        let answer = match ask {
            GroupAsk::Create(made, interest) => {
                let Made { names, start, options, spec, creator } = *made;
                let owner = creator.as_ref().map(|usage| &usage.groups);
                GroupAnswer::Done(refusal.map_or(Ok(()), Err).and_then(|()| {
                    let (names, made) = ((&*names.key, &*names.group), Some((spec, *interest)));
                    self.groups
                        .table
                        .create_made(owner, names, start, options, made, &self.history)
                        .map_err(GroupRefused::Group)
                }))
            }
            GroupAsk::Update(made) => {
                let Made { names, start, options, spec, .. } = *made;
                let done = refusal.map_or(Ok(()), Err).and_then(|()| {
                    let names = (&*names.key, &*names.group);
                    self.groups.table.update(names, start, options, spec, &self.history).map_err(GroupRefused::Group)
                });
                if done.is_ok()
                    && let Some(number) = self.groups.table.number(&names.key, &names.group)
                {
                    self.drop_readers(number, &Dropped::Ended, sent);
                    self.groups.note_change(&names.key, &names.group);
                }
                GroupAnswer::Done(done)
            }
            GroupAsk::Destroy(names) => {
                let number = self.groups.table.number(&names.key, &names.group);
                GroupAnswer::Done(match (refusal, number) {
                    (Some(refusal), _) => Err(refusal),
                    (None, None) => Err(GroupRefused::Group(GroupError::NoGroup)),
                    (None, Some(number)) => {
                        self.groups.note_change(&names.key, &names.group);
                        self.groups.table.destroy(&names.key, &names.group);
                        self.drop_readers(number, &Dropped::Ended, sent);
                        Ok(())
                    }
                })
            }
            GroupAsk::Describe(names) => {
                let state = self.groups.table.number(&names.key, &names.group);
                let state = state.and_then(|number| self.group_state(number, &names));
                let state = state.map(Box::new).ok_or(GroupRefused::Group(GroupError::NoGroup));
                GroupAnswer::Described(state)
            }
            GroupAsk::List(key, behind) => {
                let (states, has_more) = self.list_groups(key.as_ref(), behind);
                GroupAnswer::Listed(states, has_more)
            }
            GroupAsk::Replay(names, before) => GroupAnswer::Done(match refusal {
                Some(refusal) => Err(refusal),
                None => self.replay_parked(&names, before),
            }),
            GroupAsk::Read(names, window, info) => match refusal {
                Some(refusal) => GroupAnswer::Reads(Err(refusal)),
                None => GroupAnswer::Reads(self.add_reader(reader, &names, window, *info)),
            },
            GroupAsk::Ack(positions, times) => {
                if let Some(reader) = self.group_readers.readers.get_mut(&reader) {
                    reader.times.extend(times);
                    let more = reader.times.len().saturating_sub(GROUP_TIMES_MAX);
                    reader.times.drain(..more);
                }
                self.for_reader(&reader, |group, _| _ = group.ack(positions));
                return;
            }
            GroupAsk::Nack(nack, positions) => {
                self.for_reader(&reader, |group, _| _ = group.nack(nack, positions));
                return;
            }
            GroupAsk::Room => {
                self.for_reader(&reader, |group, consumer| group.set_open(consumer, true));
                return;
            }
            GroupAsk::Leave => {
                self.for_reader(&reader, |group, consumer| _ = group.detach(consumer));
                if let Some(Reader { group, .. }) = self.group_readers.remove(&reader)
                    && !self.group_readers.has_readers(group)
                    && !self.deferred.has_waits_for(group)
                {
                    self.live.hub.unwatch(Watcher::Group(group).id());
                }
                return;
            }
            GroupAsk::DropReaders => {
                let groups: Vec<u64> = self.group_readers.of_group.keys().copied().collect();
                groups.into_iter().for_each(|group| self.drop_readers(group, &Dropped::Ended, sent));
                GroupAnswer::Done(Ok(()))
            }
        };
        sent.push((from, to, answer, writes));
    }

    /// Does something with the group of a reader, which may have something for readers then. Nothing for one that is gone.
    fn for_reader(&mut self, id: &ReaderId, done: impl FnOnce(&mut Group, ConsumerId)) {
        let Some(Reader { group, consumer, .. }) = self.group_readers.readers.get(id) else { return };
        let (number, consumer) = (*group, *consumer);
        if let Some(group) = self.groups.table.numbered(number) {
            done(group, consumer);
        }
        self.wake_group(number);
    }

    fn replay_parked(&mut self, names: &Names, before: Option<u64>) -> Result<(), GroupRefused> {
        let group = self.groups.table.get_mut(&names.key, &names.group).map_err(GroupRefused::Group)?;
        let info = group.info();
        // Those that are parked were parked last.
        let first = info.counts.parked.saturating_sub(info.parked as u64);
        match before {
            None => group.replay(None),
            Some(before) => {
                let count = before.saturating_sub(first) as usize;
                let some: Vec<Position> = group.parked(self.steady_ms).take(count).map(|row| row.position).collect();
                group.replay(Some(&some))
            }
        };
        self.groups.note_change(&names.key, &names.group);
        Ok(())
    }

    fn add_reader(
        &mut self,
        id: ReaderId,
        names: &Names,
        window: usize,
        info: ReaderInfo,
    ) -> Result<Box<Reading>, GroupRefused> {
        let found = self.groups.table.number(&names.key, &names.group);
        let number = found.ok_or(GroupRefused::Group(GroupError::NoGroup))?;
        let group = self.groups.table.get_mut(&names.key, &names.group).map_err(GroupRefused::Group)?;
        // Names of consumers are shown to clients of all protocols.
        let name = format!("{}/{}", info.peer, self.group_readers.next);
        let max = self.server.config.readers.readers;
        if group.attached_count() >= max {
            return Err(GroupRefused::Group(GroupError::TooManySeats { max }));
        }
        let consumer = group.attach(name.as_bytes(), window, self.steady_ms).map_err(GroupRefused::Group)?;
        let reading = Reading { interest: group.interest().clone(), notes: group.spec().notes.clone() };
        let readers = &mut self.group_readers;
        readers.next += 1;
        readers
            .readers
            .insert(id, Reader { group: number, consumer, info, rate: Rate::default(), times: VecDeque::new() });
        readers.of_group.entry(number).or_default().insert(consumer, id);
        readers.ready.insert(number);
        Ok(Box::new(reading))
    }

    /// Ends all readers of a group.
    fn drop_readers(&mut self, number: u64, why: &Dropped, sent: &mut Vec<Sent>) {
        let Some(readers) = self.group_readers.of_group.get(&number) else { return };
        let readers: Vec<(ConsumerId, ReaderId)> = readers.iter().map(|(consumer, id)| (*consumer, *id)).collect();
        for (consumer, id) in readers {
            if let Some(group) = self.groups.table.numbered(number) {
                group.detach(consumer);
            }
            self.group_readers.remove(&id);
            sent.push(to_reader(id, GroupAnswer::Dropped(why.clone())));
        }
        if !self.deferred.has_waits_for(number) {
            self.live.hub.unwatch(Watcher::Group(number).id());
        }
    }

    /// Gives the readers of a group what they have room for.
    fn give_to_readers(&mut self, number: u64, sent: &mut Vec<Sent>) {
        if !self.group_readers.has_readers(number) {
            return;
        }
        self.pass_over_examined(number);
        let Core { groups, history, group_readers, steady_ms, .. } = self;
        let Some(group) = groups.table.numbered(number) else {
            return self.drop_readers(number, &Dropped::Ended, sent);
        };
        let mut given: BTreeMap<ConsumerId, Vec<Given>> = BTreeMap::new();
        let done = group.distribute(GROUP_ROUND_BYTES, *steady_ms, history, |consumer, event| {
            given.entry(consumer).or_default().push(event);
        });
        let (reads_from, due_ms, interest) = (group.reads_from(), group.next_timeout_ms(), group.interest().clone());
        if let Some(readers) = group_readers.of_group.get(&number) {
            for (consumer, events) in given {
                let Some(id) = readers.get(&consumer) else { continue };
                if let Some(reader) = group_readers.readers.get_mut(id) {
                    reader.rate.count(events.len() as u64, *steady_ms);
                }
                sent.push(to_reader(*id, GroupAnswer::Given(events)));
            }
        }
        let done = match done {
            Ok(done) => done,
            Err(error) => return self.drop_readers(number, &Dropped::Failed(error.to_string()), sent),
        };
        if let Some(lost) = done.lost {
            // Nothing is skipped in silence: the clients are told, and go on from there if they read again.
            return self.drop_readers(number, &Dropped::Lost(lost.next()), sent);
        }
        // Entries that are due now wait for room, which is told. Nobody tells of memory.
        let retry_ms = done.held_back.then_some(*steady_ms + GROUP_HELD_BACK_MS);
        group_readers.set_due(number, due_ms.into_iter().chain(retry_ms).min());
        if done.more {
            group_readers.ready.insert(number);
        } else if let Some(from) = reads_from.filter(|_| done.is_waiting) {
            // Without room nothing is waited for: what there is already would wake it at once, again and again.
            self.live.hub.watch(Watcher::Group(number).id(), interest, from);
        }
    }

    /// Notes what the hub has examined for a group while it waited.
    fn pass_over_examined(&mut self, number: u64) {
        if let Some(passed) = self.live.hub.passed(Watcher::Group(number).id()) {
            self.groups.table.pass_over(number, passed);
        }
    }

    /// The next groups behind the one with these names, and whether there may be more.
    fn list_groups(&mut self, key: Option<&Bytes>, behind: Option<Names>) -> (Vec<GroupState>, bool) {
        let is_behind = behind.is_some();
        let first = || Names { key: key.cloned().unwrap_or_default(), group: Bytes::new() };
        let Names { key: pattern, group } = behind.unwrap_or_else(first);
        let listed = self.groups.table.iter_from((&pattern, &group), is_behind, GROUPS_LISTED_TURN);
        let names: Vec<Names> = listed
            .take_while(|(pattern, ..)| key.is_none_or(|key| key[..] == **pattern))
            .map(|(key, group, _)| Names { key: Bytes::copy_from_slice(key), group: Bytes::copy_from_slice(group) })
            .collect();
        let has_more = names.len() == GROUPS_LISTED_TURN;
        let states = names.iter().filter_map(|names| {
            let number = self.groups.table.number(&names.key, &names.group)?;
            self.group_state(number, names)
        });
        (states.collect(), has_more)
    }

    fn group_state(&mut self, number: u64, names: &Names) -> Option<GroupState> {
        self.pass_over_examined(number);
        let Core { groups, history, group_readers, steady_ms, .. } = self;
        let group = groups.table.get(&names.key, &names.group).ok()?;
        let mut readers = Vec::new();
        for (consumer, id) in group_readers.of_group.get(&number).into_iter().flatten() {
            let Some(Reader { info, rate, times, .. }) = group_readers.readers.get_mut(id) else { continue };
            rate.turn(*steady_ms);
            let (in_flight, free) = group.slots(*consumer);
            let Rate { total, before, since, .. } = *rate;
            let (info, times) = (info.clone(), times.iter().copied().collect());
            readers.push(ReaderState { info, total, per_second: before, since, in_flight, free, times });
        }
        let info = group.info();
        let checkpoint = group.checkpoint(history).unwrap_or_else(|damage| {
            tracing::error!(%damage, "history cannot be read");
            None
        });
        Some(GroupState {
            key: names.key.clone(),
            group: names.group.clone(),
            is_live: info.cursor >= history.frontier() && info.due == 0,
            info,
            spec: group.spec().clone(),
            interest: group.interest().clone(),
            readers,
            checkpoint,
        })
    }
}

/// Makes an error of an answer whose changes could not be written.
fn refuse(answer: &mut GroupAnswer, why: &str) {
    let refusal = || GroupRefused::Journal(why.to_owned());
    match answer {
        GroupAnswer::Done(done) => *done = Err(refusal()),
        GroupAnswer::Reads(reads) => *reads = Err(refusal()),
        GroupAnswer::Described(_) | GroupAnswer::Listed(..) | GroupAnswer::Dropped(_) => {}
        GroupAnswer::Given(_) => *answer = GroupAnswer::Dropped(Dropped::Failed(why.to_owned())),
    }
}
