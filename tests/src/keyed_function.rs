//! A function over accounts and transfers, built as those of the bundle are. What it does stands in the query string:
//!
//! - `do=transfer&key=K&from=A&to=B`: moves a cent under a key, in one statement. With `isolation=…` it is a transaction of that isolation,
//!   and passes a gate between its two updates: the advisory lock 1, which a test may hold. With `isolation=forgotten` the transaction is
//!   left without COMMIT.
//! - `do=script&sql=…`: runs a script on the connection.
//! - `do=where`: tells whether the server is a standby.
//!
//! It answers with what came of it, and with how often it was run for it. The tables are those of `ledger.rs`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use shared::{Db, Error, Key, KeyedWrite, Query, Request, Response};
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

fn main() -> ExitCode {
    shared::lambda::serve(handle)
}

async fn handle(request: Request, db: Db) -> Result<Response, Error> {
    let parameter = |name| request.query(name).map(Option::unwrap_or_default);
    let (deadline, runs) = (request.deadline(), AtomicU32::new(0));
    let answer = match parameter("do")?.as_str() {
        "transfer" => {
            let key = Key::new(&request.identity()?, &parameter("key")?).map_err(|error| Error::malformed(format!("key: {error}")))?;
            let transfer = Transfer { from: parameter("from")?, to: parameter("to")?, isolation: parameter("isolation")?, runs: &runs };
            json!(db.write(deadline, &key, &transfer).await?)
        }
        "script" => json!(db.read(deadline, &Script { sql: parameter("sql")?, runs: &runs }).await?),
        _ => json!(db.read(deadline, &Where { runs: &runs }).await?),
    };
    Ok(Response::personal(&json!({ "answer": answer, "runs": runs.into_inner() })))
}

struct Transfer<'a> {
    from: String,
    to: String,
    isolation: String,
    runs: &'a AtomicU32,
}

impl KeyedWrite for Transfer<'_> {
    type Output = Uuid;

    async fn run(&self, key: &Key, connection: &mut PgConnection) -> Result<Uuid, sqlx::Error> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        if !self.isolation.is_empty() {
            return self.in_transaction(key, connection).await;
        }
        let first: Option<Uuid> = sqlx::query_scalar(
            "with keyed as (
                 insert into transfers (principal, key) values ($1, $2) on conflict do nothing returning answer
             ), taken as (
                 update accounts set cents = cents - 1 where name = $3 and exists (select from keyed)
             ), given as (
                 update accounts set cents = cents + 1 where name = $4 and exists (select from keyed)
             )
             select answer from keyed",
        )
        .bind(key.principal())
        .bind(key.text())
        .bind(&self.from)
        .bind(&self.to)
        .fetch_optional(&mut *connection)
        .await?;
        match first {
            Some(answer) => Ok(answer),
            None => answer_of(key, connection).await,
        }
    }
}

impl Transfer<'_> {
    async fn in_transaction(&self, key: &Key, connection: &mut PgConnection) -> Result<Uuid, sqlx::Error> {
        let forgotten = self.isolation == "forgotten";
        let isolation = if forgotten { "read committed" } else { &self.isolation };
        let mut transaction = connection.begin_with(format!("begin isolation level {isolation}")).await?;
        let insert = "insert into transfers (principal, key) values ($1, $2) on conflict do nothing returning answer";
        let first: Option<Uuid> = sqlx::query_scalar(insert).bind(key.principal()).bind(key.text()).fetch_optional(&mut *transaction).await?;
        let answer = match first {
            None => answer_of(key, &mut transaction).await?,
            Some(answer) => {
                sqlx::query("update accounts set cents = cents - 1 where name = $1").bind(&self.from).execute(&mut *transaction).await?;
                sqlx::query("select pg_advisory_xact_lock_shared(1)").execute(&mut *transaction).await?;
                sqlx::query("update accounts set cents = cents + 1 where name = $1").bind(&self.to).execute(&mut *transaction).await?;
                answer
            }
        };
        if !forgotten {
            transaction.commit().await?;
        }
        Ok(answer)
    }
}

/// The answer of the first time, which has been committed.
async fn answer_of(key: &Key, connection: &mut PgConnection) -> Result<Uuid, sqlx::Error> {
    let select = "select answer from transfers where principal = $1 and key = $2";
    sqlx::query_scalar(select).bind(key.principal()).bind(key.text()).fetch_one(connection).await
}

struct Script<'a> {
    sql: String,
    runs: &'a AtomicU32,
}

impl Query for Script<'_> {
    type Output = ();

    async fn run(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        connection.execute(self.sql.as_str()).await.map(drop)
    }
}

struct Where<'a> {
    runs: &'a AtomicU32,
}

impl Query for Where<'_> {
    type Output = bool;

    async fn run(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(connection).await
    }
}
