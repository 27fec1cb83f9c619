//! What each request leaves in CloudWatch's embedded metric format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Api, Cluster, Database, Options, eventually};

const PATH: &str = "/api/user/purchased-models";
/// What the observability stack reads, and the units.
pub(crate) const NAMES: [(&str, &str); 8] = [
    ("Latency", "Milliseconds"),
    ("Resends", "Count"),
    ("Reconnects", "Count"),
    ("Connects", "Count"),
    ("Thaws", "Count"),
    ("ColdStart", "Count"),
    ("BreakerOpen", "Count"),
    ("ServerErrors", "Count"),
];

fn lines(api: &Api) -> Vec<Value> {
    api.logs().iter().filter(|line| line.is_metrics()).map(|line| serde_json::from_str(&line.text).unwrap()).collect()
}

/// The metrics of the last of `count` lines, each of one value. All lines are of the form that CloudWatch takes.
async fn last_of(api: &Api, count: usize) -> Value {
    eventually("a line for each request", async || lines(api).len() >= count).await;
    let lines = lines(api);
    assert_eq!(lines.len(), count, "{lines:?}");
    for line in &lines {
        let [directive] = &line["_aws"]["CloudWatchMetrics"].as_array().unwrap()[..] else { panic!("{line}") };
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_600_000_000_000, "milliseconds: {line}");
        assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("thaw"), &json!([["function"]])), "{line}");
        assert!(line["function"].is_string() && line["request_id"].as_str().unwrap().len() > 30, "{line}");
        let declared = directive["Metrics"].as_array().unwrap();
        for metric in declared {
            let (name, unit) = (metric["Name"].as_str().unwrap(), metric["Unit"].as_str().unwrap());
            assert!(NAMES.contains(&(name, unit)), "{name} in {unit}: {line}");
            assert_eq!(line[name].as_array().unwrap().len(), 1, "one value of one request: {line}");
        }
        // The dimension, the id, the directive, and nothing that tells of the caller.
        assert_eq!(line.as_object().unwrap().len(), declared.len() + 3, "{line}");
    }
    let mut last = lines[count - 1].clone();
    assert!(last["Latency"][0].as_f64().unwrap() > 0.0, "{last}");
    last.as_object_mut().unwrap().retain(|name, _| name != "Latency" && NAMES.iter().any(|(known, _)| known == name));
    last
}

#[tokio::test]
async fn a_request_leaves_one_line_that_counts_what_it_cost() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options::direct()).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    // It connected in init, before the request.
    assert_eq!(last_of(&api, 1).await, json!({ "ColdStart": [1.0] }));
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    assert_eq!(last_of(&api, 2).await, json!({ "Thaws": [1.0] }));
    database.terminate_app_sessions().await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    assert_eq!(last_of(&api, 3).await, json!({ "Thaws": [1.0], "Resends": [1.0], "Connects": [1.0] }));
    assert_eq!(api.get_as("user-1", &format!("{PATH}?limit=0")).await.status, 400);
    assert_eq!(last_of(&api, 4).await, json!({ "Thaws": [1.0] }), "a refusal is no failure of ours");
    api.stop().await;
}

#[tokio::test]
async fn a_database_that_is_gone_is_seen_in_errors_and_in_the_breaker() {
    let mut cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let options = Options::direct().with_variable("RETRY_BUDGET_MS", "1500").with_variable("DB_ATTEMPT_TIMEOUT_MS", "1200");
    let api = Api::with(&database, options).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    cluster.stop().await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 503);
    let spent = last_of(&api, 2).await;
    assert_eq!(spent["ServerErrors"], json!([1.0]), "{spent}");
    assert!(spent["Reconnects"][0].as_f64().unwrap() >= 1.0, "{spent}");
    assert_eq!(api.get_as("user-1", PATH).await.status, 503);
    assert_eq!(last_of(&api, 3).await, json!({ "Thaws": [1.0], "ServerErrors": [1.0], "BreakerOpen": [1.0] }));
    api.stop().await;
}

#[tokio::test]
async fn requests_at_once_in_one_sandbox_leave_a_line_each() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options::direct().with_variable("AWS_LAMBDA_MAX_CONCURRENCY", "4")).await;
    let answers = join_all((0..40).map(|_| api.get_as("user-1", PATH))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    last_of(&api, 40).await;
    let lines = lines(&api);
    let ids: BTreeSet<_> = lines.iter().map(|line| line["request_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 40, "each has its own");
    let cold = lines.iter().filter(|line| line.get("ColdStart").is_some()).count();
    assert_eq!(cold, api.sandboxes("purchased-models").await.len(), "one for each sandbox");
    assert!(lines.iter().all(|line| line.get("Thaws").is_none()), "it is never frozen");
    api.stop().await;
}
