//! What the probe asks the server.

use serde::Serialize;
use shared::Query;
use sqlx::PgConnection;

pub(crate) struct RoundTrip;

/// What the server says of itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerState {
    server_version: String,
    read_only: bool,
}

impl Query for RoundTrip {
    type Output = ServerState;

    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        sqlx::query_as!(
            ServerState,
            r#"select split_part(current_setting('server_version'), ' ', 1) as "server_version!", pg_is_in_recovery() as "read_only!""#,
        )
        .fetch_one(connection)
        .await
    }
}
