//! The database goes away and comes back.

use std::time::{Duration, Instant};

use tests::{Api, Cluster, Options};

const PATHS: [&str; 2] = ["/api/user/purchased-models", "/api/models/user-models"];

#[tokio::test]
async fn a_stopped_database_gives_503_before_the_deadline_and_200_once_it_is_back() {
    let mut cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let api = Api::over(&database).await;
    for path in PATHS {
        assert_eq!(api.get_as("user-1", path).await.status, 200);
    }
    cluster.stop().await;
    let began = Instant::now();
    let (first, second, health) = tokio::join!(api.get_as("user-1", PATHS[0]), api.get_as("user-1", PATHS[1]), api.get("/api/debug/db-health"));
    // The function's timeout in the template is 10 s; a process that passed it would be killed, and the gateway would say 500.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for answer in [first, second] {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.json()["type"], "/problems/database-unavailable");
        assert!(!answer.body.contains("127.0.0.1") && !answer.body.contains("refused"), "private detail: {}", answer.body);
    }
    assert_eq!((health.status, &health.json()["status"]), (503, &"fail".into()), "{health:?}");
    assert!(!health.body.contains("127.0.0.1") && !health.body.contains("refused"), "private detail: {}", health.body);
    let pids: Vec<_> = [api.sandboxes("purchased-models").await, api.sandboxes("user-models").await].concat().iter().map(|s| s.pid).collect();
    cluster.start().await;
    for path in PATHS {
        assert_eq!(api.get_as("user-1", path).await.status, 200, "{path}");
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
    let api = Api::with(&database, Options::default().with_variable("RETRY_BUDGET_MS", "300").with_variable("DB_WARM_IN_INIT", "true")).await;
    cluster.stop().await;
    assert_eq!(api.get_as("user-1", PATHS[0]).await.status, 503);
    cluster.start().await;
    assert_eq!(api.get_as("user-1", PATHS[0]).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn a_wrong_environment_stops_init_with_the_variables_name() {
    let cluster = Cluster::own().await;
    let database = cluster.database().await;
    let api = Api::with(&database, Options::default().with_variable("RETRY_BUDGET_MS", "soon")).await;
    let answer = api.get_as("user-1", PATHS[0]).await;
    assert_eq!((answer.status, answer.body.as_str()), (500, r#"{"message":"Internal Server Error"}"#));
    let logs = api.logs();
    assert!(logs.iter().any(|line| line.text.contains("RETRY_BUDGET_MS must be a whole number from 10 to 900000, not")), "{logs:?}");
    api.stop().await;
}
