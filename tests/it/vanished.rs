//! A sandbox ends: politely, or with its machine.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::{Api, Database, Fault, FaultProxy, Options, eventually};

use crate::behind_proxy::{FUNCTION, PATH};

/// The end of a session as the client says it.
const TERMINATE_BYTES: u64 = 5;

#[tokio::test]
async fn a_sandbox_that_is_shut_down_says_terminate_and_leaves_no_session() {
    let database = Database::seeded().await;
    let proxy = FaultProxy::to(database.address()).await;
    let api = Api::with(&database, Options::default().by_url(&database.app_url_at(proxy.address()))).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    api.frozen(FUNCTION).await;
    let before = proxy.client_bytes();
    api.stop().await;
    assert_eq!(proxy.client_bytes(), before + TERMINATE_BYTES);
    eventually("no session is left", async || database.app_sessions().await.is_empty()).await;
}

#[tokio::test]
async fn a_destroyed_micro_vm_leaves_no_session_once_its_keepalives_are_unanswered() {
    if !FaultProxy::can_vanish() {
        assert!(!nix::unistd::geteuid().is_root(), "root may filter a socket");
        eprintln!("NOT TESTED: this machine lets only root filter a socket, so no machine can be made to vanish; run the tests as root for that");
        return;
    }
    let database = Database::seeded().await;
    // The role's own three minutes (see roles.rs) are too long for a test: this database's are three seconds.
    let mut admin = database.connect_admin().await;
    for (setting, value) in
        [("tcp_keepalives_idle", "1"), ("tcp_keepalives_interval", "1"), ("tcp_keepalives_count", "2"), ("tcp_user_timeout", "3s")]
    {
        let sql = format!("alter role thaw_app in database \"{}\" set {setting} = '{value}'", database.name());
        sqlx::raw_sql(&sql).execute(&mut admin).await.unwrap();
    }
    let proxy = FaultProxy::to(database.address()).await;
    let api = Api::with(&database, Options::default().by_url(&database.app_url_at(proxy.address()))).await;
    assert_eq!(api.get_as("user-1", PATH).await.status, 200);
    let sandbox = api.frozen(FUNCTION).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(database.app_sessions().await.len(), 1, "a client that is there answers keepalives");
    proxy.begin(Fault::Vanished);
    kill(Pid::from_raw(sandbox.pid), Signal::SIGKILL).unwrap();
    eventually("the process is gone", async || !tests::is_alive(sandbox.pid)).await;
    assert_eq!(database.app_sessions().await.len(), 1, "nothing told the server");
    tokio::time::timeout(Duration::from_secs(60), async {
        while !database.app_sessions().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the session ends with the last keepalive");
    api.stop().await;
}
