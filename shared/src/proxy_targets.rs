//! How the databases behind the RDS Proxy are, as the API of RDS says it.

use std::error::Error as StdError;
use std::sync::OnceLock;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_rds::Client;
use aws_sdk_rds::config::retry::RetryConfig;
use aws_sdk_rds::config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::config::{Config, ProxyApi};
use crate::error::chain;

/// For the whole call, which is made once: an API that is slow tells nothing of the database.
const TIMEOUT: Duration = Duration::from_millis(500);
/// A page of the answer; a proxy has a writer and up to fifteen readers.
const TARGETS_MAX: i32 = 100;

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
    #[error("the API of RDS did not answer within {} ms", TIMEOUT.as_millis())]
    TimedOut,
    /// A refusal, or no connection. The text is for the log.
    #[error("the API of RDS did not tell the proxy's targets: {0}")]
    Failed(String),
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

/// Asks for the targets of one proxy.
#[derive(Debug)]
struct ProxyClient {
    client: Client,
    proxy_name: String,
}

impl ProxyClient {
    /// With the credentials of this sandbox, which are those of its role for as long as it lives. The role needs
    /// `rds:DescribeDBProxyTargets` on the proxy.
    fn new(api: &ProxyApi) -> Self {
        let (aws, secret) = (&api.aws, |text: &secrecy::SecretString| text.expose_secret().to_owned());
        let session_token = aws.session_token.as_ref().map(secret);
        let credentials = Credentials::new(aws.access_key_id.as_str(), secret(&aws.secret_access_key), session_token, None, "environment");
        let http_client = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let config = aws_sdk_rds::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(aws.region.clone()))
            .endpoint_url(api.endpoint.as_str())
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .http_client(http_client)
            .build();
        Self { client: Client::from_conf(config), proxy_name: api.proxy_name.clone() }
    }

    async fn ask(&self) -> Result<Vec<ProxyTarget>, ProxyTargetsError> {
        let call = self.client.describe_db_proxy_targets().db_proxy_name(&self.proxy_name).max_records(TARGETS_MAX).send();
        let answer = tokio::time::timeout(TIMEOUT, call).await.map_err(|_| ProxyTargetsError::TimedOut)?;
        let answer = answer.map_err(|error| ProxyTargetsError::Failed(chain(&error as &(dyn StdError + 'static))))?;
        Ok(answer.targets().iter().map(target).collect())
    }
}

fn target(target: &aws_sdk_rds::types::DbProxyTarget) -> ProxyTarget {
    let health = target.target_health();
    let unknown = || "UNKNOWN".to_owned();
    ProxyTarget {
        id: target.rds_resource_id().map_or_else(unknown, ToOwned::to_owned),
        role: target.role().map_or_else(unknown, |role| role.as_str().to_owned()),
        state: health.and_then(|health| health.state()).map_or_else(unknown, |state| state.as_str().to_owned()),
        reason: health.and_then(|health| health.reason()).map(|reason| reason.as_str().to_owned()),
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
