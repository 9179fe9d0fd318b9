//! The messages of publish/subscribe, in RESP3 as pushes and in RESP2 as arrays, with Redis's words.

use super::{Protocol, Reply, error_text};
use crate::channels::{Finished, Kind, Message, Step};

/// Appends what a client is told of a change of its channels: a message for each name.
pub fn changed(out: &mut Vec<u8>, protocol: Protocol, finished: &Finished) {
    let mut reply = Reply::new(out, protocol);
    let word = match finished.step {
        Step { kind: Kind::Channel, subscribes: true } => "subscribe",
        Step { kind: Kind::Channel, subscribes: false } => "unsubscribe",
        Step { kind: Kind::Pattern, subscribes: true } => "psubscribe",
        Step { kind: Kind::Pattern, subscribes: false } => "punsubscribe",
        Step { kind: Kind::Shard, subscribes: true } => "ssubscribe",
        Step { kind: Kind::Shard, subscribes: false } => "sunsubscribe",
        Step { kind: Kind::Monitor, .. } => {
            match &finished.refused {
                Some(over) => reply.error(error_text::err(over)),
                None => reply.ok(),
            }
            return;
        }
    };
    for (name, count) in &finished.rows {
        reply.push(3);
        reply.text(word);
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.unsigned(*count as u64);
    }
    if let Some(over) = &finished.refused {
        reply.error(error_text::err(over));
    }
}

/// Appends a published message, for a subscriber of its channel or of this pattern.
pub fn published(out: &mut Vec<u8>, protocol: Protocol, message: Message<'_>, pattern: Option<&[u8]>) {
    let mut reply = Reply::new(out, protocol);
    if message.kind == Kind::Monitor {
        [&b"+"[..], message.payload, b"\r\n"].iter().for_each(|part| reply.raw(part));
        return;
    }
    match (pattern, message.kind) {
        (Some(pattern), _) => {
            reply.push(4);
            reply.raw(b"$8\r\npmessage\r\n");
            reply.bulk(pattern);
        }
        (None, Kind::Shard) => {
            reply.push(3);
            reply.raw(b"$8\r\nsmessage\r\n");
        }
        (None, Kind::Channel | Kind::Pattern | Kind::Monitor) => {
            reply.push(3);
            reply.raw(b"$7\r\nmessage\r\n");
        }
    }
    reply.bulk(message.channel);
    reply.bulk(message.payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_words_of_redis() {
        let text = |protocol, kind, pattern: Option<&[u8]>| {
            let mut out = Vec::new();
            published(&mut out, protocol, Message { kind, channel: b"c", payload: b"hi" }, pattern);
            String::from_utf8(out).expect("only text").replace("\r\n", " ")
        };
        assert_eq!(text(Protocol::Resp2, Kind::Channel, None), "*3 $7 message $1 c $2 hi ");
        assert_eq!(text(Protocol::Resp3, Kind::Shard, None), ">3 $8 smessage $1 c $2 hi ");
        assert_eq!(text(Protocol::Resp3, Kind::Channel, Some(b"?")), ">4 $8 pmessage $1 ? $1 c $2 hi ");
    }
}
