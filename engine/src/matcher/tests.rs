//! The matcher against its definition: `find` returns exactly the interests for which [`Interest::wants`] holds,
//! whatever was added and removed before.

use std::cell::Cell;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::Matcher;
use super::governor::Clock;
use crate::event::EventType;
use crate::filter::{Filter, Pattern, Target};
use crate::interest::{Interest, Source};
use crate::position::{Position, Revision, ShardId};
use crate::ring::{Data, Draft, RingWriter, create};

const HERE: ShardId = ShardId(0);

/// A step of a test.
#[derive(Clone, Debug)]
enum Step {
    Add(Interest),
    Remove(usize),
    Record { key: Vec<u8>, custom_type: Vec<u8>, revision: u64 },
    EndTurn,
    Wait,
}

/// Few letters, so that many names match.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let letter = prop_oneof![6 => b'a'..=b'c', 2 => Just(b':'), 1 => Just(b'-'), 1 => Just(b'$'), 1 => Just(0xFF)];
    vec(letter, 0..8)
}

fn regex() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => "[a-c:]{1,4}",
        1 => Just("[ab]".to_owned()),
        1 => Just("[^b]".into()),
        1 => Just(".".into()),
        1 => Just("^".into()),
        1 => Just("$".into()),
        1 => Just(r"\b".into()),
        1 => Just(r"(?-u:\xFF)".into()),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            1 => vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
            1 => (inner, prop_oneof!["\\*", "\\+", "\\?", Just("{1,3}".to_owned())])
                .prop_map(|(inner, times)| format!("({inner}){times}")),
        ]
    })
}

fn glob() -> impl Strategy<Value = Vec<u8>> {
    let letter = prop_oneof![5 => b'a'..=b'c', 3 => Just(b'*'), 1 => Just(b'?'), 1 => Just(b'['), 1 => Just(b']'), 1 => Just(b'^'), 1 => Just(b':')];
    vec(letter, 0..8)
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        1 => Just(Pattern::All),
        2 => vec(name(), 1..4).prop_map(|prefixes| Pattern::prefixes(prefixes.iter().map(|prefix| &prefix[..])).unwrap()),
        3 => regex().prop_map(|regex| Pattern::regex(regex.as_bytes()).unwrap()),
        2 => glob().prop_map(|glob| Pattern::glob(&glob).unwrap()),
        1 => (0..2u8, glob())
            .prop_map(|(shard, glob)| Pattern::keys(&[format!("shard:{shard}:").as_bytes(), &glob].concat()).unwrap()),
    ]
}

fn interest() -> impl Strategy<Value = Interest> {
    let source = prop_oneof![
        4 => Just(Source::All),
        1 => (0..2u16).prop_map(|shard| Source::Shard(ShardId(shard))),
        1 => name().prop_map(|name| Source::Stream(name.into())),
        1 => vec(b'a'..=b'c', 0..2).prop_map(|name| Source::Category(name.into())),
        1 => prop_oneof![name(), Just(b"Set".to_vec())].prop_map(|name| Source::Type(name.into())),
        1 => Just(Source::Streams),
    ];
    let on = prop_oneof![3 => Just(Target::Stream), 1 => Just(Target::Type)];
    (source, on, pattern(), any::<bool>())
        .prop_map(|(source, on, pattern, no_system)| Interest { source, filter: Filter::new(on, pattern, no_system) })
}

fn step() -> impl Strategy<Value = Step> {
    let custom_type = prop_oneof![3 => Just(Vec::new()), 2 => name(), 1 => Just(b"$>".to_vec())];
    prop_oneof![
        3 => interest().prop_map(Step::Add),
        1 => any::<usize>().prop_map(Step::Remove),
        6 => (prop_oneof![name(), vec(b'a'..=b'c', 1..3)], custom_type, 0..3u64)
            .prop_map(|(key, custom_type, revision)| Step::Record { key, custom_type, revision }),
        1 => Just(Step::EndTurn),
        1 => Just(Step::Wait),
    ]
}

/// A matcher with the interests that it should have, and a ring for its records.
struct Both {
    matcher: Matcher,
    interests: Vec<Option<Arc<Interest>>>,
    writer: RingWriter,
    records: u64,
}

impl Both {
    fn new(matcher: Matcher) -> Both {
        Both { matcher, interests: Vec::new(), writer: create(1 << 16).unwrap().0, records: 0 }
    }

    fn add(&mut self, interest: Interest) -> u32 {
        let free = self.interests.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.interests.push(None);
            self.interests.len() - 1
        });
        let interest = Arc::new(interest);
        self.matcher.add(number as u32, interest.clone());
        self.interests[number] = Some(interest);
        number as u32
    }

    fn remove(&mut self, number: u32) {
        self.matcher.remove(number);
        self.interests[number as usize] = None;
    }

    /// The found numbers in order, and those that should be found.
    fn find(&mut self, key: &[u8], custom_type: &[u8], revision: u64) -> (Vec<u32>, Vec<u32>) {
        let event_type = if custom_type.is_empty() { EventType::Set } else { EventType::Custom };
        let draft = Draft { custom_type, revision: Revision(revision), ..Draft::new(event_type, key, Data::None) };
        let offset = self.writer.append(&draft);
        self.records += 1;
        self.writer.stamp(Position(self.records));
        self.writer.publish();
        let record = self.writer.record_at(offset).expect("just appended");
        let mut found = vec![7; 3];
        self.matcher.find(&record, &mut found);
        found.sort_unstable();
        let wants =
            |number: &u32| self.interests[*number as usize].as_ref().is_some_and(|one| one.wants(&record, HERE));
        let wanted = (0..self.interests.len() as u32).filter(wants).collect();
        (found, wanted)
    }

    fn end_turn(&mut self) -> Vec<u32> {
        let mut demoted = vec![7; 3];
        self.matcher.end_turn(&mut demoted);
        demoted.iter().for_each(|&number| self.interests[number as usize] = None);
        demoted
    }
}

/// A matcher for which time stands still, so that no pattern is ever too expensive.
fn timeless() -> Matcher {
    Matcher::with_clock(HERE, Box::new(Ticking { now: 0, step: 0 }))
}

fn on_streams(pattern: Pattern) -> Interest {
    Interest { source: Source::All, filter: Filter::new(Target::Stream, pattern, false) }
}

fn regex_interest(regex: &str) -> Interest {
    on_streams(Pattern::regex(regex.as_bytes()).unwrap())
}

#[test]
fn a_build_for_removed_patterns_does_not_touch_their_successors() {
    let mut both = Both::new(timeless());
    // Enough that their groups are still being built when others, which need groups too, have been added.
    let many = |last: &str| -> Vec<Interest> {
        (1..300).map(|n| regex_interest(&format!("^[a-z]+[0-9]{{{n}}}{last}$"))).collect()
    };
    let (first, second) = (many("[a-z]"), many("[b-z]"));
    let gone: Vec<u32> = first.into_iter().map(|one| both.add(one)).collect();
    both.end_turn();
    gone.into_iter().for_each(|number| both.remove(number));
    second.into_iter().for_each(|one| _ = both.add(one));
    for digits in 1..20 {
        both.end_turn();
        both.matcher.wait_for_one();
        // Names that are not in the memo.
        let (found, wanted) = both.find(format!("a{}z", "7".repeat(digits)).as_bytes(), b"", 1);
        assert_eq!(found, wanted);
    }
}

#[test]
fn patterns_without_literals_are_grouped_and_later_ones_too() {
    let mut both = Both::new(timeless());
    let regex = |number: usize| regex_interest(&format!("^[a-z]+[0-9]{{{number}}}[a-z]$"));
    let numbers: Vec<u32> = (1..40).map(|number| both.add(regex(number))).collect();
    both.end_turn();
    both.matcher.wait();
    assert_eq!(both.matcher.grouped(), 39);
    let later = both.add(regex(40));
    let look = |both: &mut Both| {
        for digits in 0..50 {
            let name = format!("user{}x", "7".repeat(digits));
            let (found, wanted) = both.find(name.as_bytes(), b"", 0);
            assert_eq!(found, wanted, "{name}");
            assert_eq!(found.len(), usize::from((1..=40).contains(&digits)));
        }
    };
    look(&mut both);
    both.end_turn();
    both.matcher.wait();
    assert_eq!(both.matcher.grouped(), 40);
    look(&mut both);
    numbers.into_iter().chain([later]).for_each(|number| both.remove(number));
    assert!(both.matcher.holds_nothing());
}

proptest! {
    #[test]
    fn each_interest_that_wants_a_record_is_found_once(steps in vec(step(), 1..120)) {
        let mut both = Both::new(timeless());
        for step in steps {
            match step {
                Step::Add(interest) => {
                    both.add(interest);
                }
                Step::Remove(index) if !both.interests.is_empty() => {
                    both.remove((index % both.interests.len()) as u32);
                }
                Step::Remove(_) => {}
                Step::Record { key, custom_type, revision } => {
                    let (found, wanted) = both.find(&key, &custom_type, revision);
                    prop_assert_eq!(found, wanted);
                }
                Step::Wait => both.matcher.wait(),
                Step::EndTurn => prop_assert!(both.end_turn().is_empty()),
            }
            prop_assert_eq!(both.matcher.is_empty(), both.interests.iter().all(Option::is_none));
        }
        (0..both.interests.len()).for_each(|number| both.remove(number as u32));
        both.matcher.wait();
        prop_assert!(both.matcher.holds_nothing(), "something stays when all have gone");
    }
}

/// A clock that advances with each reading.
struct Ticking {
    now: u64,
    step: u64,
}

thread_local! {
    /// The time on the clock of this thread's test.
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
}

impl Clock for Ticking {
    fn wall_ns(&mut self) -> u64 {
        self.now = self.now.max(NOW_NS.get()) + self.step;
        NOW_NS.set(self.now);
        self.now
    }

    fn cpu_ns(&mut self) -> u64 {
        self.now
    }
}

fn slow(step_ns: u64) -> Matcher {
    Matcher::with_clock(HERE, Box::new(Ticking { now: 0, step: step_ns }))
}

#[test]
fn an_expensive_pattern_is_demoted_in_its_turn_and_not_run_again() {
    let mut both = Both::new(slow(1_000_000));
    let expensive = both.add(regex_interest("[a-z]+[0-9]+"));
    let plain = both.add(on_streams(Pattern::prefixes([&b"user:"[..]]).unwrap()));
    let mut demoted = Vec::new();
    for _ in 0..16 {
        both.find(b"user:1", b"", 0);
    }
    demoted.extend(both.end_turn());
    assert_eq!(demoted, [expensive]);
    let (found, wanted) = both.find(b"user:x1", b"", 0);
    assert_eq!((found, wanted), (vec![plain], vec![plain]));
    assert!(both.end_turn().is_empty());
}

#[test]
fn a_demoted_interest_removed_before_the_turns_end_is_not_reported() {
    let mut both = Both::new(slow(1_000_000));
    let expensive = both.add(regex_interest("[a-z]+[0-9]+"));
    (0..16).for_each(|_| {
        both.find(b"user:1", b"", 0);
    });
    both.remove(expensive);
    assert!(both.end_turn().is_empty());
}

#[test]
fn a_turn_ends_however_many_have_to_be_stopped() {
    let mut both = Both::new(slow(40_000));
    let all = 2_000;
    (0..all).for_each(|number| {
        both.add(regex_interest(&format!("[a-z]+[0-9]{{{}}}[a-z]+", number + 1)));
    });
    let before = NOW_NS.get();
    (0..100).for_each(|_| {
        both.find(b"user:1", b"", 0);
    });
    let took = NOW_NS.get() - before;
    assert!(took < 16_000_000, "{took}");
    assert!(!both.end_turn().is_empty());
}

#[test]
fn a_cheap_pattern_stays() {
    let mut both = Both::new(slow(10));
    both.add(regex_interest("[a-z]+[0-9]+"));
    for _ in 0..100 {
        for _ in 0..100 {
            let (found, wanted) = both.find(b"user:1", b"", 0);
            assert_eq!(found, wanted);
        }
        assert!(both.end_turn().is_empty());
        NOW_NS.set(NOW_NS.get() + 100_000);
    }
}

#[test]
fn a_long_name_does_not_hold_up_a_turn() {
    let mut both = Both::new(timeless());
    let large = both.add(regex_interest(r"\w{20}[0-9]"));
    both.find(&b"a".repeat(20_000), b"", 0);
    assert_eq!(both.end_turn(), [large]);
}

#[test]
fn a_long_name_builds_no_states_of_a_large_automaton() {
    let mut both = Both::new(timeless());
    let regex = |n: usize| regex_interest(&format!("^[a-z]{{1,400}}[0-9]{{{n}}}[a-z]$"));
    let all: Vec<u32> = (1..=20).map(|n| both.add(regex(n))).collect();
    both.end_turn();
    both.matcher.wait();
    assert_eq!(both.matcher.grouped(), all.len());
    let before = both.matcher.automata.group_bytes();
    let name = format!("{}7777777x", "a".repeat(400));
    let (found, wanted) = both.find(name.as_bytes(), b"", 0);
    assert_eq!((found, wanted), (vec![all[6]], vec![all[6]]));
    assert_eq!(both.matcher.automata.group_bytes(), before);
}
