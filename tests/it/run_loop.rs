//! What a function does with what the Runtime API hands it, and where the Runtime API fails.

use std::process::Stdio;
use std::time::Duration;

use local::invoke::FunctionErrorKind;
use serde_json::{Value, json};
use tests::{Api, Database, Options, http_event};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

const FUNCTION: &str = "purchased-models";

async fn scripted(database: &Database) -> Api {
    let mut options = Options::default();
    options.executables.insert(FUNCTION.into(), tests::scripted_route());
    Api::with(database, options).await
}

fn event(query: &str) -> Value {
    let mut event = http_event("purchased-models-get.json");
    event["rawQueryString"] = query.into();
    event
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_invocation_and_the_sandbox_goes_on() {
    let database = Database::fresh().await;
    let api = scripted(&database).await;
    assert_eq!(api.respond(FUNCTION, &event("do=lock&key=1")).await["statusCode"], 200);
    let pid = api.frozen(FUNCTION).await.pid;
    let outcome = api.invoke(FUNCTION, &event("do=panic")).await.unwrap();
    let error = outcome.result.unwrap_err();
    assert_eq!(error.kind, FunctionErrorKind::Handled);
    let document: Value = serde_json::from_slice(&error.payload).unwrap();
    assert_eq!(document["errorType"], "Function.Panicked", "{document}");
    assert!(document["errorMessage"].is_string() && !document.to_string().contains("as told"), "its words are the log's alone: {document}");
    assert_eq!(api.respond(FUNCTION, &event("do=lock&key=1")).await["statusCode"], 200);
    assert_eq!(api.frozen(FUNCTION).await.pid, pid);
    let line = api.logs().into_iter().find(|line| line.text.contains("panicked")).expect("a panic is logged");
    let log: Value = serde_json::from_str(&line.text).unwrap();
    assert_eq!((&log["level"], &log["span"]["request_id"]), (&"ERROR".into(), &outcome.request_id.as_str().into()), "{log}");
    assert!(log["message"] == "panicked: as told" && log["location"].as_str().unwrap().contains("scripted_route.rs"), "{log}");
    api.stop().await;
}

#[tokio::test]
async fn a_response_that_is_too_long_fails_its_invocation_and_the_sandbox_goes_on() {
    let database = Database::fresh().await;
    let api = scripted(&database).await;
    let long = api.invoke(FUNCTION, &event("do=bytes&count=7000000")).await.unwrap().result.unwrap_err();
    assert!(String::from_utf8_lossy(&long.payload).contains("Function.ResponseSizeTooLarge"), "{long:?}");
    let pid = api.frozen(FUNCTION).await.pid;
    let whole = api.respond(FUNCTION, &event("do=bytes&count=5000000")).await;
    assert_eq!((&whole["statusCode"], whole["body"].as_str().unwrap().len()), (&200.into(), 5_000_002));
    assert_eq!(api.frozen(FUNCTION).await.pid, pid);
    assert!(api.logs().iter().any(|line| line.text.contains("the answer was lost: the response")), "{:?}", api.logs());
    api.stop().await;
}

#[tokio::test]
async fn the_answer_leaves_before_the_deadline_whatever_the_handler_does() {
    let database = Database::fresh().await;
    let api = scripted(&database).await;
    let answer = api.respond(FUNCTION, &event("do=sleep&ms=60000")).await;
    assert_eq!(answer["statusCode"], 503, "{answer}");
    api.stop().await;
}

#[tokio::test]
async fn the_error_of_what_a_request_did_not_read_is_its_own_and_not_the_next_ones() {
    let database = Database::fresh().await;
    let api = scripted(&database).await;
    assert_eq!(api.respond(FUNCTION, &event("do=half")).await["statusCode"], 500, "22012: division by zero");
    assert_eq!(api.respond(FUNCTION, &event("do=lock&key=1")).await["statusCode"], 200);
    api.stop().await;
}

/// What the Runtime API says to a function, one answer a request, and then the connection ends. What follows is refused.
const EXTENSION: &str = "HTTP/1.1 200 OK\r\nlambda-extension-identifier: e\r\ncontent-length: 0\r\n\r\n";
const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 15\r\n\r\n{\"status\":\"OK\"}";

fn invocation(headers: &str) -> String {
    invocation_of(headers, &event(""))
}

fn invocation_of(headers: &str, event: &Value) -> String {
    let event = event.to_string();
    format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n{event}", event.len())
}

/// A function over a Runtime API that gives these answers to its calls, those of its extension apart, and then breaks off. What the
/// function called, how it ended, and what it said.
async fn over(answers: &[String]) -> (Vec<String>, std::process::ExitStatus, String) {
    over_database(NOWHERE, answers).await
}

/// As [`over`], with a database.
async fn over_database(url: &str, answers: &[String]) -> (Vec<String>, std::process::ExitStatus, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let function = start(&listener.local_addr().unwrap().to_string(), url);
    let mut calls = Vec::new();
    let output = tokio::select! {
        output = function.wait_with_output() => output.unwrap(),
        () = serve(listener, answers, &mut calls) => unreachable!("it ends with the function"),
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("the function does not end"),
    };
    (calls, output.status, String::from_utf8(output.stdout).unwrap())
}

/// No server listens there.
const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/nothing?sslmode=disable";

fn start(runtime_api: &str, database_url: &str) -> tokio::process::Child {
    Command::new(tests::scripted_route())
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("DATABASE_URL", database_url)
        .env("RETRY_BUDGET_MS", "1500")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Answers the runtime's calls in turn, whatever connection they come on, then drops everything, and never ends.
async fn serve(listener: TcpListener, answers: &[String], calls: &mut Vec<String>) {
    let (sender, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let mut accepting = tokio::task::JoinSet::new();
    accepting.spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(requests_of(stream, sender.clone()));
        }
    });
    let (mut answers, mut waiting) = (answers.iter(), Vec::new());
    while let Some((request, reply)) = requests.recv().await {
        if request.contains("/extension/register") {
            let _: Result<(), String> = reply.send(EXTENSION.to_owned());
        } else if request.contains("/extension/event/next") {
            waiting.push(reply);
        } else {
            calls.push(request);
            let Some(answer) = answers.next() else { break };
            let _ = reply.send(answer.clone());
        }
    }
    drop(accepting);
    drop(waiting);
    std::future::pending().await
}

/// The requests of one connection, each with where its answer goes.
async fn requests_of(mut stream: TcpStream, sender: tokio::sync::mpsc::UnboundedSender<(String, tokio::sync::oneshot::Sender<String>)>) {
    let mut buffer = Vec::new();
    loop {
        let request = loop {
            if let Some(head) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
                let length: usize = text.split_once("content-length: ").map_or(0, |(_, rest)| rest.lines().next().unwrap().trim().parse().unwrap());
                if buffer.len() >= head + 4 + length {
                    break String::from_utf8(buffer.drain(..head + 4 + length).collect()).unwrap();
                }
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let (reply, answer) = tokio::sync::oneshot::channel();
        let _ = sender.send((request, reply));
        let Ok(answer) = answer.await else { return };
        // It may have read enough.
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_runtime_api_that_breaks_off_ends_the_process_with_a_line_that_says_so() {
    let (calls, status, log) = over(&[]).await;
    assert!(calls.len() == 1 && calls[0].starts_with("GET /2018-06-01/runtime/invocation/next "), "{calls:?}");
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("the Runtime API broke off: the poll for an invocation had no answer"), "{log}");
}

#[tokio::test]
async fn no_runtime_api_at_all_ends_the_process_with_a_line_that_names_what_is_wrong() {
    for (address, complaint) in [
        ("127.0.0.1:1", "the Runtime API broke off"),
        ("127.0.0.1", "AWS_LAMBDA_RUNTIME_API must be host:port"),
        ("http://x/y", "AWS_LAMBDA_RUNTIME_API must be host:port or http://host:port/path"),
        ("", "AWS_LAMBDA_RUNTIME_API must be host:port"),
    ] {
        let output = start(address, NOWHERE).wait_with_output().await.unwrap();
        let log = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.code() == Some(1) && log.contains(complaint), "{address:?}: {log}");
    }
}

#[tokio::test]
async fn an_answer_goes_to_its_invocation_with_the_id_that_lambda_wants_back() {
    let event = invocation("lambda-runtime-aws-request-id: r-1\r\nlambda-runtime-invocation-id: echo-7\r\nlambda-runtime-deadline-ms: 600000\r\n");
    let (calls, _, log) = over(&["HTTP/1.1 204 No Content\r\n\r\n".into(), event, ACCEPTED.into()]).await;
    assert_eq!(calls.len(), 4, "an empty poll is repeated: {calls:?}");
    assert!(calls[2].starts_with("POST /2018-06-01/runtime/invocation/r-1/response "), "{calls:?}");
    assert!(
        calls[2].to_ascii_lowercase().contains("lambda-runtime-invocation-id: echo-7\r\n") && calls[2].contains(r#""statusCode":200"#),
        "{calls:?}"
    );
    assert!(log.contains(r#""request_id":"r-1""#), "{log}");
}

/// `cargo lambda watch` says 600000 to every invocation, which is ten minutes after the epoch.
#[tokio::test]
async fn a_deadline_that_has_passed_leaves_the_whole_budget() {
    let database = Database::fresh().await;
    let past = invocation_of("lambda-runtime-aws-request-id: r-4\r\nlambda-runtime-deadline-ms: 600000\r\n", &event("do=lock&key=4"));
    let mut holder = database.connect_admin().await;
    sqlx::raw_sql("begin; select pg_advisory_xact_lock(4)").execute(&mut holder).await.unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        sqlx::raw_sql("commit").execute(&mut holder).await.unwrap();
    };
    let (url, answers) = (database.app_url(), [past.clone(), ACCEPTED.to_owned()]);
    let ((calls, ..), ()) = tokio::join!(over_database(&url, &answers), release);
    assert!(calls.len() == 3 && calls[1].contains(r#""statusCode":200"#), "{calls:?}");
    // Without a database connecting goes on until the budget ends.
    let (calls, _, log) = over(&answers).await;
    assert!(calls.len() == 3 && calls[1].contains(r#""statusCode":503"#), "{calls:?}");
    let line = log.lines().find(|line| line.contains("not served")).expect("the failure is logged");
    let reconnects = serde_json::from_str::<Value>(line).unwrap()["reconnects"].as_u64().unwrap();
    assert!(reconnects >= 2, "{line}");
}

#[tokio::test]
async fn what_is_no_invocation_ends_the_process_and_a_deadline_that_is_none_does_not() {
    const TOO_LONG: usize = 17 * 1024 * 1024;
    let served = invocation("lambda-runtime-aws-request-id: r-2\r\nlambda-runtime-deadline-ms: soon\r\n");
    let (calls, ..) = over(&[served, ACCEPTED.into()]).await;
    assert!(calls.len() == 3 && calls[1].contains(r#""statusCode":200"#), "{calls:?}");
    let refusal = "HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nnone";
    for (answer, complaint) in [
        (invocation(""), "without a usable lambda-runtime-aws-request-id"),
        (refusal.into(), "refused with 403 Forbidden: none"),
        ("\u{0}\u{1}garbage\r\n\r\n".into(), "had no answer"),
        (
            format!("HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: r\r\ncontent-length: {TOO_LONG}\r\n\r\n{}", "x".repeat(TOO_LONG)),
            "length limit exceeded",
        ),
    ] {
        let (calls, status, log) = over(std::slice::from_ref(&answer)).await;
        assert!(calls.len() <= 2 && status.code() == Some(1) && log.contains(complaint), "{complaint}: {log}");
    }
}

#[tokio::test]
async fn an_answer_that_is_refused_is_one_invocations_loss_unless_lambda_asks_for_the_end() {
    let event = || invocation("lambda-runtime-aws-request-id: r-3\r\n");
    let refused = "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}";
    let (calls, _, log) = over(&[event(), refused.into(), event(), ACCEPTED.into()]).await;
    assert_eq!(calls.len(), 5, "{calls:?}");
    assert!(log.contains("the answer was lost: the response was refused with 400"), "{log}");
    let (calls, status, log) = over(&[event(), "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".into()]).await;
    assert!(calls.len() == 2 && status.code() == Some(1) && log.contains("refused with 500"), "{calls:?} {log}");
}

#[tokio::test]
async fn no_variable_of_the_process_changes_with_an_invocation() {
    let database = Database::fresh().await;
    let api = scripted(&database).await;
    assert_eq!(api.respond(FUNCTION, &event("do=variable&name=_X_AMZN_TRACE_ID")).await["body"], json!({ "value": null }).to_string());
    api.stop().await;
}
