//! The life of a database: made, cloned, told apart from other people's, removed.
//!
//! `admin` is a connection to another database of the same cluster, as a role that may create
//! databases (see [`crate::connect::connect`]). Every database made here carries a comment that
//! says so, and only those are ever removed.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest as _;
use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row, query, query_scalar, raw_sql};
use tokio::time::sleep;

use crate::scram;

/// The comment on a database that thaw created and may therefore remove.
const MARK: &str = "created by thaw";

/// `NAMEDATALEN - 1`: Postgres cuts a longer name without an error.
const IDENTIFIER_LIMIT_BYTES: usize = 63;

/// A client that has just closed its connection may still be listed for a moment.
const LINGER_CHECKS: u32 = 20;
const LINGER_PAUSE: Duration = Duration::from_millis(50);

/// Whether the cluster has a database of this name.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn exists(admin: &mut PgConnection, name: &str) -> anyhow::Result<bool> {
    query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(admin)
        .await
        .with_context(|| format!("cannot look for database {name:?}"))
}

/// Whether this is a database that thaw created; false where there is none.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn is_ours(admin: &mut PgConnection, name: &str) -> anyhow::Result<bool> {
    query_scalar(
        "select exists (select from pg_database
         where datname = $1 and shobj_description(oid, 'pg_database') = $2)",
    )
    .bind(name)
    .bind(MARK)
    .fetch_one(admin)
    .await
    .with_context(|| format!("cannot read the comment on database {name:?}"))
}

/// Creates an empty UTF-8 database and marks it as thaw's.
///
/// # Errors
/// When the name is taken or no valid identifier, or when the role may not create databases.
///
/// # Cancel safety
/// Dropping the future may leave a database under another name, which the next call removes.
pub async fn create_marked(admin: &mut PgConnection, name: &str) -> anyhow::Result<()> {
    // template0: nobody is ever connected to it, and it holds nothing local.
    create(admin, name, "template0", "encoding 'UTF8'").await
}

/// Creates a marked database as a copy of `template`, to which nobody may be connected.
///
/// # Errors
/// As [`create_marked`], and when `template` is missing or somebody is connected to it; the message
/// then says who.
///
/// # Cancel safety
/// As [`create_marked`].
pub async fn clone_from_template(admin: &mut PgConnection, template: &str, name: &str) -> anyhow::Result<()> {
    create(admin, name, template, "").await
}

/// Removes a database that thaw created. A session that has just ended is waited for, up to a
/// second.
///
/// # Errors
/// When there is no such database, when it lacks thaw's mark, or when somebody is connected to it;
/// the message then says who. Nothing is removed in these cases.
pub async fn drop(admin: &mut PgConnection, name: &str) -> anyhow::Result<()> {
    ensure!(exists(admin, name).await?, "there is no database {name:?} to remove");
    ensure!(
        is_ours(admin, name).await?,
        "database {name:?} was not created by thaw (its comment is not {MARK:?}), so it stays; \
         name another database, or remove this one by hand"
    );
    for _ in 0..LINGER_CHECKS {
        if sessions(admin, name).await? == 0 {
            break;
        }
        sleep(LINGER_PAUSE).await;
    }
    if let Some(names) = who(admin, name).await? {
        bail!("database {name:?} is in use ({names}), so it stays; stop these first");
    }
    let statement = format!("drop database {}", quote_identifier(name)?);
    let dropped = raw_sql(&statement).execute(&mut *admin).await;
    dropped.with_context(|| format!("cannot remove database {name:?}"))?;
    Ok(())
}

/// How many client sessions are open on this database, other than `admin` itself.
///
/// # Errors
/// When the activity view cannot be read.
pub async fn sessions(admin: &mut PgConnection, name: &str) -> anyhow::Result<i64> {
    query_scalar(
        "select count(*) from pg_stat_activity
         where datname = $1 and backend_type = 'client backend' and pid <> pg_backend_pid()",
    )
    .bind(name)
    .fetch_one(admin)
    .await
    .with_context(|| format!("cannot count the sessions on database {name:?}"))
}

/// Gives a role its password. Only a SCRAM verifier travels, so neither a server log nor
/// `pg_stat_statements` ever holds the password itself. Roles belong to the whole cluster.
///
/// # Errors
/// When the password is empty or not printable ASCII, when there is no such role, or when `admin`
/// may not alter it. No message holds the password.
pub async fn set_password(admin: &mut PgConnection, role: &str, password: &str) -> anyhow::Result<()> {
    let verifier = scram::verifier(password)?;
    // Base64, digits and `$:-`: nothing in a verifier needs quoting.
    let statement = format!("alter role {} password '{verifier}'", quote_identifier(role)?);
    // Spelt so, its future is Send.
    let altered = Executor::execute(admin, raw_sql(&statement)).await;
    altered.with_context(|| format!("cannot set the password of role {role:?}"))?;
    Ok(())
}

/// Makes the database under a name of its own, marks it, and only then gives it its name: an interruption leaves nothing unmarked under the
/// name that was asked for, and the next call removes what it did leave.
async fn create(admin: &mut PgConnection, name: &str, template: &str, options: &str) -> anyhow::Result<()> {
    let (quoted, source) = (quote_identifier(name)?, quote_identifier(template)?);
    ensure!(!exists(admin, name).await?, "database {name:?} exists already");
    let digest = sha2::Sha256::digest(name.as_bytes());
    let unnamed = quote_identifier(&format!("thaw_new_{}", URL_SAFE_NO_PAD.encode(&digest[..12])))?;
    let failed = || format!("cannot create database {name:?}");
    raw_sql(&format!("drop database if exists {unnamed}")).execute(&mut *admin).await.with_context(failed)?;
    let statement = format!("create database {unnamed} template {source} {options}");
    if let Err(error) = raw_sql(&statement).execute(&mut *admin).await {
        let in_use = error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("55006"));
        if in_use && let Some(names) = who(admin, template).await? {
            bail!("database {template:?} cannot be copied while it is in use ({names})");
        }
        return Err(error).with_context(failed);
    }
    raw_sql(&format!("comment on database {unnamed} is '{MARK}'")).execute(&mut *admin).await.with_context(failed)?;
    raw_sql(&format!("alter database {unnamed} rename to {quoted}")).execute(admin).await.with_context(failed)?;
    Ok(())
}

/// Who is connected, such as `2 × psql, 1 × without a name`; nothing where nobody is.
async fn who(admin: &mut PgConnection, name: &str) -> anyhow::Result<Option<String>> {
    let rows = query(
        "select coalesce(nullif(application_name, ''), 'without a name'), count(*)
         from pg_stat_activity
         where datname = $1 and backend_type = 'client backend' and pid <> pg_backend_pid()
         group by 1 order by 2 desc, 1",
    )
    .bind(name)
    .fetch_all(admin)
    .await
    .with_context(|| format!("cannot see who uses database {name:?}"))?;
    let names = rows
        .iter()
        .map(|row| {
            let (application, sessions): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            Ok(format!("{sessions} × {application}"))
        })
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    Ok((!names.is_empty()).then(|| names.join(", ")))
}

/// `name` as an SQL identifier; no statement that creates or alters takes one as a parameter.
fn quote_identifier(name: &str) -> anyhow::Result<String> {
    ensure!(!name.is_empty(), "a database or role needs a name, and this one is empty");
    ensure!(
        name.len() <= IDENTIFIER_LIMIT_BYTES,
        "the name {name:?} has {} bytes and Postgres keeps {IDENTIFIER_LIMIT_BYTES}; shorten it",
        name.len()
    );
    ensure!(!name.contains('\0'), "the name {name:?} holds a NUL character; remove it");
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn identifier_is_quoted_whatever_it_holds() {
        for (name, quoted) in [
            ("thaw", r#""thaw""#),
            ("with-dash", r#""with-dash""#),
            (r#"a"; drop database b; --"#, r#""a""; drop database b; --""#),
            ("größe", r#""größe""#),
        ] {
            assert_eq!(quote_identifier(name).unwrap(), quoted, "{name}");
        }
    }

    #[test]
    fn identifier_that_postgres_would_change_is_refused() {
        let longest = "x".repeat(63);
        assert!(quote_identifier(&longest).is_ok());
        for (name, reason) in [("", "empty"), (&*"x".repeat(64), "64 bytes"), (&*"ü".repeat(32), "64 bytes"), ("a\0b", "NUL")] {
            let error = quote_identifier(name).unwrap_err().to_string();
            assert!(error.contains(reason), "{name:?}: {error}");
        }
    }
}
