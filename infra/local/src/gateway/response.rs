//! What the client gets: the function's answer, or API Gateway's own.
//!
//! Format 2.0 of the function's answer:
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html#http-api-develop-integrations-lambda.response>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) type HttpResponse = Response<Full<Bytes>>;

/// An answer of API Gateway itself, with its status and its `{"message": …}` body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A path with a broken escape, a body with broken framing.
    BadRequest,
    /// No token or a bad one, with the `www-authenticate` header.
    Unauthorized(String),
    /// A token without the scope, with the `www-authenticate` header; a request without the right signature.
    Forbidden(Option<String>),
    /// No such route, or none with this method.
    NotFound,
    /// The body, or the event made of it.
    TooLarge,
    /// Request line and headers. The status is as users of API Gateway report it; its body is not documented.
    HeadTooLarge,
    /// The function failed, or answered what is no response.
    InternalServerError,
    /// The function was throttled, or did not answer in time.
    ServiceUnavailable,
}

impl Refusal {
    pub(crate) fn into_response(self) -> HttpResponse {
        let (status, message, challenge) = match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "Bad Request", None),
            Self::Unauthorized(challenge) => (StatusCode::UNAUTHORIZED, "Unauthorized", Some(challenge)),
            Self::Forbidden(challenge) => (StatusCode::FORBIDDEN, "Forbidden", challenge),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not Found", None),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large", None),
            Self::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large", None),
            Self::InternalServerError => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", None),
            Self::ServiceUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable", None),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // A template may hold a scope that no header can.
        if let Some(value) = challenge.and_then(|challenge| HeaderValue::try_from(challenge).ok()) {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        assemble(status, headers, format!(r#"{{"message":"{message}"}}"#).into())
    }
}

/// Headers that say how bytes travel, which the gateway's own server decides.
const FRAMING: [&str; 8] = ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// `multiValueHeaders` is not among the fields: format 2.0 has none.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    #[serde(default)]
    headers: Option<Map<String, Value>>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
}

/// The response that a function's payload stands for.
///
/// An object with a `statusCode` is a response. Anything else is the body of a 200 of type `application/json`; API Gateway does not
/// check that it is JSON, and it sends a JSON text as that text (both as observed by the authors of AWS's Lambda Test Tool, in
/// aws/aws-lambda-dotnet).
///
/// # Errors
/// [`Refusal::InternalServerError`] for an object with a `statusCode` that is no response: a status outside 200 to 599, a header that
/// HTTP cannot carry, a body that is not text, or not the base64 that it says it is.
pub(crate) fn from_payload(payload: Bytes) -> Result<HttpResponse, Refusal> {
    let value = match serde_json::from_slice(&payload) {
        Ok(Value::Object(object)) if object.contains_key("statusCode") => Value::Object(object),
        Ok(Value::String(text)) => return Ok(inferred(text.into())),
        _ => return Ok(inferred(payload)),
    };
    serde_json::from_value(value).ok().and_then(structured).ok_or(Refusal::InternalServerError)
}

fn inferred(body: Bytes) -> HttpResponse {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    assemble(StatusCode::OK, headers, body)
}

fn structured(answer: Answer) -> Option<HttpResponse> {
    let status = StatusCode::from_u16(answer.status_code).ok().filter(|status| (200..600).contains(&status.as_u16()))?;
    let mut headers = HeaderMap::new();
    for (name, value) in answer.headers.unwrap_or_default() {
        let name = HeaderName::try_from(name).ok()?;
        let value = match value {
            Value::String(text) => text,
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return None,
        };
        if !FRAMING.contains(&name.as_str()) {
            headers.append(name, HeaderValue::try_from(value).ok()?);
        }
    }
    for cookie in answer.cookies.unwrap_or_default() {
        headers.append(SET_COOKIE, HeaderValue::try_from(cookie).ok()?);
    }
    let body = answer.body.unwrap_or_default();
    let body = if answer.is_base64_encoded == Some(true) { STANDARD.decode(body).ok()?.into() } else { Bytes::from(body) };
    if !body.is_empty() {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    Some(assemble(status, headers, body))
}

fn assemble(status: StatusCode, headers: HeaderMap, body: Bytes) -> HttpResponse {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
