use super::*;
use crate::invoke::{FunctionError, FunctionErrorKind};

#[tokio::test]
async fn functions_response_reaches_the_client() {
    let payload = r#"{"statusCode": 201, "headers": {"location": "/models/1"}, "cookies": ["a=1", "b=2"], "body": "{\"id\":\"1\"}"}"#;
    let gateway = TestGateway::start_with(open_routes(), settings(), |_| succeed(payload)).await;
    let answer = gateway.send(request("POST", "/models", &[], "x")).await;
    assert_eq!((answer.status, answer.body.as_str()), (201, r#"{"id":"1"}"#));
    assert_eq!(answer.header("location"), Some("/models/1"));
    assert_eq!(answer.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(answer.header("apigw-requestid").map(str::len), Some(16));
}

#[tokio::test]
async fn request_goes_to_the_function_of_its_route() {
    let gateway = TestGateway::start(open_routes()).await;
    for (method, target) in [("GET", "/models"), ("POST", "/models"), ("GET", "/models/1?x=1"), ("OPTIONS", "/files/a/b")] {
        assert_eq!(gateway.send(request(method, target, &[], "")).await.status, 200, "{method} {target}");
    }
    let functions: Vec<_> = gateway.events().into_iter().map(|(function, _)| function).collect();
    assert_eq!(functions, ["list", "create", "show", "files"]);
}

#[tokio::test]
async fn unknown_route_and_unknown_method_are_both_not_found() {
    let gateway = TestGateway::start(open_routes()).await;
    let cases = [
        ("GET", "/"),
        ("GET", "/unknown"),
        ("GET", "/models/"),
        ("DELETE", "/models"),
        ("OPTIONS", "/models"),
        ("BREW", "/models"),
        ("GET", "/models/a%2Fb"),
    ];
    for (method, target) in cases {
        let answer = gateway.send(request(method, target, &[], "")).await;
        answer.assert_refused(404, "Not Found", &format!("{method} {target}"));
        assert_eq!(answer.header("allow"), None, "{method} {target}");
    }
    let head = gateway.send(request("HEAD", "/models", &[], "")).await;
    assert_eq!((head.status, head.body.as_str()), (404, ""));
    assert!(gateway.events().is_empty());
}

#[tokio::test]
async fn failures_behind_the_gateway_tell_the_client_nothing() {
    let secret = "password=hunter2";
    let failed = move |kind| {
        let payload = json!({"errorType": "Db", "errorMessage": secret}).to_string().into();
        Ok(Outcome { request_id: "1".into(), result: Err(FunctionError { kind, payload }) })
    };
    let gateway = TestGateway::start_with(open_routes(), settings(), move |event| match event["rawQueryString"].as_str().unwrap() {
        "handled" => failed(FunctionErrorKind::Handled),
        "unhandled" => failed(FunctionErrorKind::Unhandled),
        "malformed" => succeed(&json!({"statusCode": 0, "body": secret}).to_string()),
        "unknown" => Err(InvokeError::UnknownFunction(secret.into())),
        "invalid" => Err(InvokeError::InvalidPayload(secret.into())),
        "throttled" => Err(InvokeError::TooManyRequests),
        "stopping" => Err(InvokeError::ShuttingDown),
        "panic" => panic!("a broken sandbox"),
        other => panic!("{other}"),
    })
    .await;
    let cases = [
        ("handled", 500, "Internal Server Error"),
        ("unhandled", 500, "Internal Server Error"),
        ("malformed", 500, "Internal Server Error"),
        ("unknown", 500, "Internal Server Error"),
        ("invalid", 500, "Internal Server Error"),
        ("panic", 500, "Internal Server Error"),
        ("throttled", 503, "Service Unavailable"),
        ("stopping", 503, "Service Unavailable"),
    ];
    for (query, status, message) in cases {
        gateway.get(&format!("/models?{query}")).await.assert_refused(status, message, query);
    }
}

#[tokio::test]
async fn connection_is_kept_alive_through_answers_and_refusals() {
    let gateway = TestGateway::start(open_routes()).await;
    let mut connection = gateway.connect().await;
    let mut ids = std::collections::HashSet::new();
    let cases = [
        ("GET", "/models", 0, 200),
        ("GET", "/unknown", 0, 404),
        ("POST", "/unknown", 1_000_000, 404),
        ("GET", "/models/%zz", 0, 400),
        ("GET", "/models/1", 0, 200),
    ];
    for (method, target, body_bytes, status) in cases {
        let answer = exchange(&mut connection, request(method, target, &[], vec![b'a'; body_bytes])).await;
        assert_eq!(answer.status, status, "{method} {target}");
        ids.insert(answer.header("apigw-requestid").unwrap().to_owned());
    }
    assert_eq!(ids.len(), cases.len(), "{ids:?}");
}

#[tokio::test]
async fn head_route_answers_without_a_body() {
    let route = Route { method: "HEAD".into(), ..open_routes().remove(0) };
    let gateway = TestGateway::start(vec![route]).await;
    let answer = gateway.send(request("HEAD", "/models", &[], "")).await;
    assert_eq!((answer.status, answer.body.as_str(), answer.header("content-length")), (200, "", Some("4")));
}
