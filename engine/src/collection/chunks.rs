//! The form of a long list: chunks of packed elements, in a deque. Both ends are O(1); the middle is found by the chunks'
//! counts, from the nearer end.

use super::End;
use super::rows::{self, Elements, Length, Row, put, row, row_before, row_bytes};
use super::thin::ThinBytes;
use std::collections::VecDeque;
use std::ops::Range;

/// How large a chunk becomes, unless a single element is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkSize {
    pub elements: usize,
    pub bytes: usize,
}

#[derive(Clone, Debug)]
struct Chunk {
    /// Rows whose length follows the element too.
    bytes: ThinBytes,
    count: u32,
}

impl Chunk {
    /// A chunk of these rows.
    fn of(rows: &[u8], count: usize) -> Chunk {
        Chunk { bytes: ThinBytes::of(&[rows]), count: count as u32 }
    }

    /// Whether an element fits beside those that it has.
    fn has_room(&self, element: &[u8], size: ChunkSize) -> bool {
        (self.count as usize) < size.elements && self.bytes.len() + row_bytes(element, true) <= size.bytes
    }

    /// Replaces a range by the row of an element.
    fn put(&mut self, range: Range<usize>, element: &[u8]) {
        let length = Length::of(element);
        self.count += u32::from(range.is_empty());
        self.bytes.splice(range, &[length.before(), element, length.behind()]);
    }

    /// Removes a row, and returns a copy of its element.
    fn take(&mut self, row: Row) {
        self.bytes.splice(row.range(), &[]);
        self.count -= 1;
    }

    /// The row of the element at a place, of those in the chunk.
    fn row_at(&self, place: usize) -> Row {
        let count = self.count as usize;
        if place < count / 2 {
            (0..place).fold(row(&self.bytes, 0, true), |found, _| row(&self.bytes, found.next, true))
        } else {
            let last = row_before(&self.bytes, self.bytes.len());
            (place + 1..count).fold(last, |found, _| row_before(&self.bytes, found.start))
        }
    }
}

/// The chunks of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    /// None is empty.
    chunks: VecDeque<Chunk>,
    length: usize,
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
                if left < chunk.count as usize {
                    return (at, left);
                }
                left -= chunk.count as usize;
            }
        } else {
            let mut left = self.length - index;
            for (at, chunk) in self.chunks.iter().enumerate().rev() {
                let count = chunk.count as usize;
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
        Some(self.chunks[at].row_at(place).of(&self.chunks[at].bytes))
    }

    /// The element `place` places from an end.
    #[inline]
    pub fn at_from(&self, end: End, place: usize) -> Option<&[u8]> {
        match (end, place) {
            (End::Head, 0) => self.chunks.front().map(|chunk| row(&chunk.bytes, 0, true).of(&chunk.bytes)),
            (End::Tail, 0) => {
                self.chunks.back().map(|chunk| row_before(&chunk.bytes, chunk.bytes.len()).of(&chunk.bytes))
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
            let at = if end == End::Head { 0 } else { chunk.bytes.len() };
            return chunk.put(at..at, element);
        }
        let mut bytes = Vec::with_capacity(row_bytes(element, true));
        put(&mut bytes, element, true);
        let chunk = Chunk::of(&bytes, 1);
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
                End::Head => row(&chunk.bytes, 0, true),
                End::Tail => row_before(&chunk.bytes, chunk.bytes.len()),
            };
            return chunk.take(row);
        }
        match end {
            End::Head => self.chunks.pop_front(),
            End::Tail => self.chunks.pop_back(),
        };
    }

    /// Overwrites the element at an index within the list.
    pub fn overwrite(&mut self, index: usize, element: &[u8], size: ChunkSize) {
        let (at, place) = self.locate(index);
        let chunk = &mut self.chunks[at];
        let row = chunk.row_at(place);
        chunk.put(row.range(), element);
        self.split_if_large(at, size);
    }

    /// Inserts an element at an index below the length.
    pub fn insert(&mut self, index: usize, element: &[u8], size: ChunkSize) {
        let (at, place) = self.locate(index);
        let chunk = &mut self.chunks[at];
        let start = chunk.row_at(place).start;
        chunk.put(start..start, element);
        self.length += 1;
        self.split_if_large(at, size);
    }

    /// Splits a chunk that has become too large, in halves, and around an element that is too large itself.
    fn split_if_large(&mut self, at: usize, size: ChunkSize) {
        let chunk = &self.chunks[at];
        let (count, bytes) = (chunk.count as usize, &chunk.bytes);
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
            let mut kept = Vec::with_capacity(chunk.bytes.len());
            let rows: Vec<Row> = Rows { chunk, at: 0 }.collect();
            let is_wanted = |row: &Row| row.of(&chunk.bytes) == element;
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
                kept.extend_from_slice(&chunk.bytes[row.range()]);
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
                    if last.bytes.len() + chunk.bytes.len() <= size.bytes / 2
                        && (last.count + chunk.count) as usize <= size.elements / 2 =>
                {
                    let end = last.bytes.len();
                    last.bytes.splice(end..end, &[&chunk.bytes]);
                    last.count += chunk.count;
                }
                _ => merged.push_back(chunk),
            }
        }
        merged.shrink_to(merged.len() * 2);
        self.chunks = merged;
    }

    /// Keeps the elements in a range of indexes within the list.
    pub fn keep(&mut self, kept: Range<usize>) {
        let (mut behind, mut before) = (self.length - kept.end, kept.start);
        self.length = kept.len();
        while let Some(chunk) = self.chunks.back_mut() {
            let count = chunk.count as usize;
            if behind < count {
                if behind > 0 {
                    let (end, cut) = (chunk.bytes.len(), chunk.row_at(count - behind).start);
                    chunk.bytes.splice(cut..end, &[]);
                    chunk.count -= behind as u32;
                }
                break;
            }
            behind -= count;
            self.chunks.pop_back();
        }
        while let Some(chunk) = self.chunks.front_mut() {
            let count = chunk.count as usize;
            if before < count {
                if before > 0 {
                    let cut = chunk.row_at(before).start;
                    chunk.bytes.splice(0..cut, &[]);
                    chunk.count -= before as u32;
                }
                break;
            }
            before -= count;
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
        let bytes: &[u8] = self.chunks.get(at).map_or(&[], |chunk| &chunk.bytes);
        ChunkElements { chunks: self, at, current: Elements::new(bytes, from, true) }
    }

    fn locate_or_end(&self, index: usize) -> Option<(usize, usize)> {
        (index < self.length).then(|| self.locate(index))
    }

    /// The elements from the tail to the head.
    pub fn iter_back(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().rev().flat_map(|chunk| {
            let mut end = chunk.bytes.len();
            std::iter::from_fn(move || {
                let row = (end > 0).then(|| row_before(&chunk.bytes, end))?;
                end = row.start;
                Some(row.of(&chunk.bytes))
            })
        })
    }

    /// The bytes of all rows, if there are so few chunks that the list may be packed.
    pub fn few_bytes(&self) -> Option<usize> {
        (self.chunks.len() <= 2).then(|| self.chunks.iter().map(|chunk| chunk.bytes.len()).sum())
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
        let row = (self.at < self.chunk.bytes.len()).then(|| rows::row(&self.chunk.bytes, self.at, true))?;
        self.at = row.next;
        Some(row)
    }
}

/// The elements from a place on, to the tail.
#[derive(Clone, Debug)]
pub(super) struct ChunkElements<'a> {
    chunks: &'a Chunks,
    at: usize,
    current: Elements<'a>,
}

impl<'a> Iterator for ChunkElements<'a> {
    type Item = &'a [u8];
    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(element) = self.current.next() {
                return Some(element);
            }
            self.at += 1;
            self.current = Elements::new(&self.chunks.chunks.get(self.at)?.bytes, 0, true);
        }
    }
}
