//! `cargo ops migrate`.

use anyhow::Result;
use clap::Args;
use local::address::Address;
use local::migrate;
use serde_json::json;

use crate::output;

#[derive(Args)]
#[command(after_help = "Examples:\n  cargo ops migrate --database-url postgres://me:secret@127.0.0.1:5432/thaw")]
pub(crate) struct MigrateArguments {
    /// The database, with a user that may create roles (postgres://user:password@host:port/name)
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// As one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn migrate(arguments: &MigrateArguments) -> Result<()> {
    let address = Address::parse(&arguments.database_url)?;
    let report = migrate::migrate(&address.options()?).await?;
    let document = json!({ "database": address.shown(), "applied": report.applied, "already_there": report.already_there });
    output::document_or(arguments.json, &document, &format!("{}: {}", address.shown(), describe(report)))
}

/// What migrating did, for people.
pub(crate) fn describe(report: migrate::MigrationReport) -> String {
    match (report.applied, report.already_there) {
        (0, there) => format!("up to date at {there} migrations"),
        (applied, 0) => format!("{applied} migrations applied"),
        (applied, there) => format!("{applied} migrations applied after {there} earlier ones"),
    }
}
