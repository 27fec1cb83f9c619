//! A function on AWS's own run loop that does what its event says, well or badly. The tests of the sandboxes run it in place of a real one.
//!
//! - `{"do": "echo", …}`: answers with its event.
//! - `{"do": "time"}`: answers with the deadline that it was told and the time that it is, in ms since the epoch.
//! - `{"do": "sleep", "ms": N}`: works for N ms.
//! - `{"do": "count"}`: answers how often a task in the background has run; it runs every 10 ms, while it may.
//! - `{"do": "exit", "code": N}`: ends the process. `{"do": "fail"}`: reports an error. `{"do": "bytes", "count": N}`: a long answer.
//!
//! `SCRIPT_INIT` = `exit` ends the process in init. `SCRIPT_EXTENSION` = `sigterm` registers an internal extension and, on SIGTERM,
//! writes the file that `SCRIPT_FILE` names; `stubborn` registers one and ignores SIGTERM; `invoke` registers one that is told of each
//! invocation and takes 300 ms for it, and then appends a line to that file.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "it may fail in any way: the tests see to that")]

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_extension::{Extension, LambdaEvent as ExtensionEvent, NextEvent};
use lambda_runtime::{Error, LambdaEvent, service_fn, spawn_graceful_shutdown_handler};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if variable("SCRIPT_INIT") == "exit" {
        eprintln!("ending in init");
        std::process::exit(7);
    }
    match variable("SCRIPT_EXTENSION").as_str() {
        "sigterm" => spawn_graceful_shutdown_handler(async || append("SIGTERM")).await,
        "stubborn" => spawn_graceful_shutdown_handler(async || std::future::pending::<()>().await).await,
        "invoke" => {
            let extension = Extension::new().with_extension_name("slow").with_events(&["INVOKE"]).with_events_processor(service_fn(after_invoke));
            let extension = extension.register().await?;
            tokio::spawn(extension.run());
        }
        _ => {}
    }
    let ticks = Arc::new(AtomicU64::new(0));
    tokio::spawn(tick(Arc::clone(&ticks)));
    // One invocation at a time, unless AWS_LAMBDA_MAX_CONCURRENCY says more.
    lambda_runtime::run_concurrent(service_fn(move |event: LambdaEvent<Value>| act(event, Arc::clone(&ticks)))).await
}

async fn act(event: LambdaEvent<Value>, ticks: Arc<AtomicU64>) -> Result<Value, Error> {
    let script = &event.payload;
    match script["do"].as_str().unwrap_or("echo") {
        "time" => {
            let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
            Ok(json!({ "deadline_ms": event.context.deadline, "now_ms": u64::try_from(now_ms)? }))
        }
        "sleep" => {
            tokio::time::sleep(Duration::from_millis(script["ms"].as_u64().unwrap_or_default())).await;
            Ok(json!({ "pid": std::process::id() }))
        }
        "count" => Ok(json!({ "ticks": ticks.load(Ordering::Relaxed), "pid": std::process::id() })),
        "exit" => std::process::exit(i32::try_from(script["code"].as_i64().unwrap_or_default())?),
        "fail" => Err("failed as told".into()),
        "bytes" => Ok("x".repeat(usize::try_from(script["count"].as_u64().unwrap_or_default())?).into()),
        _ => Ok(event.payload),
    }
}

async fn tick(ticks: Arc<AtomicU64>) {
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        ticks.fetch_add(1, Ordering::Relaxed);
    }
}

async fn after_invoke(event: ExtensionEvent) -> Result<(), Error> {
    if let NextEvent::Invoke(invoke) = event.next {
        tokio::time::sleep(Duration::from_millis(300)).await;
        append(&invoke.request_id);
    }
    Ok(())
}

fn append(line: &str) {
    let mut file = std::fs::File::options().create(true).append(true).open(variable("SCRIPT_FILE")).unwrap();
    writeln!(file, "{line}").unwrap();
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
