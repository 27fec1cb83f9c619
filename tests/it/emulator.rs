//! The bundle under AWS's own Runtime Interface Emulator: what the local cloud is held to where they overlap. Where they do not, the README has a
//! list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use local::stack;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tests::{Answer, Database, Emulator, Fault, FaultProxy, eventually, executable, http_event, is_alive};

use crate::managed_instances::{N, waiting};

/// The template's.
const TIMEOUT: Duration = Duration::from_secs(10);
/// One to run into. On a busy machine a process needs some of it to start.
const SHORT: Duration = Duration::from_secs(3);
/// Postgres documentation, section 55.7: Terminate is one letter and a length of four.
const TERMINATE_BYTES: u64 = 5;

/// What the template gives the function, and how it connects past any proxy of RDS.
pub(crate) fn variables(database: &Database, proxy: &FaultProxy) -> BTreeMap<String, String> {
    let template = stack::template(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")).unwrap();
    let function = template.functions.into_iter().find(|function| function.name == "purchased-models").unwrap();
    let mut variables = function.environment;
    variables.extend(stack::direct_environment(&database.roles().by_way_of(proxy.address()), "thaw_app").unwrap());
    variables
}

/// A real function over a real database.
struct Referee {
    database: Database,
    proxy: FaultProxy,
    emulator: Emulator,
}

impl Referee {
    async fn with(extra: &[(&str, &str)], program: Option<&Path>) -> Self {
        let database = Database::seeded().await;
        let proxy = FaultProxy::to(database.address()).await;
        let mut variables = variables(&database, &proxy);
        variables.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let real = executable("purchased-models").await;
        let emulator = Emulator::start(program.unwrap_or(&real), TIMEOUT, &variables).await;
        Self { database, proxy, emulator }
    }

    /// The function's answer to a list of purchases.
    async fn list(&self) -> Value {
        self.emulator.invoke(&http_event("purchased-models-get.json")).await.json()
    }

    /// Ends it, by which `sessions` of the database are closed by their client.
    async fn end(self, sessions: usize) {
        assert_eq!(self.database.app_sessions().await.len(), sessions);
        let sent = self.proxy.client_bytes();
        self.emulator.stop().await;
        eventually("no session is left behind", async || self.database.app_sessions().await.is_empty()).await;
        assert_eq!(self.proxy.client_bytes() - sent, TERMINATE_BYTES * sessions as u64, "each is closed politely");
    }
}

async fn scripted(timeout: Duration, variables: &[(&str, &str)]) -> Emulator {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Emulator::start(&tests::scripted(), timeout, &variables).await
}

#[tokio::test]
#[ignore = "needs SAM CLI"]
async fn the_deadline_is_a_real_time_as_far_away_as_the_timeout() {
    let emulator = scripted(Duration::from_secs(7), &[]).await;
    for _ in 0..2 {
        let answer = emulator.invoke(&json!({ "do": "time" })).await.json();
        let left_ms = answer["deadline_ms"].as_u64().unwrap().saturating_sub(answer["now_ms"].as_u64().unwrap());
        assert!((3_000..=7_000).contains(&left_ms), "{left_ms} ms of 7,000 are left");
    }
    emulator.stop().await;
}

#[tokio::test]
#[ignore = "needs SAM CLI"]
async fn an_invocation_past_its_timeout_is_killed_and_the_next_one_gets_a_new_process() {
    let emulator = scripted(SHORT, &[]).await;
    let pid = async || emulator.invoke(&json!({ "do": "sleep", "ms": 1 })).await.json()["pid"].as_i64().unwrap();
    let first = pid().await;
    let answer = emulator.invoke(&json!({ "do": "sleep", "ms": 20_000 })).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "Task timed out after 3.00 seconds"));
    assert!(!is_alive(i32::try_from(first).unwrap()));
    assert_ne!(pid().await, first);
    emulator.stop().await;
}

#[tokio::test]
#[ignore = "needs SAM CLI"]
async fn a_function_starts_with_its_first_invocation_and_is_told_of_its_end_after_a_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("end");
    let emulator = scripted(SHORT, &[("SCRIPT_EXTENSION", "sigterm"), ("SCRIPT_FILE", file.to_str().unwrap())]).await;
    let ticks = async || emulator.invoke(&json!({ "do": "count" })).await.json()["ticks"].as_u64().unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let first = ticks().await;
    assert!(first < 200, "it has run for {first} times 10 ms");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(ticks().await > first + 20, "it goes on between two invocations");
    emulator.invoke(&json!({ "do": "sleep", "ms": 20_000 })).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "SIGTERM\n");
    emulator.stop().await;
}

#[tokio::test]
#[ignore = "needs SAM CLI"]
async fn two_at_once_end_the_emulator() {
    let mut emulator = scripted(TIMEOUT, &[]).await;
    let nap = json!({ "do": "sleep", "ms": 2_000 });
    emulator.invoke(&json!({ "do": "sleep", "ms": 1 })).await;
    tokio::join!(emulator.try_invoke(&nap), emulator.try_invoke(&nap));
    eventually("it ends; if not, the README's list is out of date", async || !emulator.is_running()).await;
}

#[tokio::test]
#[ignore = "needs SAM CLI"]
async fn with_several_at_once_the_process_outlives_a_timeout() {
    let emulator = scripted(SHORT, &[("AWS_LAMBDA_MAX_CONCURRENCY", "4")]).await;
    let pid = async || emulator.invoke(&json!({ "do": "sleep", "ms": 1 })).await.json()["pid"].as_u64().unwrap();
    let first = pid().await;
    let late = emulator.invoke(&json!({ "do": "sleep", "ms": 20_000 })).await;
    assert_eq!((late.status, &late.json()["errorType"]), (200, &json!("Sandbox.Timedout")), "{late:?}");
    assert_eq!(pid().await, first);
    emulator.stop().await;
}

#[tokio::test]
#[ignore = "needs SAM CLI"]
async fn a_process_that_ends_is_an_exit_error_and_is_replaced() {
    let emulator = scripted(TIMEOUT, &[]).await;
    let answer = emulator.invoke(&json!({ "do": "exit", "code": 3 })).await;
    assert_eq!(answer.json()["errorType"], "Runtime.ExitError", "{answer:?}");
    assert!(answer.json()["errorMessage"].as_str().unwrap().ends_with("Error: Runtime exited with error: exit status 3"), "{answer:?}");
    assert!(emulator.invoke(&json!({ "do": "sleep", "ms": 1 })).await.json()["pid"].is_u64());
    emulator.stop().await;
}

#[tokio::test]
#[ignore = "needs SAM CLI"]
async fn one_connection_serves_all_invocations_and_is_closed_at_the_end() {
    let referee = Referee::with(&[], None).await;
    for _ in 0..20 {
        let answer = referee.list().await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
    }
    assert_eq!(referee.proxy.flows(), 1);
    referee.end(1).await;
}

#[tokio::test]
#[ignore = "needs SAM CLI"]
async fn a_backend_that_was_terminated_is_replaced_unnoticed() {
    let referee = Referee::with(&[], None).await;
    for _ in 0..3 {
        let answer = referee.list().await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        referee.database.terminate_app_sessions().await;
    }
    assert_eq!(referee.list().await["statusCode"], 200);
    referee.end(1).await;
}

#[tokio::test]
#[ignore = "needs SAM CLI"]
async fn a_silent_database_is_answered_before_the_deadline_and_the_process_goes_on() {
    let referee = Referee::with(&[], None).await;
    assert_eq!(referee.list().await["statusCode"], 200);
    referee.proxy.begin(Fault::Silence);
    let silent = referee.list().await;
    assert_eq!(silent["statusCode"], 503, "{silent}");
    referee.proxy.begin(Fault::None);
    eventually("it is served again", async || referee.list().await["statusCode"] == 200).await;
    assert!(!referee.emulator.log().contains("Task timed out"), "{}", referee.emulator.log());
    referee.emulator.stop().await;
}

#[tokio::test]
#[ignore = "needs SAM CLI"]
async fn four_at_once_share_one_process_and_a_fifth_is_turned_away() {
    let referee = Referee::with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "4")], Some(&tests::scripted_route())).await;
    let mut event = http_event("purchased-models-get.json");
    event["rawQueryString"] = "do=lock&key=1".into();
    let (mut locker, mut observer) = (referee.database.connect_admin().await, referee.database.connect_admin().await);
    let mut lock = locker.begin().await.unwrap();
    sqlx::raw_sql("select pg_advisory_xact_lock(1)").execute(&mut *lock).await.unwrap();
    let meanwhile = async {
        eventually("all wait at once", async || waiting(&mut observer).await == i64::try_from(N).unwrap()).await;
        let fifth = referee.emulator.invoke(&event).await;
        lock.rollback().await.unwrap();
        fifth
    };
    // Turned away while the process starts, or 503 where the lock is held for longer than the retries last: then once more.
    let served = async || loop {
        let answer = referee.emulator.invoke(&event).await;
        let (body, error) = (answer.json(), json!("Runtime.Unavailable"));
        match (answer.status, body["statusCode"].as_u64()) {
            (200, Some(200)) => return answer,
            (200, Some(503)) => {}
            _ => assert_eq!(body["errorType"], error, "{answer:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let both = async { tokio::join!(join_all((0..N).map(|_| served())), meanwhile) };
    let (answers, fifth): (Vec<Answer>, Answer) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("all are served");
    // The local cloud starts another sandbox, as Lambda does.
    assert_eq!((fifth.status, &fifth.json()["errorType"]), (400, &json!("Runtime.Unavailable")), "{fifth:?}");
    let mut processes = BTreeSet::new();
    for answer in &answers {
        let body: Value = serde_json::from_str(answer.json()["body"].as_str().unwrap()).unwrap();
        processes.insert(body["pid"].as_u64().unwrap());
    }
    assert_eq!(processes.len(), 1);
    referee.end(N).await;
}

#[tokio::test]
#[ignore = "needs SAM CLI"]
async fn a_deadline_of_weeks_leaves_the_budget_in_force() {
    let emulator = scripted(Duration::from_secs(3), &[("AWS_LAMBDA_MAX_CONCURRENCY", "4")]).await;
    let answer = emulator.invoke(&json!({ "do": "time" })).await.json();
    let left_ms = answer["deadline_ms"].as_u64().unwrap().saturating_sub(answer["now_ms"].as_u64().unwrap());
    assert!(left_ms > 2_000_000_000, "it takes nanoseconds for milliseconds; if no more, the README's list is out of date: {left_ms}");
    emulator.stop().await;

    let short = [("AWS_LAMBDA_MAX_CONCURRENCY", "4"), ("RETRY_BUDGET_MS", "2000"), ("DB_ATTEMPT_TIMEOUT_MS", "1000")];
    let referee = Referee::with(&short, None).await;
    assert_eq!(referee.list().await["statusCode"], 200);
    referee.proxy.begin(Fault::Silence);
    let begun = Instant::now();
    let silent = referee.list().await;
    assert_eq!(silent["statusCode"], 503, "{silent}");
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
    referee.emulator.stop().await;
}
