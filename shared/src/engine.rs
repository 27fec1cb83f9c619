//! The loop around every piece of work: check out or connect, run, and after a failure decide. It knows no database: what connects is a
//! [`Connector`], so that the simulation in its tests runs this very code under a paused clock.

mod attempt;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use attempt::{Marks, Opened};

use crate::allowance::Allowance;
use crate::breaker::{Admission, Breaker};
use crate::cache::Cache;
use crate::deadline::Deadline;
use crate::error::{AttemptError, Error};
use crate::recovery::Recovery;
use crate::retry::{Decision, Failure, Policy, Retry};
use crate::tally::{Counts, Tally};

/// What opens connections and checks them.
pub(crate) trait Connector: Send + Sync {
    /// A connection. Dropping it closes it.
    type Connection: Send;

    /// Opens a connection. The engine bounds the time.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, AttemptError>> + Send;

    /// Whether the connection still answers. The engine bounds the time.
    fn ping(&self, connection: &mut Self::Connection) -> impl Future<Output = bool> + Send;

    /// The server refused the credentials: whether others can be had for another try.
    fn renew_credentials(&self) -> bool;

    /// The wall clock.
    fn wall_clock(&self) -> SystemTime;
}

/// Work on a connection, which can run once per attempt, each time from the start.
pub(crate) trait Work<C>: Sync {
    /// What the work gives.
    type Output: Send;

    /// Runs the work once.
    fn run(&self, connection: &mut C) -> impl Future<Output = Result<Self::Output, sqlx::Error>> + Send;
}

/// Bounds of one operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bound of one connect.
    pub(crate) connect: Duration,
    /// Bound of the ping after long idleness.
    pub(crate) ping: Duration,
    /// Bound of one sending of the work.
    pub(crate) attempt: Duration,
    /// Idleness by wall clock after which a check-out pings.
    pub(crate) max_idle: Duration,
    /// What a whole operation may take where its deadline allows it.
    pub(crate) budget: Duration,
    /// How work is repeated.
    pub(crate) policy: Policy,
}

/// Connections and what protects the database, for one sandbox.
#[derive(Debug)]
pub(crate) struct Engine<C: Connector> {
    connector: C,
    limits: Limits,
    cache: Cache<Opened<C::Connection>>,
    protection: Mutex<Protection>,
}

#[derive(Debug)]
struct Protection {
    breaker: Breaker,
    allowance: Allowance,
}

/// How far one operation has come.
struct Progress {
    retry: Retry,
    began: Instant,
    admission: Admission,
    marks: Marks,
    /// The last attempt was on a connection that it had opened.
    fresh: bool,
    /// A proxy said that it has none.
    without_database: bool,
    renewed: bool,
}

impl<C: Connector> Engine<C> {
    /// An engine for at most `concurrency` operations at once, which keeps as many idle connections.
    pub(crate) fn new(connector: C, limits: Limits, concurrency: usize) -> Self {
        let protection = Protection { breaker: Breaker::default(), allowance: Allowance::new(concurrency) };
        Self { connector, limits, cache: Cache::new(concurrency), protection: Mutex::new(protection) }
    }

    /// Runs work that may run more than once, until an attempt succeeds, the policy or the allowance is used up, or time is. What it cost
    /// is added to `tally`.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::StatementTimeout`] or [`Error::Internal`].
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection that is in use.
    pub(crate) async fn run<W: Work<C::Connection>>(
        &self,
        deadline: Deadline,
        work: &W,
        random: fastrand::Rng,
        tally: &Tally,
    ) -> Result<W::Output, Error> {
        // Who has no time to ask must not be the one who asks for the others.
        let has_time = deadline.remaining(now()) > self.limits.policy.reconnect_floor;
        let admission = if has_time { self.protection().breaker.admit(self.connector.wall_clock()) } else { Admission::Refused };
        let retry = Retry::new(self.limits.policy, random);
        let mut progress =
            Progress { retry, began: now(), admission, marks: Marks::default(), fresh: false, without_database: false, renewed: false };
        if admission == Admission::Refused {
            tally.add(Counts { refused: u32::from(has_time), ..Counts::default() });
            return Err(progress.unavailable(None));
        }
        let result = self.repeat(deadline, work, &mut progress).await;
        tally.add(progress.counts());
        result
    }

    /// The attempts of one operation, until one succeeds or there is no other.
    async fn repeat<W: Work<C::Connection>>(&self, deadline: Deadline, work: &W, progress: &mut Progress) -> Result<W::Output, Error> {
        let mut last = None;
        loop {
            let remaining = deadline.remaining(now());
            // Less than this no attempt is worth beginning with.
            if remaining <= self.limits.policy.reconnect_floor {
                return Err(self.out_of_time(progress, last));
            }
            let connects_before = progress.marks.connects;
            let error = match self.attempt(work, remaining, self.limits.max_idle, &mut progress.marks).await {
                Ok(output) => {
                    // Also on a connection that was there: while others wait for a new one, the database is.
                    self.protection().breaker.connected();
                    if progress.retry.resends() == 0 {
                        self.protection().allowance.earn();
                    }
                    return Ok(output);
                }
                Err(error) => error,
            };
            progress.fresh = progress.marks.connects > connects_before;
            // An answer of the database. A connection alone says nothing: a proxy signs in whoever asks, and may have none.
            if matches!(error, AttemptError::Work(_)) && error.sqlstate().is_some() && !error.is_without_database() {
                self.protection().breaker.connected();
            }
            if error.failure() == Failure::Work(Recovery::Reconnect) {
                self.cache.distrust();
            }
            // Until a database says something else.
            progress.without_database = error.is_without_database() || progress.without_database && !matches!(error, AttemptError::Work(_));
            match self.decide(&error, progress, deadline) {
                Next::Again(delay) => {
                    tracing::debug!(%error, ?delay, "an attempt failed");
                    last = Some(error);
                    tokio::time::sleep(delay).await;
                }
                Next::OutOfTime => return Err(self.out_of_time(progress, Some(error))),
                Next::GiveUp => return Err(verdict(error, progress)),
            }
        }
    }

    /// Takes out all idle connections.
    pub(crate) fn invalidate(&self) -> Vec<C::Connection> {
        self.cache.invalidate().into_iter().map(|opened| opened.connection).collect()
    }

    fn decide(&self, error: &AttemptError, progress: &mut Progress, deadline: Deadline) -> Next {
        let failure = error.failure();
        // A rotated password or an expired token: other credentials, once.
        if error.is_refused_sign_in() && !progress.renewed && self.connector.renew_credentials() {
            progress.renewed = true;
            return Next::Again(self.limits.policy.reconnect_floor);
        }
        // A server that refuses the work was reached, which is what a probe is to find out.
        let reached = matches!(error, AttemptError::Work(_)) && !error.is_without_database();
        if matches!(failure, Failure::Connect(_)) && !reached && progress.admission == Admission::Probe {
            return Next::OutOfTime;
        }
        match progress.retry.after(failure, deadline.remaining(now())) {
            Decision::Again(_) if matches!(failure, Failure::Work(_)) && !self.protection().allowance.spend() => {
                progress.retry.withdraw_resend();
                Next::GiveUp
            }
            Decision::Again(delay) => Next::Again(delay),
            Decision::GiveUp if matches!(failure, Failure::Connect(Recovery::Reconnect | Recovery::Retry)) => Next::OutOfTime,
            // The last wait for the proxy was cut short by the budget.
            Decision::GiveUp if progress.without_database => Next::OutOfTime,
            Decision::GiveUp => Next::GiveUp,
        }
    }

    /// The answer after time ran out, which may open the breaker: after a probe, or a whole budget, without a connection.
    fn out_of_time(&self, progress: &Progress, last: Option<AttemptError>) -> Error {
        // The last wait may not have fitted in any more.
        let spent = now() - progress.began + self.limits.policy.max_delay;
        let reached = progress.marks.connects > 0 && !progress.without_database;
        if !reached && (progress.admission == Admission::Probe || spent >= self.limits.budget) {
            self.protection().breaker.not_connected(self.connector.wall_clock());
        }
        progress.unavailable(last)
    }

    fn protection(&self) -> MutexGuard<'_, Protection> {
        // Nothing can panic while the lock is held.
        self.protection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next {
    Again(Duration),
    GiveUp,
    OutOfTime,
}

impl Progress {
    fn counts(&self) -> Counts {
        Counts { resends: self.retry.resends(), reconnects: self.retry.reconnects(), connects: self.marks.connects, refused: 0 }
    }

    fn unavailable(&self, source: Option<AttemptError>) -> Error {
        Error::Unavailable { resends: self.retry.resends(), reconnects: self.retry.reconnects(), source }
    }
}

/// SQLSTATE query_canceled: the server ended the statement, by statement_timeout.
const QUERY_CANCELED: &str = "57014";

/// SQLSTATE feature_not_supported: a plan that a migration spoilt, or a statement that is wrong.
const FEATURE_NOT_SUPPORTED: &str = "0A000";

/// The answer to an error after which nothing is tried again.
fn verdict(error: AttemptError, progress: &Progress) -> Error {
    let code = error.sqlstate();
    match error {
        AttemptError::Work(error) if code.as_deref() == Some(QUERY_CANCELED) => Error::StatementTimeout(error),
        // A connection just opened has no plan of ours that could be spoilt.
        AttemptError::Work(error) if code.as_deref() == Some(FEATURE_NOT_SUPPORTED) && progress.fresh => Error::Internal(Box::new(error)),
        AttemptError::Work(error) if Recovery::of_work(&error) == Recovery::Fail => Error::Internal(Box::new(error)),
        other => progress.unavailable(Some(other)),
    }
}

/// The monotonic clock, as tokio's timers see it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#[path = "simulation/mod.rs"]
mod simulation;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#[path = "engine_tests.rs"]
mod tests;
