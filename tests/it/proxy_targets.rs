//! The health of the proxy's targets, by the API of RDS.

use std::time::Duration;

use serde_json::{Value, json};
use tests::moto::Moto;
use tests::{Api, Database, Options, executables_with_rds_api, http_event};
use tokio::net::TcpListener;

/// The region that the stand-in gives to the functions.
const REGION: &str = local::sigv4::REGION;

fn options(endpoint: &str, proxy: &str) -> Options {
    Options::default().with_variable("AWS_ENDPOINT_URL_RDS", endpoint).with_variable("DB_PROXY_NAME", proxy)
}

/// As [`options`], of functions that can ask the API of RDS.
async fn asking(endpoint: &str, proxy: &str) -> Options {
    let executables = executables_with_rds_api().await.clone();
    Options { executables, ..options(endpoint, proxy) }
}

async fn targets(api: &Api) -> Value {
    api.respond("health", &json!({ "check": "deep" })).await["checks"]["proxy:targets"][0].clone()
}

#[tokio::test]
#[ignore = "needs moto: cargo test-moto"]
async fn the_targets_of_a_proxy_are_what_the_api_of_rds_says() {
    let moto = Moto::start().await;
    moto.make_proxy(REGION, "thaw", "writer-1").await;
    let database = Database::fresh().await;
    let api = Api::with(&database, asking(&moto.url(), "thaw").await).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let check = targets(&api).await;
        let target = &check["observedValue"][0];
        assert_eq!(target["target"], "writer-1", "{check}");
        seen.push((target["state"].as_str().unwrap().to_owned(), check["status"].as_str().unwrap().to_owned()));
    }
    let available = || ("AVAILABLE".to_owned(), "pass".to_owned());
    assert!(seen.ends_with(&[available(), available()]), "{seen:?}");
    let monitored = api.respond("monitor", &http_event("monitor-get.json")).await;
    let monitored: Value = serde_json::from_str(monitored["body"].as_str().unwrap()).unwrap();
    let check = monitored["checks"].as_array().unwrap().iter().find(|check| check["id"] == "proxy:targets").unwrap();
    assert_eq!((&check["status"], &check["value"][0]["state"]), (&json!("pass"), &json!("AVAILABLE")), "{check}");
    assert!(seen[0] == available() || seen[0] == ("REGISTERING".to_owned(), "fail".to_owned()), "{seen:?}");
    api.stop().await;

    let api = Api::with(&database, asking(&moto.url(), "another").await).await;
    let check = targets(&api).await;
    assert_eq!((&check["status"], &check["output"]), (&json!("warn"), &json!("The API of RDS did not tell the proxy's targets.")), "{check}");
    // With its cause, which moto does not say in XML.
    assert!(api.logs().iter().any(|line| line.text.contains("did not tell the proxy's targets: ")), "{:?}", api.logs());
    api.stop().await;
}

#[tokio::test]
#[ignore = "compiles the AWS SDK for RDS: cargo test-moto"]
async fn an_api_of_rds_that_is_silent_is_asked_once_and_costs_half_a_second() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = asking(&format!("http://{}", silent.local_addr().unwrap()), "thaw").await;
    let asked = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok(Ok((socket, _))) = tokio::time::timeout(Duration::from_secs(3), silent.accept()).await {
            open.push(socket);
        }
        open.len()
    });
    let database = Database::fresh().await;
    let api = Api::with(&database, options).await;
    let report = api.respond("health", &json!({ "check": "deep" })).await;
    assert_eq!((&report["status"], &report["checks"]["proxy:targets"][0]["status"]), (&json!("warn"), &json!("warn")), "{report}");
    assert!(report["checks"]["database:connections"][0]["observedValue"].is_number(), "the database was asked all the same: {report}");
    assert!(api.logs().iter().any(|line| line.text.contains("did not answer within 500 ms")), "{:?}", api.logs());
    assert_eq!(asked.await.unwrap(), 1, "it is not asked again");
    api.stop().await;
}

#[tokio::test]
async fn a_program_that_was_built_without_the_api_of_rds_says_so() {
    let database = Database::fresh().await;
    let api = Api::with(&database, options("http://127.0.0.1:1", "thaw")).await;
    let check = targets(&api).await;
    assert_eq!(check["status"], "warn", "{check}");
    assert!(api.logs().iter().any(|line| line.text.contains("built without the feature rds-api")), "{:?}", api.logs());
    api.stop().await;
}

#[tokio::test]
async fn without_an_endpoint_the_targets_are_left_out() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options::default().with_variable("DB_PROXY_NAME", "thaw")).await;
    let report = api.respond("health", &json!({ "check": "deep" })).await;
    assert!(report["status"] == "pass" && report["checks"].get("proxy:targets").is_none(), "{report}");
    api.stop().await;
}
