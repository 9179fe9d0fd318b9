//! Arguments and replies of these commands.

use crate::command::options::is;
use crate::resp::{Protocol, Reply, error_text};
use keytide_engine::geo::Point;
use keytide_engine::number::{human_text, parse_f64};

/// A place; or the text of the error.
pub fn point(longitude: &[u8], latitude: &[u8]) -> Result<Point, String> {
    let number = |word| parse_f64(word).ok_or(error_text::NOT_FLOAT);
    let (longitude, latitude) = (number(longitude)?, number(latitude)?);
    Point::new(longitude, latitude)
        .ok_or_else(|| format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"))
}

/// A unit of length, in metres; or the text of the error.
pub fn unit(word: &[u8]) -> Result<f64, &'static str> {
    let units = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let found = units.into_iter().find(|(name, _)| is(word, name));
    found.map(|(_, metres)| metres).ok_or("ERR unsupported unit provided. please use M, KM, FT, MI")
}

/// Encodes a distance.
pub fn put_distance(reply: &mut Reply<'_>, distance: f64) {
    reply.text(&format!("{distance:.4}"));
}

/// Encodes a place.
pub fn put_point(reply: &mut Reply<'_>, point: Point) {
    reply.array(2);
    for degree in [point.longitude, point.latitude] {
        let text = human_text(degree);
        match reply.protocol() {
            Protocol::Resp2 => reply.text(&text),
            Protocol::Resp3 => reply.raw(format!(",{text}\r\n").as_bytes()),
        }
    }
}
