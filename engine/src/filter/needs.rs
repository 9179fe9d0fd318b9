//! The literal text that every match of a regex contains. Most regexes require some, and a name without it needs no
//! automaton.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// Facts about the names that a regex matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The exact set of matches, if the regex is only a literal.
    pub whole: Option<Whole>,
    /// Every match contains at least one string of each of these lists. An empty list: there is no match.
    pub clauses: Vec<Vec<Vec<u8>>>,
}

/// A regex that is only a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whole {
    /// It matches the names that begin with this.
    Prefix(Box<[u8]>),
    /// It matches this name only.
    Exact(Box<[u8]>),
}

/// The most strings in one list: a choice among more filters little.
const CHOICES_MAX: usize = 16;
/// The most members of a class that are expanded.
const MEMBERS_MAX: usize = 4;
/// The most lists.
const CLAUSES_MAX: usize = 8;
/// The most bytes of a string: if the whole is required, so is each part.
const STRING_BYTES_MAX: usize = 16;

impl Needs {
    /// The facts about a regex.
    pub fn of(hir: &Hir) -> Needs {
        let mut facts = facts_of(hir);
        facts.make_clause();
        Needs { whole: whole(hir), clauses: facts.clauses }
    }
}

/// Facts about the texts that a part of a regex matches.
struct Facts {
    /// All of them, if they are few and short.
    texts: Option<Vec<Vec<u8>>>,
    clauses: Vec<Vec<Vec<u8>>>,
}

impl Facts {
    fn nothing() -> Facts {
        Facts { texts: None, clauses: Vec::new() }
    }

    fn texts(texts: Vec<Vec<u8>>) -> Facts {
        Facts { texts: Some(texts), clauses: Vec::new() }
    }

    fn add(&mut self, clause: Vec<Vec<u8>>) {
        if clause.len() <= CHOICES_MAX && clause.iter().all(|text| !text.is_empty()) {
            self.clauses.push(clause);
            if self.clauses.len() > CLAUSES_MAX {
                // Drop the one that filters least.
                let worst = (0..self.clauses.len()).min_by_key(|&index| selectivity(&self.clauses[index]));
                worst.map(|index| self.clauses.swap_remove(index));
            }
        }
    }

    /// Turns the texts into a clause, before the texts that follow extend them.
    fn make_clause(&mut self) {
        if let Some(texts) = self.texts.take() {
            self.add(texts.into_iter().map(shortened).collect());
        }
    }

    /// The best single clause.
    fn best(mut self) -> Option<Vec<Vec<u8>>> {
        self.make_clause();
        self.clauses.into_iter().max_by_key(|clause| selectivity(clause))
    }
}

/// Longer strings filter more, and so do fewer.
fn selectivity(clause: &[Vec<u8>]) -> (usize, std::cmp::Reverse<usize>) {
    (clause.iter().map(Vec::len).min().unwrap_or(usize::MAX), std::cmp::Reverse(clause.len()))
}

/// Keeps the end of a long string: names often share their beginning.
fn shortened(mut text: Vec<u8>) -> Vec<u8> {
    text.drain(..text.len().saturating_sub(STRING_BYTES_MAX));
    text
}

fn facts_of(hir: &Hir) -> Facts {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Facts::texts(vec![Vec::new()]),
        HirKind::Literal(literal) => Facts::texts(vec![literal.0.to_vec()]),
        HirKind::Class(class) => members(class).map_or_else(Facts::nothing, Facts::texts),
        HirKind::Capture(capture) => facts_of(&capture.sub),
        HirKind::Repetition(repetition) => repeated(repetition),
        HirKind::Concat(parts) => concatenation(parts),
        HirKind::Alternation(parts) => alternation(parts),
    }
}

/// The texts of a class with few members.
fn members(class: &Class) -> Option<Vec<Vec<u8>>> {
    let mut texts = Vec::new();
    match class {
        Class::Bytes(class) => {
            for range in class.iter() {
                for byte in range.start()..=range.end() {
                    texts.push(vec![byte]);
                    (texts.len() <= MEMBERS_MAX).then_some(())?;
                }
            }
        }
        Class::Unicode(class) => {
            for range in class.iter() {
                for character in range.start()..=range.end() {
                    texts.push(character.to_string().into_bytes());
                    (texts.len() <= MEMBERS_MAX).then_some(())?;
                }
            }
        }
    }
    Some(texts)
}

fn repeated(repetition: &Repetition) -> Facts {
    match (repetition.min, repetition.max) {
        (0, Some(1)) => {
            let texts = facts_of(&repetition.sub).texts.filter(|texts| texts.len() < CHOICES_MAX);
            texts.map_or_else(Facts::nothing, |mut texts| {
                texts.push(Vec::new());
                Facts::texts(texts)
            })
        }
        (0, _) => Facts::nothing(),
        (1, Some(1)) => facts_of(&repetition.sub),
        _ => {
            let mut facts = facts_of(&repetition.sub);
            facts.make_clause();
            facts
        }
    }
}

fn concatenation(parts: &[Hir]) -> Facts {
    let mut all = Facts::texts(vec![Vec::new()]);
    // After something unbounded, the texts cover only the rest.
    let mut whole = true;
    for part in parts {
        let mut part = facts_of(part);
        for clause in std::mem::take(&mut part.clauses) {
            all.add(clause);
        }
        match (&all.texts, part.texts) {
            (Some(so_far), Some(next)) if so_far.len() * next.len() <= CHOICES_MAX => {
                all.texts = Some(so_far.iter().flat_map(|a| next.iter().map(move |b| [&a[..], b].concat())).collect());
            }
            (_, Some(next)) => {
                all.make_clause();
                all.texts = Some(next);
                whole = false;
            }
            (_, None) => {
                all.make_clause();
                all.texts = Some(vec![Vec::new()]);
                whole = false;
            }
        }
    }
    if !whole {
        all.make_clause();
    }
    all
}

fn alternation(parts: &[Hir]) -> Facts {
    let mut texts = Some(Vec::new());
    let mut clause = Some(Vec::new());
    for part in parts {
        let part = facts_of(part);
        texts = texts.zip(part.texts.clone()).map(|(mut all, more)| {
            all.extend(more);
            all
        });
        clause = clause.zip(part.best()).map(|(mut all, more)| {
            all.extend(more);
            all
        });
        // Bounded in each step, because there may be thousands of parts.
        texts = texts.filter(|all: &Vec<_>| all.len() <= CHOICES_MAX);
        clause = clause.filter(|all: &Vec<_>| all.len() <= CHOICES_MAX);
        if texts.is_none() && clause.is_none() {
            return Facts::nothing();
        }
    }
    match (texts, clause) {
        (Some(texts), _) => Facts::texts(texts),
        (None, Some(clause)) => {
            let mut facts = Facts::nothing();
            facts.add(clause);
            facts
        }
        (None, None) => Facts::nothing(),
    }
}

/// Recognises `^literal` and `^literal$`. An optional end of an unanchored regex does not matter.
fn whole(hir: &Hir) -> Option<Whole> {
    let HirKind::Concat(parts) = hir.kind() else { return None };
    let [start, literal, rest @ ..] = &parts[..] else { return None };
    let (HirKind::Look(Look::Start), HirKind::Literal(literal)) = (start.kind(), literal.kind()) else { return None };
    let may_be_absent = |part: &Hir| matches!(part.kind(), HirKind::Repetition(repetition) if repetition.min == 0);
    match rest {
        [end] if matches!(end.kind(), HirKind::Look(Look::End)) => Some(Whole::Exact(literal.0.clone())),
        rest if rest.iter().all(may_be_absent) => Some(Whole::Prefix(literal.0.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::pattern::Regex;
    use proptest::prelude::*;

    fn needs(regex: &str) -> Needs {
        Regex::new(regex.as_bytes()).unwrap().needs().clone()
    }

    fn clauses(regex: &str) -> Vec<Vec<String>> {
        let text = |text: Vec<u8>| String::from_utf8_lossy(&text).into_owned();
        needs(regex).clauses.into_iter().map(|clause| clause.into_iter().map(text).collect()).collect()
    }

    #[test]
    fn literals_are_found_wherever_they_stand() {
        assert_eq!(clauses("^user:[0-9]+:03e$"), [["user:"], [":03e"]]);
        assert_eq!(clauses("[0-9]{2,6}07.*03e"), [["07"], ["03e"]]);
        assert_eq!(clauses("a(b|c)d"), [["abd", "acd"]]);
        assert_eq!(clauses("(foo|ba[rz])+x?"), [["foo", "bar", "baz"]]);
        assert_eq!(clauses("(.*foo|bar.*)z"), [vec!["foo", "bar"], vec!["z"]]);
        assert_eq!(clauses("(?i)ab"), [["AB", "Ab", "aB", "ab"]]);
    }

    #[test]
    fn optional_text_is_not_needed() {
        for regex in ["(foo)*", "foo|", "(foo|.*)", "[0-9]+", "", "^$", "(a|b|ab)*"] {
            assert_eq!(clauses(regex), Vec::<Vec<String>>::new(), "{regex}");
        }
        assert_eq!(clauses("fo?o"), [["foo", "fo"]]);
    }

    #[test]
    fn an_anchored_literal_is_a_prefix_or_a_name() {
        let prefix = |text: &str| Some(Whole::Prefix(text.as_bytes().into()));
        assert_eq!(needs("^user:").whole, prefix("user:"));
        assert_eq!(needs("^user:.*").whole, prefix("user:"));
        assert_eq!(needs("^user:1$").whole, Some(Whole::Exact(b"user:1"[..].into())));
        for regex in ["user:", "^user:.+", "^user:.*$", "(?m)^user:", "user$", "^u|x", "^(a|b)", "^$"] {
            assert_eq!(needs(regex).whole, None, "{regex}");
        }
    }

    fn regexes() -> impl Strategy<Value = String> {
        let leaf = prop_oneof!["[a-c]{1,3}", Just("[ab]".into()), Just(".".into()), Just("^".into()), Just("$".into())];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
                (inner, prop_oneof!["\\*", "\\+", "\\?", Just("{2}".into()), Just("{1,3}".into())])
                    .prop_map(|(inner, times)| format!("({inner}){times}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_match_contains_what_its_regex_needs(regex in regexes(), name in "[a-c]{0,8}") {
            let regex = Regex::new(regex.as_bytes()).unwrap();
            let has = |text: &Vec<u8>| memchr::memmem::find(name.as_bytes(), text).is_some();
            if regex.matches(name.as_bytes()) {
                for clause in &regex.needs().clauses {
                    prop_assert!(clause.iter().any(has), "{clause:?}");
                }
            }
            match &regex.needs().whole {
                Some(Whole::Prefix(prefix)) => {
                    prop_assert_eq!(regex.matches(name.as_bytes()), name.as_bytes().starts_with(prefix));
                }
                Some(Whole::Exact(exact)) => prop_assert_eq!(regex.matches(name.as_bytes()), name.as_bytes() == &**exact),
                None => {}
            }
        }
    }
}
