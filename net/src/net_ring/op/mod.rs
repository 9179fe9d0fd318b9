//! The operations of a net ring, one file each: their submission and their completions.

pub(super) mod accept;
pub(super) mod cancel;
pub(super) mod recv;
pub(super) mod send;
pub(super) mod watch;

use super::slab::ConnectionId;

/// The kind of operation that a completion belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum OpKind {
    Accept = 1,
    AcceptRetry,
    CancelAccept,
    Receive,
    CancelReceive,
    Send,
    CancelSend,
    Watch,
}

const KINDS: [OpKind; 8] = [
    OpKind::Accept,
    OpKind::AcceptRetry,
    OpKind::CancelAccept,
    OpKind::Receive,
    OpKind::CancelReceive,
    OpKind::Send,
    OpKind::CancelSend,
    OpKind::Watch,
];

/// The user data of an operation: kind in 8 bits, index in 24, generation in 32.
///
/// The index is that of a connection, listener or watch; only connections have generations.
pub(super) fn user_data(kind: OpKind, index: u32, generation: u32) -> u64 {
    debug_assert!(index <= ConnectionId::INDEX_MAX);
    (kind as u64) << 56 | u64::from(index) << 32 | u64::from(generation)
}

pub(super) fn connection_data(kind: OpKind, id: ConnectionId) -> u64 {
    user_data(kind, id.index(), id.generation())
}

/// The inverse of [`user_data`]; `None` for a foreign word.
#[inline]
pub(super) fn unpack(word: u64) -> Option<(OpKind, u32, u32)> {
    let kind = *KINDS.get(((word >> 56) as usize).wrapping_sub(1))?;
    Some((kind, (word >> 32) as u32 & ConnectionId::INDEX_MAX, word as u32))
}

/// Whether a word is the user data of an operation of this kind.
#[inline]
pub(super) fn has_kind(word: u64, kind: OpKind) -> bool {
    word >> 56 == kind as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_comes_back_as_it_went() {
        for (n, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, n + 1);
            assert_eq!(
                unpack(user_data(kind, ConnectionId::INDEX_MAX, u32::MAX)),
                Some((kind, ConnectionId::INDEX_MAX, u32::MAX))
            );
        }
        assert_eq!(unpack(0), None);
        assert_eq!(unpack(u64::MAX), None);
    }
}
