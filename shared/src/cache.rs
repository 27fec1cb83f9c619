//! The place where a sandbox keeps its one connection between invocations.
//!
//! Check-out moves the connection out; only [`Cache::give_back`] brings it back. So whatever cancels or fails an invocation drops the
//! connection with it, and no half-read answer can meet the next request. There is no pool, and nothing runs in the background: a task
//! would be frozen in the middle of what it does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sqlx::PgConnection;

/// Keeps at most one idle connection.
#[derive(Debug, Default)]
pub struct Cache {
    idle: Mutex<Option<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: PgConnection,
    since: SystemTime,
}

/// A connection that was checked out.
#[derive(Debug)]
pub struct CheckedOut {
    /// The connection, now the caller's alone.
    pub connection: PgConnection,
    /// Whether it was idle for so long that it has to be pinged before use.
    pub stale: bool,
}

impl Cache {
    /// Takes the connection out, if there is one. `max_idle` is judged by the wall clock, since the monotonic one may stand still in a
    /// freeze; a clock that went back says nothing about the age, so the connection counts as old.
    pub fn check_out(&self, now: SystemTime, max_idle: Duration) -> Option<CheckedOut> {
        let idle = self.lock().take()?;
        let stale = now.duration_since(idle.since).map_or(true, |age| age > max_idle);
        Some(CheckedOut { connection: idle.connection, stale })
    }

    /// Keeps a connection whose last use ended cleanly. One that is there already is dropped for it.
    pub fn give_back(&self, connection: PgConnection, now: SystemTime) {
        *self.lock() = Some(Idle { connection, since: now });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Idle>> {
        // Nothing can panic while the lock is held, and a moved Option is never half written.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
