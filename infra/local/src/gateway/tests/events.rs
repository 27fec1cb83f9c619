use std::time::{SystemTime, UNIX_EPOCH};

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;

use super::*;

#[tokio::test]
async fn event_is_what_aws_lambda_events_expects() {
    let gateway = TestGateway::start(open_routes()).await;
    let headers = [
        ("user-agent", "test/1"),
        ("content-type", "application/json"),
        ("X-Probe", "first"),
        ("x-probe", "second"),
        ("cookie", "session=abc; theme=dark"),
        ("cookie", "third=3"),
        ("x-forwarded-for", "203.0.113.9"),
        ("connection", "keep-alive"),
    ];
    let before_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let target = "/files/a%20b/%C3%BC?limit=10&tag=a%2Cb&tag=c+d&empty=";
    let answer = gateway.send(request("PUT", target, &headers, r#"{"title": "Grüße"}"#)).await;
    assert_eq!(answer.status, 200);

    let json = gateway.event();
    let event: ApiGatewayV2httpRequest = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(event.version.as_deref(), Some("2.0"));
    assert_eq!(event.route_key.as_deref(), Some("ANY /files/{path+}"));
    assert_eq!(event.raw_path.as_deref(), Some("/files/a b/ü"));
    assert_eq!(event.raw_query_string.as_deref(), Some("limit=10&tag=a%2Cb&tag=c+d&empty="));
    assert_eq!(event.cookies.unwrap(), ["session=abc", "theme=dark", "third=3"]);
    assert_eq!(event.path_parameters["path"], "a b/ü");
    assert_eq!(json["queryStringParameters"], json!({"limit": "10", "tag": "a,b,c d", "empty": ""}));
    assert_eq!(event.body.as_deref(), Some(r#"{"title": "Grüße"}"#));
    assert!(!event.is_base64_encoded);

    let header = |name: &str| event.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    assert_eq!(header("x-probe"), "first,second");
    assert_eq!(header("x-forwarded-for"), "203.0.113.9, 127.0.0.1");
    assert_eq!(header("x-forwarded-port"), gateway.address.port().to_string());
    assert_eq!(header("x-forwarded-proto"), "http");
    assert_eq!(header("host"), "api.example:3000");
    assert_eq!(header("content-length"), r#"{"title": "Grüße"}"#.len().to_string());
    assert!(header("x-amzn-trace-id").starts_with("Root=1-"));
    assert!(event.headers.get("cookie").is_none() && event.headers.get("connection").is_none());

    let context = event.request_context;
    assert_eq!(context.route_key.as_deref(), Some("ANY /files/{path+}"));
    assert_eq!(context.account_id.as_deref(), Some("000000000000"));
    assert_eq!(context.apiid.as_deref(), Some("local"));
    assert_eq!(context.stage.as_deref(), Some("$default"));
    assert_eq!(context.domain_name.as_deref(), Some("api.example"));
    assert_eq!(context.domain_prefix.as_deref(), Some("api"));
    assert_eq!(context.request_id.as_deref(), answer.header("apigw-requestid"));
    assert_eq!(context.http.method, "PUT");
    assert_eq!(context.http.path.as_deref(), Some("/files/a b/ü"));
    assert_eq!(context.http.protocol.as_deref(), Some("HTTP/1.1"));
    assert_eq!(context.http.source_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(context.http.user_agent.as_deref(), Some("test/1"));
    assert!(context.time.unwrap().ends_with(" +0000"));
    assert!(context.time_epoch >= before_ms, "{} is before {before_ms}", context.time_epoch);
    assert!(context.authorizer.is_none() && context.authentication.is_none());
}

#[tokio::test]
async fn what_a_request_lacks_is_not_in_its_event() {
    let gateway = TestGateway::start(open_routes()).await;
    gateway.get("/models").await;
    let event = gateway.event();
    for name in ["cookies", "queryStringParameters", "pathParameters", "body", "stageVariables"] {
        assert!(event.get(name).is_none(), "{name}: {event}");
    }
    assert!(event["requestContext"].get("authorizer").is_none(), "{event}");
    assert_eq!(event["rawQueryString"], "");
    assert_eq!(event["isBase64Encoded"], false);
    assert_eq!(event["headers"]["content-length"], "0");
    assert_eq!(event["requestContext"]["http"]["userAgent"], "");
    let typed: ApiGatewayV2httpRequest = serde_json::from_value(event).unwrap();
    assert!(typed.body.is_none() && typed.query_string_parameters.is_empty());
}

#[tokio::test]
async fn binary_body_comes_as_base64() {
    let gateway = TestGateway::start(open_routes()).await;
    gateway.send(request("POST", "/models", &[("content-type", "image/png")], vec![0, 255, 1])).await;
    let event = gateway.event();
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("AP8B"), &json!(true)));
    assert_eq!(event["headers"]["content-length"], "3");
}

#[tokio::test]
async fn chunked_body_arrives_whole_and_its_framing_does_not() {
    let gateway = TestGateway::start(open_routes()).await;
    let head = "POST /models HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = gateway.send_raw(format!("{head}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").as_bytes(), "done").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let event = gateway.event();
    assert_eq!(event["body"], "abcde");
    assert_eq!(event["headers"]["content-length"], "5");
    assert!(event["headers"].get("transfer-encoding").is_none(), "{event}");
}

#[tokio::test]
async fn claims_of_the_token_are_in_the_event() {
    let gateway = TestGateway::start(vec![jwt_route("/mine", &[]), jwt_route("/scoped", &["read"])]).await;
    let token = ISSUER.token_with_scope("user-1", "thaw", Duration::from_secs(60), &["read", "write"]).unwrap();
    for target in ["/mine", "/scoped"] {
        assert_eq!(gateway.get_with(target, &[("authorization", &format!("Bearer {token}"))]).await.status, 200, "{target}");
    }
    let events = gateway.events();
    let jwt = |index: usize| &events[index].1["requestContext"]["authorizer"]["jwt"];
    assert_eq!(jwt(0)["scopes"], Value::Null);
    assert_eq!(jwt(1)["scopes"], json!(["read", "write"]));
    assert_eq!(jwt(0)["claims"]["sub"], "user-1");
    assert!(jwt(0)["claims"].as_object().unwrap().values().all(Value::is_string), "{}", jwt(0));
    let typed: ApiGatewayV2httpRequest = serde_json::from_value(events[1].1.clone()).unwrap();
    let claims = typed.request_context.authorizer.unwrap().jwt.unwrap().claims;
    assert_eq!(claims["iss"], ISSUER_URL);
}

#[tokio::test]
async fn trace_id_of_the_client_is_kept() {
    let gateway = TestGateway::start(open_routes()).await;
    gateway.get_with("/models", &[("x-amzn-trace-id", "Root=1-2-3")]).await;
    assert_eq!(gateway.event()["headers"]["x-amzn-trace-id"], "Root=1-2-3");
}
