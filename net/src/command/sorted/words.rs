//! Arguments of commands on sorted sets.

use crate::resp::error_text;
use keytide_engine::collection::{LexBound, LexRange, ScoreBound, ScoreRange, Selection};
use keytide_engine::number::{parse_i64, parse_range_end};

fn score_bound(word: &[u8]) -> Option<ScoreBound> {
    match word {
        [b'(', rest @ ..] => parse_range_end(rest).map(ScoreBound::Exclusive),
        _ => parse_range_end(word).map(ScoreBound::Inclusive),
    }
}

/// Scores from one to another; or the text of the error.
pub fn by_score<'a>(min: &[u8], max: &[u8]) -> Result<Selection<'a>, &'static str> {
    let bounds = score_bound(min).zip(score_bound(max)).ok_or(error_text::RANGE_NOT_FLOAT)?;
    Ok(Selection::Scores(ScoreRange { min: bounds.0, max: bounds.1 }))
}

fn lex_bound(word: &[u8]) -> Option<LexBound<'_>> {
    match word {
        // What is behind a zero byte does not count, as in a string of C.
        [b'-'] | [b'-', 0, ..] => Some(LexBound::Lowest),
        [b'+'] | [b'+', 0, ..] => Some(LexBound::Highest),
        [b'[', member @ ..] => Some(LexBound::Inclusive(member)),
        [b'(', member @ ..] => Some(LexBound::Exclusive(member)),
        _ => None,
    }
}

/// Members from one to another; or the text of the error.
pub fn by_lex<'a>(min: &'a [u8], max: &'a [u8]) -> Result<Selection<'a>, &'static str> {
    let bounds = lex_bound(min).zip(lex_bound(max)).ok_or(error_text::RANGE_NOT_MEMBERS)?;
    Ok(Selection::Lex(LexRange { min: bounds.0, max: bounds.1 }))
}

/// Ranks from one to another; or the text of the error.
pub fn by_rank<'a>(first: &[u8], last: &[u8], is_reversed: bool) -> Result<Selection<'a>, &'static str> {
    let ranks = parse_i64(first).zip(parse_i64(last)).ok_or(error_text::NOT_INTEGER)?;
    Ok(Selection::Ranks { first: ranks.0, last: ranks.1, is_reversed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_ranges_are_read_as_redis_reads_them() {
        use ScoreBound::{Exclusive, Inclusive};
        for (word, bound) in [
            ("1.5", Some(Inclusive(1.5))),
            ("(1", Some(Exclusive(1.0))),
            ("(", Some(Exclusive(0.0))),
            ("", Some(Inclusive(0.0))),
            ("-inf", Some(Inclusive(f64::NEG_INFINITY))),
            ("(+inf", Some(Exclusive(f64::INFINITY))),
            ("nan", None),
            ("((1", None),
            ("1 ", None),
        ] {
            assert_eq!(score_bound(word.as_bytes()), bound, "{word}");
        }
        for (word, bound) in [
            ("-", Some(LexBound::Lowest)),
            ("+", Some(LexBound::Highest)),
            ("[", Some(LexBound::Inclusive(b""))),
            ("(a", Some(LexBound::Exclusive(b"a"))),
            ("", None),
            ("a", None),
            ("+a", None),
            ("--", None),
        ] {
            assert_eq!(lex_bound(word.as_bytes()), bound, "{word}");
        }
    }
}
