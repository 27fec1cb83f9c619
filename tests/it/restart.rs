//! The server restarts, is full, or turns connections away: connecting goes on until it works or the budget ends.

use std::time::Duration;

use futures_util::future::join_all;
use local::proxy::Settings;
use sqlx::Connection as _;
use tests::raw_client::{RawClient, errors};
use tests::{Api, Cluster, Database, Fault, Options, eventually, load_place};

use crate::behind_proxy::{BehindProxy, PATH};

/// Separate tests, so that they can run at the same time. Three seconds are longer than the stand-in waits for a database. The rate is one that
/// a busy machine serves, too; see [`at_twenty_a_second`].
mod no_request_fails_through_a_restart {
    use super::*;

    #[tokio::test]
    async fn that_is_fast() {
        outlived(false, 1_800, Options::direct(), 5).await;
    }

    #[tokio::test]
    async fn that_is_immediate_and_longer() {
        outlived(true, 3_000, Options::direct(), 5).await;
    }

    #[tokio::test]
    async fn behind_the_stand_in_that_is_fast_and_longer() {
        outlived(false, 3_000, Options::default(), 5).await;
    }

    #[tokio::test]
    async fn behind_the_stand_in_that_is_immediate() {
        outlived(true, 1_800, Options::default(), 5).await;
    }
}

/// The same at a rate that needs the machine for itself: each request that waits has a sandbox of its own, and all connect at once.
mod at_twenty_a_second {
    use super::*;

    #[tokio::test]
    #[ignore = "needs the machine for itself: cargo test-restart"]
    async fn no_request_fails_through_a_restart() {
        for (immediate, down_ms, options) in [
            (false, 1_800, Options::direct()),
            (true, 3_000, Options::direct()),
            (false, 3_000, Options::default()),
            (true, 1_800, Options::default()),
        ] {
            outlived(immediate, down_ms, options, 20).await;
        }
    }
}

/// Twelve seconds of requests, in which the server restarts.
async fn outlived(immediate: bool, down_ms: u64, mut options: Options, requests_per_s: u32) {
    let _place = load_place().await;
    // One for each request, should the machine be so slow: what is shown here is not the throttle.
    options.settings.sandboxes_per_function = 240;
    let mut cluster = Cluster::own().await;
    let database = cluster.seeded().await;
    let api = Api::with(&database, options).await;
    let right = api.get_as("user-1", PATH).await;
    assert_eq!(right.status, 200);
    let restart = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cluster.stop_how(immediate).await;
        tokio::time::sleep(Duration::from_millis(down_ms)).await;
        cluster.start().await;
    };
    let load = async {
        let mut requests = Vec::new();
        for number in 0..12 * requests_per_s {
            let api = &api;
            requests.push(async move {
                tokio::time::sleep(Duration::from_secs(1) / requests_per_s * number).await;
                api.get_as("user-1", PATH).await
            });
        }
        join_all(requests).await
    };
    let (answers, ()) = tokio::join!(load, restart);
    let failed: Vec<_> = answers.iter().filter(|answer| answer.status != 200 || answer.body != right.body).collect();
    let why = api.logs().into_iter().find(|line| line.text.contains("not served")).map(|line| line.text);
    assert!(failed.is_empty(), "{} of {} failed: {:?}, {why:?}", failed.len(), answers.len(), failed.first());
    api.stop().await;
}

#[tokio::test]
async fn too_many_clients_are_waited_for() {
    let cluster = Cluster::with(&[("max_connections", "6"), ("superuser_reserved_connections", "2")]).await;
    let database = cluster.seeded().await;
    let api = Api::over(&database).await;
    let mut others = Vec::new();
    eventually("no connection is left for the routes", async || match <sqlx::PgConnection>::connect_with(&database.app()).await {
        Ok(other) => {
            others.push(other);
            false
        }
        Err(_) => true,
    })
    .await;
    let leave = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        others.clear();
    };
    let (answer, ()) = tokio::join!(api.get_as("user-1", PATH), leave);
    assert_eq!(answer.status, 200, "{answer:?}");
    api.stop().await;
}

#[tokio::test]
async fn a_borrow_timeout_of_the_proxy_is_waited_out() {
    let database = Database::seeded().await;
    let settings = Settings { connections: 1, borrow_timeout: Duration::from_millis(200), ..Settings::default() };
    let api = Api::with(&database, Options { proxy: Some(settings), ..Options::default() }).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    let (mut holder, mut other) = (RawClient::signed_in(api.proxy(), &[]).await, RawClient::signed_in(api.proxy(), &[]).await);
    holder.query("begin").await;
    let hold = async {
        assert_eq!(errors(&other.query("select 1").await)[0].sqlstate, "08000", "as the request is told meanwhile");
        tokio::time::sleep(Duration::from_millis(500)).await;
        holder.query("commit").await;
    };
    let (answer, ()) = tokio::join!(api.get_as("user-1", PATH), hold);
    assert_eq!(answer.status, 200, "{answer:?}");
    api.stop().await;
}

#[tokio::test]
async fn a_server_that_turns_connections_away_is_waited_for_and_503_in_the_end() {
    for code in ["57P03", "53300", "08000"] {
        let bench = BehindProxy::with(Database::seeded().await, Options::default().with_variable("RETRY_BUDGET_MS", "4000")).await;
        bench.proxy.begin(Fault::Reset);
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.proxy.begin(Fault::SaysAtConnect(code));
        let mend = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bench.proxy.begin(Fault::None);
        };
        let ((answer, _), ()) = tokio::join!(bench.get(), mend);
        assert_eq!((answer.status, &answer.body), (200, &bench.right), "{code}");
        bench.proxy.begin(Fault::Reset);
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.proxy.begin(Fault::SaysAtConnect(code));
        // What is logged is the last failure, which may be that no time was left for another connect.
        eventually("the log has the SQLSTATE", async || {
            let (answer, _) = bench.get().await;
            assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{code}: {answer:?}");
            bench.api.logs().iter().any(|line| line.text.contains(&format!(r#""sqlstate":"{code}""#)))
        })
        .await;
        bench.api.stop().await;
    }
}
