//! One message after the start-up: a type byte, a length, a body.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Type byte and length.
pub(super) const HEAD_BYTES: usize = 5;
/// How much is read at a time.
const READ_BYTES: usize = 16 * 1024;

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
}

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream broke, or ended within a message.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// A length that includes itself and is below its own four bytes.
    #[error("a message of type {kind:?} gives its length as {length}, which is less than the length's own 4 bytes")]
    Length {
        /// The type byte.
        kind: char,
        /// The length as sent.
        length: u32,
    },
    /// A length over the limit of this stream.
    #[error("a message of type {kind:?} is {length} bytes long, more than the {limit} that are taken here")]
    TooLong {
        /// The type byte.
        kind: char,
        /// The length as sent.
        length: u32,
        /// The most that is taken.
        limit: usize,
    },
}

impl Frame {
    /// A message of this type and body.
    #[must_use]
    pub fn new(kind: u8, body: &[u8]) -> Self {
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES + body.len());
        bytes.put_u8(kind);
        bytes.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
        bytes.put_slice(body);
        Self { bytes: bytes.freeze() }
    }

    /// The type byte.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.bytes[0]
    }

    /// What follows the length.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEAD_BYTES..]
    }

    /// The message as it goes over the wire.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Reads frames from a stream.
///
/// Memory grows with the bytes that came, not with the length that was announced.
#[derive(Debug)]
pub struct Frames<R> {
    stream: R,
    buffer: BytesMut,
    limit: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Frames of at most `limit` bytes, their heads included.
    #[must_use]
    pub fn new(stream: R, limit: usize) -> Self {
        Self { stream, buffer: BytesMut::new(), limit }
    }

    /// The next frame; None where the stream ended between two.
    ///
    /// # Errors
    /// The stream broke, or a length is impossible or over the limit. After that the stream makes no sense any more.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what was read stays for the next call.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(Some(frame));
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) };
            }
        }
    }

    /// A frame that is there already, without reading.
    ///
    /// # Errors
    /// As [`Frames::next`].
    pub fn buffered(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((length, kind)) = self.announced()? else { return Ok(None) };
        if self.buffer.len() < length {
            return Ok(None);
        }
        debug_assert_eq!(self.buffer[0], kind);
        Ok(Some(Frame { bytes: self.buffer.split_to(length).freeze() }))
    }

    /// The whole length and the type of the next frame, once its head is there.
    fn announced(&self) -> Result<Option<(usize, u8)>, FrameError> {
        let &[kind, a, b, c, d, ..] = &self.buffer[..] else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]);
        if length < 4 {
            return Err(FrameError::Length { kind: char::from(kind), length });
        }
        match usize::try_from(length).ok().and_then(|length| length.checked_add(1)) {
            Some(whole) if whole <= self.limit => Ok(Some((whole, kind))),
            _ => Err(FrameError::TooLong { kind: char::from(kind), length, limit: self.limit }),
        }
    }

    /// Reads what there is; 0 at the end of the stream.
    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(READ_BYTES);
        self.stream.read_buf(&mut self.buffer).await
    }

    /// The stream behind what was read, for one who wants no frames any more.
    pub fn stream(&mut self) -> &mut R {
        &mut self.stream
    }

    /// From now on frames may be this long, their heads included.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let mut frames = Frames::new(bytes, 64);
        let mut read = Vec::new();
        while let Some(frame) = frames.next().await? {
            read.push(frame);
        }
        Ok(read)
    }

    #[tokio::test]
    async fn frames_are_read_one_by_one_and_written_as_they_came() {
        let (first, second) = (Frame::new(b'Q', b"select 1\0"), Frame::new(b'S', b""));
        let bytes = [&first.bytes()[..], &second.bytes()[..]].concat();
        let read = read(&bytes).await.unwrap();
        assert_eq!(read, [first, second]);
        assert_eq!((read[0].kind(), read[0].body(), read[1].body()), (b'Q', &b"select 1\0"[..], &b""[..]));
    }

    #[tokio::test]
    async fn a_length_below_its_own_size_a_huge_one_and_an_end_within_a_message_are_refused() {
        assert!(matches!(read(b"Q\0\0\0\x03").await, Err(FrameError::Length { kind: 'Q', length: 3 })));
        assert!(matches!(read(b"Q\x3f\xff\xff\xff").await, Err(FrameError::TooLong { length: 0x3fff_ffff, .. })));
        assert!(matches!(read(b"Q\xff\xff\xff\xff").await, Err(FrameError::TooLong { length: u32::MAX, .. })));
        assert!(matches!(read(b"Q\0\0\0\x08sel").await, Err(FrameError::Io(_))));
        assert!(matches!(read(b"Q\0\0").await, Err(FrameError::Io(_))));
        assert_eq!(read(b"").await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_cancelled_read_loses_nothing() {
        let (mut far, near) = tokio::io::duplex(64);
        let mut frames = Frames::new(near, 64);
        let frame = Frame::new(b'Q', b"select 1\0");
        let (head, rest) = frame.bytes().split_at(7);
        tokio::io::AsyncWriteExt::write_all(&mut far, head).await.unwrap();
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), frames.next()).await.is_err());
        tokio::io::AsyncWriteExt::write_all(&mut far, rest).await.unwrap();
        assert_eq!(frames.next().await.unwrap(), Some(frame));
    }
}
