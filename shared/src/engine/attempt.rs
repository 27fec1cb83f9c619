//! One attempt: a connection, by whatever way it is had, and then the work. It goes back into the cache only after a clean end.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;

use super::{Connector, Engine, Work, now};
use crate::cache::Moment;
use crate::error::AttemptError;
use crate::probe::Probed;
use crate::recovery::Recovery;

/// A connection, and when it was opened by the wall clock.
#[derive(Debug)]
pub(super) struct Opened<C> {
    pub(super) connection: C,
    at: SystemTime,
}

/// What the attempts of one operation have met.
#[derive(Default)]
pub(super) struct Marks {
    /// How often a connection came about.
    pub(super) connects: u32,
    /// Work panicked once.
    panicked: bool,
    /// How the last attempt came by its connection.
    readied: Option<Readied>,
}

/// How an attempt came by its connection.
#[derive(Clone, Copy)]
struct Readied {
    reused: bool,
    took: Duration,
    opened: SystemTime,
}

impl<C: Connector> Engine<C> {
    /// Runs work once, past recovery and breaker, within `timeout` for connecting and running together. A cached connection is pinged
    /// first, however young it is: that it died says nothing about the database.
    ///
    /// # Errors
    /// The failure of the attempt.
    ///
    /// # Cancel safety
    /// As [`Engine::run`].
    pub(crate) async fn probe<W: Work<C::Connection>>(&self, timeout: Duration, work: &W) -> Result<Probed<W::Output>, AttemptError> {
        let (began, mut marks) = (now(), Marks::default());
        let silent = |_| AttemptError::WorkTimeout { timeout_ms: timeout.as_millis() };
        let output = tokio::time::timeout(timeout, self.attempt(work, timeout, Duration::ZERO, &mut marks)).await.map_err(silent)??;
        let readied = marks.readied.unwrap_or(Readied { reused: false, took: Duration::ZERO, opened: self.connector.wall_clock() });
        Ok(Probed {
            output,
            reused: readied.reused,
            connect: readied.took,
            work: (now() - began).saturating_sub(readied.took),
            age: self.connector.wall_clock().duration_since(readied.opened).unwrap_or_default(),
        })
    }

    /// Opens a connection for later.
    ///
    /// # Errors
    /// The failure of the connect.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the cache as it was.
    pub(crate) async fn warm(&self) -> Result<(), AttemptError> {
        let opened = self.connect(self.limits.connect).await?;
        self.cache.give_back(opened, self.moment());
        Ok(())
    }

    /// One attempt: a connection, then the work. The connection goes back into the cache only after a clean end.
    pub(super) async fn attempt<W: Work<C::Connection>>(
        &self,
        work: &W,
        remaining: Duration,
        max_idle: Duration,
        marks: &mut Marks,
    ) -> Result<W::Output, AttemptError> {
        let began = now();
        let mut opened = self.connection(remaining, max_idle, marks).await?;
        let left = remaining.saturating_sub(now() - began);
        if left <= self.limits.policy.reconnect_floor {
            // Connecting took all: work that cannot end is not begun, and the next one has a connection.
            self.cache.give_back(opened, self.moment());
            return Err(AttemptError::ConnectTimeout { timeout_ms: remaining.as_millis() });
        }
        let timeout = self.limits.attempt.min(left);
        let caught = AssertUnwindSafe(work.run(&mut opened.connection)).catch_unwind();
        let result = match tokio::time::timeout(timeout, caught).await {
            Err(_) => return Err(AttemptError::WorkTimeout { timeout_ms: timeout.as_millis() }),
            Ok(Ok(result)) => result,
            // The driver panics at some malformed messages. A second time it is the work's own fault.
            Ok(Err(panic)) if std::mem::replace(&mut marks.panicked, true) => std::panic::resume_unwind(panic),
            Ok(Err(_)) => Err(sqlx::Error::WorkerCrashed),
        };
        // After a rollback that the server told of, the connection is sound too.
        if result.as_ref().err().is_none_or(|error| Recovery::of_work(error) == Recovery::Retry) {
            self.cache.give_back(opened, self.moment());
        }
        result.map_err(AttemptError::Work)
    }

    /// The cached connection if it is to be trusted, else a new one.
    async fn connection(&self, remaining: Duration, max_idle: Duration, marks: &mut Marks) -> Result<Opened<C::Connection>, AttemptError> {
        let began = now();
        let mut readied = |reused, opened| marks.readied = Some(Readied { reused, took: now() - began, opened });
        if let Some(mut checked_out) = self.cache.check_out(self.moment(), max_idle) {
            if !checked_out.stale || self.answers(&mut checked_out.connection.connection, self.limits.ping.min(remaining)).await {
                readied(true, checked_out.connection.at);
                return Ok(checked_out.connection);
            }
            tracing::info!("the connection did not outlive its idleness; connecting again");
        }
        let opened = self.connect(self.limits.connect.min(remaining.saturating_sub(now() - began))).await?;
        readied(false, opened.at);
        marks.connects += 1;
        Ok(opened)
    }

    async fn answers(&self, connection: &mut C::Connection, timeout: Duration) -> bool {
        let ping = AssertUnwindSafe(self.connector.ping(connection)).catch_unwind();
        matches!(tokio::time::timeout(timeout, ping).await, Ok(Ok(true)))
    }

    async fn connect(&self, timeout: Duration) -> Result<Opened<C::Connection>, AttemptError> {
        match tokio::time::timeout(timeout, AssertUnwindSafe(self.connector.connect()).catch_unwind()).await {
            Ok(Ok(connected)) => connected.map(|connection| Opened { connection, at: self.connector.wall_clock() }),
            Ok(Err(_)) => Err(AttemptError::Connect(sqlx::Error::WorkerCrashed)),
            Err(_) => Err(AttemptError::ConnectTimeout { timeout_ms: timeout.as_millis() }),
        }
    }

    fn moment(&self) -> Moment {
        Moment { wall: self.connector.wall_clock(), monotonic: now() }
    }
}
