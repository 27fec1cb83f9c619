use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::gateway::iam::signer::Signer;
use crate::gateway::{ACCOUNT_ID, IamAuthorizer};
use crate::sigv4::{LocalCredentials, REGION};

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

fn iam_route(method: &str) -> Route {
    Route { method: method.into(), authorization: Authorization::Iam, ..open_routes().remove(0) }
}

fn signer(credentials: &LocalCredentials) -> Signer {
    Signer { credentials: credentials.clone(), region: REGION, service: "execute-api", at: SystemTime::now(), with_digest: false }
}

/// A gateway with a route that the operator may call, and the operator's credentials.
async fn signed_gateway() -> (TestGateway, LocalCredentials) {
    let operator = LocalCredentials::generate().unwrap();
    let iam = IamAuthorizer::new(ACCOUNT_ID, REGION).with(&operator, "thaw-local", "operator");
    let settings = Settings { iam: Some(iam), ..settings() };
    let gateway = TestGateway::start_with(vec![iam_route("GET"), iam_route("POST")], settings, |_| succeed(r#"{"statusCode": 200}"#)).await;
    (gateway, operator)
}

/// Sends what was signed, with a body that may be another.
async fn send_signed(gateway: &TestGateway, signer: &Signer, method: &str, target: &str, body: &'static str, sent: &'static str) -> Answer {
    let url = format!("http://{}{target}", gateway.address);
    let mut request = Request::builder().method(method).uri(target).header("host", gateway.address.to_string());
    for (name, value) in signer.sign(method, &url, &[], body.as_bytes()) {
        request = request.header(name, value);
    }
    gateway.send(request.body(Full::new(sent.into())).unwrap()).await
}

#[tokio::test]
async fn a_signed_request_passes_and_the_function_learns_who_signed() {
    let (gateway, operator) = signed_gateway().await;
    let answer = send_signed(&gateway, &signer(&operator), "POST", "/models?limit=1&cursor=a%20b", r#"{"a":1}"#, r#"{"a":1}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let event = gateway.event();
    let expected = json!({"iam": {
        "accessKey": operator.access_key_id,
        "accountId": "000000000000",
        "callerId": "AROATHAWLOCALOPERATOR:operator",
        "cognitoIdentity": null,
        "principalOrgId": null,
        "userArn": "arn:aws:sts::000000000000:assumed-role/thaw-local/operator",
        "userId": "AROATHAWLOCALOPERATOR:operator",
    }});
    assert_eq!(event["requestContext"]["authorizer"], expected);
    // As the functions read it.
    let read: aws_lambda_events::apigw::ApiGatewayV2httpRequest = serde_json::from_value(event).unwrap();
    let iam = read.request_context.authorizer.unwrap().iam.unwrap();
    assert_eq!(iam.user_arn.as_deref(), Some("arn:aws:sts::000000000000:assumed-role/thaw-local/operator"));
}

#[tokio::test]
async fn a_request_without_the_right_signature_is_forbidden_and_never_reaches_the_function() {
    let (gateway, operator) = signed_gateway().await;
    let good = signer(&operator);
    let late = Signer { at: good.at - Duration::from_secs(600), ..good.clone() };
    let early = Signer { at: good.at + Duration::from_secs(600), ..good.clone() };
    let unknown = signer(&LocalCredentials::generate().unwrap());
    let mut wrong = good.clone();
    wrong.credentials.secret_access_key = "wrong".into();
    let permanent = Signer { credentials: LocalCredentials { session_token: None, ..operator.clone() }, ..good.clone() };
    let elsewhere = Signer { region: "us-east-1", ..good.clone() };
    let for_another = Signer { service: "rds-db", ..good.clone() };
    let bad = [
        ("late", late),
        ("early", early),
        ("unknown", unknown),
        ("wrong", wrong),
        ("permanent", permanent),
        ("region", elsewhere),
        ("service", for_another),
    ];
    for (case, signer) in bad {
        send_signed(&gateway, &signer, "POST", "/models", "{}", "{}").await.assert_refused(403, "Forbidden", case);
    }
    send_signed(&gateway, &good, "POST", "/models", "{}", "{ }").await.assert_refused(403, "Forbidden", "another body");
    send_signed(&gateway, &good, "POST", "/models", "", "{}").await.assert_refused(403, "Forbidden", "a body");
    for (case, header) in [("nothing", ""), ("garbage", "AWS4-HMAC-SHA256 garbage"), ("basic", "Basic dXNlcjpwYXNz")] {
        gateway.get_with("/models", &[("authorization", header)]).await.assert_refused(403, "Forbidden", case);
    }
    let token = ISSUER.token("user-1", "thaw", Duration::from_secs(60)).unwrap();
    gateway.get_with("/models", &[("authorization", &format!("Bearer {token}"))]).await.assert_refused(403, "Forbidden", "a token");
    let unsigned = gateway.get("/models").await;
    unsigned.assert_refused(403, "Forbidden", "no header");
    assert_eq!(unsigned.header("www-authenticate"), None);
    assert!(gateway.events().is_empty());
    assert_eq!(send_signed(&gateway, &good, "GET", "/models", "", "").await.status, 200, "the credentials are still good");
}

#[tokio::test]
async fn a_large_body_is_refused_for_its_signature_first() {
    let (gateway, _) = signed_gateway().await;
    let body = vec![b'a'; super::super::limits::BODY_LIMIT_BYTES + 1];
    gateway.send(request("POST", "/models", &[], body)).await.assert_refused(403, "Forbidden", "large body");
    assert!(gateway.events().is_empty());
}

#[tokio::test]
async fn authorizer_speaks_before_the_body_is_measured_and_after_the_route() {
    let gateway = TestGateway::start(vec![Route { method: "POST".into(), ..jwt_route("/mine", &[]) }]).await;
    let body = vec![b'a'; super::super::limits::BODY_LIMIT_BYTES + 1];
    gateway.send(request("POST", "/mine", &[], body)).await.assert_refused(401, "Unauthorized", "large body");
    gateway.send(request("PUT", "/mine", &[], "")).await.assert_refused(404, "Not Found", "unknown method");
}
