//! Bad input: each has its status, its body, and names what was wrong.

use serde_json::{Value, json};
use tests::{Api, Database, http_event, with_claims};

const LISTS: [(&str, &str, &str); 2] = [
    ("purchased-models", "/api/user/purchased-models", "purchased-models-get.json"),
    ("user-models", "/api/models/user-models", "user-models-get.json"),
];

/// Asserts a problem of the function itself, and gives its detail.
fn problem(status: u16, body: &str, expected: u16, kind: &str) -> String {
    assert_eq!(status, expected, "{body}");
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["type"], format!("/problems/{kind}"), "{problem}");
    assert_eq!(problem["status"], expected, "{problem}");
    assert!(!problem["request_id"].as_str().unwrap().is_empty(), "{problem}");
    problem["detail"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_wrong_limit_or_cursor_is_400_and_named() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    for (_, path, _) in LISTS {
        let cursor = api.get_as("user-1", path).await.json()["next_cursor"].as_str().unwrap().to_owned();
        let tampered = format!("{}{}", &cursor[..cursor.len() - 1], if cursor.ends_with('A') { 'B' } else { 'A' });
        let cases = [
            ("limit=0".to_owned(), "limit: must be a whole number from 1 to 100"),
            ("limit=101".to_owned(), "limit: must be a whole number from 1 to 100"),
            ("limit=abc".to_owned(), "limit: must be a whole number from 1 to 100"),
            ("limit=".to_owned(), "limit: must be a whole number from 1 to 100"),
            ("limit=-1".to_owned(), "limit: must be a whole number from 1 to 100"),
            ("limit=%00".to_owned(), "limit: must be a whole number from 1 to 100"),
            ("limit=5&limit=6".to_owned(), "limit: stands more than once in the query; send it once"),
            (format!("cursor={cursor}&cursor={cursor}"), "cursor: stands more than once in the query; send it once"),
            (format!("cursor={tampered}"), "cursor: is damaged; send it as it came, or start again without one"),
            ("cursor=".to_owned(), "cursor: is damaged; send it as it came, or start again without one"),
            ("cursor=%FF%FE".to_owned(), "cursor: is damaged; send it as it came, or start again without one"),
            (format!("cursor={}", "A".repeat(5_000)), "cursor: is damaged; send it as it came, or start again without one"),
        ];
        for (query, detail) in cases {
            let answer = api.get_as("user-1", &format!("{path}?{query}")).await;
            assert_eq!(problem(answer.status, &answer.body, 400, "malformed"), detail, "{path}?{query}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
        }
        assert_eq!(api.get_as("user-1", &format!("{path}?limit=1")).await.status, 200);
        assert_eq!(api.get_as("user-1", &format!("{path}?limit=100&other=x")).await.status, 200);
    }
    api.stop().await;
}

#[tokio::test]
async fn an_unknown_route_or_method_is_the_gateways_404() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let unknown = [
        ("GET", "/"),
        ("GET", "/api/unknown"),
        ("GET", "/api/user/purchased-models/x"),
        ("DELETE", "/api/user/purchased-models"),
        ("POST", "/api/debug/db-health"),
    ];
    for (method, path) in unknown {
        let answer = api.send(api.request(method, path).bearer_auth(api.token("user-1"))).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, r#"{"message":"Not Found"}"#), "{method} {path}");
    }
    assert!(api.sandboxes("health").await.is_empty(), "no function was woken");
    api.stop().await;
}

#[tokio::test]
async fn a_malformed_event_is_400_and_the_sandbox_serves_on() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let rest_v1 = json!({"resource": "/x", "path": "/x", "httpMethod": "GET", "headers": {}, "requestContext": {"identity": {}}});
    let mut other_version = http_event(LISTS[0].2);
    other_version["version"] = "1.0".into();
    let mut wrong_type = http_event(LISTS[0].2);
    wrong_type["requestContext"]["http"] = json!(5);
    let events = [
        json!({}),
        json!([]),
        json!(null),
        json!(7),
        json!("text"),
        rest_v1,
        other_version,
        wrong_type,
        json!({"requestContext": {"http": {"method": "NOT A METHOD"}}}),
    ];
    // Health knows other events, too.
    for function in ["purchased-models", "user-models", "monitor", "reset"] {
        for event in &events {
            let response = api.respond(function, event).await;
            let status = u16::try_from(response["statusCode"].as_u64().unwrap()).unwrap();
            let detail = problem(status, response["body"].as_str().unwrap(), 400, "malformed");
            assert!(detail.starts_with("the event is not an HTTP API request in payload format 2.0: "), "{function} {event}: {detail}");
        }
        assert_eq!(api.sandboxes(function).await.len(), 1, "{function} kept its sandbox");
    }
    for (function, _, event) in LISTS {
        assert_eq!(api.respond(function, &http_event(event)).await["statusCode"], 200);
    }
    api.stop().await;
}

#[tokio::test]
async fn identity_comes_from_verified_claims_alone() {
    let database = Database::seeded().await;
    let api = Api::over(&database).await;
    let claims = [json!(null), json!({}), json!({"sub": ""}), json!({"sub": "a\u{0}b"}), json!({"sub": "x".repeat(256)}), json!({"email": "user-1"})];
    for (function, _, event) in LISTS {
        for claims in &claims {
            let mut event = with_claims(http_event(event), claims.clone());
            event["headers"]["authorization"] = "Bearer forged".into();
            event["headers"]["x-user"] = "user-1".into();
            event["rawQueryString"] = "sub=user-1".into();
            let response = api.respond(function, &event).await;
            let status = u16::try_from(response["statusCode"].as_u64().unwrap()).unwrap();
            problem(status, response["body"].as_str().unwrap(), 401, "unauthenticated");
        }
        let response = api.respond(function, &http_event(event)).await;
        assert_eq!(response["statusCode"], 200, "{function} with the claims of the sample event");
    }
    api.stop().await;
}
