//! The places of events that a search has passed: links to events of one stream mostly point to events that are close to each
//! other, so the next search is short.
//!
//! Of each stream every [`LINK_WAYPOINT_EVERY`]th event that was passed is kept, and of the latest searches the events
//! between the event that was found and the next of those.

use crate::limits::{LINK_BLOCKS_MAX, LINK_WAYPOINT_EVERY, LINK_WAYPOINTS_MAX};
use bytes::Bytes;
use keytide_engine::position::RingOffset;
use std::collections::{BTreeMap, VecDeque};

/// The places that a call knows.
#[derive(Default)]
pub struct Places {
    waypoints: BTreeMap<(Bytes, u64), RingOffset>,
    blocks: VecDeque<Block>,
}

/// The places of events with revisions that follow each other.
pub struct Block {
    stream: Bytes,
    /// The revision of the last of them, which comes first.
    last: u64,
    /// The places, the last event's first.
    places: Vec<RingOffset>,
}

impl Block {
    /// An empty block of a stream.
    pub fn new(stream: Bytes) -> Block {
        Block { stream, last: 0, places: Vec::new() }
    }

    /// Adds an event that a search has passed, going back.
    fn add(&mut self, revision: u64, place: RingOffset) {
        let follows = self.last.checked_sub(self.places.len() as u64) == Some(revision);
        if !follows || revision % LINK_WAYPOINT_EVERY == LINK_WAYPOINT_EVERY - 1 {
            self.places.clear();
            self.last = revision;
        }
        self.places.push(place);
    }

    fn place(&self, stream: &[u8], revision: u64) -> Option<RingOffset> {
        let behind = self.last.checked_sub(revision).filter(|_| self.stream == stream)?;
        self.places.get(usize::try_from(behind).ok()?).copied()
    }
}

impl Places {
    /// About its memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let names = self.waypoints.len() * (size_of::<(Bytes, u64, RingOffset)>() + size_of::<u64>());
        names + self.blocks.iter().map(|block| block.places.capacity() * size_of::<RingOffset>()).sum::<usize>()
    }

    /// The place of an event, or of one of its stream behind it, from which it is closer than from the end, and the
    /// revision of that one. None where nothing is known, or `last` is the revision of the stream's last event and shows that
    /// the stream was begun anew.
    pub fn nearest(&mut self, stream: &Bytes, revision: u64, last: u64) -> Option<(u64, RingOffset)> {
        let is_behind = |known: u64| known > last;
        let newest = self.waypoints.range((stream.clone(), 0)..=(stream.clone(), u64::MAX)).next_back();
        let blocks = self.blocks.iter().filter(|block| block.stream == *stream);
        if newest.is_some_and(|((_, known), _)| is_behind(*known)) || blocks.map(|block| block.last).any(is_behind) {
            self.waypoints.retain(|(known, _), _| known != stream);
            self.blocks.retain(|block| block.stream != *stream);
            return None;
        }
        if let Some(place) = self.blocks.iter().find_map(|block| block.place(stream, revision)) {
            return Some((revision, place));
        }
        let ((_, known), place) = self.waypoints.range((stream.clone(), revision)..=(stream.clone(), last)).next()?;
        Some((*known, *place))
    }

    /// Notes an event that a search has passed.
    pub fn pass(&mut self, block: &mut Block, revision: u64, place: RingOffset) {
        block.add(revision, place);
        if revision.is_multiple_of(LINK_WAYPOINT_EVERY) && revision > 0 {
            if self.waypoints.len() >= LINK_WAYPOINTS_MAX {
                self.waypoints.clear();
            }
            self.waypoints.insert((block.stream.clone(), revision), place);
        }
    }

    /// Keeps the last events that a search has passed.
    pub fn keep(&mut self, mut block: Block) {
        if block.places.len() <= 1 {
            return;
        }
        block.places.shrink_to_fit();
        if self.blocks.len() >= LINK_BLOCKS_MAX {
            self.blocks.pop_front();
        }
        self.blocks.push_back(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(places: &mut Places, stream: &Bytes, from: u64, to: u64) {
        let mut block = Block::new(stream.clone());
        (to..=from).rev().for_each(|revision| places.pass(&mut block, revision, RingOffset(revision * 8)));
        places.keep(block);
    }

    #[test]
    fn what_was_passed_is_found_or_is_close() {
        let (stream, other) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
        let mut places = Places::default();
        assert_eq!(places.nearest(&stream, 3, 9_999), None);
        passed(&mut places, &stream, 9_999, 3);
        // The event itself, and those up to the next waypoint.
        for revision in [3, 4, 500, LINK_WAYPOINT_EVERY - 1] {
            assert_eq!(places.nearest(&stream, revision, 9_999), Some((revision, RingOffset(revision * 8))));
        }
        // One from which it is not far.
        for revision in (LINK_WAYPOINT_EVERY..9_000).step_by(77) {
            let (known, place) = places.nearest(&stream, revision, 9_999).expect("it was passed");
            assert!(known >= revision && known - revision < LINK_WAYPOINT_EVERY, "{revision}: {known}");
            assert_eq!(place, RingOffset(known * 8));
        }
        assert_eq!(places.nearest(&other, 3, 9_999), None);
        // The stream was begun anew.
        assert_eq!(places.nearest(&stream, 3, 2_000), None);
        assert_eq!(places.nearest(&stream, 3, 9_999), None);
        assert_eq!(places.memory_bytes(), 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut places = Places::default();
        for n in 0..100_u64 {
            passed(&mut places, &Bytes::from(n.to_string()), 500 * LINK_WAYPOINT_EVERY, 0);
        }
        assert!(places.waypoints.len() <= LINK_WAYPOINTS_MAX && places.blocks.len() <= LINK_BLOCKS_MAX);
        assert!(places.memory_bytes() < 2 << 20, "{}", places.memory_bytes());
    }
}
