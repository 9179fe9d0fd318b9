//! The messages of client-side caching, with Redis's words: in RESP3 a push, in RESP2 a message to a subscriber of a channel.

use super::{Protocol, Reply};

/// The channel on which a client of RESP2 is told, which another one has its messages sent to.
const CHANNEL: &str = "__redis__:invalidate";

/// Keys as they stand in a message.
pub fn keys<'k>(keys: impl ExactSizeIterator<Item = &'k [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, Protocol::Resp3);
    reply.array(keys.len());
    keys.for_each(|key| reply.bulk(key));
    out
}

/// Appends the message that these keys have changed, as [`keys`] gives them; `None` = all.
pub fn invalidated(out: &mut Vec<u8>, protocol: Protocol, keys: Option<&[u8]>) {
    let mut reply = Reply::new(out, protocol);
    match protocol {
        Protocol::Resp3 => {
            reply.push(2);
            reply.text("invalidate");
        }
        Protocol::Resp2 => {
            reply.push(3);
            reply.text("message");
            reply.text(CHANNEL);
        }
    }
    match keys {
        Some(keys) => reply.raw(keys),
        None => reply.null(),
    }
}

/// Appends, for a client of RESP3, that the client of this number has gone which gets its messages.
pub fn redirect_broken(out: &mut Vec<u8>, client: u64) {
    let mut reply = Reply::new(out, Protocol::Resp3);
    reply.push(2);
    reply.text("tracking-redir-broken");
    reply.unsigned(client);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_words_of_redis() {
        let keys = keys([&b"a"[..], b"bc"].into_iter());
        let text = |protocol, keys: Option<&[u8]>| {
            let mut out = Vec::new();
            invalidated(&mut out, protocol, keys);
            String::from_utf8(out).expect("only text").replace("\r\n", " ")
        };
        assert_eq!(text(Protocol::Resp3, Some(&keys)), ">2 $10 invalidate *2 $1 a $2 bc ");
        assert_eq!(text(Protocol::Resp3, None), ">2 $10 invalidate _ ");
        assert_eq!(text(Protocol::Resp2, Some(&keys)), "*3 $7 message $20 __redis__:invalidate *2 $1 a $2 bc ");
        assert_eq!(text(Protocol::Resp2, None), "*3 $7 message $20 __redis__:invalidate $-1 ");
    }
}
