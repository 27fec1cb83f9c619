#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

fn parts(response: HttpResponse) -> (u16, Vec<(String, String)>, String) {
    use http_body_util::BodyExt as _;
    let (head, body) = response.into_parts();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned())).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = runtime.block_on(body.collect()).unwrap().to_bytes();
    (head.status.as_u16(), headers, String::from_utf8_lossy(&body).into_owned())
}

fn mapped(payload: &str) -> (u16, Vec<(String, String)>, String) {
    parts(from_payload(Bytes::copy_from_slice(payload.as_bytes())).unwrap_or_else(Refusal::into_response))
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

#[test]
fn response_object_is_taken_apart() {
    let (status, headers, body) = mapped(
        r#"{"statusCode": 201, "headers": {"Content-Type": "application/json", "X-Count": 3, "x-on": true},
            "cookies": ["a=1; Path=/", "b=2"], "body": "{}", "multiValueHeaders": {"x-other": ["1"]}, "other": null}"#,
    );
    assert_eq!((status, body.as_str()), (201, "{}"));
    let expected = [
        header("content-type", "application/json"),
        header("x-count", "3"),
        header("x-on", "true"),
        header("set-cookie", "a=1; Path=/"),
        header("set-cookie", "b=2"),
    ];
    assert_eq!(headers, expected);
}

#[test]
fn what_is_missing_or_null_has_its_default() {
    for payload in [r#"{"statusCode": 204}"#, r#"{"statusCode": 204, "headers": null, "cookies": null, "body": null, "isBase64Encoded": null}"#] {
        assert_eq!(mapped(payload), (204, vec![], String::new()), "{payload}");
    }
    let (_, headers, _) = mapped(r#"{"statusCode": 200, "body": "a"}"#);
    assert_eq!(headers, [header("content-type", "text/plain; charset=utf-8")]);
}

#[test]
fn base64_body_becomes_bytes() {
    let (status, _, body) = mapped(r#"{"statusCode": 200, "body": "w7w=", "isBase64Encoded": true}"#);
    assert_eq!((status, body.as_str()), (200, "ü"));
}

#[test]
fn answer_without_a_status_code_is_a_body_of_json() {
    let cases = [
        (r#"{"items": []}"#, r#"{"items": []}"#),
        ("[1, 2]", "[1, 2]"),
        ("null", "null"),
        (r#""a text""#, "a text"),
        (r#"{"cut":"#, r#"{"cut":"#),
        ("", ""),
    ];
    for (payload, expected) in cases {
        assert_eq!(mapped(payload), (200, vec![header("content-type", "application/json")], expected.to_owned()), "{payload}");
    }
}

#[test]
fn malformed_response_is_an_internal_server_error() {
    let cases = [
        r#"{"statusCode": null}"#,
        r#"{"statusCode": "200"}"#,
        r#"{"statusCode": 0}"#,
        r#"{"statusCode": 101}"#,
        r#"{"statusCode": 600}"#,
        r#"{"statusCode": 1e9}"#,
        r#"{"statusCode": -200}"#,
        r#"{"statusCode": 200, "body": {}}"#,
        r#"{"statusCode": 200, "headers": []}"#,
        r#"{"statusCode": 200, "headers": {"a b": "c"}}"#,
        r#"{"statusCode": 200, "headers": {"": "c"}}"#,
        r#"{"statusCode": 200, "headers": {"a": "b\r\nset-cookie: c=d"}}"#,
        r#"{"statusCode": 200, "headers": {"a": ["b"]}}"#,
        r#"{"statusCode": 200, "cookies": ["a\nb"]}"#,
        r#"{"statusCode": 200, "cookies": "a=b"}"#,
        r#"{"statusCode": 200, "body": "?", "isBase64Encoded": true}"#,
        r#"{"statusCode": 200, "isBase64Encoded": "yes"}"#,
    ];
    let expected = (500, vec![header("content-type", "application/json")], r#"{"message":"Internal Server Error"}"#.to_owned());
    for payload in cases {
        assert_eq!(mapped(payload), expected, "{payload}");
    }
}

#[test]
fn framing_is_left_to_the_server() {
    let payload = r#"{"statusCode": 200, "body": "abc", "headers": {"content-type": "a/b", "Content-Length": "99", "Transfer-Encoding": "chunked", "Connection": "close"}}"#;
    assert_eq!(mapped(payload), (200, vec![header("content-type", "a/b")], "abc".to_owned()));
}

#[test]
fn refusals_have_the_status_and_body_of_api_gateway() {
    let cases = [
        (Refusal::BadRequest, 400, "Bad Request"),
        (Refusal::Unauthorized("Bearer".into()), 401, "Unauthorized"),
        (Refusal::Forbidden(None), 403, "Forbidden"),
        (Refusal::NotFound, 404, "Not Found"),
        (Refusal::TooLarge, 413, "Request Entity Too Large"),
        (Refusal::HeadTooLarge, 431, "Request Header Fields Too Large"),
        (Refusal::InternalServerError, 500, "Internal Server Error"),
        (Refusal::ServiceUnavailable, 503, "Service Unavailable"),
    ];
    for (refusal, status, message) in cases {
        let case = format!("{refusal:?}");
        let (found, headers, body) = parts(refusal.into_response());
        assert_eq!((found, body), (status, format!(r#"{{"message":"{message}"}}"#)), "{case}");
        assert_eq!(headers.iter().any(|(name, _)| name == "www-authenticate"), status == 401, "{case}");
    }
    let (_, headers, _) = parts(Refusal::Unauthorized("line\nbreak".into()).into_response());
    assert_eq!(headers, [header("content-type", "application/json")]);
}
