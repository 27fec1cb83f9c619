//! Where messages begin and end in a stream that passes by, without holding any.

use super::FrameError;
use super::frame::HEAD_BYTES;

/// What comes next in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The head of a message of this type was there.
    Begin(u8),
    /// A part of its body, never empty.
    Body(&'a [u8]),
    /// Its body was whole.
    End,
}

/// Cuts a stream of messages at their borders. It takes a few bytes of memory, whatever lengths the messages announce.
#[derive(Debug, Clone)]
pub struct Pieces {
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Head { bytes: [u8; HEAD_BYTES], filled: usize },
    Body { left_bytes: u32 },
}

const BETWEEN: State = State::Head { bytes: [0; HEAD_BYTES], filled: 0 };

impl Default for Pieces {
    fn default() -> Self {
        Self { state: BETWEEN }
    }
}

impl Pieces {
    /// Takes the next piece from the front of `bytes`; None where more bytes are needed.
    ///
    /// # Errors
    /// A length is below its own four bytes. After that the stream makes no sense any more.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Piece<'a>>, FrameError> {
        match &mut self.state {
            State::Head { bytes: head, filled } => {
                let (taken, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES - *filled));
                head[*filled..][..taken.len()].copy_from_slice(taken);
                *filled += taken.len();
                *bytes = rest;
                if *filled < HEAD_BYTES {
                    return Ok(None);
                }
                let [kind, length @ ..] = *head;
                let length = u32::from_be_bytes(length);
                let left_bytes = length.checked_sub(4).ok_or(FrameError::Length { kind: char::from(kind), length })?;
                self.state = State::Body { left_bytes };
                Ok(Some(Piece::Begin(kind)))
            }
            State::Body { left_bytes: 0 } => {
                self.state = BETWEEN;
                Ok(Some(Piece::End))
            }
            State::Body { .. } if bytes.is_empty() => Ok(None),
            State::Body { left_bytes } => {
                let (part, rest) = bytes.split_at(bytes.len().min(usize::try_from(*left_bytes).unwrap_or(usize::MAX)));
                // No part is longer than what is left.
                *left_bytes -= u32::try_from(part.len()).unwrap_or(*left_bytes);
                *bytes = rest;
                Ok(Some(Piece::Body(part)))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// The messages, put together again from pieces of the stream that are cut at these places.
    fn read(parts: &[&[u8]]) -> Vec<(u8, Vec<u8>)> {
        let (mut pieces, mut messages, mut open) = (Pieces::default(), Vec::new(), None);
        for mut part in parts.iter().copied() {
            while let Some(piece) = pieces.next(&mut part).unwrap() {
                match piece {
                    Piece::Begin(kind) => open = Some((kind, Vec::new())),
                    Piece::Body(body) => open.as_mut().unwrap().1.extend_from_slice(body),
                    Piece::End => messages.push(open.take().unwrap()),
                }
            }
            assert!(part.is_empty());
        }
        messages
    }

    #[test]
    fn messages_are_the_same_wherever_the_stream_is_cut() {
        let stream = b"Q\0\0\0\x0dselect 1\0S\0\0\0\x04d\0\0\0\x06ab";
        let expected = vec![(b'Q', b"select 1\0".to_vec()), (b'S', Vec::new()), (b'd', b"ab".to_vec())];
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                assert_eq!(read(&[&stream[..first], &stream[first..second], &stream[second..]]), expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_length_below_its_own_size_is_refused_and_the_greatest_one_taken() {
        let error = Pieces::default().next(&mut &b"Q\0\0\0\x03"[..]).unwrap_err();
        assert!(matches!(error, FrameError::Length { kind: 'Q', length: 3 }), "{error}");
        let mut pieces = Pieces::default();
        assert_eq!(pieces.next(&mut &b"d\xff\xff\xff\xff"[..]).unwrap(), Some(Piece::Begin(b'd')));
        let chunk = vec![0; 1 << 20];
        let mut left = u64::from(u32::MAX) - 4;
        while left > 0 {
            let part = &chunk[..chunk.len().min(usize::try_from(left).unwrap())];
            assert_eq!(pieces.next(&mut &part[..]).unwrap(), Some(Piece::Body(part)));
            left -= u64::try_from(part.len()).unwrap();
        }
        assert_eq!(pieces.next(&mut &b""[..]).unwrap(), Some(Piece::End));
    }
}
