//! Whether the database answers after the reset.

use std::time::Duration;

use serde::Serialize;
use shared::telemetry::milliseconds;
use shared::{Db, Query};
use sqlx::PgConnection;

/// For connecting and the question together, as health has it.
const TIMEOUT: Duration = Duration::from_millis(800);

struct Answer;

impl Query for Answer {
    type Output = ();

    async fn run(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query_scalar!(r#"select true as "answer!""#).fetch_one(connection).await.map(drop)
    }
}

/// What the probe found.
#[derive(Debug, Serialize)]
pub(crate) struct Probe {
    pub(crate) status: &'static str,
    /// Whether it had to connect, which is so after the reset of this sandbox's own connection.
    pub(crate) connected_anew: Option<bool>,
    round_trip_ms: Option<f64>,
}

/// Asks once.
pub(crate) async fn probe(db: &Db) -> Probe {
    match db.probe(TIMEOUT, &Answer).await {
        Ok(probed) => Probe { status: "pass", connected_anew: Some(!probed.reused), round_trip_ms: Some(milliseconds(probed.work)) },
        Err(error) => {
            tracing::error!(sqlstate = error.sqlstate(), "the database did not answer after the reset: {}", error.chain());
            Probe { status: "fail", connected_anew: None, round_trip_ms: None }
        }
    }
}
