//! A function that writes by key, over accounts and transfers of its own.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::api::{Api, Options};
use crate::client::Answer;
use crate::database::Database;
use crate::fault_proxy::FaultProxy;
use crate::functions;

/// It stands in the place of this function, behind its route.
const FUNCTION: &str = "purchased-models";
const PATH: &str = "/api/user/purchased-models";

/// What each account begins with.
const CENTS: i64 = 100;

/// The function of `keyed_function.rs`, behind a proxy to the database.
pub struct Ledger {
    /// The bundle with that function.
    pub api: Api,
    /// Between function and database.
    pub proxy: FaultProxy,
    /// Where the accounts are.
    pub database: Database,
}

impl Ledger {
    /// Two accounts, a and b, in a database of the test's own. `settings` are those of the functions' role there: a lock may be waited for
    /// as long as an attempt takes, unless they say otherwise.
    pub async fn on(database: Database, settings: &[(&str, &str)]) -> Self {
        let mut admin = database.connect_admin().await;
        let lenient = [("lock_timeout", "4s"), ("statement_timeout", "8s")];
        for (name, value) in lenient.iter().chain(settings) {
            let set = format!("alter role thaw_app in database \"{}\" set {name} = '{value}'", database.name());
            sqlx::raw_sql(&set).execute(&mut admin).await.unwrap();
        }
        sqlx::raw_sql(&format!(
            "create table accounts (name text primary key, cents bigint not null);
             create table transfers (principal text, key text, answer uuid not null default gen_random_uuid(), primary key (principal, key));
             insert into accounts values ('a', {CENTS}), ('b', {CENTS});
             grant select, insert, update on accounts, transfers to thaw_app"
        ))
        .execute(&mut admin)
        .await
        .unwrap();
        let proxy = FaultProxy::to(database.address()).await;
        let mut options = Options::default().by_url(&database.app_url_at(proxy.address()));
        options.executables.insert(FUNCTION.to_owned(), functions::keyed());
        Self { api: Api::with(&database, options).await, proxy, database }
    }

    /// Two accounts on the shared server.
    pub async fn fresh() -> Self {
        Self::on(Database::fresh().await, &[]).await
    }

    /// Asks the function, with a query string.
    pub async fn ask(&self, query: impl AsRef<str>) -> Answer {
        self.api.get_as("user-1", &format!("{PATH}?{}", query.as_ref())).await
    }

    /// Moves a cent from a to b in one statement, which has to be served; gives the answer, and how often the work ran.
    pub async fn transfer(&self, key: &str) -> (Uuid, u64) {
        served(&self.ask(transfer(key)).await)
    }

    /// Whether the function's server is a standby, and how often it was asked.
    pub async fn is_standby(&self) -> (bool, u64) {
        let answer = self.ask("do=where").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.json()["answer"].as_bool().unwrap(), answer.json()["runs"].as_u64().unwrap())
    }

    /// What a has given and b got.
    pub async fn moved(&self) -> i64 {
        moved(&mut self.database.connect_admin().await).await
    }

    /// How many sessions of the function wait for a lock.
    pub async fn waiting(&self) -> i64 {
        let waiting =
            "select count(*) from pg_stat_activity where datname = current_database() and usename = 'thaw_app' and wait_event_type = 'Lock'";
        sqlx::query_scalar(waiting).fetch_one(&mut self.database.connect_admin().await).await.unwrap()
    }

    /// The answer that was recorded under a key of user-1.
    pub async fn recorded(&self, key: &str) -> Option<Uuid> {
        recorded(&mut self.database.connect_admin().await, key).await
    }
}

/// The query of a transfer from a to b in one statement.
#[must_use]
pub fn transfer(key: &str) -> String {
    format!("do=transfer&from=a&to=b&key={key}")
}

/// What a served request says: the answer of the transfer, and how often the work ran.
#[must_use]
pub fn served(answer: &Answer) -> (Uuid, u64) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body: Value = answer.json();
    (body["answer"].as_str().expect("a transfer").parse().unwrap(), body["runs"].as_u64().unwrap())
}

/// What a has given and b got, as this connection sees it.
pub async fn moved(connection: &mut PgConnection) -> i64 {
    let cents: Vec<i64> = sqlx::query_scalar("select cents from accounts order by name").fetch_all(connection).await.unwrap();
    assert_eq!(cents.iter().sum::<i64>(), CENTS * 2, "{cents:?}");
    CENTS - cents[0]
}

/// The answer that was recorded under a key of user-1, as this connection sees it.
pub async fn recorded(connection: &mut PgConnection, key: &str) -> Option<Uuid> {
    sqlx::query_scalar("select answer from transfers where principal = 'user-1' and key = $1").bind(key).fetch_optional(connection).await.unwrap()
}
