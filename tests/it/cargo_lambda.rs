//! The bundle under cargo-lambda's emulator, `cargo lambda watch`, and where that is not as Lambda is: the README has it in a table.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use local::group::Group;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::{Answer, Database, FaultProxy, eventually, free_addresses};
use tokio::process::{Child, Command};

use crate::emulator::variables;

/// A function is compiled before its first answer.
const BUILD_LIMIT: Duration = Duration::from_secs(600);
const END_LIMIT: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `cargo lambda`, which finds its own program on the PATH.
fn cargo_lambda(arguments: &[&str]) -> Command {
    let program = root().join("target/lint/bin/cargo-lambda");
    assert!(program.exists(), "cargo-lambda is missing: install it with pip install cargo-lambda into a virtual environment at target/lint");
    let mut command = Command::new(program);
    local::build::hide_own_package(&mut command);
    command.arg("lambda").args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// `cargo lambda watch`, until it is dropped.
struct Watch {
    port: String,
    child: Child,
    group: Group,
}

impl Watch {
    async fn start(arguments: &[&str], variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let [address] = free_addresses();
        let port = address.port().to_string();
        let place = ["watch", "--ignore-changes", "--invoke-address", "127.0.0.1", "--invoke-port", &port];
        let mut command = cargo_lambda(&[&place[..], arguments].concat());
        let child = command.envs(variables).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap();
        let group = Group::of(&child, Signal::SIGTERM, &tests::guard()).unwrap();
        let this = Self { port, child, group };
        eventually("it listens", async || tokio::net::TcpStream::connect(format!("127.0.0.1:{}", this.port)).await.is_ok()).await;
        this
    }

    /// By `cargo lambda invoke`.
    async fn invoke(&self, function: &str, file: &Path) -> Value {
        let file = file.display().to_string();
        let mut invoke = cargo_lambda(&["invoke", function, "--data-file", &file, "--invoke-address", "127.0.0.1", "--invoke-port", &self.port]);
        let ended = tokio::time::timeout(BUILD_LIMIT, invoke.kill_on_drop(true).output()).await.expect("it is built and answers").unwrap();
        serde_json::from_slice(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
    }

    /// By the same request without `cargo lambda`, which hides the status.
    async fn script(&self, script: Value) -> Answer {
        let url = format!("http://127.0.0.1:{}/2015-03-31/functions/scripted-function/invocations", self.port);
        Answer::of(tests::http_client().post(url).timeout(BUILD_LIMIT).body(script.to_string())).await
    }

    /// Ends all of it by SIGTERM to the whole group, as a terminal does by SIGINT.
    async fn stop(mut self) -> ExitStatus {
        drop(self.group);
        tokio::time::timeout(END_LIMIT, self.child.wait()).await.expect("it ends").unwrap()
    }
}

#[tokio::test]
#[ignore = "needs cargo-lambda"]
async fn it_watches_and_invokes() {
    let database = Database::seeded().await;
    let proxy = FaultProxy::to(database.address()).await;
    let watch = Watch::start(&[], variables(&database, &proxy)).await;
    for _ in 0..2 {
        let answer = watch.invoke("purchased-models", &root().join("infra/events/purchased-models-get.json")).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
    }
    assert_eq!(proxy.flows(), 1, "one connection for both");
    watch.stop().await;
}

#[tokio::test]
#[ignore = "needs cargo-lambda"]
async fn it_differs_from_lambda_as_the_readme_says() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("signals");
    let extension = [("SCRIPT_EXTENSION", "sigterm"), ("SCRIPT_FILE", log.to_str().unwrap())];
    let variables = extension.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let watch = Watch::start(&[], variables.clone()).await;
    let pid = |answer: &Answer| answer.json()["pid"].as_u64().unwrap();

    let told = watch.script(json!({ "do": "time" })).await.json();
    assert_eq!(told["deadline_ms"], 600_000, "ten minutes after the epoch: {told}");

    let ticks = async || watch.script(json!({ "do": "count" })).await.json()["ticks"].as_u64().unwrap();
    let before = ticks().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(ticks().await > before + 20, "it goes on between two invocations");

    let nap = || watch.script(json!({ "do": "sleep", "ms": 300 }));
    let (one, other) = tokio::join!(nap(), nap());
    assert_eq!(pid(&one), pid(&other), "one waits for the other");

    assert!(!log.exists());
    watch.stop().await;
    eventually("the function is told", async || std::fs::read_to_string(&log).is_ok_and(|signals| signals == "SIGTERM\n")).await;

    let watch = Watch::start(&["--timeout", "3"], variables).await;
    // Until it is started: its limit counts the start, too, and the wait for what else is built.
    let mut first = watch.script(json!({ "do": "sleep", "ms": 1 })).await;
    eventually("it is started", async || {
        if first.status != 200 {
            first = watch.script(json!({ "do": "sleep", "ms": 1 })).await;
        }
        first.status == 200
    })
    .await;
    let first = pid(&first);
    let late = watch.script(json!({ "do": "sleep", "ms": 5_000 })).await;
    assert_eq!((late.status, late.body.as_str()), (408, ""));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(pid(&watch.script(json!({ "do": "sleep", "ms": 1 })).await), first, "it is not killed");
    for script in [json!({ "do": "exit", "code": 3 }), json!({ "do": "sleep", "ms": 1 })] {
        let never = watch.script(script).await;
        assert_eq!((never.status, never.body.as_str()), (408, ""), "an end is not told of, and nothing takes its place");
    }
    watch.stop().await;
}
