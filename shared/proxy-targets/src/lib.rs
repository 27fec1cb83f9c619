//! How the databases behind the RDS Proxy are, as the API of RDS says it.

#[cfg(feature = "rds-api")]
mod client;
#[cfg(feature = "rds-api")]
use client::ProxyClient;

use std::sync::OnceLock;

use serde::Serialize;
use shared::config::Config;
#[cfg(not(feature = "rds-api"))]
use shared::config::ProxyApi;

/// One database behind the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProxyTarget {
    /// The instance, as RDS names it.
    #[serde(rename = "target")]
    pub id: String,
    /// READ_WRITE, READ_ONLY or UNKNOWN.
    pub role: String,
    /// AVAILABLE, REGISTERING, UNAVAILABLE, or UNUSED.
    pub state: String,
    /// Why it is not available, such as AUTH_FAILURE.
    pub reason: Option<String>,
}

/// The API did not say.
#[derive(Debug, thiserror::Error)]
pub enum ProxyTargetsError {
    /// No answer in time.
    #[error("the API of RDS did not answer within {timeout_ms} ms")]
    TimedOut {
        /// How long it was waited for.
        timeout_ms: u128,
    },
    /// A refusal, or no connection. The text is for the log.
    #[error("the API of RDS did not tell the proxy's targets: {0}")]
    Failed(String),
    /// The program has no client of the API.
    #[error(
        "this program was built without the feature rds-api, which asks the API of RDS: build it as it is deployed, with cargo lambda or --all-features"
    )]
    NotBuilt,
}

/// How many of the targets can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// All of them.
    All,
    /// At least one, and not all.
    Some,
    /// None, or there are none.
    None,
}

impl Availability {
    /// Of these targets.
    #[must_use]
    pub fn of(targets: &[ProxyTarget]) -> Self {
        match targets.iter().filter(|target| target.state == "AVAILABLE").count() {
            0 => Self::None,
            some if some < targets.len() => Self::Some,
            _ => Self::All,
        }
    }
}

/// The targets of the proxy that a function is configured with, for the life of a sandbox.
#[derive(Debug, Default)]
pub struct ProxyTargets {
    client: OnceLock<Option<ProxyClient>>,
}

impl ProxyTargets {
    /// Asks once, for at most 500 ms; none where the configuration names no proxy or no endpoint of the API.
    ///
    /// # Errors
    /// [`ProxyTargetsError`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the call, which changes nothing.
    pub async fn ask(&self, config: &Config) -> Option<Result<Vec<ProxyTarget>, ProxyTargetsError>> {
        let client = self.client.get_or_init(|| config.proxy_api.as_ref().map(ProxyClient::new)).as_ref()?;
        Some(client.ask().await)
    }
}

/// What stands in the place of the client where the program has none.
#[cfg(not(feature = "rds-api"))]
#[derive(Debug)]
struct ProxyClient;

#[cfg(not(feature = "rds-api"))]
impl ProxyClient {
    fn new(_: &ProxyApi) -> Self {
        Self
    }

    async fn ask(&self) -> Result<Vec<ProxyTarget>, ProxyTargetsError> {
        Err(ProxyTargetsError::NotBuilt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_counts_only_where_it_is_available() {
        let availability = |states: &[&str]| {
            let target = |state: &&str| ProxyTarget { id: "db-1".into(), role: "READ_WRITE".into(), state: (*state).into(), reason: None };
            Availability::of(&states.iter().map(target).collect::<Vec<_>>())
        };
        assert_eq!(availability(&["AVAILABLE", "AVAILABLE"]), Availability::All);
        assert_eq!(availability(&["AVAILABLE", "UNAVAILABLE"]), Availability::Some);
        assert_eq!(availability(&["REGISTERING", "AVAILABLE"]), Availability::Some);
        assert_eq!(availability(&["UNAVAILABLE"]), Availability::None);
        assert_eq!(availability(&[]), Availability::None);
    }
}
