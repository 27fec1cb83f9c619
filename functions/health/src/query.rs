//! What the server is asked.

use shared::Query;
use sqlx::PgConnection;

pub(crate) struct RoundTrip;

/// What the server says of itself.
#[derive(Debug)]
pub(crate) struct ServerState {
    pub(crate) server_version: String,
    pub(crate) read_only: bool,
}

impl Query for RoundTrip {
    type Output = ServerState;

    /// A standby is read-only, and so is a server that was told to be, as some failovers do it.
    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        sqlx::query_as!(
            ServerState,
            r#"
            select split_part(current_setting('server_version'), ' ', 1) as "server_version!",
                   current_setting('transaction_read_only')::bool as "read_only!"
            "#,
        )
        .fetch_one(connection)
        .await
    }
}

/// Which of these migrations the database does not have.
pub(crate) struct MissingMigrations(pub(crate) &'static [i64]);

impl Query for MissingMigrations {
    type Output = Vec<i64>;

    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        sqlx::query_scalar!(
            r#"
            select wanted as "wanted!" from unnest($1::bigint[]) as wanted
            where not exists (select from _sqlx_migrations where version = wanted and success)
            order by wanted
            "#,
            self.0,
        )
        .fetch_all(connection)
        .await
    }
}

/// The state of the server, as far as the routes' role sees it.
pub(crate) struct Server;

/// How busy the server is.
#[derive(Debug)]
pub(crate) struct ServerLoad {
    pub(crate) connections: i64,
    /// How many there may be beside those that are kept for superusers.
    pub(crate) connections_max: i64,
    /// Of the transactions of the routes' role; those of others are not shown to it.
    pub(crate) longest_transaction_s: f64,
    /// How many standbys follow this server.
    pub(crate) standbys: i64,
    /// On a standby: how old the last transaction is that it has.
    pub(crate) replay_delay_s: Option<f64>,
}

impl Query for Server {
    type Output = ServerLoad;

    async fn run(&self, connection: &mut PgConnection) -> Result<Self::Output, sqlx::Error> {
        sqlx::query_as!(
            ServerLoad,
            r#"
            select (select sum(numbackends) from pg_stat_database)::bigint as "connections!",
                   current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
                       - coalesce(current_setting('reserved_connections', true), '0')::bigint as "connections_max!",
                   coalesce(
                       (select max(extract(epoch from clock_timestamp() - xact_start)) from pg_stat_activity where pid <> pg_backend_pid()), 0
                   )::float8 as "longest_transaction_s!",
                   (select count(*) from pg_stat_replication) as "standbys!",
                   case when pg_is_in_recovery()
                       then coalesce(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()), 0)
                   end::float8 as replay_delay_s
            "#,
        )
        .fetch_one(connection)
        .await
    }
}
