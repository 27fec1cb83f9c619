//! The dashboard beside the API: who is served, what it tells, and what goes before it.

mod in_chromium;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tests::{Answer, Api, Command, Database, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const LIST: &str = "/api/models/user-models";

async fn api(options: Options) -> (Database, Api) {
    let database = Database::seeded().await;
    let api = Api::with(&database, Options { dashboard: true, ..options }).await;
    (database, api)
}

async fn feed(api: &Api) -> Value {
    api.get("/_thaw/feed").await.json()
}

async fn post(api: &Api, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(api.request("POST", path), |request, (name, value)| request.header(*name, *value));
    api.send(request.body(body.to_owned())).await
}

#[tokio::test]
async fn only_this_machines_names_and_the_page_itself_are_served() {
    let (_database, api) = api(Options::default()).await;
    for path in ["/", "/_thaw/feed", "/_thaw/page.js"] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
        for (name, value) in [("host", "evil.example"), ("origin", "http://evil.example"), ("origin", "null")] {
            let answer = api.send(api.request("GET", path).header(name, value)).await;
            assert_eq!(answer.status, 403, "{path} {name}: {value}");
            assert!(!answer.body.contains("totals") && !answer.body.contains(api.dashboard().token()), "{answer:?}");
            assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");
        }
    }
    // A page of another origin that asks the gateway for leave first gets none either.
    let preflight = api.request("OPTIONS", "/_thaw/load").header("origin", "http://evil.example").header("access-control-request-method", "POST");
    assert_eq!(api.send(preflight).await.status, 403);
    let page = api.get("/").await;
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self';"), "{page:?}");
    assert!(page.body.contains(api.dashboard().token()) && !page.body.contains("{{"), "{}", page.body);
    api.stop().await;
}

#[tokio::test]
async fn a_command_needs_the_token_of_this_start_and_says_what_is_wrong() {
    let (_database, api) = api(Options::default()).await;
    let token = api.dashboard().token().to_owned();
    let with = ("x-thaw-token", token.as_str());
    for (path, body, headers, status, says) in [
        ("/_thaw/load", r#"{"on":true}"#, &[][..], 403, "token"),
        ("/_thaw/load", r#"{"on":true}"#, &[("x-thaw-token", "x")], 403, "token"),
        ("/_thaw/drills/freeze", "", &[], 403, "token"),
        ("/_thaw/drills/freeze", "", &[with, ("origin", "http://evil.example")], 403, "other origins"),
        ("/_thaw/drills/burn", "", &[with], 404, "terminate, restart, stop, silence, freeze, rotate"),
        ("/_thaw/drills/stop", "", &[with], 422, "the server is your own"),
        ("/_thaw/load", "on", &[with], 400, r#"{"on": true}"#),
        ("/_thaw/load", r#"{"on":true,"rate":5000}"#, &[with], 400, r#"{"on": true}"#),
        ("/_thaw/nothing/here", "", &[with], 404, "no such thing"),
    ] {
        let answer = post(&api, path, body, headers).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        assert!(answer.json()["message"].as_str().unwrap().contains(says), "{path} {body}: {answer:?}");
    }
    assert_eq!(post(&api, "/_thaw/load", &" ".repeat(2_000), &[with]).await.status, 400, "a command is a few bytes");
    assert_eq!(api.get("/_thaw/load").await.status, 405);
    assert_eq!(api.get("/_thaw/feed?second=x").await.status, 400);
    assert_eq!(feed(&api).await["load"]["on"], false, "none of these turned it on");
    api.stop().await;
}

#[tokio::test]
async fn the_feed_counts_what_the_api_answers_and_nothing_of_its_own() {
    let (_database, api) = api(Options::default()).await;
    for _ in 0..3 {
        assert_eq!(api.get_as("user-1", LIST).await.status, 200);
    }
    assert_eq!(api.get(LIST).await.status, 401);
    assert_eq!(api.get("/api/debug/db-health").await.status, 200);
    let mut told = Value::Null;
    tests::eventually("the second of these requests is over", async || {
        told = feed(&api).await;
        told["seconds"].as_array().unwrap().iter().map(|second| second["requests"].as_u64().unwrap()).sum::<u64>() == 4
    })
    .await;
    let expected = json!({ "requests": 4, "refused": 1, "failed": 0, "left": 0, "resends": 0, "reconnects": 0 });
    assert_eq!(told["totals"], expected, "the page, its feed and the health check are not counted");
    let second = told["seconds"].as_array().unwrap().iter().find(|second| second["requests"] != 0).unwrap();
    assert!(second["p50_ms"].as_f64().unwrap() <= second["p99_ms"].as_f64().unwrap(), "{second}");
    let names = ["number", "ended_ms", "cold", "warm", "frozen", "clients", "borrowed", "idle"];
    assert!(names.iter().all(|name| second[name].is_u64()), "{second}");
    assert_eq!(told["sandboxes"].as_array().unwrap().len(), 2, "{}", told["sandboxes"]);
    let lines = told["lines"].as_array().unwrap();
    let served = lines.iter().filter(|line| line["text"].as_str().unwrap().starts_with(&format!("served: GET {LIST}, 200, "))).count();
    assert_eq!(served, 3, "{lines:?}");
    let (last_second, last_line) = (told["seconds"].as_array().unwrap().last().unwrap(), lines.last().unwrap());
    let later = api.get(&format!("/_thaw/feed?second={}&line={}", last_second["number"], last_line["number"])).await.json();
    assert_eq!(later["lines"], json!([]), "what a page has is not told again");
    assert!(later["seconds"].as_array().unwrap().len() < 60);
    let drills: Vec<&str> = later["drills"].as_array().unwrap().iter().map(|drill| drill["name"].as_str().unwrap()).collect();
    assert_eq!(drills, ["terminate", "restart", "stop", "silence", "freeze", "rotate"]);
    api.stop().await;
}

#[tokio::test]
async fn the_load_switch_asks_until_it_is_turned_off() {
    let (_database, api) = api(Options::default()).await;
    let token = api.dashboard().token().to_owned();
    let with = ("x-thaw-token", token.as_str());
    let requests = async || feed(&api).await["totals"]["requests"].as_u64().unwrap();
    assert_eq!(post(&api, "/_thaw/load", r#"{"on":true}"#, &[with]).await.json()["on"], true);
    tests::eventually("all users have asked", async || requests().await > 40).await;
    assert_eq!(post(&api, "/_thaw/load", r#"{"on":false}"#, &[with]).await.json()["on"], false);
    // Who has asked already is answered yet; nobody asks again.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let before = requests().await;
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(requests().await, before);
    let totals = feed(&api).await["totals"].clone();
    assert_eq!((&totals["failed"], &totals["refused"], &totals["left"]), (&0.into(), &0.into(), &0.into()), "{totals}");
    api.stop().await;
}

#[tokio::test]
async fn a_sandbox_that_was_frozen_before_the_freeze_of_all_stays_so_and_serves_later() {
    let (_database, api) = api(Options::default()).await;
    assert_eq!(api.get("/api/debug/db-health").await.status, 200);
    let before = api.frozen("health").await;
    let token = api.dashboard().token().to_owned();
    let outcome = post(&api, "/_thaw/drills/freeze", "", &[("x-thaw-token", token.as_str())]).await;
    assert_eq!((outcome.status, outcome.json()["done"].as_str()), (200, Some("1 sandbox frozen")), "{outcome:?}");
    assert!(tests::is_stopped(before.pid), "nobody asked for it");
    assert_eq!(api.get("/api/debug/db-health").await.status, 200);
    let after = api.frozen("health").await;
    assert_eq!((after.pid, after.invocations, after.thaws), (before.pid, before.invocations + 1, before.thaws + 1));
    api.stop().await;
}

/// The committed template with this route in place of the one for health.
fn template(folder: &std::path::Path, path: &str) -> std::path::PathBuf {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let changed = committed.replace("Path: /api/debug/db-health\n", &format!("Path: {path}\n"));
    assert_ne!(changed, committed);
    let file = folder.join("template.yaml");
    std::fs::write(&file, changed).unwrap();
    file
}

#[tokio::test]
async fn a_route_of_the_template_goes_before_the_page() {
    let folder = tempfile::tempdir().unwrap();
    for (route, path) in [("/", "/"), ("/{any+}", "/_thaw/feed"), ("/_thaw/{file}", "/_thaw/page.js")] {
        let (_database, api) = api(Options { template: Some(template(folder.path(), route)), ..Options::default() }).await;
        let answer = api.get(path).await;
        assert_eq!(answer.header("content-type"), "application/health+json", "{route}: {answer:?}");
        api.stop().await;
    }
}

#[tokio::test]
async fn the_gateways_limits_hold_and_without_a_dashboard_there_is_none() {
    let (database, api) = api(Options::default()).await;
    let long = api.request("GET", "/").header("x-filler", "x".repeat(11_000));
    assert_eq!(api.send(long).await.status, 431);
    api.stop().await;
    let api = Api::over(&database).await;
    for path in ["/", "/_thaw/feed"] {
        assert_eq!((api.get(path).await.status, api.get(path).await.body.as_str()), (404, r#"{"message":"Not Found"}"#));
    }
    api.stop().await;
}

/// Answers every request with this report, and remembers each request's head.
async fn monitored(report: Value) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or_default();
            heads.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
            let body = report.to_string();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, asked)
}

#[tokio::test]
async fn the_monitor_command_asks_one_path_and_only_while_somebody_watches() {
    let check = json!({ "id": "connections:used", "status": "pass", "value": 12, "threshold": 180, "time": "x" });
    let (url, asked) = monitored(json!({ "status": "pass", "version": "1", "time": "x", "checks": [check] })).await;
    let state = tempfile::tempdir().unwrap();
    let credentials = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret-key"), ("AWS_SESSION_TOKEN", "secret-session")];
    let once = Command::run(state.path(), &["monitor", "--url", &url, "--region", "eu-central-1", "--json"], &credentials).await;
    assert_eq!(serde_json::from_str::<Value>(&once.stdout).unwrap()["checks"][0]["value"], 12, "{once:?}");

    let deployed = format!("{url}/prod");
    let arguments = ["monitor", "--url", &deployed, "--region", "eu-central-1", "--port", "0"];
    let mut command = Command::start(state.path(), &arguments, &credentials).await;
    let page = command.line("dashboard ").await.split_whitespace().last().unwrap().trim_end_matches('/').to_owned();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(asked.lock().unwrap().len(), 1, "nobody watches yet");
    let client = tests::http_client();
    let feed =
        async || -> Value { serde_json::from_str(&client.get(format!("{page}/_thaw/feed")).send().await.unwrap().text().await.unwrap()).unwrap() };
    tests::eventually("the answer is there", async || !feed().await["checks"]["latest"].is_null()).await;
    let told = feed().await;
    assert_eq!((&told["source"], &told["url"]), (&"deployed".into(), &format!("{deployed}/api/debug/monitor").into()), "{told}");
    assert_eq!(told["checks"]["latest"]["report"]["checks"][0]["id"], "connections:used", "{told}");
    let heads = asked.lock().unwrap().clone();
    let lines: Vec<&str> = heads.iter().map(|head| head.lines().next().unwrap()).collect();
    assert_eq!(lines, ["GET /api/debug/monitor HTTP/1.1", "GET /prod/api/debug/monitor HTTP/1.1"]);
    for head in heads {
        assert!(head.contains("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{head}");
        assert!(!head.contains("secret-key"), "{head}");
    }

    let html = client.get(format!("{page}/")).send().await.unwrap().text().await.unwrap();
    assert!(!format!("{html}{told}").contains("secret-") && !format!("{html}{told}").contains("AKIDEXAMPLE"), "the page sees no credentials");
    let token = html.split_once("name=\"thaw-token\" content=\"").unwrap().1.split('"').next().unwrap();
    for (request, status) in [
        (client.get(format!("{page}/_thaw/feed")).header("host", "evil.example"), 403),
        (client.get(format!("{page}/_thaw/feed")).header("origin", "http://evil.example"), 403),
        (client.post(format!("{page}/_thaw/load")).body("{}"), 403),
        (client.post(format!("{page}/_thaw/load")).header("x-thaw-token", token).body(r#"{"on":true}"#), 404),
        (client.post(format!("{page}/_thaw/drills/freeze")).header("x-thaw-token", token), 404),
        (client.get(format!("{page}/api/debug/monitor")), 404),
    ] {
        assert_eq!(request.send().await.unwrap().status().as_u16(), status);
    }
    command.signal(nix::sys::signal::Signal::SIGINT);
    let ended = command.end().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
}
