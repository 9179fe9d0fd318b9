//! Patterns that are run on the same names: where each of them is, and when that should change.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::governor::Spent;
use super::grams::{Filed, Grams};
use super::group::{Group, Member};
use super::own::Own;
use super::recent::Recent;
use super::worth::Worth;

/// How a pattern is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By itself, on names that have what it is filed under.
    Filed,
    /// By itself on every name, until it is in a group.
    New,
    /// By itself on every name, for groups do not agree with it.
    Alone,
    /// In the group of this number.
    Grouped(u64),
}

impl Way {
    /// Whether it is in a group.
    pub fn is_grouped(self) -> bool {
        matches!(self, Way::Grouped(_))
    }
}

/// A pattern with those who want what it matches.
pub struct One {
    /// The pattern.
    pub own: Own,
    /// Where it is.
    pub place: u32,
    /// The count of patterns when it came, itself included: tells it from what has its place before and after.
    pub born: u64,
    /// What it is filed under.
    pub filed: Filed,
    /// Who wants its matches.
    pub numbers: SmallVec<[u32; 2]>,
    /// About how much time it takes for a byte of a name: see [`Own::weight`].
    pub weight: usize,
    /// How it is run.
    pub way: Way,
    /// The last name that it was run on by itself.
    pub seen: u64,
    /// How often it was filed anew.
    pub tries: u32,
    /// How often it was run by itself; counted up to a few.
    pub runs: u32,
    /// It was too expensive: not run any more, to be told at the turn's end.
    pub stopped: bool,
    /// What it has cost by itself.
    pub spent: Spent,
}

/// A group in use.
pub struct Seat {
    /// Its number, of all that ever were.
    pub number: u64,
    /// The group.
    pub group: Group,
    /// How many of its members are still there.
    pub live: usize,
    /// It was halved already, so that it is not to be joined with others.
    pub divided: bool,
    /// It is too expensive: not run any more.
    pub stopped: bool,
    /// What it has cost.
    pub spent: Spent,
    /// How often its cache had been full when the place was looked through.
    pub clears: usize,
    /// How many names it could not decide since.
    pub undecided: u32,
}

/// Patterns that are run on the same names.
#[derive(Default)]
pub struct Place {
    /// Where each pattern is.
    pub by_own: HashMap<Own, u32, RandomState>,
    /// Those that are filed.
    pub grams: Grams,
    /// Those that are run by themselves on every name.
    pub always: Vec<u32>,
    /// The groups.
    pub seats: Vec<Seat>,
    /// Those that came last, in order, with when.
    pub latest: Vec<Member>,
    /// Of all that came after this one they are.
    known_since: u64,
    /// Names to go by.
    pub recent: Recent,
    /// When the newest pattern came.
    pub newest: u64,
    /// The names since it was looked through, and whether what they match is looked up first.
    pub worth: Worth,
    /// Groups that are replaced by what is being made; none where nothing is.
    pub replaced: Option<Vec<u64>>,
}

/// How many of the latest patterns are known by when they came.
const LATEST_MAX: usize = 64;

/// The most patterns of small groups that are brought together at once, so that new ones do not wait long meanwhile.
const JOINED_MAX: usize = 1024;

/// Lists of patterns, of each of which groups are to be made.
pub type Lists = Vec<Vec<(Member, Own)>>;

type Ones = [Option<Box<One>>];

fn get(ones: &Ones, id: u32) -> Option<&One> {
    ones[id as usize].as_deref()
}

impl Place {
    /// Notes a pattern that has come.
    pub fn note(&mut self, member: Member) {
        self.newest = member.born;
        if self.latest.len() == 2 * LATEST_MAX {
            self.known_since = self.latest[LATEST_MAX - 1].born;
            self.latest.drain(..LATEST_MAX);
        }
        self.latest.push(member);
    }

    /// The patterns that came after the one of this time; none where they are too many to know.
    #[inline]
    pub fn since(&self, born: u64) -> Option<&[Member]> {
        if self.newest <= born {
            return Some(&[]);
        }
        (born >= self.known_since).then(|| &self.latest[self.latest.partition_point(|member| member.born <= born)..])
    }

    /// Takes the pattern out of wherever it is.
    pub fn forget(&mut self, id: u32, one: &One) {
        match one.way {
            Way::Filed => self.grams.remove(&one.filed, id),
            Way::New | Way::Alone => {
                if let Some(index) = self.always.iter().position(|&known| known == id) {
                    self.always.swap_remove(index);
                }
            }
            Way::Grouped(number) => {
                if let Some(index) = self.seats.iter().position(|seat| seat.number == number) {
                    self.seats[index].live -= 1;
                    if self.seats[index].live == 0 {
                        self.seats.swap_remove(index);
                    }
                }
            }
        }
        self.by_own.remove(&one.own);
    }

    /// Files those anew that are met in vain too often, or has them grouped. Tells whether there may be more.
    pub fn review(&mut self, ones: &mut Ones) -> bool {
        /// So that a turn stays short.
        const REFILED_MAX: usize = 8;
        /// Who is met in one of so many names may be filed better.
        const BUSY: u32 = 512;
        /// But not for ever.
        const TRIES_MAX: u32 = 3;
        let (busy, more) = self.grams.busy(self.worth.names, BUSY, REFILED_MAX);
        for (id, met) in busy {
            let Some(one) = &mut ones[id as usize] else { continue };
            let often = u64::from(met) * 4 > u64::from(self.worth.names);
            if one.way != Way::Filed || one.tries >= TRIES_MAX && !often {
                continue;
            }
            one.tries += 1;
            self.grams.remove(&one.filed, id);
            let filed = self.grams.choose(&one.own.clauses(), &self.recent);
            if often && (filed == one.filed || one.tries > TRIES_MAX) {
                one.way = Way::New;
                self.always.push(id);
            } else {
                one.filed = filed;
                self.grams.insert(&one.filed, id);
            }
        }
        if !more {
            self.worth.review();
        }
        more
    }

    /// Which groups are worth being brought together, if any: of which kind, and up to how many patterns.
    fn small(&self) -> Option<(bool, usize)> {
        [true, false].into_iter().find_map(|anchored| {
            let mut sizes: Vec<usize> = self
                .seats
                .iter()
                .filter(|seat| !seat.divided && seat.group.anchored == anchored)
                .map(|seat| seat.live)
                .collect();
            sizes.sort_unstable();
            match sizes[..] {
                [a, b, ..] if a + b <= JOINED_MAX && b <= (2 * a).max(JOINED_MAX / 8) => {
                    Some((anchored, b.max(JOINED_MAX / 8)))
                }
                _ => None,
            }
        })
    }

    /// The patterns of which groups are to be made now, and the groups that they are in so far, which are replaced then.
    pub fn start_grouping(&mut self, ones: &Ones, looked_through: bool) -> Option<Lists> {
        if self.replaced.is_some() {
            return None;
        }
        let entry =
            |member: &Member| Some((*member, get(ones, member.id).filter(|one| one.born == member.born)?.own.clone()));
        let mut new: Vec<(Member, Own)> = Vec::new();
        for &id in &self.always {
            if let Some(one) = get(ones, id)
                && one.way == Way::New
            {
                new.push((Member { id, born: one.born }, one.own.clone()));
            }
        }
        // What is new first, for it costs most as it is; what is in small groups is brought together after that.
        let joins = if new.is_empty() { self.small() } else { None };
        let mut lists = Lists::new();
        let mut replaced = Vec::new();
        let mut joined = 0;
        for seat in &mut self.seats {
            let members = || seat.group.members.iter().filter_map(entry);
            let is_small = joins.is_some_and(|(anchored, live)| {
                !seat.divided
                    && seat.group.anchored == anchored
                    && seat.live <= live
                    && joined + seat.live <= JOINED_MAX
            });
            let is_sparse = seat.live * 2 < seat.group.members.len();
            let is_ill = looked_through && (seat.group.clear_count() > seat.clears || seat.undecided > 64);
            if is_ill {
                let mut one: Vec<_> = members().collect();
                let other = one.split_off(one.len() / 2);
                lists.extend([one, other]);
            } else if is_small {
                joined += seat.live;
                new.extend(members());
            } else if is_sparse {
                lists.push(members().collect());
            } else {
                continue;
            }
            replaced.push(seat.number);
        }
        if looked_through {
            self.seats.iter_mut().for_each(|seat| (seat.clears, seat.undecided) = (seat.group.clear_count(), 0));
        }
        lists.push(new);
        lists.retain(|list| !list.is_empty());
        (!lists.is_empty()).then(|| {
            self.replaced = Some(replaced);
            lists
        })
    }

    /// Takes a group in, whose members that are still there it is answerable for from now on.
    pub fn seat(&mut self, number: u64, group: Group, divided: bool, ones: &mut Ones) {
        let mut live = 0;
        for member in &group.members {
            if let Some(one) = ones[member.id as usize].as_mut().filter(|one| one.born == member.born) {
                one.way = Way::Grouped(number);
                live += 1;
            }
        }
        if live > 0 {
            let clears = group.clear_count();
            let (stopped, spent, undecided) = (false, Spent::default(), 0);
            self.seats.push(Seat { number, group, live, divided, stopped, spent, clears, undecided });
        }
    }

    /// Ends the change that [`Place::start_grouping`] has begun: whatever is not in a group now is run by itself.
    /// Answers what was replaced.
    pub fn settle(&mut self, alone: &[Member], ones: &mut Ones) -> impl Iterator<Item = Seat> + use<> {
        let replaced = self.replaced.take().unwrap_or_default();
        let (gone, kept) = self.seats.drain(..).partition::<Vec<_>, _>(|seat| replaced.contains(&seat.number));
        self.seats = kept;
        for member in alone {
            if let Some(one) = ones[member.id as usize].as_mut().filter(|one| one.born == member.born) {
                if !matches!(one.way, Way::New | Way::Alone) {
                    self.always.push(member.id);
                }
                one.way = Way::Alone;
            }
        }
        self.always.retain(|&id| get(ones, id).is_some_and(|one| matches!(one.way, Way::New | Way::Alone)));
        gone.into_iter()
    }
}
