//! What every name that a regex matches has to contain, read off the regex: most regexes name some literal text, and
//! a name without it needs no automaton.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// What is known of the names that a regex matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The names, where the regex says no more than this.
    pub whole: Option<Whole>,
    /// Of each of these lists, at least one string is in every name that matches. An empty list: nothing matches.
    pub clauses: Vec<Vec<Vec<u8>>>,
}

/// A regex that is no more than a literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whole {
    /// It matches what begins with this.
    Prefix(Box<[u8]>),
    /// It matches this and nothing else.
    Exact(Box<[u8]>),
}

/// The most strings in one list: a choice among more tells little.
const CHOICES_MAX: usize = 16;
/// The most members of a class that are taken one by one.
const MEMBERS_MAX: usize = 4;
/// The most lists that are kept.
const CLAUSES_MAX: usize = 8;
/// The most bytes that are kept of a string: its part is needed as well as the whole.
const STRING_BYTES_MAX: usize = 16;

impl Needs {
    /// Those of a regex.
    pub fn of(hir: &Hir) -> Needs {
        let mut known = look(hir);
        known.settle();
        Needs { whole: whole(hir), clauses: known.clauses }
    }
}

/// What is known of the texts that a part of a regex matches.
struct Known {
    /// All of them, where they are few and short.
    texts: Option<Vec<Vec<u8>>>,
    clauses: Vec<Vec<Vec<u8>>>,
}

impl Known {
    fn nothing() -> Known {
        Known { texts: None, clauses: Vec::new() }
    }

    fn texts(texts: Vec<Vec<u8>>) -> Known {
        Known { texts: Some(texts), clauses: Vec::new() }
    }

    fn add(&mut self, clause: Vec<Vec<u8>>) {
        if clause.len() <= CHOICES_MAX && clause.iter().all(|text| !text.is_empty()) {
            self.clauses.push(clause);
            if self.clauses.len() > CLAUSES_MAX {
                // The one that tells least.
                let worst = (0..self.clauses.len()).min_by_key(|&index| worth(&self.clauses[index]));
                worst.map(|index| self.clauses.swap_remove(index));
            }
        }
    }

    /// Turns what is known of the texts into a clause, for what follows makes them longer.
    fn settle(&mut self) {
        if let Some(texts) = self.texts.take() {
            self.add(texts.into_iter().map(shortened).collect());
        }
    }

    /// The best single clause.
    fn best(mut self) -> Option<Vec<Vec<u8>>> {
        self.settle();
        self.clauses.into_iter().max_by_key(|clause| worth(clause))
    }
}

/// Longer strings tell more, and so do fewer.
fn worth(clause: &[Vec<u8>]) -> (usize, std::cmp::Reverse<usize>) {
    (clause.iter().map(Vec::len).min().unwrap_or(usize::MAX), std::cmp::Reverse(clause.len()))
}

/// The end of a long string: names that many share a beginning differ there.
fn shortened(mut text: Vec<u8>) -> Vec<u8> {
    text.drain(..text.len().saturating_sub(STRING_BYTES_MAX));
    text
}

fn look(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::texts(vec![Vec::new()]),
        HirKind::Literal(literal) => Known::texts(vec![literal.0.to_vec()]),
        HirKind::Class(class) => members(class).map_or_else(Known::nothing, Known::texts),
        HirKind::Capture(capture) => look(&capture.sub),
        HirKind::Repetition(repetition) => repeated(repetition),
        HirKind::Concat(parts) => in_a_row(parts),
        HirKind::Alternation(parts) => one_of(parts),
    }
}

/// The texts of a class of few characters.
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

fn repeated(repetition: &Repetition) -> Known {
    match (repetition.min, repetition.max) {
        (0, Some(1)) => {
            let texts = look(&repetition.sub).texts.filter(|texts| texts.len() < CHOICES_MAX);
            texts.map_or_else(Known::nothing, |mut texts| {
                texts.push(Vec::new());
                Known::texts(texts)
            })
        }
        (0, _) => Known::nothing(),
        (1, Some(1)) => look(&repetition.sub),
        _ => {
            let mut known = look(&repetition.sub);
            known.settle();
            known
        }
    }
}

fn in_a_row(parts: &[Hir]) -> Known {
    let mut all = Known::texts(vec![Vec::new()]);
    // Once something unbounded came between, the texts are only those since then.
    let mut whole = true;
    for part in parts {
        let mut part = look(part);
        for clause in std::mem::take(&mut part.clauses) {
            all.add(clause);
        }
        match (&all.texts, part.texts) {
            (Some(so_far), Some(next)) if so_far.len() * next.len() <= CHOICES_MAX => {
                all.texts = Some(so_far.iter().flat_map(|a| next.iter().map(move |b| [&a[..], b].concat())).collect());
            }
            (_, Some(next)) => {
                all.settle();
                all.texts = Some(next);
                whole = false;
            }
            (_, None) => {
                all.settle();
                all.texts = Some(vec![Vec::new()]);
                whole = false;
            }
        }
    }
    if !whole {
        all.settle();
    }
    all
}

fn one_of(parts: &[Hir]) -> Known {
    let mut texts = Some(Vec::new());
    let mut clause = Some(Vec::new());
    for part in parts {
        let part = look(part);
        texts = texts.zip(part.texts.clone()).map(|(mut all, more)| {
            all.extend(more);
            all
        });
        clause = clause.zip(part.best()).map(|(mut all, more)| {
            all.extend(more);
            all
        });
        // Bounded on the way, for there may be thousands of parts.
        texts = texts.filter(|all: &Vec<_>| all.len() <= CHOICES_MAX);
        clause = clause.filter(|all: &Vec<_>| all.len() <= CHOICES_MAX);
        if texts.is_none() && clause.is_none() {
            return Known::nothing();
        }
    }
    match (texts, clause) {
        (Some(texts), _) => Known::texts(texts),
        (None, Some(clause)) => {
            let mut known = Known::nothing();
            known.add(clause);
            known
        }
        (None, None) => Known::nothing(),
    }
}

/// `^literal` and `^literal$`. What may be left out at the end of an unanchored regex says nothing.
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
    fn what_may_be_absent_is_not_needed() {
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
        fn every_match_has_what_its_regex_needs(regex in regexes(), name in "[a-c]{0,8}") {
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
