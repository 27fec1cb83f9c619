//! The writer is demoted and another server takes its place under the same name: proved with a real standby.

use tests::ledger::{moved, recorded, served, transfer};
use tests::{Ledger, Replicated, eventually};

#[tokio::test]
async fn a_warm_connection_to_a_server_that_is_no_writer_is_left_for_the_one_that_the_name_points_to() {
    let servers = Replicated::own().await;
    let ledger = Ledger::on(servers.database().await, &[]).await;
    servers.catch_up(&ledger.database).await;
    ledger.proxy.point_to(servers.standby_address());
    assert!(ledger.is_standby().await.0, "reads are served by a standby");
    ledger.proxy.point_to(ledger.database.address());
    assert_eq!((ledger.is_standby().await.0, ledger.proxy.flows()), (true, 1), "the connection is still the one to the standby");
    let (answer, runs) = ledger.transfer("k1").await;
    assert_eq!((Some(answer), ledger.moved().await), (ledger.recorded("k1").await, 1));
    assert_eq!((runs, ledger.proxy.flows()), (2, 2), "refused once, and then on a new connection");
    assert!(!ledger.is_standby().await.0, "the new connection is the one that is kept");
    ledger.api.stop().await;
}

#[tokio::test]
async fn a_write_that_meets_a_demoted_writer_is_served_by_the_one_that_is_promoted() {
    let mut servers = Replicated::own().await;
    let ledger = Ledger::on(servers.database().await, &[]).await;
    let (first, _) = ledger.transfer("k1").await;
    servers.catch_up(&ledger.database).await;
    servers.stop_primary().await;
    ledger.proxy.point_to(servers.standby_address());
    let flows = ledger.proxy.flows();
    let promote = async {
        // More often than work may be sent again: a refusal executed nothing, so it is no repetition.
        eventually("the standby refused the write on five connections", async || ledger.proxy.flows() >= flows + 6).await;
        servers.promote(&ledger.database).await;
    };
    let (answer, ()) = tokio::join!(ledger.ask(transfer("k2")), promote);
    let (second, runs) = served(&answer);
    assert!(runs > 5, "{runs}");
    let mut writer = servers.connect_standby(&ledger.database).await;
    assert_eq!((recorded(&mut writer, "k2").await, moved(&mut writer).await), (Some(second), 2));
    assert_eq!(ledger.transfer("k1").await.0, first, "what the old writer had acknowledged is there");
    assert_eq!(moved(&mut writer).await, 2);
    ledger.api.stop().await;
}
