//! GEODIST, GEOHASH, GEOPOS.

use super::words::{put_distance, put_point, unit};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::geo::Point;

const fn reading(name: &'static str, arity: i32, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity,
        flags: &[Flag::Readonly],
        keys: Keys::ONE,
        access: Access::READ,
        summary,
        group: "geo",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static GEODIST: Command =
    reading("geodist", -4, "Returns the distance between two members.", |context, args, reply| {
        let metres = match args.len() {
            4 => Ok(1.0),
            5 => unit(args.get(4)),
            _ => Err(error_text::SYNTAX),
        };
        let metres = match metres {
            Ok(metres) => metres,
            Err(text) => return reply.error(text),
        };
        let key = args.get(1);
        context.shards.of(key).sorted(key).answer(reply, |reply, set| {
            let point = |member| set?.score(member).map(Point::of_score);
            match (point(args.get(2)), point(args.get(3))) {
                (Some(from), Some(to)) => put_distance(reply, from.distance(to) / metres),
                _ => reply.null(),
            }
        });
    });

pub static GEOHASH: Command = reading("geohash", -2, "Returns the geohashes of members.", |context, args, reply| {
    each(context, args, reply, |reply, point| match point {
        Some(point) => reply.bulk(&point.geohash()),
        None => reply.null(),
    });
});

pub static GEOPOS: Command = reading("geopos", -2, "Returns the places of members.", |context, args, reply| {
    each(context, args, reply, |reply, point| match point {
        Some(point) => put_point(reply, point),
        None => reply.null_array(),
    });
});

/// An array of what `put` makes of the place of each member, if it is there.
fn each(
    context: &mut KeysContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
    put: impl Fn(&mut Reply<'_>, Option<Point>),
) {
    let (key, members) = (args.get(1), args.rest(2));
    context.shards.of(key).sorted(key).answer(reply, |reply, set| {
        reply.array(members.len());
        for member in members.iter() {
            put(reply, set.and_then(|set| set.score(member)).map(Point::of_score));
        }
    });
}
