//! Cross-origin requests of browsers.
//!
//! What <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html> says: where CORS is configured, API Gateway answers a
//! preflight (OPTIONS with `Origin` and `Access-Control-Request-Method`) itself, whatever routes and authorizers there are; it adds its headers
//! to the responses of integrations where the request has an `Origin`, and ignores theirs. It says nothing of a preflight's status, nor of a
//! preflight from an origin that is not allowed: here both get 204, the latter without a header, which no browser takes for a permission. The
//! page speaks of responses of integrations alone, so a refusal of the gateway's own gets no headers, and a page sees no more of it than that
//! it failed.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;

use super::response::HttpResponse;
use crate::template::Cors;

/// The answer to a preflight; none for any other request.
pub(crate) fn preflight(cors: &Cors, head: &Parts) -> Option<HttpResponse> {
    let is_preflight =
        head.method == Method::OPTIONS && head.headers.contains_key(ORIGIN) && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !is_preflight {
        return None;
    }
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(origin) = allowed_origin(cors, &head.headers) {
        let headers = response.headers_mut();
        permit(cors, headers, origin);
        put(headers, ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods.join(","));
        put(headers, ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers.join(","));
        put(headers, ACCESS_CONTROL_MAX_AGE, &cors.max_age_s.map(|max_age_s| max_age_s.to_string()).unwrap_or_default());
    }
    Some(response)
}

/// Gives an integration's response the headers of the configuration in place of its own.
pub(crate) fn apply(cors: &Cors, head: &Parts, response: &mut HttpResponse) {
    let headers = response.headers_mut();
    let own: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in own {
        headers.remove(name);
    }
    if let Some(origin) = allowed_origin(cors, &head.headers) {
        permit(cors, headers, origin);
        put(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers.join(","));
    }
}

/// The value of `Access-Control-Allow-Origin` for this request, where its origin is allowed: it itself, or `*` where all are.
fn allowed_origin(cors: &Cors, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let text = origin.to_str().ok()?;
    if cors.allow_origins.iter().any(|allowed| allowed == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    // Of patterns there are two: every origin of a scheme.
    let allows =
        |allowed: &String| allowed == text || matches!(&**allowed, "http://*" | "https://*") && text.starts_with(allowed.trim_end_matches('*'));
    cors.allow_origins.iter().any(allows).then(|| origin.clone())
}

fn permit(cors: &Cors, headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if cors.allow_credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// Sets a header that the configuration has a value for.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value)
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}
