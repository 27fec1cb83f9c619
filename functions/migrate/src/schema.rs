//! Schema and roles, brought up or told of.

use std::time::{Duration, Instant};

use serde::Serialize;
use shared::config::Credentials;
use shared::deadline::Deadline;
use shared::error::AttemptError;
use shared::migrations::{self, MigrationError};
use shared::{Db, Error, Query};
use sqlx::{Connection as _, Executor as _, PgConnection};

/// What the database has, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// Migrations that the database has.
    pub(crate) present: u64,
    /// Migrations that this program has.
    pub(crate) known: u64,
    /// Migrations that this run applied.
    pub(crate) applied: u64,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<&'static str>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The migrations were refused.
    #[error(transparent)]
    Migrations(#[from] MigrationError),
    /// The database could not be reached in the time there was.
    #[error(transparent)]
    Database(#[from] Error),
}

/// How long a sign-in by IAM that is refused is tried again: a policy that the same deployment has attached takes seconds to be known
/// everywhere. A password that is refused stays so.
const SIGN_IN_PATIENCE: Duration = Duration::from_secs(30);
/// Between two of those.
const SIGN_IN_PAUSE: Duration = Duration::from_secs(1);
/// What the server gives a statement beyond our own time, so that we are the ones who say what became of it.
const STATEMENT_MARGIN: Duration = Duration::from_secs(1);

/// Older code beside a newer schema: a stack that rolls back. Migrations go forward only, so the schema stays, and the older code lives with it.
const NEWER: &str = "the database has migrations that this code does not know; they stay, because migrations go forward only";

/// Lets the roles sign in by IAM, on servers that have it: the role `rds_iam` is Amazon's.
const GRANT_IAM: &str = "do $$
    declare name text;
    begin
        if to_regrole('rds_iam') is not null then
            foreach name in array array['thaw_app', 'thaw_ops', 'thaw_migrate'] loop
                if not pg_has_role(name, 'rds_iam', 'MEMBER') then
                    execute format('grant rds_iam to %I', name);
                end if;
            end loop;
        end if;
    end
$$";

/// Applies what is missing, and lets the roles sign in. Again is the same as once, so it is work that may run again.
struct BringUp<'a> {
    user: &'a str,
    deadline: Deadline,
}

impl Query for BringUp<'_> {
    type Output = Result<Report, MigrationError>;

    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        // A statement that nobody waits for any more would run on, and keep its locks or wait for them.
        let left_ms = (self.deadline.remaining(Instant::now()) + STATEMENT_MARGIN).as_millis();
        connection.execute(&*format!("set statement_timeout = {left_ms}")).await?;
        let (applied, note) = match migrations::migrate(connection, self.user).await {
            Ok(report) => (report.applied, None),
            Err(MigrationError::Newer { .. }) => (0, Some(NEWER)),
            // Such as one that broke off, which another connection may mend.
            Err(MigrationError::Lost { source, .. }) => return Err(source),
            Err(error) => {
                // The transaction of the migration that failed is rolled back with the connection's next use: now.
                connection.ping().await?;
                return Ok(Err(error));
            }
        };
        connection.execute(GRANT_IAM).await?;
        report(connection, self.user, applied, note).await
    }
}

/// Tells, and changes nothing.
struct Look<'a> {
    user: &'a str,
}

impl Query for Look<'_> {
    type Output = Result<Report, MigrationError>;

    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        report(connection, self.user, 0, None).await
    }
}

async fn report(
    connection: &mut PgConnection,
    user: &str,
    applied: u64,
    note: Option<&'static str>,
) -> Result<Result<Report, MigrationError>, sqlx::Error> {
    match migrations::applied(connection, user).await {
        Ok(present) => Ok(Ok(Report { present, known: migrations::known(), applied, note })),
        Err(MigrationError::Lost { source, .. }) => Err(source),
        Err(error) => Ok(Err(error)),
    }
}

/// Brings the schema up, waiting for a database that is still starting until `deadline`.
pub(crate) async fn bring_up(db: &Db, deadline: Deadline) -> Result<Report, Failure> {
    let work = BringUp { user: &db.config().database.user, deadline };
    let patience_ends = Instant::now() + SIGN_IN_PATIENCE;
    let report = loop {
        let report = db.read(deadline, &work).await;
        let now = Instant::now();
        if !is_refused_by_iam(db, &report) || now > patience_ends || deadline.remaining(now) <= SIGN_IN_PAUSE {
            break report;
        }
        tracing::info!("the sign-in by IAM is refused; trying again");
        tokio::time::sleep(SIGN_IN_PAUSE).await;
    };
    // The session has other settings now than the next run expects to find.
    db.close().await;
    Ok(report??)
}

fn is_refused_by_iam<T>(db: &Db, result: &Result<T, Error>) -> bool {
    let refused = matches!(result, Err(Error::Unavailable { source: Some(error), .. }) if AttemptError::is_refused_sign_in(error));
    refused && matches!(db.config().database.credentials, Credentials::Iam(_))
}

/// Tells what the database has.
pub(crate) async fn status(db: &Db, deadline: Deadline) -> Result<Report, Failure> {
    Ok(db.read(deadline, &Look { user: &db.config().database.user }).await??)
}
