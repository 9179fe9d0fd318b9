//! XTRIM, and the options of trimming that XADD has too.

use super::words::{integer, strict_id};
use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::{Trim, TrimTo};

/// The options of trimming while they are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrimOptions {
    to: Option<(TrimTo, bool)>,
    limit: Option<u64>,
}

impl TrimOptions {
    /// Reads the option that begins at a word; returns how many words it has, 0 if it is none.
    pub fn read(&mut self, words: Args<'_>) -> Result<usize, &'static str> {
        let [Some(word), Some(next)] = [words.try_get(0), words.try_get(1)] else { return Ok(0) };
        if is(word, "limit") {
            let limit = integer(next)?;
            self.limit = Some(u64::try_from(limit).map_err(|_| "ERR The LIMIT argument must be >= 0.")?);
            return Ok(2);
        }
        let is_length = is(word, "maxlen");
        if !is_length && !is(word, "minid") {
            return Ok(0);
        }
        if self.to.is_some() {
            return Err("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
        }
        let has_sign = words.len() > 2 && matches!(next, b"~" | b"=");
        let value = words.get(1 + usize::from(has_sign));
        let to = if is_length {
            let length = integer(value)?;
            TrimTo::Length(u64::try_from(length).map_err(|_| "ERR The MAXLEN argument must be >= 0.")?)
        } else {
            TrimTo::From(strict_id(value)?)
        };
        self.to = Some((to, has_sign && next == b"~"));
        Ok(2 + usize::from(has_sign))
    }

    /// What all options together say; `is_needed` means that they have to say how to trim.
    pub fn trim(self, is_needed: bool) -> Result<Option<Trim>, &'static str> {
        match (self.to, self.limit) {
            (None, Some(1..)) => Err("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"),
            (None, _) if is_needed => Err("ERR syntax error, XTRIM must be called with a trimming strategy"),
            (None | Some((_, false)), Some(_)) => {
                Err("ERR syntax error, LIMIT cannot be used without the special ~ option")
            }
            (None, None) => Ok(None),
            (Some((to, is_approximate)), limit) => Ok(Some(Trim { to, is_approximate, limit })),
        }
    }
}

pub static XTRIM: Command = Command {
    name: "xtrim",
    arity: -4,
    flags: &[Flag::Write],
    keys: Keys::ONE,
    access: Access::DELETE,
    summary: "Removes the oldest entries of a stream.",
    group: "stream",
    run: Run::Keys { run: xtrim, spread: Spread::Hold },
};

fn parse(mut words: Args<'_>) -> Result<Option<Trim>, &'static str> {
    let mut options = TrimOptions::default();
    while !words.is_empty() {
        match options.read(words)? {
            0 => return Err(error_text::SYNTAX),
            read => words = words.rest(read),
        }
    }
    options.trim(true)
}

fn xtrim(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    match parse(args.rest(2)) {
        Ok(None) => reply.integer(0),
        Ok(Some(trim)) => {
            context.shards.of(key).trim_entries(key, trim).answer(reply, |reply, removed| reply.unsigned(removed));
        }
        Err(text) => reply.error(text),
    }
}
