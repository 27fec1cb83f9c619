//! Which API, in which region, by whose credentials.

use anyhow::{Context as _, Result, bail, ensure};
use aws_credential_types::Credentials;
use clap::Args;
use local::address::is_loopback;
use local::running;
use local::sigv4::{LocalCredentials, REGION};
use local::workspace::Workspace;
use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::credentials;

/// What a command that sends signed requests takes.
#[derive(Args, Debug, Default, Clone)]
pub(crate) struct TargetArguments {
    /// The deployed API, as https://….execute-api.eu-central-1.amazonaws.com; without it the running cargo dev of this checkout
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// The API's region, where its host name does not tell; else AWS_REGION, else that of the profile
    #[arg(long, value_name = "REGION", requires = "url")]
    pub(super) region: Option<String>,
}

/// What the routes ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// A signature.
    Signed,
    /// Nothing.
    Public,
}

pub(super) struct Target {
    pub(super) base: Url,
    pub(super) region: String,
    /// None where the route is public.
    pub(super) credentials: Option<Credentials>,
    pub(super) is_local: bool,
}

/// What the arguments say; where they name no URL, or that of the running `cargo dev`, with the credentials of its record.
///
/// # Errors
/// As [`Api::open`](super::Api::open).
pub(super) async fn find(workspace: &Workspace, arguments: &TargetArguments, access: Access) -> Result<Target> {
    let Some(url) = &arguments.url else {
        let running = running::find_with_operator(&workspace.state())?;
        let (running, operator) =
            running.context("no local API runs on this checkout: start it with cargo dev, or name a deployed one with --url")?;
        return local(&running.api_url, &operator);
    };
    let base = base(url)?;
    if base.scheme() == "http"
        && let Some((running, operator)) = running::find_with_operator(&workspace.state())?
        && base.port_or_known_default() == parse(&running.api_url)?.port_or_known_default()
    {
        return local(&running.api_url, &operator);
    }
    if access == Access::Public {
        return Ok(Target { base, region: String::new(), credentials: None, is_local: false });
    }
    let (region, credentials) = credentials::find(workspace, arguments.region.as_deref().or_else(|| region_of(&base))).await?;
    Ok(Target { base, region, credentials: Some(credentials), is_local: false })
}

pub(super) fn local(api_url: &str, operator: &LocalCredentials) -> Result<Target> {
    let session_token = operator.session_token.as_ref().map(|token| token.expose_secret().to_owned());
    let credentials =
        Credentials::new(&operator.access_key_id, operator.secret_access_key.expose_secret(), session_token, None, "the running cargo dev");
    Ok(Target { base: parse(api_url)?, region: REGION.to_owned(), credentials: Some(credentials), is_local: true })
}

fn parse(url: &str) -> Result<Url> {
    Url::parse(url).context("the API's URL is not a URL, as in https://abc123.execute-api.eu-central-1.amazonaws.com")
}

/// The URL that the routes' paths are appended to.
///
/// # Errors
/// Signed requests cannot go there: it is no URL, or holds more than an API's, or they would travel in plain text.
fn base(text: &str) -> Result<Url> {
    let url = parse(text)?;
    // It is not repeated: it may hold what belongs nowhere.
    ensure!(url.username().is_empty() && url.password().is_none(), "the API's URL has a user in it: requests are signed with AWS credentials");
    ensure!(
        url.query().is_none() && url.fragment().is_none(),
        "the API's URL has a query or fragment: name the API alone, without a path of a route"
    );
    ensure!(url.has_host(), "the API's URL names no host, as in https://abc123.execute-api.eu-central-1.amazonaws.com");
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => bail!("the API's URL says http, and {} is not this machine: say https", url.host_str().unwrap_or_default()),
        other => bail!("the API's URL says {other}: say https"),
    }
}

/// `<id>.execute-api.<region>.amazonaws.com`, and its likes of China and of both versions of IP.
fn region_of(url: &Url) -> Option<&str> {
    let (_, rest) = url.host_str()?.split_once(".execute-api.")?;
    let (region, domain) = rest.split_once('.')?;
    matches!(domain, "amazonaws.com" | "amazonaws.com.cn" | "api.aws" | "vpce.amazonaws.com").then_some(region)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_region_stands_in_the_host_names_of_aws_alone() {
        let cases = [
            ("https://abc123.execute-api.eu-central-1.amazonaws.com", Some("eu-central-1")),
            ("https://abc123.execute-api.eu-central-1.amazonaws.com/prod", Some("eu-central-1")),
            ("https://abc123.execute-api.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("https://abc123.execute-api.us-gov-west-1.api.aws", Some("us-gov-west-1")),
            ("https://abc123-vpce-0a1b.execute-api.us-east-1.amazonaws.com", Some("us-east-1")),
            ("https://abc123.EXECUTE-API.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("https://api.example.com", None),
            ("https://abc123.execute-api.eu-central-1.amazonaws.com.example.com", None),
            ("https://abc123.execute-api.eu-central-1.example.com", None),
            ("https://execute-api.amazonaws.com", None),
        ];
        for (url, region) in cases {
            assert_eq!(region_of(&base(url).unwrap()), region, "{url}");
        }
    }

    #[test]
    fn a_url_that_signed_requests_cannot_go_to_is_refused_without_being_repeated() {
        let cases = [
            ("api.example.com", "is not a URL"),
            ("http://api.example.com", "api.example.com is not this machine: say https"),
            ("http://10.0.0.1:3000", "10.0.0.1 is not this machine: say https"),
            ("http://127.0.0.1.example.com", "is not this machine"),
            ("ftp://api.example.com", "says ftp"),
            ("https://me:hidden@api.example.com", "has a user"),
            ("https://me@api.example.com", "has a user"),
            ("https://api.example.com?token=hidden", "has a query"),
            ("https://api.example.com/#hidden", "has a query or fragment"),
            ("data:hidden", "names no host"),
        ];
        for (url, complaint) in cases {
            let error = format!("{:#}", base(url).unwrap_err());
            assert!(error.contains(complaint) && !error.contains("hidden"), "{url}: {error}");
        }
        for url in
            ["https://api.example.com", "https://api.example.com:8443/prod", "http://127.0.0.1:3000", "http://localhost:3000", "http://[::1]:3000"]
        {
            assert!(base(url).is_ok(), "{url}");
        }
    }
}
