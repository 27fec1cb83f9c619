//! What the local cloud serves beside the API, on a loopback port of its own: the issuer's keys, Lambda's Invoke API, and what runs.

use std::sync::Arc;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use crate::cloud::Cloud;
use crate::invoke::{FunctionErrorKind, Invoke as _, InvokeError};
use crate::issuer::Issuer;
use crate::proxy::Proxy;
use crate::sandbox::PAYLOAD_LIMIT_BYTES;

/// Where the sandboxes are listed.
pub const SANDBOXES_PATH: &str = "/sandboxes";

/// Where the stand-in for RDS Proxy tells what is going on there.
pub const PROXY_PATH: &str = "/proxy";

/// The routes. Invoking is Lambda's own path, so that `aws lambda invoke --endpoint-url` works:
/// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>.
pub fn router(cloud: Arc<Cloud>, proxy: Option<Arc<Proxy>>, issuer: &Issuer) -> Router {
    let database = Router::new().route(PROXY_PATH, get(report_proxy)).with_state(proxy);
    Router::new()
        .route(SANDBOXES_PATH, get(sandboxes))
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .with_state(cloud)
        .merge(database)
        .merge(issuer.router())
        .layer(middleware::from_fn(only_this_machine))
}

/// A page in a browser can make a name of its own lead here; its requests then carry that name.
async fn only_this_machine(request: axum::extract::Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let foreign_origin = request.headers().contains_key(header::ORIGIN);
    if !matches!(name, "127.0.0.1" | "localhost") || foreign_origin {
        return (StatusCode::FORBIDDEN, "only programs on this machine are served\n").into_response();
    }
    next.run(request).await
}

async fn sandboxes(State(cloud): State<Arc<Cloud>>) -> Response {
    json_response(StatusCode::OK, &json!(cloud.sandboxes().await))
}

async fn report_proxy(State(proxy): State<Option<Arc<Proxy>>>) -> Response {
    match proxy {
        Some(proxy) => json_response(StatusCode::OK, &json!(proxy.report())),
        None => (StatusCode::NOT_FOUND, "the functions connect to the database itself\n").into_response(),
    }
}

async fn invoke(State(cloud): State<Arc<Cloud>>, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Response {
    if headers.get("x-amz-invocation-type").is_some_and(|kind| kind != "RequestResponse") {
        return refused(StatusCode::BAD_REQUEST, "InvalidParameterValueException", "only the invocation type RequestResponse is served here");
    }
    let Ok(payload) = body::to_bytes(body, PAYLOAD_LIMIT_BYTES).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", &format!("the event is over {PAYLOAD_LIMIT_BYTES} bytes"));
    };
    // Lambda lets an event be left out.
    let payload = if payload.is_empty() { "{}".into() } else { payload };
    // In a task of its own: Lambda finishes what it has begun, also when the caller leaves.
    let invocation = tokio::spawn(async move { cloud.invoke(&name, payload).await });
    match invocation.await {
        Ok(Ok(outcome)) => {
            let version = ("x-amz-executed-version", "$LATEST");
            match outcome.result {
                Ok(payload) => (StatusCode::OK, [version, ("content-type", "application/json")], payload).into_response(),
                Err(error) => {
                    let kind = match error.kind {
                        FunctionErrorKind::Handled => "Handled",
                        FunctionErrorKind::Unhandled => "Unhandled",
                    };
                    (StatusCode::OK, [version, ("x-amz-function-error", kind), ("content-type", "application/json")], error.payload).into_response()
                }
            }
        }
        Ok(Err(error)) => {
            let (status, kind) = match &error {
                InvokeError::UnknownFunction(_) => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
                InvokeError::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
                InvokeError::InvalidPayload(_) => (StatusCode::BAD_REQUEST, "InvalidRequestContentException"),
                InvokeError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "ServiceException"),
            };
            refused(status, kind, &error.to_string())
        }
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", "the invocation was lost"),
    }
}

fn refused(status: StatusCode, kind: &str, message: &str) -> Response {
    let mut response = json_response(status, &json!({ "Type": "User", "message": message }));
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert("x-amzn-errortype", kind);
    }
    response
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
