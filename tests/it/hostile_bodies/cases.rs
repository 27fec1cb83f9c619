//! Each way of being wrong by itself, with what the client is told.

use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;
use serde_json::json;
use tests::{Answer, Api, Database};

use super::{FOX, MODELS, PURCHASES};

const UNKNOWN: &str = r#"{"model_id":"01900000-0000-7000-8000-000000000000"}"#;

fn post(api: &Api, path: &str) -> RequestBuilder {
    api.request("POST", path).bearer_auth(api.token("seller"))
}

/// A request to publish this body, under a key of its own.
fn publication(api: &Api, body: impl Into<reqwest::Body>) -> RequestBuilder {
    post(api, MODELS).header("content-type", "application/json").header("idempotency-key", uuid::Uuid::now_v7().to_string()).body(body)
}

fn assert_problem(answer: &Answer, status: u16, kind: &str, detail: &str) {
    let problem = answer.json();
    assert_eq!((answer.status, &problem["type"]), (status, &format!("/problems/{kind}").into()), "{detail}: {answer:?}");
    let found = problem["detail"].as_str().unwrap();
    assert!(found.starts_with(detail), "{found} does not begin with {detail}");
}

/// The usual body with one field's value replaced.
fn with(field: &str, value: &str) -> String {
    let fields = FOX.iter().map(|(name, usual)| format!(r#""{name}":{}"#, if *name == field { value } else { usual }));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn a_field_that_is_not_what_it_has_to_be_is_named() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let cases = [
        ("title", "null", 400, "title: invalid type: null, expected a string"),
        ("title", "7", 400, "title: invalid type: integer `7`, expected a string"),
        ("title", "[]", 400, "title: invalid type: sequence, expected a string"),
        ("title", r#""\ud800""#, 400, "title: unexpected end of hex escape"),
        ("title", r#""\udc00""#, 400, "title: lone leading surrogate in hex escape"),
        ("title", "\"a\nb\"", 400, "title: control character (\\u0000-\\u001F) found while parsing a string"),
        ("title", r#""a\u0000b""#, 422, "title: must hold no control characters"),
        ("title", r#""a\u0085b""#, 422, "title: must hold no control characters"),
        ("title", r#""\x41""#, 400, "title: invalid escape"),
        ("description", r#""a\u0000b""#, 422, "description: must not hold the character U+0000"),
        ("price_cents", "null", 400, "price_cents: invalid type: null, expected i64"),
        ("price_cents", "true", 400, "price_cents: invalid type: boolean `true`, expected i64"),
        ("price_cents", "{}", 400, "price_cents: invalid type: map, expected i64"),
        ("price_cents", r#""1""#, 400, "price_cents: invalid type: string \"1\", expected i64"),
        ("price_cents", "1.0", 400, "price_cents: invalid type: floating point `1.0`, expected i64"),
        ("price_cents", "1e2", 400, "price_cents: invalid type: floating point `100.0`, expected i64"),
        ("price_cents", "1e400", 400, "price_cents: number out of range"),
        ("price_cents", "-1e400", 400, "price_cents: number out of range"),
        ("price_cents", "-1", 422, "price_cents: lower than 0"),
        ("price_cents", "9007199254740993", 422, "price_cents: greater than 100000000"),
        ("price_cents", "9223372036854775808", 400, "price_cents: invalid value: integer `9223372036854775808`, expected i64"),
        ("price_cents", "-9223372036854775809", 400, "price_cents: invalid type: floating point"),
        ("price_cents", "01", 400, "price_cents: invalid number"),
        ("price_cents", "+1", 400, "price_cents: expected value"),
        ("price_cents", "1.", 400, "price_cents: invalid number"),
        ("price_cents", "NaN", 400, "price_cents: expected value"),
        ("price_cents", "0x10", 400, "body: expected `,` or `}` at line 1 column "),
        ("file_bytes", r#"1,"file_bytes":1"#, 400, "body: duplicate field `file_bytes`"),
        ("file_bytes", r#"1,"id":1"#, 400, "id: unknown field `id`"),
        ("file_bytes", "1,", 400, "body: trailing comma at line 1 column "),
        ("file_bytes", "1/*c*/", 400, "body: expected `,` or `}` at line 1 column "),
        ("file_bytes", "1}x", 400, "body: trailing characters at line 1 column "),
    ];
    for (field, value, status, detail) in cases {
        let kind = if status == 422 { "invalid" } else { "malformed" };
        assert_problem(&api.send(publication(&api, with(field, value))).await, status, kind, detail);
    }
    assert_eq!(api.send(publication(&api, with("", ""))).await.status, 201);
    api.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_400() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let no_object = "body: must be a JSON object";
    let (brackets, nested) = ("[".repeat(60_000), r#"{"a":"#.repeat(10_000));
    let in_title = format!(r#"{{"title":{brackets}"#);
    let cases: [(&[u8], &str); 17] = [
        (b"", no_object),
        (b"null", no_object),
        (b"7", no_object),
        (b"\"x\"", no_object),
        (b"[]", no_object),
        // The values without their names.
        (br#"["Fox","",0,"EUR",1]"#, no_object),
        (brackets.as_bytes(), no_object),
        ("\u{feff}{}".as_bytes(), no_object),
        (b"{", "body: EOF while parsing an object"),
        (b"{}", "body: missing field `title`"),
        (nested.as_bytes(), "a: unknown field `a`"),
        (in_title.as_bytes(), "title: invalid type: sequence, expected a string"),
        (b"{\"title\":\"\xff\"}", "body: is not UTF-8 at byte 10"),
        // A surrogate as UTF-8 would write it, UTF-16, and gzip.
        (b"{\"title\":\"\xed\xa0\x80\"}", "body: is not UTF-8 at byte 10"),
        (b"\xff\xfe{\0}\0", "body: is not UTF-8 at byte 0"),
        (b"\x1f\x8b\x08\0", "body: is not UTF-8 at byte 1"),
        (b"{}{}", "body: missing field `title`"),
    ];
    for (body, detail) in cases {
        assert_problem(&api.send(publication(&api, body.to_vec())).await, 400, "malformed", detail);
    }
    for body in [r#"["01900000-0000-7000-8000-000000000000"]"#, "[]"] {
        let answer = api.send(post(&api, PURCHASES).header("content-type", "application/json").header("idempotency-key", "k").body(body)).await;
        assert_problem(&answer, 400, "malformed", no_object);
    }
    // The id in another spelling would be another payload.
    for id in [
        json!("{01900000-0000-7000-8000-000000000000}"),
        json!("urn:uuid:01900000-0000-7000-8000-000000000000"),
        json!("01900000000070008000000000000000"),
        json!("0190000A-0000-7000-8000-000000000000"),
        json!(""),
        json!([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let request = post(&api, PURCHASES).header("content-type", "application/json").header("idempotency-key", "k");
        assert_problem(&api.send(request.body(json!({ "model_id": id }).to_string())).await, 400, "malformed", "model_id: ");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_body_of_another_type_is_415_and_one_that_is_too_long_413() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    for content_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/merge-patch+json", "application/json5", ";", "\u{e9}"] {
        let request = post(&api, MODELS).header("idempotency-key", "k").body(with("", ""));
        let answer = api.send(request.header("content-type", HeaderValue::from_bytes(content_type.as_bytes()).unwrap())).await;
        if content_type.is_ascii() {
            assert_problem(&answer, 415, "unsupported-media-type", "Content-Type must be application/json.");
        } else {
            assert_problem(&answer, 400, "malformed", "content-type: must be visible ASCII characters");
        }
    }
    let missing = api.send(post(&api, MODELS).header("idempotency-key", "k").body(with("", ""))).await;
    assert_problem(&missing, 415, "unsupported-media-type", "Content-Type must be application/json.");
    for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/json;x=\"y\""] {
        let answer = api.send(post(&api, MODELS).header("idempotency-key", "k").header("content-type", content_type).body(with("", ""))).await;
        assert_eq!(answer.status, 201, "{content_type}: {answer:?}");
    }
    for bytes in [64 * 1024 + 1, 1024 * 1024, 5 * 1024 * 1024] {
        let answer = api.send(publication(&api, "x".repeat(bytes))).await;
        assert_problem(&answer, 413, "content-too-large", "A body has at most 65536 bytes.");
    }
    for bytes in [7 * 1024 * 1024, 10 * 1024 * 1024, 11 * 1024 * 1024] {
        let answer = api.send(publication(&api, "x".repeat(bytes))).await;
        assert_eq!((answer.status, answer.body.as_str()), (413, r#"{"message":"Request Entity Too Large"}"#), "{bytes} bytes");
    }
    api.stop().await;
}

#[tokio::test]
async fn an_odd_header_is_400_and_named() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let id = api.send(publication(&api, with("", ""))).await.json()["id"].as_str().unwrap().to_owned();
    let item = format!("{MODELS}/{id}");
    let long = "x".repeat(256);
    let keys: [(&[u8], &str); 8] = [
        (b"", "Idempotency-Key: must be 1 to 255 visible ASCII characters without spaces, such as a UUID"),
        (b"\"\"", "Idempotency-Key: must be 1 to 255 visible ASCII characters without spaces, such as a UUID"),
        (b"a b", "Idempotency-Key: must be 1 to 255 visible ASCII characters without spaces, such as a UUID"),
        (long.as_bytes(), "Idempotency-Key: must be 1 to 255 visible ASCII characters without spaces, such as a UUID"),
        (b"a,b", "Idempotency-Key: must be one value, without quotes, backslashes and commas inside"),
        (b"\"a", "Idempotency-Key: must be one value, without quotes, backslashes and commas inside"),
        (b"a\\b", "Idempotency-Key: must be one value, without quotes, backslashes and commas inside"),
        (b"\xe9", "idempotency-key: must be visible ASCII characters"),
    ];
    for (key, detail) in keys {
        let request =
            post(&api, PURCHASES).header("content-type", "application/json").header("idempotency-key", HeaderValue::from_bytes(key).unwrap());
        assert_problem(&api.send(request.body(UNKNOWN)).await, 400, "malformed", detail);
    }
    let twice = post(&api, PURCHASES).header("content-type", "application/json").header("idempotency-key", "a").header("idempotency-key", "a");
    assert_problem(&api.send(twice.body(UNKNOWN)).await, 400, "malformed", "Idempotency-Key: must be one value");
    let missing = api.send(post(&api, PURCHASES).header("content-type", "application/json").body(UNKNOWN)).await;
    assert_problem(&missing, 400, "malformed", "Idempotency-Key: is missing");
    let not_tags = "must be * or entity tags in quotes";
    for tags in ["", "1", "\"1", "W/1", "\"1\" \"2\"", "*, \"1\""] {
        let request = |method| api.request(method, &item).bearer_auth(api.token("seller"));
        let answer = api.send(request("DELETE").header("if-match", tags)).await;
        assert_problem(&answer, 400, "malformed", &format!("If-Match: {not_tags}"));
        let answer = api.send(request("GET").header("if-none-match", tags)).await;
        assert_problem(&answer, 400, "malformed", &format!("If-None-Match: {not_tags}"));
    }
    // What only chooses the form of an answer is no reason to give none.
    for value in [&b"gzip;q=x"[..], b",,;", b"\xe9", b"gzip;q=1e400"] {
        let request = api.request("GET", MODELS).bearer_auth(api.token("seller")).header("accept-encoding", HeaderValue::from_bytes(value).unwrap());
        let answer = api.send(request.header("user-agent", HeaderValue::from_bytes(b"\xe9\xff").unwrap())).await;
        assert_eq!(answer.status, 200, "{value:?}: {answer:?}");
    }
    api.stop().await;
}

#[tokio::test]
async fn an_odd_id_is_404() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let id = api.send(publication(&api, with("", ""))).await.json()["id"].as_str().unwrap().to_owned();
    let odd = [
        "x",
        "%00",
        "%F0%9F%A6%8A",
        "%20",
        "..%2e",
        "null",
        "0",
        "-1",
        &id.to_uppercase(),
        &format!("%7B{id}%7D"),
        &id.replace('-', ""),
        &format!("{id}%20"),
    ];
    for id in odd {
        for (method, body) in [("GET", ""), ("PATCH", r#"{"title":"x"}"#), ("DELETE", "")] {
            let request = api.request(method, &format!("{MODELS}/{id}")).bearer_auth(api.token("seller")).header("if-match", "*");
            let answer = api.send(request.header("content-type", "application/json").body(body)).await;
            assert_problem(&answer, 404, "not-found", "id must be an id as the list gives it.");
        }
    }
    api.stop().await;
}
