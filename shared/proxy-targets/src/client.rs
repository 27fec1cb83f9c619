//! The call to the API of RDS.

use std::error::Error as StdError;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_rds::Client;
use aws_sdk_rds::config::retry::RetryConfig;
use aws_sdk_rds::config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use secrecy::ExposeSecret as _;
use shared::config::ProxyApi;
use shared::error::chain;

use crate::{ProxyTarget, ProxyTargetsError};

/// For the whole call, which is made once: an API that is slow tells nothing of the database.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(500);
/// A page of the answer; a proxy has a writer and up to fifteen readers.
const TARGETS_MAX: i32 = 100;

/// Asks for the targets of one proxy.
#[derive(Debug)]
pub(crate) struct ProxyClient {
    client: Client,
    proxy_name: String,
}

impl ProxyClient {
    /// With the credentials of this sandbox, which are those of its role for as long as it lives. The role needs
    /// `rds:DescribeDBProxyTargets` on the proxy.
    pub(crate) fn new(api: &ProxyApi) -> Self {
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

    pub(crate) async fn ask(&self) -> Result<Vec<ProxyTarget>, ProxyTargetsError> {
        let call = self.client.describe_db_proxy_targets().db_proxy_name(&self.proxy_name).max_records(TARGETS_MAX).send();
        let answer = tokio::time::timeout(TIMEOUT, call).await.map_err(|_| ProxyTargetsError::TimedOut { timeout_ms: TIMEOUT.as_millis() })?;
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
