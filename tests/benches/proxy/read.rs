//! The read that is measured: the committed statement of a list, and how clients come to it.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use local::proxy::Proxy;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, PgConnection, Row as _};
use tests::raw_client::token;
use uuid::Uuid;

/// As many as a page of twenty asks for.
const ROWS: i64 = 21;

/// What a buyer bought, newest first: the statement of the function `purchased-models`, as the compiler has described it.
pub(crate) fn statement() -> Result<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    for entry in std::fs::read_dir(&directory).context("the folder .sqlx is not there")? {
        let described: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(entry?.path())?)?;
        let query = described["query"].as_str().unwrap_or_default();
        if query.contains("from purchases p") && query.contains("limit") {
            return Ok(query.to_owned());
        }
    }
    anyhow::bail!("no file in .sqlx describes the list of purchases")
}

/// Runs it; the keys of its rows.
pub(crate) async fn read(connection: &mut PgConnection, sql: &str, subject: &str) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows = sqlx::query(sql).bind(subject).bind(Uuid::max()).bind(ROWS).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get("id")).collect()
}

/// How a function connects to the stand-in: TLS, and a token for a password. The port may be that of a forwarder before it.
pub(crate) fn through(proxy: &Proxy, port: u16) -> PgConnectOptions {
    let environment = proxy.environment();
    PgConnectOptions::new_without_pgpass()
        .host(&environment["DB_HOST"])
        .port(port)
        .database(&environment["DB_NAME"])
        .username("thaw_app")
        .password(&token(proxy, "thaw_app", SystemTime::now()))
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(&environment["DB_CA_FILE"])
        .disable_statement_logging()
}
