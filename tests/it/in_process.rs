//! What a function is made of, in the test's own process: for clocks that a real process would not give up.

use std::time::Duration;

use shared::Query;
use shared::config::{Config, Database, Timeouts};
use shared::retry::Policy;
use sqlx::PgConnection;

/// Asks which server process answers.
pub(crate) struct Backend;

impl Query for Backend {
    type Output = i32;

    async fn run(&self, connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection).await
    }
}

/// The template's figures, but for idleness and the ping, which a busy machine must not decide.
pub(crate) fn config(database: Database) -> Config {
    let ms = Duration::from_millis;
    Config {
        database,
        proxy_name: None,
        proxy_api: None,
        timeouts: Timeouts { connect: ms(1_000), ping: ms(10_000), attempt: ms(4_500) },
        retry: Policy { max_resends: 3, base_delay: ms(50), max_delay: ms(1_000), reconnect_floor: ms(20) },
        max_idle: ms(600_000),
        budget: ms(9_000),
        reserve: ms(500),
        key_lifetime: Duration::from_secs(86_400),
        concurrency: 1,
        warm_in_init: false,
    }
}
