//! The connection survives the freeze.

use std::time::Duration;

use sqlx::Connection as _;
use tests::{Api, Database, Options, eventually, is_stopped};

const PATH: &str = "/api/user/purchased-models";
const FUNCTION: &str = "purchased-models";

#[tokio::test]
async fn a_sandbox_is_frozen_between_invocations_and_keeps_its_connection() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    let first = api.frozen(FUNCTION).await;
    assert!(is_stopped(first.pid), "the process is stopped by a signal");
    let sessions = database.app_sessions().await;
    assert_eq!(sessions.len(), 1, "one connection: {sessions:?}");
    for count in 1..=20 {
        assert_eq!(api.get_as("user-1", PATH).await.status, 200);
        let sandbox = api.frozen(FUNCTION).await;
        assert_eq!((sandbox.pid, sandbox.invocations, sandbox.thaws), (first.pid, count + 1, count));
    }
    assert_eq!(database.app_sessions().await, sessions, "the same connection through every freeze");
    api.stop().await;
    eventually("no session is left behind", async || database.app_sessions().await.is_empty()).await;
}

#[tokio::test]
async fn a_backend_that_was_terminated_in_the_freeze_is_replaced_unnoticed() {
    let database = Database::seeded().await;
    let api = Api::with(&database, Options::direct()).await;
    let before = api.get_as("user-1", PATH).await;
    api.frozen(FUNCTION).await;
    let sessions = database.app_sessions().await;
    database.terminate_app_sessions().await;
    let after = api.get_as("user-1", PATH).await;
    assert_eq!((after.status, after.body), (200, before.body));
    let renewed = database.app_sessions().await;
    assert_eq!(renewed.len(), 1);
    assert_ne!(renewed, sessions);
    api.stop().await;
}

#[tokio::test]
async fn a_long_idle_connection_is_pinged_and_a_lost_one_replaced_before_use() {
    let database = Database::seeded().await;
    let api = Api::with(&database, Options::direct().with_variable("DB_MAX_IDLE_MS", "50").with_variable("DB_PING_TIMEOUT_MS", "10000")).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    api.frozen(FUNCTION).await;
    let sessions = database.app_sessions().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    assert_eq!(database.app_sessions().await, sessions, "a live one passes its ping");
    api.frozen(FUNCTION).await;
    database.terminate_app_sessions().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    assert!(api.logs().iter().any(|line| line.text.contains("did not outlive its idleness")), "{:?}", api.logs());
    api.stop().await;
}

#[tokio::test]
async fn a_busy_sandbox_is_joined_by_a_second_one() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    let mut admin = database.connect_admin().await;
    let mut lock = admin.begin().await.unwrap();
    sqlx::raw_sql("lock table purchases in access exclusive mode").execute(&mut *lock).await.unwrap();
    let release = async {
        // Both wait for the lock by now, each in a sandbox of its own, for at most lock_timeout.
        for _ in 0..100 {
            let mut observer = database.connect_admin().await;
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where datname = current_database() and usename = 'thaw_app' and wait_event_type = 'Lock'",
            )
            .fetch_one(&mut observer)
            .await
            .unwrap();
            if waiting == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        lock.rollback().await.unwrap();
    };
    let (first, second, ()) = tokio::join!(api.get_as("user-1", PATH), api.get_as("user-1", PATH), release);
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(api.sandboxes(FUNCTION).await.len(), 2);
    assert_eq!(database.app_sessions().await.len(), 2, "one connection each");
    api.stop().await;
}

#[tokio::test]
async fn a_lock_that_is_held_on_ends_in_503_and_not_in_silence() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    let sessions = database.app_sessions().await;
    let mut admin = database.connect_admin().await;
    let mut lock = admin.begin().await.unwrap();
    sqlx::raw_sql("lock table purchases in access exclusive mode").execute(&mut *lock).await.unwrap();
    let answer = api.get_as("user-1", PATH).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["type"], "/problems/database-unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    let line = api.logs().into_iter().find(|line| line.text.contains("not served")).expect("the failure is logged");
    assert_eq!(database.app_sessions().await, sessions, "the connection is sound, and kept");
    assert!(line.text.contains(r#""sqlstate":"55P03""#) && line.text.contains(r#""resends":3"#), "{}", line.text);
    lock.rollback().await.unwrap();
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn every_line_of_an_invocation_carries_its_request_id() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let outcome = api.invoke(FUNCTION, &tests::http_event("purchased-models-get.json")).await.unwrap();
    api.frozen(FUNCTION).await;
    let line = api.logs().into_iter().find(|line| line.text.contains("served")).expect("a served request is logged");
    let log: serde_json::Value = serde_json::from_str(&line.text).unwrap();
    assert_eq!(log["span"]["request_id"], outcome.request_id.as_str(), "{log}");
    assert_eq!((&log["level"], &log["status"]), (&"INFO".into(), &200.into()), "{log}");
    assert!(log["duration_ms"].is_f64() && log["request"] == "GET /api/user/purchased-models", "{log}");
    api.stop().await;
}
