//! The RDS Proxy between, and the API that knows how it is.

use url::Url;

use super::aws::Aws;
use super::variables::{ConfigError, Variables};

/// The API of RDS, and which proxy to ask it for.
#[derive(Debug, Clone)]
pub struct ProxyApi {
    /// Where the API is: a VPC has it only by an endpoint of its own.
    pub endpoint: Url,
    /// The proxy's name.
    pub proxy_name: String,
    /// What is signed with.
    pub aws: Aws,
}

/// The proxy's name as the API of RDS demands it (CreateDBProxy): letters, digits and hyphens, a letter first.
pub(super) fn name(variables: &Variables<'_>) -> Result<Option<String>, ConfigError> {
    let Some(name) = variables.text("DB_PROXY_NAME")? else { return Ok(None) };
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins_well || name.len() > 63 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(ConfigError::new("DB_PROXY_NAME", "must be 1 to 63 letters, digits and hyphens, a letter first"));
    }
    Ok(Some(name))
}

/// The API, where both a proxy and an endpoint are named.
pub(super) fn api(proxy_name: Option<&str>, variables: &Variables<'_>) -> Result<Option<ProxyApi>, ConfigError> {
    let (Some(proxy_name), Some(endpoint)) = (proxy_name, variables.text("AWS_ENDPOINT_URL_RDS")?) else { return Ok(None) };
    let wrong = |complaint: &str| ConfigError::new("AWS_ENDPOINT_URL_RDS", complaint);
    let endpoint = Url::parse(&endpoint).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
    let is_loopback = matches!(endpoint.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match endpoint.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        _ => return Err(wrong("must begin with https:// (or http:// on this machine)")),
    }
    Ok(Some(ProxyApi { endpoint, proxy_name: proxy_name.to_owned(), aws: Aws::read(variables)? }))
}
