//! What the server still owes. It answers in order, so this tells which answer is which, and what a failure leaves undone.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::proxy::statements::{Statement, StatementName};

/// What was sent, until it is answered.
#[derive(Debug)]
pub(super) enum Owed {
    /// ParseComplete.
    Parse {
        /// The client's name; None where the statement was prepared behind its back.
        name: Option<Vec<u8>>,
        statement: Arc<Statement>,
        unnamed: bool,
        /// The client's unnamed statement before, which it still has if this is skipped.
        replaced: Option<Arc<Statement>>,
    },
    /// CloseComplete, which the client gets as ParseComplete: the statement was there already.
    KnownParse { name: Vec<u8>, statement: Arc<Statement> },
    /// An error: the client has given the name before.
    TakenName,
    /// CloseComplete, for the client or for nobody.
    Close {
        forwarded: bool,
        /// The name that the client has no more, unless this is not answered.
        closed: Option<(Vec<u8>, Arc<Statement>)>,
    },
    /// BindComplete.
    Bind,
    /// RowDescription or NoData.
    Describe,
    /// CommandComplete, EmptyQueryResponse or PortalSuspended.
    Execute,
    /// Nothing: the end of a COPY's data.
    CopyEnd,
    /// ReadyForQuery, after a simple query or a function call.
    Query {
        /// The client's unnamed statement, which it has no more unless this is skipped.
        unnamed: Option<Arc<Statement>>,
    },
    /// ReadyForQuery, whatever failed before.
    Sync,
}

impl Owed {
    /// Whether what follows it succeeds or fails by itself.
    fn ends_batch(&self) -> bool {
        matches!(self, Self::Query { .. } | Self::Sync)
    }

    /// Whether it decides what this name of the client's means, or whether this statement is on the database.
    fn decides(&self, name: &[u8], statement: Option<StatementName>) -> bool {
        let (own_name, own_statement) = match self {
            Self::Parse { name, statement, unnamed, .. } => (name.as_deref(), (!unnamed).then_some(statement.name)),
            Self::KnownParse { name, .. } | Self::Close { closed: Some((name, _)), .. } => (Some(&name[..]), None),
            Self::Query { unnamed: Some(_) } => (Some(&b""[..]), None),
            _ => (None, None),
        };
        own_name == Some(name) || own_statement.is_some() && own_statement == statement
    }
}

/// A queue of them.
#[derive(Debug, Default)]
pub(super) struct OwedAnswers {
    queue: VecDeque<Owed>,
}

impl OwedAnswers {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn push(&mut self, owed: Owed) {
        // The end of a COPY's data where there is none is nothing.
        if !matches!((&owed, self.queue.back()), (Owed::CopyEnd, None | Some(Owed::CopyEnd))) {
            self.queue.push_back(owed);
        }
    }

    pub(super) fn front(&self) -> Option<&Owed> {
        self.queue.front()
    }

    pub(super) fn pop(&mut self) -> Option<Owed> {
        let popped = self.queue.pop_front();
        while let Some(Owed::CopyEnd) = self.queue.front() {
            self.queue.pop_front();
        }
        popped
    }

    /// Whether a message about this name or statement has to wait: it would be another if what an earlier batch says of them failed.
    /// Within a batch it need not, because what follows a failure there is skipped.
    pub(super) fn is_undecided(&self, name: &[u8], statement: Option<StatementName>) -> bool {
        let mut ended = false;
        for owed in self.queue.iter().rev() {
            if owed.decides(name, statement) {
                return ended;
            }
            ended |= owed.ends_batch();
        }
        false
    }

    /// What is skipped because the first failed, the last first: all to the next Sync. The failed one stays first.
    pub(super) fn skip(&mut self) -> Vec<Owed> {
        let sync = self.queue.iter().position(|owed| matches!(owed, Owed::Sync));
        self.queue.drain(1..sync.unwrap_or(self.queue.len())).rev().collect()
    }

    /// The server began to take the data of a COPY for the first. It ignores each Sync until the data ends; true where one was.
    pub(super) fn begin_copy_in(&mut self) -> bool {
        let before = self.queue.len();
        while let Some(Owed::Sync) = self.queue.get(1) {
            self.queue.remove(1);
        }
        self.queue.len() < before
    }

    /// What follows the first and is consumed, as an error, by a COPY that a simple query began.
    pub(super) fn take_what_interrupts_copy(&mut self) -> Option<Owed> {
        match (self.queue.front(), self.queue.get(1)) {
            (Some(Owed::Query { .. }), Some(next)) if !matches!(next, Owed::CopyEnd) => self.queue.remove(1),
            _ => None,
        }
    }

    /// The data of a COPY was taken whole.
    pub(super) fn end_copy_in(&mut self) {
        if let Some(position) = self.queue.iter().position(|owed| matches!(owed, Owed::CopyEnd)) {
            self.queue.remove(position);
        }
    }

    /// Whether a whole batch is unanswered, after which a transaction may or may not be open.
    pub(super) fn holds_batch(&self) -> bool {
        self.queue.iter().any(Owed::ends_batch)
    }

    pub(super) fn holds_sync(&self) -> bool {
        self.queue.iter().any(|owed| matches!(owed, Owed::Sync))
    }
}
