//! What the monitor says of a real server, and what it does where a part of it cannot be seen.

use std::time::Duration;

use local::roles::OPS_ROLE;
use serde_json::{Value, json};
use sqlx::Executor as _;
use tests::{Api, Cluster, Database, Fault, FaultProxy, Options, eventually, http_event, with_claims};

const CHECKS: [&str; 18] = [
    "server:version",
    "connections:total",
    "connections:by",
    "activity:longest_query",
    "activity:longest_transaction",
    "activity:blocked",
    "replication:lag",
    "keys:oldest",
    "cache:hit_ratio",
    "database:commits",
    "database:rollbacks",
    "database:deadlocks",
    "database:temp_bytes",
    "database:size",
    "tables:size",
    "indexes:size",
    "tables:dead_tuples",
    "statements:slowest",
];

async fn respond(api: &Api) -> (u64, Value) {
    let response = api.respond("monitor", &http_event("monitor-get.json")).await;
    (response["statusCode"].as_u64().unwrap(), serde_json::from_str(response["body"].as_str().unwrap()).unwrap())
}

async fn monitor(api: &Api) -> Value {
    let (status, report) = respond(api).await;
    assert_eq!(status, 200, "{report}");
    let ids: Vec<_> = report["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
    assert_eq!(ids, CHECKS);
    report
}

fn check<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap()
}

/// The checks that could not be made.
fn unknown(report: &Value) -> Vec<&str> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["status"] == "unknown").map(|check| check["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_check_of_a_seeded_database_has_its_value_and_passes() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let report = monitor(&api).await;
    assert!(report["version"].as_str().unwrap().starts_with(|first: char| first.is_ascii_digit()), "{report}");
    assert_eq!(unknown(&report), Vec::<&str>::new(), "{report}");
    // Texts, because a client of JavaScript would round the numbers.
    for id in ["database:commits", "database:rollbacks", "database:deadlocks", "database:temp_bytes", "database:size"] {
        let value = check(&report, id)["value"].as_str().unwrap_or_else(|| panic!("{id}: {report}"));
        assert!(value.parse::<u64>().is_ok(), "{id}: {value}");
    }
    for id in ["connections:total", "activity:longest_query", "activity:longest_transaction", "tables:dead_tuples"] {
        let check = check(&report, id);
        assert!(check["value"].as_f64().unwrap() >= 0.0 && check["threshold"]["warn"].as_f64().unwrap() > 0.0, "{check}");
    }
    assert!(check(&report, "connections:total")["limit"].as_f64().unwrap() >= 10.0, "{report}");
    let by = check(&report, "connections:by")["value"].as_array().unwrap();
    assert!(
        by.iter().any(|entry| entry["user"] == OPS_ROLE && entry["application"] == "monitor" && entry["connections"].as_u64() >= Some(1)),
        "{by:?}"
    );
    let largest = &check(&report, "tables:size")["value"][0];
    assert_eq!(largest["table"], "purchases", "{report}");
    assert!(largest["bytes"].as_str().unwrap().parse::<u64>().unwrap() > 1_000_000, "{largest}");
    assert!(check(&report, "indexes:size")["value"][0]["bytes"].is_string(), "{report}");
    assert_eq!(check(&report, "statements:slowest")["value"], Value::Null, "{report}");
    assert_eq!(check(&report, "statements:slowest")["note"], "The extension pg_stat_statements is not there.");
    assert_eq!(check(&report, "replication:lag")["note"], "No standby follows this server.");
    assert_eq!(check(&report, "keys:oldest")["note"], "There is no key.");
    api.stop().await;
}

#[tokio::test]
async fn only_an_operator_is_answered_and_only_a_get() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    for (claims, status) in [(Value::Null, 401), (json!({ "sub": "user-1" }), 403)] {
        let response = api.respond("monitor", &with_claims(http_event("monitor-get.json"), claims)).await;
        assert_eq!(response["statusCode"], status, "{response}");
    }
    let mut post = http_event("monitor-get.json");
    post["requestContext"]["http"]["method"] = "POST".into();
    assert_eq!(api.respond("monitor", &post).await["statusCode"], 405);
    assert_eq!(api.get("/api/debug/monitor").await.status, 403, "the gateway asks for a signature");
    assert_eq!(api.get_as("user-1", "/api/debug/monitor").await.status, 403);
    api.stop().await;
}

#[tokio::test]
async fn a_warm_report_costs_three_round_trips() {
    let database = Database::fresh().await;
    let proxy = FaultProxy::to(database.address()).await;
    let url = database.roles().by_way_of(proxy.address()).url(OPS_ROLE).unwrap();
    let api = Api::with(&database, Options::default().by_url(&url)).await;
    monitor(&api).await;
    let before = proxy.round_trips();
    monitor(&api).await;
    assert_eq!(proxy.round_trips(), before + 3);
    api.stop().await;
}

#[tokio::test]
async fn what_waits_and_what_is_waited_for_is_seen() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let (mut holder, mut waiter) = (database.connect_admin().await, database.connect_admin().await);
    holder.execute("begin; lock table models in access exclusive mode").await.unwrap();
    let holder_pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut holder).await.unwrap();
    let waiting = tokio::spawn(async move { waiter.execute("select count(*) as \"<script>\" from models").await.map(drop) });
    eventually("it is seen waiting", async || {
        let report = monitor(&api).await;
        let blocked = check(&report, "activity:blocked");
        blocked["status"] == "warn" && blocked["value"][0]["blocked_by"] == json!([holder_pid])
    })
    .await;
    let report = monitor(&api).await;
    assert_eq!(report["status"], "warn", "{report}");
    let blocked = &check(&report, "activity:blocked")["value"][0];
    assert!(blocked["query"].as_str().unwrap().contains("<script>"), "as it is: whoever shows it takes care: {blocked}");
    assert!(check(&report, "activity:longest_transaction")["detail"]["pid"].is_number(), "{report}");
    waiting.abort();
    api.stop().await;
}

#[tokio::test]
async fn connections_near_the_limit_warn_and_then_fail() {
    let cluster = Cluster::with(&[("max_connections", "23"), ("superuser_reserved_connections", "3")]).await;
    let database = cluster.seeded().await;
    let api = Api::with(&database, Options::direct()).await;
    monitor(&api).await;
    let mut others = Vec::new();
    for (used, status) in [(15, "pass"), (17, "warn"), (19, "fail")] {
        let mut admin = database.connect_admin().await;
        let question = "select count(*) from pg_stat_activity where backend_type = 'client backend'";
        while sqlx::query_scalar::<_, i64>(question).fetch_one(&mut admin).await.unwrap() < used {
            others.push(database.connect_app().await);
        }
        let report = monitor(&api).await;
        let total = check(&report, "connections:total");
        assert_eq!((&total["status"], &total["value"], &total["limit"]), (&json!(status), &json!(used), &json!(20.0)), "{total}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_check_that_is_denied_is_unknown_alone_and_says_the_sqlstate_and_no_more() {
    let database = Database::fresh().await;
    let mut admin = database.connect_admin().await;
    admin.execute("revoke select (expires_at) on idempotency_keys from thaw_ops").await.unwrap();
    let api = Api::over(&database).await;
    let report = monitor(&api).await;
    assert_eq!(unknown(&report), ["keys:oldest"]);
    let denied = check(&report, "keys:oldest");
    assert_eq!((&denied["error"], &denied["value"]), (&json!("The database could not look: SQLSTATE 42501."), &Value::Null));
    assert_eq!(report["status"], "warn");
    api.stop().await;
}

#[tokio::test]
async fn checks_that_take_too_long_leave_the_others() {
    let database = Database::fresh().await;
    let mut admin = database.connect_admin().await;
    // The sizes wait for it.
    admin.execute("begin; lock table purchases in access exclusive mode").await.unwrap();
    let api = Api::over(&database).await;
    let report = monitor(&api).await;
    let missing = unknown(&report);
    assert!(missing.iter().all(|id| ["tables:size", "indexes:size"].contains(id)) && !missing.is_empty(), "{missing:?}");
    // lock_timeout ends them.
    assert_eq!(check(&report, "tables:size")["error"], "The database could not look: SQLSTATE 55P03.");
    admin.execute("rollback").await.unwrap();
    assert_eq!(unknown(&monitor(&api).await), Vec::<&str>::new());
    api.stop().await;
}

#[tokio::test]
async fn a_group_past_statement_timeout_leaves_the_other_groups() {
    let database = Database::fresh().await;
    let mut admin = database.connect_admin().await;
    // In the place of one that is slow.
    admin
        .execute(
            "alter function monitor_check(text) rename to quick_check;
             create function monitor_check(which text) returns jsonb language sql as $$
                 select case when which = 'tables:size' then (select jsonb_build_object('value', pg_sleep(30)::text)) else quick_check(which) end
             $$",
        )
        .await
        .unwrap();
    let api = Api::over(&database).await;
    let report = monitor(&api).await;
    let missing = unknown(&report);
    assert_eq!(missing, &CHECKS[8..17], "its own group");
    assert_eq!(check(&report, "tables:size")["error"], "The database took longer than statement_timeout.");
    api.stop().await;
}

#[tokio::test]
async fn the_slowest_statements_are_there_where_the_extension_is() {
    let cluster = Cluster::with(&[("shared_preload_libraries", "pg_stat_statements")]).await;
    let database = cluster.seeded().await;
    let mut admin = database.connect_admin().await;
    admin.execute("create schema extensions; grant usage on schema extensions to thaw_ops; create extension pg_stat_statements schema extensions; select pg_sleep(0.2)").await.unwrap();
    let api = Api::with(&database, Options::direct()).await;
    let report = monitor(&api).await;
    let slowest = &check(&report, "statements:slowest")["value"];
    let sleeping =
        slowest.as_array().unwrap().iter().find(|statement| statement["query"].as_str().is_some_and(|query| query.contains("pg_sleep($1)")));
    let sleeping = sleeping.unwrap_or_else(|| panic!("without its parameter: {slowest}"));
    assert!(sleeping["mean_ms"].as_f64().unwrap() >= 200.0 && sleeping["calls"] == "1", "{sleeping}");
    api.stop().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_503_before_the_deadline() {
    let database = Database::fresh().await;
    let proxy = FaultProxy::to(database.address()).await;
    let url = database.roles().by_way_of(proxy.address()).url(OPS_ROLE).unwrap();
    let options = Options::default().by_url(&url).with_variable("RETRY_BUDGET_MS", "2000").with_variable("DB_ATTEMPT_TIMEOUT_MS", "1000");
    let api = Api::with(&database, options).await;
    monitor(&api).await;
    proxy.begin(Fault::Silence);
    let (status, problem) = respond(&api).await;
    assert_eq!((status, &problem["type"]), (503, &json!("/problems/database-unavailable")), "{problem}");
    proxy.begin(Fault::None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    eventually("it answers again", async || respond(&api).await.0 == 200).await;
    api.stop().await;
}
