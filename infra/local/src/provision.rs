//! A database for the functions: made where it is missing, brought up to date, with roles that can sign in, and with something in it.

use anyhow::{Context as _, Result, ensure};
use sqlx::PgConnection;

use crate::address::Address;
use crate::roles::Roles;
use crate::seed::{Progress, SeedReport, Size};
use crate::workspace::Workspace;
use crate::{connect, database, migrate, seed};

/// A database that is ready for the functions.
pub struct Provisioned {
    /// How the functions sign in.
    pub roles: Roles,
    /// What migrating did.
    pub migrations: migrate::MigrationReport,
    /// What seeding did; None where there were users already.
    pub seeded: Option<SeedReport>,
}

/// Makes the database where the server has none of that name. With `fresh` an existing one is removed first.
///
/// # Errors
/// The server cannot be reached, may not create the database, or the existing one is a template; with `fresh`, also one that is not thaw's
/// or is in use.
///
/// # Cancel safety
/// As [`database::create_marked`].
pub async fn create(address: &Address, fresh: bool) -> Result<()> {
    let name = address.database();
    if let Some(mut existing) = connect::connect_if_exists(&address.options()?).await? {
        let is_template: bool =
            sqlx::query_scalar("select datistemplate from pg_database where datname = current_database()").fetch_one(&mut existing).await?;
        ensure!(!is_template, "database {name:?} is a template: every database made from it would have these tables; name another");
        if !fresh {
            return Ok(());
        }
        sqlx::Connection::close(existing).await.context("the connection to the database broke")?;
        let mut admin = connect::connect(&address.with_database("postgres").options()?).await?;
        database::drop(&mut admin, name).await?;
    }
    let mut admin = connect::connect(&address.with_database("postgres").options()?).await?;
    database::create_marked(&mut admin, name).await
}

/// Migrates, lets the functions' roles sign in, and seeds where there is no user yet.
///
/// # Errors
/// Each step's own.
pub async fn provision(workspace: &Workspace, address: &Address, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Provisioned> {
    let options = address.options()?;
    let migrations = migrate::migrate(&options).await?;
    let mut admin = connect::connect(&options).await?;
    let roles = Roles::of(workspace, address)?;
    roles.set_passwords(&mut admin).await?;
    let seeded = match is_empty(&mut admin).await? {
        true => Some(seed::seed(&mut admin, Size::default(), progress).await?),
        false => None,
    };
    Ok(Provisioned { roles, migrations, seeded })
}

async fn is_empty(admin: &mut PgConnection) -> Result<bool> {
    sqlx::query_scalar("select not exists (select from users)").fetch_one(admin).await.context("cannot look into table users")
}
