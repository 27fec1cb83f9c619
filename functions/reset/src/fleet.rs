//! The application's sessions, and their end.

use shared::{Key, KeyedWrite, Query};
use sqlx::PgConnection;
use uuid::Uuid;

/// Ends the sessions of the routes' role on this database, and counts them on the record.
pub(crate) struct Termination {
    /// The record's.
    pub(crate) id: Uuid,
    /// Sessions at a statement or in a transaction, too.
    pub(crate) include_busy: bool,
}

/// What it came to.
#[derive(Debug)]
pub(crate) struct Terminated {
    pub(crate) idle: i32,
    pub(crate) busy: i32,
    pub(crate) left_busy: i32,
    /// The sessions of the last run.
    pub(crate) pids: Vec<i32>,
}

impl KeyedWrite for Termination {
    type Output = Terminated;

    /// A second run ends those that have come since, and counts on: an operator wants them gone either way. Signals are not undone with a
    /// transaction, so where a run is lost before its commit, the record has fewer than there were.
    async fn run(&self, _: &Key, connection: &mut PgConnection) -> Result<Terminated, sqlx::Error> {
        sqlx::query_as!(
            Terminated,
            r#"
            with sessions as materialized (
                select pid, state = 'idle' as is_idle from pg_stat_activity
                where datname = current_database() and usename = 'thaw_app' and backend_type = 'client backend'
            ), terminated as materialized (
                select pid, is_idle from sessions where (is_idle or $2) and pg_terminate_backend(pid)
            )
            update resets
            set terminated_idle = terminated_idle + (select count(*) from terminated where is_idle),
                terminated_busy = terminated_busy + (select count(*) from terminated where not is_idle),
                left_busy = (select count(*) from sessions where not is_idle and not $2),
                is_complete = true
            where id = $1
            returning terminated_idle as idle, terminated_busy as busy, left_busy,
                (select coalesce(array_agg(pid), '{}') from terminated) as "pids!"
            "#,
            self.id,
            self.include_busy,
        )
        .fetch_one(connection)
        .await
    }
}

/// How many of these sessions are still there: they end a moment after they were told.
pub(crate) struct StillEnding<'a>(pub(crate) &'a [i32]);

impl Query for StillEnding<'_> {
    type Output = i64;

    /// A process id may have been given to a new session meanwhile, which then counts, too: for a moment, and at worst one too many.
    async fn run(&self, connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar!(r#"select count(*) as "count!" from pg_stat_activity where pid = any($1) and usename = 'thaw_app'"#, self.0)
            .fetch_one(connection)
            .await
    }
}
