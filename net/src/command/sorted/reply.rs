//! Replies with members and scores.

use crate::resp::{Protocol, Reply};

/// How members are sent with their scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Members alone.
    Members,
    /// Members and scores one after the other.
    Flat,
    /// Each member with its score in an array of two.
    Pairs,
}

impl Form {
    /// The form of most replies: in RESP3 with scores in pairs.
    pub fn of(with_scores: bool, protocol: Protocol) -> Form {
        match (with_scores, protocol) {
            (false, _) => Form::Members,
            (true, Protocol::Resp2) => Form::Flat,
            (true, Protocol::Resp3) => Form::Pairs,
        }
    }
}

/// Writes an array of members, of which there are `count`.
pub fn put<M: AsRef<[u8]>>(reply: &mut Reply<'_>, form: Form, count: usize, pairs: impl Iterator<Item = (M, f64)>) {
    reply.array(if form == Form::Flat { 2 * count } else { count });
    for (member, score) in pairs {
        if form == Form::Pairs {
            reply.array(2);
        }
        reply.bulk(member.as_ref());
        if form != Form::Members {
            reply.double(score);
        }
    }
}
