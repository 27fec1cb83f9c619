//! What health says, to whom, and how soon.

use std::time::{Duration, Instant};

use local::sandbox::LogLine;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use tests::{Answer, Api, Database, Fault, FaultProxy, Options, eventually, http_event, with_claims};

const HEALTH: &str = "/api/debug/db-health";
/// Longer than a report is given again.
const LATER: Duration = Duration::from_millis(1_100);

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    &report["checks"][name][0]
}

fn status<'a>(report: &'a Value, name: &str) -> &'a Value {
    &check(report, name)["status"]
}

/// The report of an invocation that is no HTTP request.
async fn report(api: &Api, event: Value) -> Value {
    api.respond("health", &event).await
}

/// Health over a way to the database that can be disturbed.
struct Disturbed {
    api: Api,
    proxy: FaultProxy,
    database: Database,
}

impl Disturbed {
    async fn new() -> Self {
        let database = Database::fresh().await;
        let proxy = FaultProxy::to(database.address()).await;
        let options = Options::default().by_url(&database.app_url_at(proxy.address()));
        let api = Api::with(&database, options).await;
        Self { api, proxy, database }
    }

    async fn ask(&self) -> Answer {
        self.api.get(HEALTH).await
    }
}

#[tokio::test]
async fn health_needs_no_token_and_says_what_there_is() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let answer = api.get(HEALTH).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/health+json", "no-store"));
    let health = answer.json();
    assert_eq!(health["status"], "pass", "{health}");
    for (name, unit) in [("connectTime", "ms"), ("roundTripTime", "ms"), ("connectionAge", "s")] {
        let check = check(&health, &format!("database:{name}"));
        assert!(check["observedValue"].as_f64().unwrap() >= 0.0 && check["observedUnit"] == unit, "{health}");
    }
    assert!(check(&health, "database:serverVersion")["observedValue"].as_str().unwrap().starts_with(|first: char| first.is_ascii_digit()));
    assert_eq!(check(&health, "database:readOnly")["observedValue"], false);
    let migrations = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/migrations")).unwrap().count();
    assert_eq!(check(&health, "database:migrations")["observedValue"], migrations);
    assert_eq!(check(&health, "sandbox:thaws")["observedValue"], 0);
    assert!(health["checks"].get("database:connections").is_none(), "that is for operators: {health}");
    for private in ["127.0.0.1", "thaw_app", database.name()] {
        assert!(!answer.body.contains(private), "{private}: {health}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_report_younger_than_a_second_is_given_again_and_costs_no_round_trip() {
    let bench = Disturbed::new().await;
    let first = bench.ask().await.json();
    let round_trips = bench.proxy.round_trips();
    // On a machine that took a second for it, it is another one, and says so by its time.
    let second = bench.ask().await.json();
    assert_eq!(second == first, bench.proxy.round_trips() == round_trips, "{first} {second}");
    tokio::time::sleep(LATER).await;
    let before = bench.proxy.round_trips();
    let third = bench.ask().await.json();
    assert_ne!(third["time"], first["time"]);
    assert_eq!(bench.proxy.round_trips(), before + 2, "a ping and the question; the migrations are known");
    let thaws = check(&third, "sandbox:thaws")["observedValue"].as_u64().unwrap();
    assert_eq!(thaws, 2, "thawed for the second and the third");
    assert!(check(&third, "database:connectionAge")["observedValue"].as_f64().unwrap() > 1.0, "{third}");
    bench.api.stop().await;
}

#[tokio::test]
async fn health_does_not_take_a_dead_connection_for_a_dead_database() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    for _ in 0..3 {
        let answer = api.get(HEALTH).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        api.frozen("health").await;
        database.terminate_app_sessions().await;
        tokio::time::sleep(LATER).await;
    }
    api.stop().await;
}

#[tokio::test]
async fn a_silent_database_fails_within_a_second_and_passes_as_soon_as_it_is_back() {
    let bench = Disturbed::new().await;
    assert_eq!(bench.ask().await.status, 200);
    tokio::time::sleep(LATER).await;
    bench.proxy.begin(Fault::Silence);
    let began = Instant::now();
    let answer = bench.ask().await;
    let took = began.elapsed();
    // The bound is one second; a busy machine gets another.
    assert!(took < Duration::from_secs(2), "{took:?}");
    let health = answer.json();
    assert_eq!((answer.status, &health["status"]), (503, &json!("fail")), "{health}");
    assert_eq!(check(&health, "database:roundTripTime")["output"], "The database did not answer in time.");
    for _ in 0..3 {
        tokio::time::sleep(LATER).await;
        assert_eq!(bench.ask().await.status, 503);
    }
    bench.proxy.begin(Fault::None);
    tokio::time::sleep(LATER).await;
    let answer = bench.ask().await;
    assert_eq!(answer.status, 200, "no breaker stands between: {answer:?}");
    bench.api.stop().await;
}

#[tokio::test]
async fn slow_queries_and_locks_elsewhere_are_no_failure() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let mut other = database.connect_admin().await;
    let mut locks = other.begin().await.unwrap();
    locks.execute("lock table _sqlx_migrations, users, models, purchases in access exclusive mode").await.unwrap();
    let mut slow = database.connect_admin().await;
    let sleeping = tokio::spawn(async move { slow.execute("select pg_sleep(3)").await.map(drop) });
    let answer = api.get(HEALTH).await;
    let health = answer.json();
    assert_eq!((answer.status, &health["status"]), (200, &json!("warn")), "{health}");
    assert_eq!(check(&health, "database:migrations")["output"], "The database could not be asked for its migrations in time.");
    locks.rollback().await.unwrap();
    tokio::time::sleep(LATER).await;
    let health = api.get(HEALTH).await.json();
    assert_eq!(health["status"], "pass", "while the slow query runs on: {health}");
    sleeping.abort();
    api.stop().await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_a_warning() {
    let database = Database::fresh().await;
    let mut admin = database.connect_admin().await;
    admin.execute(&*format!("alter database {} set default_transaction_read_only = on", database.name())).await.unwrap();
    let api = Api::with(&database, Options::direct()).await;
    let answer = api.get(HEALTH).await;
    let health = answer.json();
    assert_eq!((answer.status, &health["status"], status(&health, "database:readOnly")), (200, &json!("warn"), &json!("warn")), "{health}");
    api.stop().await;
}

#[tokio::test]
async fn a_database_without_a_migration_fails_until_it_has_it() {
    let database = Database::fresh().await;
    let mut admin = database.connect_admin().await;
    admin.execute("update _sqlx_migrations set success = false where version = 4").await.unwrap();
    let api = Api::over(&database).await;
    let answer = api.get(HEALTH).await;
    let health = answer.json();
    assert_eq!((answer.status, &health["status"]), (503, &json!("fail")), "{health}");
    assert_eq!(check(&health, "database:migrations")["output"], "The database lacks the migrations [4]: run migrate.");
    admin.execute("update _sqlx_migrations set success = true").await.unwrap();
    tokio::time::sleep(LATER).await;
    assert_eq!(api.get(HEALTH).await.json()["status"], "pass");
    api.stop().await;
}

#[tokio::test]
async fn a_refused_sign_in_fails_without_saying_whose() {
    let database = Database::fresh().await;
    let url = database.app_url().replacen("thaw_app:", "thaw_app:wrong", 1);
    let api = Api::with(&database, Options::direct().by_url(&url)).await;
    let answer = api.get(HEALTH).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(check(&answer.json(), "database:roundTripTime")["output"], "The database refused to sign the function in.");
    assert!(!answer.body.contains("thaw_app") && !answer.body.contains("wrong"), "{}", answer.body);
    api.stop().await;
}

/// An event of the public route or the signed one, with this query.
fn request(file: &str, query: &str) -> Value {
    let mut event = http_event(file);
    event["rawQueryString"] = query.into();
    event
}

#[tokio::test]
async fn the_deep_check_is_for_operators_whatever_way_they_come() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let unsigned = with_claims(http_event("health-deep-get.json"), Value::Null);
    let by_token = with_claims(http_event("health-deep-get.json"), json!({ "sub": "user-1" }));
    for event in [request("health-get.json", "deep=true"), unsigned, by_token] {
        let refused = api.respond("health", &event).await;
        assert_eq!(refused["statusCode"], 403, "{refused}");
        assert!(refused["body"].as_str().unwrap().contains("/problems/forbidden"), "{refused}");
    }
    let wrong = api.respond("health", &request("health-get.json", "deep=1")).await;
    assert_eq!(wrong["statusCode"], 400, "{wrong}");
    let signed = api.respond("health", &http_event("health-deep-get.json")).await;
    let signed: Value = serde_json::from_str(signed["body"].as_str().unwrap()).unwrap();
    for report in [signed, report(&api, json!({ "check": "deep" })).await, report(&api, http_event("health-direct.json")).await] {
        assert_eq!(report["status"], "pass", "{report}");
        assert!(check(&report, "database:connections")["observedValue"].as_u64().unwrap() >= 1, "{report}");
        assert!(check(&report, "database:longestTransaction")["observedValue"].as_f64().unwrap() >= 0.0, "{report}");
        assert_eq!(check(&report, "database:replication")["observedValue"], json!({ "role": "writer", "standbys": 0 }));
    }
    let basic = report(&api, json!({ "check": "basic" })).await;
    assert!(basic["status"] == "pass" && basic["checks"].get("database:connections").is_none(), "{basic}");
    api.stop().await;
}

#[tokio::test]
async fn a_transaction_that_is_open_for_too_long_is_a_warning_of_the_deep_check() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let mut stuck = database.connect_app().await;
    stuck.execute("set idle_in_transaction_session_timeout = 0").await.unwrap();
    stuck.execute("begin").await.unwrap();
    eventually("it is open for ten seconds", async || {
        let report = report(&api, json!({ "check": "deep" })).await;
        status(&report, "database:longestTransaction") == "warn" && report["status"] == "warn"
    })
    .await;
    api.stop().await;
}

/// The metrics of a line in CloudWatch's embedded metric format.
fn metrics(line: &LogLine) -> Option<Value> {
    let line: Value = serde_json::from_str(&line.text).ok()?;
    line.get("_aws")?;
    Some(line)
}

#[tokio::test]
async fn a_schedule_gets_the_report_and_leaves_metrics() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    for (count, file) in ["health-schedule.json", "health-scheduler.json"].into_iter().enumerate() {
        let report = report(&api, http_event(file)).await;
        assert_eq!(report["status"], "pass", "{report}");
        assert!(report["checks"].get("database:connections").is_some(), "{report}");
        let lines: Vec<_> = api.logs().iter().filter_map(metrics).collect();
        assert_eq!(lines.len(), count + 1, "one line each");
        let line = &lines[count];
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("thaw"), &json!([["function"]])), "{line}");
        assert_eq!((&line["function"], &line["HealthFailing"], &line["HealthWarning"]), (&json!("health"), &json!([0.0]), &json!([0.0])), "{line}");
        let declared: Vec<_> = directive["Metrics"].as_array().unwrap().iter().map(|metric| (&metric["Name"], &metric["Unit"])).collect();
        for (name, unit) in [("DatabaseRoundTripTime", "Milliseconds"), ("DatabaseConnections", "Count"), ("DatabaseConnectionAge", "Seconds")] {
            assert!(declared.contains(&(&json!(name), &json!(unit))), "{name}: {line}");
            assert!(line[name][0].is_number(), "{name}: {line}");
        }
        assert!(line["request_id"].as_str().unwrap().len() > 30, "{line}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_schedule_that_meets_a_silent_database_succeeds_with_a_report_that_fails() {
    let bench = Disturbed::new().await;
    assert_eq!(report(&bench.api, http_event("health-schedule.json")).await["status"], "pass");
    bench.proxy.begin(Fault::Silence);
    let failing = report(&bench.api, http_event("health-schedule.json")).await;
    assert_eq!(failing["status"], "fail", "{failing}");
    let line = bench.api.logs().iter().filter_map(metrics).next_back().unwrap();
    assert_eq!(line["HealthFailing"], json!([1.0]), "{line}");
    assert!(line.get("DatabaseConnections").is_none(), "what was not measured is no metric: {line}");
    drop(bench.database);
    bench.api.stop().await;
}

#[tokio::test]
async fn an_event_of_no_known_shape_is_an_error_that_says_which_there_are() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    for event in [json!({}), json!(null), json!({ "Records": [] }), json!({ "check": "all" })] {
        let outcome = api.invoke("health", &event).await.unwrap();
        let error = outcome.result.expect_err("it is none that health knows");
        let document: Value = serde_json::from_slice(&error.payload).unwrap();
        assert_eq!(document["errorType"], "Health.UnknownEvent", "{event}: {document}");
        assert!(document["errorMessage"].as_str().unwrap().contains("Scheduled Event"), "{document}");
    }
    // What was meant as a request gets a response.
    let answer = api.respond("health", &json!({ "httpMethod": "GET", "path": HEALTH })).await;
    assert_eq!(answer["statusCode"], 400, "{answer}");
    assert_eq!(report(&api, json!({ "check": "basic" })).await["status"], "pass", "the sandbox goes on");
    api.stop().await;
}
