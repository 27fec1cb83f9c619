//! Prepared statements that follow their client to whichever database connection it gets.
//!
//! A client's name means nothing on a connection that others use too. So a statement goes to the database under a name made of its text,
//! which all clients share, and is prepared once more wherever it is missing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest as _, Sha256};

use crate::wire::{Frame, Parse};

/// The most statements that one client may keep.
const CLIENT_LIMIT: usize = 5_000;
/// The most that their texts and names may take in memory.
const CLIENT_LIMIT_BYTES: usize = 32 * 1024 * 1024;
/// The most statements that a database connection keeps; the one used longest ago goes first.
pub(super) const CONNECTION_LIMIT: usize = 500;

/// A statement's name on the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StatementName([u8; 16]);

impl StatementName {
    /// The name of this text with these types of parameters.
    pub(super) fn of(parse: &Parse) -> Self {
        let digest = Sha256::new().chain_update(parse.sql).chain_update(b"\0").chain_update(parse.types).finalize();
        let mut name = [0; 16];
        name.copy_from_slice(&digest[..16]);
        Self(name)
    }

    /// The name as text.
    pub(super) fn text(self) -> String {
        format!("thaw_{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A statement that a client prepared.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) name: StatementName,
    sql: Box<[u8]>,
    types: Box<[u8]>,
    _charge: Charge,
}

/// What a statement takes of its client's memory, as long as anybody holds it.
#[derive(Debug)]
struct Charge {
    bytes: usize,
    held_bytes: Arc<AtomicUsize>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Statement {
    /// Its text, as the client sent it.
    pub(super) fn sql(&self) -> &[u8] {
        &self.sql
    }

    /// A Parse message that prepares it under its name on the database, or as the unnamed one.
    pub(super) fn prepare(&self, unnamed: bool) -> Frame {
        let name = if unnamed { String::new() } else { self.name.text() };
        Parse { name: b"", sql: &self.sql, types: &self.types }.named(name.as_bytes())
    }
}

/// The statements of one client, by its own names. The empty name is the unnamed statement.
#[derive(Default)]
pub(super) struct ClientStatements {
    by_name: HashMap<Vec<u8>, Arc<Statement>>,
    held_bytes: Arc<AtomicUsize>,
}

impl ClientStatements {
    /// Remembers a statement. None where the client has too many, or too long ones.
    pub(super) fn insert(&mut self, parse: &Parse) -> Option<Arc<Statement>> {
        let bytes = parse.name.len() + parse.sql.len() + parse.types.len();
        let is_one_more = !self.by_name.contains_key(parse.name);
        if is_one_more && self.by_name.len() >= CLIENT_LIMIT || self.held_bytes.load(Ordering::Relaxed) + bytes > CLIENT_LIMIT_BYTES {
            return None;
        }
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let charge = Charge { bytes, held_bytes: Arc::clone(&self.held_bytes) };
        // Copied, because the message shares its memory with whatever came along with it.
        let statement = Arc::new(Statement { name: StatementName::of(parse), sql: parse.sql.into(), types: parse.types.into(), _charge: charge });
        self.by_name.insert(parse.name.to_vec(), Arc::clone(&statement));
        Some(statement)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Arc<Statement>> {
        self.by_name.get(name).map(Arc::clone)
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Arc<Statement>> {
        self.by_name.remove(name)
    }

    /// Gives a name its statement again, unless another has taken the name since.
    pub(super) fn restore(&mut self, name: Vec<u8>, statement: Arc<Statement>) {
        self.by_name.entry(name).or_insert(statement);
    }

    /// Forgets a statement that the database did not accept, unless another has taken the name since.
    pub(super) fn retract(&mut self, name: &[u8], statement: &Arc<Statement>) {
        if self.by_name.get(name).is_some_and(|current| Arc::ptr_eq(current, statement)) {
            self.by_name.remove(name);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn insert(statements: &mut ClientStatements, name: &str, sql: &[u8]) -> Option<Arc<Statement>> {
        statements.insert(&Parse { name: name.as_bytes(), sql, types: &[0, 0] })
    }

    #[test]
    fn a_client_keeps_so_many_statements_and_so_much_text_and_gets_room_by_closing_some() {
        let mut statements = ClientStatements::default();
        for number in 0..CLIENT_LIMIT {
            assert!(insert(&mut statements, &number.to_string(), b"select 1").is_some());
        }
        assert!(insert(&mut statements, "more", b"select 1").is_none());
        statements.remove(b"7").unwrap();
        assert!(insert(&mut statements, "more", b"select 1").is_some());

        let mut statements = ClientStatements::default();
        let long = vec![b'x'; CLIENT_LIMIT_BYTES / 3];
        assert!(insert(&mut statements, "one", &long).is_some() && insert(&mut statements, "two", &long).is_some());
        // Closed, but it may have to come back: it still counts.
        let closed = statements.remove(b"two").unwrap();
        assert_eq!(statements.held_bytes.load(Ordering::Relaxed), 2 * (3 + long.len() + 2));
        drop(closed);
        assert!(insert(&mut statements, "three", &long).is_some());
        assert!(insert(&mut statements, "four", &long).is_none());
    }

    #[test]
    fn what_is_retracted_or_restored_does_not_take_a_name_from_another() {
        let mut statements = ClientStatements::default();
        let first = insert(&mut statements, "s", b"select 1").unwrap();
        let second = insert(&mut statements, "s", b"select 2").unwrap();
        statements.retract(b"s", &first);
        statements.restore(b"s".to_vec(), Arc::clone(&first));
        assert!(Arc::ptr_eq(&statements.get(b"s").unwrap(), &second));
        statements.retract(b"s", &second);
        statements.restore(b"s".to_vec(), Arc::clone(&first));
        assert!(Arc::ptr_eq(&statements.get(b"s").unwrap(), &first));
    }
}
