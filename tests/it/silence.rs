//! The network goes silent, or time is short: every wait has its bound.

use std::time::{Duration, Instant};

use tests::{Api, Database, Fault, FaultProxy, Options, eventually};

use crate::behind_proxy::{BehindProxy, NORMAL, PATH};

/// `DB_ATTEMPT_TIMEOUT_MS` of the template.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(4_500);

/// How long the breaker refuses.
const COOL_OFF: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_stale_flow_after_long_idleness_is_served_after_one_ping_timeout() {
    let bench = BehindProxy::with(Database::seeded().await, Options::default().with_variable("DB_MAX_IDLE_MS", "500")).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    bench.proxy.begin(Fault::OldSilence);
    let took = bench.served().await;
    assert!(took <= Duration::from_millis(1_500), "{took:?}");
    let next = bench.served().await;
    assert!(next < NORMAL, "{next:?}");
    bench.api.stop().await;
}

#[tokio::test]
async fn a_stale_flow_on_a_connection_in_use_is_served_after_one_attempt_timeout() {
    let bench = BehindProxy::warm().await;
    bench.proxy.begin(Fault::OldSilence);
    let took = bench.served().await;
    assert!(took >= ATTEMPT_TIMEOUT && took < ATTEMPT_TIMEOUT + NORMAL * 2, "{took:?}");
    let next = bench.served().await;
    assert!(next < NORMAL, "{next:?}");
    bench.api.stop().await;
}

#[tokio::test]
async fn a_silent_database_during_init_costs_one_connect_timeout() {
    let database = Database::seeded().await;
    let proxy = FaultProxy::to(database.address()).await;
    let options = Options::default().by_url(&database.app_url_at(proxy.address()));
    let api = Api::with(&database, options).await;
    proxy.begin(Fault::Silence);
    let back = async {
        eventually("init goes on", async || api.logs().iter().any(|line| line.text.contains("no connection during init"))).await;
        proxy.begin(Fault::None);
    };
    let (answer, ()) = tokio::join!(api.get_as("user-1", PATH), back);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(proxy.flows() >= 2, "one during init, one for the request");
    api.stop().await;
}

#[tokio::test]
async fn five_seconds_of_total_silence_are_outlived() {
    let bench = BehindProxy::warm().await;
    bench.proxy.begin(Fault::Silence);
    let back = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        bench.proxy.begin(Fault::None);
    };
    let ((answer, _), ()) = tokio::join!(bench.get(), back);
    assert_eq!((answer.status, &answer.body), (200, &bench.right));
    let next = bench.served().await;
    assert!(next < NORMAL, "{next:?}");
    bench.api.stop().await;
}

#[tokio::test]
async fn total_silence_for_ever_is_503_before_the_deadline_and_then_at_once() {
    let bench = BehindProxy::warm().await;
    bench.proxy.begin(Fault::Silence);
    let (answer, took) = bench.get().await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    assert!(took < Duration::from_secs(10), "the template's timeout: {took:?}");
    // The first budget went partly to the connection that was there. After a whole one without any, the breaker refuses.
    bench.get().await;
    let (answer, took) = bench.get().await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    assert!(took < NORMAL, "an open breaker answers at once: {took:?}");
    bench.proxy.begin(Fault::None);
    let back = Instant::now();
    eventually("it is used again", async || bench.get().await.0.status == 200).await;
    assert!(back.elapsed() < COOL_OFF + NORMAL, "{:?}", back.elapsed());
    bench.api.stop().await;
}

#[tokio::test]
async fn a_deadline_that_is_near_fails_fast_without_an_attempt() {
    let database = Database::seeded().await;
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.yaml");
    let committed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    // A timeout of which the reserve leaves nothing.
    let changed = std::fs::read_to_string(committed).unwrap().replace("    Timeout: 10\n", "    Timeout: 1\n");
    std::fs::write(&template, changed).unwrap();
    let options = Options { template: Some(template), ..Options::default() }.with_variable("DEADLINE_RESERVE_MS", "1000");
    // The session of init would hide whether the request began one.
    let api = Api::with(&database, options.with_variable("DB_WARM_IN_INIT", "false")).await;
    let answer = api.get_as("user-1", PATH).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{answer:?}");
    assert!(database.app_sessions().await.is_empty(), "nothing was begun");
    api.stop().await;
}
