//! The stand-in for RDS Proxy: few database connections for many clients, by transaction, and clients that keep one.

use std::time::Duration;

use futures_util::future::join_all;
use local::proxy::Settings;
use tests::raw_client::{RawClient, errors, values};
use tests::{Api, Cluster, Database, Options, eventually, is_alive};

async fn stand_in(database: &Database, settings: Settings) -> Api {
    Api::with(database, Options { proxy: Some(settings), ..Options::default() }).await
}

#[tokio::test]
async fn forty_clients_share_three_database_connections() {
    let database = Database::seeded().await;
    let api = stand_in(&database, Settings { connections: 3, ..Settings::default() }).await;
    let clients = (0..40).map(|number| {
        let api = &api;
        async move {
            let mut client = RawClient::signed_in(api.proxy(), &[]).await;
            for _ in 0..10 {
                assert_eq!(values(&client.query(&format!("select {number}")).await), [number.to_string()]);
            }
            client
        }
    });
    let clients = join_all(clients).await;
    let report = api.proxy().report();
    assert_eq!((report.clients, report.borrowed), (40, 0));
    assert!(database.app_sessions().await.len() <= 3);
    drop(clients);
    api.stop().await;
    eventually("no session stays", async || database.app_sessions().await.is_empty()).await;
}

#[tokio::test]
async fn a_transaction_keeps_its_connection_and_another_client_waits_no_longer_than_the_borrow_timeout() {
    let database = Database::seeded().await;
    // Long enough on a busy machine for the client that gets the connection.
    let api = stand_in(&database, Settings { connections: 1, borrow_timeout: Duration::from_secs(2), ..Settings::default() }).await;
    let (mut one, mut two) = (RawClient::signed_in(api.proxy(), &[]).await, RawClient::signed_in(api.proxy(), &[]).await);
    one.query("begin").await;
    let session = values(&one.query("select pg_backend_pid()").await);
    let answers = two.query("select 1").await;
    let error = &errors(&answers)[0];
    assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("08000", "Timed-out waiting to acquire database connection"));
    assert_eq!(values(&one.query("select pg_backend_pid()").await), session);
    one.query("commit").await;
    assert_eq!(values(&two.query("select 2").await), ["2"], "who was turned away is still connected");
    assert_eq!(values(&two.query("select pg_backend_pid()").await), session, "the one connection went on");
    api.stop().await;
}

#[tokio::test]
async fn a_transaction_that_its_client_leaves_open_is_rolled_back() {
    let database = Database::seeded().await;
    let api = stand_in(&database, Settings { connections: 1, ..Settings::default() }).await;
    let mut one = RawClient::signed_in(api.proxy(), &[]).await;
    one.query("begin; delete from purchases").await;
    drop(one);
    let mut two = RawClient::signed_in(api.proxy(), &[]).await;
    assert_ne!(values(&two.query("select count(*) from purchases").await), ["0"]);
    api.stop().await;
}

#[tokio::test]
async fn a_client_that_is_idle_for_too_long_is_disconnected() {
    let database = Database::seeded().await;
    let api = stand_in(&database, Settings { idle_client_timeout: Duration::from_millis(300), ..Settings::default() }).await;
    let mut client = RawClient::signed_in(api.proxy(), &[]).await;
    assert_eq!(values(&client.query("select 1").await), ["1"]);
    assert!(client.is_closed().await);
    api.stop().await;
}

#[tokio::test]
async fn a_pinned_client_keeps_its_connection_with_its_state_and_nobody_else_sees_that_state() {
    let database = Database::seeded().await;
    let api = stand_in(&database, Settings { connections: 2, ..Settings::default() }).await;
    let (mut pinned, mut other) = (RawClient::signed_in(api.proxy(), &[]).await, RawClient::signed_in(api.proxy(), &[]).await);
    pinned.query("set work_mem = '7MB'").await;
    for _ in 0..5 {
        assert_eq!(values(&pinned.query("show work_mem").await), ["7MB"]);
        assert_ne!(values(&other.query("show work_mem").await), ["7MB"]);
    }
    assert_eq!(api.proxy().report().borrowed, 1);
    let pins = api.pins();
    assert_eq!((pins.len(), pins[0].finding.statement.as_str()), (1, "set work_mem = '7MB'"), "{pins:?}");
    drop(pinned);
    eventually("its connection is closed", async || api.proxy().report().borrowed == 0).await;
    assert_ne!(values(&other.query("show work_mem").await), ["7MB"]);
    api.stop().await;
}

#[tokio::test]
async fn through_a_restart_idle_clients_stay_statements_in_flight_are_cut_and_new_ones_wait() {
    let mut cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let api = stand_in(&database, Settings { connections: 2, borrow_timeout: Duration::from_secs(20), ..Settings::default() }).await;
    let (mut idle, mut busy) = (RawClient::signed_in(api.proxy(), &[]).await, RawClient::signed_in(api.proxy(), &[]).await);
    assert_eq!(values(&idle.query("select 1").await), ["1"]);
    let in_flight = async {
        let answers = busy.query("set local statement_timeout = 0; select pg_sleep(60)").await;
        assert!(errors(&answers).iter().all(|error| error.sqlstate.starts_with("57P")), "{:?}", errors(&answers));
        assert!(busy.is_closed().await);
    };
    let restart = async {
        eventually("the statement runs", async || api.proxy().report().borrowed == 1).await;
        let sessions = database.app_sessions().await;
        // A cluster for tests may forget what is newer.
        sqlx::raw_sql("checkpoint").execute(&mut database.connect_admin().await).await.unwrap();
        cluster.stop_how(true).await;
        // The server is gone a moment before its sessions are.
        eventually("every session has ended", async || !sessions.iter().any(|pid| is_alive(*pid))).await;
        let waiting = async {
            // A new client and one that was idle both wait for the database.
            let mut new = RawClient::signed_in(api.proxy(), &[]).await;
            let answers = new.query("select 3").await;
            assert_eq!(values(&answers), ["3"], "{:?}", errors(&answers));
            assert_eq!(values(&idle.query("select 2").await), ["2"]);
        };
        let back = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            cluster.start().await;
        };
        tokio::join!(waiting, back);
    };
    tokio::join!(in_flight, restart);
    api.stop().await;
}

#[tokio::test]
async fn each_statement_of_each_client_gets_its_own_answer_twenty_thousand_times() {
    const CLIENTS: usize = 8;
    const CALLS: usize = 20_000;
    let database = Database::seeded().await;
    let api = stand_in(&database, Settings { connections: 2, ..Settings::default() }).await;
    let work = (0..CLIENTS).map(|number| {
        let api = &api;
        async move {
            let mut client = RawClient::signed_in(api.proxy(), &[]).await;
            let mut wrong = 0;
            for call in 0..CALLS / CLIENTS {
                let marker = format!("{number}-{}", call % 7);
                wrong += usize::from(
                    values(&super::proxy_wire::prepared(&mut client, call % 7, &format!("select '{marker}'"), call < 7).await) != [marker],
                );
            }
            wrong
        }
    });
    assert_eq!(join_all(work).await.into_iter().sum::<usize>(), 0);
    assert!(database.app_sessions().await.len() <= 2);
    api.stop().await;
}
