//! The event that a function receives: payload format 2.0.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>: header names are in lower
//! case, values of one name are joined with commas, cookies stand in `cookies` and no longer in `headers`, and what a request does not
//! have (cookies, parameters, body, authorizer) is left out.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use serde::Serialize;
use time::OffsetDateTime;

use super::authorizer::Verified;
use super::iam::Principal;
use super::path;
use super::route::Selected;

/// Headers that belong to one connection, which API Gateway's integration does not see.
const HOP_BY_HOP: [&str; 8] = ["connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Whom the authorizer of the route made out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Caller {
    /// By a token.
    Jwt(Verified),
    /// By a signature.
    Iam(Principal),
}

/// What the event says about API and client, beside the request itself.
pub(crate) struct Origin<'a> {
    pub(crate) account_id: &'a str,
    pub(crate) api_id: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) client: IpAddr,
    /// Where the gateway listens.
    pub(crate) server: SocketAddr,
    pub(crate) now: OffsetDateTime,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'a str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    path_parameters: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    account_id: &'a str,
    api_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<&'a Caller>,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'a str,
    stage: &'static str,
    time: String,
    time_epoch: i128,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: String,
    source_ip: String,
    user_agent: String,
}

/// The event of a request as JSON. `raw_path` is the decoded path (see [`path::decode`]).
///
/// # Errors
/// None in practice: every part is text.
pub(crate) fn build(
    head: &Parts,
    body: &Bytes,
    raw_path: &str,
    selected: &Selected<'_>,
    caller: Option<&Caller>,
    origin: &Origin<'_>,
) -> serde_json::Result<Vec<u8>> {
    let route = selected.route;
    let route_key = if route.path == "$default" { route.path.clone() } else { format!("{} {}", route.method, route.path) };
    let raw_query_string = head.uri.query().unwrap_or_default();
    let host = text_of(&head.headers, &header::HOST).or_else(|| head.uri.authority().map(ToString::to_string)).unwrap_or_default();
    let domain_name = without_port(&host);
    let (text, is_base64_encoded) = encode(body, &head.headers);
    serde_json::to_vec(&Event {
        version: "2.0",
        route_key: &route_key,
        raw_path,
        raw_query_string,
        cookies: cookies(&head.headers),
        headers: headers(&head.headers, body.len(), origin),
        query_string_parameters: path::query_parameters(raw_query_string),
        request_context: RequestContext {
            account_id: origin.account_id,
            api_id: origin.api_id,
            authorizer: caller,
            domain_name,
            domain_prefix: domain_name.split('.').next().unwrap_or_default(),
            http: Http {
                method: head.method.as_str(),
                path: raw_path,
                protocol: format!("{:?}", head.version),
                source_ip: origin.client.to_string(),
                user_agent: text_of(&head.headers, &header::USER_AGENT).unwrap_or_default(),
            },
            request_id: origin.request_id,
            route_key: &route_key,
            stage: "$default",
            time: common_log_time(origin.now),
            time_epoch: origin.now.unix_timestamp_nanos() / 1_000_000,
        },
        path_parameters: &selected.parameters,
        body: text,
        is_base64_encoded,
    })
}

/// `None` without a body; the text itself for a text; else base64. Which content types are text is not documented. As measured on live
/// HTTP APIs (ministackorg/ministack, pull request 766) they are `text/*` and three of `application/`: a form, `+json` and a body
/// without a type come as base64.
fn encode(body: &Bytes, headers: &HeaderMap) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    let content_type = text_of(headers, &header::CONTENT_TYPE).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_text = essence.starts_with("text/") || matches!(essence.as_str(), "application/json" | "application/javascript" | "application/xml");
    match std::str::from_utf8(body) {
        Ok(text) if is_text => (Some(text.to_owned()), false),
        _ => (Some(STANDARD.encode(body)), true),
    }
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(header::COOKIE).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.flat_map(|line| line.split(';').map(|pair| pair.trim().to_owned()).collect::<Vec<_>>()).filter(|pair| !pair.is_empty()).collect()
}

/// The client's headers and those that API Gateway adds.
fn headers(client: &HeaderMap, body_bytes: usize, origin: &Origin<'_>) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = client
        .keys()
        .filter(|name| *name != header::COOKIE && !HOP_BY_HOP.contains(&name.as_str()))
        .filter_map(|name| Some((name.as_str().to_owned(), text_of(client, name)?)))
        .collect();
    let forwarded_for = match headers.remove("x-forwarded-for") {
        Some(before) => format!("{before}, {}", origin.client),
        None => origin.client.to_string(),
    };
    headers.insert("content-length".into(), body_bytes.to_string());
    headers.insert("x-forwarded-for".into(), forwarded_for);
    headers.insert("x-forwarded-port".into(), origin.server.port().to_string());
    headers.insert("x-forwarded-proto".into(), "http".into());
    headers.entry("x-amzn-trace-id".into()).or_insert_with(|| trace_id(origin.now));
    headers
}

/// All values of a header, joined as payload format 2.0 joins them.
fn text_of(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// X-Ray's form: <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>.
fn trace_id(now: OffsetDateTime) -> String {
    format!("Root=1-{:08x}-{:08x}{:016x}", now.unix_timestamp(), fastrand::u32(..), fastrand::u64(..))
}

/// The time as the Common Log Format writes it, in UTC: `10/Jul/2026:19:19:05 +0000`.
fn common_log_time(now: OffsetDateTime) -> String {
    let month = now.month().to_string();
    let month = month.get(..3).unwrap_or(&month);
    format!("{:02}/{month}/{:04}:{:02}:{:02}:{:02} +0000", now.day(), now.year(), now.hour(), now.minute(), now.second())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn body_is_text_only_for_the_text_types() {
        let cases: [(&str, &[u8], Option<&str>, bool); 12] = [
            ("application/json", b"{}", Some("{}"), false),
            ("Application/JSON; charset=utf-8", b"{}", Some("{}"), false),
            ("text/csv", b"a,b", Some("a,b"), false),
            ("application/xml", b"<a/>", Some("<a/>"), false),
            ("application/javascript", b"a", Some("a"), false),
            ("application/json", b"\xFF", Some("/w=="), true),
            ("application/problem+json", b"{}", Some("e30="), true),
            ("application/x-www-form-urlencoded", b"a=b", Some("YT1i"), true),
            ("application/octet-stream", b"a", Some("YQ=="), true),
            ("", b"a", Some("YQ=="), true),
            ("application/json", b"", None, false),
            ("image/png", b"", None, false),
        ];
        for (content_type, body, text, is_base64_encoded) in cases {
            let mut headers = HeaderMap::new();
            if !content_type.is_empty() {
                headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            }
            let encoded = encode(&Bytes::from_static(body), &headers);
            assert_eq!(encoded, (text.map(str::to_owned), is_base64_encoded), "{content_type} {body:?}");
        }
    }

    #[test]
    fn time_is_written_as_in_an_access_log() {
        let cases = [(1_783_711_145, "10/Jul/2026:19:19:05 +0000"), (0, "01/Jan/1970:00:00:00 +0000")];
        for (epoch_s, expected) in cases {
            assert_eq!(common_log_time(OffsetDateTime::from_unix_timestamp(epoch_s).unwrap()), expected);
        }
    }

    #[test]
    fn port_is_not_part_of_the_domain_name() {
        let cases = [("localhost:3000", "localhost"), ("127.0.0.1", "127.0.0.1"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a:", "a:"), ("", "")];
        for (host, expected) in cases {
            assert_eq!(without_port(host), expected, "{host}");
        }
    }
}
