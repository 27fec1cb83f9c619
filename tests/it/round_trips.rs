//! What a request costs on the wire, counted by a forwarder between the function and Postgres.

use std::time::Duration;

use tests::{Api, Counter, Database, FaultProxy, Kind, Options, Shop};

use crate::behind_proxy::before_the_stand_in;

const PATH: &str = "/api/user/purchased-models";
const FUNCTION: &str = "purchased-models";

/// Connecting, during init, with a SCRAM password in plain text, after TCP's own handshake: startup, the two answers of SCRAM, and the look
/// for a pooler.
const CONNECT: u64 = 4;
/// As that, over TLS with an IAM token: the question for TLS, its handshake, startup, the token.
const CONNECT_IAM: u64 = 4;
/// The first time a statement is used on a connection it is described before it is run.
const FIRST_READ: u64 = 2;

async fn behind_a_proxy(database: &Database, max_idle_ms: &str) -> (Api, FaultProxy) {
    let proxy = FaultProxy::to(database.address()).await;
    let url = database.app_url_at(proxy.address());
    let api = Api::with(
        database,
        Options::default().by_url(&url).with_variable("DB_MAX_IDLE_MS", max_idle_ms).with_variable("DB_PING_TIMEOUT_MS", "10000"),
    )
    .await;
    (api, proxy)
}

#[tokio::test]
async fn a_cold_read_costs_the_protocols_minimum_and_a_warm_one_a_single_round_trip() {
    let database = Database::seeded().await;
    let (api, proxy) = behind_a_proxy(&database, "600000").await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    assert_eq!(proxy.round_trips(), CONNECT + FIRST_READ);
    for warm in 1..=10 {
        assert_eq!(api.get_as("user-1", PATH).await.status, 200);
        assert_eq!(proxy.round_trips(), CONNECT + FIRST_READ + warm);
    }
    assert_eq!(proxy.flows(), 1);
    api.stop().await;
}

#[tokio::test]
async fn an_iam_token_over_tls_costs_the_protocols_minimum_too() {
    let database = Database::seeded().await;
    let (api, proxy) = before_the_stand_in(&database).await;
    for reads in 0..5 {
        assert_eq!(api.get_as("user-1", PATH).await.status, 200);
        assert_eq!(proxy.round_trips(), CONNECT_IAM + FIRST_READ + reads);
    }
    assert_eq!(proxy.flows(), 1);
    api.stop().await;
}

#[tokio::test]
async fn a_read_after_long_idleness_costs_one_ping_more() {
    let database = Database::seeded().await;
    let (api, proxy) = behind_a_proxy(&database, "20").await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    let cold = proxy.round_trips();
    for read in 1..=5 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(api.get_as("user-1", PATH).await.status, 200);
        assert_eq!(proxy.round_trips(), cold + 2 * read);
    }
    assert_eq!(proxy.flows(), 1);
    api.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_after_the_response_has_left() {
    let database = Database::seeded().await;
    let (api, proxy) = behind_a_proxy(&database, "600000").await;
    for _ in 0..5 {
        assert_eq!(api.get_as("user-1", PATH).await.status, 200);
        let sent = proxy.client_bytes();
        api.frozen(FUNCTION).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(proxy.client_bytes(), sent);
    }
    api.stop().await;
}

#[tokio::test]
async fn a_warm_write_costs_a_single_round_trip_and_its_replay_two() {
    let shop = Shop::of(40).await;
    let counter = Counter::of(&shop.database, &[("DB_MAX_IDLE_MS", "600000")]).await;
    for kind in Kind::ALL {
        // The statements of the write and of its replay are new to the connection once.
        let first = shop.wish(kind);
        for _ in 0..2 {
            assert!(first.send(&counter.api).await.status < 300);
        }
        for _ in 0..3 {
            let (wish, before) = (shop.wish(kind), counter.proxy.round_trips());
            let done = wish.send(&counter.api).await;
            assert_eq!((done.header("idempotency-replayed"), counter.proxy.round_trips() - before), ("", 1), "{kind:?}: {done:?}");
            let replay = wish.send(&counter.api).await;
            assert_eq!((replay.header("idempotency-replayed"), counter.proxy.round_trips() - before), ("true", 3), "{kind:?}: {replay:?}");
        }
    }
    assert_eq!(counter.proxy.flows(), 2, "one connection of each function");
    counter.api.stop().await;
}
