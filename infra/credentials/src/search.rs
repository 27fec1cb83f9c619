//! Credentials and region as the AWS command line finds them: variables, the profile (also by SSO, role or process), the container, the machine.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use aws_config::meta::region::ProvideRegion as _;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// Bound of the whole search. A machine outside AWS is asked for its role last, and does not answer.
const TIMEOUT: Duration = Duration::from_secs(20);

const NO_CREDENTIALS: &str = "no AWS credentials are to be had: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN \
                              where there is one), or sign in again with aws sso login";

/// The region to sign for, which is `region` where that is known, and the credentials to sign with.
pub(crate) async fn sign_in(region: Option<&str>) -> Result<(String, Credentials)> {
    let search = async {
        // Not the machine's own region: outside AWS to ask for it takes seconds.
        let own = match region_of_environment() {
            Some(region) => Some(region),
            None => ProfileFileRegionProvider::new().region().await,
        };
        let region = region.map(|region| Region::new(region.to_owned())).or_else(|| own.clone());
        let region = region.context("the API's region is not known: name it with --region, as in --region eu-central-1, or set AWS_REGION")?;
        ensure!(is_region(region.as_ref()), "{:?} is no region: it must be one such as eu-central-1", region.as_ref());
        // Whoever hands out credentials is asked in the region of the profile.
        let client = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(client).region(own.unwrap_or_else(|| region.clone()));
        let config = config.load().await;
        let provider = config.credentials_provider().context(NO_CREDENTIALS)?;
        let credentials = provider.provide_credentials().await.map_err(|error| match error {
            // Its cause lists every place that has none.
            CredentialsError::CredentialsNotLoaded(_) => anyhow!(NO_CREDENTIALS),
            error => anyhow!(in_one_line(&error)).context(NO_CREDENTIALS),
        })?;
        Ok((region.to_string(), credentials))
    };
    tokio::time::timeout(TIMEOUT, search).await.with_context(|| format!("{NO_CREDENTIALS}; nobody answered within {} s", TIMEOUT.as_secs()))?
}

/// An error with its causes.
fn in_one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An empty variable counts as unset.
fn region_of_environment() -> Option<Region> {
    let set = |name| std::env::var(name).ok().filter(|region| !region.is_empty());
    set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")).map(Region::new)
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
