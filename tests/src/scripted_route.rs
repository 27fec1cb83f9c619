//! A function on `shared` that does what its query says. The tests of the run loop run it in place of a real one.
//!
//! - `?do=panic`: panics. `?do=bytes&count=N`: a long answer. `?do=sleep&ms=N`: works for N ms.
//! - `?do=pg_sleep&s=N`: a statement that takes so long. `?do=unsupported`: one that the server does not support.
//! - `?do=half`: reads the first of two rows, of which the second is an error.
//! - `?do=lock&key=N`: waits until it can have an advisory lock, by a read that may run again.
//! - `?do=user`: answers with the role that it signed in as.
//! - `?do=variable&name=X`: answers with a variable of its environment.
//! - anything else: answers 200 with its process id.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "it may fail in any way: the tests see to that")]

use std::time::Duration;

use futures_util::TryStreamExt as _;
use reqwest::StatusCode;
use serde_json::json;
use shared::{Db, Error, Query, Request, Response};
use sqlx::PgConnection;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(handle)
}

struct AdvisoryLock {
    key: i64,
}

impl Query for AdvisoryLock {
    type Output = i32;

    /// The lock ends with the statement, which is its own transaction.
    async fn run(&self, connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
        sqlx::query_scalar("select pg_backend_pid() from (select pg_advisory_xact_lock($1)) as lock").bind(self.key).fetch_one(connection).await
    }
}

struct PgSleep {
    seconds: f64,
}

impl Query for PgSleep {
    type Output = ();

    async fn run(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("select pg_sleep($1)").bind(self.seconds).execute(connection).await.map(drop)
    }
}

struct CurrentUser;

impl Query for CurrentUser {
    type Output = String;

    async fn run(&self, connection: &mut PgConnection) -> Result<String, sqlx::Error> {
        sqlx::query_scalar("select current_user::text").fetch_one(connection).await
    }
}

struct Half;

impl Query for Half {
    type Output = ();

    async fn run(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        // So many rows that the first has left before the last is made.
        let mut rows = sqlx::query("select 1 / (200000 - n) from generate_series(1, 200000) as n").fetch(connection);
        rows.try_next().await.map(drop)
    }
}

struct Unsupported;

impl Query for Unsupported {
    type Output = ();

    /// 0A000: a view of a join takes no lock on the null-supplying side.
    async fn run(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("select 1 from (values (1)) as a (n) left join purchases on false for update of purchases").execute(connection).await.map(drop)
    }
}

async fn handle(request: Request, db: Db) -> Result<Response, Error> {
    let number = |name: &str| Ok::<u64, Error>(request.query(name)?.and_then(|text| text.parse().ok()).unwrap_or_default());
    let pid = std::process::id();
    let answer = match request.query("do")?.as_deref().unwrap_or_default() {
        "panic" => panic!("as told"),
        "bytes" => json!("x".repeat(usize::try_from(number("count")?).unwrap())),
        "sleep" => {
            tokio::time::sleep(Duration::from_millis(number("ms")?)).await;
            json!({ "pid": pid })
        }
        "lock" => {
            let key = i64::try_from(number("key")?).unwrap();
            json!({ "pid": pid, "session": db.read(request.deadline(), &AdvisoryLock { key }).await? })
        }
        "pg_sleep" => {
            let seconds = f64::from(u32::try_from(number("s")?).unwrap());
            db.read(request.deadline(), &PgSleep { seconds }).await?;
            json!({ "pid": pid })
        }
        "half" => json!(db.read(request.deadline(), &Half).await?),
        "unsupported" => json!(db.read(request.deadline(), &Unsupported).await?),
        "user" => json!({ "user": db.read(request.deadline(), &CurrentUser).await? }),
        "variable" => json!({ "value": std::env::var(request.query("name")?.unwrap()).ok() }),
        _ => json!({ "pid": pid }),
    };
    Ok(Response::json(StatusCode::OK, &answer))
}
