use super::*;

/// A connection that was closed without an answer.
const CLOSED: &str = "nothing";

/// Refused by the HTTP server in the middle of the head. What the client still sends may reset the connection before it sees the answer.
const TOO_LARGE: &str = "HTTP/1.1 431";

/// What a client may send by mistake or on purpose, and how the answer begins.
#[tokio::test]
async fn hostile_requests_are_answered_and_harm_nothing() {
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a/".repeat(4_000));
    let huge_head = format!("GET /models HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(2_000_000));
    let many_headers = format!("GET /models HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    let deep_json = format!("POST /models HTTP/1.1\r\nhost: a\r\ncontent-length: 9000\r\n\r\n{}", "[".repeat(9_000));
    let cases: [(&str, &[u8], &str); 33] = [
        ("empty lines first", b"\r\n\r\n", "HTTP/1.1 404"),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "HTTP/1.1 400"),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CLOSED),
        ("HTTP/0.9", b"GET /models\r\n\r\n", "HTTP/1.1 400"),
        ("HTTP/1.0", b"GET /models HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
        ("no host", b"GET /models HTTP/1.1\r\n\r\n", "HTTP/1.1 200"),
        ("absolute form", b"GET http://x.example/models HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200"),
        ("asterisk form", b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 404"),
        ("tunnel", b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 404"),
        ("upgrade", b"GET /models HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", "HTTP/1.1 200"),
        ("no path", b"GET ?a HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 400"),
        ("double slash", b"GET //models HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 404"),
        ("dot segments", b"GET /models/../../etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 404"),
        ("encoded dot segments", b"GET /models/%2e%2e HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200"),
        ("broken escape", b"GET /models/%2 HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 400"),
        ("escape of no UTF-8", b"GET /models/%FF HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 400"),
        ("raw bytes in the path", b"GET /models/\xff HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 400"),
        ("zero byte", b"GET /models/%00 HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200"),
        ("query of escapes", b"GET /models?%=%zz&&&==&%00=%FF HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200"),
        ("header of no UTF-8", b"GET /models HTTP/1.1\r\nhost: a\r\nx: \xff\xfe\r\ncookie: \xff\r\n\r\n", "HTTP/1.1 200"),
        ("token of no UTF-8", b"GET /mine HTTP/1.1\r\nhost: a\r\nauthorization: Bearer \xff.\xff.\xff\r\n\r\n", "HTTP/1.1 401"),
        ("two tokens", b"GET /mine HTTP/1.1\r\nhost: a\r\nauthorization: a.b.c\r\nauthorization: a.b.c\r\n\r\n", "HTTP/1.1 401"),
        ("header name with a space", b"GET /models HTTP/1.1\r\nbad name: a\r\n\r\n", "HTTP/1.1 400"),
        ("folded header", b"GET /models HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n", "HTTP/1.1 400"),
        ("two lengths", b"POST /models HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "HTTP/1.1 400"),
        ("negative length", b"POST /models HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", "HTTP/1.1 400"),
        ("broken chunk", b"POST /models HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400"),
        ("unknown coding", b"POST /models HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", "HTTP/1.1 400"),
        ("odd cookies", b"GET /models HTTP/1.1\r\nhost: a\r\ncookie: ;;=; a\r\ncookie:\r\n\r\n", "HTTP/1.1 200"),
        ("long path", long_path.as_bytes(), "HTTP/1.1 404"),
        ("huge header", huge_head.as_bytes(), TOO_LARGE),
        ("thousands of headers", many_headers.as_bytes(), TOO_LARGE),
        ("deep JSON", deep_json.as_bytes(), "HTTP/1.1 200"),
    ];
    let mut routes = open_routes();
    routes.push(jwt_route("/mine", &[]));
    let gateway = TestGateway::start(routes).await;
    let mut failed = Vec::new();
    for (case, bytes, expected) in cases {
        let mut bytes = bytes.to_vec();
        // A second request asks for the end of the connection, where the first one leaves it open.
        bytes.extend_from_slice(b"GET /unknown HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = gateway.send_raw(&bytes, "\u{0}").await;
        let begins = if answer.is_empty() { CLOSED } else { &answer };
        let is_fine = begins.starts_with(expected) || (expected == TOO_LARGE && begins == CLOSED);
        if !is_fine {
            failed.push(format!("{case}: {answer}"));
        }
        assert_eq!(gateway.get("/models").await.status, 200, "after {case}");
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test]
async fn random_bytes_harm_nothing() {
    let gateway = TestGateway::start(open_routes()).await;
    let mut random = fastrand::Rng::with_seed(2);
    let shapes: [(&[u8], &[u8]); 4] = [
        (b"", b"\r\n\r\n"),
        (b"GET /models", b" HTTP/1.1\r\nconnection: close\r\n\r\n"),
        (b"GET /models HTTP/1.1\r\nconnection: close\r\nauthorization: ", b"\r\n\r\n"),
        (b"POST /models HTTP/1.1\r\nconnection: close\r\ncontent-length: 40\r\n\r\n", b""),
    ];
    for round in 0..200 {
        let (before, after) = shapes[round % shapes.len()];
        let noise: Vec<u8> = (0..40).map(|_| random.u8(..)).collect();
        let answer = gateway.send_raw(&[before, &noise, after, b"\r\n\r\n"].concat(), "HTTP/1.1").await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 "), "{noise:?}: {answer}");
    }
    assert_eq!(gateway.get("/models").await.status, 200);
}
