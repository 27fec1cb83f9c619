//! The environment that a function reads, once, during init.
//!
//! | variable | unit | default | meaning |
//! |---|---|---|---|
//! | `DATABASE_URL` | URL | none | local only: `postgres://user:password@host:port/name?sslmode=disable`; refused together with `DB_AUTH=iam` |
//! | `DB_HOST` `DB_PORT` `DB_NAME` `DB_USER` | | none, 5432, none, none | the database where `DATABASE_URL` is unset |
//! | `DB_AUTH` | `iam`, `password` | `password` | how the user proves who it is: with a token signed for the connection, or a password |
//! | `AWS_REGION` `AWS_DEFAULT_REGION` | | none | set by Lambda; the first of them is the region that tokens are signed for, with `iam` |
//! | `AWS_ACCESS_KEY_ID` `AWS_SECRET_ACCESS_KEY` | | none | set by Lambda from the function's role; what tokens are signed with, with `iam` |
//! | `AWS_SESSION_TOKEN` | | none | set by Lambda; belongs to the two before |
//! | `DB_PASSWORD`, `DB_PASSWORD_FILE` | text, path | none | exactly one of them with `password`, none with `iam`; the file is read at each connect |
//! | `DB_TLS` | `verify-full`, `disable` | `verify-full` | `disable` has to be said, and is refused with `iam` |
//! | `DB_CA_FILE` | path | none | PEM certificates to trust beside the public roots |
//! | `DB_PROXY_NAME` | | none | the RDS Proxy's name; unset where functions connect to the database itself |
//! | `AWS_ENDPOINT_URL_RDS` | URL | none | the API of RDS, which health and monitor ask for the proxy's targets; unset: they leave them out |
//! | `DB_CONNECT_TIMEOUT_MS` | ms | 1000 | one connect: TCP, TLS, sign-in |
//! | `DB_PING_TIMEOUT_MS` | ms | 300 | the ping after long idleness |
//! | `DB_ATTEMPT_TIMEOUT_MS` | ms | 4500 | one sending of the work |
//! | `DB_MAX_IDLE_MS` | ms | 10000 | idleness by wall clock after which a check-out pings |
//! | `RETRY_MAX_ATTEMPTS` | count | 3 | how often work may be sent again; connecting does not count |
//! | `RETRY_BASE_DELAY_MS` `RETRY_MAX_DELAY_MS` | ms | 50, 1000 | full jitter: random(0, min(max, base * 2^n)) |
//! | `RETRY_BUDGET_MS` | ms | 9000 | all attempts, waits and connects of one operation |
//! | `IDEMPOTENCY_KEY_LIFETIME_S` | s | 86400 | how long the response of a write is kept under its key; longer than `RETRY_BUDGET_MS` |
//! | `DEADLINE_RESERVE_MS` | ms | 500 | kept free before the invocation's deadline for the answer |
//! | `AWS_LAMBDA_MAX_CONCURRENCY` | count | 1 | set by Lambda Managed Instances: invocations at once, and so connections |
//! | `DB_WARM_IN_INIT` | `true`, `false` | `true` | connect during init, which goes on without a connection where there is none to be had |
//!
//! An empty value counts as unset. A bad value stops init with a message that names the variable.

mod aws;
mod database;
mod proxy;
mod variables;

use std::time::Duration;

pub use aws::Aws;
pub use database::{Credentials, Database, Tls};
pub use proxy::ProxyApi;
pub use variables::ConfigError;
use variables::Variables;

use crate::retry::Policy;

/// Everything that a function reads from its environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the database is and how to sign in.
    pub database: Database,
    /// The name of the RDS Proxy between; none where functions connect to the database itself.
    pub proxy_name: Option<String>,
    /// Where to ask for the proxy's targets; none where no endpoint is named.
    pub proxy_api: Option<ProxyApi>,
    /// Bounds of single steps.
    pub timeouts: Timeouts,
    /// How work is repeated.
    pub retry: Policy,
    /// How long after its last use, by wall clock, a connection is pinged before it is used. Too high: a connection that died in the
    /// freeze costs a whole attempt. Too low: warm reads pay a second round trip.
    pub max_idle: Duration,
    /// All attempts, waits and connects of one operation together. Too high: the caller waits for a dead database. Too low: a restart of
    /// the database is not outlived.
    pub budget: Duration,
    /// Kept free before the invocation's deadline, so that the answer still leaves.
    pub reserve: Duration,
    /// How long the response of a write is kept under its key. Too low: a client that comes back later has its wish fulfilled twice. Too
    /// high: the table of keys is longer.
    pub key_lifetime: Duration,
    /// How many invocations run at once, and so how many connections there may be.
    pub concurrency: usize,
    /// Connect during init, where Lambda gives the full CPU.
    pub warm_in_init: bool,
}

/// Bounds of single steps. Each is further cut by what is left of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP, TLS and sign-in together. Too high: a silent host eats the budget. Too low: a busy server never lets us in.
    pub connect: Duration,
    /// The ping of a connection that was idle for long.
    pub ping: Duration,
    /// One sending of the work, on a connection that is there.
    pub attempt: Duration,
}

/// Not before this long does the next connect start, so that a server that refuses at once is not stormed.
const RECONNECT_FLOOR: Duration = Duration::from_millis(20);

impl Config {
    /// Reads the process environment.
    ///
    /// # Errors
    /// The first variable that is missing, malformed, out of range or in conflict with another, by name.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(ConfigError::new(name, "is not valid UTF-8")),
        })
    }

    fn from_lookup(lookup: impl Fn(&'static str) -> Result<Option<String>, ConfigError>) -> Result<Self, ConfigError> {
        let variables = Variables::new(&lookup);
        // The driver would take them over unasked: startup options, which RDS Proxy refuses, and certificates.
        for name in ["PGOPTIONS", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"] {
            if variables.text(name)?.is_some() {
                return Err(ConfigError::new(name, "must be unset: only the variables of this table are read"));
            }
        }
        let database = Database::read(&variables)?;
        let timeouts = Timeouts {
            connect: variables.milliseconds("DB_CONNECT_TIMEOUT_MS", 1_000, 10..=60_000)?,
            ping: variables.milliseconds("DB_PING_TIMEOUT_MS", 300, 10..=60_000)?,
            attempt: variables.milliseconds("DB_ATTEMPT_TIMEOUT_MS", 4_500, 10..=900_000)?,
        };
        let base_delay = variables.milliseconds("RETRY_BASE_DELAY_MS", 50, 1..=60_000)?;
        let max_delay = variables.milliseconds("RETRY_MAX_DELAY_MS", 1_000, 1..=60_000)?;
        if base_delay > max_delay {
            return Err(ConfigError::new("RETRY_BASE_DELAY_MS", "must not be above RETRY_MAX_DELAY_MS"));
        }
        let retry =
            Policy { max_resends: variables.number("RETRY_MAX_ATTEMPTS", 3, 0..=100)?, base_delay, max_delay, reconnect_floor: RECONNECT_FLOOR };
        let budget = variables.milliseconds("RETRY_BUDGET_MS", 9_000, 10..=900_000)?;
        let key_lifetime = Duration::from_secs(variables.number("IDEMPOTENCY_KEY_LIFETIME_S", 86_400, 1..=2_592_000)?);
        if key_lifetime <= budget {
            return Err(ConfigError::new("IDEMPOTENCY_KEY_LIFETIME_S", "must be longer than RETRY_BUDGET_MS: a request repeats its write so long"));
        }
        let proxy_name = proxy::name(&variables)?;
        Ok(Self {
            database,
            proxy_api: proxy::api(proxy_name.as_deref(), &variables)?,
            proxy_name,
            timeouts,
            retry,
            max_idle: variables.milliseconds("DB_MAX_IDLE_MS", 10_000, 0..=86_400_000)?,
            budget,
            reserve: variables.milliseconds("DEADLINE_RESERVE_MS", 500, 0..=60_000)?,
            key_lifetime,
            concurrency: variables.number("AWS_LAMBDA_MAX_CONCURRENCY", 1, 1..=1_600)?,
            warm_in_init: variables.one_of("DB_WARM_IN_INIT", &[("false", false), ("true", true)])?.unwrap_or(true),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
