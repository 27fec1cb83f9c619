//! What the page's server answers.

use std::sync::Arc;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::Method;
use http::request::Parts;
use serde::Deserialize;
use serde_json::json;

use super::admission::Admission;
use super::feed::Cursor;
use super::{Checks, Dashboard, PAGE_PATH, PREFIX, page};
use crate::drill::{Drill, Refusal};

/// A command is a few bytes.
const COMMAND_LIMIT_BYTES: usize = 1_024;

/// Everything comes from here, and text is never taken for HTML.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                                       base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                                       trusted-types 'none'";

/// What one server shows.
pub(crate) struct Site {
    admission: Admission,
    token: String,
    source: Source,
}

/// Where the page's numbers come from.
pub(crate) enum Source {
    /// A stack that runs here.
    Stack(Arc<Dashboard>),
    /// The monitor of a deployed stack.
    Deployed { url: String, checks: Arc<Checks>, start: u64 },
}

impl Site {
    pub(crate) fn new(port: u16, token: String, source: Source) -> Self {
        Self { admission: Admission::new(port, token.clone()), token, source }
    }

    fn stack(&self) -> Option<&Arc<Dashboard>> {
        match &self.source {
            Source::Stack(dashboard) => Some(dashboard),
            Source::Deployed { .. } => None,
        }
    }
}

/// Whether a request is meant for the dashboard, if for no route.
pub(crate) fn takes(head: &Parts) -> bool {
    let path = head.uri.path();
    path.starts_with(PREFIX) || path == PAGE_PATH && matches!(head.method, Method::GET | Method::HEAD)
}

/// The page, its files, its feed and its commands.
pub(crate) fn router(site: Site) -> Router {
    let site = Arc::new(site);
    Router::new()
        .route(PAGE_PATH, get(show))
        .route("/_thaw/{file}", get(file))
        .route("/_thaw/feed", get(feed))
        .route("/_thaw/drills/{name}", post(drill))
        .route("/_thaw/load", post(load))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "there is no such thing here"))
        .with_state(Arc::clone(&site))
        .layer(middleware::from_fn_with_state(site, admit))
}

async fn admit(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let mut response = match site.admission.check(&head) {
        Ok(()) => next.run(Request::from_parts(head, body)).await,
        Err(stranger) => refusal(StatusCode::FORBIDDEN, stranger.sentence()),
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn show(State(site): State<Arc<Site>>) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page::html(&site.token)).into_response()
}

async fn file(Path(name): Path<String>) -> Response {
    match page::file(&name) {
        Some((kind, text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "the page has no such file"),
    }
}

async fn feed(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let Some(cursor) = Cursor::of_query(uri.query().unwrap_or_default()) else {
        return refusal(StatusCode::BAD_REQUEST, "second, line and check are whole numbers");
    };
    let feed = match &site.source {
        Source::Stack(dashboard) => json!(dashboard.feed(cursor).await),
        Source::Deployed { url, checks, start } => json!({ "source": "deployed", "start": start, "url": url, "checks": checks.feed(cursor.check) }),
    };
    json_response(StatusCode::OK, &feed)
}

async fn drill(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Response {
    let Some(dashboard) = site.stack() else { return not_here() };
    let Some(drill) = Drill::named(&name) else {
        return refusal(StatusCode::NOT_FOUND, &format!("there is no drill of this name: there are {}", Drill::ALL.map(Drill::name).join(", ")));
    };
    match dashboard.drills.run(drill).await {
        Ok(outcome) => json_response(StatusCode::OK, &json!(outcome)),
        Err(error) => {
            let status = match error {
                Refusal::Busy { .. } => StatusCode::CONFLICT,
                Refusal::Impossible { .. } => StatusCode::UNPROCESSABLE_ENTITY,
                Refusal::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            };
            refusal(status, &error.to_string())
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    on: bool,
}

async fn load(State(site): State<Arc<Site>>, body: Body) -> Response {
    let Some(dashboard) = site.stack() else { return not_here() };
    let Some(Switch { on }) = body::to_bytes(body, COMMAND_LIMIT_BYTES).await.ok().and_then(|body| serde_json::from_slice(&body).ok()) else {
        return refusal(StatusCode::BAD_REQUEST, r#"the body is {"on": true} or {"on": false}"#);
    };
    if on && !dashboard.load.is_possible() {
        return refusal(StatusCode::UNPROCESSABLE_ENTITY, "the template has no list that a signed-in user may ask for");
    }
    dashboard.load.turn(on);
    json_response(StatusCode::OK, &json!(dashboard.load.standing()))
}

fn not_here() -> Response {
    refusal(StatusCode::NOT_FOUND, "a deployed stack is watched and not touched")
}

fn refusal(status: StatusCode, sentence: &str) -> Response {
    json_response(status, &json!({ "message": sentence }))
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
