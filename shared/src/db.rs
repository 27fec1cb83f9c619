//! The database, as a handler sees it: `db.read(deadline, &query)`.
//!
//! A function that uses this needs, where `DB_AUTH` is `password`, the password in its environment or file, and network access to the
//! database or its proxy. Nothing has to be flushed or released before the response.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};

use crate::config::Config;
use crate::connect::Postgres;
use crate::deadline::Deadline;
use crate::engine::{Engine, Limits, Work};
use crate::error::{AttemptError, Error};

/// Work for the database. It is a value and not a closure, so that it can run once per attempt, each time from the start.
pub trait Query: Sync {
    /// What the work gives.
    type Output: Send;

    /// Runs the work once. It must not keep anything from an earlier run.
    ///
    /// # Cancel safety
    /// It may be dropped at any await, at the end of an attempt or of the time for the answer; the connection goes with it.
    fn run(&self, connection: &mut PgConnection) -> impl Future<Output = Result<Self::Output, sqlx::Error>> + Send;
}

impl<Q: Query> Work<PgConnection> for Q {
    type Output = Q::Output;

    fn run(&self, connection: &mut PgConnection) -> impl Future<Output = Result<Self::Output, sqlx::Error>> + Send {
        Query::run(self, connection)
    }
}

/// The database behind the sandbox's connections: one, or as many as there may be invocations at once. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Db {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    engine: Engine<Postgres>,
}

impl Db {
    /// A database that connects when it is first used, with at most `config.concurrency` connections. `application` is what Postgres
    /// shows as the session's application name.
    #[must_use]
    pub fn new(config: Config, application: String) -> Self {
        let limits = Limits {
            connect: config.timeouts.connect,
            ping: config.timeouts.ping,
            attempt: config.timeouts.attempt,
            max_idle: config.max_idle,
            budget: config.budget,
            policy: config.retry,
        };
        let postgres = Postgres { database: config.database.clone(), application };
        let engine = Engine::new(postgres, limits, config.concurrency);
        Self { shared: Arc::new(Shared { config, engine }) }
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
    /// [`Error::Unavailable`] where no attempt succeeded in time, or at once while the breaker is open; [`Error::StatementTimeout`] where
    /// the server ended the statement; [`Error::Internal`] where the statement is wrong.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection that is in use; the next call connects again. On the server the statement runs on until
    /// its end or `statement_timeout`.
    pub async fn read<Q: Query>(&self, deadline: Deadline, query: &Q) -> Result<Q::Output, Error> {
        self.shared.engine.run(deadline, query, fastrand::Rng::new()).await
    }

    /// Runs a query once, without recovery, within `timeout` for connecting and running together: for health, which must tell what is.
    ///
    /// # Errors
    /// The failure of the attempt.
    ///
    /// # Cancel safety
    /// As [`Db::read`].
    pub async fn probe<Q: Query>(&self, timeout: Duration, query: &Q) -> Result<Q::Output, AttemptError> {
        self.shared.engine.probe(timeout, query).await
    }

    /// Opens a connection for later, and never fails: during init a database that is down must not stop the function.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the cache as it was.
    pub async fn warm(&self) {
        if let Err(error) = self.shared.engine.warm().await {
            tracing::warn!(sqlstate = error.sqlstate(), "no connection during init, so the first request connects: {}", error.chain());
        }
    }

    /// Closes the idle connections politely, for the end of the sandbox.
    ///
    /// # Cancel safety
    /// Dropping the future closes the sockets without the Terminate message.
    pub async fn close(&self) {
        for connection in self.shared.engine.invalidate() {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "the connection was gone before it was closed");
            }
        }
    }
}
