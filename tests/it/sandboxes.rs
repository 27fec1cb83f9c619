//! The sandboxes behave as Lambda's: proved with a function that does what it is told, well or badly.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use local::cloud::Settings;
use local::invoke::{FunctionErrorKind, Invoke as _, InvokeError};
use local::sandbox::{Condition, FUNCTION_ERROR_EXIT, FUNCTION_ERROR_TIMEOUT, PAYLOAD_LIMIT_BYTES, Program};
use serde_json::json;
use tests::{is_alive, is_stopped};

use crate::bench::{Bench, settings};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_deadline_is_a_real_time_as_far_away_as_the_timeout() {
    let bench = Bench::new(Duration::from_secs(7), &settings(1), &[]);
    for _ in 0..2 {
        let answer = bench.invoke(json!({"do": "time"})).await.unwrap();
        let left_ms = answer["deadline_ms"].as_u64().unwrap().saturating_sub(answer["now_ms"].as_u64().unwrap());
        assert!((3_000..=7_000).contains(&left_ms), "{left_ms} ms of 7,000 are left");
    }
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn an_invocation_past_its_timeout_is_killed_and_the_next_one_gets_a_new_sandbox() {
    let bench = Bench::new(Duration::from_secs(1), &settings(1), &[]);
    bench.invoke(json!({})).await.unwrap();
    let pid = bench.only().await.pid;
    let (kind, text) = bench.invoke(json!({"do": "sleep", "ms": 20_000})).await.unwrap_err();
    assert_eq!(kind, FUNCTION_ERROR_TIMEOUT);
    assert!(text.ends_with("Error: Task timed out after 1.00 seconds"), "{text}");
    assert!(!is_alive(pid));
    bench.invoke(json!({})).await.unwrap();
    assert_ne!(bench.only().await.pid, pid);
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn nothing_runs_in_a_frozen_sandbox() {
    let bench = Bench::new(LONG, &settings(1), &[]);
    let ticks = async || bench.invoke(json!({"do": "count"})).await.unwrap()["ticks"].as_u64().unwrap();
    let before = ticks().await;
    let sandbox = bench.frozen().await;
    assert!(is_stopped(sandbox.pid));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = ticks().await;
    // Awake, the task would have run about a hundred times.
    assert!(after - before < 50, "it ran {} times in the freeze", after - before);
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn a_sandbox_is_cold_then_frozen_then_warm() {
    let bench = Bench::new(LONG, &settings(1), &[]);
    let condition = async |ms: u64| {
        let (_, condition) = tokio::join!(bench.invoke(json!({"do": "sleep", "ms": ms})), async {
            tokio::time::sleep(Duration::from_millis(ms / 2)).await;
            bench.only().await.condition
        });
        condition
    };
    assert_eq!(condition(2_000).await, Condition::Cold);
    assert_eq!(bench.frozen().await.condition, Condition::Frozen);
    assert_eq!(condition(2_000).await, Condition::Warm);
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn a_second_invocation_gets_a_second_sandbox_up_to_the_limit_and_then_is_throttled() {
    let bench = Bench::new(LONG, &settings(2), &[]);
    let sleep = || bench.invoke(json!({"do": "sleep", "ms": 1_500}));
    let throttled = async {
        while bench.cloud.sandboxes().await.len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bench.cloud.invoke("scripted", "{}".into()).await
    };
    let (first, second, third) = tokio::join!(sleep(), sleep(), throttled);
    assert_ne!(first.unwrap()["pid"], second.unwrap()["pid"]);
    assert_eq!(third.unwrap_err(), InvokeError::TooManyRequests);
    assert!(bench.invoke(json!({})).await.is_ok(), "a free sandbox serves again");
    assert_eq!(bench.cloud.sandboxes().await.len(), 2);
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn invocations_one_after_the_other_share_one_sandbox() {
    let bench = Bench::new(LONG, &settings(5), &[]);
    for _ in 0..200 {
        bench.invoke(json!({})).await.unwrap();
    }
    let sandbox = bench.frozen().await;
    assert_eq!((sandbox.invocations, sandbox.thaws), (200, 199));
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn a_process_that_ends_is_an_exit_error_and_is_replaced() {
    let bench = Bench::new(LONG, &settings(1), &[]);
    let (kind, text) = bench.invoke(json!({"do": "exit", "code": 3})).await.unwrap_err();
    assert_eq!(kind, FUNCTION_ERROR_EXIT);
    assert!(text.ends_with("Runtime exited with error: exit status: 3"), "{text}");
    bench.invoke(json!({})).await.unwrap();
    let pid = bench.frozen().await.pid;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    while is_alive(pid) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // It may be noticed as ended before the next invocation, or by it.
    let _ = bench.invoke(json!({})).await;
    bench.invoke(json!({})).await.unwrap();
    assert_ne!(bench.only().await.pid, pid);
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn a_process_that_ends_in_init_is_an_exit_error_at_once() {
    let bench = Bench::new(LONG, &settings(1), &[("SCRIPT_INIT", "exit")]);
    let (kind, text) = bench.invoke(json!({})).await.unwrap_err();
    assert_eq!(kind, FUNCTION_ERROR_EXIT);
    assert!(text.ends_with("exit status: 7"), "{text}");
    assert!(bench.lines.lock().unwrap().iter().any(|line| line == "ending in init"), "its last words are kept");
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn a_missing_program_is_an_entrypoint_error() {
    let program = Program {
        function: "scripted".into(),
        executable: PathBuf::from("/does/not/exist").into(),
        memory_mb: 128,
        timeout: LONG,
        environment: BTreeMap::new(),
    };
    let (kind, text) = Bench::of(program, &settings(1)).invoke(json!({})).await.unwrap_err();
    assert_eq!(kind, "Runtime.InvalidEntrypoint");
    assert!(text.contains("/does/not/exist"), "{text}");
}

#[tokio::test]
async fn an_error_that_the_function_reports_reaches_the_caller_and_keeps_the_sandbox() {
    let bench = Bench::new(LONG, &settings(1), &[]);
    let outcome = bench.cloud.invoke("scripted", json!({"do": "fail"}).to_string().into()).await.unwrap();
    let error = outcome.result.unwrap_err();
    assert_eq!(error.kind, FunctionErrorKind::Handled);
    assert!(String::from_utf8_lossy(&error.payload).contains("failed as told"));
    let pid = bench.only().await.pid;
    bench.invoke(json!({})).await.unwrap();
    assert_eq!(bench.only().await.pid, pid);
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn payloads_have_lambdas_limit_both_ways() {
    let bench = Bench::new(LONG, &settings(1), &[]);
    let invoke = async |payload: String| bench.cloud.invoke("scripted", payload.into()).await;
    let padded = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    assert!(invoke(padded(PAYLOAD_LIMIT_BYTES)).await.unwrap().result.is_ok());
    assert!(matches!(invoke(padded(PAYLOAD_LIMIT_BYTES + 1)).await, Err(InvokeError::InvalidPayload(_))));
    let (kind, text) = bench.invoke(json!({"do": "bytes", "count": PAYLOAD_LIMIT_BYTES})).await.unwrap_err();
    assert_eq!(kind, "Function.ResponseSizeTooLarge", "{text}");
    bench.invoke(json!({})).await.expect("the sandbox serves on");
    for wrong in ["", "{", "{} {}", "\u{feff}{}", "nul"] {
        assert!(matches!(invoke(wrong.into()).await, Err(InvokeError::InvalidPayload(_))), "{wrong:?}");
    }
    assert!(matches!(bench.cloud.invoke("other", "{}".into()).await, Err(InvokeError::UnknownFunction(name)) if name == "other"));
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn without_an_extension_the_end_is_sigkill_and_with_one_sigterm_and_its_window() {
    for (extension, told) in [("", false), ("sigterm", true)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("end");
        let bench = Bench::new(LONG, &settings(1), &[("SCRIPT_EXTENSION", extension), ("SCRIPT_FILE", file.to_str().unwrap())]);
        bench.invoke(json!({})).await.unwrap();
        let pid = bench.frozen().await.pid;
        bench.cloud.shut_down().await;
        assert!(!is_alive(pid));
        assert_eq!(file.exists(), told, "extension {extension:?}");
    }
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed_after_its_window() {
    let bench = Bench::new(LONG, &settings(1), &[("SCRIPT_EXTENSION", "stubborn")]);
    bench.invoke(json!({})).await.unwrap();
    let pid = bench.frozen().await.pid;
    let began = Instant::now();
    bench.cloud.shut_down().await;
    assert!(!is_alive(pid));
    assert!(began.elapsed() >= Duration::from_millis(500), "it got its window: {:?}", began.elapsed());
}

#[tokio::test]
async fn the_freeze_waits_for_an_extension_that_is_told_of_invocations() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told");
    let bench = Bench::new(LONG, &settings(1), &[("SCRIPT_EXTENSION", "invoke"), ("SCRIPT_FILE", file.to_str().unwrap())]);
    for count in 1..=3 {
        bench.invoke(json!({})).await.unwrap();
        bench.frozen().await;
        let told = std::fs::read_to_string(&file).unwrap();
        assert_eq!(told.lines().count(), count, "its work was done before the freeze");
    }
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn an_idle_sandbox_is_shut_down_after_its_time() {
    let idle_limit = Duration::from_millis(300);
    let bench = Bench::new(LONG, &Settings { idle_limit, ..settings(1) }, &[]);
    bench.invoke(json!({})).await.unwrap();
    let pid = bench.only().await.pid;
    for _ in 0..500 {
        if !is_alive(pid) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!is_alive(pid));
    assert!(bench.cloud.sandboxes().await.is_empty());
    bench.invoke(json!({})).await.expect("a new one starts");
    bench.cloud.shut_down().await;
}

#[tokio::test]
async fn a_closed_cloud_takes_no_invocation_and_leaves_no_process() {
    let bench = Bench::new(LONG, &settings(4), &[]);
    let busy = tokio::join!(bench.invoke(json!({"do": "sleep", "ms": 100})), bench.invoke(json!({"do": "sleep", "ms": 100})));
    assert!(busy.0.is_ok() && busy.1.is_ok());
    let pids: Vec<i32> = bench.cloud.sandboxes().await.iter().map(|sandbox| sandbox.pid).collect();
    bench.cloud.shut_down().await;
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "{pids:?}");
    assert_eq!(bench.cloud.invoke("scripted", "{}".into()).await.unwrap_err(), InvokeError::ShuttingDown);
}
