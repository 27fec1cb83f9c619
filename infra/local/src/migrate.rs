//! Brings a database's schema up to the migrations of this checkout.

use anyhow::Context;
use shared::migrations;
pub use shared::migrations::MigrationReport;
use sqlx::Connection;
use sqlx::postgres::PgConnectOptions;

use crate::connect::{connect, place};

/// Connects, and applies every migration that the database does not have yet: see [`migrations::migrate`].
///
/// # Errors
/// When the database cannot be reached, when the role lacks a right, when an applied migration was changed since, or when the database has a
/// migration that this checkout does not know. What the earlier migrations of the run did stays.
///
/// # Cancel safety
/// Dropping the future rolls back the migration under way and releases the lock.
pub async fn migrate(admin: &PgConnectOptions) -> anyhow::Result<MigrationReport> {
    let mut connection = connect(admin).await?;
    let report = migrations::migrate(&mut connection, admin.get_username()).await;
    // The report matters, the goodbye does not: the server ends the session either way.
    connection.close().await.ok();
    report.with_context(|| format!("cannot migrate {}", place(admin)))
}
