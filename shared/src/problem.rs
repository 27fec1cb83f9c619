//! Errors as `application/problem+json` (RFC 9457).

use http::{HeaderValue, Uri, header};
use problem_details::{ProblemDetails, ProblemType};
use serde::Serialize;

use crate::error::Error;
use crate::http::Response;
use crate::refusal::FieldError;

/// Seconds until a client may ask again after the database was gone: the breaker's cool-off.
const RETRY_AFTER_S: u32 = 1;

#[derive(Serialize)]
struct Extension<'a> {
    request_id: &'a str,
    /// What was wrong with single fields of the body.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

/// The answer to a client whose request failed. It holds no text from the database and no host name.
pub(crate) fn response(error: &Error, request_id: &str) -> Response {
    let (status, refusal) = (error.status(), error.refusal());
    let mut problem = ProblemDetails::from_status_code(status)
        .with_type(ProblemType::from(type_uri(error.kind())))
        .with_title(title(error))
        .with_extensions(Extension { request_id, errors: refusal.map_or(&[], |refusal| &refusal.fields) });
    if let Some(detail) = detail(error) {
        problem = problem.with_detail(detail);
    }
    let mut response = Response::json(status, &problem).with_header(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(value) = error.allow_header().and_then(|allow| HeaderValue::try_from(allow).ok()) {
        response = response.with_header(header::ALLOW, value);
    }
    let retry_after_s = match error {
        Error::Unavailable { .. } => Some(RETRY_AFTER_S),
        _ => refusal.and_then(|refusal| refusal.retry_after_s),
    };
    if let Some(seconds) = retry_after_s {
        response = response.with_header(header::RETRY_AFTER, seconds.into());
    }
    response.with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

/// A relative reference, as RFC 9457 section 3.1.1 allows: the names are the contract, listed in the README.
fn type_uri(kind: &'static str) -> Uri {
    Uri::try_from(format!("/problems/{kind}")).unwrap_or_default()
}

fn title(error: &Error) -> &'static str {
    match error {
        Error::Malformed { .. } => "The request is malformed",
        Error::Unauthenticated => "The request carries no verified identity",
        Error::MethodNotAllowed { .. } => "The method is not allowed here",
        Error::Refused(refusal) => refusal.kind.title,
        Error::Unavailable { .. } => "The database is not available",
        Error::StatementTimeout(_) => "The query took too long",
        Error::Internal(_) => "Something went wrong on our side",
    }
}

fn detail(error: &Error) -> Option<String> {
    match error {
        Error::Malformed { detail } => Some(detail.clone()),
        Error::Refused(refusal) => Some(refusal.detail.clone()),
        Error::Unavailable { .. } => Some("Try again after the seconds in Retry-After.".to_owned()),
        Error::MethodNotAllowed { .. } => error.allow_header().map(|allow| format!("Use {allow}.")),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use super::*;

    fn body(error: &Error) -> Value {
        serde_json::from_str(response(error, "r-1").body()).unwrap()
    }

    #[test]
    fn a_problem_has_type_title_status_detail_and_request_id() {
        let problem = body(&Error::malformed("limit: must be 1 to 100"));
        let expected = json!({"type": "/problems/malformed", "title": "The request is malformed", "status": 400,
            "detail": "limit: must be 1 to 100", "request_id": "r-1"});
        assert_eq!(problem, expected);
    }

    #[test]
    fn the_headers_that_a_status_asks_for_are_there() {
        let gone = response(&Error::Unavailable { resends: 0, reconnects: 9, source: None }, "r");
        assert_eq!(gone.header("retry-after"), Some("1"));
        let wrong = response(&Error::MethodNotAllowed { allowed: &[Method::GET, Method::POST] }, "r");
        assert_eq!(wrong.header("allow"), Some("GET, POST"));
        for error in [gone, wrong] {
            assert_eq!(error.header("content-type"), Some("application/problem+json"));
            assert_eq!(error.header("cache-control"), Some("no-store"));
        }
    }

    #[test]
    fn no_text_of_the_database_reaches_the_client() {
        let secret = || sqlx::Error::Protocol("relation models at db.internal".into());
        let errors = [
            Error::StatementTimeout(secret()),
            Error::Internal(Box::new(secret())),
            Error::Unavailable { resends: 1, reconnects: 1, source: Some(crate::error::AttemptError::Work(secret())) },
        ];
        for error in errors {
            assert!(error.chain().contains("db.internal"), "the log says it: {}", error.chain());
            assert!(!response(&error, "r").body().contains("db.internal"), "{}", error.kind());
        }
    }
}
