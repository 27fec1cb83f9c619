use super::*;
use crate::template::Cors;

const PAGE: &str = "https://shop.example.com";

fn cors(allow_origins: &[&str]) -> Cors {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Cors {
        allow_origins: owned(allow_origins),
        allow_methods: owned(&["GET", "POST"]),
        allow_headers: owned(&["authorization", "if-match"]),
        expose_headers: owned(&["etag", "location"]),
        max_age_s: Some(600),
        allow_credentials: false,
    }
}

async fn gateway(cors: Option<Cors>) -> TestGateway {
    let mut routes = open_routes();
    routes.push(jwt_route("/mine", &[]));
    let payload =
        r#"{"statusCode": 200, "headers": {"access-control-allow-origin": "https://evil.example", "access-control-max-age": "1"}, "body": "x"}"#;
    TestGateway::start_with(routes, Settings { cors, ..settings() }, |_| succeed(payload)).await
}

/// The headers of CORS in an answer, in order.
fn permissions(answer: &Answer) -> Vec<String> {
    let headers = answer.headers.iter().filter_map(|(name, value)| Some((name.as_str().strip_prefix("access-control-")?, value)));
    let mut found: Vec<_> = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    found.sort();
    found
}

async fn preflight(gateway: &TestGateway, target: &str, origin: &str) -> Answer {
    gateway.send(request("OPTIONS", target, &[("origin", origin), ("access-control-request-method", "POST")], "")).await
}

#[tokio::test]
async fn the_gateway_answers_a_preflight_itself_whatever_routes_and_authorizers_there_are() {
    let gateway = gateway(Some(cors(&["https://other.example", PAGE]))).await;
    let permitted = ["allow-headers: authorization,if-match", "allow-methods: GET,POST", &format!("allow-origin: {PAGE}"), "max-age: 600"];
    for target in ["/models", "/mine", "/unknown", "/files/x"] {
        let answer = preflight(&gateway, target, PAGE).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{target}");
        assert_eq!(permissions(&answer), permitted, "{target}");
        assert!(answer.header("apigw-requestid").is_some());
    }
    assert!(gateway.events().is_empty(), "no function was asked");
}

#[tokio::test]
async fn an_origin_is_permitted_only_where_it_is_listed() {
    let cases = [
        (&["*"][..], PAGE, Some("*")),
        (&[PAGE], PAGE, Some(PAGE)),
        (&["https://*"], PAGE, Some(PAGE)),
        (&["http://*"], "http://localhost:5173", Some("http://localhost:5173")),
        (&["http://*"], PAGE, None),
        (&[PAGE], "https://shop.example.com.evil.example", None),
        (&[PAGE], "https://shop.example.com:444", None),
        (&[PAGE], "http://shop.example.com", None),
        (&[PAGE], "null", None),
        (&["https://*.example.com"], PAGE, None),
        (&[], PAGE, None),
    ];
    for (allowed, origin, expected) in cases {
        let gateway = gateway(Some(cors(allowed))).await;
        let answer = preflight(&gateway, "/models", origin).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, expected), "{allowed:?} {origin}");
        let answer = gateway.get_with("/models", &[("origin", origin)]).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, expected), "{allowed:?} {origin}");
        assert_eq!(expected.is_none(), permissions(&answer).is_empty(), "{allowed:?} {origin}");
    }
}

#[tokio::test]
async fn a_response_gets_the_headers_of_the_configuration_in_place_of_the_functions() {
    let gateway = gateway(Some(cors(&[PAGE]))).await;
    let answer = gateway.get_with("/models", &[("origin", PAGE)]).await;
    assert_eq!(permissions(&answer), [&format!("allow-origin: {PAGE}"), "expose-headers: etag,location"]);
    // Without an origin it is no request of another origin's page.
    assert_eq!(permissions(&gateway.get("/models").await), [""; 0]);
    let credentials = Cors { allow_credentials: true, ..cors(&[PAGE]) };
    let gateway = self::gateway(Some(credentials)).await;
    assert_eq!(preflight(&gateway, "/models", PAGE).await.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(gateway.get_with("/models", &[("origin", PAGE)]).await.header("access-control-allow-credentials"), Some("true"));
}

#[tokio::test]
async fn without_a_configuration_options_is_a_method_like_any_other() {
    let gateway = gateway(None).await;
    preflight(&gateway, "/models", PAGE).await.assert_refused(404, "Not Found", "no route");
    assert_eq!(preflight(&gateway, "/files/x", PAGE).await.status, 200);
    // What a function says is passed on.
    let answer = gateway.get_with("/models", &[("origin", PAGE)]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://evil.example"));
}

#[tokio::test]
async fn options_that_is_no_preflight_goes_to_its_route() {
    let gateway = gateway(Some(cors(&["*"]))).await;
    for headers in [&[][..], &[("origin", PAGE)], &[("access-control-request-method", "GET")]] {
        gateway.send(request("OPTIONS", "/models", headers, "")).await.assert_refused(404, "Not Found", &format!("{headers:?}"));
        assert_eq!(gateway.send(request("OPTIONS", "/files/x", headers, "")).await.status, 200, "{headers:?}");
    }
}
