//! Messages within a call: five bytes before each say whether it is compressed, and how long it is.

use super::status::{Code, Status};
use bytes::{Buf, Bytes, BytesMut};
use flate2::read::GzDecoder;
use std::io::Read;

/// The length of what precedes a message, in bytes.
const HEAD_BYTES: usize = 5;

/// Makes messages of the bytes of a request.
pub struct Messages {
    bytes: BytesMut,
    /// How messages are compressed that say that they are.
    is_gzip: bool,
    /// How long a message may be, in bytes.
    bytes_max: usize,
    /// The bytes of messages that were compressed, since they were last asked for.
    unzipped: usize,
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
        Ok(Messages { bytes: BytesMut::new(), is_gzip, bytes_max, unzipped: 0 })
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
        self.bytes.capacity()
    }

    /// Whether the request ends within a message.
    pub fn is_cut(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// The bytes of messages that were compressed, since this was last asked.
    pub fn take_unzipped(&mut self) -> usize {
        std::mem::take(&mut self.unzipped)
    }

    /// The next whole message.
    ///
    /// # Errors
    /// It is larger than a message may be, or not what it says to be.
    pub fn take(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(&[flag, a, b, c, d]) = self.bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > self.bytes_max {
            return Err(too_large(length, self.bytes_max));
        }
        if self.bytes.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        self.bytes.advance(HEAD_BYTES);
        let message = self.bytes.split_to(length).freeze();
        match flag {
            0 => Ok(Some(message)),
            1 if self.is_gzip => {
                let message = unzip(&message, self.bytes_max)?;
                self.unzipped += message.len();
                Ok(Some(message))
            }
            _ => Err(Status::new(Code::Internal, "a message is compressed, and the request says nothing of it")),
        }
    }
}

fn too_large(length: usize, bytes_max: usize) -> Status {
    let message =
        format!("Received message exceeds the maximum configured message size: {length} of {bytes_max} bytes");
    Status::new(Code::ResourceExhausted, message)
}

/// A message as it was before it was compressed. A small one may be very large then.
fn unzip(message: &[u8], bytes_max: usize) -> Result<Bytes, Status> {
    let mut out = Vec::new();
    let read = GzDecoder::new(message).take(bytes_max as u64 + 1).read_to_end(&mut out);
    match read {
        Ok(length) if length > bytes_max => Err(too_large(length, bytes_max)),
        Ok(_) => Ok(out.into()),
        Err(_) => Err(Status::new(Code::Internal, "a message is not compressed as the request says")),
    }
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
                while let Some(message) = messages.take().unwrap() {
                    found.push(message);
                }
            }
            assert_eq!(found, ["", "one", "two, longer"]);
            assert!(!messages.is_cut());
        }
    }

    #[test]
    fn what_is_compressed_is_unpacked_and_bounded() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(b"hello").unwrap();
        let mut messages = Messages::new(Some(b"gzip"), GRPC_MESSAGE_BYTES_MAX).unwrap();
        messages.add(framed(1, &encoder.finish().unwrap()).into());
        assert_eq!(messages.take().unwrap().unwrap(), "hello");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; GRPC_MESSAGE_BYTES_MAX + 1]).unwrap();
        messages.add(framed(1, &encoder.finish().unwrap()).into());
        assert_eq!(messages.take().unwrap_err().code, Code::ResourceExhausted);
        let mut messages = Messages::new(None, GRPC_MESSAGE_BYTES_MAX).unwrap();
        messages.add(framed(1, b"hello").into());
        assert_eq!(messages.take().unwrap_err().code, Code::Internal);
        assert_eq!(Messages::new(Some(b"br"), GRPC_MESSAGE_BYTES_MAX).err().unwrap().code, Code::Unimplemented);
    }

    #[test]
    fn a_message_that_is_too_large_is_refused_by_its_head() {
        let mut messages = Messages::new(None, GRPC_MESSAGE_BYTES_MAX).unwrap();
        messages.add(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]));
        assert_eq!(messages.take().unwrap_err().code, Code::ResourceExhausted);
    }
}
