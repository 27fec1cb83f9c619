//! Keeps what pinned, and says each thing once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::pins::{Finding, Reader, Reason, Verdict};

/// The most findings that are kept.
const KEPT: usize = 1_000;

/// A statement that pinned a session, or may in RDS Proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// The session's application name: a function.
    pub application: String,
    /// What pins, and why.
    #[serde(flatten)]
    pub finding: Finding,
}

/// Where they go.
pub type PinSink = Arc<dyn Fn(&Pin) + Send + Sync>;

/// What a text means for its session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// It keeps its database connection from now on.
    pub(super) pins: bool,
    /// The database connection may have lost its prepared statements.
    pub(super) forgets_statements: bool,
}

pub(super) struct Watch {
    sink: PinSink,
    reader: Reader,
    pins: Mutex<Vec<Pin>>,
}

impl Watch {
    pub(super) fn new(sink: PinSink) -> Self {
        Self { sink, reader: Reader::default(), pins: Mutex::default() }
    }

    /// Looks at a text that a client sends, and reports what it has not reported yet.
    pub(super) fn observe(&self, application: &str, sql: &[u8]) -> Effect {
        let findings = &self.reader.read(sql).findings;
        for finding in findings {
            let pin = Pin { application: application.to_owned(), finding: finding.clone() };
            if self.keep(&pin) {
                (self.sink)(&pin);
            }
        }
        Effect {
            pins: findings.iter().any(|finding| finding.verdict() == Verdict::Pins),
            forgets_statements: findings.iter().any(|finding| matches!(finding.reason, Reason::Discard | Reason::SqlPrepared)),
        }
    }

    pub(super) fn pins(&self) -> Vec<Pin> {
        self.kept().clone()
    }

    fn keep(&self, pin: &Pin) -> bool {
        let mut pins = self.kept();
        let new = pins.len() < KEPT && !pins.contains(pin);
        if new {
            pins.push(pin.clone());
        }
        new
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Pin>> {
        // Nothing can panic while the lock is held.
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
