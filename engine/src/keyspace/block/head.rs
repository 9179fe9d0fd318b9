//! The head of a key's stream: the next revision and the latest record.

use super::shape::Shape;
use super::{Block, BlockRef, Facts};
use crate::position::RingOffset;

/// A head that needs wider fields than the block has: it is to be given to [`Block::widen_head`].
#[must_use]
pub(crate) struct WiderHead(u64, RingOffset);

impl Block {
    /// Sets the head.
    #[cfg(test)]
    pub(crate) fn set_head(&mut self, next_revision: u64, last: RingOffset) {
        if let Some(head) = self.advance(|_, head| *head = (next_revision, last)) {
            self.widen_head(head);
        }
    }

    /// Lets `record` change the head, next revision and latest record; it may read the block. What the block takes stays the
    /// same; a head for which it would not is returned.
    #[inline]
    pub(crate) fn advance(&mut self, record: impl FnOnce(BlockRef<'_>, &mut (u64, RingOffset))) -> Option<WiderHead> {
        let shape = self.view().key_shape();
        self.advance_at(shape, record)
    }

    /// The same, of a block whose shape is at hand.
    #[inline]
    pub(super) fn advance_at(
        &mut self,
        shape: Shape,
        record: impl FnOnce(BlockRef<'_>, &mut (u64, RingOffset)),
    ) -> Option<WiderHead> {
        let view = self.view();
        // SAFETY: the fields before the value lie within the block.
        let fields = unsafe { view.bytes(0..shape.fields_end()) };
        let mut head = (shape.next_revision(fields), shape.last(view.start()));
        record(view, &mut head);
        // The fields end behind the first 16 bytes, or the block's class has those all the same.
        let fits = shape.write_head(self.bytes_mut(shape.fields_end().max(16)), head.0, head.1);
        (!fits).then_some(WiderHead(head.0, head.1))
    }

    /// Sets a head that needs wider fields.
    #[cold]
    pub(crate) fn widen_head(&mut self, head: WiderHead) {
        let WiderHead(next_revision, last) = head;
        self.set_facts(Facts { next_revision, last, ..self.view().facts() });
    }
}
