//! The JWT authorizer, as the template declares it: what is not a valid token of the right issuer does not reach a function.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use local::issuer::Issuer;
use local::stack::AUDIENCE;
use serde_json::{Value, json};
use tests::{Api, Database, Options};

const PATHS: [&str; 2] = ["/api/user/purchased-models", "/api/models/user-models"];

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The claims of a good token, with some changed; null takes one away.
fn claims(api: &Api, changes: Value) -> Value {
    let mut claims = json!({"sub": "user-1", "iss": api.issuer().url(), "aud": AUDIENCE, "iat": now_s() - 10, "exp": now_s() + 600});
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(claims))
}

#[tokio::test]
async fn only_a_valid_token_of_the_right_issuer_reaches_a_function() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let other_directory = tempfile::tempdir().unwrap();
    let other = Issuer::load_or_create(other_directory.path(), api.issuer().url().to_owned()).unwrap();
    let signed = |changes: Value| api.issuer().sign(&claims(&api, changes)).unwrap();
    let good = signed(json!({}));
    // The same key id as a good token, so that only the signature tells them apart.
    let forged_signature =
        format!("{}.{}", good.rsplit_once('.').unwrap().0, other.sign(&claims(&api, json!({}))).unwrap().rsplit_once('.').unwrap().1);
    let refused = [
        ("expired", signed(json!({"exp": now_s() - 1}))),
        ("without an expiry", signed(json!({"exp": null}))),
        ("not valid yet", signed(json!({"nbf": now_s() + 600}))),
        ("issued in the future", signed(json!({"iat": now_s() + 600}))),
        ("of another issuer", signed(json!({"iss": "http://127.0.0.1:1"}))),
        ("without an issuer", signed(json!({"iss": null}))),
        ("for another audience", signed(json!({"aud": "another"}))),
        ("without an audience", signed(json!({"aud": null}))),
        ("unsigned", unsigned(&claims(&api, json!({})))),
        ("signed by another key", other.sign(&claims(&api, json!({}))).unwrap()),
        ("with another token's signature", forged_signature),
        ("cut short", good[..good.len() - 20].to_owned()),
        ("no token at all", "garbage".to_owned()),
        ("empty", String::new()),
    ];
    for path in PATHS {
        assert_eq!(api.get(path).await.status, 401, "no token on {path}");
        for (what, token) in &refused {
            let answer = api.send(api.request("GET", path).bearer_auth(token)).await;
            assert_eq!((answer.status, answer.body.as_str()), (401, r#"{"message":"Unauthorized"}"#), "a token {what} on {path}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{what}: {answer:?}");
        }
    }
    assert!(api.sandboxes("purchased-models").await.is_empty(), "no function was woken");
    for path in PATHS {
        let answer = api.send(api.request("GET", path).bearer_auth(&good)).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    api.stop().await;
}

#[tokio::test]
async fn routes_and_authorizers_are_the_templates() {
    let database = Database::seeded().await;
    let committed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let text = std::fs::read_to_string(committed).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.yaml");
    let changed = text.replace("Path: /api/user/purchased-models", "Path: /bought").replace("Authorizer: NONE", "Authorizer: Jwt");
    std::fs::write(&template, changed).unwrap();
    let api = Api::with(&database, Options { template: Some(template), ..Options::default() }).await;
    assert_eq!(api.get_as("user-1", "/bought").await.status, 200);
    assert_eq!(api.get_as("user-1", PATHS[0]).await.status, 404);
    assert_eq!(api.get("/api/debug/db-health").await.status, 401);
    assert_eq!(api.get_as("user-1", "/api/debug/db-health").await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn a_token_ends_when_it_says() {
    let database = Database::fresh().await;
    let api = Api::over(&database).await;
    let token = api.issuer().token("user-1", AUDIENCE, Duration::from_secs(2)).unwrap();
    assert_eq!(api.send(api.request("GET", PATHS[0]).bearer_auth(&token)).await.status, 200);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(api.send(api.request("GET", PATHS[0]).bearer_auth(&token)).await.status, 401);
    api.stop().await;
}
