use super::*;

#[tokio::test]
async fn invocation_outlives_its_client() {
    let gateway = TestGateway::start(open_routes()).await;
    gateway.function.permits.forget_permits(Semaphore::MAX_PERMITS);
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(b"GET /models HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    gateway.wait_for_starts(1).await;
    drop(stream);
    // The gateway has noticed once it serves the next connection that came after the close.
    gateway.get("/unknown").await;
    gateway.function.permits.add_permits(1);
    gateway.wait_for_finishes(1).await;
}

#[tokio::test]
async fn slow_function_is_given_up_on_and_runs_on() {
    let settings = Settings { integration_timeout: Duration::from_millis(50), ..settings() };
    let gateway = TestGateway::start_with(open_routes(), settings, |_| succeed("{}")).await;
    gateway.function.permits.forget_permits(Semaphore::MAX_PERMITS);
    gateway.get("/models").await.assert_refused(503, "Service Unavailable", "timeout");
    gateway.function.permits.add_permits(1);
    gateway.wait_for_finishes(1).await;
}

#[tokio::test]
async fn requests_wait_for_nothing_but_the_function() {
    let gateway = TestGateway::start(open_routes()).await;
    gateway.function.permits.forget_permits(Semaphore::MAX_PERMITS);
    let requests: Vec<_> = (0..50).map(|number| format!("/models/{number}")).collect();
    let gateway = Arc::new(gateway);
    let answers: Vec<_> = requests
        .into_iter()
        .map(|target| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { gateway.get(&target).await.status })
        })
        .collect();
    gateway.wait_for_starts(50).await; // all at once: none has been answered
    gateway.function.permits.add_permits(50);
    for answer in answers {
        assert_eq!(answer.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn open_request_is_answered_when_the_gateway_stops() {
    let mut gateway = TestGateway::start(open_routes()).await;
    gateway.function.permits.forget_permits(Semaphore::MAX_PERMITS);
    let mut idle = gateway.connect().await;
    assert_eq!(exchange(&mut idle, request("GET", "/unknown", &[], "")).await.status, 404);
    let mut open = gateway.connect().await;
    let answer = tokio::spawn(async move { exchange(&mut open, request("GET", "/models", &[], "")).await.status });
    gateway.wait_for_starts(1).await;
    gateway.stop.take().unwrap().send(()).unwrap();
    let refused = async {
        while TcpStream::connect(gateway.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the gateway still listens");
    gateway.function.permits.add_permits(1);
    assert_eq!(answer.await.unwrap(), 200);
    tokio::time::timeout(PATIENCE, gateway.serving).await.expect("the gateway does not stop").unwrap();
}

#[tokio::test]
async fn gateway_stops_in_spite_of_a_request_that_never_ends() {
    let settings = Settings { shutdown_grace: Duration::from_millis(50), ..settings() };
    let mut gateway = TestGateway::start_with(open_routes(), settings, |_| succeed("{}")).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(b"POST /models HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab").await.unwrap();
    gateway.get("/models").await;
    gateway.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(PATIENCE, gateway.serving).await.expect("the gateway does not stop").unwrap();
}
