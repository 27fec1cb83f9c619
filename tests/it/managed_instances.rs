//! Several invocations at once in one sandbox, as on Lambda Managed Instances.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use local::sandbox::{Condition, Program};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tests::{Answer, Api, Database, FaultProxy, Options, eventually, http_event, is_stopped};

use crate::bench::{Bench, settings};

const PATH: &str = "/api/user/purchased-models";
const FUNCTION: &str = "purchased-models";
/// Invocations at once.
pub(crate) const N: usize = 4;

fn managed() -> Options {
    Options::direct().with_variable("AWS_LAMBDA_MAX_CONCURRENCY", &N.to_string())
}

/// With the function that does what its query says in the place of the real one.
fn scripted() -> Options {
    let mut options = managed();
    options.executables.insert(FUNCTION.into(), tests::scripted_route());
    options
}

async fn ask(api: &Api, query: &str) -> Answer {
    api.get_as("user-1", &format!("{PATH}?{query}")).await
}

/// How many of the functions' sessions wait for a lock.
pub(crate) async fn waiting(observer: &mut PgConnection) -> i64 {
    let query = "select count(*) from pg_stat_activity where datname = current_database() and usename = 'thaw_app' and wait_event_type = 'Lock'";
    sqlx::query_scalar(query).fetch_one(observer).await.unwrap()
}

/// Holds `count` requests at once by a lock, until `meanwhile` is over. Tells what they were answered.
async fn while_blocked<T>(database: &Database, api: &Api, count: usize, meanwhile: impl AsyncFnOnce(&mut PgConnection) -> T) -> (Vec<Answer>, T) {
    let (mut locker, mut observer) = (database.connect_admin().await, database.connect_admin().await);
    let mut lock = locker.begin().await.unwrap();
    sqlx::raw_sql("select pg_advisory_xact_lock(1)").execute(&mut *lock).await.unwrap();
    let blocked = join_all((0..count).map(|_| ask(api, "do=lock&key=1")));
    let meanwhile = async {
        eventually("all wait at once", async || waiting(&mut observer).await == i64::try_from(count).unwrap()).await;
        let result = meanwhile(&mut observer).await;
        lock.rollback().await.unwrap();
        result
    };
    tokio::join!(blocked, meanwhile)
}

#[tokio::test]
async fn many_callers_share_one_process_and_as_many_sessions_as_invocations_at_once() {
    let database = Database::seeded().await;
    let api = Api::with(&database, managed()).await;
    let subjects: Vec<String> = (1..=40).map(|number| format!("user-{number}")).collect();
    let (done, mut watched) = (tokio::sync::watch::Sender::new(false), 0);
    let asked = async {
        let requests = subjects.iter().map(|subject| api.get_as(subject, PATH));
        let answers: Vec<Answer> = futures_util::stream::iter(requests).buffered(N).collect().await;
        done.send_replace(true);
        answers
    };
    let watch = async {
        while !*done.borrow() {
            watched = watched.max(database.app_sessions().await.len());
        }
    };
    let (answers, ()) = tokio::join!(asked, watch);
    assert!((1..=N).contains(&watched), "{watched} sessions");
    let [sandbox] = &api.sandboxes(FUNCTION).await[..] else { panic!("{:?}", api.sandboxes(FUNCTION).await) };
    assert_eq!(sandbox.invocations, 40);
    let mut bodies = BTreeSet::new();
    for (subject, answer) in subjects.iter().zip(&answers) {
        let again = api.get_as(subject, PATH).await;
        assert_eq!((answer.status, &answer.body), (200, &again.body), "{subject}");
        bodies.insert(&answer.body);
    }
    assert_eq!(bodies.len(), 40, "each caller has data of its own");
    api.stop().await;
}

#[tokio::test]
async fn an_invocation_is_served_while_others_wait_in_the_same_process() {
    let database = Database::fresh().await;
    let api = Api::with(&database, scripted()).await;
    let (blocked, free) = while_blocked(&database, &api, N - 1, async |_| {
        assert_eq!(database.app_sessions().await.len(), N - 1);
        ask(&api, "do=lock&key=2").await
    })
    .await;
    assert_eq!(free.status, 200, "{free:?}");
    for answer in &blocked {
        assert_eq!((answer.status, &answer.json()["pid"]), (200, &free.json()["pid"]), "{answer:?}");
    }
    assert_eq!(database.app_sessions().await.len(), N);
    assert_eq!(api.sandboxes(FUNCTION).await.len(), 1);
    api.stop().await;
}

#[tokio::test]
async fn one_invocation_more_than_a_sandbox_takes_starts_another() {
    let database = Database::fresh().await;
    let api = Api::with(&database, scripted()).await;
    let (blocked, _) = while_blocked(&database, &api, N, async |_| assert_eq!(api.sandboxes(FUNCTION).await.len(), 1)).await;
    assert!(blocked.iter().all(|answer| answer.status == 200), "{blocked:?}");
    let (blocked, _) = while_blocked(&database, &api, N + 1, async |_| assert_eq!(api.sandboxes(FUNCTION).await.len(), 2)).await;
    assert!(blocked.iter().all(|answer| answer.status == 200), "{blocked:?}");
    let processes: BTreeSet<u64> = blocked.iter().map(|answer| answer.json()["pid"].as_u64().unwrap()).collect();
    assert_eq!(processes.len(), 2);
    api.stop().await;
}

#[tokio::test]
async fn a_backend_terminated_while_other_invocations_run_is_replaced_unnoticed() {
    let database = Database::fresh().await;
    let api = Api::with(&database, scripted()).await;
    let (blocked, victim) = while_blocked(&database, &api, N, async |observer| {
        let victim = database.app_sessions().await[0];
        sqlx::query("select pg_terminate_backend($1, 5000)").bind(victim).execute(&mut *observer).await.unwrap();
        eventually("it waits again, in another session", async || waiting(observer).await == 4 && !database.app_sessions().await.contains(&victim))
            .await;
        victim
    })
    .await;
    let sessions: BTreeSet<i64> = blocked.iter().map(|answer| answer.json()["session"].as_i64().expect("it was served")).collect();
    assert!(sessions.len() == N && !sessions.contains(&victim.into()), "{sessions:?} without {victim}");
    assert_eq!(database.app_sessions().await.len(), N);
    api.stop().await;
}

#[tokio::test]
async fn sessions_that_all_died_idle_cost_no_request() {
    let database = Database::fresh().await;
    let api = Api::with(&database, scripted().with_variable("RETRY_MAX_ATTEMPTS", "1")).await;
    while_blocked(&database, &api, N, async |_| ()).await;
    database.terminate_app_sessions().await;
    let alone = ask(&api, "do=lock&key=2").await;
    assert_eq!(alone.status, 200, "it met no more than one of the dead: {alone:?}");
    let (blocked, ()) = while_blocked(&database, &api, N, async |_| ()).await;
    assert!(blocked.iter().all(|answer| answer.status == 200), "{blocked:?}");
    api.stop().await;
}

#[tokio::test]
async fn the_end_of_a_sandbox_closes_every_idle_session_politely() {
    // Postgres documentation, section 55.7: Terminate is one letter and a length of four.
    const TERMINATE_BYTES: u64 = 5;
    let database = Database::fresh().await;
    let proxy = FaultProxy::to(database.address()).await;
    let api = Api::with(&database, scripted().with_variable("DATABASE_URL", &database.app_url_at(proxy.address()))).await;
    while_blocked(&database, &api, N, async |_| ()).await;
    assert_eq!(database.app_sessions().await.len(), N);
    let sent = proxy.client_bytes();
    api.stop().await;
    eventually("no session is left behind", async || database.app_sessions().await.is_empty()).await;
    assert_eq!(proxy.client_bytes() - sent, TERMINATE_BYTES * N as u64);
}

#[tokio::test]
async fn an_invocation_under_way_at_the_end_has_a_moment_to_be_answered() {
    let database = Database::fresh().await;
    let environment = [("AWS_LAMBDA_MAX_CONCURRENCY", N.to_string()), ("DATABASE_URL", database.app_url())];
    let program = Program {
        function: "scripted".into(),
        executable: tests::scripted_route().into(),
        memory_mb: 128,
        timeout: Duration::from_secs(10),
        environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
    };
    let bench = Bench::of(program, &settings(1));
    let (mut locker, mut observer) = (database.connect_admin().await, database.connect_admin().await);
    let mut lock = locker.begin().await.unwrap();
    sqlx::raw_sql("select pg_advisory_xact_lock(1)").execute(&mut *lock).await.unwrap();
    let mut event = http_event("purchased-models-get.json");
    event["rawQueryString"] = "do=lock&key=1".into();
    let release = async {
        eventually("it waits", async || waiting(&mut observer).await == 1).await;
        let unlock = async {
            // Beyond SIGTERM, and long before SIGKILL.
            tokio::time::sleep(Duration::from_millis(20)).await;
            lock.rollback().await.unwrap();
        };
        tokio::join!(bench.cloud.shut_down(), unlock);
    };
    let (answer, ()) = tokio::join!(bench.invoke(event), release);
    assert_eq!(answer.unwrap()["statusCode"], 200);
}

#[tokio::test]
async fn a_handler_that_panics_takes_no_other_invocation_along() {
    let database = Database::fresh().await;
    let api = Api::with(&database, scripted()).await;
    let (blocked, panicked) = while_blocked(&database, &api, N - 1, async |_| ask(&api, "do=panic").await).await;
    assert_eq!((panicked.status, panicked.body.as_str()), (500, r#"{"message":"Internal Server Error"}"#), "{panicked:?}");
    assert!(blocked.iter().all(|answer| answer.status == 200), "{blocked:?}");
    assert_eq!(api.sandboxes(FUNCTION).await.len(), 1);
    api.stop().await;
}

#[tokio::test]
async fn every_line_of_concurrent_invocations_carries_its_own_request_id() {
    let database = Database::fresh().await;
    let api = Api::with(&database, scripted()).await;
    while_blocked(&database, &api, N, async |_| ()).await;
    let ids: BTreeSet<String> = api
        .logs()
        .iter()
        .filter(|line| line.text.contains("served"))
        .map(|line| serde_json::from_str::<serde_json::Value>(&line.text).unwrap()["span"]["request_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), N);
    api.stop().await;
}

#[tokio::test]
async fn a_sandbox_for_several_invocations_is_not_frozen_and_its_timeout_not_enforced() {
    let bench = Bench::new(Duration::from_secs(1), &settings(1), &[("AWS_LAMBDA_MAX_CONCURRENCY", "2")]);
    let sleep = || bench.invoke(json!({"do": "sleep", "ms": 2_000}));
    let (first, second) = tokio::join!(sleep(), sleep());
    assert_eq!(first.unwrap()["pid"], second.unwrap()["pid"], "both at once, past the timeout of one second");
    eventually("it waits for invocations", async || bench.only().await.condition == Condition::Idle).await;
    let sandbox = bench.only().await;
    assert!(!is_stopped(sandbox.pid));
    assert_eq!((sandbox.invocations, sandbox.thaws), (2, 0));
    bench.cloud.shut_down().await;
}
