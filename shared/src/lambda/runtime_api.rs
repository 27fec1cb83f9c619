//! The calls that a function makes to Lambda: the Runtime API and, for an internal extension, the Extensions API.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;

use super::endpoint::Endpoint;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::chain;

const ADDRESS: &str = "AWS_LAMBDA_RUNTIME_API";
const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
/// By it Lambda tells the answer to an invocation that it gave up from the answer to the one under way. It is sent back as it came.
const INVOCATION_ID: HeaderName = HeaderName::from_static("lambda-runtime-invocation-id");
const DEADLINE_MS: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
const ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");
const EXTENSION_NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
const EXTENSION_ID: HeaderName = HeaderName::from_static("lambda-extension-identifier");

/// Lambda's events end at 6 MB; an emulator may not count.
const EVENT_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// `{"status":"OK"}`, or an error document.
const ACKNOWLEDGEMENT_LIMIT_BYTES: usize = 64 * 1024;
/// Before the next poll where one brought nothing.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// A client of one sandbox's Runtime API, which keeps its connections.
pub(super) struct RuntimeApi {
    endpoint: Endpoint,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// One invocation to run.
pub struct Invocation {
    /// What its answer goes to.
    pub(super) id: InvocationId,
    /// How many this worker had before.
    pub(super) earlier: u64,
    /// When Lambda kills it, in milliseconds since the Unix epoch. Zero, which is past and so counts as unknown, where the header is
    /// missing or not a number.
    pub(super) deadline_ms: u64,
    /// What was sent to the function.
    pub(super) event: Bytes,
}

/// Names one invocation.
#[derive(Clone)]
pub(super) struct InvocationId {
    /// Lambda's id of it, as logs and callers see it.
    pub(super) request_id: String,
    echo: Option<HeaderValue>,
}

/// The answer to an invocation that failed. Lambda shows it to the caller of its Invoke API; API Gateway's clients get a 500 instead.
#[derive(Debug, Serialize)]
pub struct ErrorDocument {
    /// A stable name, for alarms.
    #[serde(rename = "errorType")]
    kind: &'static str,
    /// A sentence.
    #[serde(rename = "errorMessage")]
    message: String,
}

impl ErrorDocument {
    /// `kind` is a stable name of the form `Function.Reason`; `message` goes to the caller, so it holds neither secrets nor text from the
    /// database.
    #[must_use]
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// An internal extension that was registered.
pub(super) struct Extension {
    id: HeaderValue,
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RuntimeApiError {
    /// Where the Runtime API is, is not known.
    #[error("{ADDRESS} {0}")]
    Address(String),
    /// No answer came.
    #[error("{call} had no answer: {cause}")]
    NoAnswer { call: &'static str, cause: String },
    /// The answer ended early, or did not end.
    #[error("{call} had an answer that broke off: {cause}")]
    HalfAnswer { call: &'static str, cause: String },
    /// The answer was a refusal.
    #[error("{call} was refused with {status}: {text}")]
    Refused { call: &'static str, status: StatusCode, text: String },
    /// The answer was not one of the Runtime API.
    #[error("{call} had an answer without a usable {what}")]
    Malformed { call: &'static str, what: &'static str },
}

impl RuntimeApiError {
    /// Whether Lambda asks the runtime to end: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html> says so of a 500.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.is_server_error())
    }
}

impl RuntimeApi {
    /// The Runtime API of this sandbox, over as many kept connections as there are calls at once.
    ///
    /// # Errors
    /// [`RuntimeApiError::Address`] where the variable is missing or names no place.
    pub(super) fn from_env(connections: usize) -> Result<Self, RuntimeApiError> {
        match std::env::var(ADDRESS) {
            Ok(address) => Self::at(&address, connections),
            Err(_) => Err(RuntimeApiError::Address("is missing: Lambda sets it, and so does what stands in for Lambda".into())),
        }
    }

    fn at(address: &str, connections: usize) -> Result<Self, RuntimeApiError> {
        let wrong = || RuntimeApiError::Address(format!("must be host:port or http://host:port/path, not {address:?}"));
        let endpoint = Endpoint::parse(address).ok_or_else(wrong)?;
        let mut connector = HttpConnector::new();
        // The end of a long answer must not wait until the rest of it is acknowledged.
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(connections).build(connector);
        Ok(Self { endpoint, client })
    }

    /// Waits for the next invocation.
    ///
    /// A poll that had no answer is sent once more: it may have met a kept connection in the moment of its end, as after a response that
    /// was refused unread (RFC 9112, section 9.3.1). One that was answered without an event is, too: some emulators end a poll so.
    ///
    /// # Errors
    /// Any but [`RuntimeApiError::Address`].
    ///
    /// # Cancel safety
    /// Dropping the future closes its connection; an invocation that is handed out at that moment is lost.
    pub(super) async fn next(&self) -> Result<Invocation, RuntimeApiError> {
        const CALL: &str = "the poll for an invocation";
        let mut unanswered = false;
        loop {
            let request = self.request(CALL, Method::GET, "/2018-06-01/runtime/invocation/next", [])?;
            match self.call(CALL, request, EVENT_LIMIT_BYTES).await {
                Ok((StatusCode::NO_CONTENT, ..)) => unanswered = false,
                Ok((_, headers, event)) => return Invocation::read(CALL, &headers, event),
                Err(RuntimeApiError::NoAnswer { .. }) if !unanswered => unanswered = true,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    /// Answers an invocation.
    ///
    /// # Errors
    /// Any but [`RuntimeApiError::Address`]; a response that is too long is refused with 413.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the invocation without an answer.
    pub(super) async fn respond(&self, id: &InvocationId, body: Vec<u8>) -> Result<(), RuntimeApiError> {
        const CALL: &str = "the response";
        let path = format!("/2018-06-01/runtime/invocation/{}/response", id.request_id);
        let headers = id.echo.iter().map(|echo| (INVOCATION_ID, echo.clone()));
        let request = self.request(CALL, Method::POST, &path, headers)?.map(|_| body.into());
        self.call(CALL, request, ACKNOWLEDGEMENT_LIMIT_BYTES).await.map(drop)
    }

    /// Says that an invocation failed.
    ///
    /// # Errors
    /// Any but [`RuntimeApiError::Address`].
    ///
    /// # Cancel safety
    /// As [`RuntimeApi::respond`].
    pub(super) async fn fail(&self, id: &InvocationId, error: &ErrorDocument) -> Result<(), RuntimeApiError> {
        const CALL: &str = "the error of an invocation";
        let path = format!("/2018-06-01/runtime/invocation/{}/error", id.request_id);
        let headers = id.echo.iter().map(|echo| (INVOCATION_ID, echo.clone())).chain([(ERROR_TYPE, HeaderValue::from_static(error.kind))]);
        // Two texts: this is always JSON.
        let body = serde_json::to_vec(error).unwrap_or_default();
        let request = self.request(CALL, Method::POST, &path, headers)?.map(|_| body.into());
        self.call(CALL, request, ACKNOWLEDGEMENT_LIMIT_BYTES).await.map(drop)
    }

    /// Registers an internal extension that is told of nothing: without one Lambda sends no SIGTERM.
    ///
    /// # Errors
    /// Any but [`RuntimeApiError::Address`].
    ///
    /// # Cancel safety
    /// Dropping the future may leave an extension that never asks for events, so that init does not end.
    pub(super) async fn register_extension(&self, name: &'static str) -> Result<Extension, RuntimeApiError> {
        const CALL: &str = "registering an extension";
        let headers = [(EXTENSION_NAME, HeaderValue::from_static(name)), (http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let request = self.request(CALL, Method::POST, "/2020-01-01/extension/register", headers)?.map(|_| r#"{"events":[]}"#.into());
        let (_, headers, _) = self.call(CALL, request, ACKNOWLEDGEMENT_LIMIT_BYTES).await?;
        let id = headers.get(EXTENSION_ID).ok_or(RuntimeApiError::Malformed { call: CALL, what: "lambda-extension-identifier" })?;
        Ok(Extension { id: id.clone() })
    }

    /// Asks for an event on behalf of an extension. One that is told of nothing waits for ever, and Lambda waits for it to ask.
    ///
    /// # Errors
    /// Any but [`RuntimeApiError::Address`].
    ///
    /// # Cancel safety
    /// Dropping the future closes its connection.
    pub(super) async fn next_extension_event(&self, extension: &Extension) -> Result<(), RuntimeApiError> {
        const CALL: &str = "the poll for an extension's event";
        let request = self.request(CALL, Method::GET, "/2020-01-01/extension/event/next", [(EXTENSION_ID, extension.id.clone())])?;
        self.call(CALL, request, ACKNOWLEDGEMENT_LIMIT_BYTES).await.map(drop)
    }

    /// A request without a body.
    fn request(
        &self,
        call: &'static str,
        method: Method,
        path: &str,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<Request<Full<Bytes>>, RuntimeApiError> {
        // Only an id that Lambda handed out can make a path wrong.
        let uri = self.endpoint.uri(path).map_err(|_| RuntimeApiError::Malformed { call, what: "request id" })?;
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().extend(headers);
        Ok(request)
    }

    async fn call(
        &self,
        call: &'static str,
        request: Request<Full<Bytes>>,
        limit_bytes: usize,
    ) -> Result<(StatusCode, HeaderMap, Bytes), RuntimeApiError> {
        let response = self.client.request(request).await.map_err(|error| RuntimeApiError::NoAnswer { call, cause: chain(&error) })?;
        let (head, body) = response.into_parts();
        // Read to its end, so that the connection can be used again.
        let body = Limited::new(body, limit_bytes).collect().await;
        let body = body.map_err(|error| RuntimeApiError::HalfAnswer { call, cause: chain(&*error) })?.to_bytes();
        if head.status.is_success() {
            return Ok((head.status, head.headers, body));
        }
        Err(RuntimeApiError::Refused { call, status: head.status, text: String::from_utf8_lossy(&body).into_owned() })
    }
}

impl Invocation {
    /// What was sent to the function: JSON, of whatever shape.
    #[must_use]
    pub fn event(&self) -> &[u8] {
        &self.event
    }

    /// Lambda's id of this invocation.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.id.request_id
    }

    /// When its work has to be done, by the budget and the reserve of `config`.
    #[must_use]
    pub fn deadline(&self, config: &Config) -> Deadline {
        Deadline::of_invocation(self.deadline_ms, config.budget, config.reserve, SystemTime::now(), Instant::now())
    }

    /// How many invocations this worker of the sandbox had before. A sandbox that takes one at a time may have been frozen before each.
    #[must_use]
    pub fn earlier(&self) -> u64 {
        self.earlier
    }

    fn read(call: &'static str, headers: &HeaderMap, event: Bytes) -> Result<Self, RuntimeApiError> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let request_id =
            text(REQUEST_ID).filter(|id| !id.is_empty()).ok_or(RuntimeApiError::Malformed { call, what: "lambda-runtime-aws-request-id" })?;
        let deadline_ms = text(DEADLINE_MS).and_then(|value| value.parse().ok()).unwrap_or_default();
        let id = InvocationId { request_id: request_id.to_owned(), echo: headers.get(INVOCATION_ID).cloned() };
        Ok(Self { id, earlier: 0, deadline_ms, event })
    }
}
