use super::super::limits::{BODY_LIMIT_BYTES, EVENT_LIMIT_BYTES};
use super::*;

const TEXT: (&str, &str) = ("content-type", "text/plain");

#[tokio::test]
async fn body_over_ten_megabytes_is_refused() {
    let gateway = TestGateway::start(open_routes()).await;
    let answer = gateway.send(request("POST", "/models", &[TEXT], vec![b'a'; BODY_LIMIT_BYTES + 1])).await;
    answer.assert_refused(413, "Request Entity Too Large", "one byte over");
    assert!(gateway.events().is_empty());
}

#[tokio::test]
async fn client_that_sends_everything_first_sees_the_refusal() {
    let gateway = TestGateway::start(open_routes()).await;
    for (method, status) in [("POST", "413"), ("PUT", "404")] {
        let length_bytes = BODY_LIMIT_BYTES + 1;
        let mut bytes = format!("{method} /models HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length_bytes}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + length_bytes, b'a');
        let answer = gateway.send_raw(&bytes, "}").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method}: {answer}");
    }
}

#[tokio::test]
async fn event_over_lambdas_limit_is_refused() {
    let gateway = TestGateway::start(open_routes()).await;
    // What an event needs beside its body is under 2 kB.
    for (body_bytes, status) in [(EVENT_LIMIT_BYTES - 2_000, 200), (EVENT_LIMIT_BYTES, 413), (BODY_LIMIT_BYTES, 413)] {
        let answer = gateway.send(request("POST", "/models", &[TEXT], vec![b'a'; body_bytes])).await;
        assert_eq!(answer.status, status, "{body_bytes}");
    }
    assert_eq!(gateway.events().len(), 1);
    // Base64 makes a third more of it.
    let answer = gateway.send(request("POST", "/models", &[], vec![b'a'; 5_000_000])).await;
    answer.assert_refused(413, "Request Entity Too Large", "binary");
}

#[tokio::test]
async fn announced_length_over_the_limit_is_refused_without_reading() {
    let gateway = TestGateway::start(open_routes()).await;
    let head = "POST /models HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999\r\nexpect: 100-continue\r\n\r\n";
    let answer = gateway.send_raw(head.as_bytes(), "}").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(!answer.contains("100 Continue"), "{answer}");
}

#[tokio::test]
async fn endless_chunked_body_is_cut_off() {
    let gateway = TestGateway::start(open_routes()).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(b"POST /models HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    let mut chunk = b"100000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x10_0000, b'a');
    chunk.extend_from_slice(b"\r\n");
    let flood = async {
        let mut sent_chunks = 0;
        while stream.write_all(&chunk).await.is_ok() {
            sent_chunks += 1;
        }
        sent_chunks
    };
    let sent_chunks = tokio::time::timeout(PATIENCE, flood).await.expect("the gateway reads without end");
    // Limit, what is thrown away, and the socket's buffers.
    assert!((10..60).contains(&sent_chunks), "{sent_chunks} MiB");
    assert!(gateway.events().is_empty());
}

#[tokio::test]
async fn request_line_and_header_values_share_their_quota() {
    let gateway = TestGateway::start(open_routes()).await;
    let long = "a".repeat(10_240);
    let half = "a".repeat(5_120);
    let fitting = "a".repeat(10_000);
    gateway.get_with("/models", &[("x-long", &long)]).await.assert_refused(431, "Request Header Fields Too Large", "one header");
    gateway.get(&format!("/models?{long}")).await.assert_refused(431, "Request Header Fields Too Large", "query");
    let both = gateway.get_with(&format!("/unknown?{half}"), &[("x-half", &half)]).await;
    both.assert_refused(431, "Request Header Fields Too Large", "together, and before the route is looked for");
    assert_eq!(gateway.get_with("/models", &[("x-long", &fitting)]).await.status, 200);
    assert_eq!(gateway.events().len(), 1);
}

#[tokio::test]
async fn several_hundred_small_headers_are_fine() {
    let gateway = TestGateway::start(open_routes()).await;
    let names: Vec<_> = (0..500).map(|number| format!("x-{number}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(gateway.get_with("/models", &headers).await.status, 200);
}
