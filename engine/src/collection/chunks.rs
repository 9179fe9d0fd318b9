//! The form of a long list: chunks of packed elements, in a deque. Both ends are O(1); the middle is found by the chunks'
//! counts, from the nearer end.

mod ahead;
mod elements;
mod footprint;

pub(super) use elements::ChunkElements;

use super::End;
use super::rows::{self, Elements, Length, Row, row, row_before, row_bytes};
use super::thin::ThinBytes;
use std::collections::VecDeque;
use std::ops::Range;

/// How large a chunk becomes, unless a single element is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkSize {
    pub elements: usize,
    pub bytes: usize,
}

/// The bytes of a list's first chunk, if its element is short: it grows by doubling.
const CHUNK_BYTES_FIRST: usize = 64;

/// The bytes of a further chunk at its beginning, if a chunk becomes larger: the list will probably grow on.
const CHUNK_BYTES_NEXT: usize = 256;

/// Rows within some memory, with room in front of them and behind them: so an element is added and removed at an end of the
/// list without moving others.
#[derive(Clone, Debug)]
struct Chunk {
    /// The memory. Rows have their length behind the element too.
    memory: ThinBytes,
    /// The end of the rows.
    end: u32,
    /// The start of the rows. Memory of more than 64 KiB has one element, and no room in front.
    start: u16,
    count: u16,
}

impl Chunk {
    /// A chunk of one element, with room on the side of this end of the list: of so many bytes, within the size of a chunk.
    fn new(end: End, element: &[u8], room: usize, size: ChunkSize) -> Chunk {
        let needed = row_bytes(element, true);
        let memory = ThinBytes::zeroed((2 * needed).max(room).min(size.bytes).max(needed));
        let mut chunk = Chunk { memory, end: 0, start: 0, count: 0 };
        if end == End::Head && chunk.memory.len() <= usize::from(u16::MAX) {
            // All of the room is in front.
            let start = chunk.memory.len() - needed;
            (chunk.start, chunk.end) = (start as u16, (start + needed) as u32);
        } else {
            chunk.end = needed as u32;
        }
        chunk.write(chunk.start.into(), element);
        chunk.count = 1;
        chunk
    }

    /// A chunk of these rows, without further room.
    fn of(rows: &[u8], count: usize) -> Chunk {
        Chunk { memory: ThinBytes::of(&[rows]), end: rows.len() as u32, start: 0, count: count as u16 }
    }

    /// The rows.
    #[inline]
    fn rows(&self) -> &[u8] {
        &self.memory[usize::from(self.start)..self.end as usize]
    }

    #[inline]
    fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether an element fits beside those that it has.
    fn has_room(&self, element: &[u8], size: ChunkSize) -> bool {
        self.count() < size.elements && self.rows().len() + row_bytes(element, true) <= size.bytes
    }

    /// Writes the row of an element at a place of the memory.
    fn write(&mut self, at: usize, element: &[u8]) {
        let length = Length::of(element);
        let mut at = at;
        for part in [length.before(), element, length.behind()] {
            self.memory[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }

    /// Makes memory for `needed` more bytes: twice as much as there are, within the size of a chunk. The rows come to its
    /// beginning, or, if the bytes are needed in front of them (an empty range at 0), to its end.
    fn make_room(&mut self, range: Range<usize>, needed: usize, size: ChunkSize) {
        let length = self.rows().len();
        let wanted = (2 * (length + needed)).max(CHUNK_BYTES_FIRST).min(size.bytes).max(length + needed);
        let is_in_front = range.end == 0 && range.start == 0 && wanted <= usize::from(u16::MAX);
        let start = if is_in_front { wanted - length } else { 0 };
        let mut memory = ThinBytes::zeroed(wanted);
        memory[start..start + length].copy_from_slice(self.rows());
        self.memory = memory;
        (self.start, self.end) = (start as u16, (start + length) as u32);
    }

    /// Replaces a range of the rows by the row of an element.
    fn put(&mut self, range: Range<usize>, element: &[u8], size: ChunkSize) {
        let (needed, length) = (row_bytes(element, true), self.rows().len());
        self.count += u16::from(range.is_empty());
        if range.is_empty() && range.end == 0 && length > 0 {
            if usize::from(self.start) < needed {
                self.make_room(0..0, needed, size);
            }
            if usize::from(self.start) >= needed {
                self.start -= needed as u16;
                return self.write(self.start.into(), element);
            }
        }
        let more = needed.saturating_sub(range.len());
        if self.memory.len() - (self.end as usize) < more {
            self.make_room(range.start..length, more, size);
        }
        let (start, end) = (usize::from(self.start), self.end as usize);
        self.memory.copy_within(start + range.end..end, start + range.start + needed);
        self.end = (end - range.len() + needed) as u32;
        self.write(start + range.start, element);
        self.shrink();
    }

    /// Removes a row.
    fn take(&mut self, row: Row) {
        self.cut(row.range());
        self.count -= 1;
    }

    /// Removes a range of the rows, and memory if most of it is unused.
    fn cut(&mut self, range: Range<usize>) {
        let (start, end) = (usize::from(self.start), self.end as usize);
        if range.start == 0 && start + range.end <= usize::from(u16::MAX) {
            self.start = (start + range.end) as u16;
        } else {
            self.memory.copy_within(start + range.end..end, start + range.start);
            self.end = (end - range.len()) as u32;
        }
        self.shrink();
    }

    /// Gives memory back if most of it is unused.
    #[inline]
    fn shrink(&mut self) {
        if self.memory.len() > CHUNK_BYTES_NEXT && self.rows().len() < self.memory.len() / 4 {
            *self = Chunk::of(self.rows(), self.count());
        }
    }

    /// The row of the element at a place, of those in the chunk.
    fn row_at(&self, place: usize) -> Row {
        let (rows, count) = (self.rows(), self.count());
        if place < count / 2 {
            (0..place).fold(row(rows, 0, true), |found, _| row(rows, found.next, true))
        } else {
            let last = row_before(rows, rows.len());
            (place + 1..count).fold(last, |found, _| row_before(rows, found.start))
        }
    }
}

/// The chunks of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    /// None is empty.
    chunks: VecDeque<Chunk>,
    length: usize,
    /// The memory of the chunks' own bytes.
    chunk_bytes: usize,
}

impl Chunks {
    /// The number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.length
    }

    /// The chunk and the place in it of the element at an index within the list.
    fn locate(&self, index: usize) -> (usize, usize) {
        if index < self.length / 2 {
            let mut left = index;
            for (at, chunk) in self.chunks.iter().enumerate() {
                if left < chunk.count() {
                    return (at, left);
                }
                left -= chunk.count();
            }
        } else {
            let mut left = self.length - index;
            for (at, chunk) in self.chunks.iter().enumerate().rev() {
                let count = chunk.count();
                if left <= count {
                    return (at, count - left);
                }
                left -= count;
            }
        }
        unreachable!("the chunks have as many elements as the list, and the index is one of them")
    }

    /// The element at an index.
    pub fn at(&self, index: usize) -> Option<&[u8]> {
        if index >= self.length {
            return None;
        }
        let (at, place) = self.locate(index);
        Some(self.chunks[at].row_at(place).of(self.chunks[at].rows()))
    }

    /// The element `place` places from an end.
    #[inline]
    pub fn at_from(&self, end: End, place: usize) -> Option<&[u8]> {
        match (end, place) {
            (End::Head, 0) => self.chunks.front().map(|chunk| row(chunk.rows(), 0, true).of(chunk.rows())),
            (End::Tail, 0) => {
                self.chunks.back().map(|chunk| row_before(chunk.rows(), chunk.rows().len()).of(chunk.rows()))
            }
            (End::Head, _) => self.at(place),
            (End::Tail, _) => self.at(self.length.checked_sub(place + 1)?),
        }
    }

    /// Adds an element at an end.
    pub fn push(&mut self, end: End, element: &[u8], size: ChunkSize) {
        self.length += 1;
        let outermost = match end {
            End::Head => self.chunks.front_mut(),
            End::Tail => self.chunks.back_mut(),
        };
        if let Some(chunk) = outermost
            && chunk.has_room(element, size)
        {
            let at = if end == End::Head { 0 } else { chunk.rows().len() };
            let before = chunk.memory.allocated_bytes();
            chunk.put(at..at, element, size);
            self.chunk_bytes = self.chunk_bytes - before + chunk.memory.allocated_bytes();
            return;
        }
        let room = if self.chunks.is_empty() { CHUNK_BYTES_FIRST } else { CHUNK_BYTES_NEXT };
        let chunk = Chunk::new(end, element, room, size);
        self.chunk_bytes += chunk.memory.allocated_bytes();
        match end {
            End::Head => self.chunks.push_front(chunk),
            End::Tail => self.chunks.push_back(chunk),
        }
    }

    /// Removes the element at an end.
    pub fn pop(&mut self, end: End) {
        let outermost = match end {
            End::Head => self.chunks.front_mut(),
            End::Tail => self.chunks.back_mut(),
        };
        let Some(chunk) = outermost else { return };
        self.length -= 1;
        if chunk.count > 1 {
            let row = match end {
                End::Head => row(chunk.rows(), 0, true),
                End::Tail => row_before(chunk.rows(), chunk.rows().len()),
            };
            let before = chunk.memory.allocated_bytes();
            chunk.take(row);
            self.chunk_bytes = self.chunk_bytes - before + chunk.memory.allocated_bytes();
            return;
        }
        let emptied = match end {
            End::Head => self.chunks.pop_front(),
            End::Tail => self.chunks.pop_back(),
        };
        self.chunk_bytes -= emptied.map_or(0, |chunk| chunk.memory.allocated_bytes());
    }

    /// Overwrites the element at an index within the list.
    pub fn overwrite(&mut self, index: usize, element: &[u8], size: ChunkSize) {
        let (at, place) = self.locate(index);
        let chunk = &mut self.chunks[at];
        let row = chunk.row_at(place);
        let before = chunk.memory.allocated_bytes();
        chunk.put(row.range(), element, size);
        self.chunk_bytes = self.chunk_bytes - before + chunk.memory.allocated_bytes();
        self.split_if_large(at, size);
    }

    /// Inserts an element at an index below the length.
    pub fn insert(&mut self, index: usize, element: &[u8], size: ChunkSize) {
        let (at, place) = self.locate(index);
        let chunk = &mut self.chunks[at];
        let start = chunk.row_at(place).start;
        let before = chunk.memory.allocated_bytes();
        chunk.put(start..start, element, size);
        self.chunk_bytes = self.chunk_bytes - before + chunk.memory.allocated_bytes();
        self.length += 1;
        self.split_if_large(at, size);
    }

    /// Splits a chunk that has become too large, in halves, and around an element that is too large itself.
    fn split_if_large(&mut self, at: usize, size: ChunkSize) {
        let chunk = &self.chunks[at];
        let (count, bytes) = (chunk.count(), chunk.rows());
        if count == 1 || count <= size.elements && bytes.len() <= size.bytes {
            return;
        }
        // The first row behind the middle by bytes, or by elements if that is what is too much; never the first row.
        let (mut found, mut before) = (row(bytes, 0, true), 1);
        while before < count - 1
            && (if bytes.len() > size.bytes { found.next < bytes.len() / 2 } else { before < count / 2 })
        {
            found = row(bytes, found.next, true);
            before += 1;
        }
        let (head, tail) = bytes.split_at(found.next);
        let (head, tail) = (Chunk::of(head, before), Chunk::of(tail, count - before));
        self.chunk_bytes -= self.chunks[at].memory.allocated_bytes();
        self.chunk_bytes += head.memory.allocated_bytes() + tail.memory.allocated_bytes();
        self.chunks[at] = head;
        self.chunks.insert(at + 1, tail);
        // An element larger than a chunk may leave halves that are still too large.
        self.split_if_large(at + 1, size);
        self.split_if_large(at, size);
    }

    /// Removes the first `most` elements that equal `element`, counted from an end; returns how many.
    pub fn remove(&mut self, from: End, most: usize, element: &[u8], size: ChunkSize) -> usize {
        let mut removed = 0;
        let mut visit = |chunk: &mut Chunk| {
            let mut kept = Vec::with_capacity(chunk.rows().len());
            let rows: Vec<Row> = Rows { chunk, at: 0 }.collect();
            let is_wanted = |row: &Row| row.of(chunk.rows()) == element;
            let equal = rows.iter().filter(|row| is_wanted(row)).count();
            let going = equal.min(most - removed);
            if going == 0 {
                return;
            }
            // In the order from the head.
            let kept_first = if from == End::Head { 0 } else { equal - going };
            let mut seen = 0;
            for row in &rows {
                if is_wanted(row) {
                    seen += 1;
                    if seen > kept_first && seen <= kept_first + going {
                        continue;
                    }
                }
                kept.extend_from_slice(&chunk.rows()[row.range()]);
            }
            removed += going;
            *chunk = Chunk::of(&kept, rows.len() - going);
        };
        match from {
            End::Head => self.chunks.iter_mut().for_each(&mut visit),
            End::Tail => self.chunks.iter_mut().rev().for_each(&mut visit),
        }
        self.length -= removed;
        if removed > 0 {
            self.merge_small(size);
        }
        removed
    }

    /// Drops empty chunks, and makes one chunk of neighbours that are small together.
    fn merge_small(&mut self, size: ChunkSize) {
        let mut merged: VecDeque<Chunk> = VecDeque::with_capacity(self.chunks.len());
        for chunk in self.chunks.drain(..).filter(|chunk| chunk.count > 0) {
            match merged.back_mut() {
                Some(last)
                    if last.rows().len() + chunk.rows().len() <= size.bytes / 2
                        && last.count() + chunk.count() <= size.elements / 2 =>
                {
                    let count = last.count() + chunk.count();
                    *last = Chunk::of(&[last.rows(), chunk.rows()].concat(), count);
                }
                _ => merged.push_back(chunk),
            }
        }
        merged.shrink_to(merged.len() * 2);
        self.chunks = merged;
        // The merge has read every chunk, so counting them again costs little.
        self.chunk_bytes = self.chunks.iter().map(|chunk| chunk.memory.allocated_bytes()).sum();
    }

    /// Keeps the elements in a range of indexes within the list.
    pub fn keep(&mut self, kept: Range<usize>) {
        let (mut behind, mut before) = (self.length - kept.end, kept.start);
        self.length = kept.len();
        while let Some(chunk) = self.chunks.back_mut() {
            let count = chunk.count();
            let before_bytes = chunk.memory.allocated_bytes();
            if behind < count {
                if behind > 0 {
                    let (end, cut) = (chunk.rows().len(), chunk.row_at(count - behind).start);
                    chunk.count -= behind as u16;
                    chunk.cut(cut..end);
                    self.chunk_bytes = self.chunk_bytes - before_bytes + chunk.memory.allocated_bytes();
                }
                break;
            }
            behind -= count;
            self.chunk_bytes -= before_bytes;
            self.chunks.pop_back();
        }
        while let Some(chunk) = self.chunks.front_mut() {
            let count = chunk.count();
            let before_bytes = chunk.memory.allocated_bytes();
            if before < count {
                if before > 0 {
                    let cut = chunk.row_at(before).start;
                    chunk.count -= before as u16;
                    chunk.cut(0..cut);
                    self.chunk_bytes = self.chunk_bytes - before_bytes + chunk.memory.allocated_bytes();
                }
                break;
            }
            before -= count;
            self.chunk_bytes -= before_bytes;
            self.chunks.pop_front();
        }
        if self.chunks.capacity() > 64 && self.chunks.len() < self.chunks.capacity() / 4 {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
    }

    /// The elements from an index on.
    pub fn iter_from(&self, index: usize) -> ChunkElements<'_> {
        let (at, from) = match self.locate_or_end(index) {
            Some((at, place)) => (at, self.chunks[at].row_at(place).start),
            None => (self.chunks.len(), 0),
        };
        let bytes: &[u8] = self.chunks.get(at).map_or(&[], |chunk| chunk.rows());
        ChunkElements::new(self, at, Elements::new(bytes, from, true))
    }

    fn locate_or_end(&self, index: usize) -> Option<(usize, usize)> {
        (index < self.length).then(|| self.locate(index))
    }

    /// The elements from the tail to the head.
    pub fn iter_back(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().rev().flat_map(|chunk| {
            let mut end = chunk.rows().len();
            std::iter::from_fn(move || {
                let row = (end > 0).then(|| row_before(chunk.rows(), end))?;
                end = row.start;
                Some(row.of(chunk.rows()))
            })
        })
    }

    /// The bytes of all rows, if there are so few chunks that the list may be packed.
    pub fn few_bytes(&self) -> Option<usize> {
        (self.chunks.len() <= 2).then(|| self.chunks.iter().map(|chunk| chunk.rows().len()).sum())
    }

    /// Frees up to `most` chunks, of a list that nobody uses any more. Returns how many there were.
    pub fn free_some(&mut self, most: usize) -> usize {
        (0..most).take_while(|_| self.chunks.pop_back().is_some()).count()
    }

    /// The number of chunks.
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }
}

/// The rows of a chunk.
struct Rows<'a> {
    chunk: &'a Chunk,
    at: usize,
}

impl Iterator for Rows<'_> {
    type Item = Row;
    fn next(&mut self) -> Option<Row> {
        let row = (self.at < self.chunk.rows().len()).then(|| rows::row(self.chunk.rows(), self.at, true))?;
        self.at = row.next;
        Some(row)
    }
}
