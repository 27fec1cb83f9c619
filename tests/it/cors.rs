//! Pages of other origins: what they may do by the template, and that a real browser agrees.

use reqwest::Method;
use tests::{Answer, Api, Database, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const MODELS: &str = "/api/models/user-models";
const PAGE: &str = "https://shop.example.com";

async fn preflight(api: &Api, path: &str, origin: &str) -> Answer {
    let request = api.request("OPTIONS", path).header("origin", origin).header("access-control-request-method", "PATCH");
    api.send(request.header("access-control-request-headers", "authorization,if-match")).await
}

fn words(answer: &Answer, name: &str) -> Vec<String> {
    answer.header(name).split(',').map(str::to_owned).collect()
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_use_every_route_with_its_headers_and_read_theirs() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options { cors_allowed_origins: format!("https://other.example,{PAGE}"), ..Options::default() }).await;
    let document = crate::openapi::Document::read();
    for operation in document.operations() {
        let answer = preflight(&api, &operation.path.replace("{id}", "x"), PAGE).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, PAGE), "{}", operation.path);
        assert!(words(&answer, "access-control-allow-methods").contains(&operation.method), "{} {answer:?}", operation.method);
        let may_send = words(&answer, "access-control-allow-headers");
        assert!(["authorization", "content-type"].iter().all(|name| may_send.contains(&(*name).to_owned())), "{may_send:?}");
        for parameter in document.parameters(&operation).into_iter().filter(|parameter| parameter["in"] == "header") {
            let name = parameter["name"].as_str().unwrap().to_ascii_lowercase();
            assert!(may_send.contains(&name), "{name} may not be sent: {may_send:?}");
        }
    }
    // What a page may read: everything that the document has, but what is a browser's own business, and what browsers always let it.
    let answer = api.send(api.request("GET", MODELS).bearer_auth(api.token("user-1")).header("origin", PAGE)).await;
    let may_read = words(&answer, "access-control-expose-headers");
    for header in ["ETag", "Location", "Retry-After", "Idempotency-Replayed"] {
        assert!(may_read.contains(&header.to_ascii_lowercase()), "{header} may not be read: {may_read:?}");
    }
    assert_eq!(preflight(&api, MODELS, "https://evil.example").await.header("access-control-allow-origin"), "");
    assert_eq!(api.send(api.request("GET", MODELS).header("origin", PAGE)).await.status, 401, "an origin is no identity");
    api.stop().await;
}

#[tokio::test]
async fn without_origins_no_page_is_let_in() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let answer = preflight(&api, MODELS, PAGE).await;
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{answer:?}");
    let answer = api.send(api.request("GET", MODELS).bearer_auth(api.token("user-1")).header("origin", PAGE)).await;
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{answer:?}");
    assert_eq!(answer.status, 200);
    api.stop().await;
}

/// Serves one page at every path, and gives the port.
async fn serve_page(page: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", page.len());
            let _ = stream.write_all(format!("{head}{page}").as_bytes()).await;
        }
    });
    port
}

/// What a page of another port makes of the API in a real browser.
async fn in_chromium(api: &Api) -> String {
    let page = include_str!("cors_page.html").replace("{{API}}", &api.url()).replace("{{TOKEN}}", &api.token("user-1"));
    let port = serve_page(page).await;
    let profile = tempfile::tempdir().unwrap();
    let browser = tokio::process::Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://localhost:{port}/"))
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(120), browser).await.expect("chromium ends").expect("chromium is installed");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = dom.split_once("<output>").and_then(|(_, rest)| rest.split_once("</output>"));
    found.unwrap_or_else(|| panic!("{dom}\n{}", String::from_utf8_lossy(&output.stderr))).0.to_owned()
}

#[tokio::test]
#[ignore = "needs chromium: cargo test-browser"]
async fn a_browser_lets_a_page_of_an_allowed_origin_publish_read_and_change_and_no_other() {
    let database = Database::fresh().await;
    let api = Api::with(&database, Options { cors_allowed_origins: "http://*".to_owned(), ..Options::default() }).await;
    assert_eq!(in_chromium(&api).await, "201 \"1\" true 200 304 200 \"2\" 204");
    api.stop().await;
    let api = Api::with(&database, Options { cors_allowed_origins: PAGE.to_owned(), ..Options::default() }).await;
    assert_eq!(in_chromium(&api).await, "TypeError: Failed to fetch");
    assert_eq!(api.send(api.request(Method::GET.as_str(), MODELS).bearer_auth(api.token("user-1"))).await.json()["items"], serde_json::json!([]));
    api.stop().await;
}
