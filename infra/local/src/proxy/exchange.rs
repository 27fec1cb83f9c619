//! One transaction's worth of conversation between a client and the database connection that it has borrowed.
//!
//! Most messages pass as they came. Names of statements are replaced, and what was prepared behind the client's back is answered to nobody.
//! The server answers in order, so a queue of what it still owes tells which answer is which.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::pool::DatabaseConnection;
use super::session::Client;
use super::statements::{CONNECTION_LIMIT, Statement, StatementName};
use crate::wire::{Bind, ErrorFields, Frame, FrameError, Parse, Target, target};

/// A portal that is never there: closing it does nothing and is answered all the same.
const NO_PORTAL: &[u8] = b"thaw_none";
/// A statement that is never there.
const NO_STATEMENT: &[u8] = b"thaw_none";
/// What is still to be written may take so long after the other side has gone.
const FAREWELL: Duration = Duration::from_secs(5);
/// SQLSTATE feature_not_supported: also "cached plan must not change result type".
const FEATURE_NOT_SUPPORTED: &str = "0A000";

/// How a conversation ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The transaction is over: others can have the database connection.
    Idle,
    /// As [`End::Idle`], and the tables that statements were planned for have changed.
    PlansSpoilt,
    /// The client has gone, or the database has.
    Over,
}

/// What makes a conversation impossible.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a message of type {:?} cannot stand here, or its body is malformed", char::from(*.0))]
    Message(u8),
    #[error("this client keeps too many prepared statements")]
    TooManyStatements,
}

/// An answer that the server owes.
enum Owed {
    /// ParseComplete.
    Parse {
        /// The client's name; None where the statement was prepared behind its back.
        name: Option<Vec<u8>>,
        statement: Arc<Statement>,
        unnamed: bool,
    },
    /// An error: the client has given the name before.
    TakenName,
    /// CloseComplete, which the client gets as ParseComplete: the statement was there already.
    KnownParse,
    /// CloseComplete, for the client or for nobody.
    Close { forwarded: bool },
    /// ReadyForQuery.
    Ready,
}

pub(super) struct Exchange<'a> {
    client: &'a mut Client,
    connection: &'a mut DatabaseConnection,
    owed: VecDeque<Owed>,
    /// Messages were sent that no Sync has followed yet.
    open_batch: bool,
    in_transaction: bool,
    plans_spoilt: bool,
    over: bool,
    /// Statements that were used since then may have portals.
    began_at_use: u64,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(client: &'a mut Client, connection: &'a mut DatabaseConnection) -> Self {
        let began_at_use = connection.uses;
        Self { client, connection, owed: VecDeque::new(), open_batch: false, in_transaction: false, plans_spoilt: false, over: false, began_at_use }
    }

    /// Passes messages both ways, beginning with the client's `first`, until the transaction is over. A pinned client keeps its connection.
    pub(super) async fn run(mut self, first: Frame, idle_timeout: Duration) -> Result<End, ClientError> {
        self.on_client_frame(&first)?;
        loop {
            while let Some(frame) = self.client.link.inbox.buffered()? {
                self.on_client_frame(&frame)?;
            }
            if self.over {
                return Ok(End::Over);
            }
            if self.is_idle() && !self.client.link.outbox.is_pending() {
                return Ok(if self.plans_spoilt { End::PlansSpoilt } else { End::Idle });
            }
            let (client, server) = (&mut self.client.link, &mut self.connection.link);
            let step = async {
                tokio::select! {
                    frame = client.inbox.next(), if !server.outbox.is_full() => Step::Client(frame),
                    frame = server.inbox.next(), if !client.outbox.is_full() => Step::Server(frame),
                    written = client.outbox.write(), if client.outbox.is_pending() => Step::Wrote(written),
                    written = server.outbox.write(), if server.outbox.is_pending() => Step::Wrote(written),
                }
            };
            match tokio::time::timeout(idle_timeout, step).await.unwrap_or(Step::Wrote(Err(std::io::ErrorKind::TimedOut.into()))) {
                Step::Client(frame) => match frame? {
                    Some(frame) => self.on_client_frame(&frame)?,
                    None => return Ok(End::Over),
                },
                Step::Server(Ok(Some(frame))) => {
                    self.on_server_frame(frame);
                    while let Ok(Some(frame)) = self.connection.link.inbox.buffered() {
                        self.on_server_frame(frame);
                    }
                }
                // A statement in flight is cut, and the client with it: it cannot be known how far it came.
                Step::Server(Ok(None) | Err(_)) => {
                    drop(tokio::time::timeout(FAREWELL, self.client.link.send(&[])).await);
                    return Ok(End::Over);
                }
                Step::Wrote(Ok(())) => {}
                Step::Wrote(Err(_)) => return Ok(End::Over),
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.owed.is_empty() && !self.open_batch && !self.in_transaction && !self.client.pinned
    }

    fn on_client_frame(&mut self, frame: &Frame) -> Result<(), ClientError> {
        let malformed = || ClientError::Message(frame.kind());
        match frame.kind() {
            b'Q' => {
                let (sql, rest) = frame.body().split_last().map(|(end, sql)| (sql, *end)).ok_or_else(malformed)?;
                if rest != 0 {
                    return Err(malformed());
                }
                if self.client.observe(sql).forgets_statements {
                    self.connection.prepared.clear();
                }
                // A simple query takes the unnamed statement away.
                self.client.statements.remove(b"");
                self.connection.unnamed = None;
                self.forward(frame);
                self.owed.push_back(Owed::Ready);
            }
            b'P' => self.parse(frame)?,
            b'B' => {
                let bind = Bind::read(frame.body()).ok_or_else(malformed)?;
                let name = self.on_database(bind.statement);
                self.forward(&bind.of(&name));
                self.open_batch = true;
            }
            b'D' => {
                let forwarded = match target(frame.body()).ok_or_else(malformed)? {
                    Target::Statement(name) => Target::Statement(&self.on_database(name)).frame(b'D'),
                    Target::Portal(_) => frame.clone(),
                };
                self.forward(&forwarded);
                self.open_batch = true;
            }
            b'C' => {
                // Others use the statement, so only the client's name for it goes.
                let forwarded = match target(frame.body()).ok_or_else(malformed)? {
                    Target::Statement(name) => {
                        self.client.statements.remove(name);
                        Target::Portal(NO_PORTAL).frame(b'C')
                    }
                    Target::Portal(_) => frame.clone(),
                };
                self.forward(&forwarded);
                self.owed.push_back(Owed::Close { forwarded: true });
                self.open_batch = true;
            }
            b'S' => {
                self.forward(frame);
                self.owed.push_back(Owed::Ready);
                self.open_batch = false;
            }
            b'F' => {
                self.forward(frame);
                self.owed.push_back(Owed::Ready);
            }
            b'E' | b'H' => {
                self.forward(frame);
                self.open_batch = true;
            }
            // The data of a COPY.
            b'd' | b'c' | b'f' => self.forward(frame),
            b'X' => self.over = true,
            _ => return Err(malformed()),
        }
        Ok(())
    }

    fn parse(&mut self, frame: &Frame) -> Result<(), ClientError> {
        let parse = Parse::read(frame.body()).ok_or(ClientError::Message(b'P'))?;
        if self.client.observe(parse.sql).forgets_statements {
            self.connection.prepared.clear();
        }
        self.open_batch = true;
        let unnamed = parse.name.is_empty();
        if !unnamed && let Some(twin) = self.client.statements.get(parse.name) {
            // A name that the client has given already: the database itself says so, of its own name for it.
            self.prepare(&twin, false);
            self.forward(&parse.named(twin.name.text().as_bytes()));
            self.owed.push_back(Owed::TakenName);
            return Ok(());
        }
        let statement = self.client.statements.insert(&parse, frame).ok_or(ClientError::TooManyStatements)?;
        if !unnamed && self.is_prepared(statement.name) {
            self.forward(&Target::Portal(NO_PORTAL).frame(b'C'));
            self.owed.push_back(Owed::KnownParse);
            return Ok(());
        }
        self.send_parse(Some(parse.name.to_vec()), statement, unnamed);
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
            self.send_parse(None, Arc::clone(statement), unnamed);
        }
    }

    fn is_prepared(&mut self, name: StatementName) -> bool {
        self.connection.uses += 1;
        let now = self.connection.uses;
        self.connection.prepared.get_mut(&name).map(|last_used| *last_used = now).is_some()
    }

    fn send_parse(&mut self, name: Option<Vec<u8>>, statement: Arc<Statement>, unnamed: bool) {
        if unnamed {
            self.connection.unnamed = Some(Arc::clone(&statement));
        } else {
            // What is forgotten here may still be known there; to close what is not is no error.
            self.forward(&Target::Statement(statement.name.text().as_bytes()).frame(b'C'));
            self.owed.push_back(Owed::Close { forwarded: false });
            self.connection.prepared.insert(statement.name, self.connection.uses);
        }
        self.forward(&statement.prepare(unnamed));
        self.owed.push_back(Owed::Parse { name, statement, unnamed });
        self.close_one_too_many();
    }

    fn close_one_too_many(&mut self) {
        if self.connection.prepared.len() <= CONNECTION_LIMIT {
            return;
        }
        let oldest = self.connection.prepared.iter().min_by_key(|(_, last_used)| **last_used).map(|(name, last_used)| (*name, *last_used));
        if let Some((name, last_used)) = oldest
            && last_used <= self.began_at_use
        {
            self.connection.prepared.remove(&name);
            self.forward(&Target::Statement(name.text().as_bytes()).frame(b'C'));
            self.owed.push_back(Owed::Close { forwarded: false });
        }
    }

    fn forward(&mut self, frame: &Frame) {
        self.connection.link.outbox.push(frame);
    }

    fn on_server_frame(&mut self, frame: Frame) {
        match frame.kind() {
            b'1' => {
                if let Some(Owed::Parse { name: None, .. }) = self.owed.pop_front() {
                    return;
                }
            }
            b'3' => match self.owed.pop_front() {
                Some(Owed::KnownParse) => return self.client.link.outbox.push(&Frame::new(b'1', b"")),
                Some(Owed::Close { forwarded: false }) => return,
                _ => {}
            },
            b'Z' => {
                self.in_transaction = frame.body() != b"I";
                // What was owed before it and did not come had failed, or was skipped after a failure.
                while let Some(owed) = self.owed.pop_front() {
                    match owed {
                        Owed::Ready => break,
                        Owed::Parse { name, statement, unnamed } => self.retract(name, &statement, unnamed),
                        Owed::TakenName | Owed::KnownParse | Owed::Close { .. } => {}
                    }
                }
            }
            b'E' => self.plans_spoilt |= ErrorFields::read(frame.body()).sqlstate == FEATURE_NOT_SUPPORTED,
            _ => {}
        }
        self.client.link.outbox.push(&frame);
    }

    /// A statement that the database did not take.
    fn retract(&mut self, name: Option<Vec<u8>>, statement: &Arc<Statement>, unnamed: bool) {
        if unnamed {
            self.connection.unnamed = None;
        } else {
            self.connection.prepared.remove(&statement.name);
        }
        if let Some(name) = name {
            self.client.statements.retract(&name, statement);
        }
    }
}

enum Step {
    Client(Result<Option<Frame>, FrameError>),
    Server(Result<Option<Frame>, FrameError>),
    Wrote(std::io::Result<()>),
}
