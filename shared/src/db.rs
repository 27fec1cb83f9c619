//! The database, as a handler sees it: `db.read(deadline, &query)` and `db.write(deadline, &key, &write)`.
//!
//! A function that uses this needs network access to the database or its proxy, and the right to sign in: where `DB_AUTH` is `iam`, a role
//! with `rds-db:connect` on the proxy's resource as this user; where it is `password`, the password in its environment or file. Nothing has
//! to be flushed or released before the response.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sqlx::{Connection, PgConnection};

use crate::config::Config;
use crate::connect::Postgres;
use crate::deadline::Deadline;
use crate::engine::{Engine, Limits, Work};
use crate::error::{AttemptError, Error};
use crate::key::Key;
use crate::probe::Probed;
use crate::tally::{Counts, Tally};

/// Bound of saying Terminate on all connections.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// Work that changes nothing. It is a value and not a closure, so that it can run once per attempt, each time from the start.
pub trait Query: Sync {
    /// What the work gives.
    type Output: Send;

    /// Runs the work once. It must not keep anything from an earlier run.
    ///
    /// # Cancel safety
    /// It may be dropped at any await, at the end of an attempt or of the time for the answer; the connection goes with it.
    fn run(&self, connection: &mut PgConnection) -> impl Future<Output = Result<Self::Output, sqlx::Error>> + Send;
}

/// Work that changes something, once for each key however often it runs.
///
/// A connection can break after the commit and before its answer, and nobody knows then whether the write is in. So it runs again, and it is
/// the implementor who sees to it that this is safe:
///
/// - The row of the key is inserted in the transaction of the effect, and holds what the answer needs. One statement that does both is a
///   transaction by itself, and costs one round trip.
/// - Where the key is there already, nothing is changed and the answer is that of the first time. `on conflict do nothing` waits until a
///   first one that still runs has ended, so its row is there afterwards or it has left no trace; a row that is merely not found says
///   nothing. The row is therefore read by a second statement, after an insert that gave no row.
///
/// ```sql
/// with keyed as (insert into keys (principal, key, answer) values ($1, $2, …) on conflict do nothing returning answer),
///      effect as (insert into purchases … select … from keyed)
/// select answer from keyed
/// ```
///
/// Several statements that belong together stand in a transaction of sqlx, whose `BEGIN` may set the isolation (`begin_with`). An error inside
/// it is returned, never turned into an answer: Postgres answers the `COMMIT` of a failed transaction by rolling it back, and sqlx reports
/// that as success. Use `on conflict` where a conflict is expected.
pub trait KeyedWrite: Sync {
    /// What the work gives, the first time and every time after.
    type Output: Send;

    /// Runs the work once under `key`. It must not keep anything from an earlier run.
    ///
    /// # Cancel safety
    /// As [`Query::run`]. What was sent may still be committed afterwards: the key tells.
    fn run(&self, key: &Key, connection: &mut PgConnection) -> impl Future<Output = Result<Self::Output, sqlx::Error>> + Send;
}

/// A query, as the engine runs it.
struct Read<'a, Q>(&'a Q);

impl<Q: Query> Work<PgConnection> for Read<'_, Q> {
    type Output = Q::Output;

    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        let result = self.0.run(connection).await;
        settle(connection, result).await
    }
}

/// A write and its key, as the engine runs them: every attempt has the same key.
struct Keyed<'a, W> {
    key: &'a Key,
    write: &'a W,
}

impl<W: KeyedWrite> Work<PgConnection> for Keyed<'_, W> {
    type Output = W::Output;

    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        let result = self.write.run(self.key, connection).await;
        settle(connection, result).await
    }
}

/// A transaction that work opened and left.
#[derive(Debug, thiserror::Error)]
#[error("the work ended well and left a transaction without COMMIT: it is rolled back")]
struct Uncommitted;

/// Ends what the work left open. sqlx rolls a dropped transaction back only when the connection is used again, which may be after a
/// freeze; until then the server would keep it.
async fn settle<T>(connection: &mut PgConnection, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
    if !connection.should_flush() {
        // What the work did not read to its end may end in an error, which is this work's and not the next one's. Where nothing is left
        // to read this does nothing.
        return match result {
            Ok(output) => connection.flush().await.map(|()| output),
            Err(error) => Err(error),
        };
    }
    match result {
        // What it would acknowledge is lost.
        Ok(_) => Err(sqlx::Error::Configuration(Box::new(Uncommitted))),
        // Where this fails the connection is to blame, which is the graver of the two.
        Err(error) => connection.ping().await.and(Err(error)),
    }
}

/// The database behind the sandbox's connections: one, or as many as there may be invocations at once. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Db {
    shared: Arc<Shared>,
    /// Of the invocation that this clone was made for.
    tally: Arc<Tally>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    engine: Engine<Postgres>,
}

impl Db {
    /// A database that connects when it is first used. As many connections as `config.concurrency` are kept; an invocation that runs several
    /// operations at once opens one for each, and the surplus is closed. `application` is what Postgres
    /// shows as the session's application name.
    #[must_use]
    pub fn new(config: Config, application: String) -> Self {
        Self::with_wall_clock(config, application, SystemTime::now)
    }

    /// As [`Db::new`], with the wall clock passed in: by it the age of an idle connection is judged.
    #[must_use]
    pub fn with_wall_clock(config: Config, application: String, wall_clock: fn() -> SystemTime) -> Self {
        let limits = Limits {
            connect: config.timeouts.connect,
            ping: config.timeouts.ping,
            attempt: config.timeouts.attempt,
            max_idle: config.max_idle,
            budget: config.budget,
            policy: config.retry,
        };
        let engine = Engine::new(Postgres::new(config.database.clone(), application, wall_clock), limits, config.concurrency);
        Self { shared: Arc::new(Shared { config, engine }), tally: Arc::default() }
    }

    /// The same connections, with counts that begin anew.
    pub(crate) fn for_invocation(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), tally: Arc::default() }
    }

    /// What the operations of this invocation have cost so far. One that was dropped does not count.
    pub(crate) fn counts(&self) -> Counts {
        self.tally.counts()
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
        self.shared.engine.run(deadline, &Read(query), fastrand::Rng::new(), &self.tally).await
    }

    /// Runs a write under its key, as often as policy and deadline allow until one attempt gives an answer. However often it is sent, and
    /// however the attempts before ended, it takes effect once; see [`KeyedWrite`] for what makes it so. Work without a key is refused by the
    /// compiler.
    ///
    /// On a warm sandbox this costs what the write's statements cost; one round trip more after `DB_MAX_IDLE_MS` of idleness.
    ///
    /// ```
    /// # use shared::{Db, Error, Key, KeyedWrite, Query, deadline::Deadline};
    /// async fn keyed<W: KeyedWrite>(db: &Db, deadline: Deadline, key: &Key, write: &W) -> Result<W::Output, Error> {
    ///     db.write(deadline, key, write).await
    /// }
    /// ```
    /// ```compile_fail
    /// # use shared::{Db, Error, Key, KeyedWrite, Query, deadline::Deadline};
    /// async fn unkeyed<Q: Query>(db: &Db, deadline: Deadline, key: &Key, query: &Q) -> Result<Q::Output, Error> {
    ///     db.write(deadline, key, query).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Db::read`]. After [`Error::Unavailable`] the write may be in or not: running it again with the same key tells, at any later time
    /// and from any sandbox.
    ///
    /// # Cancel safety
    /// As [`Db::read`]. The write may be in or not, as after [`Error::Unavailable`].
    pub async fn write<W: KeyedWrite>(&self, deadline: Deadline, key: &Key, write: &W) -> Result<W::Output, Error> {
        self.shared.engine.run(deadline, &Keyed { key, write }, fastrand::Rng::new(), &self.tally).await
    }

    /// Runs a query once, without recovery, within `timeout` for connecting and running together: for health, which must tell what is.
    ///
    /// # Errors
    /// The failure of the attempt.
    ///
    /// # Cancel safety
    /// As [`Db::read`].
    pub async fn probe<Q: Query>(&self, timeout: Duration, query: &Q) -> Result<Probed<Q::Output>, AttemptError> {
        self.shared.engine.probe(timeout, &Read(query)).await
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

    /// Closes the idle connections politely, for the end of the sandbox or a reset; the next operation connects. A network that takes no Terminate holds it up for 100 ms and no
    /// longer: Lambda gives the end 500 ms.
    ///
    /// # Cancel safety
    /// Dropping the future closes the sockets without the Terminate message.
    pub async fn close(&self) {
        let closing = self.shared.engine.invalidate().into_iter().map(|connection| async {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "the connection was gone before it was closed");
            }
        });
        if tokio::time::timeout(CLOSE_TIMEOUT, futures_util::future::join_all(closing)).await.is_err() {
            tracing::debug!("the network took no Terminate");
        }
    }
}
