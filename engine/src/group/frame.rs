//! The frames of a journal.
//!
//! ```text
//!   frame:  length, 4 bytes │ checksum, 4 bytes │ changes, `length` bytes      little-endian
//! ```
//!
//! The checksum is the CRC-32C of length and changes. In a file it is combined (exclusive or) with the CRC-32C of the byte
//! offset at which the frame begins, so that frames behind a missing one are invalid. Frames are encoded without their
//! place, which [`place_frames`] adds when they are written.

use super::changes::Tag;

const FRAME_HEADER_BYTES: usize = 8;

pub(super) fn begin_frame(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    start
}

/// Completes a frame, or removes it if it is empty. Returns whether there is a frame.
pub(super) fn end_frame(out: &mut Vec<u8>, start: usize) -> bool {
    let changes = start + FRAME_HEADER_BYTES;
    if out.len() == changes {
        out.truncate(start);
        return false;
    }
    // A million entries take 20 MiB.
    let length = u32::try_from(out.len() - changes).expect("a turn's changes are far less than 4 GiB").to_le_bytes();
    let sum = crc32c::crc32c_append(crc32c::crc32c(&length), &out[changes..]);
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..changes].copy_from_slice(&sum.to_le_bytes());
    true
}

/// The content of the frame that marks an orderly shutdown. No change has this tag.
pub(super) const ENDED: &[u8] = &[0xff];

/// Appends the frame that marks an orderly shutdown to `out`.
pub fn write_end(out: &mut Vec<u8>) {
    let start = begin_frame(out);
    out.extend_from_slice(ENDED);
    end_frame(out, start);
}

/// Adds to each frame's checksum the place at which it begins; the first frame begins at byte `place` of its file. To be
/// called once for frames that were just encoded.
pub fn place_frames(frames: &mut [u8], place: u64) {
    let mut at = 0;
    while let Some(length) = frames.get(at..).and_then(<[u8]>::first_chunk::<4>).copied() {
        let Some(sum) = frames.get_mut(at + 4..at + FRAME_HEADER_BYTES) else { return };
        for (byte, placed) in sum.iter_mut().zip(placed([0; 4], place + at as u64)) {
            *byte ^= placed;
        }
        at += FRAME_HEADER_BYTES + u32::from_le_bytes(length) as usize;
    }
}

/// The checksum of a frame that begins at byte `place` of its file, from its checksum without a place.
fn placed(sum: [u8; 4], place: u64) -> [u8; 4] {
    let place = crc32c::crc32c(&place.to_le_bytes()).to_le_bytes();
    std::array::from_fn(|at| sum[at] ^ place[at])
}

/// The changes of the frame at byte `at`, and the byte where the next frame begins; none where the frame is invalid.
pub(super) fn split_frame(bytes: &[u8], at: usize, place: Option<u64>) -> Option<(&[u8], usize)> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let changes = rest.get(..u32::from_le_bytes(*length) as usize)?;
    let expected = crc32c::crc32c_append(crc32c::crc32c(length), changes).to_le_bytes();
    let expected = place.map_or(expected, |place| placed(expected, place + at as u64));
    (expected == *sum && !changes.is_empty()).then_some((changes, at + FRAME_HEADER_BYTES + changes.len()))
}

/// The byte at which the first valid frame begins, from byte `from` on; none where there is no valid frame. `bytes` and
/// `place` are those of [`GroupTable::replay`](super::GroupTable::replay).
pub fn first_frame(bytes: &[u8], from: usize, place: Option<u64>) -> Option<usize> {
    /// The bytes of candidates that are checksummed at the most. Candidates beyond it are taken for valid: only crafted
    /// bytes have that many.
    const SUMMED_BYTES_MAX: usize = 1 << 30;
    let mut summed = 0;
    (from..bytes.len().saturating_sub(FRAME_HEADER_BYTES)).find(|at| {
        let frame = &bytes[*at..];
        let length = frame.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
        let first = frame[FRAME_HEADER_BYTES];
        let is_plausible =
            (1..=frame.len() - FRAME_HEADER_BYTES).contains(&length) && (Tag::of(first).is_some() || ENDED == [first]);
        if is_plausible {
            summed += length;
        }
        is_plausible && (summed > SUMMED_BYTES_MAX || split_frame(bytes, *at, place).is_some())
    })
}
