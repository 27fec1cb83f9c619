//! Against the gateway's own verifier, and against what is no API.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use local::gateway::{ACCOUNT_ID, Gateway, IamAuthorizer, Settings};
use local::invoke::{Invoke, InvokeError, Outcome};
use local::sigv4::{LocalCredentials, REGION};
use local::template::{Authorization, Route};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A function that answers what it is told to, and keeps its events.
struct Scripted {
    answer: String,
    events: Mutex<Vec<Value>>,
}

impl Invoke for Scripted {
    async fn invoke(&self, _: &str, payload: Bytes) -> Result<Outcome, InvokeError> {
        self.events.lock().unwrap().push(serde_json::from_slice(&payload).unwrap());
        Ok(Outcome { request_id: "1".into(), result: Ok(self.answer.clone().into()) })
    }
}

/// An API all of whose routes ask for a signature.
struct Served {
    address: SocketAddr,
    operator: LocalCredentials,
    function: Arc<Scripted>,
}

impl Served {
    async fn answering(answer: Value) -> Self {
        let route = |path: &str| Route { method: "ANY".into(), path: path.into(), function: "f".into(), authorization: Authorization::Iam };
        let operator = LocalCredentials::generate().unwrap();
        let iam = IamAuthorizer::new(ACCOUNT_ID, REGION).with(&operator, "thaw-local", "operator");
        let settings = Settings { iam: Some(iam), ..Settings::default() };
        let function = Arc::new(Scripted { answer: answer.to_string(), events: Mutex::default() });
        let gateway = Gateway::new(vec![route("/api/{path+}")], Arc::clone(&function), settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(gateway.serve(listener, std::future::pending()));
        Self { address, operator, function }
    }

    fn api(&self) -> Api {
        api(self.address, &self.operator)
    }
}

fn api(address: SocketAddr, operator: &LocalCredentials) -> Api {
    let session_token = operator.session_token.as_ref().map(|token| token.expose_secret().to_owned());
    let credentials = Credentials::new(&operator.access_key_id, operator.secret_access_key.expose_secret(), session_token, None, "test");
    let base = format!("http://{address}").parse().unwrap();
    Api::new(Target { base, region: REGION.to_owned(), credentials: Some(credentials), is_local: true }, TIMEOUT).unwrap()
}

/// A server that says this to whoever connects, once the request has begun, and counts them.
async fn saying(bytes: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counting.fetch_add(1, Ordering::SeqCst);
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 64 * 1024]).await;
                let _ = stream.write_all(&bytes).await;
                if bytes.is_empty() {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (address, count)
}

async fn error_of(api: &Api) -> String {
    format!("{:#}", api.send(Method::GET, "/api/x", None).await.unwrap_err())
}

#[tokio::test]
async fn every_kind_of_request_is_accepted_by_the_gateway_and_arrives_as_it_was_meant() {
    let served = Served::answering(json!({"statusCode": 200, "body": "{\"done\":true}", "headers": {"x-fact": "1"}})).await;
    let api = served.api();
    let bodies = [None, Some(json!({"scope": "fleet", "reason": "größer \"als\" 1"})), Some(json!({}))];
    let paths =
        ["/api/debug/reset-db", "/api/a?limit=1&cursor=a%2Bb%20c&a=2&a=1", "/api/%E9%9B%AA/a%20b", "/api/x!$'()*,;=:@y", "/api/ü x?q=ü y", "/api/a?"];
    for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
        for path in paths {
            for body in &bodies {
                let answer = api.send(method.clone(), path, body.as_ref()).await.unwrap();
                assert_eq!((answer.status.as_u16(), &answer.headers["x-fact"]), (200, &"1".parse().unwrap()), "{method} {path}: {}", answer.text());
                assert_eq!(answer.json().unwrap(), json!({"done": true}));
            }
        }
    }
    let events = served.function.events.lock().unwrap();
    assert_eq!(events.len(), 4 * paths.len() * bodies.len());
    let event = &events[paths.len() * bodies.len() + 1];
    assert_eq!(event["requestContext"]["authorizer"]["iam"]["accessKey"], served.operator.access_key_id.as_str());
    assert_eq!((&event["headers"]["content-type"], &event["rawPath"]), (&json!("application/json"), &json!("/api/debug/reset-db")));
    assert_eq!(serde_json::from_str::<Value>(event["body"].as_str().unwrap()).ok(), bodies[1]);
}

#[tokio::test]
async fn the_path_of_a_stage_stands_before_that_of_the_route() {
    let served = Served::answering(json!({"done": true})).await;
    let mut api = served.api();
    api.base = format!("http://{}/api/prod/", served.address).parse().unwrap();
    assert_eq!(api.send(Method::GET, "/x?a=1", None).await.unwrap().status, 200);
    assert_eq!(served.function.events.lock().unwrap()[0]["rawPath"], "/api/prod/x");
}

#[tokio::test]
async fn a_refused_signature_is_an_answer_that_says_what_to_look_at_and_holds_no_secret() {
    let served = Served::answering(json!({})).await;
    let other = LocalCredentials::generate().unwrap();
    let mut api = api(served.address, &other);
    let local = api.send(Method::POST, "/api/x", None).await.unwrap();
    let error = format!("{:#}", local.json().unwrap_err());
    assert_eq!(error, "the API answers 403 Forbidden (Forbidden): the terminal of cargo dev says what was wrong with the signature");
    api.is_local = false;
    let deployed = api.send(Method::POST, "/api/x", None).await.unwrap();
    let error = format!("{:#}", deployed.json().unwrap_err());
    assert!(error.contains("need execute-api:Invoke on this route") && error.contains("the region eu-central-1"), "{error}");
    assert!(served.function.events.lock().unwrap().is_empty());
    let shown = format!("{api:?} {deployed:?} {error}");
    let environment = other.environment();
    assert!(!shown.contains(&environment["AWS_SECRET_ACCESS_KEY"]) && !shown.contains(&environment["AWS_SESSION_TOKEN"]), "{shown}");
}

#[tokio::test]
async fn what_went_wrong_is_told_in_the_answers_own_words() {
    let problem = |body: Value| json!({"statusCode": 409, "headers": {"content-type": "application/problem+json"}, "body": body.to_string()});
    let cases = [
        (problem(json!({"type": "/problems/x", "title": "Busy", "detail": "try later"})), "Busy: try later"),
        (problem(json!({"title": "Busy\u{1b}[2J", "status": 409})), "Busy\\u{1b}[2J"),
        (problem(json!({"detail": "try later"})), "try later"),
        (
            json!({"statusCode": 503, "headers": {"retry-after": "7"}, "body": r#"{"title": "Unavailable", "detail": "no database"}"#}),
            "Unavailable: no database; ask again in 7 s",
        ),
        (problem(json!({})), "the API answers 409 Conflict"),
        (problem(json!([1])), "the API answers 409 Conflict"),
        (json!({"statusCode": 502, "body": "<html>"}), "the API answers 502 Bad Gateway"),
        (
            json!({"statusCode": 200, "body": "<html>"}),
            "the API answers 200 with what is no JSON: is it the right one?: expected value at line 1 column 1",
        ),
        (json!({"statusCode": 204}), "the API answers 204 No Content"),
    ];
    for (answer, expected) in cases {
        let served = Served::answering(answer.clone()).await;
        let answered = served.api().send(Method::POST, "/api/x", None).await.unwrap();
        assert_eq!(format!("{:#}", answered.json().unwrap_err()), expected, "{answer}");
    }
    let served = Served::answering(json!({})).await;
    let unknown = served.api().send(Method::GET, "/unknown", None).await.unwrap();
    let error = format!("{:#}", unknown.json().unwrap_err());
    assert!(error.starts_with("the API answers 404 Not Found (Not Found): this API has no such route"), "{error}");
}

#[tokio::test]
async fn nobody_silence_and_a_broken_answer_are_each_a_sentence() {
    let operator = LocalCredentials::generate().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = error_of(&api(free, &operator)).await;
    assert!(error.starts_with(&format!("http://{free} cannot be reached: does cargo dev still run?")), "{error}");

    let (silent, _) = saying(Vec::new()).await;
    let mut impatient = api(silent, &operator);
    (impatient.client, impatient.timeout) = (Client::builder().timeout(Duration::from_millis(200)).build().unwrap(), Duration::from_millis(200));
    assert_eq!(error_of(&impatient).await, format!("http://{silent} did not answer within 0.2 s"));

    let (broken, _) = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec()).await;
    let error = error_of(&api(broken, &operator)).await;
    assert!(error.starts_with(&format!("http://{broken} broke off")), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let operator = LocalCredentials::generate().unwrap();
    for (length, fits) in [(ANSWER_LIMIT_BYTES, true), (ANSWER_LIMIT_BYTES + 1, false)] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        let (server, _) = saying([head.into_bytes(), vec![b'1'; length]].concat()).await;
        let answer = api(server, &operator).send(Method::GET, "/api/x", None).await;
        assert_eq!(answer.is_ok(), fits, "{length}");
        assert!(fits || format!("{:#}", answer.unwrap_err()).contains("more than 8388608 bytes"));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_a_signature_for_another_place() {
    let (elsewhere, count) = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec()).await;
    let (server, _) = saying(format!("HTTP/1.1 307 Away\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n").into_bytes()).await;
    let answer = api(server, &LocalCredentials::generate().unwrap()).send(Method::POST, "/api/x", Some(&json!({}))).await.unwrap();
    assert_eq!((answer.status.as_u16(), count.load(Ordering::SeqCst)), (307, 0));
    assert!(format!("{:#}", answer.json().unwrap_err()).starts_with("the API answers 307"));
}
