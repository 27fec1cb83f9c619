//! `cargo ops drill`: each fault heals by itself, and requests outlive it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use local::postgres::account;
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Cluster, Command, cluster_place, eventually, load_place, prepared_state};

const DRILLS: [&str; 6] = ["terminate", "restart", "stop", "silence", "freeze", "rotate"];

/// What a drill may take to heal.
const HEALED_MS: u64 = 5_000;

/// A running `cargo dev` and the folder of its state.
struct Dev {
    state: tempfile::TempDir,
    command: Command,
    api: String,
}

impl Dev {
    async fn start(state: tempfile::TempDir, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::start(state.path(), &["dev", "--port", "0"], variables).await;
        let api = command.line("ready ").await.strip_prefix("ready ").unwrap().to_owned();
        Self { state, command, api }
    }

    async fn ops(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let ended = Command::run(self.state.path(), arguments, &[]).await;
        (ended.code, ended.stdout, ended.stderr)
    }

    async fn stop(self) -> tempfile::TempDir {
        self.command.signal(Signal::SIGTERM);
        let ended = self.command.end().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        self.state
    }
}

/// Users who ask for a list again and again, and the statuses that they got.
struct Users {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Vec<u16>>>,
}

impl Users {
    fn start(api: &str, token: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ask = |path: &str| {
            let (url, token, stop) = (format!("{api}{path}"), token.to_owned(), Arc::clone(&stop));
            tokio::spawn(async move {
                let (client, mut statuses) = (tests::http_client(), Vec::new());
                while !stop.load(Ordering::SeqCst) {
                    statuses.push(client.get(&url).bearer_auth(&token).send().await.map_or(0, |answer| answer.status().as_u16()));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                statuses
            })
        };
        let tasks = ["/api/user/purchased-models", "/api/models/user-models"].into_iter().cycle().take(6).map(ask).collect();
        Self { stop, tasks }
    }

    async fn end(self) -> Vec<u16> {
        self.stop.store(true, Ordering::SeqCst);
        let mut statuses = Vec::new();
        for task in self.tasks {
            statuses.extend(task.await.unwrap());
        }
        statuses
    }
}

async fn feed(api: &str) -> Value {
    serde_json::from_str(&tests::http_client().get(format!("{api}/_thaw/feed")).send().await.unwrap().text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn every_drill_heals_in_five_seconds_and_no_request_fails() {
    let _places = (cluster_place().await, load_place().await);
    let dev = Dev::start(prepared_state().await, &[]).await;
    let token = dev.ops(&["token", "user-1"]).await.1;
    let users = Users::start(&dev.api, &token);
    eventually("all are at it", async || feed(&dev.api).await["totals"]["requests"].as_u64().unwrap() > 30).await;
    let mut outcomes = Vec::new();
    for drill in DRILLS {
        let (code, stdout, stderr) = dev.ops(&["drill", drill, "--json"]).await;
        assert_eq!(code, Some(0), "{drill}: {stdout} {stderr}");
        let outcome: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((&outcome["drill"], &outcome["witness"]["status"]), (&drill.into(), &200.into()), "{outcome}");
        assert!(outcome["healed_ms"].as_u64().unwrap() <= HEALED_MS, "{outcome}");
        if drill == "stop" {
            assert!(outcome["witness"]["took_ms"].as_u64().unwrap() >= 5_000, "it was sent while the server was down: {outcome}");
        }
        outcomes.push(outcome);
    }
    let statuses = users.end().await;
    let failed: Vec<_> = statuses.iter().filter(|status| **status != 200).collect();
    if !failed.is_empty() {
        dev.command.signal(Signal::SIGTERM);
        let log = dev.command.end().await.stderr;
        let why: Vec<&str> = log.lines().filter(|line| line.contains("not served")).collect();
        panic!("{} of {} failed: {failed:?}\n{}\n{outcomes:#?}", failed.len(), statuses.len(), why.join("\n"));
    }
    assert!(statuses.len() > 30, "{statuses:?}");

    // The dashboard counts the same, and a witness for each drill.
    let feed = feed(&dev.api).await;
    assert_eq!((&feed["totals"]["failed"], &feed["totals"]["requests"]), (&0.into(), &(statuses.len() + DRILLS.len()).into()), "{}", feed["totals"]);
    let shaded: Vec<&str> = feed["seconds"].as_array().unwrap().iter().filter_map(|second| second["drill"].as_str()).collect();
    // Of two within one second it shows one.
    assert!(["stop", "silence", "freeze"].iter().all(|drill| shaded.contains(drill)), "{shaded:?}");

    let (freeze, other) = tokio::join!(dev.ops(&["drill", "freeze"]), async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        dev.ops(&["drill", "terminate"]).await
    });
    assert!(freeze.0 == Some(0) && freeze.1.contains("frozen\nfault      2.0"), "{freeze:?}");
    assert_eq!((other.0, other.2.trim()), (Some(1), "error: the drill freeze is running: wait until it has ended"));

    // A rotated password is no obstacle to the next start.
    let dev = Dev::start(dev.stop().await, &[]).await;
    let answer = tests::http_client().get(format!("{}/api/user/purchased-models", dev.api)).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    dev.stop().await;
}

#[tokio::test]
async fn a_server_of_ones_own_is_neither_stopped_nor_given_passwords() {
    let cluster = Cluster::own().await;
    let database = cluster.database().await;
    let dev = Dev::start(account::temporary_directory("thaw-test-drill-").unwrap(), &[("DATABASE_URL", &database.admin_url())]).await;
    for (drill, reason) in [
        ("restart", "the server is your own, and only one that cargo dev started is stopped"),
        ("stop", "the server is your own, and only one that cargo dev started is stopped"),
        ("rotate", "the role's password belongs to the whole of your server"),
    ] {
        let (code, _, stderr) = dev.ops(&["drill", drill]).await;
        assert_eq!(code, Some(1), "{drill}: {stderr}");
        assert!(stderr.starts_with(&format!("error: the drill {drill} cannot be run here: {reason}")), "{stderr}");
    }
    for drill in ["terminate", "silence", "freeze"] {
        let (code, stdout, stderr) = dev.ops(&["drill", drill]).await;
        assert_eq!(code, Some(0), "{drill}: {stdout} {stderr}");
    }
    dev.stop().await;
}

#[tokio::test]
async fn the_drills_are_listed_with_what_they_do() {
    let state = tempfile::tempdir().unwrap();
    let text = Command::run(state.path(), &["drill", "--list"], &[]).await;
    let names: Vec<&str> = text.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!((text.code, &names[..]), (Some(0), &DRILLS[..]), "{text:?}");
    let json = Command::run(state.path(), &["drill", "--list", "--json"], &[]).await;
    let list: Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(list.as_array().unwrap().iter().zip(DRILLS).all(|(entry, drill)| entry["drill"] == drill && entry["description"].is_string()), "{list}");
}
