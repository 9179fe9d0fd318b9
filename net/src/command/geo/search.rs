//! GEOSEARCH, GEOSEARCHSTORE; and what they have in common with GEORADIUS.

use super::words::{point, put_distance, put_point, unit};
use crate::command::options::is;
use crate::command::{Access, Command, Flag, KeyUse, Keys, KeysContext, Run, Spread, refusal_text};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::geo::{self, Area, Found, Point, Shape};
use keytide_engine::keyspace::Bytes;
use keytide_engine::number::{parse_f64, parse_i64};
use std::borrow::Cow;

pub static GEOSEARCH: Command = Command {
    name: "geosearch",
    arity: -7,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns the members within an area.",
    group: "geo",
    run: Run::Keys { run: |context, args, reply| geosearch(context, args, false, reply), spread: Spread::Hold },
};

pub static GEOSEARCHSTORE: Command = Command {
    name: "geosearchstore",
    arity: -8,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::TWO,
    access: Access::keys(&[KeyUse::OVERWRITE, KeyUse::READ]),
    summary: "Stores the members within an area.",
    group: "geo",
    run: Run::Keys { run: |context, args, reply| geosearch(context, args, true, reply), spread: Spread::Hold },
};

/// The text of an error.
pub type Text = Cow<'static, str>;

/// The order of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    None,
    Nearest,
    Furthest,
}

/// What is done with what is found.
pub struct Options<'a> {
    with_distance: bool,
    with_hash: bool,
    with_point: bool,
    order: Order,
    /// The most members; 0 for all of them.
    count: usize,
    /// Whether any of them will do.
    is_any: bool,
    /// What Redis calls the event of storing them.
    pub event: &'static str,
    /// The key at which they are stored.
    pub target: Option<&'a [u8]>,
    /// Whether their scores are their distances then.
    pub stores_distance: bool,
}

impl<'a> Options<'a> {
    /// None yet.
    pub fn new(target: Option<&'a [u8]>, event: &'static str) -> Options<'a> {
        Options {
            with_distance: false,
            with_hash: false,
            with_point: false,
            order: Order::None,
            count: 0,
            is_any: false,
            target,
            event,
            stores_distance: false,
        }
    }

    /// Reads an option that all commands have at the beginning of these words; returns how many words it has, 0 if it is
    /// another one.
    pub fn take(&mut self, words: Args<'_>) -> Result<usize, Text> {
        match words.get(0) {
            word if is(word, "withdist") => self.with_distance = true,
            word if is(word, "withhash") => self.with_hash = true,
            word if is(word, "withcoord") => self.with_point = true,
            word if is(word, "any") => self.is_any = true,
            word if is(word, "asc") => self.order = Order::Nearest,
            word if is(word, "desc") => self.order = Order::Furthest,
            word if is(word, "count") && words.len() > 1 => {
                let count = parse_i64(words.get(1)).ok_or(error_text::NOT_INTEGER)?;
                let count = usize::try_from(count).ok().filter(|&count| count > 0);
                self.count = count.ok_or("ERR COUNT must be > 0")?;
                return Ok(2);
            }
            _ => return Ok(0),
        }
        Ok(1)
    }

    /// Refuses what does not go together with storing; `storing` is what stores.
    pub fn check_stored(&self, storing: &str) -> Result<(), Text> {
        if self.target.is_some() && (self.with_distance || self.with_hash || self.with_point) {
            let text = "is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
            return Err(format!("ERR {storing} {text}").into());
        }
        Ok(())
    }

    /// Refuses ANY without COUNT.
    pub fn check_any(&self) -> Result<(), Text> {
        if self.is_any && self.count == 0 { Err("ERR the ANY argument requires COUNT argument".into()) } else { Ok(()) }
    }

    /// The members of a set within an area; those that are wanted.
    fn find<'s>(&self, found: impl FnOnce(usize) -> Vec<Found<'s>>) -> Vec<Found<'s>> {
        let limit = if self.is_any { self.count } else { usize::MAX };
        let mut found = found(limit);
        // So many of them are wanted as are nearest, unless any will do.
        let order =
            if self.count > 0 && self.order == Order::None && !self.is_any { Order::Nearest } else { self.order };
        match order {
            Order::None => {}
            Order::Nearest => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Order::Furthest => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }

    fn put(&self, reply: &mut Reply<'_>, found: &[Found<'_>], unit: f64) {
        let more = [self.with_distance, self.with_hash, self.with_point].iter().filter(|is_wanted| **is_wanted).count();
        reply.array(found.len());
        for each in found {
            if more > 0 {
                reply.array(1 + more);
            }
            reply.bulk(each.member);
            if self.with_distance {
                put_distance(reply, each.distance / unit);
            }
            if self.with_hash {
                reply.integer(each.score as i64);
            }
            if self.with_point {
                put_point(reply, each.point);
            }
        }
    }
}

/// Looks through the set at a key, and replies with what is found or stores it. Without an area the key does not exist.
pub fn answer(
    context: &mut KeysContext<'_>,
    (key, area): (&[u8], Option<Area>),
    options: &Options<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), Text> {
    let set = context.shards.of(key).sorted(key).map_err(refusal_text)?;
    let (found, unit) = match (set, area) {
        (Some(set), Some(area)) => (options.find(|limit| geo::search(set, area, limit)), area.unit),
        _ => (Vec::new(), 1.0),
    };
    let Some(target) = options.target else {
        options.put(reply, &found, unit);
        return Ok(());
    };
    context.event = Some(options.event);
    let score = |found: &Found<'_>| if options.stores_distance { found.distance / unit } else { found.score };
    let pairs: Vec<(Bytes, f64)> = found.iter().map(|found| (Bytes::from_slice(found.member), score(found))).collect();
    context.shards.store_scores(target, &pairs).map_err(refusal_text)?;
    reply.unsigned(pairs.len() as u64);
    Ok(())
}

/// The place of a member of the set at a key; `None` if there is no such key.
pub fn point_of(context: &mut KeysContext<'_>, key: &[u8], member: &[u8]) -> Result<Option<Point>, Text> {
    let Some(set) = context.shards.of(key).sorted(key).map_err(refusal_text)? else { return Ok(None) };
    let score = set.score(member).ok_or("ERR could not decode requested zset member")?;
    Ok(Some(Point::of_score(score)))
}

/// A radius and its unit in metres.
pub fn radius(radius: &[u8], unit_name: &[u8]) -> Result<(Shape, f64), Text> {
    let radius = parse_f64(radius).ok_or("ERR need numeric radius")?;
    if radius < 0.0 {
        return Err("ERR radius cannot be negative".into());
    }
    Ok((Shape::Circle(radius), unit(unit_name)?))
}

fn rectangle(words: Args<'_>) -> Result<(Shape, f64), Text> {
    let width = parse_f64(words.get(0)).ok_or("ERR need numeric width")?;
    let height = parse_f64(words.get(1)).ok_or("ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err("ERR height or width cannot be negative".into());
    }
    Ok((Shape::Rectangle { width, height }, unit(words.get(2))?))
}

fn geosearch(context: &mut KeysContext<'_>, args: Args<'_>, stores: bool, reply: &mut Reply<'_>) {
    if let Err(text) = try_search(context, args, stores, reply) {
        reply.error(&*text);
    }
}

fn try_search(context: &mut KeysContext<'_>, args: Args<'_>, stores: bool, reply: &mut Reply<'_>) -> Result<(), Text> {
    let (key, mut words) = if stores { (args.get(2), args.rest(3)) } else { (args.get(1), args.rest(2)) };
    let mut options = Options::new(stores.then(|| args.get(1)), "geosearchstore");
    let has_set = context.shards.of(key).sorted(key).map_err(refusal_text)?.is_some();
    // The middle is `Some(None)` where there is no set that could have the member.
    let (mut middle, mut is_member, mut shape): (Option<Option<Point>>, bool, Option<(Shape, f64)>) =
        (None, false, None);
    while !words.is_empty() {
        let (word, behind) = (words.get(0), words.len() - 1);
        let is_circle = matches!(shape, Some((Shape::Circle(_), _)));
        let mut taken = options.take(words)?;
        if taken == 0 {
            taken = match word {
                _ if stores && is(word, "storedist") => {
                    options.stores_distance = true;
                    1
                }
                _ if is(word, "frommember") && behind >= 1 && (middle.is_none() || is_member) => {
                    middle = Some(point_of(context, key, words.get(1))?);
                    is_member = true;
                    2
                }
                _ if is(word, "fromlonlat") && behind >= 2 && !is_member => {
                    middle = Some(Some(point(words.get(1), words.get(2))?));
                    3
                }
                _ if is(word, "byradius") && behind >= 2 && (shape.is_none() || is_circle) => {
                    shape = Some(radius(words.get(1), words.get(2))?);
                    3
                }
                _ if is(word, "bybox") && behind >= 3 && !is_circle => {
                    shape = Some(rectangle(words.rest(1))?);
                    4
                }
                _ => return Err(error_text::SYNTAX.into()),
            };
        }
        words = words.rest(taken);
    }
    options.check_stored("GEOSEARCHSTORE")?;
    let name = || String::from_utf8_lossy(args.get(0)).into_owned();
    let lacks = |what: &str| Text::from(format!("ERR exactly one of {what} can be specified for {}", name()));
    let middle = middle.ok_or_else(|| lacks("FROMMEMBER or FROMLONLAT"))?;
    let (shape, unit) = shape.ok_or_else(|| lacks("BYRADIUS and BYBOX"))?;
    options.check_any()?;
    let area = middle.filter(|_| has_set).map(|middle| Area { middle, shape, unit });
    answer(context, (key, area), &options, reply)
}
