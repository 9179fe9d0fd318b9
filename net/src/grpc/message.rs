//! Messages within a call: five bytes before each say whether it is compressed, and how long it is.

use super::status::{Code, Status};
use bytes::{Buf, Bytes, BytesMut};
use flate2::write::GzDecoder;
use std::io::Write;

/// The length of what precedes a message, in bytes.
const HEAD_BYTES: usize = 5;

/// How many compressed bytes are unpacked at a time: a byte becomes at most a thousand.
const UNPACK_BYTES: usize = 256;

/// What there is of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// A message.
    Message(Bytes),
    /// Not yet a whole message.
    Nothing,
    /// A message that is compressed, and that may not be unpacked any further now.
    Later,
}

/// A message that is being unpacked.
struct Unpacking {
    /// What is left of it.
    rest: Bytes,
    /// How long it becomes, in bytes.
    length: usize,
    decoder: GzDecoder<Vec<u8>>,
}

/// Makes messages of the bytes of a request.
pub struct Messages {
    bytes: BytesMut,
    /// How messages are compressed that say that they are.
    is_gzip: bool,
    /// How long a message may be, in bytes.
    bytes_max: usize,
    /// The bytes of messages that were compressed, since they were last asked for.
    unzipped: usize,
    unpacking: Option<Box<Unpacking>>,
}

impl Messages {
    /// For a request with this `grpc-encoding`, of messages of up to `bytes_max` bytes.
    ///
    /// # Errors
    /// The encoding is not supported.
    pub fn new(encoding: Option<&[u8]>, bytes_max: usize) -> Result<Messages, Status> {
        let is_gzip = match encoding {
            None | Some(b"identity") => false,
            Some(b"gzip") => true,
            Some(_) => {
                return Err(Status::new(Code::Unimplemented, "grpc-encoding is not supported: gzip and identity are"));
            }
        };
        Ok(Messages { bytes: BytesMut::new(), is_gzip, bytes_max, unzipped: 0, unpacking: None })
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: Bytes) {
        if self.bytes.is_empty() {
            self.bytes = bytes.try_into_mut().unwrap_or_else(|bytes| BytesMut::from(&bytes[..]));
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// The bytes that it holds.
    pub fn held_bytes(&self) -> usize {
        let unpacking = self.unpacking.as_ref();
        self.bytes.capacity() + unpacking.map_or(0, |message| message.rest.len() + message.decoder.get_ref().capacity())
    }

    /// Whether the request ends within a message.
    pub fn is_cut(&self) -> bool {
        !self.bytes.is_empty() || self.unpacking.is_some()
    }

    /// The bytes of messages that were compressed, since this was last asked.
    pub fn take_unzipped(&mut self) -> usize {
        std::mem::take(&mut self.unzipped)
    }

    /// The next whole message. One that is compressed is unpacked by about `unzip_max` bytes at the most, and goes on when this
    /// is called again: a small one may become a large one.
    ///
    /// # Errors
    /// It is larger than a message may be, or not what it says to be.
    pub fn take(&mut self, unzip_max: usize) -> Result<Taken, Status> {
        if self.unpacking.is_some() {
            return self.unpack(unzip_max);
        }
        let Some(&[flag, a, b, c, d]) = self.bytes.first_chunk::<HEAD_BYTES>() else { return Ok(Taken::Nothing) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > self.bytes_max {
            return Err(too_large(length, self.bytes_max));
        }
        if self.bytes.len() < HEAD_BYTES + length {
            return Ok(Taken::Nothing);
        }
        match flag {
            0 => {}
            1 if self.is_gzip => {}
            _ => {
                return Err(Status::new(Code::Internal, "a message is compressed, and the request says nothing of it"));
            }
        }
        self.bytes.advance(HEAD_BYTES);
        let message = self.bytes.split_to(length).freeze();
        if flag == 0 {
            return Ok(Taken::Message(message));
        }
        // Its end says how long it becomes. So its memory is asked for once, and nothing of it moves while it grows.
        let length = message.last_chunk().map_or(0, |end| u32::from_le_bytes(*end) as usize);
        if length > self.bytes_max {
            return Err(too_large(length, self.bytes_max));
        }
        let decoder = GzDecoder::new(Vec::with_capacity(length));
        self.unpacking = Some(Box::new(Unpacking { rest: message, length, decoder }));
        self.unpack(unzip_max)
    }

    /// Unpacks the message that is being unpacked.
    fn unpack(&mut self, unzip_max: usize) -> Result<Taken, Status> {
        let wrong = || Status::new(Code::Internal, "a message is not compressed as the request says");
        let Some(mut message) = self.unpacking.take() else { return Ok(Taken::Nothing) };
        let Unpacking { rest, length, decoder } = &mut *message;
        let before = decoder.get_ref().len();
        while !rest.is_empty() {
            let unzipped = decoder.get_ref().len() - before;
            if unzipped >= unzip_max {
                self.unzipped += unzipped;
                self.unpacking = Some(message);
                return Ok(Taken::Later);
            }
            let part = rest.split_to(rest.len().min(UNPACK_BYTES));
            decoder.write_all(&part).map_err(|_| wrong())?;
            if decoder.get_ref().len() > *length {
                return Err(wrong());
            }
        }
        let out = message.decoder.finish().map_err(|_| wrong())?;
        self.unzipped += out.len() - before;
        Ok(Taken::Message(out.into()))
    }
}

fn too_large(length: usize, bytes_max: usize) -> Status {
    let message =
        format!("Received message exceeds the maximum configured message size: {length} of {bytes_max} bytes");
    Status::new(Code::ResourceExhausted, message)
}

/// Appends a message that `encode` writes.
pub fn append(out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    encode(out);
    let length = (out.len() - start - HEAD_BYTES) as u32;
    out[start + 1..start + HEAD_BYTES].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::GRPC_MESSAGE_BYTES_MAX;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        [&[flag][..], &(message.len() as u32).to_be_bytes(), message].concat()
    }

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let mut out = Vec::new();
        for message in ["", "one", "two, longer"] {
            append(&mut out, |out| out.extend_from_slice(message.as_bytes()));
        }
        for cut in 1..out.len() {
            let mut messages = Messages::new(None, GRPC_MESSAGE_BYTES_MAX).unwrap();
            let mut found = Vec::new();
            for part in out.chunks(cut) {
                messages.add(Bytes::copy_from_slice(part));
                while let Taken::Message(message) = messages.take(0).unwrap() {
                    found.push(message);
                }
            }
            assert_eq!(found, ["", "one", "two, longer"]);
            assert!(!messages.is_cut());
        }
    }

    fn zipped(message: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(message).unwrap();
        encoder.finish().unwrap()
    }

    /// Takes the next message by steps; how many these were, and the most bytes that one has unpacked.
    fn by_steps(messages: &mut Messages, unzip_max: usize) -> (Result<Taken, Status>, usize, usize) {
        let (mut steps, mut most) = (0, 0);
        loop {
            let taken = messages.take(unzip_max);
            (steps, most) = (steps + 1, most.max(messages.take_unzipped()));
            if taken != Ok(Taken::Later) {
                return (taken, steps, most);
            }
            assert!(messages.is_cut() && messages.held_bytes() > 0);
        }
    }

    #[test]
    fn what_is_compressed_is_unpacked_in_steps_and_bounded() {
        const STEP: usize = 64 << 10;
        let mut messages = Messages::new(Some(b"gzip"), GRPC_MESSAGE_BYTES_MAX).unwrap();
        messages.add(framed(1, &zipped(b"hello")).into());
        messages.add(framed(0, b"plain").into());
        assert_eq!(messages.take(0), Ok(Taken::Later));
        assert_eq!(messages.take(1), Ok(Taken::Message("hello".into())));
        assert_eq!(messages.take(0), Ok(Taken::Message("plain".into())));
        assert!(!messages.is_cut());
        // One that becomes a thousand times as large, and one that hardly does.
        let noise: Vec<u8> = (0..3_000_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        for message in [vec![0; GRPC_MESSAGE_BYTES_MAX], noise] {
            messages.add(framed(1, &zipped(&message)).into());
            let (taken, steps, most) = by_steps(&mut messages, STEP);
            assert!(taken == Ok(Taken::Message(message.clone().into())));
            assert!(steps >= message.len() / (STEP + UNPACK_BYTES * 1_100), "{steps}");
            assert!(most < STEP + UNPACK_BYTES * 1_100 + (32 << 10), "{most}");
        }
        messages.add(framed(1, &zipped(&vec![0; GRPC_MESSAGE_BYTES_MAX + 1])).into());
        assert_eq!(by_steps(&mut messages, STEP).0.unwrap_err().code, Code::ResourceExhausted);
        let mut all = zipped(b"hello, hello, hello");
        let end = all.len() - 1;
        for wrong in [&b"hello"[..], b"", &all[..end], &[&all[..], b"x"].concat()] {
            let mut messages = Messages::new(Some(b"gzip"), GRPC_MESSAGE_BYTES_MAX).unwrap();
            messages.add(framed(1, wrong).into());
            // What its end says may be anything.
            let code = messages.take(STEP).unwrap_err().code;
            assert!(matches!(code, Code::Internal | Code::ResourceExhausted), "{wrong:?}");
        }
        // One that becomes longer than it says, or shorter.
        for claims in [0_u32, 1, 18, 20, 1_000] {
            let mut lies = all.clone();
            lies.truncate(all.len() - 4);
            lies.extend(claims.to_le_bytes());
            let mut messages = Messages::new(Some(b"gzip"), GRPC_MESSAGE_BYTES_MAX).unwrap();
            messages.add(framed(1, &lies).into());
            assert_eq!(messages.take(STEP).unwrap_err().code, Code::Internal, "{claims}");
        }
        // Refused before anything of it is unpacked.
        let mut lies = zipped(&[0; 100]);
        let end_of_lies = lies.len() - 1;
        lies[end_of_lies] = 0xff;
        messages = Messages::new(Some(b"gzip"), GRPC_MESSAGE_BYTES_MAX).unwrap();
        messages.add(framed(1, &lies).into());
        assert_eq!(messages.take(STEP).unwrap_err().code, Code::ResourceExhausted);
        assert_eq!(messages.take_unzipped(), 0);
        let end = all.len() - 5;
        all[end] ^= 1;
        messages = Messages::new(Some(b"gzip"), GRPC_MESSAGE_BYTES_MAX).unwrap();
        messages.add(framed(1, &all).into());
        assert_eq!(messages.take(STEP).unwrap_err().code, Code::Internal);
        let mut messages = Messages::new(None, GRPC_MESSAGE_BYTES_MAX).unwrap();
        messages.add(framed(1, b"hello").into());
        assert_eq!(messages.take(STEP).unwrap_err().code, Code::Internal);
        assert_eq!(Messages::new(Some(b"br"), GRPC_MESSAGE_BYTES_MAX).err().unwrap().code, Code::Unimplemented);
    }

    #[test]
    fn a_message_that_is_too_large_is_refused_by_its_head() {
        let mut messages = Messages::new(None, GRPC_MESSAGE_BYTES_MAX).unwrap();
        messages.add(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]));
        assert_eq!(messages.take(0).unwrap_err().code, Code::ResourceExhausted);
    }
}
