//! Those messages of a client whose content a proxy looks at. Each borrows from its frame's body; a body that is malformed gives None.

use bytes::{BufMut as _, BytesMut};

use super::{Frame, split_cstr};

/// Parse: a statement gets a name, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name, empty for the unnamed one.
    pub name: &'a [u8],
    /// The statement's text.
    pub sql: &'a [u8],
    /// The types of its parameters, as sent.
    pub types: &'a [u8],
}

impl<'a> Parse<'a> {
    /// Reads the body of a Parse message.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let (name, rest) = split_cstr(body)?;
        let (sql, types) = split_cstr(rest)?;
        Some(Self { name, sql, types })
    }

    /// The same statement by another name.
    #[must_use]
    pub fn named(&self, name: &[u8]) -> Frame {
        frame(b'P', &[name, b"\0", self.sql, b"\0", self.types])
    }
}

/// Bind: a statement gets its parameters and becomes a portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name, empty for the unnamed one.
    pub portal: &'a [u8],
    /// The statement's name, empty for the unnamed one.
    pub statement: &'a [u8],
    /// Formats and values, as sent.
    pub values: &'a [u8],
}

impl<'a> Bind<'a> {
    /// Reads the body of a Bind message.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let (portal, rest) = split_cstr(body)?;
        let (statement, values) = split_cstr(rest)?;
        Some(Self { portal, statement, values })
    }

    /// The same for a statement of another name.
    #[must_use]
    pub fn of(&self, statement: &[u8]) -> Frame {
        frame(b'B', &[self.portal, b"\0", statement, b"\0", self.values])
    }
}

/// What Describe and Close are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A prepared statement.
    Statement(&'a [u8]),
    /// A portal.
    Portal(&'a [u8]),
}

impl Target<'_> {
    /// The message of this type about this target.
    #[must_use]
    pub fn frame(&self, kind: u8) -> Frame {
        match self {
            Self::Statement(name) => frame(kind, &[b"S", name, b"\0"]),
            Self::Portal(name) => frame(kind, &[b"P", name, b"\0"]),
        }
    }
}

/// Reads the body of a Describe or Close message.
#[must_use]
pub fn target(body: &[u8]) -> Option<Target<'_>> {
    let (kind, rest) = body.split_first()?;
    let (name, after) = split_cstr(rest)?;
    match kind {
        b'S' if after.is_empty() => Some(Target::Statement(name)),
        b'P' if after.is_empty() => Some(Target::Portal(name)),
        _ => None,
    }
}

fn frame(kind: u8, parts: &[&[u8]]) -> Frame {
    let mut body = BytesMut::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        body.put_slice(part);
    }
    Frame::new(kind, &body)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_statement_gets_another_name_and_keeps_the_rest() {
        let parse = Parse::read(b"s1\0select $1\0\0\x01\0\0\0\x17").unwrap();
        assert_eq!((parse.name, parse.sql), (&b"s1"[..], &b"select $1"[..]));
        assert_eq!(parse.named(b"other").body(), b"other\0select $1\0\0\x01\0\0\0\x17");
        let bind = Bind::read(b"\0s1\0\0\0\0\0\0\0").unwrap();
        assert_eq!((bind.portal, bind.statement), (&b""[..], &b"s1"[..]));
        assert_eq!(bind.of(b"other").body(), b"\0other\0\0\0\0\0\0\0");
        assert_eq!(target(b"Ss1\0"), Some(Target::Statement(b"s1")));
        assert_eq!(target(b"P\0").unwrap().frame(b'C').body(), b"P\0");
    }

    #[test]
    fn malformed_bodies_are_none() {
        assert_eq!(Parse::read(b"s1\0select 1"), None);
        assert_eq!(Bind::read(b"portal"), None);
        for body in [&b""[..], b"S", b"Ss1", b"Xs1\0", b"Ss1\0more"] {
            assert_eq!(target(body), None, "{body:?}");
        }
    }
}
