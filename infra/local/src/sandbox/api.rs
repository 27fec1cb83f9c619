//! The HTTP side of one sandbox: the Runtime API and the Extensions API, on a port of its own.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>.

use std::sync::Arc;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Path, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use super::extensions::{Extension, Subscription};
use super::invocation::{PAYLOAD_LIMIT_BYTES, error_payload};
use super::state::State;
use crate::invoke::FunctionError;

const EXTENSION_NAME: &str = "Lambda-Extension-Name";
const EXTENSION_ID: &str = "Lambda-Extension-Identifier";
/// A registration is a few names.
const REGISTRATION_LIMIT_BYTES: usize = 64 * 1024;

#[derive(Clone)]
struct Context {
    state: Arc<State>,
    function: String,
}

/// Serves until the sandbox's process is gone.
pub(super) async fn serve(listener: TcpListener, state: Arc<State>, function: String) {
    let gone = Arc::clone(&state);
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next_invocation))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .route("/2020-01-01/extension/register", post(register))
        .route("/2020-01-01/extension/event/next", get(next_event))
        .route("/2020-01-01/extension/init/error", post(extension_error))
        .route("/2020-01-01/extension/exit/error", post(extension_error))
        .with_state(Context { state, function });
    tokio::select! {
        served = axum::serve(listener, router).into_future() => if let Err(error) = served {
            tracing::error!(%error, "a sandbox's Runtime API broke off");
        },
        () = gone.gone() => {}
    }
}

async fn next_invocation(Shared(context): Shared<Context>) -> Response {
    let poll = context.state.runtime_waits();
    // Polls that wait together are served in turn.
    let Some(invocation) = context.state.queue.lock().await.recv().await else {
        return refused(StatusCode::GONE, "Runtime.Ended", "the sandbox is ending");
    };
    context.state.runtime_works(poll);
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
        ("Lambda-Runtime-Deadline-Ms", invocation.deadline_ms.to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", invocation.function_arn),
        ("Lambda-Runtime-Trace-Id", invocation.trace_id),
    ];
    (headers, invocation.payload).into_response()
}

async fn response(Shared(context): Shared<Context>, Path(id): Path<String>, request: Request) -> Response {
    match body::to_bytes(request.into_body(), PAYLOAD_LIMIT_BYTES).await {
        Ok(body) => answered(&context.state, &id, Ok(body)),
        Err(_) => {
            let text = format!("Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT_BYTES} bytes).");
            let error = FunctionError::handled(error_payload("Function.ResponseSizeTooLarge", &text));
            drop(answered(&context.state, &id, Err(error)));
            refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &text)
        }
    }
}

async fn error(Shared(context): Shared<Context>, Path(id): Path<String>, body: Body) -> Response {
    let payload = error_document(body).await;
    answered(&context.state, &id, Err(FunctionError::handled(payload)))
}

async fn init_error(Shared(context): Shared<Context>, body: Body) -> Response {
    context.state.init_failed(error_document(body).await);
    accepted()
}

#[derive(Deserialize)]
struct Registration {
    #[serde(default)]
    events: Vec<Subscription>,
}

async fn register(Shared(context): Shared<Context>, headers: HeaderMap, body: Body) -> Response {
    let named = headers.get(EXTENSION_NAME).is_some_and(|name| !name.is_empty());
    if !named {
        return refused(StatusCode::FORBIDDEN, "Extension.InvalidExtensionName", "the header Lambda-Extension-Name is missing");
    }
    let registration = match body::to_bytes(body, REGISTRATION_LIMIT_BYTES).await.map(|body| serde_json::from_slice::<Registration>(&body)) {
        Ok(Ok(registration)) => registration,
        Ok(Err(error)) => return refused(StatusCode::BAD_REQUEST, "Extension.InvalidRequest", &error.to_string()),
        Err(error) => return refused(StatusCode::BAD_REQUEST, "Extension.InvalidRequest", &error.to_string()),
    };
    let id = uuid::Uuid::new_v4().to_string();
    if !context.state.register(&id, Extension::new(registration.events)) {
        return refused(StatusCode::FORBIDDEN, "Extension.RegistrationClosed", "extensions register during init only");
    }
    let body = json!({ "functionName": context.function, "functionVersion": "$LATEST", "handler": "bootstrap" });
    ([(EXTENSION_ID, id), ("Content-Type", "application/json".to_owned())], body.to_string()).into_response()
}

async fn next_event(Shared(context): Shared<Context>, headers: HeaderMap) -> Response {
    let id = headers.get(EXTENSION_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let Some(queue) = context.state.extension_waits(id) else { return unknown_extension() };
    let Some(event) = queue.lock().await.recv().await else {
        return refused(StatusCode::GONE, "Extension.Ended", "the sandbox is ending");
    };
    context.state.extension_works(id);
    ([("Content-Type", "application/json")], event.body.to_string()).into_response()
}

async fn extension_error(Shared(context): Shared<Context>, headers: HeaderMap, body: Body) -> Response {
    let id = headers.get(EXTENSION_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    if !context.state.has_extension(id) {
        return unknown_extension();
    }
    context.state.init_failed(error_document(body).await);
    accepted()
}

fn unknown_extension() -> Response {
    refused(StatusCode::FORBIDDEN, "Extension.UnknownExtensionIdentifier", "the header Lambda-Extension-Identifier names no registered extension")
}

/// A runtime's error document; whatever it is, callers get one.
async fn error_document(body: Body) -> bytes::Bytes {
    match body::to_bytes(body, PAYLOAD_LIMIT_BYTES).await {
        Ok(body) if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() => body,
        _ => error_payload("Runtime.Unknown", "the runtime reported an error without a JSON document"),
    }
}

fn answered(state: &State, id: &str, result: Result<bytes::Bytes, FunctionError>) -> Response {
    if state.answer(id, result) { accepted() } else { refused(StatusCode::BAD_REQUEST, "InvalidRequestID", "no such invocation is under way") }
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, [("Content-Type", "application/json")], json!({ "status": "OK" }).to_string()).into_response()
}

fn refused(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, [("Content-Type", "application/json")], error_payload(kind, message)).into_response()
}
