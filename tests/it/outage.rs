//! The database goes away and comes back.

use std::time::Duration;

use sqlx::Connection as _;
use tests::{Api, Cluster, Database, Options, eventually};

const PATHS: [&str; 2] = ["/api/user/purchased-models", "/api/models/user-models"];

#[tokio::test]
async fn a_stopped_database_gives_503_before_the_deadline_and_200_once_it_is_back() {
    let mut cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let api = Api::with(&database, Options::direct()).await;
    for path in PATHS {
        assert_eq!(api.get_as("user-1", path).await.status, 200);
    }
    cluster.stop().await;
    let (first, second, health) = tokio::join!(api.get_as("user-1", PATHS[0]), api.get_as("user-1", PATHS[1]), api.get("/api/debug/db-health"));
    // Past its deadline a function is killed, and the gateway says 500: so a 503 of its own came before.
    for answer in [first, second] {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.json()["type"], "/problems/database-unavailable");
        assert!(!answer.body.contains("127.0.0.1") && !answer.body.contains("refused"), "private detail: {}", answer.body);
    }
    assert_eq!((health.status, &health.json()["status"]), (503, &"fail".into()), "{health:?}");
    let logs = api.logs();
    let line = logs.iter().find(|line| line.text.contains("did not answer the probe")).expect("the failure is logged");
    // The second is PgBouncer's word for it.
    assert!(line.text.contains("refused") || line.text.contains("connect failed"), "with its cause: {}", line.text);
    assert!(!health.body.contains("127.0.0.1") && !health.body.contains("refused"), "private detail: {}", health.body);
    let pids: Vec<_> = [api.sandboxes("purchased-models").await, api.sandboxes("user-models").await].concat().iter().map(|s| s.pid).collect();
    cluster.start().await;
    for path in PATHS {
        // The breaker may still refuse, for at most a second.
        eventually("it serves again", async || api.get_as("user-1", path).await.status == 200).await;
    }
    assert_eq!(api.get("/api/debug/db-health").await.status, 200);
    let after: Vec<_> = [api.sandboxes("purchased-models").await, api.sandboxes("user-models").await].concat().iter().map(|s| s.pid).collect();
    assert_eq!(pids, after, "the same sandboxes serve again");
    api.stop().await;
}

#[tokio::test]
async fn a_request_that_meets_a_restart_waits_for_its_end() {
    let mut cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let api = Api::over(&database).await;
    assert_eq!(api.get_as("user-1", PATHS[0]).await.status, 200);
    cluster.stop().await;
    let restart = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        cluster.start().await;
    };
    let (answer, ()) = tokio::join!(api.get_as("user-1", PATHS[0]), restart);
    assert_eq!(answer.status, 200, "{answer:?}");
    api.stop().await;
}

#[tokio::test]
async fn a_cold_start_without_a_database_answers_and_recovers() {
    let mut cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let api = Api::with(&database, Options::default().with_variable("RETRY_BUDGET_MS", "2000")).await;
    cluster.stop().await;
    assert_eq!(api.get_as("user-1", PATHS[0]).await.status, 503);
    cluster.start().await;
    eventually("it serves", async || api.get_as("user-1", PATHS[0]).await.status == 200).await;
    api.stop().await;
}

#[tokio::test]
async fn a_statement_past_its_time_is_504_and_a_wrong_one_500_without_the_databases_words() {
    let cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let mut admin = database.connect_admin().await;
    sqlx::raw_sql("alter role thaw_app set lock_timeout = 0; alter role thaw_app set statement_timeout = '300ms'").execute(&mut admin).await.unwrap();
    let api = Api::over(&database).await;
    let mut lock = admin.begin().await.unwrap();
    sqlx::raw_sql("lock table purchases in access exclusive mode").execute(&mut *lock).await.unwrap();
    let answer = api.get_as("user-1", PATHS[0]).await;
    assert_eq!((answer.status, &answer.json()["type"]), (504, &"/problems/statement-timeout".into()), "{answer:?}");
    lock.rollback().await.unwrap();
    assert_eq!(api.get_as("user-1", PATHS[0]).await.status, 200);
    sqlx::raw_sql("drop table purchases").execute(&mut admin).await.unwrap();
    let answer = api.get_as("user-1", PATHS[0]).await;
    assert_eq!((answer.status, &answer.json()["type"]), (500, &"/problems/internal".into()), "{answer:?}");
    assert!(!answer.body.contains("purchases") && !answer.body.contains("relation"), "private detail: {}", answer.body);
    assert!(api.logs().iter().any(|line| line.text.contains(r#""sqlstate":"42P01""#)), "the log has it");
    api.stop().await;
}

#[tokio::test]
async fn a_migration_under_a_warm_connection_is_not_noticed() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let before = api.get_as("user-1", PATHS[0]).await;
    let mut admin = database.connect_admin().await;
    sqlx::raw_sql("alter table models alter column title type varchar(500)").execute(&mut admin).await.unwrap();
    let after = api.get_as("user-1", PATHS[0]).await;
    assert_eq!((after.status, after.body), (200, before.body));
    api.stop().await;
}

#[tokio::test]
async fn a_wrong_environment_stops_init_with_the_variables_name() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options::default().with_variable("RETRY_BUDGET_MS", "soon")).await;
    let answer = api.get_as("user-1", PATHS[0]).await;
    assert_eq!((answer.status, answer.body.as_str()), (500, r#"{"message":"Internal Server Error"}"#));
    let logs = api.logs();
    assert!(logs.iter().any(|line| line.text.contains("RETRY_BUDGET_MS must be a whole number from 10 to 900000, not")), "{logs:?}");
    api.stop().await;
}

#[tokio::test]
async fn a_database_that_is_gone_behind_the_proxy_is_not_asked_again_and_again() {
    let mut cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let settings = local::proxy::Settings { borrow_timeout: Duration::from_millis(300), ..local::proxy::Settings::default() };
    let options = Options { proxy: Some(settings), ..Options::default() }.with_variable("RETRY_BUDGET_MS", "3000");
    let api = Api::with(&database, options).await;
    assert_eq!(api.get_as("user-1", PATHS[0]).await.status, 200);
    cluster.stop().await;
    let failed = async || {
        assert_eq!(api.get_as("user-1", PATHS[0]).await.status, 503);
        api.logs().into_iter().rfind(|line| line.text.contains("not served")).unwrap().text
    };
    let asked = failed().await;
    assert!(!asked.contains(r#""reconnects":0"#), "{asked}");
    // That one may have spent a part of its budget on the connection that it had; a whole one is enough.
    failed().await;
    let refused = failed().await;
    assert!(refused.contains(r#""reconnects":0"#) && !refused.contains("sqlstate"), "the breaker answers: {refused}");
    cluster.start().await;
    eventually("it serves again", async || api.get_as("user-1", PATHS[0]).await.status == 200).await;
    api.stop().await;
}
