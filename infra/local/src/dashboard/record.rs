//! What happened of late, second by second. Everything is bounded: old seconds and lines go as new ones come.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use super::clock::now_ms;
use super::latencies::Latencies;
use crate::sandbox::{Condition, LogEntry, LogLine, SandboxReport};

/// How many seconds are kept.
pub(crate) const SECONDS: usize = 300;
/// How many lines are kept.
pub(crate) const LINES: usize = 200;
/// The most characters of a line that are kept.
pub(crate) const LINE_CHARS: usize = 1_000;

/// Since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Totals {
    /// Requests that the API answered, or that were given up by their client.
    pub(crate) requests: u64,
    /// Answered with 4xx: the request was wrong.
    pub(crate) refused: u64,
    /// Answered with 5xx.
    pub(crate) failed: u64,
    /// Given up by the client.
    pub(crate) left: u64,
    /// Statements that were sent again.
    pub(crate) resends: u64,
    /// Connections that were made anew.
    pub(crate) reconnects: u64,
}

impl Totals {
    fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests - earlier.requests,
            refused: self.refused - earlier.refused,
            failed: self.failed - earlier.failed,
            left: self.left - earlier.left,
            resends: self.resends - earlier.resends,
            reconnects: self.reconnects - earlier.reconnects,
        }
    }
}

/// What stands at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Standing {
    /// Sandboxes that start or run their first invocation.
    pub(crate) cold: usize,
    /// Sandboxes that run an invocation and have served before, or wait for one unfrozen.
    pub(crate) warm: usize,
    /// Sandboxes that are stopped.
    pub(crate) frozen: usize,
    /// Clients of the stand-in for RDS Proxy.
    pub(crate) clients: usize,
    /// Database connections that a client has.
    pub(crate) borrowed: usize,
    /// Database connections that nobody has.
    pub(crate) idle: usize,
    /// The drill that runs.
    pub(crate) drill: Option<&'static str>,
}

impl Standing {
    /// Counts sandboxes by their condition.
    pub(crate) fn with_sandboxes(mut self, sandboxes: &[SandboxReport]) -> Self {
        for sandbox in sandboxes {
            match sandbox.condition {
                Condition::Cold => self.cold += 1,
                Condition::Warm | Condition::Idle => self.warm += 1,
                Condition::Frozen => self.frozen += 1,
                Condition::Ended => {}
            }
        }
        self
    }
}

/// One second that is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Second {
    /// Counts from 1.
    pub(crate) number: u64,
    /// When it ended, since 1970.
    pub(crate) ended_ms: u64,
    #[serde(flatten)]
    pub(crate) counts: Totals,
    /// None where no request ended.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    #[serde(flatten)]
    pub(crate) standing: Standing,
}

/// One line of a function's log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Line {
    /// Counts from 1.
    pub(crate) number: u64,
    /// When it came, since 1970.
    pub(crate) at_ms: u64,
    pub(crate) function: String,
    /// Empty for a line that is not of `shared::telemetry`.
    pub(crate) level: String,
    pub(crate) text: String,
}

/// Keeps what happened of late.
#[derive(Default)]
pub(crate) struct Record {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    totals: Totals,
    before: Totals,
    latencies: Latencies,
    seconds: VecDeque<Second>,
    lines: VecDeque<Line>,
    lines_seen: u64,
    seconds_seen: u64,
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing can panic while the lock is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request to the API has ended; None: its client left.
    pub(crate) fn request(&self, status: Option<StatusCode>, took: Duration) {
        let mut inner = self.lock();
        inner.totals.requests += 1;
        match status {
            None => inner.totals.left += 1,
            Some(status) if status.is_server_error() => inner.totals.failed += 1,
            Some(status) if status.is_client_error() => inner.totals.refused += 1,
            Some(_) => {}
        }
        inner.latencies.add(took);
    }

    /// A function has written a line.
    pub(crate) fn line(&self, line: &LogLine) {
        let entry = LogEntry::of(line);
        let (level, text) = match &entry {
            Some(entry) => (entry.level.clone(), entry.to_string()),
            None => (String::new(), line.text.clone()),
        };
        let mut inner = self.lock();
        if let Some(entry) = &entry {
            inner.totals.resends += u64::from(entry.resends.unwrap_or_default());
            inner.totals.reconnects += u64::from(entry.reconnects.unwrap_or_default());
        }
        inner.lines_seen += 1;
        let text = shorten(text);
        let kept = Line { number: inner.lines_seen, at_ms: now_ms(), function: line.function.clone(), level, text };
        push(&mut inner.lines, kept, LINES);
    }

    /// A second is over, and this stands at its end.
    pub(crate) fn end_second(&self, standing: Standing) {
        let mut inner = self.lock();
        let (p50_ms, p99_ms) = inner.latencies.take();
        inner.seconds_seen += 1;
        let counts = inner.totals.since(inner.before);
        inner.before = inner.totals;
        let second = Second { number: inner.seconds_seen, ended_ms: now_ms(), counts, p50_ms, p99_ms, standing };
        push(&mut inner.seconds, second, SECONDS);
    }

    pub(crate) fn totals(&self) -> Totals {
        self.lock().totals
    }

    /// The seconds after this one that are still known.
    pub(crate) fn seconds_after(&self, number: u64) -> Vec<Second> {
        self.lock().seconds.iter().filter(|second| second.number > number).cloned().collect()
    }

    /// The lines after this one that are still known.
    pub(crate) fn lines_after(&self, number: u64) -> Vec<Line> {
        self.lock().lines.iter().filter(|line| line.number > number).cloned().collect()
    }
}

fn push<T>(ring: &mut VecDeque<T>, item: T, limit: usize) {
    if ring.len() == limit {
        ring.pop_front();
    }
    ring.push_back(item);
}

fn shorten(text: String) -> String {
    match text.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
