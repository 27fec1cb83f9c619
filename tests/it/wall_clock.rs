//! The wall clock jumps between two requests: the connection counts as old, is pinged, and serves.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use shared::Db;
use shared::config::{self, Config, Credentials, Tls};
use shared::deadline::Deadline;
use tests::{Database, FaultProxy};

use crate::in_process::{self, Backend};

/// By how many seconds the clock of this test differs from the machine's.
static SET_S: AtomicI64 = AtomicI64::new(0);

fn wall_clock() -> SystemTime {
    let set_s = SET_S.load(Ordering::SeqCst);
    let by = Duration::from_secs(set_s.unsigned_abs());
    if set_s < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
}

#[tokio::test]
async fn a_wall_clock_that_jumps_either_way_costs_a_ping_and_keeps_the_connection() {
    let database = Database::fresh().await;
    let proxy = FaultProxy::to(database.address()).await;
    let db = Db::with_wall_clock(config(&database, &proxy), "wall-clock".to_owned(), wall_clock);
    let budget = Duration::from_secs(9);
    let read = async || db.read(Deadline::after(budget, Instant::now()), &Backend).await.unwrap();
    let backend = read().await;
    let trips = async || {
        let before = proxy.round_trips();
        assert_eq!(read().await, backend, "the same connection");
        proxy.round_trips() - before
    };
    assert_eq!(trips().await, 1);
    for (jump_s, expected, what) in
        [(-86_400, 2, "a day back"), (0, 1, "no jump"), (172_800, 2, "two days forth"), (3_600, 2, "an hour forth"), (-60, 2, "a minute back")]
    {
        SET_S.fetch_add(jump_s, Ordering::SeqCst);
        assert_eq!(trips().await, expected, "{what}");
    }
    assert_eq!(proxy.flows(), 1);
    db.close().await;
}

fn config(database: &Database, proxy: &FaultProxy) -> Config {
    let app = database.app();
    let url = database.app_url();
    let password = url.split_once("://").unwrap().1.split_once('@').unwrap().0.split_once(':').unwrap().1;
    in_process::config(config::Database {
        host: proxy.address().ip().to_string(),
        port: proxy.address().port(),
        name: database.name().to_owned(),
        user: app.get_username().to_owned(),
        credentials: Credentials::Password(password.into()),
        tls: Tls::Disable,
    })
}
