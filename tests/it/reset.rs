//! Resets: who may ask for one, what becomes of the sessions and of the requests, and what stays on the record.

use std::time::Duration;

use futures_util::future::join_all;
use local::roles::OPS_ROLE;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use tests::{Answer, Api, Cluster, Database, Fault, FaultProxy, Options, Side, eventually, http_event, load_place, with_claims};

const PATH: &str = "/api/user/purchased-models";
const OPERATOR: &str = "arn:aws:sts::123456789012:assumed-role/Operator/operator";

fn event(body: &str) -> Value {
    let mut event = http_event("reset-post.json");
    event["body"] = body.into();
    event
}

async fn respond(api: &Api, body: &Value) -> (u64, Value) {
    let response = api.respond("reset", &event(&body.to_string())).await;
    (response["statusCode"].as_u64().unwrap(), serde_json::from_str(response["body"].as_str().unwrap()).unwrap())
}

async fn reset(api: &Api, scope: &str, include_busy: bool) -> Value {
    let answer = reset_under_load(api, scope, include_busy).await;
    assert_eq!(answer["probe"]["status"], "pass", "{answer}");
    answer
}

/// As [`reset`], where the probe may find the machine too busy to be served in its short time.
async fn reset_under_load(api: &Api, scope: &str, include_busy: bool) -> Value {
    let mut order = json!({ "scope": scope, "reason": "a test" });
    if include_busy {
        order["include_busy"] = true.into();
    }
    let (status, answer) = respond(api, &order).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The rows of the record, as (operator, scope, reason, path, idle, busy, left, complete).
type Recorded = (String, String, String, String, i32, i32, i32, bool);

async fn recorded(database: &Database) -> Vec<Recorded> {
    sqlx::query_as("select operator_arn, scope, reason, path, terminated_idle, terminated_busy, left_busy, is_complete from resets order by asked_at")
        .fetch_all(&mut database.connect_admin().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn only_an_operator_may_reset_and_only_by_post() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let body = json!({ "scope": "fleet", "reason": "a test" }).to_string();
    for (claims, status, kind) in [(Value::Null, 401, "unauthenticated"), (json!({ "sub": "user-1" }), 403, "forbidden")] {
        // Also where the body is wrong: nothing is looked at before the caller is known.
        for body in [&*body, "{"] {
            let response = api.respond("reset", &with_claims(event(body), claims.clone())).await;
            assert_eq!(response["statusCode"], status, "{response}");
            assert!(response["body"].as_str().unwrap().contains(&format!("/problems/{kind}")), "{response}");
        }
    }
    let mut other = event(&body);
    other["requestContext"]["http"]["method"] = "GET".into();
    let response = api.respond("reset", &other).await;
    assert_eq!((&response["statusCode"], &response["headers"]["allow"]), (&json!(405), &json!("POST")), "{response}");
    assert!(recorded(&database).await.is_empty());
    // At the gateway an unsigned request ends before the function.
    assert_eq!(api.send(api.request("POST", "/api/debug/reset-db").body(body)).await.status, 403);
    api.stop().await;
}

#[tokio::test]
async fn an_order_that_is_wrong_is_refused_by_the_name_of_what_is_wrong() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let long = "x".repeat(501);
    for (body, status, named) in [
        ("", 400, "body"),
        ("[]", 400, "body"),
        (r#"{"reason": "a test"}"#, 400, "scope"),
        (r#"{"scope": "fleet"}"#, 400, "reason"),
        (r#"{"scope": "all", "reason": "a test"}"#, 400, "scope"),
        (r#"{"scope": "fleet", "reason": 1}"#, 400, "reason"),
        (r#"{"scope": "fleet", "reason": "a test", "include_busy": "yes"}"#, 400, "include_busy"),
        (r#"{"scope": "fleet", "reason": "a test", "force": true}"#, 400, "force"),
        (r#"{"scope": "fleet", "reason": "a", "reason": "b"}"#, 400, "reason"),
        (r#"{"scope": "fleet", "reason": ""}"#, 422, "reason"),
        (&format!(r#"{{"scope": "fleet", "reason": "{long}"}}"#), 422, "reason"),
        (r#"{"scope": "fleet", "reason": "a\u0000b"}"#, 422, "reason"),
        (r#"{"scope": "environment", "reason": "a test", "include_busy": true}"#, 422, "include_busy"),
    ] {
        let response = api.respond("reset", &event(body)).await;
        assert_eq!(response["statusCode"], status, "{body}: {response}");
        let problem: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(named), "{body}: {problem}");
    }
    let mut plain = event("scope=fleet");
    plain["headers"]["content-type"] = "text/plain".into();
    assert_eq!(api.respond("reset", &plain).await["statusCode"], 415);
    assert!(recorded(&database).await.is_empty());
    api.stop().await;
}

/// The sessions of operators, by process id.
async fn operators_sessions(admin: &mut PgConnection) -> Vec<i32> {
    sqlx::query_scalar("select pid from pg_stat_activity where usename = 'thaw_ops' and datname = current_database()").fetch_all(admin).await.unwrap()
}

#[tokio::test]
async fn the_reset_of_one_environment_closes_its_connection_and_opens_another() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options::direct()).await;
    reset(&api, "environment", false).await;
    let mut admin = database.connect_admin().await;
    let before = operators_sessions(&mut admin).await;
    let answer = reset(&api, "environment", false).await;
    assert_eq!((&answer["probe"]["connected_anew"], &answer["sessions"], &answer["path"]), (&json!(true), &Value::Null, &json!("direct")));
    let after = operators_sessions(&mut admin).await;
    assert!(before.len() == 1 && after.len() == 1 && before != after, "{before:?} {after:?}");
    let rows = recorded(&database).await;
    let row = (OPERATOR.into(), "environment".into(), "a test".into(), "direct".into(), 0, 0, 0, true);
    assert_eq!(rows, vec![row; 2]);
    api.stop().await;
}

#[tokio::test]
async fn a_fleet_reset_ends_the_applications_sessions_here_and_no_others() {
    let database = Database::fresh().await;
    let elsewhere = Database::fresh().await;
    let api = Api::with(&database, Options::direct()).await;
    let mut survivors = vec![elsewhere.connect_app().await, database.connect_admin().await];
    let mut idle = [database.connect_app().await, database.connect_app().await];
    let mut busy = database.connect_app().await;
    busy.execute("begin").await.unwrap();
    let answer = reset(&api, "fleet", false).await;
    assert_eq!(answer["sessions"], json!({ "terminated_idle": 2, "terminated_busy": 0, "left_busy": 1, "still_ending": 0 }), "{answer}");
    busy.execute("select 1").await.unwrap();
    for session in &mut idle {
        assert!(session.ping().await.is_err());
    }
    let answer = reset(&api, "fleet", true).await;
    assert_eq!(answer["sessions"], json!({ "terminated_idle": 0, "terminated_busy": 1, "left_busy": 0, "still_ending": 0 }), "{answer}");
    assert!(busy.execute("select 1").await.is_err());
    for session in &mut survivors {
        session.ping().await.unwrap();
    }
    let counts: Vec<_> = recorded(&database).await.into_iter().map(|row| (row.4, row.5, row.6, row.7)).collect();
    assert_eq!(counts, [(2, 0, 1, true), (0, 1, 0, true)]);
    let logs = api.logs();
    let line = logs.iter().find(|line| line.function == "reset" && line.text.contains("terminated_idle")).expect("it is logged");
    assert!(line.text.contains(OPERATOR) && line.text.contains("a test"), "{}", line.text);
    api.stop().await;
}

/// Twenty requests a second for some seconds, over several sandboxes.
async fn load(api: &Api) -> Vec<Answer> {
    let requests = (0..120_u32).map(|number| async move {
        tokio::time::sleep(Duration::from_millis(50) * number).await;
        api.get_as("user-1", PATH).await
    });
    join_all(requests).await
}

#[tokio::test]
async fn no_request_fails_through_fleet_resets_at_twenty_a_second() {
    let _place = load_place().await;
    for options in [Options::direct(), Options::default()] {
        let path = if options.proxy.is_some() { "proxy" } else { "direct" };
        let database = Database::seeded().await;
        let api = Api::with(&database, options).await;
        let right = api.get_as("user-1", PATH).await;
        let resets = async {
            let mut terminated = 0;
            for include_busy in [false, true, true, false] {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let answer = reset_under_load(&api, "fleet", include_busy).await;
                assert_eq!(answer["path"], path, "{answer}");
                let sessions = &answer["sessions"];
                terminated += sessions["terminated_idle"].as_u64().unwrap() + sessions["terminated_busy"].as_u64().unwrap();
            }
            terminated
        };
        let (answers, terminated) = tokio::join!(load(&api), resets);
        let failed: Vec<_> = answers.iter().filter(|answer| answer.status != 200 || answer.body != right.body).collect();
        assert!(failed.is_empty(), "{path}: {} of {} failed: {:?}", failed.len(), answers.len(), failed.first());
        assert!(terminated >= 4, "{path}: there was something to end: {terminated}");
        api.stop().await;
    }
}

#[tokio::test]
async fn two_resets_at_once_are_both_done_and_recorded() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    api.get_as("user-1", PATH).await;
    let (first, second) = tokio::join!(reset(&api, "fleet", true), reset(&api, "fleet", true));
    assert_ne!(first["reset_id"], second["reset_id"]);
    assert_eq!(recorded(&database).await.len(), 2);
    api.stop().await;
}

#[tokio::test]
async fn a_reset_whose_connection_is_cut_anywhere_is_recorded_once() {
    let database = Database::fresh().await;
    let proxy = FaultProxy::to(database.address()).await;
    let url = database.roles().by_way_of(proxy.address()).url(OPS_ROLE).unwrap();
    let api = Api::with(&database, Options::default().by_url(&url)).await;
    reset(&api, "fleet", true).await;
    for cut in (0..2_400).step_by(60) {
        proxy.begin(Fault::CutOnce(Side::Server, cut));
        reset(&api, "fleet", true).await;
    }
    let rows = recorded(&database).await;
    assert_eq!((rows.len(), rows.iter().all(|row| row.7)), (41, true));
    api.stop().await;
}

#[tokio::test]
async fn a_reset_without_a_database_is_503_and_claims_nothing() {
    let mut cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let api = Api::with(&database, Options::direct().with_variable("RETRY_BUDGET_MS", "1500").with_variable("DB_ATTEMPT_TIMEOUT_MS", "1000")).await;
    cluster.stop().await;
    let (status, problem) = respond(&api, &json!({ "scope": "fleet", "reason": "a test" })).await;
    assert_eq!((status, &problem["type"]), (503, &json!("/problems/database-unavailable")), "{problem}");
    cluster.start().await;
    eventually("it can be reset again", async || respond(&api, &json!({ "scope": "fleet", "reason": "a test" })).await.0 == 200).await;
    let rows = sqlx::query("select count(*) from resets").fetch_one(&mut database.connect_admin().await).await.unwrap();
    assert_eq!(rows.get::<i64, _>(0), 1);
    api.stop().await;
}
