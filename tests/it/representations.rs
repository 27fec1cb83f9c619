//! The forms of an answer: tags, 304, compression, and what caches are told.

use std::io::Read as _;

use reqwest::header::HeaderMap;
use tests::{Api, Database, http_event};

const LISTS: [&str; 2] = ["/api/user/purchased-models", "/api/models/user-models"];
/// From here on a list is compressed.
const PAYS_FROM_BYTES: usize = 1_400;

/// Status, headers and the bytes as they were sent.
async fn get(api: &Api, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = api.request("GET", path).bearer_auth(api.token("user-1"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.headers().clone(), response.bytes().await.unwrap().to_vec())
}

fn assert_personal(headers: &HeaderMap) {
    assert!(headers["cache-control"] == "private, no-cache" && headers["vary"] == "Authorization, Accept-Encoding", "{headers:?}");
}

fn gunzipped(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    text
}

#[tokio::test]
async fn a_list_has_a_weak_tag_and_is_304_for_who_has_it() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    for list in LISTS {
        let (_, headers, body) = get(&api, list, &[]).await;
        let tag = headers["etag"].to_str().unwrap();
        assert!(tag.starts_with("W/\""), "{tag}");
        let strong = tag.trim_start_matches("W/");
        for known in [tag, strong, &format!("\"x\", {tag}"), "*"] {
            let (status, headers, body) = get(&api, list, &[("if-none-match", known), ("accept-encoding", "gzip")]).await;
            assert_eq!((status, body.len(), headers["etag"].to_str().unwrap()), (304, 0, tag), "{list} {known}");
            assert_personal(&headers);
            assert!(!headers.contains_key("content-encoding") && !headers.contains_key("content-type"), "{headers:?}");
        }
        assert_eq!(get(&api, list, &[("if-none-match", "W/\"x\"")]).await.2, body);
        // Another page is another text.
        assert_ne!(get(&api, &format!("{list}?limit=1"), &[]).await.1["etag"], tag);
    }
    api.stop().await;
}

#[tokio::test]
async fn a_list_is_compressed_where_that_pays_and_is_asked_for() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let (mut short, mut long) = (0, 0);
    for path in LISTS.iter().flat_map(|list| (1..=8).map(move |limit| format!("{list}?limit={limit}"))) {
        let (_, plain, text) = get(&api, &path, &[]).await;
        assert!(!plain.contains_key("content-encoding"), "{path}");
        let (_, headers, bytes) = get(&api, &path, &[("accept-encoding", "br, gzip")]).await;
        // One tag for both, because it is weak, and caches tell them apart by Vary.
        assert_eq!((&headers["etag"], &headers["vary"]), (&plain["etag"], &plain["vary"]));
        if text.len() < PAYS_FROM_BYTES {
            short += 1;
            assert!(!headers.contains_key("content-encoding") && bytes == text, "{path}");
        } else {
            long += 1;
            assert!(headers["content-encoding"] == "gzip" && headers["content-type"] == "application/json", "{path}: {headers:?}");
            assert!(bytes.len() < text.len() && gunzipped(&bytes) == text, "{path}");
        }
        for refused in ["gzip;q=0", "identity", "br"] {
            assert_eq!(get(&api, &path, &[("accept-encoding", refused)]).await.2, text, "{path} {refused}");
        }
    }
    assert!(short > 0 && long > 0, "{short} short, {long} long");
    api.stop().await;
}

#[tokio::test]
async fn an_item_has_a_strong_tag_and_is_never_compressed() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let model = serde_json::json!({ "title": "Fox", "description": "x".repeat(5_000), "price_cents": 0, "currency": "EUR", "file_bytes": 1 });
    let request = api.request("POST", LISTS[1]).bearer_auth(api.token("user-1")).header("idempotency-key", "k");
    let request = request.header("content-type", "application/json").header("accept-encoding", "gzip").body(model.to_string());
    let published = api.send(request).await;
    let item = published.header("location").to_owned();
    let (status, headers, body) = get(&api, &item, &[("accept-encoding", "gzip")]).await;
    assert_eq!((status, &headers["etag"], body.as_slice()), (200, &reqwest::header::HeaderValue::from_static("\"1\""), published.body.as_bytes()));
    assert!(body.len() > 5_000 && !headers.contains_key("content-encoding"));
    assert_personal(&headers);
    for (known, expected) in [("\"1\"", 304), ("W/\"1\"", 304), ("*", 304), ("\"0\", \"1\"", 304), ("\"2\"", 200), ("\"01\"", 200)] {
        assert_eq!(get(&api, &item, &[("if-none-match", known)]).await.0, expected, "{known}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_method_that_no_route_has_is_405_and_allow_names_those_that_have() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    for (function, event, allowed) in [
        ("purchased-models", "purchased-models-get.json", "GET, POST"),
        ("user-models", "user-models-get.json", "GET, POST"),
        ("user-models", "user-model-get.json", "GET, PATCH, DELETE"),
        ("health", "health-get.json", "GET"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let mut event = http_event(event);
            event["requestContext"]["http"]["method"] = method.into();
            let response = api.respond(function, &event).await;
            if allowed.split(", ").any(|known| known == method) {
                assert_ne!(response["statusCode"], 405, "{method} {response}");
            } else {
                assert_eq!((&response["statusCode"], &response["headers"]["allow"]), (&405.into(), &allowed.into()), "{method} {response}");
                assert!(response["body"].as_str().unwrap().contains("/problems/method-not-allowed"), "{response}");
            }
        }
    }
    api.stop().await;
}
