//! PgBouncer, which nobody here wrote, between the functions and the database.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use shared::config::{self, Credentials, Tls};
use shared::deadline::Deadline;
use shared::{Db, Query};
use sqlx::PgConnection;
use tests::pgbouncer::{PgBouncer, Program, Settings, programs};
use tests::{Api, Database, Options};

use crate::behind_proxy::PATH;
use crate::in_process;

const CLIENTS: u32 = 8;
const CALLS: u32 = 20_000;
/// Each client has so many statements, none of them another's.
const STATEMENTS: u32 = 4;

/// Two of them, so that a statement often meets another connection than it was prepared on.
const SHARED: Settings = Settings { max_prepared_statements: 200, connections: 2, trust: true };
const UNTRACKED: Settings = Settings { max_prepared_statements: 0, ..SHARED };

/// The programs on this machine; says so where there are none.
fn installed() -> Vec<Program> {
    let programs = programs();
    if programs.is_empty() {
        assert!(std::env::var_os("THAW_TEST_POOLER").is_none(), "there is no PgBouncer: .ci/pgbouncer fetches two");
        eprintln!("NOT TESTED: there is no PgBouncer in target/pgbouncer; .ci/pgbouncer fetches it");
    }
    programs
}

/// A statement that answers with its own marker.
struct Marked {
    sql: String,
}

impl Query for Marked {
    type Output = String;

    async fn run(&self, connection: &mut PgConnection) -> Result<String, sqlx::Error> {
        sqlx::query_scalar(&self.sql).fetch_one(connection).await
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Answers {
    right: u32,
    wrong: u32,
    failed: u32,
}

impl Answers {
    fn count(&mut self, expected: &str, answer: Option<&str>) {
        match answer {
            Some(answer) if answer == expected => self.right += 1,
            Some(_) => self.wrong += 1,
            None => self.failed += 1,
        }
    }

    fn sum(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), |sum, part| Self {
            right: sum.right + part.right,
            wrong: sum.wrong + part.wrong,
            failed: sum.failed + part.failed,
        })
    }
}

fn marker(client: u32, call: u32) -> String {
    format!("client {client}, statement {}", call % STATEMENTS)
}

/// Calls by as many clients as thaw has them.
async fn calls_of_thaw(database: &Database, pooler: &PgBouncer) -> (Answers, Vec<String>) {
    let target = config::Database {
        host: pooler.address().ip().to_string(),
        port: pooler.address().port(),
        name: database.name().to_owned(),
        user: "thaw_app".to_owned(),
        credentials: Credentials::Password("none".into()),
        tls: Tls::Disable,
    };
    let clients = (0..CLIENTS).map(|client| {
        let db = Db::new(in_process::config(target.clone()), "pgbouncer".to_owned());
        async move {
            let (mut answers, mut errors) = (Answers::default(), Vec::new());
            for call in 0..CALLS / CLIENTS {
                let expected = marker(client, call);
                let statement = Marked { sql: format!("select '{expected}'") };
                let answer = db.read(Deadline::after(Duration::from_secs(9), Instant::now()), &statement).await;
                answers.count(&expected, answer.as_deref().ok());
                errors.extend(answer.err().map(|error| error.chain()));
            }
            db.close().await;
            (answers, errors)
        }
    });
    let (answers, errors): (Vec<_>, Vec<_>) = join_all(clients).await.into_iter().unzip();
    (Answers::sum(answers), errors.concat())
}

/// The same by the driver alone, which trusts in its names.
async fn calls_of_the_driver(database: &Database, pooler: &PgBouncer) -> Answers {
    let clients = (0..CLIENTS).map(|client| {
        let options = database.app().host(&pooler.address().ip().to_string()).port(pooler.address().port());
        async move {
            let mut connection = <PgConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
            let mut answers = Answers::default();
            for call in 0..CALLS / CLIENTS {
                let expected = marker(client, call);
                let sql = format!("select '{expected}'");
                let answer = sqlx::query_scalar::<_, String>(&sql).persistent(false).fetch_one(&mut connection).await;
                answers.count(&expected, answer.as_deref().ok());
            }
            answers
        }
    });
    Answers::sum(join_all(clients).await)
}

#[tokio::test]
async fn eight_clients_on_two_connections_get_their_own_rows_or_a_clear_error() {
    let database = Database::fresh().await;
    for program in installed() {
        let untracked = database.behind(&program, UNTRACKED).await;
        let driver = calls_of_the_driver(&database, &untracked).await;
        assert!(driver.wrong > 0, "the load does not tempt: {driver:?}");
        let began = Instant::now();
        let (answers, errors) = calls_of_thaw(&database, &untracked).await;
        println!("{program:?}, untracked: driver {driver:?}, thaw {answers:?} in {:?}", began.elapsed());
        assert_eq!(answers, Answers { failed: CALLS, ..Answers::default() });
        for error in errors {
            assert!(error.contains("does not keep track of prepared statements") && error.contains("PgBouncer 1.21"), "{error}");
        }
        if program.can_track {
            let tracked = database.behind(&program, SHARED).await;
            let began = Instant::now();
            let (answers, errors) = calls_of_thaw(&database, &tracked).await;
            println!("{program:?}, tracked: {answers:?} in {:?}", began.elapsed());
            assert_eq!(answers, Answers { right: CALLS, ..Answers::default() }, "{:?}", errors.first());
        }
    }
}

#[tokio::test]
async fn a_pooler_that_keeps_no_track_of_statements_is_an_error_that_says_so() {
    let database = Database::seeded().await;
    for program in installed() {
        let pooler = database.behind(&program, Settings { trust: false, ..UNTRACKED }).await;
        let api = Api::with(&database, Options::default().by_url(&database.app_url_at(pooler.address()))).await;
        let answer = api.get_as("user-1", PATH).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
        assert!(!answer.body.contains("pooler"), "private detail: {}", answer.body);
        let logs = api.logs();
        let told = |what: &str| logs.iter().any(|line| line.text.contains(what) && line.text.contains("use PgBouncer 1.21 or later"));
        assert!(told("no connection during init") && told("not served"), "{logs:?}");
        assert!(logs.iter().any(|line| line.text.contains(r#""reconnects":0"#)), "nothing is tried again: {logs:?}");
        api.stop().await;
        if program.can_track {
            let pooler = database.behind(&program, Settings { trust: false, ..SHARED }).await;
            let api = Api::with(&database, Options::default().by_url(&database.app_url_at(pooler.address()))).await;
            assert_eq!(api.get_as("user-1", PATH).await.status, 200);
            api.stop().await;
        }
    }
}
