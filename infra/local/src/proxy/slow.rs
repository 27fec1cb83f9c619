//! The statements that took long of late.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::statements::Statement;
use crate::pins::shorten;

/// From here on a statement is slow.
const SLOW: Duration = Duration::from_millis(100);
/// The most that are kept; the oldest goes first.
const KEPT: usize = 50;
/// A text is shortened to some characters, so no more of it is looked at.
const READ_BYTES: usize = 8 * 1_024;

/// A statement that took long, from its first message to the last answer that the client took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlowStatement {
    /// When it ended, in milliseconds since 1970.
    pub at_ms: u64,
    /// The session's application name: a function.
    pub application: String,
    /// The text on one line, shortened. Of a transaction with several it is the last one.
    pub statement: String,
    /// How long the database connection was with the client for it.
    pub took_ms: u64,
}

/// What a client asked for last.
pub(super) enum Asked {
    /// A simple query.
    Text(Box<[u8]>),
    Prepared(Arc<Statement>),
}

impl Asked {
    pub(super) fn text(sql: &[u8]) -> Self {
        Self::Text(start(sql).into())
    }

    fn sql(&self) -> &[u8] {
        match self {
            Self::Text(sql) => sql,
            Self::Prepared(statement) => start(statement.sql()),
        }
    }
}

fn start(sql: &[u8]) -> &[u8] {
    sql.get(..READ_BYTES).unwrap_or(sql)
}

#[derive(Default)]
pub(super) struct SlowStatements(Mutex<VecDeque<SlowStatement>>);

impl SlowStatements {
    /// Notes one, if it took long.
    pub(super) fn note(&self, application: &str, asked: &Asked, took: Duration) {
        if took < SLOW {
            return;
        }
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let slow = SlowStatement {
            at_ms: milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            application: application.to_owned(),
            statement: shorten(&String::from_utf8_lossy(asked.sql())),
            took_ms: milliseconds(took),
        };
        let mut kept = self.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(slow);
    }

    /// The oldest first.
    pub(super) fn list(&self) -> Vec<SlowStatement> {
        self.kept().iter().cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<SlowStatement>> {
        // Nothing can panic while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_kept_shortened_up_to_a_number_and_the_newest_stay() {
        let slow = SlowStatements::default();
        slow.note("f", &Asked::text(b"select 1"), SLOW - Duration::from_millis(1));
        assert_eq!(slow.list(), []);
        for number in 0..KEPT + 5 {
            slow.note("f", &Asked::text(format!("select\n {number}").as_bytes()), SLOW);
        }
        let list = slow.list();
        assert_eq!((list.len(), list[0].statement.as_str(), list[0].took_ms), (KEPT, "select 5", 100));
        slow.note("f", &Asked::text("é".repeat(READ_BYTES).as_bytes()), SLOW);
        assert!(slow.list().last().is_some_and(|last| last.statement.starts_with("éé") && last.statement.ends_with('…')));
    }
}
