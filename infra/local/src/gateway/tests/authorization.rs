use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Good claims with some replaced.
fn claims(changes: Value) -> Value {
    let mut claims = json!({"sub": "user-1", "iss": ISSUER_URL, "aud": "thaw", "iat": now_s() - 60, "exp": now_s() + 3_600});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

#[tokio::test]
async fn good_token_passes_and_bad_ones_never_reach_the_function() {
    let directory = tempfile::tempdir().unwrap();
    let other = Issuer::load_or_create(directory.path(), ISSUER_URL.into()).unwrap();
    let sign = |changes| ISSUER.sign(&claims(changes)).unwrap();
    let key_id = &ISSUER.jwks()["keys"][0]["kid"];
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(json!({"alg": "none", "kid": key_id})), part(claims(json!({}))));

    let gateway = TestGateway::start(vec![jwt_route("/mine", &[])]).await;
    let bad = [
        ("expired", format!("Bearer {}", sign(json!({"exp": now_s() - 1})))),
        ("unsigned", format!("Bearer {unsigned}")),
        ("another key", format!("Bearer {}", other.sign(&claims(json!({}))).unwrap())),
        ("wrong issuer", format!("Bearer {}", sign(json!({"iss": "http://127.0.0.1:9"})))),
        ("wrong audience", format!("Bearer {}", sign(json!({"aud": "other"})))),
        ("not yet valid", format!("Bearer {}", sign(json!({"nbf": now_s() + 600})))),
        ("garbage", "Bearer garbage".into()),
        ("empty", "Bearer ".into()),
        ("another scheme", "Basic dXNlcjpwYXNz".into()),
    ];
    for (case, header) in &bad {
        let answer = gateway.get_with("/mine", &[("authorization", header)]).await;
        answer.assert_refused(401, "Unauthorized", case);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer"), "{case}: {challenge}");
        assert!(case == &"empty" || challenge.contains(r#"error="invalid_token""#), "{case}: {challenge}");
    }
    let missing = gateway.get("/mine").await;
    missing.assert_refused(401, "Unauthorized", "no token");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer"));
    assert!(gateway.events().is_empty());

    let good = ISSUER.token("user-1", "thaw", Duration::from_secs(60)).unwrap();
    assert_eq!(gateway.get_with("/mine", &[("authorization", &format!("Bearer {good}"))]).await.status, 200);
}

#[tokio::test]
async fn token_without_the_routes_scope_is_forbidden() {
    let gateway = TestGateway::start(vec![jwt_route("/scoped", &["read", "admin"])]).await;
    let token = ISSUER.token_with_scope("user-1", "thaw", Duration::from_secs(60), &["write"]).unwrap();
    let answer = gateway.get_with("/scoped", &[("authorization", &token)]).await;
    answer.assert_refused(403, "Forbidden", "scope");
    assert!(answer.header("www-authenticate").unwrap().starts_with(r#"Bearer scope="read admin" error="insufficient_scope""#));
}

#[tokio::test]
async fn iam_route_is_closed_to_everyone() {
    let route = Route { authorization: Authorization::Iam, ..open_routes().remove(0) };
    let gateway = TestGateway::start(vec![route]).await;
    for header in ["", "AWS4-HMAC-SHA256 Credential=AKIA/20261123/eu-central-1/execute-api/aws4_request, Signature=0"] {
        gateway.get_with("/models", &[("authorization", header)]).await.assert_refused(403, "Forbidden", header);
    }
    assert!(gateway.events().is_empty());
}

#[tokio::test]
async fn authorizer_speaks_before_the_body_is_measured_and_after_the_route() {
    let gateway = TestGateway::start(vec![Route { method: "POST".into(), ..jwt_route("/mine", &[]) }]).await;
    let body = vec![b'a'; super::super::limits::BODY_LIMIT_BYTES + 1];
    gateway.send(request("POST", "/mine", &[], body)).await.assert_refused(401, "Unauthorized", "large body");
    gateway.send(request("PUT", "/mine", &[], "")).await.assert_refused(404, "Not Found", "unknown method");
}
