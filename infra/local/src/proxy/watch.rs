//! Keeps what pinned, and says each thing once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::pins::{self, Finding, Reason, Verdict};

/// The most different texts that are remembered; past it all are forgotten and read anew.
const REMEMBERED: usize = 10_000;
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
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Reading a text costs a parse; nearly all were read before.
    read: HashMap<[u8; 32], Arc<[Finding]>>,
    pins: Vec<Pin>,
}

impl Watch {
    pub(super) fn new(sink: PinSink) -> Self {
        Self { sink, inner: Mutex::default() }
    }

    /// Looks at a text that a client sends, and reports what it has not reported yet.
    pub(super) fn observe(&self, application: &str, sql: &[u8]) -> Effect {
        let findings = self.findings(sql);
        for finding in &*findings {
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
        self.inner().pins.clone()
    }

    fn findings(&self, sql: &[u8]) -> Arc<[Finding]> {
        let digest = Sha256::digest(sql).into();
        if let Some(known) = self.inner().read.get(&digest) {
            return Arc::clone(known);
        }
        let findings: Arc<[Finding]> = pins::classify(&String::from_utf8_lossy(sql)).into();
        let mut inner = self.inner();
        if inner.read.len() >= REMEMBERED {
            inner.read.clear();
        }
        inner.read.insert(digest, Arc::clone(&findings));
        findings
    }

    fn keep(&self, pin: &Pin) -> bool {
        let mut inner = self.inner();
        let new = inner.pins.len() < KEPT && !inner.pins.contains(pin);
        if new {
            inner.pins.push(pin.clone());
        }
        new
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing can panic while the lock is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
