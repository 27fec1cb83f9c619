//! Reads the texts that pass through a connection. Nearly all were read before.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use super::{STATEMENT_LIMIT_BYTES, Text, read};

/// The most different texts that are remembered; past it all are forgotten and read anew.
const REMEMBERED: usize = 10_000;

/// As [`read`], and remembers what it has read: a parse takes longer than a look.
#[derive(Debug)]
pub struct Reader {
    known: Mutex<HashMap<[u8; 32], Arc<Text>>>,
    limit: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self::remembering(REMEMBERED)
    }
}

impl Reader {
    fn remembering(limit: usize) -> Self {
        Self { known: Mutex::default(), limit }
    }

    /// What a text says. A text that is longer than [`STATEMENT_LIMIT_BYTES`] may be cut anywhere behind that.
    #[must_use]
    pub fn read(&self, sql: &[u8]) -> Arc<Text> {
        let digest = Sha256::digest(sql).into();
        if let Some(known) = self.known().get(&digest) {
            return Arc::clone(known);
        }
        let text = Arc::new(read(&characters(sql)));
        let mut known = self.known();
        if known.len() >= self.limit {
            known.clear();
        }
        known.insert(digest, Arc::clone(&text));
        text
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Text>>> {
        // Nothing can panic while the lock is held.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client may send another encoding than UTF-8. Each of its letters may stand in a name, and none makes the text longer.
fn characters(sql: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(sql) {
        Ok(text) => text.into(),
        Err(_) if sql.len() > STATEMENT_LIMIT_BYTES => String::from_utf8_lossy(sql),
        Err(_) => sql.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '_' }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins::Reason;

    #[test]
    fn another_encoding_is_read_and_does_not_make_a_text_too_long() {
        let reader = Reader::default();
        let reasons = |sql: &[u8]| reader.read(sql).findings.iter().map(|finding| finding.reason).collect::<Vec<_>>();
        assert_eq!(reasons(b"set caf\xe9.x = '\xe9'"), [Reason::SessionParameter]);
        assert_eq!(reasons(b"select caf\xe9 from t"), []);
        let long = [b"select '".as_slice(), &[0xe9; 10_000], b"'"].concat();
        assert_eq!(reasons(&long), []);
        assert_eq!(reasons(&[0xe9; STATEMENT_LIMIT_BYTES + 1]), [Reason::TooLong]);
    }

    #[test]
    fn what_is_remembered_is_what_was_read_and_bounded() {
        let reader = Reader::remembering(10);
        for number in 0..25 {
            let sql = format!("listen c{number}");
            assert_eq!(*reader.read(sql.as_bytes()), read(&sql));
            assert!(reader.known().len() <= 10);
        }
        assert_eq!(*reader.read(b"listen c0"), read("listen c0"));
        assert!(Arc::ptr_eq(&reader.read(b"listen c0"), &reader.read(b"listen c0")));
    }
}
