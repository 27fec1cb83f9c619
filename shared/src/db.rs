//! The database, as a handler sees it: `db.read(deadline, &query)`.
//!
//! A function that uses this needs, where `DB_AUTH` is `password`, the password in its environment or file, and network access to the
//! database or its proxy. Nothing has to be flushed or released before the response.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sqlx::{Connection, PgConnection};

use crate::cache::Cache;
use crate::config::Config;
use crate::connect::connect;
use crate::deadline::Deadline;
use crate::error::{AttemptError, Error};
use crate::recovery::Recovery;
use crate::retry::{Decision, Failure, Retry};

/// Work for the database. It is a value and not a closure, so that it can run once per attempt, each time from the start.
pub trait Query: Sync {
    /// What the work gives.
    type Output: Send;

    /// Runs the work once. It must not keep anything from an earlier run.
    fn run(&self, connection: &mut PgConnection) -> impl Future<Output = Result<Self::Output, sqlx::Error>> + Send;
}

/// The database behind the sandbox's one connection. Cloning shares the connection.
#[derive(Debug, Clone)]
pub struct Db {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    application: String,
    cache: Cache,
}

impl Db {
    /// A database that connects when it is first used. `application` is what Postgres shows as the session's application name.
    #[must_use]
    pub fn new(config: Config, application: String) -> Self {
        Self { shared: Arc::new(Shared { config, application, cache: Cache::default() }) }
    }

    /// The configuration that this database was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Runs a query that changes nothing, as often as policy and deadline allow until one attempt succeeds.
    ///
    /// On a warm sandbox this costs one round trip; one more after `DB_MAX_IDLE_MS` of idleness.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where no attempt succeeded in time, [`Error::StatementTimeout`] where the server ended the statement,
    /// [`Error::Internal`] where the statement is wrong.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection that is in use; the next call connects again. On the server the statement runs on until
    /// its end or `statement_timeout`.
    pub async fn read<Q: Query>(&self, deadline: Deadline, query: &Q) -> Result<Q::Output, Error> {
        let mut retry = Retry::new(self.shared.config.retry, fastrand::Rng::new());
        let mut last = None;
        loop {
            let remaining = deadline.remaining(Instant::now());
            if remaining.is_zero() {
                return Err(give_up(&retry, last));
            }
            let error = match self.attempt(query, remaining).await {
                Ok(output) => return Ok(output),
                Err(error) => error,
            };
            let failure = failure(&error);
            let decision = retry.after(failure, deadline.remaining(Instant::now()));
            tracing::debug!(%error, ?failure, ?decision, "an attempt failed");
            match (decision, failure) {
                (Decision::Again(delay), _) => {
                    last = Some(error);
                    tokio::time::sleep(delay).await;
                }
                (Decision::GiveUp, Failure::Work(Recovery::Fail)) => return Err(verdict(error)),
                (Decision::GiveUp, _) => return Err(give_up(&retry, Some(error))),
            }
        }
    }

    /// Runs a query once, without recovery, within `timeout` for connecting and running together: for health, which must tell what is.
    ///
    /// # Errors
    /// The failure of the attempt.
    ///
    /// # Cancel safety
    /// As [`Db::read`].
    pub async fn probe<Q: Query>(&self, timeout: Duration, query: &Q) -> Result<Q::Output, AttemptError> {
        let silent = |_| AttemptError::WorkTimeout { timeout_ms: timeout.as_millis() };
        tokio::time::timeout(timeout, self.attempt(query, timeout)).await.map_err(silent)?
    }

    /// Connects if there is no connection yet, and never fails: during init a database that is down must not stop the function.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the cache as it was.
    pub async fn warm(&self) {
        match connect(&self.shared.config.database, &self.shared.application, self.shared.config.timeouts.connect).await {
            Ok(connection) => self.shared.cache.give_back(connection, SystemTime::now()),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "no connection during init; the first request connects"),
        }
    }

    /// Closes the connection politely, for the end of the sandbox.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket without the Terminate message.
    pub async fn close(&self) {
        if let Some(checked_out) = self.shared.cache.check_out(SystemTime::now(), Duration::MAX)
            && let Err(error) = checked_out.connection.close().await
        {
            tracing::debug!(%error, "the connection was gone before it was closed");
        }
    }

    /// One attempt: a connection, then the work. The connection goes back into the cache only after a clean end.
    async fn attempt<Q: Query>(&self, query: &Q, remaining: Duration) -> Result<Q::Output, AttemptError> {
        let began = Instant::now();
        let mut connection = self.connection(remaining).await?;
        let timeout = self.shared.config.timeouts.attempt.min(remaining.saturating_sub(began.elapsed()));
        let output = match tokio::time::timeout(timeout, query.run(&mut connection)).await {
            Ok(result) => result.map_err(AttemptError::Work)?,
            Err(_) => return Err(AttemptError::WorkTimeout { timeout_ms: timeout.as_millis() }),
        };
        self.shared.cache.give_back(connection, SystemTime::now());
        Ok(output)
    }

    /// The cached connection if it is to be trusted, else a new one.
    async fn connection(&self, remaining: Duration) -> Result<PgConnection, AttemptError> {
        let config = &self.shared.config;
        if let Some(mut checked_out) = self.shared.cache.check_out(SystemTime::now(), config.max_idle) {
            if !checked_out.stale {
                return Ok(checked_out.connection);
            }
            let ping = tokio::time::timeout(config.timeouts.ping.min(remaining), checked_out.connection.ping());
            if let Ok(Ok(())) = ping.await {
                return Ok(checked_out.connection);
            }
            tracing::info!("the connection did not outlive its idleness; connecting again");
        }
        connect(&config.database, &self.shared.application, config.timeouts.connect.min(remaining)).await
    }
}

fn failure(error: &AttemptError) -> Failure {
    match error {
        AttemptError::ConnectTimeout { .. } | AttemptError::Credentials(_) => Failure::Connect(Recovery::Reconnect),
        AttemptError::Connect(error) => Failure::Connect(Recovery::of_connect(error)),
        AttemptError::WorkTimeout { .. } => Failure::Work(Recovery::Reconnect),
        AttemptError::Work(error) => Failure::Work(Recovery::of_work(error)),
    }
}

/// SQLSTATE query_canceled: the server ended the statement, by statement_timeout.
const QUERY_CANCELED: &str = "57014";

fn verdict(error: AttemptError) -> Error {
    match error {
        AttemptError::Work(error) if error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some(QUERY_CANCELED) => {
            Error::StatementTimeout(error)
        }
        AttemptError::Work(error) => Error::Internal(Box::new(error)),
        other => Error::Internal(Box::new(other)),
    }
}

fn give_up(retry: &Retry, source: Option<AttemptError>) -> Error {
    Error::Unavailable { resends: retry.resends(), reconnects: retry.reconnects(), source }
}
