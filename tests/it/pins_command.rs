//! `cargo ops pins`: what of somebody's own application would pin.

use std::net::SocketAddr;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use tests::raw_client::startup_packet;
use tests::{Cluster, Command, Database};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Starts the command on a port that is free, and tells which.
async fn start(state: &Path, url: &str, options: &[&str]) -> (Command, SocketAddr) {
    let arguments = [&["pins", "--database-url", url, "--listen", "127.0.0.1:0"], options].concat();
    let mut command = Command::start(state, &arguments, &[]).await;
    let line = command.error_line("listening on ").await;
    let address = line.trim_start_matches("listening on ").split(',').next().unwrap().parse().unwrap();
    (command, address)
}

fn through(options: PgConnectOptions, address: SocketAddr) -> PgConnectOptions {
    options.host(&address.ip().to_string()).port(address.port()).statement_cache_capacity(100)
}

/// The lines of the report, without its last, and the last.
async fn report(command: Command) -> (Vec<Value>, Value) {
    command.signal(Signal::SIGTERM);
    let ended = command.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("hidden"), "{}", ended.stderr);
    let mut lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    (lines, last)
}

#[tokio::test]
async fn each_finding_is_one_line_and_the_last_line_counts() {
    let state = tempfile::tempdir().unwrap();
    let database = Database::fresh().await;
    // The password of the URL is nobody's: the client signs in with its own, by SCRAM.
    let url = format!("postgres://nobody:hidden@{}/nowhere", database.address());
    let (command, address) = start(state.path(), &url, &["--json"]).await;
    let mut client = through(database.app(), address).connect().await.unwrap();
    client.execute("set work_mem = '1MB'; select 1").await.unwrap();
    for number in 0..2 {
        let answer: i32 = sqlx::query_scalar("select $1 + 1").bind(number).fetch_one(&mut client).await.unwrap();
        assert_eq!(answer, number + 1);
        sqlx::query("select pg_advisory_lock($1)").bind(i64::from(number)).persistent(false).execute(&mut client).await.unwrap();
    }
    client.execute("begin; set local statement_timeout = '1s'; commit").await.unwrap();
    let length: i32 = sqlx::query_scalar(&format!("select length('{}')", "x".repeat(300_000))).fetch_one(&mut client).await.unwrap();
    assert_eq!(length, 300_000);
    client.close().await.unwrap();
    // One who is refused opens no session.
    let wrong = through(database.app().password("wrong"), address).connect().await.unwrap_err();
    assert!(wrong.to_string().contains("password authentication failed"), "{wrong}");

    let (findings, totals) = report(command).await;
    let advisory = json!({
        "verdict": "pins",
        "reason": "an advisory lock of the session is taken or released: use pg_advisory_xact_lock",
        "statement": "select pg_advisory_lock($1)",
    });
    let expected = [
        json!({
            "verdict": "pins",
            "reason": "SET or RESET changes a parameter of the session: use a role's setting or the proxy's initialization query",
            "statement": "set work_mem = '1MB'",
        }),
        advisory.clone(),
        advisory,
        json!({
            "verdict": "may pin",
            "reason": "SET LOCAL ends with the transaction; for PostgreSQL it is not documented whether it pins",
            "statement": "set local statement_timeout = '1s'",
        }),
        json!({
            "verdict": "pins",
            "reason": "the text is longer than 16 KB: send values as parameters",
            "statement": format!("select length('{}…", "x".repeat(185)),
        }),
    ];
    assert_eq!(findings, expected);
    // select $1 + 1 is sent once and executed twice.
    assert_eq!(totals, json!({"sessions": 1, "statements": 2 + 1 + 2 + 3 + 1}));
}

#[tokio::test]
async fn for_people_it_says_the_same_in_sentences() {
    let state = tempfile::tempdir().unwrap();
    let database = Database::fresh().await;
    let (mut command, address) = start(state.path(), &database.admin_url(), &[]).await;
    let mut client = through(database.app(), address).connect().await.unwrap();
    client.execute("listen news").await.unwrap();
    let line = command.line("pins: ").await;
    assert_eq!(line, "pins: LISTEN registers the session for notifications: listen on a connection past the proxy: listen news");
    command.signal(Signal::SIGINT);
    let ended = command.end().await;
    assert_eq!((ended.code, ended.stdout.lines().last()), (Some(0), Some("seen: 1 sessions, 1 statements; pins: 1, may pin: 0")));
}

#[tokio::test]
async fn copied_data_is_not_read_as_statements() {
    let state = tempfile::tempdir().unwrap();
    let database = Database::fresh().await;
    let (command, address) = start(state.path(), &database.admin_url(), &["--json"]).await;
    let mut client = through(database.admin(), address).connect().await.unwrap();
    client.execute("create table lines (line text)").await.unwrap();
    let mut copy = client.copy_in_raw("copy lines from stdin").await.unwrap();
    // Each buffer is a message; this looks like two.
    copy.send(&b"Q\n"[..]).await.unwrap();
    copy.send("set work_mem = 1;\n".repeat(100_000).as_bytes()).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 100_001);
    client.close().await.unwrap();

    let (findings, totals) = report(command).await;
    assert_eq!((findings, totals), (vec![], json!({"sessions": 1, "statements": 2})));
}

#[tokio::test]
async fn what_begins_a_session_and_what_cancels_a_statement_arrive_untouched() {
    let state = tempfile::tempdir().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (command, address) = start(state.path(), &format!("postgres://{}", server.local_addr().unwrap()), &["--json"]).await;
    let encryption = [[0, 0, 0, 8, 4, 210, 22, 48], [0, 0, 0, 8, 4, 210, 22, 47]];
    let startup = startup_packet(2, &[("user", "me"), ("options", "-c x=1"), ("_pq_.hello", "1"), ("user", "again")]);
    let cancel = [&[0, 0, 0, 16, 4, 210, 22, 46][..], &[1, 2, 3, 4, 5, 6, 7, 8]].concat();
    for packet in [startup, cancel] {
        let mut client = TcpStream::connect(address).await.unwrap();
        for request in encryption {
            client.write_all(&request).await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'N');
        }
        client.write_all(&packet).await.unwrap();
        let (mut served, _) = server.accept().await.unwrap();
        let mut arrived = vec![0; packet.len()];
        served.read_exact(&mut arrived).await.unwrap();
        assert_eq!(arrived, packet);
        // Both ways, and to the end.
        served.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
        let mut answer = [0; 9];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"R\0\0\0\x08\0\0\0\x03");
        client.write_all(b"p\0\0\0\x09word\0").await.unwrap();
        let mut arrived = [0; 10];
        served.read_exact(&mut arrived).await.unwrap();
        assert_eq!(&arrived, b"p\0\0\0\x09word\0");
        drop(served);
        assert_eq!(client.read(&mut answer).await.unwrap(), 0);
    }
    let (findings, totals) = report(command).await;
    assert_eq!((findings, totals), (vec![], json!({"sessions": 0, "statements": 0})));
}

#[tokio::test]
async fn hostile_clients_are_refused_and_nobody_else_notices() {
    let state = tempfile::tempdir().unwrap();
    let database = Database::fresh().await;
    let (command, address) = start(state.path(), &database.admin_url(), &["--json"]).await;
    let mut other = through(database.app(), address).connect().await.unwrap();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 0, 0, 4], &[0x16, 3, 1, 0, 5, 1, 0, 0], &[0xff; 64], b"\0\0\0\x0a\0\x02\0\0ab"] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains("08P01") || answer.contains("unsupported frontend protocol"), "{garbage:?}: {answer:?}");
        still_served(&mut other).await;
    }
    let user = database.admin().get_username().to_owned();
    for garbage in [&b"Q\0\0\0\x03"[..], b"?\0\0\0\x04", b"Q\x7f\xff\xff\xff"] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'N', "TLS is declined");
        client.write_all(&startup_packet(0, &[("user", &user), ("database", database.name())])).await.unwrap();
        client.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains("08P01"), "{garbage:?}: {answer:?}");
        still_served(&mut other).await;
    }
    let (findings, totals) = report(command).await;
    assert_eq!((findings.len(), totals["statements"].as_u64()), (0, Some(1)), "{findings:?}");
}

async fn still_served(client: &mut PgConnection) {
    assert_eq!(sqlx::query_scalar::<_, i32>("select 7").fetch_one(client).await.unwrap(), 7);
}

#[tokio::test]
async fn a_database_that_is_away_is_told_to_the_client_and_on_the_terminal_and_may_come_back() {
    let state = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::own().await;
    let database = cluster.database().await;
    let (mut command, address) = start(state.path(), &database.admin_url(), &[]).await;
    cluster.stop().await;
    let options = through(database.app(), address);
    let error = options.connect().await.unwrap_err();
    let sqlx::Error::Database(told) = &error else { panic!("{error}") };
    assert_eq!(told.code().as_deref(), Some("08001"));
    assert!(told.message().contains(&format!("cannot reach the database at {}: Connection refused", database.address())), "{told}");
    let line = loop {
        let line = command.error_line("").await;
        if line.contains("WARN") {
            break line;
        }
    };
    assert!(line.contains("cannot be reached") && !line.contains("\u{1b}"), "{line}");
    cluster.start().await;
    still_served(&mut options.ssl_mode(PgSslMode::Prefer).connect().await.unwrap()).await;
    command.signal(Signal::SIGTERM);
    let ended = command.end().await;
    assert_eq!(ended.stdout, "seen: 1 sessions, 1 statements; pins: 0, may pin: 0", "{ended:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_and_an_output_that_nobody_reads_are_clear() {
    let state = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Command::run(state.path(), &["pins", "--database-url", "postgres://127.0.0.1:1", "--listen", &address], &[]).await;
    let expected = format!("error: {address} is taken: stop the program that listens there, or choose another port (0 for any that is free)");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), expected.as_str()));

    let database = Database::fresh().await;
    let (mut command, address) = start(state.path(), &database.admin_url(), &[]).await;
    command.close_stdout();
    let mut client = through(database.app(), address).connect().await.unwrap();
    // The command ends as it reports this, which may be before the answer.
    drop(client.execute("listen news").await);
    let ended = command.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(client.execute("select 1").await.is_err(), "nothing is forwarded any more");
}
