//! The deep check: the state of the server and of the proxy before it. It is not for everybody, and so not on the public route.

use proxy_targets::ProxyTargets;
use serde_json::json;
use shared::Db;

use crate::basic::PROBE_TIMEOUT;
use crate::query::{Server, ServerLoad};
use crate::report::{Check, Status};
use crate::targets;

/// From this share of the server's connections on, one more burst finds none.
const CONNECTIONS_WARN: f64 = 0.8;
/// From here on, requests do not get one now.
const CONNECTIONS_FAIL: f64 = 0.95;
/// The functions' role has statements of 2 s, and 3 s between two of a transaction: what is open for longer holds locks for nobody.
const TRANSACTION_WARN_S: f64 = 10.0;
/// A standby that is so far behind answers with what was.
const REPLAY_DELAY_WARN_S: f64 = 10.0;

/// Looks, within [`PROBE_TIMEOUT`].
pub(crate) async fn check(db: &Db, proxy_targets: &ProxyTargets) -> Vec<(&'static str, Check)> {
    let (mut checks, targets) = tokio::join!(server(db), targets::check(proxy_targets, db));
    checks.extend(targets.map(|check| ("proxy:targets", check)));
    checks
}

async fn server(db: &Db) -> Vec<(&'static str, Check)> {
    match db.probe(PROBE_TIMEOUT, &Server).await {
        Ok(probed) => of_load(&probed.output).into(),
        Err(error) => {
            tracing::warn!(sqlstate = error.sqlstate(), "the database did not tell its load: {}", error.chain());
            vec![("database:connections", Check::complaint(Status::Warn, "The database could not be asked for its load in time."))]
        }
    }
}

fn of_load(load: &ServerLoad) -> [(&'static str, Check); 3] {
    #[allow(clippy::cast_precision_loss, reason = "a server has thousands at most")]
    let used = load.connections as f64 / load.connections_max.max(1) as f64;
    let connections = Check::of_database(load.connections)
        .in_unit("connections")
        .because_if(used >= CONNECTIONS_WARN, Status::Warn, &format!("The server takes no more than {}.", load.connections_max))
        .because_if(used >= CONNECTIONS_FAIL, Status::Fail, &format!("The server takes no more than {}.", load.connections_max));
    let transaction = Check::of_database(rounded(load.longest_transaction_s)).in_unit("s").because_if(
        load.longest_transaction_s >= TRANSACTION_WARN_S,
        Status::Warn,
        "A transaction of the functions is open for longer than any of theirs may take.",
    );
    let replication = match load.replay_delay_s {
        Some(delay_s) => Check::of_database(json!({ "role": "standby", "replayDelaySeconds": rounded(delay_s) })).because_if(
            delay_s >= REPLAY_DELAY_WARN_S,
            Status::Warn,
            "The standby is behind its writer.",
        ),
        None => Check::of_database(json!({ "role": "writer", "standbys": load.standbys })),
    };
    [("database:connections", connections), ("database:longestTransaction", transaction), ("database:replication", replication)]
}

/// To the millisecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: ServerLoad = ServerLoad { connections: 10, connections_max: 100, longest_transaction_s: 0.0, standbys: 1, replay_delay_s: None };

    fn statuses(load: &ServerLoad) -> [Status; 3] {
        of_load(load).map(|(_, check)| check.status)
    }

    #[test]
    fn each_threshold_has_its_status() {
        use Status::{Fail, Pass, Warn};
        assert_eq!(statuses(&QUIET), [Pass, Pass, Pass]);
        for (connections, status) in [(79, Pass), (80, Warn), (94, Warn), (95, Fail), (120, Fail)] {
            assert_eq!(statuses(&ServerLoad { connections, ..QUIET }), [status, Pass, Pass], "{connections}");
        }
        assert_eq!(statuses(&ServerLoad { longest_transaction_s: 10.0, ..QUIET }), [Pass, Warn, Pass]);
        assert_eq!(statuses(&ServerLoad { replay_delay_s: Some(9.9), ..QUIET }), [Pass, Pass, Pass]);
        assert_eq!(statuses(&ServerLoad { replay_delay_s: Some(10.0), ..QUIET }), [Pass, Pass, Warn]);
    }
}
