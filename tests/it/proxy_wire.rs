//! The stand-in for RDS Proxy, message by message: what begins a session, what is refused, and statements that follow their client.

use local::wire::{Frame, Target};
use tests::raw_client::{RawClient, bind, errors, execute, kinds, parse, startup_packet, sync, token, values};
use tests::{Api, Database, Options, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A stand-in with this many database connections.
pub(crate) async fn stand_in(connections: usize) -> (Database, Api) {
    let database = Database::seeded().await;
    let settings = local::proxy::Settings { connections, ..local::proxy::Settings::default() };
    let api = Api::with(&database, Options { proxy: Some(settings), ..Options::default() }).await;
    (database, api)
}

/// Runs the statement of this number, which is prepared first where it is `new`.
pub(crate) async fn prepared(client: &mut RawClient, number: usize, sql: &str, new: bool) -> Vec<Frame> {
    let name = format!("s{number}");
    if new {
        client.run(&[parse(&name, sql), sync()]).await;
    }
    client.run(&[bind(&name), execute(), sync()]).await
}

async fn first_error(client: &mut RawClient) -> (String, String) {
    let frame = client.next().await;
    let error = errors(&[frame]).remove(0);
    (error.sqlstate, error.message)
}

#[tokio::test]
async fn startup_options_and_unknown_parameters_are_refused_in_rds_proxys_words() {
    let (_database, api) = stand_in(2).await;
    let cases = [
        (("options", "-c statement_timeout=1"), "Feature not supported: RDS Proxy currently doesn’t support command-line options."),
        (("search_path", "x"), "Feature not supported: RDS Proxy currently doesn’t support the option search_path."),
        (("replication", "true"), "Feature not supported: RDS Proxy currently doesn’t support the option replication."),
    ];
    for (parameter, text) in cases {
        let mut client = RawClient::encrypted(api.proxy()).await;
        client.send_bytes(&startup_packet(0, &[("user", "thaw_app"), parameter])).await;
        assert_eq!(first_error(&mut client).await, ("0A000".to_owned(), text.to_owned()));
        assert!(client.is_closed().await);
    }
    api.stop().await;
}

#[tokio::test]
async fn without_tls_or_with_a_wrong_token_nobody_signs_in() {
    let (_database, api) = stand_in(2).await;
    let mut plain = TcpStream::connect(api.proxy().address()).await.unwrap();
    plain.write_all(&startup_packet(0, &[("user", "thaw_app")])).await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("28000") && answer.contains("requires TLS"), "{answer:?}");

    let right = token(api.proxy(), "thaw_app", std::time::SystemTime::now());
    let old = token(api.proxy(), "thaw_app", std::time::SystemTime::now() - std::time::Duration::from_secs(901));
    // Both roles may sign in here, each with a token of its own.
    let of_ops = token(api.proxy(), "thaw_ops", std::time::SystemTime::now());
    let wrong = [("thaw_app", "secret".to_owned()), ("thaw_app", old), ("thaw_app", of_ops), ("thaw_ops", right.clone())];
    for (user, password) in wrong.into_iter().chain([("thaw_app", format!("{right}0"))]) {
        let mut client = RawClient::encrypted(api.proxy()).await;
        client.send_bytes(&startup_packet(0, &[("user", user), ("database", "thaw")])).await;
        assert_eq!(client.next().await.kind(), b'R');
        client.send(&[Frame::new(b'p', &[password.as_bytes(), b"\0"].concat())]).await;
        let (sqlstate, text) = first_error(&mut client).await;
        assert_eq!(sqlstate, local::proxy::iam::SQLSTATE);
        assert!(text.contains("The IAM authentication failed for the role"), "{text}");
        assert!(client.is_closed().await);
    }
    api.stop().await;
}

#[tokio::test]
async fn a_request_to_cancel_is_ignored_and_a_newer_protocol_is_negotiated_down() {
    let (_database, api) = stand_in(2).await;
    let mut client = RawClient::signed_in(api.proxy(), &[]).await;
    let mut cancel = TcpStream::connect(api.proxy().address()).await.unwrap();
    cancel.write_all(&[0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 1]).await.unwrap();
    assert_eq!(cancel.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(values(&client.query("select 7").await), ["7"]);

    let mut newer = RawClient::encrypted(api.proxy()).await;
    newer.send_bytes(&startup_packet(2, &[("user", "thaw_app"), ("_pq_.hello", "1")])).await;
    let negotiation = newer.next().await;
    assert_eq!((negotiation.kind(), negotiation.body()), (b'v', &b"\0\0\0\0\0\0\0\x01_pq_.hello\0"[..]));
    api.stop().await;
}

#[tokio::test]
async fn a_named_statement_follows_its_client_from_connection_to_connection() {
    let (_database, api) = stand_in(2).await;
    let (mut one, mut two) = (RawClient::signed_in(api.proxy(), &[]).await, RawClient::signed_in(api.proxy(), &[]).await);
    // The same name for different texts, as every driver that counts its statements does.
    let answers = one.run(&[parse("s1", "select 'one'"), sync()]).await;
    assert_eq!(kinds(&answers), "1Z");
    two.run(&[parse("s1", "select 'two'"), sync()]).await;
    // Another client in a transaction takes one of the two connections away, in turn each.
    let mut holder = RawClient::signed_in(api.proxy(), &[]).await;
    for _ in 0..20 {
        holder.query("begin").await;
        for (client, expected) in [(&mut one, "one"), (&mut two, "two")] {
            let answers = client.run(&[bind("s1"), execute(), sync()]).await;
            assert_eq!((kinds(&answers).as_str(), values(&answers)), ("2DCZ", vec![expected.to_owned()]), "{:?}", errors(&answers));
        }
        assert_eq!(api.proxy().report().borrowed, 1);
        holder.query("commit").await;
    }
    api.stop().await;
}

#[tokio::test]
async fn the_unnamed_statement_stays_its_clients_own_also_where_a_sync_parts_parse_and_bind() {
    let (_database, api) = stand_in(1).await;
    let (mut one, mut two) = (RawClient::signed_in(api.proxy(), &[]).await, RawClient::signed_in(api.proxy(), &[]).await);
    for _ in 0..10 {
        one.run(&[parse("", "select 'one'"), sync()]).await;
        two.run(&[parse("", "select 'two'"), sync()]).await;
        assert_eq!(values(&one.run(&[bind(""), execute(), sync()]).await), ["one"]);
        assert_eq!(values(&two.run(&[bind(""), execute(), sync()]).await), ["two"]);
    }
    let mut three = RawClient::signed_in(api.proxy(), &[]).await;
    let answers = three.run(&[bind(""), execute(), sync()]).await;
    assert_eq!((errors(&answers)[0].sqlstate.as_str(), values(&answers).len()), ("26000", 0), "nobody gets another's statement");
    api.stop().await;
}

#[tokio::test]
async fn prepared_statements_answer_as_on_a_connection_of_ones_own() {
    let (_database, api) = stand_in(1).await;
    let mut client = RawClient::signed_in(api.proxy(), &[]).await;
    let state = |answers: &[Frame]| errors(answers).first().map(|error| error.sqlstate.clone());
    client.run(&[parse("s1", "select 1"), sync()]).await;
    let twice = client.run(&[parse("s1", "select 2"), sync()]).await;
    assert_eq!(state(&twice).as_deref(), Some("42P05"), "a name that is taken");
    assert_eq!(values(&client.run(&[bind("s1"), execute(), sync()]).await), ["1"], "and the first statement stays");
    let described = client.run(&[Target::Statement(b"s1").frame(b'D'), sync()]).await;
    assert_eq!(kinds(&described), "tTZ");
    let closed = client.run(&[Target::Statement(b"s1").frame(b'C'), sync()]).await;
    assert_eq!(kinds(&closed), "3Z");
    assert_eq!(state(&client.run(&[bind("s1"), execute(), sync()]).await).as_deref(), Some("26000"), "closed");
    // A name is free again, and the same text, which the database has already, is answered as if it were new.
    assert_eq!(kinds(&client.run(&[parse("s1", "select 1"), bind("s1"), execute(), sync()]).await), "12DCZ");
    let wrong = client.run(&[parse("s2", "selec"), bind("s2"), execute(), sync()]).await;
    assert_eq!((kinds(&wrong).as_str(), state(&wrong).as_deref()), ("EZ", Some("42601")));
    assert_eq!(state(&client.run(&[bind("s2"), execute(), sync()]).await).as_deref(), Some("26000"), "what was wrong is not there");
    assert_eq!(kinds(&client.run(&[parse("s2", "select 3"), bind("s2"), execute(), sync()]).await), "12DCZ");
    api.stop().await;
}

#[tokio::test]
async fn a_pipeline_of_many_statements_is_answered_in_order() {
    let (_database, api) = stand_in(2).await;
    let mut client = RawClient::signed_in(api.proxy(), &[]).await;
    let mut pipeline = Vec::new();
    for number in 0..600 {
        let name = format!("s{number}");
        pipeline.extend([parse(&name, &format!("select {number}")), bind(&name), execute(), sync()]);
    }
    client.send(&pipeline).await;
    for number in 0..600 {
        let answers = client.until_ready().await;
        assert_eq!((kinds(&answers).as_str(), values(&answers)), ("12DCZ", vec![number.to_string()]));
    }
    // More than a database connection keeps: the oldest were closed there and come back when they are used.
    for number in [0, 599, 1, 300] {
        assert_eq!(values(&client.run(&[bind(&format!("s{number}")), execute(), sync()]).await), [number.to_string()]);
    }
    api.stop().await;
}

#[tokio::test]
async fn malformed_messages_end_their_client_with_a_clear_error_and_no_other() {
    let (_database, api) = stand_in(2).await;
    let mut other = RawClient::signed_in(api.proxy(), &[]).await;
    let cases: [(&[u8], &str); 8] = [
        (b"Q\0\0\0\x03", "08P01"),
        (b"Q\x3f\xff\xff\xff", "54000"),
        (b"Q\xff\xff\xff\xff", "54000"),
        (b"Q\0\0\0\x0cselect 1", "08P01"),
        (b"P\0\0\0\x08abcd", "08P01"),
        (b"B\0\0\0\x08abcd", "08P01"),
        (b"D\0\0\0\x07Xa\0", "08P01"),
        (b"\0\0\0\0\x04", "08P01"),
    ];
    for (bytes, sqlstate) in cases {
        let mut client = RawClient::signed_in(api.proxy(), &[]).await;
        client.send_bytes(bytes).await;
        assert_eq!(first_error(&mut client).await.0, sqlstate, "{bytes:?}");
        assert!(client.is_closed().await);
        assert_eq!(values(&other.query("select 7").await), ["7"]);
    }
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0, 0, 4], &[0x16, 3, 1, 0, 5, 1, 0, 0], &[0xff; 64]] {
        let mut client = TcpStream::connect(api.proxy().address()).await.unwrap();
        client.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        drop(client.read_to_end(&mut answer).await);
        assert!(String::from_utf8_lossy(&answer).contains("08P01"), "{garbage:?}: {answer:?}");
    }
    drop(other);
    eventually("every client is gone", async || api.proxy().report().clients == 0).await;
    api.stop().await;
}
