use super::*;

fn refusal(routes: Vec<Route>, settings: Settings) -> String {
    let function = Arc::new(Scripted {
        script: Box::new(|_| succeed("{}")),
        permits: Semaphore::new(0),
        started: Mutex::default(),
        finished: watch::Sender::new(0),
    });
    Gateway::new(routes, function, settings).err().unwrap().to_string()
}

#[test]
fn authorizer_of_a_foreign_issuer_is_refused_at_the_start() {
    let mut route = jwt_route("/mine", &[]);
    if let Authorization::Jwt(authorizer) = &mut route.authorization {
        authorizer.issuer = "https://login.example".into();
    }
    let message = refusal(vec![route], settings());
    for part in ["Users", "GET /mine", "https://login.example", ISSUER_URL] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn authorizer_without_issuer_or_audience_is_refused_at_the_start() {
    let message = refusal(vec![jwt_route("/mine", &[])], Settings::default());
    assert!(message.contains("no issuer is served here"), "{message}");
    let mut route = jwt_route("/mine", &[]);
    if let Authorization::Jwt(authorizer) = &mut route.authorization {
        authorizer.audience.clear();
    }
    let message = refusal(vec![route], settings());
    assert!(message.contains("accepts no audience"), "{message}");
}

#[test]
fn a_route_that_asks_for_a_signature_is_refused_where_nobody_can_give_one() {
    let message = refusal(vec![Route { authorization: Authorization::Iam, ..open_routes().remove(0) }], settings());
    for part in ["GET /models", "AWS_IAM", "no credentials are known"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[tokio::test]
async fn issuer_publishes_its_key_where_its_tokens_point() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let issuer = Issuer::load_or_create(directory.path(), format!("http://{address}")).unwrap();
    let serving = tokio::spawn(axum::serve(listener, issuer.router()).into_future());
    let get = async |path: &str| {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let answer = exchange(&mut sender, request("GET", path, &[], "")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{path}");
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    let configuration = get("/.well-known/openid-configuration").await;
    assert_eq!(configuration["issuer"], issuer.url());
    let keys_path = configuration["jwks_uri"].as_str().unwrap().strip_prefix(issuer.url()).unwrap().to_owned();
    assert_eq!(get(&keys_path).await, issuer.jwks());
    serving.abort();
}
