//! What a client asks. Names of statements are replaced, and what is missing on the database connection is prepared behind its back.

use std::sync::Arc;

use super::owed::Owed;
use super::{ClientError, Exchange};
use crate::proxy::slow::Asked;
use crate::proxy::statements::{CONNECTION_LIMIT, Statement, StatementName};
use crate::wire::{Bind, Frame, Parse, Target, target};

/// A portal that is never there: closing it does nothing and is answered all the same.
const NO_PORTAL: &[u8] = b"thaw_none";
/// A statement that is never there.
const NO_STATEMENT: &[u8] = b"thaw_none";

impl Exchange<'_> {
    /// Whether the message can be understood only once earlier ones are answered.
    pub(super) fn must_wait(&self, frame: &Frame) -> bool {
        // Nearly always.
        if self.owed.is_empty() {
            return false;
        }
        let of_name = |name| self.owed.is_undecided(name, self.client.statements.get(name).map(|statement| statement.name));
        match frame.kind() {
            b'P' => Parse::read(frame.body())
                .is_some_and(|parse| of_name(parse.name) || self.owed.is_undecided(parse.name, Some(StatementName::of(&parse)))),
            b'Q' => of_name(b""),
            b'B' => Bind::read(frame.body()).is_some_and(|bind| of_name(bind.statement)),
            b'D' | b'C' => matches!(target(frame.body()), Some(Target::Statement(name)) if of_name(name)),
            _ => false,
        }
    }

    pub(super) fn on_client_frame(&mut self, frame: &Frame) -> Result<(), ClientError> {
        let malformed = || ClientError::Message(frame.kind());
        match frame.kind() {
            b'X' => self.leave(frame),
            b'S' if self.takes_copy_data => {}
            b'S' => {
                self.forward(frame);
                self.owed.push(Owed::Sync);
                (self.open_batch, self.skipping) = (false, false);
            }
            // The server does not look at it either.
            b'Q' | b'F' | b'P' | b'B' | b'D' | b'C' | b'E' | b'H' | b'd' | b'c' | b'f' if self.skipping => {}
            b'd' => self.forward(frame),
            b'c' | b'f' => {
                self.forward(frame);
                self.owed.push(Owed::CopyEnd);
                self.takes_copy_data = false;
            }
            b'H' => self.forward(frame),
            _ if self.takes_copy_data => return Err(malformed()),
            b'Q' => {
                let (sql, rest) = frame.body().split_last().map(|(end, sql)| (sql, *end)).ok_or_else(malformed)?;
                if rest != 0 {
                    return Err(malformed());
                }
                if self.client.observe(sql).forgets_statements {
                    self.connection.prepared.clear();
                }
                self.client.asked = Some(Asked::text(sql));
                // A simple query takes the unnamed statement away, and ends what was begun before.
                let unnamed = self.client.statements.remove(b"");
                self.connection.unnamed = None;
                self.forward(frame);
                self.owed.push(Owed::Query { unnamed });
                self.open_batch = false;
            }
            b'F' => {
                self.forward(frame);
                self.owed.push(Owed::Query { unnamed: None });
                self.open_batch = false;
            }
            b'P' => self.parse(frame)?,
            b'B' => {
                let bind = Bind::read(frame.body()).ok_or_else(malformed)?;
                if let Some(statement) = self.client.statements.get(bind.statement) {
                    self.client.asked = Some(Asked::Prepared(statement));
                }
                let name = self.on_database(bind.statement);
                self.batch(&bind.of(&name), Owed::Bind);
            }
            b'D' => {
                let forwarded = match target(frame.body()).ok_or_else(malformed)? {
                    Target::Statement(name) => Target::Statement(&self.on_database(name)).frame(b'D'),
                    Target::Portal(_) => frame.clone(),
                };
                self.batch(&forwarded, Owed::Describe);
            }
            b'C' => {
                // Others use the statement, so only the client's name for it goes.
                let (forwarded, closed) = match target(frame.body()).ok_or_else(malformed)? {
                    Target::Statement(name) => {
                        let closed = self.client.statements.remove(name).map(|statement| (name.to_vec(), statement));
                        (Target::Portal(NO_PORTAL).frame(b'C'), closed)
                    }
                    Target::Portal(_) => (frame.clone(), None),
                };
                self.batch(&forwarded, Owed::Close { forwarded: true, closed });
            }
            b'E' => self.batch(frame, Owed::Execute),
            _ => return Err(malformed()),
        }
        Ok(())
    }

    /// What was asked before is still done, as Postgres does. What no Sync has followed the server does before it ends the session.
    fn leave(&mut self, terminate: &Frame) {
        self.client.leaving = true;
        if self.open_batch {
            self.forward(terminate);
        }
    }

    fn parse(&mut self, frame: &Frame) -> Result<(), ClientError> {
        let parse = Parse::read(frame.body()).ok_or(ClientError::Message(b'P'))?;
        if self.client.observe(parse.sql).forgets_statements {
            self.connection.prepared.clear();
        }
        let unnamed = parse.name.is_empty();
        if !unnamed && let Some(twin) = self.client.statements.get(parse.name) {
            // A name that the client has given already: the database itself says so, of its own name for it.
            self.prepare(&twin, false);
            self.batch(&parse.named(twin.name.text().as_bytes()), Owed::TakenName);
            return Ok(());
        }
        let replaced = self.client.statements.remove(parse.name);
        let statement = self.client.statements.insert(&parse).ok_or(ClientError::TooManyStatements)?;
        // In a transaction that has failed the database takes no Parse, so there it has to answer itself.
        let may_have_failed = self.in_transaction || self.owed.holds_batch();
        if !unnamed && !may_have_failed && self.is_prepared(statement.name) {
            self.batch(&Target::Portal(NO_PORTAL).frame(b'C'), Owed::KnownParse { name: parse.name.to_vec(), statement });
            return Ok(());
        }
        self.send_parse(Some(parse.name.to_vec()), statement, unnamed, replaced);
        Ok(())
    }

    /// The name that a client's statement has on the database, where it is prepared if it is not yet.
    fn on_database(&mut self, name: &[u8]) -> Vec<u8> {
        let unnamed = name.is_empty();
        match self.client.statements.get(name) {
            Some(statement) => {
                self.prepare(&statement, unnamed);
                if unnamed { Vec::new() } else { statement.name.text().into_bytes() }
            }
            // The unnamed statement there may be somebody else's, and so may one with a name of ours.
            None if unnamed || name.starts_with(b"thaw_") => NO_STATEMENT.to_vec(),
            None => name.to_vec(),
        }
    }

    fn prepare(&mut self, statement: &Arc<Statement>, unnamed: bool) {
        let known = if unnamed {
            self.connection.unnamed.as_ref().is_some_and(|current| Arc::ptr_eq(current, statement))
        } else {
            self.is_prepared(statement.name)
        };
        if !known {
            self.send_parse(None, Arc::clone(statement), unnamed, None);
        }
    }

    fn is_prepared(&mut self, name: StatementName) -> bool {
        self.connection.uses += 1;
        let now = self.connection.uses;
        self.connection.prepared.get_mut(&name).map(|last_used| *last_used = now).is_some()
    }

    fn send_parse(&mut self, name: Option<Vec<u8>>, statement: Arc<Statement>, unnamed: bool, replaced: Option<Arc<Statement>>) {
        if unnamed {
            self.connection.unnamed = Some(Arc::clone(&statement));
        } else {
            // What is forgotten here may still be known there; to close what is not is no error.
            self.close_on_database(statement.name);
            self.connection.prepared.insert(statement.name, self.connection.uses);
        }
        self.batch(&statement.prepare(unnamed), Owed::Parse { name, statement, unnamed, replaced });
        self.close_what_is_too_many();
    }

    /// Statements that this exchange has used may have portals.
    fn close_what_is_too_many(&mut self) {
        while self.connection.prepared.len() > CONNECTION_LIMIT {
            let oldest = self.connection.prepared.iter().min_by_key(|(_, last_used)| **last_used);
            let Some((name, _)) = oldest.filter(|(_, last_used)| **last_used <= self.began_at_use) else { return };
            let name = *name;
            self.connection.prepared.remove(&name);
            self.close_on_database(name);
        }
    }

    fn close_on_database(&mut self, name: StatementName) {
        self.batch(&Target::Statement(name.text().as_bytes()).frame(b'C'), Owed::Close { forwarded: false, closed: None });
    }

    /// Sends a message that a Sync has to follow.
    fn batch(&mut self, frame: &Frame, owed: Owed) {
        self.forward(frame);
        self.owed.push(owed);
        self.open_batch = true;
    }

    fn forward(&mut self, frame: &Frame) {
        self.connection.link.outbox.push(frame);
    }
}
