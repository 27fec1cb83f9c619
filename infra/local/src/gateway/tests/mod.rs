//! The gateway over a real socket, in front of a scripted function.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod authorization;
mod cors;
mod events;
mod hostile;
mod invocations;
mod limits;
mod responses;
mod start;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

use super::{Gateway, Settings};
use crate::invoke::{Invoke, InvokeError, Outcome};
use crate::issuer::Issuer;
use crate::template::{Authorization, JwtAuthorizer, Route};

const ISSUER_URL: &str = "http://127.0.0.1:3001";

/// Long enough for any machine; a test that gets here fails.
const PATIENCE: Duration = Duration::from_secs(60);

static ISSUER: LazyLock<Arc<Issuer>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    Arc::new(Issuer::load_or_create(directory.path(), ISSUER_URL.into()).unwrap())
});

/// What the function does with an event.
type Script = Box<dyn Fn(&Value) -> Result<Outcome, InvokeError> + Send + Sync>;

/// The function behind every route: records each event, waits for a permit, follows its script.
struct Scripted {
    script: Script,
    permits: Semaphore,
    started: Mutex<Vec<(String, Value)>>,
    finished: watch::Sender<usize>,
}

impl Invoke for Scripted {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Outcome, InvokeError> {
        let event: Value = serde_json::from_slice(&payload).unwrap();
        self.started.lock().unwrap().push((function.to_owned(), event.clone()));
        self.permits.acquire().await.unwrap().forget();
        let result = (self.script)(&event);
        self.finished.send_modify(|count| *count += 1);
        result
    }
}

fn succeed(payload: &str) -> Result<Outcome, InvokeError> {
    Ok(Outcome { request_id: "invocation-1".into(), result: Ok(Bytes::copy_from_slice(payload.as_bytes())) })
}

fn open_routes() -> Vec<Route> {
    let open = |method: &str, path: &str, function: &str| Route {
        method: method.into(),
        path: path.into(),
        function: function.into(),
        authorization: Authorization::Open,
    };
    vec![
        open("GET", "/models", "list"),
        open("POST", "/models", "create"),
        open("GET", "/models/{id}", "show"),
        open("ANY", "/files/{path+}", "files"),
    ]
}

fn jwt_route(path: &str, scopes: &[&str]) -> Route {
    let authorizer = JwtAuthorizer {
        name: "Users".into(),
        issuer: ISSUER_URL.into(),
        audience: vec!["thaw".into()],
        scopes: scopes.iter().map(ToString::to_string).collect(),
    };
    Route { method: "GET".into(), path: path.into(), function: "personal".into(), authorization: Authorization::Jwt(authorizer) }
}

fn settings() -> Settings {
    Settings { keys: Some(ISSUER.clone()), integration_timeout: PATIENCE, ..Settings::default() }
}

struct TestGateway {
    address: SocketAddr,
    function: Arc<Scripted>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl TestGateway {
    /// A gateway whose function answers everything with 200.
    async fn start(routes: Vec<Route>) -> Self {
        Self::start_with(routes, settings(), |_| succeed(r#"{"statusCode": 200, "body": "done"}"#)).await
    }

    async fn start_with(
        routes: Vec<Route>,
        settings: Settings,
        script: impl Fn(&Value) -> Result<Outcome, InvokeError> + Send + Sync + 'static,
    ) -> Self {
        let function = Arc::new(Scripted {
            script: Box::new(script),
            permits: Semaphore::new(Semaphore::MAX_PERMITS),
            started: Mutex::default(),
            finished: watch::Sender::new(0),
        });
        let gateway = Gateway::new(routes, function.clone(), settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(gateway.serve(listener, async {
            let _ = stopped.await;
        }));
        Self { address, function, stop: Some(stop), serving }
    }

    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        exchange(&mut self.connect().await, request).await
    }

    async fn get(&self, target: &str) -> Answer {
        self.send(request("GET", target, &[], "")).await
    }

    async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(request("GET", target, headers, "")).await
    }

    /// Sends bytes as they are and reads until the gateway closes, or until `until` appears.
    async fn send_raw(&self, bytes: &[u8], until: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The gateway may refuse and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut received = Vec::new();
        let read = async {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                received.extend_from_slice(&buffer[..count]);
                if String::from_utf8_lossy(&received).contains(until) {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("the gateway did not answer");
        String::from_utf8_lossy(&received).into_owned()
    }

    fn events(&self) -> Vec<(String, Value)> {
        self.function.started.lock().unwrap().clone()
    }

    /// The event of the one invocation so far.
    fn event(&self) -> Value {
        let mut events = self.events();
        assert_eq!(events.len(), 1);
        events.remove(0).1
    }

    async fn wait_for_starts(&self, count: usize) {
        let wait = async {
            while self.events().len() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the function was not started");
    }

    async fn wait_for_finishes(&self, count: usize) {
        let mut finished = self.function.finished.subscribe();
        let wait = finished.wait_for(|finished| *finished >= count);
        tokio::time::timeout(PATIENCE, wait).await.expect("the function did not finish").unwrap();
    }
}

fn request(method: &str, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(target).header("host", "api.example:3000");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn assert_refused(&self, status: u16, message: &str, case: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, json!({ "message": message }).to_string().as_str()), "{case}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{case}");
        assert!(self.header("apigw-requestid").is_some(), "{case}");
    }
}

async fn exchange(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Answer {
    let exchange = async {
        let response: Response<_> = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() }
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("the gateway did not answer")
}
