//! Fills an empty marketplace with rows that are the same on every machine.
//!
//! The same [`Size`] gives the same rows byte for byte, keys and times included, so that tests,
//! benchmarks and a `curl` line can rely on them.

mod copy;
mod plan;
mod rows;
mod size;
mod words;

#[cfg(test)]
mod tests;

use anyhow::{Context, ensure};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, query_scalar, raw_sql};

use copy::CopyRows;
use plan::Plan;
use rows::TableRows;

pub use rows::Table;
pub use size::Size;

/// How much is sent at once: big enough to be quick, small enough to show progress.
const CHUNK_BYTES: usize = 256 * 1024;

/// How far a seed has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The table being filled.
    pub table: Table,
    /// Its rows so far.
    pub rows: u64,
    /// Its rows in the end.
    pub total: u64,
}

/// What a seed wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeedReport {
    /// Rows in `users`.
    pub users: u64,
    /// Rows in `models`.
    pub models: u64,
    /// Rows in `purchases`.
    pub purchases: u64,
}

/// Fills the three tables in one transaction and analyses them, so that the planner knows them.
/// Needs select and insert on the tables; where the role does not own them, the analysis is skipped
/// by the server with a warning.
///
/// The users' subjects are `user-1`, `user-2` and so on. The first ten have at least 20 purchases
/// each, as has everybody where there are enough, and some models of their own.
///
/// # Errors
/// When the size is impossible, when a table is missing or holds rows, or when the server refuses.
/// The database is then as it was.
///
/// # Cancel safety
/// Dropping the future queues a rollback on the connection: nothing stays of the seed.
pub async fn seed(connection: &mut PgConnection, size: Size, progress: &mut (dyn FnMut(Progress) + Send)) -> anyhow::Result<SeedReport> {
    let plan = Plan::new(size)?;
    let mut transaction = connection.begin().await.context("cannot begin to seed")?;
    // Whoever seeds may have the time limits of a route.
    raw_sql("set local statement_timeout = 0").execute(&mut *transaction).await.context("cannot lift the time limit of a statement")?;
    // One table after the other rather than one query: the message names the table.
    for table in Table::ALL {
        let name = table.name();
        let statement = format!("select exists (select from {name})");
        let filled: bool = query_scalar(&statement)
            .fetch_one(&mut *transaction)
            .await
            .with_context(|| format!("cannot look into table {name}; was the database migrated?"))?;
        ensure!(!filled, "table {name} holds rows already; seed an empty database");
    }
    for table in Table::ALL {
        fill(&mut transaction, TableRows::new(table, &plan), progress).await.with_context(|| format!("cannot fill table {}", table.name()))?;
    }
    let analysed = raw_sql("analyze users, models, purchases").execute(&mut *transaction).await;
    analysed.context("cannot analyse the seeded tables")?;
    transaction.commit().await.context("cannot commit the seed")?;
    Ok(SeedReport { users: size.users, models: size.models, purchases: size.purchases })
}

async fn fill(connection: &mut PgConnection, mut rows: TableRows<'_>, progress: &mut (dyn FnMut(Progress) + Send)) -> anyhow::Result<()> {
    let total = rows.total() as u64;
    let mut chunk = CopyRows::new();
    // Dropped before its end, the copy is failed by the driver.
    let mut copy = connection.copy_in_raw(rows.table().copy_statement()).await?;
    while rows.write(&mut chunk) {
        if chunk.bytes().len() >= CHUNK_BYTES {
            copy.send(chunk.bytes()).await?;
            chunk.clear();
            progress(Progress { table: rows.table(), rows: rows.written() as u64, total });
        }
    }
    chunk.end();
    copy.send(chunk.bytes()).await?;
    let copied = copy.finish().await?;
    ensure!(copied == total, "the server took {copied} of {total} rows");
    progress(Progress { table: rows.table(), rows: total, total });
    Ok(())
}
