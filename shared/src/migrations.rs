//! Brings a database's schema up to the migrations in `infra/migrations`, which are embedded.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, query_scalar};

static MIGRATOR: Migrator = sqlx::migrate!("../infra/migrations");

/// What a run of [`migrate`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationReport {
    /// Migrations that were applied between the start and the end of this run.
    pub applied: u64,
    /// Migrations that the database had before.
    pub already_there: u64,
}

/// Why a database was not brought up. Each is a sentence that says how to mend it; of the server's words it repeats the message, and neither
/// detail nor hint, which hold values of rows.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A migration was changed after it was applied.
    #[error(
        "{migration} was changed after it was applied; restore its text and put the change into a new migration, or start from an empty database"
    )]
    Changed {
        /// As its file is called.
        migration: String,
    },
    /// The database is further than this program.
    #[error("the database has migration {version}, which this checkout does not know; it is newer, so update the checkout")]
    Newer {
        /// The first that is not known.
        version: i64,
    },
    /// The database is further than this program in one place and behind it in another.
    #[error(
        "the database has migration {version}, which this code does not know, and lacks {migration}, which this code has: they come from \
         different histories; deploy code that has both"
    )]
    Diverged {
        /// The first that is not known.
        version: i64,
        /// The first that is missing, as its file is called.
        migration: String,
    },
    /// The role may not do it.
    #[error(
        "{step} needs a right that role {user:?} lacks ({message}); run it as a superuser, as a role with CREATEROLE that owns the database and \
         may grant pg_monitor and pg_signal_backend, or, once the roles stand, as thaw_migrate"
    )]
    Forbidden {
        /// What was being done.
        step: String,
        /// As whom.
        user: String,
        /// The server's words.
        message: String,
    },
    /// A value was wrong: SQLSTATEs of class 22, whose messages repeat it.
    #[error("{step} failed: {message}")]
    Data {
        /// What was being done.
        step: String,
        /// Such as 22P02.
        sqlstate: String,
        /// The server's words, with the value.
        message: String,
    },
    /// The server refused it.
    #[error("{step} failed: {message}")]
    Refused {
        /// What was being done.
        step: String,
        /// The server's words.
        message: String,
    },
    /// The connection failed under it.
    #[error("{step} failed")]
    Lost {
        /// What was being done.
        step: String,
        /// How.
        source: sqlx::Error,
    },
    /// Anything else that sqlx names.
    #[error(transparent)]
    Other(MigrateError),
}

impl MigrationError {
    /// As it is displayed, but without values that stand in the database: for logs, and for whoever may not read it.
    #[must_use]
    pub fn without_values(&self) -> String {
        match self {
            Self::Data { step, sqlstate, .. } => {
                format!("{step} failed: SQLSTATE {sqlstate}, whose message may hold values; it stands in the server's log")
            }
            other => other.to_string(),
        }
    }
}

/// How many migrations this program has.
#[must_use]
pub fn known() -> u64 {
    MIGRATOR.iter().count() as u64
}

/// Applies every migration that the database does not have yet, each in its own transaction. Runs on one database wait for one another; runs
/// on several databases of one cluster may overlap. The connection is left with other settings, and is to be closed.
///
/// Its role, `user`, is a superuser, a role with CREATEROLE that owns the database (the master user of RDS), or, once the roles stand,
/// `thaw_migrate`.
///
/// # Errors
/// [`MigrationError`]. What the earlier migrations of the run did stays. [`MigrationError::Newer`] says that the database has all that this
/// program has, and more.
///
/// # Cancel safety
/// Dropping the future and the connection rolls back the migration under way and releases the lock.
pub async fn migrate(connection: &mut PgConnection, user: &str) -> Result<MigrationReport, MigrationError> {
    // A role may have a search path of its own; the schema is `public`. A notice says no more than that the migration table is there already.
    let settings = "set search_path = public; set client_min_messages = warning";
    connection.execute(settings).await.map_err(|error| refusal(error, "preparing the session for migrations", user))?;

    let already_there = applied(connection, user).await?;
    // Not `run`, whose future is not provably Send inside others.
    if let Err(error) = MIGRATOR.run_direct(connection).await {
        let error = explain(error, user);
        let MigrationError::Newer { version } = error else { return Err(error) };
        return Err(match missing(connection, user).await? {
            Some(migration) => MigrationError::Diverged { version, migration },
            None => MigrationError::Newer { version },
        });
    }
    let applied = applied(connection, user).await?.saturating_sub(already_there);
    Ok(MigrationReport { applied, already_there })
}

/// How many migrations the database has.
///
/// # Errors
/// [`MigrationError::Refused`], [`MigrationError::Forbidden`] or [`MigrationError::Lost`].
///
/// # Cancel safety
/// Dropping the future leaves the connection to be closed.
pub async fn applied(connection: &mut PgConnection, user: &str) -> Result<u64, MigrationError> {
    let failed = |error| refusal(error, "reading which migrations the database has", user);
    let recorded: bool =
        query_scalar("select to_regclass('public._sqlx_migrations') is not null").fetch_one(&mut *connection).await.map_err(failed)?;
    if !recorded {
        return Ok(0);
    }
    let count: i64 = query_scalar("select count(*) from public._sqlx_migrations").fetch_one(connection).await.map_err(failed)?;
    Ok(count.unsigned_abs())
}

/// The first migration of this program that the database lacks.
async fn missing(connection: &mut PgConnection, user: &str) -> Result<Option<String>, MigrationError> {
    let there: Vec<i64> = query_scalar("select version from public._sqlx_migrations")
        .fetch_all(connection)
        .await
        .map_err(|error| refusal(error, "reading which migrations the database has", user))?;
    Ok(MIGRATOR.iter().find(|migration| !there.contains(&migration.version)).map(|migration| name(migration.version)))
}

fn explain(error: MigrateError, user: &str) -> MigrationError {
    match error {
        MigrateError::VersionMismatch(version) => MigrationError::Changed { migration: name(version) },
        MigrateError::VersionMissing(version) => MigrationError::Newer { version },
        MigrateError::ExecuteMigration(error, version) => refusal(error, &name(version), user),
        MigrateError::Execute(error) => refusal(error, "the record of migrations", user),
        other => MigrationError::Other(other),
    }
}

fn refusal(error: sqlx::Error, step: &str, user: &str) -> MigrationError {
    let step = step.to_owned();
    let Some(database) = error.as_database_error() else { return MigrationError::Lost { step, source: error } };
    let message = database.message().to_owned();
    match database.code().as_deref() {
        Some("42501") => MigrationError::Forbidden { step, user: user.to_owned(), message },
        Some(data) if data.starts_with("22") => MigrationError::Data { step, sqlstate: data.to_owned(), message },
        _ => MigrationError::Refused { step, message },
    }
}

/// A migration as its file is called, such as `migration 0002_marketplace`.
fn name(version: i64) -> String {
    let described = MIGRATOR.iter().find(|migration| migration.version == version);
    let description = described.map_or("unknown", |migration| &migration.description);
    format!("migration {version:04}_{}", description.replace(' ', "_"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_a_gap_and_only_go_forward() {
        for (migration, number) in MIGRATOR.iter().zip(1..) {
            let description = &migration.description;
            assert_eq!(migration.version, number, "{description}");
            assert!(!migration.migration_type.is_down_migration(), "{description}");
        }
    }

    #[test]
    fn changed_migration_is_called_by_its_file_name() {
        let message = explain(MigrateError::VersionMismatch(2), "postgres").to_string();
        assert!(message.starts_with("migration 0002_marketplace was changed"), "{message}");
    }

    #[test]
    fn newer_database_asks_for_a_newer_checkout() {
        let message = explain(MigrateError::VersionMissing(99), "postgres").to_string();
        assert!(message.contains("migration 99"), "{message}");
        assert!(message.contains("update the checkout"), "{message}");
    }
}
