//! Patterns on names that are not records' names: those of publish/subscribe channels. The same prefixes, automata and
//! bounds as for records; a pattern that is too expensive for the automata is matched by itself from then on.

use super::automata::Automata;
use super::governor::SystemClock;
use super::rules::Rules;
use crate::filter::{Pattern, Target};
use crate::position::ShardId;

/// Patterns by number, and which of them match a name.
pub struct NamePatterns {
    rules: Rules,
    automata: Automata,
    /// The patterns, by number.
    patterns: Vec<Option<Placed>>,
    /// The numbers of those that are matched by themselves.
    alone: Vec<u32>,
    demoted: Vec<u32>,
}

struct Placed {
    pattern: Pattern,
    is_alone: bool,
}

impl Default for NamePatterns {
    fn default() -> NamePatterns {
        NamePatterns {
            rules: Rules::default(),
            automata: Automata::new(Box::new(SystemClock)),
            patterns: Vec::new(),
            alone: Vec::new(),
            demoted: Vec::new(),
        }
    }
}

/// Rules of records depend on the shard where a pattern selects one; names have none.
const NO_SHARD: ShardId = ShardId(0);

impl NamePatterns {
    /// Adds a pattern. The caller chooses `number`, unique among the present ones and small: memory is allocated for all
    /// lower numbers.
    pub fn add(&mut self, number: u32, pattern: Pattern) {
        let index = number as usize;
        if index >= self.patterns.len() {
            self.patterns.resize_with(index + 1, || None);
        }
        self.rules.insert(Target::Stream, &pattern, NO_SHARD, number, &mut self.automata);
        self.patterns[index] = Some(Placed { pattern, is_alone: false });
    }

    /// Removes a pattern. Does nothing if there is none with this number.
    pub fn remove(&mut self, number: u32) {
        let Some(placed) = self.patterns.get_mut(number as usize).and_then(Option::take) else { return };
        if placed.is_alone {
            self.alone.retain(|known| *known != number);
        } else {
            self.rules.remove(Target::Stream, &placed.pattern, NO_SHARD, number, &mut self.automata);
        }
        if self.patterns.iter().all(Option::is_none) {
            self.patterns = Vec::new();
            self.automata.clear();
        }
        self.automata.free_trash();
    }

    /// Appends the numbers of all patterns that match, each once, in any order.
    pub fn find(&mut self, name: &[u8], found: &mut Vec<u32>) {
        let before = found.len();
        loop {
            self.rules.find(name, b"", &mut self.automata, found);
            if !self.alone.is_empty() {
                self.find_alone(name, found);
            }
            // Names come one by one: each is a turn of the automata.
            self.demoted.clear();
            self.automata.end_turn(&mut self.demoted);
            if self.demoted.is_empty() {
                return;
            }
            // What was stopped within this name may be missing. Each round makes one pattern less of those that can be.
            found.truncate(before);
            self.match_alone();
        }
    }

    /// Matches the demoted patterns by themselves from now on.
    #[cold]
    fn match_alone(&mut self) {
        for number in self.demoted.drain(..) {
            let Some(placed) = self.patterns.get_mut(number as usize).and_then(Option::as_mut) else { continue };
            self.rules.remove(Target::Stream, &placed.pattern, NO_SHARD, number, &mut self.automata);
            placed.is_alone = true;
            self.alone.push(number);
        }
        self.automata.free_trash();
    }

    fn find_alone(&self, name: &[u8], found: &mut Vec<u32>) {
        let matches = |number: &&u32| {
            self.patterns[**number as usize].as_ref().is_some_and(|placed| placed.pattern.matches_name(name))
        };
        found.extend(self.alone.iter().filter(matches));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(text: &str) -> Pattern {
        Pattern::glob(text.as_bytes()).expect("a short glob")
    }

    #[test]
    fn patterns_come_and_go() {
        let mut patterns = NamePatterns::default();
        let found = |patterns: &mut NamePatterns, name: &str| {
            let mut found = Vec::new();
            patterns.find(name.as_bytes(), &mut found);
            found.sort();
            found
        };
        for (number, text) in ["*", "news", "news:*", "n?ws:*", "*s:1"].iter().enumerate() {
            patterns.add(number as u32, glob(text));
        }
        assert_eq!(found(&mut patterns, "news"), [0, 1]);
        assert_eq!(found(&mut patterns, "news:1"), [0, 2, 3, 4]);
        patterns.remove(0);
        patterns.remove(3);
        assert_eq!(found(&mut patterns, "news:1"), [2, 4]);
        (0..5).for_each(|number| patterns.remove(number));
        assert_eq!(found(&mut patterns, "news:1"), [0; 0]);
    }

    proptest! {
        #[test]
        fn each_pattern_that_matches_is_found_once(
            steps in proptest::collection::vec((any::<bool>(), 0u32..40, "[ab*?\\[\\]]{0,5}", "[ab]{0,6}"), 1..120)
        ) {
            let mut patterns = NamePatterns::default();
            let mut model: Vec<Option<Pattern>> = vec![None; 40];
            for (adds, number, text, name) in steps {
                patterns.remove(number);
                model[number as usize] = None;
                if adds {
                    patterns.add(number, glob(&text));
                    model[number as usize] = Some(glob(&text));
                }
                let mut found = Vec::new();
                patterns.find(name.as_bytes(), &mut found);
                found.sort();
                let matches = |pattern: &Option<Pattern>| {
                    pattern.as_ref().is_some_and(|pattern| pattern.matches_name(name.as_bytes()))
                };
                let wanted: Vec<u32> = (0..40).filter(|&n| matches(&model[n as usize])).collect();
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
