//! A stream that comes in parts, and what it holds by two ways of reading.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, ReadBuf};

use crate::wire::{Frame, FrameError, Frames, Piece, Pieces};

/// Gives bytes in parts of sizes that the input itself chooses.
pub struct Parts<'a> {
    rest: &'a [u8],
    seed: u8,
}

impl<'a> Parts<'a> {
    pub fn new(bytes: &'a [u8], seed: u8) -> Self {
        Self { rest: bytes, seed }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.seed = self.seed.wrapping_mul(181).wrapping_add(59);
        // Of one byte, of a few, and of many.
        let length = [1, 2, 3, 5, 17, 4_096][usize::from(self.seed) % 6].min(self.rest.len());
        let (part, rest) = self.rest.split_at(length);
        self.rest = rest;
        (!part.is_empty()).then_some(part)
    }
}

impl AsyncRead for Parts<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let Parts { rest, seed } = &*self;
        let room = &rest[..rest.len().min(buffer.remaining())];
        let mut parts = Parts::new(room, *seed);
        let part = parts.next().unwrap_or_default();
        buffer.put_slice(part);
        (self.rest, self.seed) = (&self.rest[part.len()..], parts.seed);
        Poll::Ready(Ok(()))
    }
}

/// Reads whole frames up to the end or the first that cannot be taken. What was read is what came.
pub fn frames(bytes: &[u8], seed: u8, limit: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut stream = Frames::new(Parts::new(bytes, seed), limit);
    let (mut frames, mut length) = (Vec::new(), 0);
    let error = loop {
        match stream.next().now_or_never().expect("memory is always ready") {
            Ok(Some(frame)) => {
                assert!(frame.bytes().len() <= limit);
                assert_eq!(Frame::new(frame.kind(), frame.body()), frame);
                assert_eq!(&bytes[length..][..frame.bytes().len()], &frame.bytes()[..]);
                length += frame.bytes().len();
                frames.push(frame);
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(error.is_some() || length == bytes.len());
    (frames, error)
}

/// Reads the same by pieces, and compares.
pub fn compare_pieces(bytes: &[u8], seed: u8, frames: &[Frame]) {
    let (mut pieces, mut whole, mut open) = (Pieces::default(), Vec::new(), None);
    'stream: for mut part in Parts::new(bytes, seed) {
        loop {
            match pieces.next(&mut part) {
                Ok(Some(Piece::Begin(kind))) => assert!(open.replace((kind, Vec::new())).is_none()),
                Ok(Some(Piece::Body(body))) => open.as_mut().expect("a body has a head").1.extend_from_slice(body),
                Ok(Some(Piece::End)) => whole.push(open.take().expect("an end has a head")),
                Ok(None) => break,
                Err(_) => break 'stream,
            }
        }
        assert!(part.is_empty());
    }
    // The last may have ended with the stream, and by pieces no length is too long.
    assert!(whole.len() >= frames.len() || whole.len() + 1 == frames.len() && open.is_some());
    for (frame, (kind, body)) in frames.iter().zip(&whole) {
        assert_eq!((frame.kind(), frame.body()), (*kind, &body[..]));
    }
}
