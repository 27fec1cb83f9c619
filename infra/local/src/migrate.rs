//! Brings a database's schema up to the migrations of this checkout.

use anyhow::{Context, anyhow};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, query_scalar, raw_sql};

use crate::connect::{connect, place};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// What a run of [`migrate`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationReport {
    /// Migrations that were applied between the start and the end of this run.
    pub applied: u64,
    /// Migrations that the database had before.
    pub already_there: u64,
}

/// Applies every migration that the database does not have yet, each in its own transaction. Runs
/// on one database wait for one another; runs on several databases of one cluster may overlap.
///
/// `admin` is a superuser, a role with CREATEROLE that owns the database (the master user of RDS),
/// or, once the roles stand, `thaw_migrate`.
///
/// # Errors
/// When the database cannot be reached, when the role lacks a right, when an applied migration was
/// changed since, or when the database has a migration that this checkout does not know. What the
/// earlier migrations of the run did stays.
///
/// # Cancel safety
/// Dropping the future rolls back the migration under way and releases the lock.
pub async fn migrate(admin: &PgConnectOptions) -> anyhow::Result<MigrationReport> {
    let mut connection = connect(admin).await?;
    let report = migrate_over(&mut connection, admin).await;
    // The report matters, the goodbye does not: the server ends the session either way.
    connection.close().await.ok();
    report
}

async fn migrate_over(connection: &mut PgConnection, admin: &PgConnectOptions) -> anyhow::Result<MigrationReport> {
    // A role may have a search path of its own; the schema is `public`. A notice says no more than
    // that the migration table is there already.
    let prepared = raw_sql("set search_path = public; set client_min_messages = warning");
    prepared.execute(&mut *connection).await.context("cannot prepare the session for migrations")?;

    let already_there = count(connection).await?;
    MIGRATOR
        .run(&mut *connection)
        .await
        .map_err(|error| explain(error, admin.get_username()))
        .with_context(|| format!("cannot migrate {}", place(admin)))?;
    let applied = count(connection).await?.saturating_sub(already_there);
    Ok(MigrationReport { applied, already_there })
}

async fn count(connection: &mut PgConnection) -> anyhow::Result<u64> {
    let context = "cannot read which migrations the database has";
    let recorded: bool = query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *connection).await.context(context)?;
    if !recorded {
        return Ok(0);
    }
    let count: i64 = query_scalar("select count(*) from _sqlx_migrations").fetch_one(connection).await.context(context)?;
    Ok(count.unsigned_abs())
}

fn explain(error: MigrateError, user: &str) -> anyhow::Error {
    match error {
        MigrateError::VersionMismatch(version) => anyhow!(
            "{} was changed after it was applied; restore its text and put the change into a new \
             migration, or start from an empty database",
            name(version)
        ),
        MigrateError::VersionMissing(version) => anyhow!(
            "the database has migration {version}, which this checkout does not know; it is newer, \
             so update the checkout"
        ),
        MigrateError::ExecuteMigration(error, version) => refusal(error, &name(version), user),
        MigrateError::Execute(error) => refusal(error, "the record of migrations", user),
        other => other.into(),
    }
}

fn refusal(error: sqlx::Error, step: &str, user: &str) -> anyhow::Error {
    let Some(database) = error.as_database_error() else {
        return anyhow::Error::new(error).context(format!("{step} failed"));
    };
    if database.code().as_deref() == Some("42501") {
        return anyhow!(
            "{step} needs a right that role {user:?} lacks ({}); run it as a superuser, as a role \
             with CREATEROLE that owns the database and may grant pg_monitor and \
             pg_signal_backend, or, once the roles stand, as thaw_migrate",
            database.message()
        );
    }
    anyhow!("{step} failed: {}", database.message())
}

/// A migration as its file is called, such as `migration 0002_marketplace`.
fn name(version: i64) -> String {
    let described = MIGRATOR.iter().find(|migration| migration.version == version);
    let description = described.map_or("unknown", |migration| &migration.description);
    format!("migration {version:04}_{}", description.replace(' ', "_"))
}

#[cfg(test)]
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
