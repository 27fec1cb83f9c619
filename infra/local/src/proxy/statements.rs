//! Prepared statements that follow their client to whichever database connection it gets.
//!
//! A client's name means nothing on a connection that others use too. So a statement goes to the database under a name made of its text,
//! which all clients share, and is prepared once more wherever it is missing.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::wire::{Frame, Parse};

/// The most statements that one client may keep.
const CLIENT_LIMIT: usize = 5_000;
/// The most statements that a database connection keeps; the one used longest ago goes first.
pub(super) const CONNECTION_LIMIT: usize = 500;

/// A statement's name on the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StatementName([u8; 16]);

impl StatementName {
    fn of(parse: &Parse) -> Self {
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
    sql: Bytes,
    types: Bytes,
}

impl Statement {
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
}

impl ClientStatements {
    /// Remembers a statement. None where the client has too many.
    pub(super) fn insert(&mut self, parse: &Parse, frame: &Frame) -> Option<Arc<Statement>> {
        if self.by_name.len() >= CLIENT_LIMIT && !self.by_name.contains_key(parse.name) {
            return None;
        }
        let statement = Arc::new(Statement { name: StatementName::of(parse), sql: frame.slice(parse.sql), types: frame.slice(parse.types) });
        self.by_name.insert(parse.name.to_vec(), Arc::clone(&statement));
        Some(statement)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Arc<Statement>> {
        self.by_name.get(name).map(Arc::clone)
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        self.by_name.remove(name);
    }

    /// Forgets a statement that the database did not accept, unless another has taken the name since.
    pub(super) fn retract(&mut self, name: &[u8], statement: &Arc<Statement>) {
        if self.by_name.get(name).is_some_and(|current| Arc::ptr_eq(current, statement)) {
            self.by_name.remove(name);
        }
    }
}
