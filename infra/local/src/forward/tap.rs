//! The statements of a client, read from the bytes that pass by.

use crate::pins::STATEMENT_LIMIT_BYTES;
use crate::wire::{Piece, Pieces};

/// Looks at what a client sends after its start-up packet. It holds at most one text, and of that no more than shows that it is too long.
///
/// A stream that makes no sense is not looked at any more: the server refuses it and closes.
#[derive(Debug, Default)]
pub struct Tap {
    pieces: Pieces,
    place: Place,
    text: Vec<u8>,
    lost: bool,
}

/// Where in a message the tap stands.
#[derive(Debug, Default, Clone, Copy)]
enum Place {
    /// In what is no text.
    #[default]
    Elsewhere,
    /// In the name before a text.
    Name,
    /// In a text, which ends with a zero byte.
    Text,
}

impl Tap {
    /// Looks at the next bytes and hands each text to `sink` once it is whole. Of a text longer than [`STATEMENT_LIMIT_BYTES`] that much and
    /// one byte more is handed on.
    pub fn look(&mut self, mut bytes: &[u8], mut sink: impl FnMut(Vec<u8>)) {
        while !self.lost {
            match self.pieces.next(&mut bytes) {
                Ok(Some(Piece::Begin(kind))) => {
                    self.place = match kind {
                        b'Q' => Place::Text,
                        b'P' => Place::Name,
                        _ => Place::Elsewhere,
                    }
                }
                Ok(Some(Piece::Body(part))) => self.body(part, &mut sink),
                // A text that did not end within its message is none, and the server says so.
                Ok(Some(Piece::End)) => self.text = Vec::new(),
                Ok(None) => return,
                Err(_) => self.lost = true,
            }
        }
        self.text = Vec::new();
    }

    fn body(&mut self, mut part: &[u8], sink: &mut impl FnMut(Vec<u8>)) {
        if let Place::Name = self.place {
            let Some(end) = part.iter().position(|byte| *byte == 0) else { return };
            part = &part[end + 1..];
            self.place = Place::Text;
        }
        if let Place::Text = self.place {
            let room = STATEMENT_LIMIT_BYTES + 1 - self.text.len();
            let part = &part[..part.len().min(room)];
            let end = part.iter().position(|byte| *byte == 0);
            self.text.extend_from_slice(&part[..end.unwrap_or(part.len())]);
            if end.is_some() || self.text.len() > STATEMENT_LIMIT_BYTES {
                sink(std::mem::take(&mut self.text));
                self.place = Place::Elsewhere;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::wire::{Bind, Frame, Parse};

    fn seen(parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut tap, mut seen) = (Tap::default(), Vec::new());
        for part in parts {
            tap.look(part, |text| seen.push(text));
        }
        seen
    }

    fn query(sql: &[u8]) -> Frame {
        Frame::new(b'Q', &[sql, b"\0"].concat())
    }

    fn parse(name: &[u8], sql: &[u8]) -> Frame {
        Parse { name: b"", sql, types: &[0, 1, 0, 0, 0, 23] }.named(name)
    }

    /// All kinds of messages, and the texts in them.
    fn conversation() -> (Vec<u8>, Vec<Vec<u8>>) {
        let frames = [
            Frame::new(b'p', b"Query\0as a password\0"),
            query(b"select 1"),
            parse(b"", b"select $1"),
            parse(b"s1", b"select 'two'"),
            Bind { portal: b"", statement: b"", values: b"\0\0\0\x01\0\0\0\x0fQ\0\0\0\x0dselect 3\0\0\0\0" }.of(b"s1"),
            Frame::new(b'E', &[0; 5]),
            Frame::new(b'S', b""),
            Frame::new(b'd', b"P\0\0\0\x0es\0select 4\0\0\0"),
            Frame::new(b'c', b""),
            Frame::new(b'F', b"\0\0\0\x01\0\0\0\0\0\0"),
            query(b""),
            query("select 'é'".as_bytes()),
            Frame::new(b'X', b""),
        ];
        let texts = [&b"select 1"[..], b"select $1", b"select 'two'", b"", "select 'é'".as_bytes()];
        (frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect(), texts.map(<[u8]>::to_vec).into())
    }

    #[test]
    fn every_text_is_seen_and_nothing_else_wherever_the_stream_is_cut() {
        let (stream, texts) = conversation();
        assert_eq!(seen(&[&stream]), texts);
        assert_eq!(seen(&stream.chunks(1).collect::<Vec<_>>()), texts, "byte by byte");
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                assert_eq!(seen(&[&stream[..first], &stream[first..second], &stream[second..]]), texts, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_text_at_the_limit_is_whole_and_a_longer_one_is_cut_behind_it() {
        for (length, kept) in [(STATEMENT_LIMIT_BYTES, STATEMENT_LIMIT_BYTES), (STATEMENT_LIMIT_BYTES + 1, STATEMENT_LIMIT_BYTES + 1)] {
            for frame in [query(&vec![b'x'; length]), parse(&[b'n'; 40_000], &vec![b'x'; length])] {
                assert_eq!(seen(&frame.bytes().chunks(1_000).collect::<Vec<_>>()), [vec![b'x'; kept]]);
            }
        }
        let after = [query(&[b'x'; 100_000]).bytes(), query(b"select 1").bytes()].map(|bytes| bytes.to_vec()).concat();
        assert_eq!(seen(&[&after]), [vec![b'x'; STATEMENT_LIMIT_BYTES + 1], b"select 1".to_vec()]);
    }

    #[test]
    fn a_message_of_a_gigabyte_takes_no_more_memory_than_a_text_may_have() {
        let chunk = vec![b'x'; 1 << 16];
        for head in [&b"Q\x40\0\0\0"[..], b"P\x40\0\0\0", b"P\x40\0\0\0s\0", b"B\x40\0\0\0", b"d\x40\0\0\0"] {
            let (mut tap, mut texts) = (Tap::default(), 0);
            tap.look(head, |_| texts += 1);
            for _ in 0..100 {
                tap.look(&chunk, |_| texts += 1);
                assert!(tap.text.capacity() <= 2 * (STATEMENT_LIMIT_BYTES + 1), "{}", tap.text.capacity());
            }
            assert_eq!(texts, usize::from(head[0] == b'Q' || head.ends_with(b"s\0")), "one that is too long is seen at once");
        }
    }

    #[test]
    fn a_text_without_an_end_is_none_and_after_an_impossible_length_nothing_is_looked_at() {
        assert_eq!(seen(&[b"Q\0\0\0\x0cselect 1", query(b"select 2").bytes()]), [b"select 2"]);
        assert_eq!(seen(&[b"P\0\0\0\x06s1", b"P\0\0\0\x04", b"Q\0\0\0\x04", query(b"select 2").bytes()]), [b"select 2"]);
        assert_eq!(seen(&[query(b"select 1").bytes(), b"Q\0\0\0\x03", query(b"select 2").bytes()]), [b"select 1"]);
    }
}
